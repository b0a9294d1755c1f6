"""Receipts offline: what holds, and every way to pass one off for something it is not."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from strongroom import canonical
from strongroom.errors import RejectedError
from strongroom.trust.checkpoint import sign_checkpoint
from strongroom.trust.events import Event
from strongroom.trust.journal import fold
from strongroom.trust.receipt import (
    FoldProof,
    Receipt,
    ReceiptFacts,
    ReceivedAnswer,
    SentRequest,
    verify_receipt,
)
from strongroom.trust.signatures import PublicKey
from tests.unit.trust.chronicle import (
    ANSWER,
    BODY,
    JOURNAL,
    LOG,
    LOG_KEY,
    ORIGIN,
    OTHER,
    PATH,
    START,
    START_US,
    TreeInMemory,
    batches,
    certificate,
    context,
    fold_event,
    fold_proof,
    receipt,
)

MADE = batches(3, 5, 2)
PLAIN = receipt(MADE, 1, 2)
"""Of record 5, in batch 1."""
FOLDED = PLAIN.folded(fold_proof(MADE, 1)[0])
REQUEST = SentRequest(b"POST", PATH, b"5", BODY)
REPLY = ReceivedAnswer(200, ANSWER)
VECTORS = Path(__file__).parents[2] / "vectors" / "log"


def check(
    held: Receipt | bytes,
    request: SentRequest | None = REQUEST,
    answer: ReceivedAnswer | None = REPLY,
    expected: dict[str, Any] | None = None,
    key: PublicKey = LOG_KEY,
    origin: str = ORIGIN,
) -> ReceiptFacts:
    data = held if isinstance(held, bytes) else held.to_bytes()
    return verify_receipt(data, key, origin, request=request, answer=answer, expected=expected)


def altered(change: Callable[[dict[str, Any]], None], held: Receipt = FOLDED) -> bytes:
    value = canonical.decode(held.to_bytes())
    change(value)
    return canonical.encode(value)


def test_a_receipt_before_its_batch_is_folded() -> None:
    facts = check(PLAIN, expected={"model": "fraud@1.2.0", "policy": "3"})
    assert facts.context == canonical.decode(context())
    assert (facts.rows, facts.status, facts.batch, facts.journal) == (1, 200, 1, JOURNAL.hex())
    assert (facts.at.timestamp() * 1e6, facts.journal_started_at) == (START_US + 5, START)
    assert (facts.request_checked, facts.answer_checked) == (True, True)
    assert (facts.log_index, facts.log_size) == (None, None)


def test_a_receipt_after_its_batch_is_folded() -> None:
    facts = check(FOLDED)
    assert (facts.log_index, facts.log_size) == (3, 6)


def test_every_record_of_every_batch_has_one() -> None:
    at = 0
    for number, batch in enumerate(MADE):
        proof, _ = fold_proof(MADE, number)
        for index in range(len(batch.records)):
            request = SentRequest(b"POST", PATH, b"%d" % at, BODY)
            check(receipt(MADE, number, index).folded(proof), request)
            at += 1


def test_what_was_not_given_is_not_said_to_be_checked() -> None:
    facts = check(PLAIN, request=None, answer=None)
    assert (facts.request_checked, facts.answer_checked) == (False, False)


def test_parse_is_the_inverse() -> None:
    for held in (PLAIN, FOLDED):
        assert Receipt.parse(held.to_bytes()) == held


class TestPassedOffForAnother:
    def test_receipt_for_another_model(self) -> None:
        for expected in ({"model": "fraud@1.3.0"}, {"digest": "sha256:" + "cd" * 32}, {"missing": "x"}):
            with pytest.raises(RejectedError, match=r"receipt: (model|digest|missing) is"):
                check(FOLDED, expected=expected)

    def test_another_model_written_into_the_context(self) -> None:
        data = altered(lambda value: value["context"].update(model="fraud@1.3.0"))
        with pytest.raises(RejectedError, match="not in its batch"):
            check(data)

    @pytest.mark.parametrize("field", ["who", "digest", "policy", "action"])
    def test_any_other_field_of_the_context(self, field: str) -> None:
        with pytest.raises(RejectedError, match="not in its batch"):
            check(altered(lambda value: value["context"].update({field: "forged"})))

    def test_a_field_added_to_the_context(self) -> None:
        with pytest.raises(RejectedError, match="not in its batch"):
            check(altered(lambda value: value["context"].update(approved="yes")))

    @pytest.mark.parametrize(
        "answer", [ReceivedAnswer(200, ANSWER + b" "), ReceivedAnswer(500, ANSWER), ReceivedAnswer(200, b"")]
    )
    def test_altered_answer(self, answer: ReceivedAnswer) -> None:
        with pytest.raises(RejectedError, match="another answer"):
            check(FOLDED, answer=answer)

    @pytest.mark.parametrize(
        "request_",
        [
            REQUEST._replace(body=BODY.replace(b"1", b"9")),
            REQUEST._replace(method=b"PUT"),
            REQUEST._replace(path=PATH + b"?debug=1"),
            REQUEST._replace(nonce=b""),
        ],
    )
    def test_altered_request(self, request_: SentRequest) -> None:
        with pytest.raises(RejectedError, match="another request"):
            check(FOLDED, request=request_)

    def test_replay_of_the_receipt_of_an_equal_request_with_another_nonce(self) -> None:
        with pytest.raises(RejectedError, match="replay"):
            check(FOLDED, request=REQUEST._replace(nonce=b"6"))
        other = receipt(MADE, 1, 3)
        with pytest.raises(RejectedError, match="replay"):
            check(other)
        assert check(other, request=REQUEST._replace(nonce=b"6")).request_checked

    @pytest.mark.parametrize(
        ("field", "value"),
        [("time_us", START_US), ("rows", 2), ("status", 201), ("request", "0" * 64), ("answer", "0" * 64)],
    )
    def test_any_field_of_the_record(self, field: str, value: Any) -> None:
        data = altered(lambda whole: whole["record"].update({field: value}))
        with pytest.raises(RejectedError, match="not in its batch"):
            check(data, request=None, answer=None)


class TestForgedBatch:
    def test_path_of_another_record(self) -> None:
        swapped = replace(FOLDED, path=MADE[1].path(3))
        with pytest.raises(RejectedError, match="not in its batch"):
            check(swapped)
        with pytest.raises(RejectedError, match="not in its batch"):
            check(replace(FOLDED, index=3))

    def test_batch_of_another_record(self) -> None:
        for number in (0, 2):
            other = receipt(MADE, number, 1)
            mixed = replace(other, record=PLAIN.record)
            with pytest.raises(RejectedError, match="not in its batch"):
                check(mixed)

    @pytest.mark.parametrize(
        "changes",
        [
            {"number": 2},
            {"count": 6},
            {"previous": b"p" * 32},
            {"root": b"r" * 32},
        ],
    )
    def test_another_head_under_the_signature(self, changes: dict[str, Any]) -> None:
        with pytest.raises(RejectedError, match="not signed"):
            check(replace(PLAIN, head=replace(PLAIN.head, **changes)))

    def test_foreign_journal_key(self) -> None:
        forged = receipt(batches(3, 5, 2, signer=OTHER), 1, 2)
        with pytest.raises(RejectedError, match="not signed by the journal's key"):
            check(forged)

    def test_foreign_journal_key_with_a_certificate_of_its_own_making(self) -> None:
        other_key = PublicKey.from_pem(OTHER.public_pem)
        forged = receipt(batches(3, 5, 2, signer=OTHER), 1, 2)
        for note in (
            certificate(key=other_key, signer=OTHER),
            certificate(key=other_key, origin="vault.example/other"),
        ):
            with pytest.raises(RejectedError):
                check(replace(forged, certificate=note))

    def test_certificate_of_another_journal(self) -> None:
        note = certificate(journal=bytes(16))
        with pytest.raises(RejectedError, match="another journal"):
            check(replace(PLAIN, certificate=note))
        moved = replace(PLAIN, certificate=note, head=replace(PLAIN.head, journal=bytes(16)))
        with pytest.raises(RejectedError, match="not signed"):
            check(moved)

    def test_checkpoint_instead_of_a_certificate(self) -> None:
        assert FOLDED.fold is not None
        with pytest.raises(RejectedError):
            check(replace(PLAIN, certificate=FOLDED.fold.checkpoint))

    def test_another_log_is_trusted(self) -> None:
        for key, origin in (
            (PublicKey.from_pem(OTHER.public_pem), ORIGIN),
            (LOG_KEY, "vault.example/other"),
        ):
            with pytest.raises(RejectedError):
                check(FOLDED, key=key, origin=origin)


class TestForgedFold:
    def proof(self, **changes: Any) -> Receipt:
        assert FOLDED.fold is not None
        return PLAIN.folded(replace(FOLDED.fold, **changes))

    def test_path_of_another_batch(self) -> None:
        with pytest.raises(RejectedError, match="not in its fold"):
            check(self.proof(path=fold_proof(MADE, 2)[0].path))

    def test_proof_of_another_fold(self) -> None:
        # The same journal and range, but other batches: a journal rewritten after the receipt was given.
        rewritten = batches(4, 4, 2)
        with pytest.raises(RejectedError, match="not in its fold"):
            check(PLAIN.folded(fold_proof(rewritten, 1)[0]))

    def test_fold_of_another_journal(self) -> None:
        other = batches(3, 5, 2, journal=bytes(16))
        with pytest.raises(RejectedError, match="not one of this batch"):
            check(PLAIN.folded(fold_proof(other, 1)[0]))

    def test_fold_of_other_batches(self) -> None:
        folded = fold([batch.head for batch in MADE[2:]])
        tree = TreeInMemory([fold_event(folded)])
        proof = FoldProof([], fold_event(folded), 0, [], tree.checkpoint)
        with pytest.raises(RejectedError, match="not one of this batch"):
            check(PLAIN.folded(proof))

    @pytest.mark.parametrize("change", [{"action": "serve"}, {"decision": "deny"}, {"decision": "reject"}])
    def test_an_event_that_is_no_fold(self, change: dict[str, str]) -> None:
        folded = fold([batch.head for batch in MADE])
        words = {"action": "fold", "decision": "allow", **change}
        event = Event(
            START, "room", words["action"], "x", words["decision"], detail=folded.detail()
        ).to_bytes()
        tree = TreeInMemory([event])
        with pytest.raises(RejectedError, match="not one of this batch"):
            check(PLAIN.folded(FoldProof(folded.path(1), event, 0, [], tree.checkpoint)))

    @pytest.mark.parametrize(
        "detail",
        [
            {"root": 5},
            {"root": "zz"},
            {"first": "0"},
            {"first": True},
            {"last": None},
            {"last": 3},
            {"size": 4},
            {"journal": None},
        ],
    )
    def test_a_fold_event_that_makes_no_sense(self, detail: dict[str, Any]) -> None:
        folded = fold([batch.head for batch in MADE])
        event = Event(START, "room", "fold", "x", "allow", detail={**folded.detail(), **detail}).to_bytes()
        tree = TreeInMemory([event])
        with pytest.raises(RejectedError):
            check(PLAIN.folded(FoldProof(folded.path(1), event, 0, [], tree.checkpoint)))

    def test_event_not_in_the_log(self) -> None:
        folded = fold([batch.head for batch in MADE])
        invented = fold_event(replace(folded, last=folded.last))[:-1] + b"}"
        assert invented == fold_event(folded)
        _, tree = fold_proof(MADE, 1)
        for changes in ({"index": 2}, {"proof": tree.proof(2)}, {"proof": []}, {"index": 600}):
            with pytest.raises(RejectedError, match="not in the log"):
                check(self.proof(**changes))

    def test_checkpoint_of_another_log(self) -> None:
        _, tree = fold_proof(MADE, 1)
        for note in (
            sign_checkpoint("vault.example/other", 6, tree.root, LOG),
            sign_checkpoint(ORIGIN, 6, tree.root, OTHER),
            certificate(),
        ):
            with pytest.raises(RejectedError):
                check(self.proof(checkpoint=note))

    def test_checkpoint_before_the_fold(self) -> None:
        older = TreeInMemory([b"before 0", b"before 1", b"before 2"])
        with pytest.raises(RejectedError, match="not in the log"):
            check(self.proof(checkpoint=older.checkpoint))


class TestMalformed:
    def test_every_flipped_bit_is_refused(self) -> None:
        data = FOLDED.to_bytes()
        for at in range(len(data)):
            mutated = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
            with pytest.raises(RejectedError):
                check(mutated, request=None, answer=None)

    @pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"null", b"{", b"\xff", b"x" * 300_000])
    def test_other_bytes(self, data: bytes) -> None:
        with pytest.raises(RejectedError):
            check(data)

    def test_another_spelling(self) -> None:
        with pytest.raises(RejectedError, match="canonical"):
            check(json.dumps(json.loads(FOLDED.to_bytes())).encode())

    @pytest.mark.parametrize(
        "change",
        [
            lambda value: value.update(format="strongroom/receipt/2"),
            lambda value: value.update(extra=1),
            lambda value: value.pop("fold"),
            lambda value: value.update(fold=[]),
            lambda value: value.update(fold="none"),
            lambda value: value["record"].update(rows=True),
            lambda value: value["record"].update(rows=-1),
            lambda value: value["record"].update(status=65_536),
            lambda value: value["record"].update(request=value["record"]["request"].upper()),
            lambda value: value["record"].update(request=5),
            lambda value: value["record"].pop("rows"),
            lambda value: value.update(context=[]),
            lambda value: value["context"].update(pad="x" * 5000),
            lambda value: value["batch"].update(path=["00"] * 3),
            lambda value: value["batch"].update(path=[5]),
            lambda value: value["batch"].update(path=["0" * 64] * 65),
            lambda value: value["batch"].update(signature="AAAA"),
            lambda value: value["batch"].update(signature=value["batch"]["signature"] + "\n"),
            lambda value: value["batch"].update(journal="00"),
            lambda value: value["batch"].update(count=2**20),
            lambda value: value["fold"].update(event="{}"),
            lambda value: value["fold"].update(event="not json"),
            lambda value: value["fold"].update(index=-1),
            lambda value: value["fold"].update(checkpoint=""),
            lambda value: value.update(certificate="é"),
        ],
    )
    def test_fields(self, change: Callable[[dict[str, Any]], None]) -> None:
        with pytest.raises(RejectedError):
            check(altered(change))


def test_the_frozen_receipts_still_verify() -> None:
    for name, held in (("receipt-1.json", PLAIN), ("receipt-1-folded.json", FOLDED)):
        data = (VECTORS / name).read_bytes()
        check(data)
        assert data == held.to_bytes()

"""Journals: what was written comes back, what was altered does not, and a torn tail is not an alteration."""

import json
from dataclasses import replace
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom import canonical
from strongroom.errors import InvalidError, OutageError, RejectedError
from strongroom.trust import batch as layout
from strongroom.trust import journal_writer
from strongroom.trust.batch import FILE_HEADER_BYTES, Batch, Record, record_hash
from strongroom.trust.journal import (
    JournalReader,
    JournalSigner,
    JournalWriter,
    answer_hash,
    fold,
    parse_batches,
    request_hash,
)
from strongroom.trust.journal_key import open_journal_key, sign_journal_key
from strongroom.trust.merkle import leaf_hash, require_included, tree_root
from strongroom.trust.note import sign_note
from strongroom.trust.signatures import PublicKey
from tests.unit.trust.chronicle import (
    JOURNAL,
    JOURNAL_KEY,
    JOURNAL_SIGNER,
    LOG,
    LOG_KEY,
    ORIGIN,
    OTHER,
    START,
    batches,
    certificate,
    context,
    journal_file,
    record,
)

OTHER_KEY = PublicKey.from_pem(OTHER.public_pem)
MADE = batches(3, 1, 5, 2)
FILE = journal_file(MADE)
STARTS = [FILE_HEADER_BYTES + sum(len(batch.data) for batch in MADE[:number]) for number in range(5)]
VECTORS = Path(__file__).parents[2] / "vectors" / "log"


def read(data: bytes, key: PublicKey = JOURNAL_KEY, journal: bytes | None = JOURNAL) -> list[Batch]:
    return list(parse_batches(data, key, journal))


def torn(data: bytes) -> tuple[int, int, int]:
    """Batches, good bytes and torn bytes."""
    reader = JournalReader(JOURNAL_KEY, JOURNAL)
    found = list(reader.read(data))
    assert reader.good_bytes + reader.torn_bytes == len(data)
    return len(found), reader.good_bytes, reader.torn_bytes


def resealed(batch: Batch, signer: JournalSigner = JOURNAL_SIGNER, **changes: Any) -> bytes:
    """The batch's bytes with an altered head, signed anew: what a forger with this key would write."""
    head = replace(batch.head, **changes)
    prefix = layout.PREFIX.unpack_from(batch.data)
    body = batch.data[layout.PREFIX.size : -layout.TRAILER_BYTES]
    packed = layout.PREFIX.pack(prefix[0], prefix[1], head.number, head.previous, head.count, prefix[5])
    return packed + body + head.root + signer.sign(head.to_bytes())


class TestHashes:
    def test_what_is_hashed(self) -> None:
        assert request_hash(b"POST", b"/a?b=c", b"n0", b"body") == sha256(b"POST /a?b=c\nn0\nbody").digest()
        assert request_hash(b"GET", b"/", b"", b"") == sha256(b"GET /\n\n").digest()
        assert answer_hash(200, b"body") == sha256(b"200\nbody").digest()

    @pytest.mark.parametrize("size", [0, 16 * 2**10 - 1, 16 * 2**10, 100_000])
    def test_large_bodies_hash_alike(self, size: int) -> None:
        body = b"x" * size
        assert request_hash(b"PUT", b"/p", b"n", body) == sha256(b"PUT /p\nn\n" + body).digest()
        assert answer_hash(404, body) == sha256(b"404\n" + body).digest()


class TestWriting:
    def test_batches_come_back(self) -> None:
        found = read(FILE)
        assert [each.head for each in found] == [each.head for each in MADE]
        assert [list(each.records) for each in found] == [list(each.records) for each in MADE]
        assert b"".join(each.data for each in found) == FILE[FILE_HEADER_BYTES:]

    def test_the_first_batch_follows_the_file_header(self) -> None:
        assert FILE[:FILE_HEADER_BYTES] == b"strongroom-jrnl\x01" + JOURNAL
        assert MADE[0].head.previous == leaf_hash(FILE[:FILE_HEADER_BYTES])
        assert [each.head.number for each in MADE] == [0, 1, 2, 3]
        assert all(after.head.previous == before.head.hash for before, after in pairwise(MADE))

    def test_records_are_leaves_of_the_batch(self) -> None:
        for made in MADE:
            assert made.head.root == tree_root([record_hash(each) for each in made.records])
            for index, each in enumerate(made.records):
                require_included(record_hash(each), index, made.head.count, made.path(index), made.head.root)

    def test_a_record_hash_is_what_the_page_says(self) -> None:
        one = Record(b"{}", 1, 2, 3, b"q" * 32, b"a" * 32)
        packed = (1).to_bytes(8) + (2).to_bytes(4) + (3).to_bytes(2) + b"q" * 32 + b"a" * 32
        assert record_hash(one) == sha256(b"\0" + sha256(b"{}").digest() + packed).digest()

    def test_a_context_is_written_once(self) -> None:
        writer = JournalWriter(JOURNAL, JOURNAL_SIGNER)
        data = writer.header
        for models in (["m-1@1.0.0", "m-2@1.0.0", "m-1@1.0.0"], ["m-2@1.0.0", "m-3@1.0.0"]):
            batch = writer.encode([record(0, model) for model in models])
            writer.accept(batch)
            data += batch.data
        for model in ("m-1@1.0.0", "m-2@1.0.0", "m-3@1.0.0"):
            assert data.count(context(model)) == 1
        assert [one.context for batch in read(data) for one in batch.records] == [
            context(f"m-{number}@1.0.0") for number in (1, 2, 1, 2, 3)
        ]

    def test_a_batch_that_was_not_written_leaves_no_trace(self) -> None:
        writer = JournalWriter(JOURNAL, JOURNAL_SIGNER)
        lost = writer.encode([record(0, "lost@1.0.0")])
        kept = writer.encode([record(1)])
        assert lost.head.number == kept.head.number == 0
        writer.accept(kept)
        following = writer.encode([record(2), record(3, "lost@1.0.0")])
        writer.accept(following)
        assert len(read(writer.header + kept.data + following.data)) == 2
        with pytest.raises(InvalidError, match="does not come next"):
            writer.accept(lost)

    @pytest.mark.parametrize(
        ("what", "bad"),
        [
            ("time", record(0)._replace(time_us=-1)),
            ("time", record(0)._replace(time_us=2**64)),
            ("rows", record(0)._replace(rows=2**32)),
            ("status", record(0)._replace(status=2**16)),
            ("short request hash", record(0)._replace(request=b"q" * 31)),
            (
                "hashes that share their bytes wrongly",
                record(0)._replace(request=b"q" * 31, answer=b"a" * 33),
            ),
            ("context not JSON", record(0)._replace(context=b"{")),
            ("context not canonical", record(0)._replace(context=b'{"b":1, "a":2}')),
            ("context not an object", record(0)._replace(context=b"[]")),
            ("context too long", record(0)._replace(context=canonical.encode({"a": "x" * 4096}))),
        ],
    )
    def test_what_cannot_be_written(self, what: str, bad: Record) -> None:
        writer = JournalWriter(JOURNAL, JOURNAL_SIGNER)
        with pytest.raises(InvalidError):
            writer.encode([record(1), bad])
        good = writer.encode([record(1)])
        writer.accept(good)
        assert len(read(writer.header + good.data)) == 1

    def test_bounds(self, monkeypatch: pytest.MonkeyPatch) -> None:
        writer = JournalWriter(JOURNAL, JOURNAL_SIGNER)
        for count in (0, layout.MAX_BATCH_RECORDS + 1):
            with pytest.raises(InvalidError):
                writer.encode([record(0)] * count)
        monkeypatch.setattr(journal_writer, "MAX_CONTEXTS", 2)
        writer.accept(writer.encode([record(0, "m-1@1.0.0"), record(0, "m-2@1.0.0")]))
        with pytest.raises(OutageError, match="full"):
            writer.encode([record(0, "m-3@1.0.0")])
        assert writer.encode([record(0, "m-1@1.0.0")]).head.number == 1
        monkeypatch.setattr(journal_writer, "MAX_BATCH_BYTES", 400)
        with pytest.raises(InvalidError, match="bytes"):
            writer.encode([record(0, "m-1@1.0.0")] * 5)
        with pytest.raises(InvalidError):
            JournalWriter(b"short", JOURNAL_SIGNER)


class TestTornTail:
    def test_cut_anywhere(self) -> None:
        for cut in range(len(FILE)):
            whole = sum(start <= cut for start in STARTS[1:])
            good = 0 if cut < FILE_HEADER_BYTES else STARTS[whole]
            assert torn(FILE[:cut]) == (whole, good, cut - good)

    @pytest.mark.parametrize("zeros", [1, 7, 64, 5000])
    def test_space_that_was_allocated_and_never_written(self, zeros: int) -> None:
        assert torn(FILE + b"\0" * zeros) == (4, len(FILE), zeros)
        assert torn(b"\0" * zeros) == (0, 0, zeros)

    def test_a_sector_that_was_never_written(self) -> None:
        data = journal_file(batches(2, 40))
        begin = FILE_HEADER_BYTES + len(batches(2)[0].data)
        for sector in range(begin // 512, len(data) // 512 + 1):
            start, end = max(begin, sector * 512), min(len(data), sector * 512 + 512)
            assert torn(data[:start] + b"\0" * (end - start) + data[end:]) == (1, begin, len(data) - begin)

    def test_the_next_append_goes_where_the_good_bytes_end(self) -> None:
        reader = JournalReader(JOURNAL_KEY)
        assert len(list(reader.read(FILE[: STARTS[2] + 50]))) == 2
        assert len(list(reader.read(FILE[reader.good_bytes :]))) == 2
        assert (reader.good_bytes, reader.torn_bytes, reader.journal) == (len(FILE), 0, JOURNAL)

    def test_a_growing_file_is_read_once(self) -> None:
        reader = JournalReader(JOURNAL_KEY, JOURNAL)
        found: list[Batch] = []
        for end in range(0, len(FILE) + 97, 97):
            found += reader.read(FILE[reader.good_bytes : end])
        assert [each.head for each in found] == [each.head for each in MADE]


class TestAltered:
    def test_every_flipped_bit_before_the_last_batch_is_an_error(self) -> None:
        for at in range(STARTS[3]):
            mutated = FILE[:at] + bytes([FILE[at] ^ 1]) + FILE[at + 1 :]
            with pytest.raises(RejectedError):
                read(mutated)

    def test_every_flipped_bit_of_the_last_batch_loses_it_at_least(self) -> None:
        for at in range(STARTS[3], len(FILE)):
            mutated = FILE[:at] + bytes([FILE[at] ^ 0x10]) + FILE[at + 1 :]
            reader = JournalReader(JOURNAL_KEY, JOURNAL)
            try:
                found = list(reader.read(mutated))
            except RejectedError:
                pass
            else:  # its length was raised: nothing tells this from an append cut short
                assert len(found) == 3
                assert STARTS[3] + 8 <= at < STARTS[3] + 12
            assert reader.good_bytes == STARTS[3]

    def test_good_batches_before_the_bad_one_are_kept(self) -> None:
        at = STARTS[2] + 200
        reader = JournalReader(JOURNAL_KEY, JOURNAL)
        found = []
        with pytest.raises(RejectedError, match="batch 2"):
            found.extend(reader.read(FILE[:at] + bytes([FILE[at] ^ 1]) + FILE[at + 1 :]))
        assert (reader.good_bytes, reader.next_number) == (STARTS[2], 2)

    @pytest.mark.parametrize(
        ("attack", "order"),
        [
            ("first deleted", (1, 2, 3)),
            ("middle deleted", (0, 1, 3)),
            ("repeated", (0, 1, 1, 2, 3)),
            ("reordered", (0, 2, 1, 3)),
            ("repeated at the end", (0, 1, 2, 3, 3)),
        ],
    )
    def test_order(self, attack: str, order: tuple[int, ...]) -> None:
        with pytest.raises(RejectedError, match="does not follow"):
            read(journal_file([MADE[number] for number in order]))

    def test_foreign_key(self) -> None:
        with pytest.raises(RejectedError, match="not signed"):
            read(FILE, OTHER_KEY)
        with pytest.raises(RejectedError, match="not signed"):
            read(journal_file(batches(3, signer=OTHER)))

    def test_batches_of_another_journal(self) -> None:
        other = bytes(range(1, 17))
        made = batches(3, 1, journal=other)
        with pytest.raises(RejectedError, match="another one"):
            read(JournalWriter(other, JOURNAL_SIGNER).header + made[0].data)
        with pytest.raises(RejectedError, match="does not follow"):
            read(FILE[:FILE_HEADER_BYTES] + made[0].data)
        assert read(JournalWriter(other, JOURNAL_SIGNER).header + made[0].data, journal=None)

    def test_a_swapped_context_moves_the_answer_to_another_model(self) -> None:
        data = MADE[0].data.replace(b"fraud@1.2.0", b"fraud@9.9.9")
        with pytest.raises(RejectedError, match="altered"):
            read(journal_file([replace(MADE[0], data=data), *MADE[1:]]))

    def test_contexts_of_two_records_swapped(self) -> None:
        writer = JournalWriter(JOURNAL, JOURNAL_SIGNER)
        made = writer.encode([record(0, "m-1@1.0.0"), record(1, "m-2@1.0.0")])
        size = layout.STORED_RECORD.size
        end = len(made.data) - layout.TRAILER_BYTES
        first, second = made.data[end - 2 * size : end - size], made.data[end - size : end]
        swapped = (
            made.data[: end - 2 * size] + second[:4] + first[4:] + first[:4] + second[4:] + made.data[end:]
        )
        with pytest.raises(RejectedError):
            read(writer.header + swapped + b"x")

    @pytest.mark.parametrize(
        ("attack", "changes"),
        [
            ("another root", {"root": b"r" * 32}),
            ("another previous", {"previous": b"p" * 32}),
            ("another number", {"number": 1}),
            ("fewer records", {"count": 2}),
            ("no records", {"count": 0}),
            ("more records than there are bytes", {"count": 65_536}),
            ("more than the bound", {"count": 65_537}),
        ],
    )
    def test_the_holder_of_the_key_cannot_sign_nonsense(self, attack: str, changes: dict[str, Any]) -> None:
        with pytest.raises(RejectedError):
            read(journal_file([replace(MADE[0], data=resealed(MADE[0], **changes)), *MADE[1:]]))
        assert read(journal_file([replace(MADE[0], data=resealed(MADE[0])), *MADE[1:]]))

    @pytest.mark.parametrize("field", [8, 52, 56])
    @pytest.mark.parametrize("value", [1, 4, 2**31, 2**32 - 1])
    def test_lies_about_length_and_counts(self, field: int, value: int) -> None:
        at = STARTS[2] + field
        with pytest.raises(RejectedError):
            read(FILE[:at] + value.to_bytes(4) + FILE[at + 4 :])

    def test_contexts_that_the_writer_would_not_have_written(self) -> None:
        unused, spare = context("unused@1.0.0"), b'{"b":1, "a":2}'
        body = MADE[0].data
        first = layout.PREFIX.size
        own = body[first : first + 2 + len(context())]
        for attack, inserted, at in (
            ("unused", len(unused).to_bytes(2) + unused, first + len(own)),
            ("repeated", own, first),
            ("not canonical", len(spare).to_bytes(2) + spare, first + len(own)),
            ("length beyond the batch", b"\xff\xff", first + len(own)),
        ):
            prefix = list(layout.PREFIX.unpack_from(body))
            prefix[1] += len(inserted)
            prefix[5] += 1
            forged = layout.PREFIX.pack(*prefix) + body[first:at] + inserted + body[at:]
            with pytest.raises(RejectedError, match="batch 0"):
                read(journal_file([replace(MADE[0], data=forged), *MADE[1:]]))
            assert attack

    @pytest.mark.parametrize(
        "data", [b"x", b"#!/bin/sh\n" * 9, b"strongroom-jrnl\x02" + JOURNAL, FILE[1:], b"strongroom-jrnX"]
    )
    def test_other_files(self, data: bytes) -> None:
        with pytest.raises(RejectedError, match="not a journal"):
            read(data)

    @given(st.binary(max_size=400))
    def test_any_tail_is_refused_or_torn_and_never_believed(self, tail: bytes) -> None:
        try:
            found = read(FILE[: STARTS[1]] + tail)
        except RejectedError:
            return
        assert len(found) == 1


class TestFold:
    HEADS = tuple(batch.head for batch in batches(*[1] * 9))

    @pytest.mark.parametrize("size", range(1, 10))
    def test_every_batch_is_provable(self, size: int) -> None:
        folded = fold(self.HEADS[:size])
        for head in self.HEADS[:size]:
            require_included(head.hash, head.number, size, folded.path(head.number), folded.root)

    def test_what_the_log_records(self) -> None:
        folded = fold(self.HEADS[4:9])
        assert folded.detail() == {
            "journal": JOURNAL.hex(),
            "first": 4,
            "last": 8,
            "root": tree_root([head.hash for head in self.HEADS[4:9]]).hex(),
            "size": 5,
        }
        require_included(self.HEADS[6].hash, 2, 5, folded.path(6), folded.root)
        for number in (3, 9):
            with pytest.raises(InvalidError):
                folded.path(number)

    def test_only_consecutive_batches_of_one_journal_fold(self) -> None:
        other = batches(1, 1, journal=bytes(16))[1].head
        for heads in (
            (),
            (self.HEADS[0], self.HEADS[2]),
            (self.HEADS[1], self.HEADS[0]),
            (self.HEADS[0], self.HEADS[0]),
            (self.HEADS[0], other),
            (self.HEADS[0], replace(self.HEADS[1], previous=b"p" * 32)),
        ):
            with pytest.raises(InvalidError):
                fold(heads)


class TestCertificate:
    def test_it_comes_back(self) -> None:
        said = open_journal_key(certificate(), LOG_KEY, ORIGIN)
        assert (said.journal, said.key.raw, said.started_at) == (JOURNAL, JOURNAL_KEY.raw, START)

    @pytest.mark.parametrize(
        ("attack", "note"),
        [
            ("foreign log key", certificate(signer=OTHER)),
            ("of another log", certificate(origin="vault.example/other")),
            ("another journal", certificate().replace(JOURNAL.hex().encode(), b"f" * 32)),
            (
                "short key",
                sign_note(
                    f"strongroom/journal/1\n{'0' * 32}\nAAAA\n2026-03-01T12:00:00.000000Z\n", ORIGIN, LOG
                ),
            ),
            ("another statement of the log key", sign_note("strongroom/other/1\na\nb\nc\n", ORIGIN, LOG)),
            ("a line more", sign_note(certificate().decode().split("\n\n")[0] + "\nmore\n", ORIGIN, LOG)),
            ("empty", b""),
        ],
    )
    def test_no_other_note_is_one(self, attack: str, note: bytes) -> None:
        with pytest.raises(RejectedError):
            open_journal_key(note, LOG_KEY, ORIGIN)

    def test_the_time_has_one_spelling(self) -> None:
        text = certificate().decode().split("\n\n")[0].replace(".000000Z", "Z") + "\n"
        with pytest.raises(RejectedError):
            open_journal_key(sign_note(text, ORIGIN, LOG), LOG_KEY, ORIGIN)

    def test_only_ed25519_keys_and_whole_ids(self) -> None:
        with pytest.raises(InvalidError):
            sign_journal_key(b"short", JOURNAL_KEY, START, ORIGIN, LOG)


def test_the_frozen_journal_still_reads() -> None:
    data = (VECTORS / "journal-1.journal").read_bytes()
    said = json.loads((VECTORS / "journal-1.json").read_text())
    key = PublicKey.from_pem(said["public_pem"])
    found = list(parse_batches(data, key, bytes.fromhex(said["journal"])))
    assert [each.head.hash.hex() for each in found] == said["heads"]
    assert [record_hash(one).hex() for each in found for one in each.records] == said["records"]
    assert fold([each.head for each in found]).root.hex() == said["fold"]
    assert data == FILE  # and the same records still give the same bytes

"""Receipts in hand: verify one offline, and complete one once its batch is folded into the log."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from strongroom.errors import InvalidError, RejectedError
from strongroom.flows.journal import read_batches
from strongroom.flows.vault import Vault, read_authority
from strongroom.trust.batch import Batch
from strongroom.trust.events import Event
from strongroom.trust.journal import JournalReader, fold
from strongroom.trust.journal_key import open_journal_key
from strongroom.trust.keyring import TrustRoot
from strongroom.trust.merkle import inclusion_proof
from strongroom.trust.receipt import (
    FoldProof,
    Receipt,
    ReceiptFacts,
    ReceivedAnswer,
    SentRequest,
    verify_receipt,
)
from strongroom.trust.tiles import hash_reader


@dataclass(frozen=True, slots=True)
class Evidence:
    """A receipt with the request and the answer that it is about (docs/formats/receipt.md)."""

    receipt: bytes
    request: SentRequest
    answer: ReceivedAnswer

    @classmethod
    def parse(cls, value: Any) -> "Evidence":
        """Raises RejectedError: a field is missing, unknown or ill-typed."""
        match value:
            case {
                "format": "strongroom-evidence-1",
                "receipt": str(receipt),
                "request": {
                    "method": str(method),
                    "path": str(path),
                    "nonce": str(nonce),
                    "body": str(body),
                },
                "answer": {"status": int(status), "body": str(answer)},
            } if len(value) == 4:
                return cls(
                    _decode(receipt, urlsafe=True),
                    SentRequest(method.encode(), path.encode(), nonce.encode(), _decode(body)),
                    ReceivedAnswer(status, _decode(answer)),
                )
        raise RejectedError("receipt: is not evidence as `predict --receipt` writes it")


def verify_evidence(value: Any, trust: TrustRoot) -> ReceiptFacts:
    """Return what the receipt proves of exactly this request and this answer; needs public keys only.

    Raises:
        RejectedError: the receipt, the request or the answer is not what was signed.
    """
    evidence = Evidence.parse(value)
    return verify_receipt(
        evidence.receipt,
        trust.log_public_key,
        trust.log_origin,
        request=evidence.request,
        answer=evidence.answer,
    )


def complete_receipt(vault: Vault, value: Mapping[str, Any]) -> dict[str, Any]:
    """Return the evidence with its receipt's proof that the log holds it.

    Raises:
        InvalidError: the batch is not folded yet.
        RejectedError: the receipt does not hold, or the journal is another one.
    """
    verify_evidence(value, vault.trust_root)
    receipt = Receipt.parse(Evidence.parse(value).receipt)
    head = receipt.head
    authority = read_authority(vault)
    name = head.journal.hex()
    event, index = _find_fold(vault, authority.size, name, head.number)
    detail = event.detail or {}
    key = open_journal_key(receipt.certificate, vault.trust_root.log_public_key, vault.trust_root.log_origin)
    heads = [batch.head for batch in _batches(vault, name, key.key, detail["first"], detail["last"])]
    note = vault.log.checkpoint()
    if note is None:
        raise RejectedError("log: has no checkpoint")
    proof = FoldProof(
        path=fold(heads).path(head.number),
        event=event.to_bytes(),
        index=index,
        proof=inclusion_proof(index, authority.size, hash_reader(authority.size, vault.log.tile)),
        checkpoint=note,
    )
    completed = receipt.folded(proof).to_bytes()
    return {**value, "receipt": base64.urlsafe_b64encode(completed).decode().rstrip("=")}


def _find_fold(vault: Vault, size: int, journal: str, number: int) -> tuple[Event, int]:
    for index, leaf in enumerate(vault.log.leaves(0, size)):
        event = Event.parse(leaf)
        if (event.action, event.subject, event.decision) != ("fold", journal, "allow"):
            continue
        detail = event.detail or {}
        if detail["first"] <= number <= detail["last"]:
            return event, index
    raise InvalidError(
        f"receipt: batch {number} of journal {journal} is not in the log yet",
        hint="gateways are folded every log.fold_interval_s seconds, and when they stop",
    )


def _batches(vault: Vault, name: str, key: Any, first: int, last: int) -> list[Batch]:
    reader = JournalReader(key, bytes.fromhex(name))
    return [batch for batch in read_batches(vault, name, reader) if first <= batch.head.number <= last]


def _decode(text: str, *, urlsafe: bool = False) -> bytes:
    try:
        if urlsafe:
            return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        return base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        raise RejectedError("receipt: a field is not base64") from None

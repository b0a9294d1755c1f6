"""Receipts: proof, checkable offline with the log's public key alone, of what one request was answered.

record → batch root → signature of the journal's key → certificate by the log's key; and once the batch is
folded, also batch head → fold root → log event → checkpoint (docs/formats/receipt.md).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from strongroom import canonical
from strongroom.errors import InvalidError, RejectedError, shorten
from strongroom.trust.batch import BatchHead, record_hash
from strongroom.trust.checkpoint import verify_checkpoint
from strongroom.trust.events import Event, Outcome
from strongroom.trust.journal import answer_hash, request_hash
from strongroom.trust.journal_key import open_journal_key
from strongroom.trust.merkle import leaf_hash, require_included
from strongroom.trust.receipt_form import FoldProof, Receipt
from strongroom.trust.signatures import PublicKey

__all__ = ["FoldProof", "Receipt", "ReceiptFacts", "ReceivedAnswer", "SentRequest", "verify_receipt"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class SentRequest(NamedTuple):
    """A request as its client sent it; see `journal.request_hash`."""

    method: bytes
    path: bytes
    nonce: bytes
    body: bytes


class ReceivedAnswer(NamedTuple):
    """An answer as its client received it, content coding undone."""

    status: int
    body: bytes


@dataclass(frozen=True, slots=True)
class ReceiptFacts:
    """What a verified receipt proves."""

    context: Mapping[str, Any]
    """Who asked which model, by which digest, under which policy and rule."""
    at: datetime
    rows: int
    status: int
    request: bytes
    answer: bytes
    journal: str
    batch: int
    journal_started_at: datetime
    request_checked: bool
    """The request was given and is the one that was answered; False: it was not given."""
    answer_checked: bool
    log_index: int | None
    """Of the fold that holds the batch; None: not folded yet, the signatures are all there is."""
    log_size: int | None


def verify_receipt(
    data: bytes,
    log_key: PublicKey,
    origin: str,
    *,
    request: SentRequest | None = None,
    answer: ReceivedAnswer | None = None,
    expected: Mapping[str, Any] | None = None,
) -> ReceiptFacts:
    """Return what the receipt proves.

    ``expected`` names fields of the context and the values that they must have, for instance
    ``{"model": "fraud@1.2.0"}``. Without ``request``, a receipt of another request passes: that is a replay.

    Raises:
        RejectedError: a proof or signature does not hold, or the receipt is of something else.
    """
    receipt = Receipt.parse(data)
    # (1) the log's key names the journal's key, and that one signed the batch
    journal = open_journal_key(receipt.certificate, log_key, origin)
    if journal.journal != receipt.head.journal:
        raise RejectedError("receipt: its certificate is of another journal")
    try:
        journal.key.verify(receipt.signature, receipt.head.to_bytes())
    except RejectedError:
        raise RejectedError("receipt: its batch is not signed by the journal's key") from None
    # (2) the batch holds this very record, context included
    head, record = receipt.head, receipt.record
    _require(
        "record is not in its batch", record_hash(record), receipt.index, head.count, receipt.path, head.root
    )
    # (3) the log holds the batch, once folded
    log_size = None if receipt.fold is None else _require_folded(receipt.fold, head, log_key, origin)
    # (4) it is about what the caller sent, received and expects
    if request is not None and request_hash(*request) != record.request:
        raise RejectedError("receipt: is of another request (replay, or the request was altered)")
    if answer is not None and answer_hash(*answer) != record.answer:
        raise RejectedError("receipt: is of another answer (the answer was altered)")
    context = canonical.decode(record.context)
    for name, value in (expected or {}).items():
        if context.get(name) != value:
            raise RejectedError(f"receipt: {name} is {shorten(context.get(name))}, not {shorten(value)}")
    return ReceiptFacts(
        context=context,
        at=_EPOCH + timedelta(microseconds=record.time_us),
        rows=record.rows,
        status=record.status,
        request=record.request,
        answer=record.answer,
        journal=head.journal.hex(),
        batch=head.number,
        journal_started_at=journal.started_at,
        request_checked=request is not None,
        answer_checked=answer is not None,
        log_index=None if receipt.fold is None else receipt.fold.index,
        log_size=log_size,
    )


def _require_folded(fold: FoldProof, head: BatchHead, log_key: PublicKey, origin: str) -> int:
    """Check that ``head`` is in the fold and the fold in the log; return the size of the log."""
    try:
        event = Event.parse(fold.event)
    except InvalidError as error:
        raise RejectedError(f"receipt: {error.message}") from None
    detail = event.detail or {}
    first, last, root = detail.get("first"), detail.get("last"), detail.get("root")
    if (
        (event.action, event.decision) != ("fold", Outcome.ALLOW)
        or detail.get("journal") != head.journal.hex()
        or type(first) is not int
        or type(last) is not int
        or not first <= head.number <= last
        or detail.get("size") != last - first + 1
        or not isinstance(root, str)
    ):
        raise RejectedError("receipt: its fold is not one of this batch")
    index, size = head.number - first, last - first + 1
    try:
        fold_root = bytes.fromhex(root)
    except ValueError:
        raise RejectedError("receipt: its fold is malformed") from None
    _require("batch is not in its fold", head.hash, index, size, fold.path, fold_root)
    checkpoint = verify_checkpoint(fold.checkpoint, log_key, origin)
    _require(
        "fold is not in the log",
        leaf_hash(fold.event),
        fold.index,
        checkpoint.size,
        fold.proof,
        checkpoint.root,
    )
    return checkpoint.size


def _require(failure: str, leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> None:
    try:
        require_included(leaf, index, size, path, root)
    except RejectedError as error:
        raise RejectedError(f"receipt: {failure} ({error.message})") from None

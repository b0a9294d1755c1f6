"""The form of a receipt: one record with its proofs, as canonical JSON (docs/formats/receipt.md)."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from strongroom import canonical
from strongroom.errors import InvalidError, RejectedError
from strongroom.trust.batch import (
    JOURNAL_ID_BYTES,
    MAX_BATCH_RECORDS,
    MAX_CONTEXT_BYTES,
    SIGNATURE_BYTES,
    Batch,
    BatchHead,
    Record,
)
from strongroom.trust.merkle import HASH_BYTES
from strongroom.trust.note import parse_base64

FORMAT = "strongroom/receipt/1"
MAX_RECEIPT_BYTES = 256 * 2**10
_MAX_PATH = 64


@dataclass(frozen=True, slots=True)
class FoldProof:
    """That a batch head is in the log: in the fold that the leaf ``event`` records, under a checkpoint."""

    path: Sequence[bytes]
    """The batch head under the fold's root."""
    event: bytes
    index: int
    """Of ``event`` in the log."""
    proof: Sequence[bytes]
    """``event`` under the checkpoint's root."""
    checkpoint: bytes


@dataclass(frozen=True, slots=True)
class Receipt:
    """A record with its proofs; holding one proves nothing, `receipt.verify_receipt` does."""

    record: Record
    index: int
    path: Sequence[bytes]
    head: BatchHead
    signature: bytes
    certificate: bytes
    """The note of `journal_key`."""
    fold: FoldProof | None = None

    @classmethod
    def of(cls, batch: Batch, index: int, certificate: bytes) -> Self:
        """Return the receipt of record ``index`` of a batch that is durable."""
        return cls(
            batch.records[index], index, tuple(batch.path(index)), batch.head, batch.signature, certificate
        )

    def folded(self, fold: FoldProof) -> Self:
        """The same receipt, now with the proof that its batch is in the log."""
        return replace(self, fold=fold)

    def to_bytes(self) -> bytes:
        record, head, fold = self.record, self.head, self.fold
        return canonical.encode(
            {
                "format": FORMAT,
                "context": canonical.decode(record.context),
                "record": {
                    "time_us": record.time_us,
                    "rows": record.rows,
                    "status": record.status,
                    "request": record.request.hex(),
                    "answer": record.answer.hex(),
                },
                "batch": {
                    "journal": head.journal.hex(),
                    "number": head.number,
                    "previous": head.previous.hex(),
                    "count": head.count,
                    "root": head.root.hex(),
                    "index": self.index,
                    "path": [each.hex() for each in self.path],
                    "signature": b64encode(self.signature).decode(),
                },
                "certificate": self.certificate.decode(),
                "fold": None
                if fold is None
                else {
                    "path": [each.hex() for each in fold.path],
                    "event": fold.event.decode(),
                    "index": fold.index,
                    "proof": [each.hex() for each in fold.proof],
                    "checkpoint": fold.checkpoint.decode(),
                },
            }
        )

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Return the receipt whose canonical form is exactly ``data``.

        Raises:
            RejectedError: too long, not canonical, or a field missing, unknown or malformed.
        """
        if len(data) > MAX_RECEIPT_BYTES:
            raise RejectedError(f"receipt: longer than {MAX_RECEIPT_BYTES} bytes")
        try:
            value = canonical.decode(data)
        except InvalidError as error:
            raise RejectedError(f"receipt: {error.message}") from None
        whole = _Fields(
            value, {"format": str, "context": dict, "record": dict, "batch": dict, "certificate": str}, "fold"
        )
        if whole["format"] != FORMAT:
            raise RejectedError("receipt: of an unknown format")
        fold = value["fold"]
        return cls(
            record=_parse_record(whole["record"], whole["context"]),
            **_parse_batch(whole["batch"]),
            certificate=whole["certificate"].encode(),
            fold=None if fold is None else _parse_fold(fold),
        )


class _Fields:
    """A JSON object that has exactly the named fields, of exactly these types."""

    def __init__(self, value: object, types: Mapping[str, type], *others: str) -> None:
        if not isinstance(value, dict) or value.keys() != {*types, *others}:
            raise RejectedError("receipt: fields missing or unknown")
        for name, kind in types.items():
            if type(value[name]) is not kind:
                raise RejectedError(f"receipt: {name} is of the wrong kind")
        self._value = value

    def __getitem__(self, name: str) -> Any:
        return self._value[name]

    def number(self, name: str, limit: int) -> int:
        number: int = self._value[name]
        if not 0 <= number <= limit:
            raise RejectedError(f"receipt: {name} is out of range")
        return number

    def hex(self, name: str, size: int = HASH_BYTES) -> bytes:
        return _parse_hex(self._value[name], size)

    def path(self, name: str) -> tuple[bytes, ...]:
        items = self._value[name]
        if len(items) > _MAX_PATH:
            raise RejectedError(f"receipt: {name} is too long")
        return tuple(_parse_hex(item, HASH_BYTES) for item in items)


def _parse_hex(text: object, size: int) -> bytes:
    try:
        data = bytes.fromhex(text) if isinstance(text, str) else b""
    except ValueError:
        data = b""
    if len(data) != size or data.hex() != text:
        raise RejectedError(f"receipt: a value is not {size} bytes in lower-case hex")
    return data


def _parse_record(value: object, context: dict[str, Any]) -> Record:
    fields = _Fields(value, {"time_us": int, "rows": int, "status": int, "request": str, "answer": str})
    encoded = canonical.encode(context)
    if len(encoded) > MAX_CONTEXT_BYTES:
        raise RejectedError("receipt: context is too long")
    return Record(
        encoded,
        fields.number("time_us", canonical.MAX_INTEGER),
        fields.number("rows", 2**32 - 1),
        fields.number("status", 2**16 - 1),
        fields.hex("request"),
        fields.hex("answer"),
    )


def _parse_batch(value: object) -> dict[str, Any]:
    numbers = dict.fromkeys(("number", "count", "index"), int)
    texts = dict.fromkeys(("journal", "previous", "root", "signature"), str)
    fields = _Fields(value, {**numbers, **texts, "path": list})
    signature = parse_base64(fields["signature"])
    if len(signature) != SIGNATURE_BYTES:
        raise RejectedError("receipt: signature is not 64 bytes")
    head = BatchHead(
        fields.hex("journal", JOURNAL_ID_BYTES),
        fields.number("number", canonical.MAX_INTEGER),
        fields.hex("previous"),
        fields.number("count", MAX_BATCH_RECORDS),
        fields.hex("root"),
    )
    return {
        "index": fields.number("index", MAX_BATCH_RECORDS),
        "path": fields.path("path"),
        "head": head,
        "signature": signature,
    }


def _parse_fold(value: object) -> FoldProof:
    fields = _Fields(value, {"path": list, "event": str, "index": int, "proof": list, "checkpoint": str})
    return FoldProof(
        fields.path("path"),
        fields["event"].encode(),
        fields.number("index", canonical.MAX_INTEGER),
        fields.path("proof"),
        fields["checkpoint"].encode(),
    )

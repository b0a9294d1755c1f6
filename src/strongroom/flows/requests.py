"""The gateways' records as people read them: who asked which model what, and what was decided."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from strongroom import canonical
from strongroom.errors import RejectedError
from strongroom.flows.journal import read_batches, require_whole
from strongroom.flows.vault import Vault, read_authority, require_permission
from strongroom.trust.authority import Authority
from strongroom.trust.journal import JournalReader
from strongroom.values import Action

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """One request that a gateway decided, as its journal holds it."""

    id: str
    """``<journal>-<batch>-<index>``, as the answer's ``Strongroom-Record`` header said."""
    time: datetime
    status: int
    rows: int
    context: Mapping[str, Any]
    request: bytes
    answer: bytes


def read_requests(vault: Vault, actor: str, only: Mapping[str, str] | None = None) -> Iterator[RequestRecord]:
    """Return the records of all journals, journal by journal, each batch verified against its journal's key.

    ``only`` filters by fields of the context (``who``, ``model``, ``decision`` …) and by ``status``.

    Raises:
        DeniedError: the actor may not read the log.
        RejectedError: a journal was altered, or lacks batches that the log counts.
    """
    authority = read_authority(vault)
    require_permission(vault, authority, actor, Action.READ_LOG, "*")
    return _records(vault, authority, dict(only or {}))


def _records(vault: Vault, authority: Authority, wanted: dict[str, str]) -> Iterator[RequestRecord]:
    status = wanted.pop("status", None)
    present = vault.journals.names()
    for name, journal in authority.journals.items():
        if journal.folded is not None and name not in present:
            raise RejectedError(f"journal {name}: is missing, {journal.folded + 1} batches are in the log")
    for name in present:
        known = authority.journals.get(name)
        if known is None:
            continue
        reader = JournalReader(known.public, bytes.fromhex(name))
        batches = 0
        for batch in read_batches(vault, name, reader):
            batches += 1
            for index, record in enumerate(batch.records):
                if status is not None and str(record.status) != status:
                    continue
                context = canonical.decode(record.context)
                if any(str(context.get(field)) != value for field, value in wanted.items()):
                    continue
                yield RequestRecord(
                    id=f"{name}-{batch.head.number}-{index}",
                    time=_EPOCH + timedelta(microseconds=record.time_us),
                    status=record.status,
                    rows=record.rows,
                    context=context,
                    request=record.request,
                    answer=record.answer,
                )
        require_whole(vault, name, known, batches)

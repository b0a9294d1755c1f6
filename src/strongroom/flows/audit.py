"""The log as people read it: show, verify, prove."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from strongroom.errors import InvalidError, RejectedError
from strongroom.flows.journal import verify_journals
from strongroom.flows.vault import Vault, read_authority, require_permission
from strongroom.trust.checkpoint import Head, verify_checkpoint
from strongroom.trust.events import Event
from strongroom.trust.log import verify_log
from strongroom.trust.merkle import Frontier, inclusion_proof, leaf_hash
from strongroom.trust.tiles import hash_reader
from strongroom.values import Action

MAX_SHOWN = 100_000


@dataclass(frozen=True, slots=True)
class LogRecord:
    index: int
    event: Event


@dataclass(frozen=True, slots=True)
class Proof:
    """Record ``index`` with what a stranger needs to check that it stands in the log: RFC 6962 2.1.1."""

    index: int
    leaf: bytes
    path: tuple[bytes, ...]
    checkpoint: bytes


@dataclass(frozen=True, slots=True)
class AuditedLog:
    """What `verify_whole_log` proved."""

    size: int
    root: bytes
    predictions: int
    """Prediction records in the journals that the log vouches for."""


def verify_whole_log(vault: Vault, exported: bytes | None = None) -> AuditedLog:
    """Check every record and every journal against the signed checkpoint and the heads remembered elsewhere.

    ``exported`` is a checkpoint that someone kept: the log must extend it.

    Raises:
        BadRecordError: names the first bad record.
        RejectedError: a checkpoint is not signed by this log's key.
    """
    root = vault.trust_root
    remembered = [Head(*head) for head in [vault.records.head()] if head is not None]  # before the log
    note = vault.log.checkpoint()
    if note is None:
        raise InvalidError("log: is empty")
    if exported is not None:
        remembered.append(verify_checkpoint(exported, root.log_public_key, root.log_origin).head)
    size = verify_checkpoint(note, root.log_public_key, root.log_origin).size
    verified = verify_log(
        vault.log.leaves(0, size),
        note,
        root.log_public_key,
        root.log_origin,
        read_tile=vault.log.tile,
        remembered=remembered,
    )
    # A log whose hashes hold can still not hold events that give rights they may not give.
    authority = read_authority(vault)
    return AuditedLog(verified.size, verified.root, verify_journals(vault, authority))


def read_log(
    vault: Vault, actor: str, *, first: int = 0, last: int | None = None, only: dict[str, str] | None = None
) -> Iterator[LogRecord]:
    """Return verified records, oldest first; ``only`` filters by actor, action, subject or decision.

    Raises:
        DeniedError: the actor may not read the log.
    """
    authority = read_authority(vault)
    require_permission(vault, authority, actor, Action.READ_LOG, "*")
    end = authority.size if last is None else min(last, authority.size)
    return _records(vault, range(first, end), only or {})


def _records(vault: Vault, shown: range, wanted: Mapping[str, str]) -> Iterator[LogRecord]:
    """All leaves are read and hashed once more, since files could be exchanged after they were verified.

    Raises RejectedError after the last record if they were.
    """
    size, root = vault.replayed.size, vault.replayed.frontier.root()
    frontier = Frontier()
    for index, leaf in enumerate(vault.log.leaves(0, size)):
        frontier.push(leaf_hash(leaf))
        if index in shown:
            event = Event.parse(leaf)
            if all(str(getattr(event, name)) == value for name, value in wanted.items()):
                yield LogRecord(index, event)
    if frontier.root() != root:
        raise RejectedError("log: changed while it was read; the records shown are not all genuine")


def prove(vault: Vault, actor: str, index: int) -> Proof:
    """Return the inclusion proof of one record.

    Raises:
        InvalidError: there is no such record.
    """
    authority = read_authority(vault)
    require_permission(vault, authority, actor, Action.READ_LOG, "*")
    if not 0 <= index < authority.size:
        raise InvalidError(f"log: has no record {index}, only {authority.size}")
    note = vault.log.checkpoint()
    assert note is not None  # noqa: S101 - read_authority has read it
    leaf = vault.log.leaf(index)
    path = inclusion_proof(index, authority.size, hash_reader(authority.size, vault.log.tile))
    return Proof(index, leaf, tuple(path), note)


def proof_to_json(proof: Proof) -> dict[str, Any]:
    """The form that `log prove` prints and that docs/formats/log.md describes."""
    return {
        "checkpoint": proof.checkpoint.decode(),
        "index": proof.index,
        "leaf": proof.leaf.decode(),
        "leaf_hash": leaf_hash(proof.leaf).hex(),
        "path": [node.hex() for node in proof.path],
    }

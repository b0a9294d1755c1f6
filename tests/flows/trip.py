"""Failures at a chosen call: it failed and nothing was kept, it failed but was kept, the process died."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from threading import Lock
from typing import Any

from strongroom.errors import OutageError
from strongroom.flows.vault import Vault
from strongroom.trust.events import Event


class Killed(BaseException):
    """The process is gone: nothing in the product catches this, and no port answers any more."""


class Failure(Enum):
    NOT_KEPT = "it failed and nothing was kept"
    KEPT = "it failed but was kept"
    FOR_GOOD = "it failed, and so did every write after it"
    DIED_BEFORE = "the process died before it"
    DIED_AFTER = "the process died right after it"


DEATHS = (Failure.DIED_BEFORE, Failure.DIED_AFTER)

_WRITES = {
    "blobs": {"put_new", "replace", "delete", "create"},
    "writer": {"write_at", "commit"},
    "records": {"add_version", "set_state", "put_identity", "note_head"},
    "log": {"append"},
    "journals": {"close"},
    "locks": {"hold"},
    "memory": {"allocate"},
    "buffer": {"write_at", "seal"},
    "keys": {"create", "create_signer", "rotate", "set_enabled", "destroy"},
}
_READS = {
    "blobs": {"open", "read", "list"},
    "records": {"find_version", "versions", "identities", "head"},
    "log": {"checkpoint", "leaf", "leaves", "tile"},
    "journals": {"open_names", "names", "read"},
    "keys": {"describe", "wrap", "unwrap", "rewrap", "version_of", "signer", "private_pem"},
}
_PARTS = {("blobs", "create"): "writer", ("blobs", "open"): "reader", ("memory", "allocate"): "buffer"}
"""What these calls return is a port too."""


@dataclass
class Trip:
    """Counts the calls it sees, and lets call number ``at`` fail as ``failure`` says."""

    at: int = -1
    failure: Failure = Failure.NOT_KEPT
    reads: bool = False
    """Count reads instead of writes."""
    calls: list[str] = field(default_factory=list)
    tripped: bool = False
    witness: Callable[[str, str], None] = lambda port, method: None
    """Told of every call before it is made."""
    _lock: Any = field(default_factory=Lock)

    def arm(self, vault: Vault) -> Vault:
        """Stand before every port of ``vault``."""
        keys = _Guard(self, "keys", vault.keys)
        vault.keys = vault.signers = vault.tls_keys = keys  # type: ignore[assignment]
        for name in ("blobs", "records", "log", "journals", "locks", "memory"):
            setattr(vault, name, _Guard(self, name, getattr(vault, name)))
        return vault

    def call(self, port: str, method: str, act: Callable[[], Any]) -> Any:
        self.witness(port, method)
        watched = (_READS if self.reads else _WRITES).get(port, set())
        if self.tripped and self.failure in DEATHS:
            raise Killed
        if method not in watched:
            return act()
        with self._lock:
            number = len(self.calls)
            self.calls.append(f"{port}.{method}")
        hit = number == self.at or (self.tripped and self.failure is Failure.FOR_GOOD)
        if not hit:
            return act()
        self.tripped = True
        match self.failure:
            case Failure.NOT_KEPT | Failure.FOR_GOOD:
                raise OutageError(f"{port}: fell silent")
            case Failure.KEPT:
                done = act()
                if hasattr(done, "__exit__"):
                    done.__enter__()
                    done.__exit__(None, None, None)
                raise OutageError(f"{port}: fell silent after it had done it")
            case Failure.DIED_BEFORE:
                raise Killed
            case Failure.DIED_AFTER:
                act()
                raise Killed


class _Guard:
    def __init__(self, trip: Trip, name: str, target: Any) -> None:
        self._trip, self._name, self._target = trip, name, target

    def __getattr__(self, method: str) -> Any:
        value = getattr(self._target, method)
        if not callable(value):
            return value

        def call(*arguments: Any, **named: Any) -> Any:
            made = self._trip.call(self._name, method, lambda: value(*arguments, **named))
            part = _PARTS.get((self._name, method))
            return made if part is None else _Guard(self._trip, part, made)

        return call


@contextmanager
def records_before_plaintext(trip: Trip, log: Any) -> Iterator[None]:
    """I4: while this holds, no key is unwrapped and no memory taken unless the log says who for."""
    before = len(log._leaves)

    def witness(port: str, method: str) -> None:
        if (port, method) in {("keys", "unwrap"), ("memory", "allocate")}:
            fresh = [Event.parse(leaf) for leaf in log._leaves[before:]]
            assert any(e.decision == "allow" and e.action in ("serve", "verify") for e in fresh)

    trip.witness = witness
    yield

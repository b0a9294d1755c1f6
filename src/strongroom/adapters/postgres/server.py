"""One PostgreSQL database: pooled connections with deadlines, and transactions whose outcome is known."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar
from weakref import WeakSet

from sqlalchemy import Connection, create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import NullPool, QueuePool

from strongroom.adapters.postgres.address import PostgresAddress
from strongroom.adapters.postgres.attempt import AgainError, Attempt
from strongroom.adapters.postgres.refusals import translate
from strongroom.errors import InvalidError, OutageError

POOL_SIZE = 8
POOL_TIMEOUT_S = 10.0
CONNECT_TIMEOUT_S = 5
STATEMENT_TIMEOUT_S = 30.0
LOCK_TIMEOUT_S = 10.0
IDLE_IN_TRANSACTION_S = 8.0
"""A writer that sleeps for longer inside its transaction is put out by the server: others wait for it.

Shorter than LOCK_TIMEOUT_S, so that whoever waits outlives it."""
RESOLVE_TIMEOUT_S = 10.0
"""How long a server may be away before a lost commit is reported as unknown."""
ATTEMPTS = 8
READ_ATTEMPTS = 3
_RETRY_S = 0.05
_NETWORK_TIMEOUT_MS = 10_000

_T = TypeVar("_T")
_OPEN: "WeakSet[Server]" = WeakSet()


class Server:
    """Hands out transactions. Safe to call from several threads, and in a child after a fork."""

    def __init__(self, address: PostgresAddress, *, pool_size: int = POOL_SIZE) -> None:
        """Raises InvalidError: psycopg is not installed. Nothing is connected yet."""
        self._psycopg = _require_driver()
        self.address = address
        self._engine = create_engine(
            "postgresql+psycopg://",
            creator=self._connect,
            poolclass=QueuePool,
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=POOL_TIMEOUT_S,
            pool_use_lifo=True,
        )
        self._single = create_engine("postgresql+psycopg://", creator=self._connect, poolclass=NullPool)
        _OPEN.add(self)

    def close(self) -> None:
        self._engine.dispose()
        self._single.dispose()

    def forget(self) -> None:
        """In a child: these connections are the parent's, to be neither used nor ended."""
        self._engine.dispose(close=False)

    def read(self, what: str, work: Callable[[Connection], _T]) -> _T:
        """Run ``work``, which changes nothing; ``what`` begins the message of a failure.

        Each statement sees its own state. If the connection was lost, ``work`` runs again on another.
        """
        for attempt in range(1, READ_ATTEMPTS + 1):
            tried = Attempt(work)
            try:
                with self._translated(what, tried), self._engine.connect() as pooled:
                    return work(pooled.execution_options(isolation_level="AUTOCOMMIT"))
            except AgainError:
                time.sleep(_RETRY_S * attempt)
        raise OutageError(f"{what}: the connection was lost {READ_ATTEMPTS} times")

    @contextmanager
    def alone(self, what: str) -> Iterator[Connection]:
        """A connection of one's own, out of the pool, each statement its own transaction."""
        with self._translated(what), self._single.connect() as plain:
            yield plain.execution_options(isolation_level="AUTOCOMMIT")

    def write(
        self,
        what: str,
        work: Callable[[Connection], _T],
        happened: Callable[[Connection, _T], bool],
        *,
        isolation: str = "SERIALIZABLE",
    ) -> _T:
        """Run ``work`` in one transaction and return what it returned; durable on return.

        ``work`` takes its lock first, and may run more than once: again if another transaction got in the way
        or the connection was lost before the commit. If it was lost during the commit, ``happened`` looks
        whether the commit took place; it takes the same lock, so that it waits for one still under way.

        Raises:
            OutageError: the server does not answer. Nothing was kept, or the message says that it may.
        """
        for attempt in range(1, ATTEMPTS + 1):
            tried = Attempt(work)
            try:
                with self._translated(what, tried), self._engine.connect() as pooled:
                    tried.run(pooled.execution_options(isolation_level=isolation))
            except AgainError:
                if attempt == ATTEMPTS:
                    raise OutageError(f"{what}: others kept getting in the way") from None
                time.sleep(_RETRY_S * attempt)
                continue
            if not tried.is_unknown or self._has_happened(what, happened, tried.result):
                return tried.result
        raise OutageError(f"{what}: the connection was lost {ATTEMPTS} times; nothing was kept")

    def _has_happened(self, what: str, happened: Callable[[Connection, _T], bool], result: _T) -> bool:
        deadline = time.monotonic() + RESOLVE_TIMEOUT_S
        while True:
            with suppress(DBAPIError, PoolTimeoutError, OutageError), self._engine.connect() as pooled:
                connection = pooled.execution_options(isolation_level="READ COMMITTED")
                with connection.begin():
                    return happened(connection, result)
            if time.monotonic() >= deadline:
                raise OutageError(
                    f"{what}: the server was lost while it committed; the change may have been kept",
                    hint="look before trying again",
                )
            time.sleep(_RETRY_S)

    @contextmanager
    def _translated(self, what: str, tried: Attempt[Any] | None = None) -> Iterator[None]:
        try:
            yield
        except PoolTimeoutError:
            raise OutageError(f"{what}: all connections to {self.address.shown} are in use") from None
        except DBAPIError as error:
            if tried is not None and tried.may_repeat(error):
                raise AgainError from None
            raise translate(error, what, self.address.shown) from None

    def _connect(self) -> Any:
        """Read address and password anew: either may have changed since the last connection."""
        return self._psycopg.connect(
            **self.address.parameters(),
            **_DEADLINES,
            options=" ".join(f"-c {name}={value}" for name, value in self._session().items()),
        )

    def _session(self) -> dict[str, object]:
        """What the server shall hold to, whatever its own defaults or the role's are."""
        return {
            "search_path": f"{self.address.schema},pg_temp",
            "synchronous_commit": "on",
            "row_security": "off",  # a policy that hides rows is an error then
            "default_transaction_read_only": "off",
            "timezone": "UTC",
            "client_min_messages": "warning",
            "statement_timeout": _milliseconds(STATEMENT_TIMEOUT_S),
            "lock_timeout": _milliseconds(LOCK_TIMEOUT_S),
            "idle_in_transaction_session_timeout": _milliseconds(IDLE_IN_TRANSACTION_S),
            "idle_session_timeout": 0,
            # A host that died must not hold its locks for the two hours that TCP allows it.
            "tcp_keepalives_idle": 10,
            "tcp_keepalives_interval": 5,
            "tcp_keepalives_count": 3,
        }


_DEADLINES = {
    "connect_timeout": CONNECT_TIMEOUT_S,
    "tcp_user_timeout": _NETWORK_TIMEOUT_MS,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "target_session_attrs": "read-write",
    "client_encoding": "utf8",
    "application_name": "strongroom",
}


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)


def _require_driver() -> Any:
    try:
        import psycopg
    except ImportError:
        raise InvalidError(
            "postgresql: needs psycopg, which is not installed", hint="pip install 'strongroom[postgres]'"
        ) from None
    return psycopg


def _forget_all() -> None:
    for server in list(_OPEN):
        server.forget()


os.register_at_fork(after_in_child=_forget_all)

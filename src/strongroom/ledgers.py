"""Where catalog, log and locks of a home are kept, as its settings say: in it, or where others share them."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from strongroom.adapters.locks.local import LocalLocks
from strongroom.adapters.log.local import LocalLog
from strongroom.adapters.records.sql import SqlRecords
from strongroom.adapters.records.witnessed import WitnessedRecords
from strongroom.errors import InvalidError, shorten
from strongroom.ports import BlobStore, Locks, LogStore, Marks, Records
from strongroom.settings import PostgresSettings, StoreSettings

if TYPE_CHECKING:
    from strongroom.adapters.postgres.server import Server

CATALOG = "catalog.sqlite"
LOG = "log"
LOCKS = "locks"
_LOCAL_CATALOG, _LOCAL_LOG = f"sqlite:{CATALOG}", f"file:{LOG}"
_POSTGRES = "postgresql"
_BUCKETS = ("s3", "gs", "az")

OpenBucket = Callable[[str], BlobStore]
"""Opens the object store behind a URL."""


@dataclass(frozen=True, slots=True)
class Ledgers:
    records: Records
    log: LogStore
    locks: Locks


def open_ledgers(
    home: Path, origin: str, settings: StoreSettings, marks: Marks, open_bucket: OpenBucket
) -> Ledgers:
    """Open all three; a shared catalog or log is asked for now, so that a wrong address is known at once.

    Locks are where the catalog is, or else the log, if that is a database; else in the home.

    Raises:
        InvalidError: the settings name no such place, or a library for it is missing.
        RejectedError: what is there is not what we left.
        OutageError: the place does not answer.
    """
    return _Opening(home, origin, settings, marks, open_bucket).open()


class _Opening:
    """One opening of a home: places of the same address share their connections."""

    def __init__(
        self, home: Path, origin: str, settings: StoreSettings, marks: Marks, open_bucket: OpenBucket
    ) -> None:
        self._home = home
        self._origin = origin
        self._settings = settings
        self._marks = marks
        self._open_bucket = open_bucket
        self._server = cache(self._connect)

    def open(self) -> Ledgers:
        records = self._open_catalog()
        return Ledgers(records, self._open_log(records), self._open_locks())

    def _open_catalog(self) -> Records:
        place = self._settings.catalog
        if place == _LOCAL_CATALOG:
            return SqlRecords.open(self._home / CATALOG)
        if not _is_database(place):
            raise _unknown("catalog", place, f"{_LOCAL_CATALOG} or postgresql://user@host/database")
        from strongroom.adapters.records.postgres import PostgresDatabase

        return WitnessedRecords(SqlRecords(PostgresDatabase(self._server(place))), self._marks)

    def _open_log(self, records: Records) -> LogStore:
        place = self._settings.log
        if place == _LOCAL_LOG:
            return LocalLog(self._home / LOG, self._origin, remembered=records.head)
        if _is_database(place):
            from strongroom.adapters.log.postgres import PostgresLog

            return PostgresLog(self._server(place), self._origin, remembered=records.head)
        if urlsplit(place).scheme in _BUCKETS:
            from strongroom.adapters.log.objects import ObjectLog

            _require_apart(place, self._settings)
            return ObjectLog(self._open_bucket(place), self._origin, remembered=records.head)
        raise _unknown("log", place, f"{_LOCAL_LOG}, postgresql://user@host/database or s3://bucket/prefix")

    def _open_locks(self) -> Locks:
        for place in (self._settings.catalog, self._settings.log):
            if _is_database(place):
                from strongroom.adapters.locks.postgres import PostgresLocks

                return PostgresLocks(self._server(place))
        return LocalLocks(self._home / LOCKS)

    def _connect(self, url: str) -> "Server":
        from strongroom.adapters.postgres.address import PostgresAddress
        from strongroom.adapters.postgres.server import Server

        return Server(PostgresAddress.parse(url, **_more(self._home, self._settings.postgres)))


def _more(home: Path, settings: PostgresSettings) -> dict[str, object]:
    """What the URL does not say. Relative paths begin at the home."""

    def path(text: str | None) -> Path | None:
        return None if text is None else home / Path(text).expanduser()

    found: dict[str, object] = {
        "schema": settings.schema_,
        "tls": settings.tls,
        "ca_file": path(settings.ca_file),
        "certificate_file": path(settings.certificate_file),
        "key_file": path(settings.key_file),
        "password_file": path(settings.password_file),
    }
    return found if settings.socket is None else {**found, "socket": path(settings.socket)}


def _is_database(place: str) -> bool:
    return urlsplit(place).scheme == _POSTGRES


def _require_apart(log: str, settings: StoreSettings) -> None:
    """Of two sequencers one must lose, and what is no model must not lie among models."""
    kind = urlsplit(log).scheme
    section = {"s3": settings.s3, "gs": settings.gs, "az": settings.az}[kind]
    if section.insecure_overwrites:
        raise InvalidError(
            f"store.log: cannot be where store.{kind}.insecure-overwrites is set: two writers would fork it",
            hint="keep the log in PostgreSQL, or in a store that knows conditional writes",
        )
    ours, models = log.rstrip("/") + "/", settings.blobs.rstrip("/") + "/"
    if ours.startswith(models) or models.startswith(ours):
        raise InvalidError("store.log: lies among the models", hint="give it a prefix of its own")


def _unknown(name: str, place: str, known: str) -> InvalidError:
    """The place itself is shown by its scheme only: it may hold a password."""
    return InvalidError(f"store.{name}: {shorten(urlsplit(place).scheme)} is no place for it", hint=known)

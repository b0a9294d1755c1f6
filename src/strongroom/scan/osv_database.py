"""The local vulnerability database: one text file, a line a package, sorted by name.

Line 1 is a JSON object that describes it; each other line is a package name, a tab, and a JSON array of its
advisories. Few packages are asked for at a time, so that only their lines are ever parsed.
"""

import json
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from strongroom.errors import RejectedError
from strongroom.scan.advisories import Advisory, Record, parse_moment

FORMAT = "strongroom-osv/1"
MAX_DATABASE_BYTES = 512 * 2**20
MAX_RECORDS = 1_000_000
CLOCK_SKEW = timedelta(days=1)
"""How far ahead of us the clock of whoever changed a record may be; a later date would make it look fresh."""


@dataclass(frozen=True, slots=True)
class DatabaseInfo:
    """What a database is made of, and how old it is."""

    as_of: datetime
    """Time of the newest change in it, at most when it was imported; what is known since is missing."""
    imported_at: datetime
    source: str
    source_sha256: str
    """Of the file that was imported; of names and contents in order where that was a folder."""
    advisories: int
    packages: int
    withdrawn: int
    """Left out, because they were taken back."""

    def to_json(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "as_of": f"{self.as_of:%Y-%m-%dT%H:%M:%SZ}",
            "imported_at": f"{self.imported_at:%Y-%m-%dT%H:%M:%SZ}",
            "source": self.source,
            "source_sha256": self.source_sha256,
            "advisories": self.advisories,
            "packages": self.packages,
            "withdrawn": self.withdrawn,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "DatabaseInfo":
        """Return what `to_json` describes so. Raises RejectedError."""
        match value:
            case {
                "format": "strongroom-osv/1",
                "as_of": str(as_of),
                "imported_at": str(imported_at),
                "source": str(source),
                "source_sha256": str(source_sha256),
                "advisories": int(advisories),
                "packages": int(packages),
                "withdrawn": int(withdrawn),
            }:
                return cls(
                    parse_moment(as_of),
                    parse_moment(imported_at),
                    source,
                    source_sha256,
                    advisories,
                    packages,
                    withdrawn,
                )
            case _:
                raise RejectedError("osv: the database is damaged", hint="import it again")


class Database:
    """A database in memory. Parsed strictly only where it is asked."""

    def __init__(self, info: DatabaseInfo, lines: list[bytes]) -> None:
        self.info = info
        self._lines = lines

    @classmethod
    def parse(cls, data: bytes) -> "Database":
        """Raises RejectedError: it is not one that we wrote."""
        head, _, body = data.partition(b"\n")
        try:
            return cls(DatabaseInfo.from_json(json.loads(head)), body.splitlines())
        except (ValueError, RecursionError):
            raise RejectedError("osv: the database is damaged", hint="import it again") from None

    def find(self, name: str) -> tuple[Advisory, ...]:
        """Return the advisories about a package, named as PEP 503 spells it."""
        key = name.encode() + b"\t"
        at = bisect_left(self._lines, key)
        if at == len(self._lines) or not self._lines[at].startswith(key):
            return ()
        try:
            values = json.loads(self._lines[at][len(key) :])
            return tuple(Advisory.from_json(value) for value in values)
        except (ValueError, KeyError, TypeError):
            raise RejectedError("osv: the database is damaged", hint="import it again") from None


def build_database(
    records: Iterable[Record], *, now: datetime, source: str, source_sha256: str
) -> tuple[DatabaseInfo, list[bytes]]:
    """Return what a database of these records holds, and its lines but the first.

    Raises:
        RejectedError: two records have one id, there are too many, or none is about a package.
    """
    packages: dict[str, list[Advisory]] = {}
    seen: set[str] = set()
    withdrawn, newest = 0, None
    for record in records:
        if record.id in seen:
            raise RejectedError(f"osv: {record.id} stands there twice")
        seen.add(record.id)
        if len(seen) > MAX_RECORDS:
            raise RejectedError(f"osv: holds more than {MAX_RECORDS} records")
        withdrawn += record.withdrawn
        if record.modified <= now + CLOCK_SKEW:
            newest = record.modified if newest is None else max(newest, record.modified)
        for name, advisory in record.affected:
            packages.setdefault(name, []).append(advisory)
    if not packages or newest is None:
        raise RejectedError(
            "osv: holds no advisory about a PyPI package", hint="import the PyPI part of an OSV database"
        )
    info = DatabaseInfo(
        as_of=min(newest, now).replace(microsecond=0),
        imported_at=now.replace(microsecond=0),
        source=source,
        source_sha256=source_sha256,
        advisories=len({one.id for found in packages.values() for one in found}),
        packages=len(packages),
        withdrawn=withdrawn,
    )
    return info, _lines(packages)


def database_to_bytes(info: DatabaseInfo, lines: list[bytes]) -> bytes:
    """Raises RejectedError: larger than MAX_DATABASE_BYTES."""
    if sum(map(len, lines)) > MAX_DATABASE_BYTES:
        raise RejectedError(f"osv: the database would be larger than {MAX_DATABASE_BYTES} bytes")
    head = json.dumps(info.to_json(), sort_keys=True, separators=(",", ":")).encode()
    return b"\n".join([head, *lines]) + b"\n"


def _lines(packages: Mapping[str, list[Advisory]]) -> list[bytes]:
    """ASCII, so that no character is a line end to `splitlines` and none to others."""
    lines = []
    for name, found in packages.items():
        values = [one.to_json() for one in sorted(found, key=lambda one: one.id)]
        lines.append(f"{name}\t{json.dumps(values, separators=(',', ':'))}".encode())
    return sorted(lines)

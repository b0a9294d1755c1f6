"""A shared catalog that this machine does not take at its word for how long the log was.

Whoever keeps the database can put back an older state of it, log and catalog together. Each machine therefore
remembers the largest head that it has seen itself, and what the catalog says counts only on top of that.
"""

import re
from collections.abc import Sequence

from strongroom.errors import RejectedError
from strongroom.ports import IdentityRow, Marks, Records, VersionRow
from strongroom.values import State

HEAD_MARK = "log-head"
_MARK = re.compile(rb"(0|[1-9][0-9]{0,15}) ([0-9a-f]{64})\n")


class WitnessedRecords:
    """`Records` in a shared database, with a memory of the log's head on this machine."""

    def __init__(self, shared: Records, marks: Marks) -> None:
        self._shared = shared
        self._marks = marks

    def add_version(self, row: VersionRow) -> None:
        self._shared.add_version(row)

    def find_version(self, model: str) -> VersionRow | None:
        return self._shared.find_version(model)

    def versions(self, family: str | None = None) -> Sequence[VersionRow]:
        return self._shared.versions(family)

    def set_state(self, model: str, expected: State, state: State) -> None:
        self._shared.set_state(model, expected, state)

    def put_identity(self, row: IdentityRow) -> None:
        self._shared.put_identity(row)

    def identities(self) -> Sequence[IdentityRow]:
        return self._shared.identities()

    def rebuild(self, versions: Sequence[VersionRow], identities: Sequence[IdentityRow]) -> None:
        self._shared.rebuild(versions, identities)

    def note_head(self, size: int, root: bytes) -> None:
        own = self._own()
        if own is not None and own[0] == size and own[1] != root:
            raise RejectedError(f"log: has another root at size {size} than this machine saw before")
        self._shared.note_head(size, root)
        if own is None or own[0] < size:
            self._marks.write(HEAD_MARK, b"%d %s\n" % (size, root.hex().encode()))

    def head(self) -> tuple[int, bytes] | None:
        """The larger of what the catalog and this machine remember.

        Raises:
            RejectedError: they are of one size with different roots, or the mark is not one that we wrote.
        """
        own, shared = self._own(), self._shared.head()
        if own is None or shared is None:
            return own or shared
        if own[0] == shared[0] and own[1] != shared[1]:
            raise RejectedError(f"log: the catalog has another root at size {own[0]} than this machine saw")
        return max(own, shared)

    def _own(self) -> tuple[int, bytes] | None:
        data = self._marks.read(HEAD_MARK)
        if data is None:
            return None
        found = _MARK.fullmatch(data)
        if found is None:
            raise RejectedError(f"mark {HEAD_MARK}: is not one that we wrote")
        return int(found[1]), bytes.fromhex(found[2].decode())

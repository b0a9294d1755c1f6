"""What the catalog needs of a database, whichever it is."""

from collections.abc import Callable
from typing import Protocol, TypeVar

from sqlalchemy import Connection

T = TypeVar("T")


class Database(Protocol):
    """Runs work in transactions; translates what the database says into our failures."""

    where: str
    """For hints: what is to be moved away or dropped so that the catalog is rebuilt."""

    def read(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` in one transaction that sees one state and changes nothing."""

    def write(self, work: Callable[[Connection], T], happened: Callable[[Connection], bool]) -> T:
        """Run ``work`` in one transaction, one writer at a time; durable on return, undone if it raises.

        ``work`` may run more than once. ``happened`` tells from what is stored whether its change was kept;
        it is asked when the connection was lost so that nobody knows.
        """

    def close(self) -> None: ...

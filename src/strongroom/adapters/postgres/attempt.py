"""One try at a transaction, which knows how far it came when the connection was lost."""

from collections.abc import Callable
from contextlib import suppress
from typing import Generic, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from strongroom.adapters.postgres.refusals import is_repeatable

_T = TypeVar("_T")


class AgainError(Exception):
    """The transaction was undone, and may be tried again."""


class Attempt(Generic[_T]):
    """Runs ``work`` in a transaction once."""

    result: _T

    def __init__(self, work: Callable[[Connection], _T]) -> None:
        self._work = work
        self.is_unknown = False
        """COMMIT was sent and its answer never came, or was none that says what became of it."""

    def run(self, connection: Connection) -> None:
        transaction = connection.begin()
        try:
            self.result = self._work(connection)
        except BaseException:
            with suppress(DBAPIError):  # the connection may be what failed
                transaction.rollback()
            raise
        try:
            transaction.commit()
        except DBAPIError as error:
            if is_repeatable(error):
                raise
            self.is_unknown = True
            with suppress(DBAPIError):
                connection.invalidate()

    @staticmethod
    def may_repeat(error: DBAPIError) -> bool:
        """Whether nothing was kept and another try may fare better: COMMIT was not sent, or was refused."""
        return is_repeatable(error) or error.connection_invalidated

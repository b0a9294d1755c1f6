"""What an error of PostgreSQL means here (SQLSTATE: PostgreSQL documentation, appendix A)."""

from sqlalchemy.exc import DBAPIError

from strongroom.errors import InvalidError, OutageError, RejectedError, StrongroomError, shorten

_REPEATABLE = frozenset({"40001", "40P01"})  # serialization_failure, deadlock_detected
_LOCK_TIMEOUT = "55P03"
_NO_PRIVILEGE = "42501"
_UNPROVEN = ("certificate verify failed", "does not match host name", "does not support SSL")
_UNWELCOME = (
    "authentication failed",
    "no password supplied",
    "does not exist",
    "permission denied",
    "pg_hba",
)
"""In what libpq says of a connection that was not made; there is no code for it."""
_CONSTRAINT, _BAD_VALUE, _NO_SUCH_THING, _CORRUPT = "23", "22", "42", "XX"


def is_repeatable(error: DBAPIError) -> bool:
    """Whether the server undid the transaction only because others were in its way."""
    return sqlstate(error) in _REPEATABLE


def is_lock_timeout(error: DBAPIError) -> bool:
    return sqlstate(error) == _LOCK_TIMEOUT


def sqlstate(error: DBAPIError) -> str:
    return getattr(error.orig, "sqlstate", None) or ""


def translate(error: DBAPIError, what: str, where: str) -> StrongroomError:
    """Return what to raise. The server's DETAIL is left out: it repeats the values of rows."""
    state, said = sqlstate(error), _said(error)
    if not state and (refused := _unconnected(str(error.orig), what, where, said)):
        return refused
    match state[:2]:
        case _ if state == _NO_PRIVILEGE:
            return InvalidError(
                f"{what}: the role may not do this ({said})", hint="docs/catalog-and-log.md has the grants"
            )
        case "" if type(error.orig).__name__ == "DataError":  # refused by the driver, before it was sent
            return InvalidError(f"{what}: a value cannot be stored")
        case _ if state[:2] in (_CONSTRAINT, _BAD_VALUE):
            return InvalidError(f"{what}: refuses the row ({said})")
        case _ if state[:2] in (_NO_SUCH_THING, _CORRUPT):
            return RejectedError(
                f"{what}: the tables are damaged or not those that we made ({said})",
                hint="find out who altered them; the catalog is rebuilt from the log, a log restored",
            )
        case _ if state == _LOCK_TIMEOUT:
            return OutageError(f"{what}: another writer holds it", hint="try again")
    return OutageError(f"{what}: {where} does not answer ({said})", hint="look at the PostgreSQL server")


def _unconnected(whole: str, what: str, where: str, said: str) -> StrongroomError | None:
    if any(sign in whole for sign in _UNPROVEN):
        return RejectedError(
            f"{what}: {where} does not prove that it is the server ({said})",
            hint="look at its certificate and at ca_file in [store.postgres], docs/catalog-and-log.md",
        )
    if any(sign in whole for sign in _UNWELCOME):
        return InvalidError(
            f"{what}: {where} does not let this role in ({said})",
            hint="look at the URL and at password_file in [store.postgres]",
        )
    return None


def _said(error: DBAPIError) -> str:
    diagnosis = getattr(error.orig, "diag", None)
    primary = getattr(diagnosis, "message_primary", None)
    lines = str(primary or error.orig).strip().splitlines()
    return shorten(lines[0] if lines else type(error.orig).__name__)

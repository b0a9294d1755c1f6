"""Brings a catalog's tables to the revision that this code knows, in one transaction."""

from sqlalchemy import Connection, inspect, text

from strongroom.adapters.records.tables import REVISION
from strongroom.errors import InvalidError, shorten

_PACKAGE = "strongroom.adapters.records"


def require_current(connection: Connection, where: str) -> None:
    """Create or migrate the tables if need be. ``connection`` must hold the write lock.

    ``where`` says in a hint what the catalog is kept in.

    Raises:
        InvalidError: the catalog was written by a newer release.
    """
    if read_revision(connection) != REVISION:
        _migrate(connection, where)


def read_revision(connection: Connection) -> str | None:
    """Return the revision that the catalog is at, None for an empty one."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()


def _migrate(connection: Connection, where: str) -> None:
    """Alembic is imported only here: it takes longer than all else that opening a home does."""
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", f"{_PACKAGE}:migrations")
    config.set_main_option("path_separator", "os")
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    found = read_revision(connection)
    if found is not None and found not in known:
        raise InvalidError(
            f"catalog: is at revision {shorten(found)}, newer than {REVISION} which this release knows",
            hint=f"use the release that wrote it, or move {where} away: it is rebuilt from the log",
        )
    config.attributes["connection"] = connection
    command.upgrade(config, "head")

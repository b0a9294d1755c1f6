"""Notices what somebody put into our tables so that it acts with our hand, and servers that keep no promise.

Whoever owns the tables can do all this and can also change the rows; none of it gives a right, since rights
come from the log, whose records are signed. What is noticed here is a catalog or log that was prepared to
forget, and it is refused before it is written to.
"""

from collections.abc import Iterable

from sqlalchemy import Connection, text

from strongroom.errors import InvalidError, RejectedError, shorten

MIN_VERSION = 140000
_PROMISES = {
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "server_encoding": "UTF8",
}
_MAX_NAMED = 3
_QUERY = text("""
WITH ours AS (
    SELECT c.* FROM pg_class c WHERE c.relnamespace = to_regnamespace(:schema) AND c.relname = ANY(:tables)
), parts AS (
    SELECT 'pg_constraint'::regclass AS class, k.oid AS part
        FROM pg_constraint k JOIN ours o ON o.oid = k.conrelid
    UNION ALL SELECT 'pg_attrdef'::regclass, d.oid FROM pg_attrdef d JOIN ours o ON o.oid = d.adrelid
    UNION ALL SELECT 'pg_class'::regclass, i.indexrelid FROM pg_index i JOIN ours o ON o.oid = i.indrelid
    UNION ALL SELECT 'pg_class'::regclass, o.oid FROM ours o
)
SELECT 'a table that is none, or not a permanent one', relname FROM ours
    WHERE relkind <> 'r' OR relpersistence <> 'p' OR relispartition
UNION ALL SELECT 'row security', relname FROM ours WHERE relrowsecurity OR relforcerowsecurity
UNION ALL SELECT 'a trigger', t.tgname
    FROM pg_trigger t JOIN ours o ON o.oid = t.tgrelid WHERE NOT t.tgisinternal
UNION ALL SELECT 'a rule', r.rulename FROM pg_rewrite r JOIN ours o ON o.oid = r.ev_class
UNION ALL SELECT 'inheritance', o.relname FROM pg_inherits h JOIN ours o ON o.oid IN (h.inhrelid, h.inhparent)
UNION ALL SELECT 'a function', p.proname FROM pg_proc p WHERE p.pronamespace = to_regnamespace(:schema)
UNION ALL SELECT 'an operator', x.oprname FROM pg_operator x WHERE x.oprnamespace = to_regnamespace(:schema)
UNION ALL SELECT 'a view or foreign table', c.relname FROM pg_class c
    WHERE c.relnamespace = to_regnamespace(:schema) AND c.relkind IN ('v', 'm', 'f', 'p')
UNION ALL SELECT 'something that is not PostgreSQL''s own', d.refclassid::regclass::text
    FROM pg_depend d JOIN parts ON d.classid = parts.class AND d.objid = parts.part
    WHERE d.refclassid IN ('pg_proc'::regclass, 'pg_operator'::regclass, 'pg_type'::regclass,
        'pg_opclass'::regclass, 'pg_collation'::regclass, 'pg_foreign_server'::regclass)
LIMIT 16
""")


def require_untouched(connection: Connection, schema: str, tables: Iterable[str], what: str) -> None:
    """Raises RejectedError if anything but our own constraints acts on these tables."""
    found = connection.execute(_QUERY, {"schema": schema, "tables": list(tables)}).all()
    if found:
        named = ", ".join(f"{kind} {shorten(name)}" for kind, name in found[:_MAX_NAMED])
        raise RejectedError(
            f"{what}: holds what we never make: {named}",
            hint="find out who put it there; the catalog is rebuilt from the log, the log from its backup",
        )


def require_promises(connection: Connection, what: str) -> None:
    """Raises InvalidError if the server would call something durable that a loss of power undoes."""
    version = int(_setting(connection, "server_version_num"))
    if version < MIN_VERSION:
        raise InvalidError(f"{what}: PostgreSQL {version // 10000} is too old, 14 or newer is needed")
    for name, wanted in _PROMISES.items():
        found = _setting(connection, name)
        if found != wanted:
            raise InvalidError(
                f"{what}: the server has {name} = {shorten(found)}, it must be {wanted}",
                hint="its owner sets it in postgresql.conf, or when the database is made (encoding)",
            )


def _setting(connection: Connection, name: str) -> str:
    return str(connection.execute(text("SELECT current_setting(:name)"), {"name": name}).scalar_one())


def require_schema(connection: Connection, schema: str) -> None:
    """Make the schema if there is none, readable by nobody else."""
    if connection.execute(text("SELECT to_regnamespace(:schema)"), {"schema": schema}).scalar() is None:
        connection.exec_driver_sql(f'CREATE SCHEMA "{schema}"')

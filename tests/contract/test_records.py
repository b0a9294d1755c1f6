"""The catalog: one contract over SQLite, PostgreSQL and the twin in memory; then what a file can suffer."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine

from strongroom.adapters.records import tables
from strongroom.adapters.records.memory import MemoryRecords
from strongroom.adapters.records.postgres import PostgresDatabase
from strongroom.adapters.records.sql import SqlRecords
from strongroom.errors import InvalidError, OutageError, RejectedError
from strongroom.ports import IdentityRow, Records, VersionRow
from strongroom.values import Digest, KeyUri, State

AT = datetime(2026, 3, 1, 12, 0, 0, 7, tzinfo=UTC)
ROOT, OTHER_ROOT = b"r" * 32, b"o" * 32
ROW = VersionRow(
    model="fraud@1.2.0",
    owner="olga",
    format="onnx",
    digest=str(Digest.of(b"manifest")),
    size_bytes=2**40,
    state=State.PUBLISHED,
    key_uri=KeyUri("file:kek/fraud"),
    publisher="dora",
    published_at=AT,
    log_index=7,
    statement_digest=str(Digest.of(b"statement")),
    dependencies={"numpy": "2.1.0", "nested": {"list": [1, None, "é"]}},
)
IDENTITY = IdentityRow("dora", "-----BEGIN CERTIFICATE-----\n", AT, False, 3)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "catalog.sqlite"


@pytest.fixture
def opened(path: Path) -> Iterator[Callable[..., SqlRecords]]:
    """Opens the catalog at ``path`` any number of times; all are closed in the end."""
    everything: list[SqlRecords] = []

    def open_catalog(**options: Any) -> SqlRecords:
        everything.append(SqlRecords.open(path, **options))
        return everything[-1]

    yield open_catalog
    for one in everything:
        one.close()


@pytest.fixture(params=["sqlite", "postgres", "memory"])
def records(request: pytest.FixtureRequest) -> Iterator[Records]:
    match request.param:
        case "memory":
            yield MemoryRecords()
        case "sqlite":
            yield request.getfixturevalue("opened")()
        case "postgres":
            catalog = SqlRecords(PostgresDatabase(request.getfixturevalue("database").server()))
            yield catalog
            catalog.close()


# The contract


def test_a_version_comes_back_as_it_was(records: Records) -> None:
    records.add_version(ROW)
    assert records.find_version("fraud@1.2.0") == ROW
    assert records.find_version("fraud@1.2.1") is None


def test_published_versions_are_immutable(records: Records) -> None:
    records.add_version(ROW)
    with pytest.raises(InvalidError, match="exists already"):
        records.add_version(replace(ROW, owner="mallory"))
    assert records.find_version(ROW.model) == ROW


@pytest.mark.parametrize(
    "changed", [{"model": "fraud"}, {"model": "Fraud@1.0.0"}, {"size_bytes": -1}, {"log_index": -1}]
)
def test_a_row_that_makes_no_sense(records: Records, changed: dict[str, Any]) -> None:
    with pytest.raises(InvalidError):
        records.add_version(replace(ROW, **changed))
    assert records.versions() == []


def test_versions_order_by_family_and_semantic_version(records: Records) -> None:
    ordered = [
        "churn@2.0.0",
        "fraud@1.2.0-rc.1",
        "fraud@1.2.0",
        "fraud@1.10.0",
        "fraud-eu@0.1.0",
        "fraud2@1.0.0",
    ]
    for model in reversed(ordered):
        records.add_version(replace(ROW, model=model))
    assert [row.model for row in records.versions()] == ordered
    assert [row.model for row in records.versions("fraud")] == ordered[1:4]
    assert records.versions("frau") == records.versions("%") == []


def test_a_state_changes_only_from_the_one_expected(records: Records) -> None:
    records.add_version(ROW)
    records.set_state(ROW.model, State.PUBLISHED, State.APPROVED)
    assert records.find_version(ROW.model) == replace(ROW, state=State.APPROVED)
    with pytest.raises(InvalidError, match="in state published"):
        records.set_state(ROW.model, State.PUBLISHED, State.REVOKED)
    with pytest.raises(InvalidError, match="no such version"):
        records.set_state("fraud@9.0.0", State.PUBLISHED, State.APPROVED)
    assert records.find_version(ROW.model) == replace(ROW, state=State.APPROVED)


def test_an_identity_is_replaced_by_name(records: Records) -> None:
    records.put_identity(IDENTITY)
    records.put_identity(replace(IDENTITY, name="ada"))
    renewed = replace(IDENTITY, certificate_pem="new", revoked=True, log_index=9)
    records.put_identity(renewed)
    assert records.identities() == [replace(IDENTITY, name="ada"), renewed]


def test_rebuilding_replaces_every_row_and_keeps_the_head(records: Records) -> None:
    records.add_version(replace(ROW, owner="mallory"))
    records.add_version(replace(ROW, model="ghost@1.0.0"))
    records.put_identity(replace(IDENTITY, name="ghost"))
    records.note_head(9, ROOT)
    records.rebuild([ROW], [IDENTITY])
    assert (list(records.versions()), list(records.identities())) == ([ROW], [IDENTITY])
    assert records.head() == (9, ROOT)
    records.rebuild([], [])
    assert (list(records.versions()), list(records.identities())) == ([], [])


def test_a_rebuilding_that_fails_changes_nothing(records: Records) -> None:
    records.add_version(ROW)
    with pytest.raises(InvalidError):
        records.rebuild([replace(ROW, model="no version")], [])
    assert list(records.versions()) == [ROW]


def test_the_largest_head_is_remembered(records: Records) -> None:
    assert records.head() is None
    records.note_head(5, ROOT)
    records.note_head(5, ROOT)
    records.note_head(3, OTHER_ROOT)
    assert records.head() == (5, ROOT)
    records.note_head(6, OTHER_ROOT)
    assert records.head() == (6, OTHER_ROOT)


def test_a_log_that_was_split_is_noticed(records: Records) -> None:
    records.note_head(5, ROOT)
    with pytest.raises(RejectedError, match="another root at size 5"):
        records.note_head(5, OTHER_ROOT)
    assert records.head() == (5, ROOT)


def test_names_cannot_reach_the_query(records: Records) -> None:
    records.add_version(ROW)
    for name in ("' OR 1=1 --", "fraud@1.2.0'; DROP TABLE versions; --", "fraud@1.2.0\x00"):
        assert records.find_version(name) is None
        assert records.versions(name) == []
    assert records.find_version(ROW.model) == ROW


# Only on disk


def test_everything_is_there_after_reopening(opened: Callable[..., SqlRecords]) -> None:
    first = opened()
    first.add_version(ROW)
    first.put_identity(IDENTITY)
    first.note_head(5, ROOT)
    first.close()
    again = opened()
    assert (again.versions(), again.identities(), again.head()) == ([ROW], [IDENTITY], (5, ROOT))


def test_durable_settings_hold_on_every_connection(opened: Callable[..., SqlRecords]) -> None:
    with opened()._database.engine.connect() as connection:
        pragma = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys", "trusted_schema")
        }
    assert pragma == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "trusted_schema": 0}


def test_nobody_else_may_read_the_files(opened: Callable[..., SqlRecords], path: Path) -> None:
    before = os.umask(0)
    try:
        opened().add_version(ROW)
    finally:
        os.umask(before)
    files = sorted(path.parent.iterdir())
    assert len(files) == 3  # the database, its write-ahead log, and the index of that
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}


def test_migrations_make_exactly_the_tables_of_the_code(opened: Callable[..., SqlRecords]) -> None:
    with opened()._database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, tables.metadata) == []
        assert context.get_current_revision() == tables.REVISION
        found = {
            row[0] for row in connection.exec_driver_sql("SELECT sql FROM sqlite_master").all() if row[0]
        }
    memory = create_engine("sqlite://")
    with memory.connect() as connection:
        tables.metadata.create_all(connection)
        wanted = {
            row[0] for row in connection.exec_driver_sql("SELECT sql FROM sqlite_master").all() if row[0]
        }
    memory.dispose()
    squeezed = {" ".join(text.split()) for text in found}
    assert {" ".join(text.split()) for text in wanted} <= squeezed


def test_a_catalog_of_a_newer_release(opened: Callable[..., SqlRecords], path: Path) -> None:
    opened().close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(InvalidError, match="'9999', newer than 0001") as caught:
        opened()
    assert caught.value.hint is not None


def test_a_migration_that_was_cut_off_starts_again(path: Path, opened: Callable[..., SqlRecords]) -> None:
    """An empty file is what a crash before the first commit leaves."""
    path.touch()
    opened().add_version(ROW)


def test_a_link_instead_of_the_catalog(path: Path, opened: Callable[..., SqlRecords]) -> None:
    target = path.with_name("elsewhere")
    target.touch()
    path.symlink_to(target)
    with pytest.raises(InvalidError, match="symbolic link"):
        opened()
    assert target.read_bytes() == b""


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(OutageError, match="cannot be opened"):
        SqlRecords.open(tmp_path / "gone" / "catalog.sqlite")


def test_a_file_that_is_no_catalog(path: Path, opened: Callable[..., SqlRecords]) -> None:
    path.write_bytes(b"plain text, and rather a lot of it\n" * 200)
    with pytest.raises(RejectedError, match="damaged or not a catalog"):
        opened()


def test_a_catalog_whose_pages_were_overwritten(path: Path, opened: Callable[..., SqlRecords]) -> None:
    first = opened()
    for minor in range(200):
        first.add_version(replace(ROW, model=f"fraud@1.{minor}.0"))
    first.close()
    data = bytearray(path.read_bytes())
    data[4096 * 3 :] = b"\xff" * (len(data) - 4096 * 3)
    path.write_bytes(data)
    with pytest.raises(RejectedError):
        opened().versions()


@pytest.mark.parametrize(
    "change",
    [
        "published_at = 'yesterday'", "dependencies = '{'", "model = 'Fraud@1.2.0', family = 'Fraud'",
    ],
)  # fmt: skip
def test_a_row_edited_by_hand(path: Path, opened: Callable[..., SqlRecords], change: str) -> None:
    catalog = opened()
    catalog.add_version(ROW)
    with sqlite3.connect(path) as connection:
        connection.execute(f"UPDATE versions SET {change}")  # noqa: S608 (our own words)
    with pytest.raises(RejectedError, match="not one that we wrote"):
        catalog.versions()


@pytest.mark.parametrize(
    "change", ["state = 'blessed'", "size_bytes = -1", "version = '9.0.0'", "owner = NULL"]
)
def test_the_database_itself_refuses_what_makes_no_sense(
    path: Path, opened: Callable[..., SqlRecords], change: str
) -> None:
    opened().add_version(ROW)
    with sqlite3.connect(path) as connection, pytest.raises(sqlite3.IntegrityError):
        connection.execute(f"UPDATE versions SET {change}")  # noqa: S608 (our own words)


def test_another_writer_that_does_not_let_go(path: Path, opened: Callable[..., SqlRecords]) -> None:
    catalog = opened(busy_timeout_s=0.05)
    catalog.add_version(ROW)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(OutageError, match="locked"):
        catalog.note_head(1, ROOT)
    assert catalog.find_version(ROW.model) == ROW  # readers go on
    holder.execute("ROLLBACK")
    holder.close()
    catalog.note_head(1, ROOT)


def test_a_full_disk_keeps_nothing_of_the_row(opened: Callable[..., SqlRecords]) -> None:
    catalog = opened()
    catalog.add_version(ROW)
    with catalog._database.engine.connect() as connection:  # the pool hands the same connection out again
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
    large = replace(ROW, model="fraud@2.0.0", dependencies={"x": "y" * 100_000})
    with pytest.raises(OutageError, match="full"):
        catalog.add_version(large)
    assert [row.model for row in catalog.versions()] == [ROW.model]


def test_a_read_only_catalog(opened: Callable[..., SqlRecords]) -> None:
    catalog = opened()
    with catalog._database.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA query_only = ON")
    with pytest.raises(OutageError, match="readonly"):
        catalog.add_version(ROW)


def test_dependencies_are_bounded(opened: Callable[..., SqlRecords]) -> None:
    catalog = opened()
    for dependencies in ({"x": "y" * 2**20}, {"x": b"bytes"}):
        with pytest.raises(InvalidError, match="dependencies"):
            catalog.add_version(replace(ROW, dependencies=dependencies))


_RACE = """
import sys
from pathlib import Path
from strongroom.adapters.records.sql import SqlRecords
from strongroom.errors import InvalidError
from tests.contract.test_records import ROW
from dataclasses import replace
sys.stdin.readline()
catalog = SqlRecords.open(Path(sys.argv[1]))
won = 0
for minor in range(20):
    try:
        catalog.add_version(replace(ROW, model=f"fraud@1.{minor}.0", owner=sys.argv[2]))
        won += 1
    except InvalidError:
        pass
print(won)
"""


def test_two_processes_create_one_catalog_and_publish_the_same_versions(
    path: Path, opened: Callable[..., SqlRecords]
) -> None:
    """They also race for the first migration."""
    root = Path(__file__).parents[2]
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", _RACE, str(path), owner],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=root,
        )
        for owner in ("anna", "bert")
    ]
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    won = [int(racer.communicate(timeout=120)[0]) for racer in racers]
    assert [racer.returncode for racer in racers] == [0, 0]
    rows = opened().versions()
    assert sum(won) == len(rows) == 20
    assert [sum(row.owner == owner for row in rows) for owner in ("anna", "bert")] == won

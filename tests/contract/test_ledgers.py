"""A home whose catalog, log and locks others share: made, used from two machines, rolled back by others."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from strongroom.adapters.blobs.memory import MemoryBlobStore
from strongroom.adapters.locks.local import LocalLocks
from strongroom.adapters.locks.postgres import PostgresLocks
from strongroom.adapters.log.objects import ObjectLog
from strongroom.adapters.log.postgres import PostgresLog
from strongroom.adapters.marks.memory import MemoryMarks
from strongroom.adapters.records.memory import MemoryRecords
from strongroom.adapters.records.witnessed import HEAD_MARK, WitnessedRecords
from strongroom.errors import InvalidError, OutageError, RejectedError
from strongroom.flows.audit import verify_whole_log
from strongroom.flows.establish import Founder
from strongroom.flows.identity import add_identity
from strongroom.flows.vault import Vault, read_authority, remember_head
from strongroom.ledgers import open_ledgers
from strongroom.settings import FILE_NAME, StoreSettings, parse_settings
from strongroom.wiring import create_home, open_home
from tests.contract.test_records import OTHER_ROOT, ROOT
from tests.database import Database
from tests.unit.trust.chronicle import ORIGIN

PASSPHRASE = "maple-otter-violet-17-kettle"
FOUNDER = Founder("ada", 7)


def prepare(home: Path, database: Database, *, log: bool = True, extra: str = "") -> str:
    """Put settings into an empty home that say PostgreSQL; returns the schema."""
    there = database.address(host="127.0.0.1")
    url = f"postgresql://{there.user}@127.0.0.1:{there.port}/{there.database}"
    home.mkdir(mode=0o700)
    (home / FILE_NAME).write_text(
        f'{extra}[store]\ncatalog = "{url}"\n' + (f'log = "{url}"\n' if log else "") + "[store.postgres]\n"
        f'schema = "{there.schema}"\npassword_file = "{there.password_file}"\n'
    )
    return there.schema


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def shared(home: Path, database: Database) -> Vault:
    prepare(home, database)
    return create_home(home, PASSPHRASE, FOUNDER)


def test_a_home_is_made_where_its_settings_say(home: Path, shared: Vault) -> None:
    assert isinstance(shared.log, PostgresLog)
    assert isinstance(shared.records, WitnessedRecords)
    assert isinstance(shared.locks, PostgresLocks)
    assert not (home / "catalog.sqlite").exists()
    assert not (home / "log").exists()
    assert 'identity = "ada"' in (home / FILE_NAME).read_text()
    assert [path.name for path in home.parent.iterdir()] == ["home"]
    add_identity(shared, "ada", "rita", 7)
    again = open_home(home, PASSPHRASE)
    assert read_authority(again).identities.keys() == {"ada", "rita"}
    verify_whole_log(again)


@pytest.mark.parametrize("text", ['identity = "bob"\n', "nonsense = 1\n", "[store\n"])
def test_settings_that_do_not_fit_make_no_home(home: Path, database: Database, text: str) -> None:
    prepare(home, database, extra=text)
    before = (home / FILE_NAME).read_text()
    with pytest.raises(InvalidError):
        create_home(home, PASSPHRASE, FOUNDER)
    assert [path.name for path in home.parent.iterdir()] == ["home"]
    assert (home / FILE_NAME).read_text() == before


def test_a_home_with_anything_else_in_it_is_left_alone(home: Path, database: Database) -> None:
    prepare(home, database)
    (home / "notes").touch()
    with pytest.raises(InvalidError, match="not empty"):
        create_home(home, PASSPHRASE, FOUNDER)


def test_a_second_home_does_not_take_the_place_of_the_first(
    home: Path, shared: Vault, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    text = (home / FILE_NAME).read_text()
    (other / FILE_NAME).write_text(text)
    with pytest.raises(InvalidError, match="log of another home"):
        create_home(other, PASSPHRASE, FOUNDER)
    assert read_authority(open_home(home, PASSPHRASE)).identities.keys() == {"ada"}


def copy_home(home: Path, to: Path) -> Path:
    """What docs/catalog-and-log.md tells to copy to a second machine."""
    to.mkdir(mode=0o700)
    for name in ("keystore.json", "trust.json", "ca.pem", FILE_NAME):
        shutil.copy2(home / name, to / name)
    return to


def test_two_machines_work_with_one_home(home: Path, shared: Vault, tmp_path: Path) -> None:
    there = open_home(copy_home(home, tmp_path / "there"), PASSPHRASE)
    read_authority(shared)
    add_identity(there, "ada", "rita", 7)  # behind the back of the first
    assert read_authority(shared).identities.keys() == {"ada", "rita"}
    with shared.locks.hold("control"), pytest.raises(OutageError), there.locks.hold("control", 0):
        pass
    verify_whole_log(open_home(home, PASSPHRASE))


def test_who_keeps_the_database_cannot_put_back_an_older_state(
    home: Path, shared: Vault, database: Database, tmp_path: Path
) -> None:
    """Log and catalog together, so that they agree; each machine remembers what it saw."""
    schema = parse_settings((home / FILE_NAME).read_text(), "").store.postgres.schema_
    saved = f"saved_{schema}"
    tables = ("log_checkpoint", "log_records", "log_tiles", "log_head", "versions", "identities")
    with database.owner() as connection:
        connection.execute(f"CREATE SCHEMA {saved}")
        for table in tables:
            connection.execute(f"CREATE TABLE {saved}.{table} AS TABLE {schema}.{table}")
    add_identity(shared, "ada", "rita", 7)
    with database.owner() as connection:
        for table in tables:
            connection.execute(f"TRUNCATE {schema}.{table}")
            connection.execute(f"INSERT INTO {schema}.{table} TABLE {saved}.{table}")
    again = open_home(home, PASSPHRASE)
    with pytest.raises(RejectedError, match="cut or rolled back"):
        read_authority(again)
    with pytest.raises(RejectedError, match="rolled back"):
        again.log.append([b"forked"], again.log_signer())


def test_a_catalog_that_was_emptied_is_no_way_around_it(
    home: Path, shared: Vault, database: Database
) -> None:
    schema = parse_settings((home / FILE_NAME).read_text(), "").store.postgres.schema_
    with database.owner() as connection:
        connection.execute(f"TRUNCATE {schema}.log_head")
    again = open_home(home, PASSPHRASE)
    assert again.records.head() is not None
    remember_head(again)
    with database.owner() as connection:
        assert connection.execute(f"TABLE {schema}.log_head").fetchall() != []


class TestWitness:
    def test_the_larger_head_counts(self) -> None:
        shared, marks = MemoryRecords(), MemoryMarks()
        one, two = WitnessedRecords(shared, marks), WitnessedRecords(shared, MemoryMarks())
        assert one.head() is None
        one.note_head(5, ROOT)
        two.note_head(7, OTHER_ROOT)
        assert one.head() == (7, OTHER_ROOT)
        shared._head = (3, ROOT)
        assert one.head() == (5, ROOT)
        shared._head = None
        assert one.head() == (5, ROOT)

    def test_a_split_log_is_noticed(self) -> None:
        shared = MemoryRecords()
        one = WitnessedRecords(shared, MemoryMarks())
        one.note_head(5, ROOT)
        shared._head = (5, OTHER_ROOT)
        with pytest.raises(RejectedError, match="another root at size 5"):
            one.head()
        with pytest.raises(RejectedError, match="another root at size 5"):
            one.note_head(5, OTHER_ROOT)

    @pytest.mark.parametrize("data", [b"", b"5", b"-1 " + b"0" * 64 + b"\n", b"5 " + b"g" * 64 + b"\n"])
    def test_a_mark_edited_by_hand(self, data: bytes) -> None:
        marks = MemoryMarks()
        marks.write(HEAD_MARK, data)
        with pytest.raises(RejectedError, match="not one that we wrote"):
            WitnessedRecords(MemoryRecords(), marks).head()


class TestPlaces:
    def _open(self, tmp_path: Path, **settings: Any) -> Any:
        opened: list[str] = []

        def bucket(place: str) -> MemoryBlobStore:
            opened.append(place)
            return MemoryBlobStore()

        store = StoreSettings.model_validate(settings)
        return open_ledgers(tmp_path, ORIGIN, store, MemoryMarks(), bucket)

    @pytest.mark.parametrize(
        ("settings", "match"),
        [
            ({"catalog": "sqlite:elsewhere.sqlite"}, "store.catalog"),
            ({"catalog": "mysql://root@db/models"}, "store.catalog"),
            ({"log": "file:/var/log"}, "store.log"),
            ({"log": "https://example.org/log"}, "store.log"),
            ({"log": "s3://bucket/models/log", "blobs": "s3://bucket/models"}, "among the models"),
            ({"log": "s3://bucket/models", "blobs": "s3://bucket/models/"}, "among the models"),
            ({"log": "s3://bucket", "blobs": "s3://bucket/models"}, "among the models"),
            ({"log": "s3://bucket/log", "s3": {"insecure-overwrites": True}}, "would fork"),
        ],
    )
    def test_what_is_no_place(self, tmp_path: Path, settings: dict[str, Any], match: str) -> None:
        with pytest.raises(InvalidError, match=match):
            self._open(tmp_path, **settings)

    def test_a_password_in_the_settings_is_not_repeated(self, tmp_path: Path) -> None:
        for kind in ("catalog", "log"):
            for scheme in ("postgresql", "mysql"):
                with pytest.raises(InvalidError) as caught:
                    self._open(tmp_path, **{kind: f"{scheme}://keeper:" + "s3same" + "@db/models"})
                assert "s3same" not in f"{caught.value.message} {caught.value.hint}"

    def test_a_log_in_a_bucket(self, tmp_path: Path) -> None:
        ledgers = self._open(tmp_path, log="s3://bucket/log", blobs="s3://bucket/models")
        assert isinstance(ledgers.log, ObjectLog)
        assert isinstance(ledgers.locks, LocalLocks)

    def test_opt_outs_are_shown(self) -> None:
        text = '[store.postgres]\ntls = "insecure-plain"\n'
        assert any("store.postgres.tls" in each for each in parse_settings(text, "").insecure_choices())
        assert parse_settings("", "").insecure_choices() == []

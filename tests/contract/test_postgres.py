"""What catalog, log and locks on PostgreSQL rest on: the right server, one writer, commits that are known."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from sqlalchemy import text

from strongroom.adapters.locks.postgres import PostgresLocks
from strongroom.adapters.log.postgres import PostgresLog
from strongroom.adapters.postgres import server as serving
from strongroom.adapters.postgres.address import PostgresAddress
from strongroom.adapters.postgres.server import Server
from strongroom.adapters.records.postgres import PostgresDatabase
from strongroom.adapters.records.sql import SqlRecords
from strongroom.errors import InvalidError, OutageError, RejectedError
from strongroom.trust.log import verify_log
from strongroom.trust.merkle import leaf_hash, tree_root
from strongroom.values import State
from tests.contract.test_records import OTHER_ROOT, ROOT, ROW
from tests.database import Database
from tests.unit.trust.chronicle import LOG, LOG_KEY, ORIGIN

REMOTE = "127.1"
"""Leads to this machine, and is none of the names that count as this machine."""


class TestAddress:
    def test_what_the_url_says(self) -> None:
        address = PostgresAddress.parse("postgresql://keeper@db.example.org:6432/models")
        assert (address.host, address.port, address.user) == ("db.example.org", 6432, "keeper")
        assert address.shown == "db.example.org:6432/models"
        assert not address.is_local

    @pytest.mark.parametrize("options", ["?sslmode=disable", "?host=/tmp", "#x", "?", "/more"])
    def test_options_in_the_url_change_nothing(self, options: str) -> None:
        with pytest.raises(InvalidError):
            PostgresAddress.parse(f"postgresql://keeper@db/models{options}")

    def test_a_password_in_the_url_is_refused_and_not_repeated(self) -> None:
        for user in ("keeper:" + "s3same", ":" + "s3same"):
            with pytest.raises(InvalidError) as caught:
                PostgresAddress.parse(f"postgresql://{user}@db/models")
            assert "s3same" not in f"{caught.value.message} {caught.value.hint}"

    @pytest.mark.parametrize(
        "url",
        [
            "postgresql://db/models", "postgresql://keeper@db", "postgresql://keeper@db/a/b", "mysql://k@db/m",
            "postgresql://keeper@db,evil/models", "postgresql://keeper@db:port/models",
            "postgresql://keeper@%2Ftmp/models", "postgresql://kee per@db/models",
            "postgresql://keeper@db/models%20host%3Devil", "postgresql+psycopg://keeper@db/models",
        ],
    )  # fmt: skip
    def test_what_is_no_address(self, url: str) -> None:
        with pytest.raises(InvalidError):
            PostgresAddress.parse(url)

    @pytest.mark.parametrize("schema", ["", "pg_temp", 'a"b', "Upper", "x" * 64, "a,public"])
    def test_schemas_that_would_lead_elsewhere(self, schema: str) -> None:
        with pytest.raises(InvalidError):
            PostgresAddress.parse("postgresql://keeper@db/models", schema=schema)

    @pytest.mark.parametrize(
        ("host", "local"),
        [
            ("", True), ("localhost", True), ("127.0.0.1", True), ("127.8.8.8", True), ("[::1]", True),
            ("127.1", False), ("10.0.0.1", False), ("localhost.evil.org", False), ("db", False),
        ],
    )  # fmt: skip
    def test_only_this_machine_needs_to_prove_nothing(self, host: str, local: bool) -> None:
        address = PostgresAddress.parse(f"postgresql://keeper@{host}/models", socket=Path("/run"))
        assert address.is_local is local
        parameters = address.parameters()
        assert parameters["sslmode"] == ("prefer" if local else "verify-full")
        assert local or parameters["sslrootcert"] == "system"

    def test_a_password_never_goes_in_plain_to_a_server_that_proved_nothing(self) -> None:
        for tls in ("insecure-encrypt-only", "insecure-plain"):
            found = PostgresAddress.parse("postgresql://keeper@db/models", tls=tls).parameters()
            assert found["require_auth"] == "!password"
        with pytest.raises(InvalidError, match="unknown"):
            PostgresAddress.parse("postgresql://keeper@db/models", tls="allow")

    def test_a_socket_where_everybody_may_put_one(self, tmp_path: Path) -> None:
        tmp_path.chmod(0o777)
        with pytest.raises(InvalidError, match="everybody may write"):
            PostgresAddress.parse("postgresql://keeper@/models", socket=tmp_path).parameters()


class TestPassword:
    @pytest.fixture
    def address(self, tmp_path: Path) -> PostgresAddress:
        return PostgresAddress.parse("postgresql://k@db/models", password_file=tmp_path / "password")

    def _write(self, address: PostgresAddress, data: bytes, mode: int = 0o600) -> None:
        assert address.password_file is not None
        address.password_file.write_bytes(data)
        address.password_file.chmod(mode)

    def test_it_is_the_first_line_and_read_anew(self, address: PostgresAddress) -> None:
        for line in ("one", "twö"):
            self._write(address, f"{line}\r\nmore\n".encode())
            assert address.parameters()["password"] == line

    @pytest.mark.parametrize("data", [b"", b"\nsecond", b"a\0b", b"\xff", b"x" * 5000])
    def test_what_is_none(self, address: PostgresAddress, data: bytes) -> None:
        self._write(address, data)
        with pytest.raises(InvalidError) as caught:
            address.parameters()
        assert "x" * 50 not in caught.value.message

    def test_others_could_read_it(self, address: PostgresAddress) -> None:
        self._write(address, b"one", 0o604)
        with pytest.raises(InvalidError, match="others cannot read"):
            address.parameters()

    def test_it_is_gone_or_a_pipe(self, address: PostgresAddress) -> None:
        assert address.password_file is not None
        with pytest.raises(OutageError):
            address.parameters()
        os.mkfifo(address.password_file, 0o600)
        with pytest.raises(InvalidError):
            address.parameters()

    def test_a_wrong_one_is_said_and_not_shown(self, database: Database, address: PostgresAddress) -> None:
        self._write(address, b"wrong-" + b"guess")
        there = replace(database.address(), password_file=address.password_file)
        with pytest.raises(InvalidError, match="does not let this role in") as caught:
            ask(there)
        assert "guess" not in caught.value.message


def ask(address: PostgresAddress) -> bool:
    """Whether the connection is encrypted."""
    server = Server(address)
    try:
        query = text("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
        return bool(server.read("test", lambda connection: connection.execute(query).scalar_one()))
    finally:
        server.close()


@pytest.mark.parametrize(
    "variables",
    [{"PGHOSTADDR": "127.0.0.9"}, {"PGSSLMODE": "disable"}, {"PGOPTIONS": "-c statement_timeout=1"},
     {"PGUSER": "mallory", "PGDATABASE": "postgres"}, {"PGPORT": "1", "PGHOST": "evil.example"}],
)  # fmt: skip
def test_the_environment_leads_nowhere_else(
    database: Database, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    for host in ("", "127.0.0.1"):
        assert ask(database.address(host=host)) is False
    with pytest.raises(RejectedError, match="does not support SSL"):
        ask(database.address(host=REMOTE))


Encrypted = tuple[Database, Path, Path]


@pytest.fixture(scope="module")
def encrypted(database: Database) -> Iterator[Encrypted]:
    """The server with a certificate for the address 127.0.0.1; the right authority, and another one."""
    right = write_certificates(database, "right", "127.0.0.1")
    wrong = write_certificates(database, "wrong", "127.0.0.1")
    database.stop(signal.SIGINT)
    encrypt(database, "right")
    yield database, right, wrong
    database.stop(signal.SIGINT)
    database.start()


class TestTls:
    def test_a_server_that_proves_itself(self, encrypted: Encrypted) -> None:
        database, right, _ = encrypted
        assert ask(database.address(host=REMOTE, ca_file=right)) is True

    def test_a_server_of_another_authority(self, encrypted: Encrypted) -> None:
        database, _, wrong = encrypted
        for authority in (wrong, None):
            with pytest.raises(RejectedError, match="does not prove"):
                ask(database.address(host=REMOTE, ca_file=authority))

    def test_a_server_of_another_name(self, encrypted: Encrypted) -> None:
        database, *_ = encrypted
        authority = write_certificates(database, "other", "127.0.0.9")
        database.stop(signal.SIGINT)
        encrypt(database, "other")
        try:
            with pytest.raises(RejectedError, match="does not prove"):
                ask(database.address(host=REMOTE, ca_file=authority))
        finally:
            database.stop(signal.SIGINT)
            encrypt(database, "right")

    def test_what_is_spelled_out_is_done(self, encrypted: Encrypted) -> None:
        database, *_ = encrypted
        assert ask(database.address(host=REMOTE, tls="insecure-encrypt-only")) is True
        assert ask(database.address(host=REMOTE, tls="insecure-plain")) is False


def encrypt(database: Database, name: str) -> None:
    certificate, key = database.folder / f"{name}.pem", database.folder / f"{name}.key"
    database.start(ssl="on", ssl_cert_file=str(certificate), ssl_key_file=str(key))


def write_certificates(database: Database, name: str, address: str) -> Path:
    """Write a server's certificate and key; return the file of the authority that issued it."""
    now = datetime.now(UTC)
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    issuer, subject = (x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{name} {n}")]) for n in (1, 2))
    parts: list[tuple[x509.Name, x509.ExtensionType]] = [
        (issuer, x509.BasicConstraints(ca=True, path_length=None)),
        (subject, x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))])),
    ]
    made = []
    for key, (whose, extension) in zip(keys, parts, strict=True):
        builder = x509.CertificateBuilder().subject_name(whose).issuer_name(issuer)
        builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(now - timedelta(hours=1)).not_valid_after(now + timedelta(hours=1))
        builder = builder.add_extension(extension, critical=whose == issuer)
        made.append(builder.sign(keys[0], hashes.SHA256()).public_bytes(Encoding.PEM))
    database.put(f"{name}-authority.pem", made[0])
    database.put(f"{name}.pem", made[1])
    private = keys[1].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    database.put(f"{name}.key", private)
    return database.folder / f"{name}-authority.pem"


@pytest.fixture
def server(database: Database) -> Iterator[Server]:
    made = database.server()
    yield made
    made.close()


@pytest.fixture
def catalog(server: Server) -> SqlRecords:
    return SqlRecords(PostgresDatabase(server))


@pytest.fixture
def log(server: Server) -> PostgresLog:
    return PostgresLog(server, ORIGIN)


def meddle(database: Database, server: Server, *statements: str) -> None:
    """As the database's owner, in the schema of ``server``."""
    with database.owner() as connection:
        connection.execute(f"SET search_path = {server.address.schema}")
        for statement in statements:
            connection.execute(statement)


class TestMeddling:
    """Whoever owns the database did something to the tables."""

    @pytest.mark.parametrize(
        "statements",
        [
            ["CREATE FUNCTION forget() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
             "CREATE TRIGGER t BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION forget()"],
            ["CREATE RULE r AS ON INSERT TO {table} DO INSTEAD NOTHING"],
            ["ALTER TABLE {table} ENABLE ROW LEVEL SECURITY"],
            ["CREATE TABLE child () INHERITS ({table})"],
            ["CREATE VIEW looking AS SELECT * FROM {table}"],
            ["ALTER TABLE {table} SET UNLOGGED"],
            ["CREATE FUNCTION length(integer) RETURNS integer LANGUAGE sql AS 'SELECT 0'"],
        ],
    )  # fmt: skip
    @pytest.mark.parametrize("what", ["catalog", "log"])
    def test_what_acts_with_our_hand_is_refused(
        self, database: Database, server: Server, what: str, statements: list[str]
    ) -> None:
        kind: Callable[[], object] = {
            "catalog": lambda: PostgresDatabase(server),
            "log": lambda: PostgresLog(server, ORIGIN),
        }[what]
        kind()
        kind()  # as we leave them they are fine
        table = {"catalog": "log_head", "log": "log_records"}[what]
        meddle(database, server, *(each.format(table=table) for each in statements))
        with pytest.raises(RejectedError, match="what we never make"):
            kind()

    @pytest.mark.parametrize(
        ("statement", "match"),
        [
            ("DROP TABLE versions", "damaged"),
            ("ALTER TABLE versions DROP COLUMN owner", "damaged"),
            ("UPDATE versions SET dependencies = '{'", "not one that we wrote"),
            ("UPDATE versions SET published_at = 'yesterday'", "not one that we wrote"),
        ],
    )
    def test_rows_and_columns_of_the_catalog(
        self, database: Database, server: Server, catalog: SqlRecords, statement: str, match: str
    ) -> None:
        catalog.add_version(ROW)
        meddle(database, server, statement)
        with pytest.raises(RejectedError, match=match):
            catalog.versions()

    def test_a_catalog_of_a_newer_release(
        self, database: Database, server: Server, catalog: SqlRecords
    ) -> None:
        meddle(database, server, "UPDATE alembic_version SET version_num = '9999'")
        with pytest.raises(InvalidError, match="newer than"):
            PostgresDatabase(server)

    @pytest.mark.parametrize(
        "statement",
        [
            "DELETE FROM log_checkpoint",
            "UPDATE log_checkpoint SET note = 'x'",
            "UPDATE log_checkpoint SET note = decode(repeat('00', 300000), 'hex')",
            "UPDATE log_tiles SET hashes = set_byte(hashes, 3, 255 - get_byte(hashes, 3)) WHERE level = 0",
            "DELETE FROM log_tiles WHERE level = 1",
            "UPDATE log_tiles SET hashes = substr(hashes, 1, 32) WHERE level = 0 AND number = 1",
            "UPDATE log_records SET leaf = 'forged' WHERE position = 299",
            "DELETE FROM log_records WHERE position = 299",
            "INSERT INTO log_records VALUES (300, 'x', 'planted')",
        ],
    )  # fmt: skip
    def test_a_log_that_was_altered_does_not_grow(
        self, database: Database, server: Server, log: PostgresLog, statement: str
    ) -> None:
        log.append([b"%d" % number for number in range(300)], LOG)
        meddle(database, server, statement)
        with pytest.raises(RejectedError):
            log.append([b"more"], LOG)

    def test_records_that_are_gone_or_too_large_are_not_read(
        self, database: Database, server: Server, log: PostgresLog
    ) -> None:
        log.append([b"%d" % number for number in range(300)], LOG)
        large = "UPDATE log_records SET leaf = decode(repeat('00', 70000), 'hex') WHERE position = 7"
        meddle(
            database,
            server,
            "ALTER TABLE log_records DROP CONSTRAINT log_records_leaf_check",
            large,
            "DELETE FROM log_records WHERE position = 270",
        )
        for index in (7, 270):
            with pytest.raises(RejectedError, match=f"record {index} is missing"):
                log.leaf(index)
            with pytest.raises(RejectedError, match=f"record {index} is missing"):
                list(log.leaves(index - 5, 300))
        assert log.leaf(8) == b"8"

    def test_an_older_state_is_refused_by_what_is_remembered(
        self, database: Database, server: Server, log: PostgresLog
    ) -> None:
        log.append([b"one"], LOG)
        old = log.checkpoint()
        log.append([b"two"], LOG)
        root = tree_root([leaf_hash(each) for each in (b"one", b"two")])
        meddle(database, server, "DELETE FROM log_records WHERE position = 1")
        with database.owner() as connection:
            connection.execute(f"SET search_path = {server.address.schema}")
            connection.execute("UPDATE log_checkpoint SET note = %s", (old,))
        guarded = PostgresLog(server, ORIGIN, remembered=lambda: (2, root))
        with pytest.raises(RejectedError, match="rolled back"):
            guarded.append([b"forked"], LOG)

    def test_tables_of_another_layout(self, database: Database, server: Server, log: PostgresLog) -> None:
        log.append([b"one"], LOG)
        meddle(database, server, "UPDATE log_checkpoint SET layout = 2")
        for act in (log.checkpoint, lambda: log.append([b"two"], LOG), lambda: log.leaf(0)):
            with pytest.raises(InvalidError, match="layout 2"):
                act()

    def test_a_log_that_another_home_began(self, server: Server, log: PostgresLog) -> None:
        log.append([b"one"], LOG)
        with pytest.raises(RejectedError):
            PostgresLog(server, "other.example/log").append([b"two"], LOG)

    def test_a_role_that_may_only_read(self, database: Database, server: Server, catalog: SqlRecords) -> None:
        schema = server.address.schema
        meddle(
            database,
            server,
            "ALTER TABLE log_head OWNER TO CURRENT_USER",
            f"GRANT SELECT ON {schema}.log_head TO strongroom",
        )
        assert catalog.head() is None
        with pytest.raises(InvalidError, match="may not do this"):
            catalog.note_head(1, ROOT)


@pytest.mark.parametrize("option", ["fsync", "full_page_writes"])
def test_a_server_that_forgets_when_the_power_fails(database: Database, option: str) -> None:
    database.stop(signal.SIGINT)
    database.start(**{option: "off"})
    try:
        made = database.server()
        with pytest.raises(InvalidError, match=f"has {option} = 'off'"):
            PostgresDatabase(made)
        with pytest.raises(InvalidError, match=f"has {option} = 'off'"):
            PostgresLog(made, ORIGIN)
        made.close()
    finally:
        database.stop(signal.SIGINT)
        database.start()


class TestLostCommit:
    """The connection breaks while it commits: what became of it is looked up, never guessed."""

    @pytest.fixture(params=["kept", "not kept"])
    def broken(self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """The next commit that follows a write loses its connection, before or after it took place."""
        plain = psycopg.Connection.commit
        broken: list[str] = []

        def commit(self: Any) -> None:
            with self.cursor() as cursor:
                wrote = cursor.execute("SELECT pg_current_xact_id_if_assigned()").fetchone()[0] is not None
            if not wrote or broken:
                return plain(self)
            broken.append(request.param)
            if request.param == "kept":
                plain(self)
            self.pgconn.finish()
            raise psycopg.OperationalError("server closed the connection unexpectedly")

        monkeypatch.setattr(psycopg.Connection, "commit", commit)
        return broken

    def test_an_append_happens_once(self, log: PostgresLog, broken: list[str]) -> None:
        assert log.append([b"one", b"two"], LOG) == 0
        assert broken
        assert log.append([b"three"], LOG) == 2
        note = log.checkpoint()
        assert note is not None
        assert verify_log(log.leaves(0, 3), note, LOG_KEY, ORIGIN, read_tile=log.tile).size == 3

    def test_a_version_is_added_once(self, catalog: SqlRecords, broken: list[str]) -> None:
        catalog.add_version(ROW)
        catalog.set_state(ROW.model, State.PUBLISHED, State.APPROVED)
        assert broken
        assert catalog.versions() == [replace(ROW, state=State.APPROVED)]

    def test_a_state_is_swapped_once(self, server: Server, broken: list[str]) -> None:
        broken.append("not yet")
        catalog = SqlRecords(PostgresDatabase(server))
        catalog.add_version(ROW)
        broken.clear()
        catalog.set_state(ROW.model, State.PUBLISHED, State.APPROVED)
        assert len(broken) == 1
        assert catalog.versions() == [replace(ROW, state=State.APPROVED)]

    def test_a_head_is_noted(self, catalog: SqlRecords, broken: list[str]) -> None:
        catalog.note_head(3, ROOT)
        assert catalog.head() == (3, ROOT)
        with pytest.raises(RejectedError):
            catalog.note_head(3, OTHER_ROOT)


def test_a_commit_of_which_nobody_can_tell(
    database: Database, server: Server, log: PostgresLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server went away in the middle and stays away: the error says that it may have happened."""
    log.append([b"one"], LOG)
    monkeypatch.setattr(serving, "RESOLVE_TIMEOUT_S", 0.2)
    plain = psycopg.Connection.commit

    def commit(self: Any) -> None:
        monkeypatch.setattr(psycopg.Connection, "commit", plain)
        database.stop()
        plain(self)

    monkeypatch.setattr(psycopg.Connection, "commit", commit)
    try:
        with pytest.raises(OutageError, match="may have been kept"):
            log.append([b"two"], LOG)
    finally:
        database.start()
    assert log.append([b"three"], LOG) == 1


def test_a_sequencer_that_falls_asleep_is_put_out(
    server: Server, log: PostgresLog, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It slept between reading the tree and writing to it; another went on; what it writes is not kept."""
    log.append([b"one"], LOG)
    monkeypatch.setattr(serving, "IDLE_IN_TRANSACTION_S", 0.3)
    sleeper = Server(server.address)
    asleep, awake = threading.Event(), threading.Event()

    class Drowsy:
        key_id = LOG.key_id
        public_pem = LOG.public_pem

        def sign(self, message: bytes) -> bytes:
            if not awake.is_set():
                asleep.set()
                awake.wait(20)
            return LOG.sign(message)

    firsts: list[int] = []
    slow = threading.Thread(
        target=lambda: firsts.append(PostgresLog(sleeper, ORIGIN).append([b"slept"], Drowsy()))
    )
    slow.start()
    assert asleep.wait(20)
    assert log.append([b"two"], LOG) == 1
    awake.set()
    slow.join(20)
    sleeper.close()
    assert firsts == [2]  # tried again, behind the one that went on
    assert list(log.leaves(0, 3)) == [b"one", b"two", b"slept"]


def test_two_writers_at_once_wait_for_each_other(server: Server, catalog: SqlRecords) -> None:
    """Serializable, and none of them is told of it."""
    catalog.add_version(ROW)
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for minor in range(8):
                catalog.note_head(number * 100 + minor, bytes([number]) * 32)
                catalog.add_version(replace(ROW, model=f"fraud@{number + 2}.{minor}.0"))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    assert len(catalog.versions()) == 33
    assert catalog.head() == (307, b"\3" * 32)


def test_a_child_uses_no_connection_of_its_parent(server: Server, catalog: SqlRecords) -> None:
    catalog.add_version(ROW)
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if catalog.versions() == [ROW] else 1)
        except BaseException:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert catalog.versions() == [ROW]


def test_a_server_that_is_away_is_an_outage_and_comes_back(
    database: Database, server: Server, catalog: SqlRecords, log: PostgresLog
) -> None:
    catalog.add_version(ROW)
    log.append([b"one"], LOG)
    database.stop()
    try:
        for act in (catalog.versions, lambda: catalog.note_head(1, ROOT), log.checkpoint,
                    lambda: log.append([b"two"], LOG), lambda: Server(server.address).read("x", bool),
                    lambda: PostgresLocks(server).hold("control", 0).__enter__()):  # fmt: skip
            with pytest.raises(OutageError):
                act()  # type: ignore[operator]
    finally:
        database.start()
    assert catalog.versions() == [ROW]
    assert log.append([b"two"], LOG) == 1


def test_a_lock_outlives_neither_its_connection_nor_its_process(database: Database, server: Server) -> None:
    program = (
        "import sys; from pathlib import Path\n"
        "from strongroom.adapters.locks.postgres import PostgresLocks\n"
        "from strongroom.adapters.postgres.address import PostgresAddress\n"
        "from strongroom.adapters.postgres.server import Server\n"
        "a = PostgresAddress.parse(sys.argv[1], schema=sys.argv[2], password_file=Path(sys.argv[3]))\n"
        "with PostgresLocks(Server(a)).hold('control'):\n"
        "    print('held', flush=True); sys.stdin.read()\n"
    )
    there = database.address(host="127.0.0.1")
    url = f"postgresql://{there.user}@127.0.0.1:{there.port}/{there.database}"
    arguments = [url, server.address.schema, str(there.password_file)]
    locks = PostgresLocks(server)
    with subprocess.Popen(
        [sys.executable, "-c", program, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(OutageError, match="another process holds it"), locks.hold("control", 0.05):
            pass
        with PostgresLocks(database.server()).hold("control", 0):  # another home's
            pass
        holder.kill()
        holder.wait(10)
        with locks.hold("control", 10):
            pass
    with locks.hold("control"):
        meddle(
            database,
            server,
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted",
        )
        with locks.hold("control", 10):  # nothing rests on it alone: see LogStore.append, `after`
            pass


def test_no_connection_is_left_open(database: Database) -> None:
    before = database.connections()
    made = database.server()
    catalog, log = SqlRecords(PostgresDatabase(made)), PostgresLog(made, ORIGIN)
    catalog.add_version(ROW)
    log.append([b"one"], LOG)
    with PostgresLocks(made).hold("control"):
        pass
    assert database.connections() > before
    made.close()
    deadline = time.monotonic() + 10
    while database.connections() > before and time.monotonic() < deadline:
        time.sleep(0.02)
    assert database.connections() == before

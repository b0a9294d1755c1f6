"""A PostgreSQL server of the tests' own: started by them, on loopback and a socket file, gone with them."""

import ctypes
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from strongroom.adapters.postgres.address import PostgresAddress
from strongroom.adapters.postgres.server import Server

REQUIRE = "STRONGROOM_TEST_POSTGRES"
"""Set to ``required`` where a test must not be skipped because there is no PostgreSQL."""
MISSING = "PostgreSQL is not installed here: scripts/debian-packages installs it"
DATABASE, OWNER, ROLE = "models", "keeper", "strongroom"
START_TIMEOUT_S = 60.0
MIN_MEMORY_BYTES = 2**30
_PR_SET_PDEATHSIG = 1
_OPTIONS = {
    "max_connections": "60",
    "shared_buffers": "16MB",
    "max_wal_size": "256MB",
    "dynamic_shared_memory_type": "mmap",
    "logging_collector": "off",
    "log_min_messages": "fatal",
}


class Database:
    """One server process and its folder. ``role`` is who Strongroom is: it may make schemas, and no more."""

    def __init__(self, programs: Path) -> None:
        self._programs = programs
        self._user = _unprivileged()
        self.folder = Path(tempfile.mkdtemp(prefix="strongroom-postgres-", dir=_roomy_memory()))
        self.port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._count = 0
        self.password = secrets.token_hex(16)
        self.password_file = self.folder / "password"
        self.password_file.write_text(self.password + "\n")
        self.password_file.chmod(0o600)
        if self._user:
            for path in (self.folder, self.password_file):
                os.chown(path, self._user["user"], self._user["group"])

    def make(self) -> None:
        flags = ["-U", OWNER, "-A", "scram-sha-256", f"--pwfile={self.password_file}", "-E", "UTF8"]
        command = [self._programs / "initdb", "-D", self.folder / "data", *flags, "--no-locale", "--no-sync"]
        subprocess.run(command, check=True, capture_output=True, cwd=self.folder, **self._user)
        self.start()
        with self.owner("postgres") as connection:
            connection.execute(f"CREATE ROLE {ROLE} LOGIN PASSWORD '{self.password}'")
            connection.execute(f"CREATE DATABASE {DATABASE}")
        with self.owner() as connection:
            connection.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
            connection.execute(f"GRANT CREATE ON DATABASE {DATABASE} TO {ROLE}")

    def start(self, **options: str) -> None:
        """Start it and wait until it answers."""
        settings = [f"-c{name}={value}" for name, value in {**_OPTIONS, **options}.items()]
        command = [self._programs / "postgres", "-D", self.folder / "data", "-k", self.folder]
        self._process = subprocess.Popen(
            [*command, "-h", "127.0.0.1", "-p", str(self.port), *settings],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self.folder,
            preexec_fn=_die_with_the_tests,
            **self._user,
        )
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                with self.owner("postgres"):
                    return
            except Exception:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    raise
                time.sleep(0.05)

    def stop(self, how: signal.Signals = signal.SIGQUIT) -> None:
        """SIGQUIT is an immediate stop: what was not committed is lost, and the next start recovers."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(60)
            self._process = None

    def close(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def put(self, name: str, data: bytes) -> None:
        """Write a file that the server alone may read."""
        path = self.folder / name
        path.write_bytes(data)
        path.chmod(0o600)
        if self._user:
            os.chown(path, self._user["user"], self._user["group"])

    def owner(self, database: str = DATABASE) -> Any:
        """A connection of the superuser, each statement its own transaction."""
        import psycopg

        where = {"host": str(self.folder), "port": self.port, "dbname": database, "user": OWNER}
        return psycopg.connect(**where, password=self.password, autocommit=True, connect_timeout=10)

    def address(self, *, host: str = "", schema: str | None = None, **more: Any) -> PostgresAddress:
        """Where Strongroom finds it; in a schema of its own unless one is named."""
        if schema is None:
            self._count += 1
            schema = f"t{self._count}"
        made = PostgresAddress.parse(
            f"postgresql://{ROLE}@{host or '127.0.0.1'}:{self.port}/{DATABASE}",
            schema=schema,
            socket=self.folder,
            password_file=self.password_file,
            **more,
        )
        return made if host else replace(made, host="")

    def server(self, **more: Any) -> Server:
        return Server(self.address(**more))

    def connections(self) -> int:
        """How many Strongroom has open."""
        with self.owner() as connection:
            query = "SELECT count(*) FROM pg_stat_activity WHERE usename = %s"
            return int(connection.execute(query, (ROLE,)).fetchone()[0])


@pytest.fixture(scope="session")
def database() -> Iterator[Database]:
    programs = find_programs()
    if programs is None:
        if os.environ.get(REQUIRE) == "required":
            pytest.fail(MISSING)
        pytest.skip(MISSING)
    made = Database(programs)
    try:
        made.make()
        yield made
    finally:
        made.close()


def find_programs() -> Path | None:
    """The newest PostgreSQL as Debian installs it, else the one on the path."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[4]))
    elsewhere = shutil.which("postgres")
    if found:
        return found[-1].parent
    return Path(elsewhere).resolve().parent if elsewhere else None


def _roomy_memory() -> str | None:
    """Where flushing costs nothing; the tests kill processes, not the machine's power."""
    memory = Path("/dev/shm")
    if os.access(memory, os.W_OK) and shutil.disk_usage(memory).free >= MIN_MEMORY_BYTES:
        return str(memory)
    return None


def _unprivileged() -> dict[str, Any]:
    """PostgreSQL refuses to run as root; the Debian package brings a user for it."""
    if os.geteuid() != 0:
        return {}
    try:
        user = pwd.getpwnam("postgres")
    except KeyError:
        user = pwd.getpwnam("nobody")
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _die_with_the_tests() -> None:
    """Runs after the user has changed: the kernel forgets the wish when it does."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGQUIT)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

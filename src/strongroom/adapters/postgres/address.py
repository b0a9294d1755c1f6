"""Where the database is, and how its server must prove itself."""

import os
import re
import stat
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from strongroom.errors import InvalidError, OutageError, shorten

SCHEME = "postgresql"
DEFAULT_PORT = 5432
DEFAULT_SOCKET = Path("/run/postgresql")
DEFAULT_SCHEMA = "strongroom"
MAX_PASSWORD_BYTES = 4096
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,62}")
_SCHEMA = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}[A-Za-z0-9])?")

VERIFY = "verify-full"
INSECURE_ENCRYPT = "insecure-encrypt-only"
INSECURE_PLAIN = "insecure-plain"
_MODES = {VERIFY: "verify-full", INSECURE_ENCRYPT: "require", INSECURE_PLAIN: "disable"}


@dataclass(frozen=True, slots=True)
class PostgresAddress:
    """One database; never holds a password, so that it may be shown."""

    host: str
    """Empty for a Unix socket."""
    port: int
    database: str
    user: str
    schema: str = DEFAULT_SCHEMA
    socket: Path = DEFAULT_SOCKET
    tls: str = VERIFY
    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None
    password_file: Path | None = None

    @classmethod
    def parse(cls, url: str, **more: Any) -> "PostgresAddress":
        """Read ``postgresql://user@host[:port]/database``; without a host, a Unix socket.

        Raises:
            InvalidError: anything else is in it; a password above all, which is not repeated.
        """
        try:
            parts = urlsplit(url)
            port = parts.port or DEFAULT_PORT
            host = parts.hostname or ""
        except ValueError:
            raise _invalid("is not a URL") from None
        if parts.scheme != SCHEME:
            raise _invalid(f"does not begin with {SCHEME}:")
        if parts.password is not None:
            raise InvalidError(
                "postgresql: the URL holds a password",
                hint="name a file in [store.postgres] password_file, or use ~/.pgpass",
            )
        if parts.query or parts.fragment or "?" in url or "#" in url:
            raise _invalid("takes no options; they go into [store.postgres]")
        user, database = unquote(parts.username or ""), unquote(parts.path.removeprefix("/"))
        if not _NAME.fullmatch(user) or not _NAME.fullmatch(database):
            raise _invalid("needs a user and a database: postgresql://user@host/database")
        if host and not _HOST.fullmatch(host) and not _is_ip(host):
            raise _invalid(f"has a host that is none: {shorten(host)}")
        made = cls(host, port, database, user, **more)
        if not _SCHEMA.fullmatch(made.schema) or made.schema.startswith("pg_"):
            raise InvalidError(f"postgresql: {shorten(made.schema)} cannot be the name of a schema")
        if made.tls not in _MODES:
            raise InvalidError(f"postgresql: tls {shorten(made.tls)} is unknown")
        return made

    @property
    def shown(self) -> str:
        """For messages: where, and nothing that opens it."""
        return f"{self.host or self.socket}:{self.port}/{self.database}"

    @property
    def is_local(self) -> bool:
        """Whether nobody can stand between: a socket file, or this machine's own addresses."""
        if not self.host or self.host == "localhost":
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False

    def parameters(self) -> dict[str, Any]:
        """What libpq is told of server and TLS. All of it, so that no PG… variable fills a gap."""
        plain = self.is_local and self.tls == VERIFY
        if not self.host:
            _require_private(self.socket)
        found: dict[str, Any] = {
            "host": self.host or str(self.socket),
            "hostaddr": "",
            "port": self.port,
            "dbname": self.database,
            "user": self.user,
            "sslmode": "prefer" if plain else _MODES[self.tls],
            "sslrootcert": "" if plain else str(self.ca_file or "system"),
            "ssl_min_protocol_version": "TLSv1.2",
            "gssencmode": "disable",
        }
        if not plain and self.tls != VERIFY:
            found["sslrootcert"] = ""
            found["require_auth"] = "!password"  # never in plain to a server that proved nothing
        if self.certificate_file is not None and self.key_file is not None:
            found |= {"sslcert": str(self.certificate_file), "sslkey": str(self.key_file)}
        if self.password_file is not None:
            found["password"] = _read_password(self.password_file)
        return found


def _is_ip(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return "%" not in host  # a zone


def _invalid(what: str) -> InvalidError:
    """The URL itself is not repeated: it may hold what somebody took for a good place for a password."""
    return InvalidError(f"postgresql: the URL {what}", hint="postgresql://user@host/database")


def _require_private(folder: Path) -> None:
    """Whoever may write where the socket file lies can put a server of his own there."""
    try:
        mode = folder.stat().st_mode
    except OSError as error:
        raise OutageError(f"postgresql: {folder} cannot be looked at ({error.strerror})") from None
    if mode & 0o002:
        raise InvalidError(
            f"postgresql: everybody may write to {folder}, where the socket file lies",
            hint="use another unix_socket_directories, such as /run/postgresql",
        )


def _read_password(path: Path) -> str:
    """Read the first line anew at every connect, so that a changed password needs no restart."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise OutageError(f"postgresql: {path} cannot be read ({error.strerror})") from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_mode & 0o007:
            raise InvalidError(
                f"postgresql: {path} is not a file that others cannot read", hint=f"chmod 600 {path}"
            )
        text = os.read(descriptor, MAX_PASSWORD_BYTES + 1)
    finally:
        os.close(descriptor)
    line = text.split(b"\n", 1)[0].rstrip(b"\r")
    if not line or len(text) > MAX_PASSWORD_BYTES or b"\x00" in line:
        raise InvalidError(f"postgresql: {path} holds no password in its first line")
    try:
        return line.decode()
    except UnicodeDecodeError:
        raise InvalidError(f"postgresql: {path} is not UTF-8") from None

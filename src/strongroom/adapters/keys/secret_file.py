"""A secret that opens another custody, such as a PIN or a token: the first line of a file that is private."""

import os
import stat
from pathlib import Path

from strongroom.errors import DeniedError, InvalidError, OutageError

MAX_SECRET_BYTES = 8192
_OTHERS = stat.S_IWGRP | stat.S_IXGRP | stat.S_IRWXO
"""Reading by the group is let pass: a secret mounted into a pod needs it. A link too, for the same reason."""


def read_secret(path: Path, what: str) -> str:
    """Return the first line. ``what`` names the secret in errors, which never show it.

    Raises:
        InvalidError: there is no such file, or it holds no one short line of text.
        DeniedError: others may read or write it, or we may not.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError):
        raise InvalidError(f"{what}: there is no file {path}") from None
    except PermissionError:
        raise DeniedError(f"{what}: {path} may not be read by this user") from None
    except OSError as error:
        raise OutageError(f"{what}: {path}: {error.strerror}") from None
    try:
        _require_private(os.fstat(descriptor), path, what)
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            data = file.read(MAX_SECRET_BYTES + 1)
    except OSError as error:
        raise OutageError(f"{what}: {path}: {error.strerror}") from None
    finally:
        os.close(descriptor)
    line = data.split(b"\n", 1)[0].rstrip(b"\r")
    if len(data) > MAX_SECRET_BYTES or not line:
        raise InvalidError(f"{what}: {path} is empty or longer than {MAX_SECRET_BYTES} bytes")
    try:
        return line.decode()
    except UnicodeDecodeError:
        raise InvalidError(f"{what}: {path} is no text") from None


def _require_private(status: os.stat_result, path: Path, what: str) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise InvalidError(f"{what}: {path} is not a plain file")
    if status.st_uid not in (0, os.geteuid()):
        raise DeniedError(f"{what}: {path} belongs to another user")
    if status.st_mode & _OTHERS:
        raise DeniedError(f"{what}: others may read or write {path}", hint=f"chmod 600 {path}")

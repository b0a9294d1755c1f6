"""Lets two folders change places."""

import ctypes
import os
from pathlib import Path

from strongroom.errors import OutageError

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2  # renameat2(2)


def exchange(one: Path, other: Path) -> None:
    """Swap two names in one step: whoever looks sees both as before, or both as after.

    Raises:
        OutageError: this system or file system cannot do it.
    """
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        raise OutageError(f"{other}: this system cannot exchange folders", hint="start with an empty folder")
    if rename(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) != 0:
        raise OutageError(f"{other}: cannot be put in place ({os.strerror(ctypes.get_errno())})")

"""Names of what archives hold: inside the folder that is unpacked to, the same everywhere, each once."""

import re
import unicodedata
from collections.abc import Iterable
from itertools import pairwise

from strongroom.errors import RejectedError, shorten

MAX_NAME_BYTES = 1024
_UNSAFE = re.compile(r"[\x00-\x1f\x7f\\]|^[A-Za-z]:")


def require_name(name: str) -> str:
    """Return a member's name without the slash that marks folders.

    Raises:
        RejectedError: it leads out of the folder that the archive is unpacked to, or means different files on
            different systems.
    """
    path = name.removesuffix("/")
    parts = path.split("/")
    if len(name.encode()) > MAX_NAME_BYTES:
        raise RejectedError(f"a member's name is longer than {MAX_NAME_BYTES} bytes")
    if _UNSAFE.search(name) or not {"", ".", ".."}.isdisjoint(parts):
        raise RejectedError(f"member {shorten(name)}: its name may lead out of the archive's folder")
    return path


def fold_name(name: str) -> str:
    """Return what names have in common that some file system takes for one."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def require_distinct(names: Iterable[str]) -> None:
    """No two of one name, and no file with the name of a folder that others lie in."""
    # NUL for the slash sorts a folder directly before what lies in it.
    ordered = sorted((fold_name(require_name(name)).replace("/", "\0"), name.endswith("/")) for name in names)
    for (name, is_folder), (following, _) in pairwise(ordered):
        if name == following or (not is_folder and following.startswith(name + "\0")):
            raise RejectedError(f"the archive holds two members of one name, {shorten(name)}")

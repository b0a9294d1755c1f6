"""Names of keys: ``file:kek/<family>``, ``file:sign/<name>``, ``file:id/<principal>``, ``file:ca`` …"""

import re

from strongroom.errors import InvalidError, shorten
from strongroom.values import KeyUri

SCHEME = "file:"
_NAME = re.compile(r"[a-z][a-z0-9-]{0,31}(?:/[a-z0-9][a-z0-9.-]{0,79})?", re.ASCII)
_EXPORTABLE = ("id/", "tls/")


def parse_name(key: KeyUri) -> str:
    """Return the name inside ``key``. Raises InvalidError: another scheme or spelling."""
    name = key.removeprefix(SCHEME)
    if name == key or _NAME.fullmatch(name) is None:
        raise InvalidError(
            f"key: {shorten(key)} is not a key of the keystore", hint="for instance file:kek/fraud"
        )
    return name


def is_key_encryption(name: str) -> bool:
    """Key-encryption keys stand under ``kek/`` and nothing else does."""
    return name.startswith("kek/")


def is_exportable(name: str) -> bool:
    """Only keys that a TLS stack must hold itself may leave: those of identities and of servers."""
    return name == "tls" or name.startswith(_EXPORTABLE)

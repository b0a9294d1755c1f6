"""Landlock: this thread and all it starts may open no file, bind no port and signal no one.

For workers and gateways, when they have all they need.

Constants and structure: include/uapi/linux/landlock.h, Linux 6.12. A newer kernel's additional rights stay
unhandled, which the seccomp allow-list covers.
"""

import ctypes
import os
import struct
from collections.abc import Iterable
from pathlib import Path

from strongroom.serve import kernel

_CREATE_RULESET_VERSION = 1
_FILE_SYSTEM_BITS = {1: 13, 2: 14, 3: 15, 5: 16}
"""How many file-system rights there are since which ABI; every bit below is refused."""
_READ = 1 << 2 | 1 << 3  # files, and names in folders
_PATH_BENEATH = 1
_NETWORK_ABI = 4
_NETWORK_RIGHTS = 0b11  # bind and connect TCP
_SCOPE_ABI = 6
_SCOPES = 0b11  # abstract unix sockets, signals


def abi() -> int:
    """Return Landlock's version on this kernel. Raises OSError if it is absent or switched off."""
    return kernel.syscall("landlock_create_ruleset", None, 0, _CREATE_RULESET_VERSION)


def deny_all(but_read: Iterable[Path] = ()) -> int:
    """Refuse every file, and from ABI 4 TCP, from ABI 6 foreign signals and sockets. Returns the ABI.

    What lies in the folders ``but_read`` can still be read, not executed.
    Needs no_new_privs. Descriptors already open stay usable, and so do memfds by ``/proc/self/fd/N``.
    """
    version = abi()
    bits = max(count for since, count in _FILE_SYSTEM_BITS.items() if since <= version)
    network = _NETWORK_RIGHTS if version >= _NETWORK_ABI else 0
    scopes = _SCOPES if version >= _SCOPE_ABI else 0
    fields = struct.pack("=QQQ", (1 << bits) - 1, network, scopes)
    size = 8 if version < _NETWORK_ABI else 16 if version < _SCOPE_ABI else 24
    attributes = (ctypes.c_uint32 * (size // 4)).from_buffer_copy(fields[:size])
    ruleset = kernel.syscall("landlock_create_ruleset", attributes, size, 0)
    try:
        for folder in but_read:
            _allow_reading(ruleset, folder)
        kernel.syscall("landlock_restrict_self", ruleset, 0)
    finally:
        os.close(ruleset)
    return version


def _allow_reading(ruleset: int, folder: Path) -> None:
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        rule = struct.pack("=Qi", _READ, descriptor)
        kernel.syscall(
            "landlock_add_rule", ruleset, _PATH_BENEATH, (ctypes.c_uint32 * 3).from_buffer_copy(rule), 0
        )
    finally:
        os.close(descriptor)


def missing_network(version: int) -> str | None:
    return None if version >= _NETWORK_ABI else f"Landlock ABI {version} is below {_NETWORK_ABI}"


def missing_scope(version: int) -> str | None:
    return None if version >= _SCOPE_ABI else f"Landlock ABI {version} is below {_SCOPE_ABI}"

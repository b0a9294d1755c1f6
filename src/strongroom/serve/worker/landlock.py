"""Landlock: this thread and all it starts may open no file, bind no port and signal no one.

Constants and structure: include/uapi/linux/landlock.h, Linux 6.12. A newer kernel's additional rights stay
unhandled, which the seccomp allow-list covers.
"""

import ctypes
import os
import struct

from strongroom.serve.worker import kernel

_CREATE_RULESET_VERSION = 1
_FILE_SYSTEM_BITS = {1: 13, 2: 14, 3: 15, 5: 16}
"""How many file-system rights there are since which ABI; every bit below is refused."""
_NETWORK_ABI = 4
_NETWORK_RIGHTS = 0b11  # bind and connect TCP
_SCOPE_ABI = 6
_SCOPES = 0b11  # abstract unix sockets, signals


def abi() -> int:
    """Return Landlock's version on this kernel. Raises OSError if it is absent or switched off."""
    return kernel.syscall("landlock_create_ruleset", None, 0, _CREATE_RULESET_VERSION)


def deny_all() -> int:
    """Refuse every file, and from ABI 4 TCP, from ABI 6 foreign signals and sockets. Returns the ABI.

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
        kernel.syscall("landlock_restrict_self", ruleset, 0)
    finally:
        os.close(ruleset)
    return version


def missing_network(version: int) -> str | None:
    return None if version >= _NETWORK_ABI else f"Landlock ABI {version} is below {_NETWORK_ABI}"


def missing_scope(version: int) -> str | None:
    return None if version >= _SCOPE_ABI else f"Landlock ABI {version} is below {_SCOPE_ABI}"

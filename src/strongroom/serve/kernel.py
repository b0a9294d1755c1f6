"""The kernel calls that Python has no name for, as functions that raise OSError."""

import ctypes
import os
import platform

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long
_libc.mlockall.argtypes = [ctypes.c_int]
_libc.mount.argtypes = [
    ctypes.c_char_p,
    ctypes.c_char_p,
    ctypes.c_char_p,
    ctypes.c_ulong,
    ctypes.c_char_p,
]

# Numbers of arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h.
_NUMBERS = {
    "x86_64": {"pivot_root": 155, "capset": 126, "close_range": 436},
    "aarch64": {"pivot_root": 41, "capset": 91, "close_range": 436},
}
# Calls since Linux 5.1 have one number on every architecture.
_COMMON = {"landlock_create_ruleset": 444, "landlock_add_rule": 445, "landlock_restrict_self": 446}

_Argument = int | bytes | ctypes.Array[ctypes.c_uint32] | None


def syscall(name: str, *arguments: _Argument) -> int:
    """Make the call; integers travel as longs. Raises OSError, also on an architecture unknown here."""
    number = _COMMON.get(name) or _NUMBERS.get(platform.machine(), {}).get(name)
    if number is None:
        raise OSError(38, f"{name}: unknown on {platform.machine()}")
    wide = [ctypes.c_long(value) if isinstance(value, int) else value for value in arguments]
    return _checked(int(_libc.syscall(ctypes.c_long(number), *wide)), name)


def prctl(option: int, *arguments: int) -> int:
    padded = [*arguments, 0, 0, 0, 0][:4]
    return _checked(int(_libc.prctl(option, *(ctypes.c_ulong(value) for value in padded))), "prctl")


def unshare(flags: int) -> None:
    _checked(int(_libc.unshare(flags)), "unshare")


def mount(source: bytes, target: bytes, kind: bytes | None, flags: int, options: bytes | None = None) -> None:
    _checked(int(_libc.mount(source, target, kind, flags, options)), "mount")


def detach(target: bytes) -> None:
    """Unmount lazily."""
    mnt_detach = 2
    _checked(int(_libc.umount2(target, mnt_detach)), "umount2")


def mlockall(flags: int) -> None:
    _checked(int(_libc.mlockall(flags)), "mlockall")


def _checked(result: int, name: str) -> int:
    if result == -1:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")
    return result

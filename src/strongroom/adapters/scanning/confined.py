"""``python -I -m strongroom.adapters.scanning.confined COMMAND...``: become a program that has no network.

Started by `second`, never by hand. It also gets bounds on memory, processor time and what it may write, and
ends with who started it.
"""

import ctypes
import os
import resource
import signal
import sys

MAX_MEMORY_BYTES = 4 * 2**30
MAX_WRITTEN_BYTES = 64 * 2**20
MAX_CPU_S = 300
UNCONFINED = 71
"""Exit code: this machine gives no namespace without network. EX_OSERR of sysexits.h."""
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38  # linux/prctl.h
_NEWUSER, _NEWNET, _NEWIPC = 0x10000000, 0x40000000, 0x08000000  # linux/sched.h


def main() -> None:
    """Never returns."""
    libc = ctypes.CDLL(None, use_errno=True)
    flags = _NEWNET | _NEWIPC | (0 if os.geteuid() == 0 else _NEWUSER)
    confined = libc.unshare(flags) == 0 or libc.unshare(_NEWUSER | _NEWNET | _NEWIPC) == 0
    if not confined or libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        os._exit(UNCONFINED)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    for limit, most in (
        (resource.RLIMIT_AS, MAX_MEMORY_BYTES),
        (resource.RLIMIT_FSIZE, MAX_WRITTEN_BYTES),
        (resource.RLIMIT_CPU, MAX_CPU_S),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(limit, (most, most))
    os.execv(sys.argv[1], sys.argv[1:])  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main()

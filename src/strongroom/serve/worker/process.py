"""What a worker gives up as a process: descriptors, environment, privileges, limits."""

import ctypes
import os
import resource
import signal
from collections.abc import Callable
from pathlib import Path

from strongroom.serve import kernel

NOBODY = 65534
MAX_OPEN_FILES = 256
_PR_SET_PDEATHSIG, _PR_GET_DUMPABLE, _PR_SET_DUMPABLE = 1, 3, 4
_PR_CAPBSET_READ, _PR_CAPBSET_DROP = 23, 24
_PR_SET_NO_NEW_PRIVS, _PR_GET_NO_NEW_PRIVS = 38, 39
_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 47, 4
_LAST_CAPABILITY = 63
_CAPABILITY_VERSION_3 = 0x20080522
_MCL_CURRENT, _MCL_FUTURE, _MCL_ONFAULT = 1, 2, 4
_STAT_ENV_START = 49  # proc_pid_stat(5) field 50; the next is env_end

# What stays of a worker that only computes. NPROC and AS come later: loading may start threads, and the
# model's size is not known yet.
_LIMITS = {
    resource.RLIMIT_CORE: 0,
    resource.RLIMIT_FSIZE: 0,
    resource.RLIMIT_NOFILE: MAX_OPEN_FILES,
    resource.RLIMIT_MSGQUEUE: 0,
    resource.RLIMIT_NICE: 0,
    resource.RLIMIT_RTPRIO: 0,
}


def close_descriptors(keep: int) -> int:
    """Close every descriptor but ``keep``, which becomes 3; 0 to 2 become /dev/null. Returns 3."""
    if keep < 3:
        raise ValueError("the control channel is a standard descriptor")
    null = os.open("/dev/null", os.O_RDWR)
    for standard in range(3):
        os.dup2(null, standard)
    if keep != 3:
        # Last, because 3 may be the /dev/null of above.
        os.dup2(keep, 3, inheritable=False)
    try:
        kernel.syscall("close_range", 4, 0x7FFFFFFF, 0)
    except OSError:
        os.closerange(4, 2**20)
    return 3


def wipe_environment() -> None:
    """Empty the environment, and overwrite the block in which the kernel handed it over."""
    for name in list(os.environ):
        del os.environ[name]
    fields = Path("/proc/self/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    start, end = (int(value) for value in fields[_STAT_ENV_START - 2 : _STAT_ENV_START])
    if 0 < start < end:
        ctypes.memset(start, 0, end - start)


def used_address_space() -> int:
    """Return the bytes of address space in use now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[0])
    return pages * resource.getpagesize()


def set_limits() -> None:
    for limit, most in _LIMITS.items():
        _lower(limit, most)


def limit_memory(size_bytes: int) -> None:
    """Bound the address space: more than that and allocations fail, which costs a batch, not the machine."""
    _lower(resource.RLIMIT_AS, size_bytes)
    _lower(resource.RLIMIT_DATA, size_bytes)


def forbid_processes() -> None:
    """Allow no process and no thread more. Root in the first user namespace is exempt by the kernel."""
    _lower(resource.RLIMIT_NPROC, 0)


def _lower(limit: int, most: int) -> None:
    _, hard = resource.getrlimit(limit)
    value = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(limit, (value, value))


def lock_memory() -> str | None:
    """Keep all of this process's memory, present and future, out of swap; it costs nothing until touched."""
    try:
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    except (OSError, ValueError):
        soft, hard = resource.getrlimit(resource.RLIMIT_MEMLOCK)
        if hard != resource.RLIM_INFINITY:
            return f"RLIMIT_MEMLOCK is {hard // 1024} KiB and CAP_SYS_RESOURCE is not held"
        if soft != hard:
            resource.setrlimit(resource.RLIMIT_MEMLOCK, (hard, hard))
    kernel.mlockall(_MCL_CURRENT | _MCL_FUTURE | _MCL_ONFAULT)
    return None


def drop_user() -> str | None:
    """Leave root for nobody, with no group. Only root can give a worker a user of its own."""
    if os.getuid() != 0 and os.geteuid() != 0:
        return "not started as root, so it shares the supervisor's user"
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    return None


def drop_bounding_set() -> None:
    """Make every capability unobtainable, as far as CAP_SETPCAP is held."""
    for capability in range(_LAST_CAPABILITY + 1):
        try:
            if kernel.prctl(_PR_CAPBSET_READ, capability):
                kernel.prctl(_PR_CAPBSET_DROP, capability)
        except OSError:
            return  # the end of the list, or not permitted: then there is nothing to drop either


def drop_capabilities() -> str | None:
    """Empty the effective, permitted, inheritable and ambient sets."""
    kernel.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    kernel.syscall("capset", header, (ctypes.c_uint32 * 6)())
    left = [line for line in _status() if line.startswith(("CapInh", "CapPrm", "CapEff", "CapAmb"))]
    return None if all(int(line.split()[1], 16) == 0 for line in left) else "some are left"


def forbid_privileges() -> str | None:
    kernel.prctl(_PR_SET_NO_NEW_PRIVS, 1)
    return None if kernel.prctl(_PR_GET_NO_NEW_PRIVS) == 1 else "not kept by the kernel"


def forbid_inspection() -> str | None:
    """No core file, no ptrace and no /proc/<pid>/mem by anybody of the same user."""
    kernel.prctl(_PR_SET_DUMPABLE, 0)
    return None if kernel.prctl(_PR_GET_DUMPABLE) == 0 else "not kept by the kernel"


def die_with_parent(is_parent_alive: Callable[[], bool]) -> str | None:
    """Be killed when the parent ends. A change of user clears this: call it afterwards."""
    kernel.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if not is_parent_alive():
        os._exit(0)  # it ended before the signal was set
    return None


def _status() -> list[str]:
    return Path("/proc/self/status").read_text(encoding="utf-8", errors="replace").splitlines()

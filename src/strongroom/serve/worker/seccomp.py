"""The system calls a worker may make; any other ends the process at once.

Two allow-lists: `Stage.LOADING` while the model is read, `Stage.SERVING` from then on, which opens nothing
and starts nothing. `Stage.CONVERTING` is a third, for originals that run code as they are read. What language
runtimes try in passing is refused with an error instead, so that a harmless probe does not cost the worker;
refused it is all the same.
"""

import errno
import mmap
import os
from enum import Enum

try:
    import pyseccomp
except (ImportError, RuntimeError):  # RuntimeError: the package is there, libseccomp.so.2 is not
    pyseccomp = None

PROT_EXEC = mmap.PROT_EXEC
_CLONE_THREAD = 0x00010000
_OPEN_CHANGES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_PR_SET_NAME = 15
_AT_EMPTY_PATH = 0x1000
_DESCRIPTOR_COMMANDS = (1030, 1, 3, 4, 1034)  # F_DUPFD_CLOEXEC, F_GETFD, F_GETFL, F_SETFL, F_GET_SEALS
_SECCOMP_SET_MODE_FILTER, _SECCOMP_GET_ACTION_AVAIL = 1, 2


class Stage(Enum):
    LOADING = "loading"
    SERVING = "serving"
    CONVERTING = "converting"
    """Of the process that reads an original that may be code: opens nothing, starts nothing."""
    WAITING = "waiting"
    """Of the process that waits for the worker in front of its pid namespace."""


_MEMORY = ("munmap", "madvise", "brk", "mremap")
_SIGNALS = ("rt_sigreturn", "rt_sigprocmask", "rt_sigaction", "sigaltstack", "restart_syscall")
_TIME = ("clock_gettime", "clock_nanosleep", "nanosleep", "gettimeofday", "time")
_ENDING = ("exit", "exit_group")
_THREADS = ("futex", "sched_yield", "membarrier", "rseq", "set_robust_list", "getcpu", "sched_getaffinity")
_IDENTITY = ("getpid", "gettid")
_DESCRIPTORS = ("read", "readv", "write", "writev", "pread64", "close", "poll", "ppoll", "fstat", "lseek")

_ALWAYS = (*_MEMORY, *_SIGNALS, *_TIME, *_ENDING, *_THREADS, *_IDENTITY, *_DESCRIPTORS, "getrandom")
_LOADING = (
    *("stat", "lstat", "newfstatat", "access", "faccessat", "faccessat2", "readlink", "readlinkat"),
    *("getdents64", "getcwd", "uname", "sysinfo", "set_tid_address", "fadvise64"),
)
_WAITING = (*_MEMORY, *_SIGNALS, *_ENDING, "futex", "wait4", "waitid", "getpid", "gettid", "close")

_REFUSED_FILES = (
    *("open", "openat", "openat2", "stat", "lstat", "newfstatat", "statx", "access", "faccessat"),
    *("faccessat2", "readlink", "readlinkat", "getdents64", "getcwd", "statfs", "fstatfs"),
)


_FSTAT = (Stage.CONVERTING, "newfstatat")


def build(stage: Stage, control_fd: int, arch: int | None = None) -> "pyseccomp.SyscallFilter":
    """Return the filter of a stage; ``arch`` compiles it for a machine other than this one.

    Raises:
        OSError: libseccomp is not installed.
    """
    if pyseccomp is None:
        raise OSError(errno.ENOSYS, "libseccomp or the package pyseccomp is not installed")
    rules = pyseccomp.SyscallFilter(pyseccomp.KILL_PROCESS)
    rules.set_attr(pyseccomp.Attr.ACT_BADARCH, pyseccomp.KILL_PROCESS)
    rules.set_attr(pyseccomp.Attr.CTL_NNP, 0)  # set before, and checked
    rules.set_attr(pyseccomp.Attr.CTL_TSYNC, 1)
    if arch is not None:
        rules.remove_arch(pyseccomp.system_arch())
        rules.add_arch(arch)
    if stage is Stage.WAITING:
        for name in _WAITING:
            _allow(rules, name)
        _allow(rules, "kill", _equal(0, os.getpid()))
        return rules
    for name in _ALWAYS:
        _allow(rules, name)
    _allow_common(rules, control_fd)
    if stage is Stage.LOADING:
        _allow_loading(rules)
    else:
        if stage is Stage.CONVERTING:
            _allow_converting(rules)
        for name in _REFUSED_FILES:
            # Newer C libraries ask for the size of an open file as if by a path.
            unless = [_masked(3, _AT_EMPTY_PATH, 0)] if (stage, name) == _FSTAT else []
            rules.add_rule(pyseccomp.ERRNO(errno.EACCES), name, *unless)
    return rules


def lock(stage: Stage, control_fd: int) -> None:
    """Install the stage's filter on every thread of this process, for good."""
    build(stage, control_fd).load()


def _allow_common(rules: "pyseccomp.SyscallFilter", control_fd: int) -> None:
    for name in ("mmap", "mprotect"):
        _allow(rules, name, _masked(2, PROT_EXEC, 0))
    # Descriptors come and go over the control channel alone.
    for name in ("recvmsg", "sendmsg"):
        _allow(rules, name, _equal(0, control_fd))
    _allow(rules, "tgkill", _equal(0, os.getpid()))  # abort()
    _refuse(rules, "ioctl", errno.ENOTTY)
    _refuse(rules, "clone3", errno.ENOSYS)  # its flags are out of a filter's sight; libc falls back to clone
    _refuse(rules, "sched_setaffinity", errno.EPERM)


def _allow_loading(rules: "pyseccomp.SyscallFilter") -> None:
    for name in _LOADING:
        _allow(rules, name)
    _allow(rules, "open", _masked(1, _OPEN_CHANGES, 0))
    _allow(rules, "openat", _masked(2, _OPEN_CHANGES, 0))
    _allow(rules, "clone", _masked(0, _CLONE_THREAD, _CLONE_THREAD))
    _allow(rules, "prctl", _equal(0, _PR_SET_NAME))
    _allow(rules, "prlimit64", _equal(0, 0))  # only of itself
    for command in _DESCRIPTOR_COMMANDS:
        _allow(rules, "fcntl", _equal(1, command))
    for operation in (_SECCOMP_SET_MODE_FILTER, _SECCOMP_GET_ACTION_AVAIL):
        _allow(rules, "seccomp", _equal(0, operation))
    _refuse(rules, "statx", errno.ENOSYS)
    _refuse(rules, "statfs", errno.EACCES)
    _refuse(rules, "fstatfs", errno.EACCES)


def _allow_converting(rules: "pyseccomp.SyscallFilter") -> None:
    """What numpy, scikit-learn and onnxruntime ask of the kernel besides; all they open was opened before."""
    for name in ("uname", "sysinfo", "set_tid_address", "times", "getrusage"):
        _allow(rules, name)
    _allow(rules, "prctl", _equal(0, _PR_SET_NAME))
    _allow(rules, "prlimit64", _equal(0, 0))  # only of itself
    for command in _DESCRIPTOR_COMMANDS:
        _allow(rules, "fcntl", _equal(1, command))
    # A library that asks for a thread does without one; a new process ends the converter.
    rules.add_rule(pyseccomp.ERRNO(errno.EAGAIN), "clone", _masked(0, _CLONE_THREAD, _CLONE_THREAD))
    _allow(rules, "newfstatat", _masked(3, _AT_EMPTY_PATH, _AT_EMPTY_PATH))
    for name in ("mbind", "get_mempolicy", "set_mempolicy", "memfd_create"):
        _refuse(rules, name, errno.EPERM)


def _allow(rules: "pyseccomp.SyscallFilter", name: str, *arguments: "pyseccomp.Arg") -> None:
    # A name that this architecture lacks (poll on arm64) resolves to a number that matches nothing.
    rules.add_rule(pyseccomp.ALLOW, name, *arguments)


def _refuse(rules: "pyseccomp.SyscallFilter", name: str, code: int) -> None:
    rules.add_rule(pyseccomp.ERRNO(code), name)


def _equal(argument: int, value: int) -> "pyseccomp.Arg":
    return pyseccomp.Arg(argument, pyseccomp.EQ, value)


def _masked(argument: int, mask: int, value: int) -> "pyseccomp.Arg":
    return pyseccomp.Arg(argument, pyseccomp.MASKED_EQ, mask, value)

"""A view of the machine with nothing in it: no processes, network, files or shared memory of others.

Entered before the engine is imported, because a new user namespace wants a single-threaded process and a new
pid namespace a fork. Hosts often refuse; each refusal is a missing layer, never an error.
"""

import os
import select
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from strongroom.serve import kernel
from strongroom.serve.worker import process, seccomp
from strongroom.serve.worker.layers import ON, Layers, apply

_NEWNS, _NEWIPC, _NEWUSER, _NEWPID, _NEWNET = 0x00020000, 0x08000000, 0x10000000, 0x20000000, 0x40000000
_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_REMOUNT = 1, 2, 4, 8, 32
_MS_BIND, _MS_REC, _MS_PRIVATE = 4096, 16384, 1 << 18
_PLACES = ("/tmp", "/var/tmp", "/run", "/mnt")  # noqa: S108 - a mount point in our own namespace, not a file
NAMES = ("user_namespace", "ipc_namespace", "network_namespace", "mount_namespace", "pid_namespace")


def skip(layers: Layers, reason: str) -> None:
    for name in NAMES:
        layers[name] = f"missing: {reason}"


def enter(layers: Layers, control_fd: int) -> Callable[[], bool]:
    """Move this process into namespaces of its own; returns in the innermost process only.

    Returns whether the parent is alive, as a question to ask once the parent-death signal is set.
    """
    if os.geteuid() == 0:
        layers["user_namespace"] = "missing: started as root, so it gets a user of its own instead"
    else:
        apply(layers, "user_namespace", _unshare_user)
    apply(layers, "ipc_namespace", lambda: kernel.unshare(_NEWIPC))
    apply(layers, "network_namespace", lambda: kernel.unshare(_NEWNET))
    apply(layers, "mount_namespace", _unshare_mounts)
    apply(layers, "pid_namespace", lambda: kernel.unshare(_NEWPID))
    if layers["pid_namespace"] != ON:
        parent = os.getppid()
        return lambda: os.getppid() == parent
    return _fork(control_fd)


def _unshare_user() -> None:
    user, group = os.geteuid(), os.getegid()
    kernel.unshare(_NEWUSER)
    # user_namespaces(7): a process may map its own ids only, and must give up setgroups to map a group.
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{user} {user} 1"),
        ("gid_map", f"{group} {group} 1"),
    ):
        Path(f"/proc/self/{name}").write_text(text, encoding="utf-8")


def _unshare_mounts() -> None:
    kernel.unshare(_NEWNS)
    kernel.mount(b"none", b"/", None, _MS_REC | _MS_PRIVATE)


def _fork(control_fd: int) -> Callable[[], bool]:
    """Fork into the new pid namespace; the outer process waits and ends as the inner one ended."""
    alive, held = os.pipe()
    parent = os.getppid()
    child = os.fork()
    if child == 0:
        os.close(held)
        return lambda: _is_held(alive)
    os.close(alive)
    os.close(control_fd)
    _wait(child, lambda: os.getppid() == parent)
    raise AssertionError("unreachable")


def _is_held(alive: int) -> bool:
    """Tell whether the other end of the pipe is still open; ``getppid`` is 0 in here either way."""
    try:
        return not select.select([alive], [], [], 0)[0]
    finally:
        os.close(alive)


def _wait(child: int, is_parent_alive: Callable[[], bool]) -> None:
    """Hold the place of the worker in the supervisor's eyes, locked in tighter than it."""
    layers: Layers = {}
    for name, action in (
        ("user", process.drop_user),
        ("rlimits", process.set_limits),
        ("capabilities", process.drop_capabilities),
        ("no_new_privs", process.forbid_privileges),
        ("non_dumpable", process.forbid_inspection),
        ("parent_death", lambda: process.die_with_parent(is_parent_alive)),
        ("seccomp", lambda: seccomp.lock(seccomp.Stage.WAITING, -1)),
    ):
        apply(layers, name, action)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        with suppress(OSError):
            os.kill(os.getpid(), os.WTERMSIG(status))
    os._exit(os.waitstatus_to_exitcode(status) & 0x7F)


def empty_root() -> None:
    """Replace the whole file system by an empty, read-only one with nothing but this namespace's /proc.

    /proc stays because models are opened as ``/proc/self/fd/N``; Landlock refuses all else in it.
    """
    place = next(path for path in _PLACES if Path(path).is_dir()).encode()
    quiet = _MS_NOSUID | _MS_NODEV | _MS_NOEXEC
    kernel.mount(b"none", place, b"tmpfs", quiet, b"size=4k,nr_inodes=4,mode=0555")
    proc = place + b"/proc"
    Path(os.fsdecode(proc)).mkdir()
    try:
        kernel.mount(b"proc", proc, b"proc", quiet)
    except OSError:
        kernel.mount(b"/proc", proc, None, _MS_BIND | _MS_REC)
    os.chdir(place)
    kernel.mount(b"none", b".", None, _MS_REMOUNT | _MS_RDONLY | quiet)
    kernel.syscall("pivot_root", b".", b".")
    kernel.detach(b".")
    os.chdir("/")


def restore_signals() -> None:
    """Take no signal for a reason to print a trace: the supervisor decides when a worker ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)

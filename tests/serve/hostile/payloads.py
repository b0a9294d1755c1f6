"""The attacks. Each takes `Target`, returns what it got away with, and raises if it was refused.

They stand for native code that a hostile model brought to execution: no Python restriction is between them
and the kernel. Everything they import is imported before the locks, as it would be in an engine.
"""

import array
import ctypes
import fcntl
import mmap
import os
import platform
import resource
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
ARM = platform.machine() == "aarch64"
RETURN_42 = bytes.fromhex("40058052c0035fd6") if ARM else bytes.fromhex("b82a000000c3")
HOLD_S = 0.5


@dataclass(frozen=True)
class Target:
    """What the attacker is assumed to know."""

    parent: int
    """Process id of the supervisor."""
    victim: int
    """Process id of a bystander of the same user."""
    secret_address: int
    secret: str
    """Lies at that address in the supervisor."""
    tcp_port: int
    udp_port: int
    folder: str
    """A folder that everyone may write to; holds `unix.sock` and `readable`."""
    inherited: int
    """A descriptor of the supervisor that was left inheritable."""
    environment: tuple[int, int] = (0, 0)
    """Where the kernel put this process's environment."""

    @property
    def marker(self) -> str:
        return f"{self.folder}/marker"


def call(number_x86: int, number_arm: int, *arguments: Any) -> int:
    wide = [ctypes.c_long(value) if isinstance(value, int) else value for value in arguments]
    result = int(libc.syscall(ctypes.c_long(number_arm if ARM else number_x86), *wide))
    return check(result)


def check(result: int) -> int:
    if result == -1:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


# --- processes ---------------------------------------------------------------------------------------------


def exec_shell(target: Target) -> str:
    os.execv("/bin/sh", ["sh", "-c", f"echo > {target.marker}"])  # noqa: S606


def spawn(target: Target) -> str:
    return f"ran, exit {subprocess.run(['/bin/true'], check=False).returncode}"


def fork(target: Target) -> str:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    return "forked"


def vfork_by_clone3(target: Target) -> str:
    size = 88
    arguments = (ctypes.c_uint64 * 11)()
    arguments[4] = signal.SIGCHLD
    child = call(435, 435, arguments, size)
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    return "cloned"


def fork_bomb(target: Target) -> str:
    children = []
    for _ in range(40):
        child = os.fork()
        if child == 0:
            time.sleep(HOLD_S)
            os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)
    return f"{len(children)} processes"


def thread_bomb(target: Target) -> str:
    threads = [threading.Thread(target=time.sleep, args=(HOLD_S,)) for _ in range(100)]
    for thread in threads:
        thread.start()
    return f"{len(threads)} threads"


def kill_bystander(target: Target) -> str:
    os.kill(target.victim, signal.SIGTERM)
    return "signalled"


def signal_parent(target: Target) -> str:
    os.kill(target.parent, signal.SIGURG)
    return "signalled"


def signal_by_pidfd(target: Target) -> str:
    signal.pidfd_send_signal(os.pidfd_open(target.parent), signal.SIGURG)
    return "signalled"


def trace_bystander(target: Target) -> str:
    attach, detach = 0x4206, 17  # PTRACE_SEIZE
    check(int(libc.ptrace(attach, target.victim, 0, 0)))
    libc.ptrace(detach, target.victim, 0, 0)
    return "attached"


def read_parent_by_proc(target: Target) -> str:
    with open(f"/proc/{target.parent}/mem", "rb", buffering=0) as memory:
        memory.seek(target.secret_address)
        return _require_secret(memory.read(len(target.secret)), target)


def read_parent_by_call(target: Target) -> str:
    buffer = ctypes.create_string_buffer(len(target.secret))
    vector = ctypes.c_void_p * 2
    local = vector(ctypes.addressof(buffer), len(target.secret))
    remote = vector(target.secret_address, len(target.secret))
    call(310, 270, target.parent, local, 1, remote, 1, 0)
    return _require_secret(buffer.raw[: len(target.secret)], target)


def steal_descriptor(target: Target) -> str:
    stolen = call(438, 438, os.pidfd_open(target.parent), target.inherited, 0)
    return os.pread(stolen, 100, 0).decode()


def change_limits_of_others(target: Target) -> str:
    _, hard = resource.prlimit(target.victim, resource.RLIMIT_NOFILE)
    resource.prlimit(target.victim, resource.RLIMIT_NOFILE, (64, hard))
    return "changed"


def raise_own_limits(target: Target) -> str:
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    if limit != (resource.RLIM_INFINITY, resource.RLIM_INFINITY):
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    return "unlimited"


def pin_others(target: Target) -> str:
    os.sched_setaffinity(target.victim, {0})
    return "pinned"


def renice_others(target: Target) -> str:
    os.setpriority(os.PRIO_PROCESS, target.victim, 19)
    return "reniced"


# --- network -----------------------------------------------------------------------------------------------


def connect_tcp(target: Target) -> str:
    with socket.create_connection((b"127.0.0.1", target.tcp_port), timeout=5):
        return "connected"


def listen_tcp(target: Target) -> str:
    with socket.socket() as listener:
        listener.bind((b"127.0.0.1", 0))
        listener.listen()
        return "listening"


def connect_unix(target: Target) -> str:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(f"{target.folder}/unix.sock")
        return "connected"


def connect_abstract(target: Target) -> str:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(f"\0strongroom-{target.tcp_port}")
        return "connected"


def send_udp(target: Target) -> str:
    with socket.socket(type=socket.SOCK_DGRAM) as sender:
        sender.sendto(b"leak", (b"127.0.0.1", target.udp_port))
        return "sent"


def resolve_name(target: Target) -> str:
    return str(socket.getaddrinfo(b"localhost", 80))


def netlink(target: Target) -> str:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW):
        return "opened"


def receive_descriptor(target: Target) -> str:
    """A gateway turned traitor sends a descriptor along with its bytes."""
    time.sleep(HOLD_S)
    for descriptor in range(4, 16):
        message, control = _message()
        if libc.recvmsg(descriptor, ctypes.byref(message), socket.MSG_DONTWAIT) > 0 and message.control_size:
            return os.pread(array.array("i", control.raw[16:20])[0], 100, 0).decode()
    raise OSError("nothing came")


def send_descriptor(target: Target) -> str:
    for descriptor in range(4, 16):
        message, control = _message()
        control.raw = array.array("Q", [20]).tobytes() + array.array("i", [1, 1, 0, 0]).tobytes()
        if libc.sendmsg(descriptor, ctypes.byref(message), 0) > 0:
            return "sent"
    raise OSError("no channel")


# --- files -------------------------------------------------------------------------------------------------


def open_file(target: Target) -> str:
    return Path("/etc/passwd").read_text()[:20]


def open_by_proc(target: Target) -> str:
    return Path(f"/proc/{target.parent}/root{target.folder}/readable").read_text()


def list_folder(target: Target) -> str:
    return str(os.listdir(target.folder))


def stat_file(target: Target) -> str:
    return str(os.stat(f"{target.folder}/readable").st_size)


def write_file(target: Target) -> str:
    Path(target.marker).write_text("here")
    return "written"


def remove_file(target: Target) -> str:
    Path(target.folder, "removable").unlink()
    return "removed"


def use_inherited(target: Target) -> str:
    return os.pread(target.inherited, 100, 0).decode()


def read_environment(target: Target) -> str:
    start, end = target.environment
    found = [ctypes.string_at(start, end - start) if start else b"", *os.environb.values()]
    if target.secret.encode() not in b"".join(found):
        raise OSError("not there")
    return "secret read"


def read_environment_by_proc(target: Target) -> str:
    return _require_secret(Path("/proc/self/environ").read_bytes(), target)


def chroot(target: Target) -> str:
    os.chroot(target.folder)
    return "changed"


def change_folder(target: Target) -> str:
    os.chdir(target.folder)
    return "changed"


def mount(target: Target) -> str:
    check(int(libc.mount(b"none", f"{target.folder}/mountable".encode(), b"tmpfs", 0, None)))
    return "mounted"


# --- memory ------------------------------------------------------------------------------------------------


def memory_bomb(target: Target) -> str:
    held = [mmap.mmap(-1, 256 * 2**20) for _ in range(64)]
    return f"{len(held)} quarter GiB"


def writable_and_executable(target: Target) -> str:
    memory = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    memory.write(RETURN_42)
    return _run_code(ctypes.addressof(ctypes.c_char.from_buffer(memory)))


def make_executable(target: Target) -> str:
    memory = mmap.mmap(-1, 4096)
    memory.write(RETURN_42)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    check(int(libc.mprotect(ctypes.c_void_p(address), 4096, mmap.PROT_READ | mmap.PROT_EXEC)))
    return _run_code(address)


def make_executable_by_pkey(target: Target) -> str:
    memory = mmap.mmap(-1, 4096)
    memory.write(RETURN_42)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    call(329, 288, address, 4096, mmap.PROT_READ | mmap.PROT_EXEC, -1)
    return _run_code(address)


def executable_by_personality(target: Target) -> str:
    read_implies_exec = 0x0400000
    check(int(libc.personality(read_implies_exec)))
    return "set"


def map_code_from_memfd(target: Target) -> str:
    descriptor = os.memfd_create("code")
    os.write(descriptor, RETURN_42.ljust(4096, b"\0"))
    libc.mmap.restype = ctypes.c_void_p
    address = libc.mmap(None, 4096, mmap.PROT_READ | mmap.PROT_EXEC, mmap.MAP_PRIVATE, descriptor, 0)
    return _run_code(int(address))


def exec_memfd(target: Target) -> str:
    descriptor = os.memfd_create("program", 0)
    os.write(descriptor, f"#!/bin/sh\necho > {target.marker}\n".encode())
    os.execv(f"/proc/self/fd/{descriptor}", ["program"])  # noqa: S606


def rewrite_own_code(target: Target) -> str:
    """Page protection does not bind /proc/self/mem."""
    code = ctypes.cast(libc.getppid, ctypes.c_void_p).value or 0
    with open("/proc/self/mem", "r+b", buffering=0) as memory:
        memory.seek(code)
        kept = memory.read(1)
        memory.seek(code)
        memory.write(kept)
    return "written"


def shared_memory(target: Target) -> str:
    identity = call(29, 194, 0, 4096, 0o1600)
    call(31, 195, identity, 0, 0)  # IPC_RMID
    return "created"


# --- the kernel's surface ----------------------------------------------------------------------------------


def unshare_user(target: Target) -> str:
    check(int(libc.unshare(0x10000000)))
    return "unshared"


def join_namespace(target: Target) -> str:
    descriptor = os.open("/proc/self/ns/net", os.O_RDONLY)
    check(int(libc.setns(descriptor, 0)))
    return "joined"


def become_another_user(target: Target) -> str:
    os.setresuid(4711, 4711, 4711)
    return "changed"


def become_root(target: Target) -> str:
    os.setresuid(0, 0, 0)
    return "root"


def io_uring(target: Target) -> str:
    call(425, 425, 4, (ctypes.c_char * 120)())
    return "set up"


def bpf(target: Target) -> str:
    attributes = (ctypes.c_uint32 * 20)(2, 4, 4, 1)  # BPF_MAP_TYPE_ARRAY
    call(321, 280, 0, attributes, 80)
    return "map made"


def keyring(target: Target) -> str:
    session = -3
    call(248, 217, b"user", b"strongroom-test", b"x", 1, session)
    return "key added"


def performance_events(target: Target) -> str:
    attributes = (ctypes.c_uint32 * 32)(1, 128)  # PERF_TYPE_SOFTWARE
    call(298, 241, attributes, 0, -1, -1, 0)
    return "opened"


def user_faults(target: Target) -> str:
    call(323, 282, 1)
    return "opened"


def inject_terminal_input(target: Target) -> str:
    fcntl.ioctl(0, 0x5412, b"x")  # TIOCSTI
    return "injected"


def ask_device(target: Target) -> str:
    """Any ioctl at all: FIONREAD on the control channel."""
    fcntl.ioctl(3, 0x541B, b"\0\0\0\0")
    return "answered"


def listen_to_seccomp(target: Target) -> str:
    """Loosen: install a filter that allows, with a listener that decides."""
    program = (ctypes.c_uint16 * 4)(6, 0, 0, 0x7FFF)  # BPF_RET ALLOW, upper half of the constant
    header = (ctypes.c_uint64 * 2)(1, ctypes.addressof(program))
    check(int(libc.prctl(38, 1, 0, 0, 0)))
    call(317, 277, 1, 8, header)  # SECCOMP_FILTER_FLAG_NEW_LISTENER
    return "listening"


def be_dumpable_again(target: Target) -> str:
    check(int(libc.prctl(4, 1, 0, 0, 0)))
    return "dumpable"


def survive_parent(target: Target) -> str:
    check(int(libc.prctl(1, 0, 0, 0, 0)))
    return "no parent-death signal"


def new_session(target: Target) -> str:
    return f"session {os.setsid()}"


def set_clock(target: Target) -> str:
    time.clock_settime(time.CLOCK_REALTIME, time.clock_gettime(time.CLOCK_REALTIME))
    return "set"


def set_hostname(target: Target) -> str:
    socket.sethostname(socket.gethostname())
    return "set"


def endless_loop(target: Target) -> str:
    while True:
        pass


def endless_sleep(target: Target) -> str:
    time.sleep(3600)
    return "slept"


def crash(target: Target) -> str:
    ctypes.string_at(8, 1)
    return "read"


def abort(target: Target) -> str:
    os.abort()


class _Message(ctypes.Structure):
    """struct msghdr with one byte of data."""

    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_size", ctypes.c_uint32),
        ("vectors", ctypes.c_void_p),
        ("vector_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_size", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


def _message() -> tuple[_Message, Any]:
    """Made by hand: Python's sockets make calls of their own first, and would be stopped by those."""
    control = ctypes.create_string_buffer(24)
    data = ctypes.create_string_buffer(1)
    vector = (ctypes.c_void_p * 2)(ctypes.addressof(data), 1)
    message = _Message(None, 0, ctypes.addressof(vector), 1, ctypes.addressof(control), 24, 0)
    message.kept = (data, vector)
    return message, control


def _run_code(address: int) -> str:
    return f"own machine code returned {ctypes.CFUNCTYPE(ctypes.c_int)(address)()}"


def _require_secret(data: bytes, target: Target) -> str:
    if target.secret.encode() not in data:
        raise OSError("not the secret")
    return "secret read"


Payload = Callable[[Target], str]
ESCAPES: dict[str, Payload] = {
    function.__name__: function
    for function in (
        *(exec_shell, spawn, fork, vfork_by_clone3, fork_bomb, thread_bomb, kill_bystander, signal_parent),
        *(signal_by_pidfd, trace_bystander, read_parent_by_proc, read_parent_by_call, steal_descriptor),
        *(change_limits_of_others, raise_own_limits, pin_others, renice_others),
        *(connect_tcp, listen_tcp, connect_unix, connect_abstract, send_udp, resolve_name, netlink),
        *(receive_descriptor, send_descriptor, open_file, open_by_proc, list_folder, stat_file, write_file),
        *(remove_file, use_inherited, read_environment, read_environment_by_proc, chroot, change_folder),
        *(mount, memory_bomb, writable_and_executable, make_executable, make_executable_by_pkey),
        *(executable_by_personality, map_code_from_memfd, exec_memfd, rewrite_own_code, shared_memory),
        *(unshare_user, join_namespace, become_another_user, become_root, io_uring, bpf, keyring),
        *(performance_events, user_faults, inject_terminal_input, ask_device, listen_to_seccomp),
        *(be_dumpable_again, survive_parent, new_session, set_clock, set_hostname),
    )
}
ENDLESS: dict[str, Payload] = {"endless_loop": endless_loop, "endless_sleep": endless_sleep}
CRASHES: dict[str, Payload] = {"crash": crash, "abort": abort}
ALL = ESCAPES | ENDLESS | CRASHES

"""The gateway as a process: locked down, told what holds over its control channel, drained at the end."""

import contextlib
import ctypes
import os
import resource
import signal
import socket
import sys
from collections import deque
from pathlib import Path
from typing import Any

import uvloop

from strongroom.errors import InvalidError, OutageError, RejectedError, StrongroomError, shorten
from strongroom.serve import control, landlock
from strongroom.serve.gateway.book import Book
from strongroom.serve.gateway.gateway import Gateway
from strongroom.serve.gateway.limits import Limits
from strongroom.serve.gateway.listener import Listener, build_context

SWEEP_S = 0.2
STATS_S = 5.0
MAX_UNSENT = 256
SPARE_DESCRIPTORS = 128
SWITCH_INTERVAL_S = 0.0005

_PR_SET_DUMPABLE = 4  # linux/prctl.h
_PR_SET_NO_NEW_PRIVS = 38
_START_KEYS = frozenset(
    {"kind", "limits", "trusted_ca_pem", "trust_domain", "server_name", "journal_note", "log_origin"}
)


def lock_down() -> None:
    """No new privileges, no core file, no reading of this memory by others of the same user."""
    libc = ctypes.CDLL(None, use_errno=True)
    for option, value in ((_PR_SET_NO_NEW_PRIVS, 1), (_PR_SET_DUMPABLE, 0)):
        if libc.prctl(option, value, 0, 0, 0):
            raise OutageError(f"gateway: cannot lock itself: {os.strerror(ctypes.get_errno())}")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def shut_files() -> str:
    """Open no file, connect nowhere and signal nobody from here on; descriptors already open stay usable.

    Whoever takes this process over, through what comes in over the network, then has what it holds and
    nothing else of this machine (docs/threat-model.md). The interpreter still reads its own modules, for
    some are imported when they are first needed. Returns ``on``, or ``missing`` and why.
    """
    threads = len(os.listdir("/proc/self/task"))  # noqa: PTH208 - a directory of the kernel, not a path
    if threads != 1:
        return f"missing: {threads} threads existed before the lock"
    try:
        landlock.deny_all(_code_folders())
    except OSError as error:
        return f"missing: {error.strerror}"
    return "on"


def _code_folders() -> set[Path]:
    """The installed Python and packages, and this one, which may lie elsewhere."""
    return {Path(sys.base_prefix), Path(sys.prefix), Path(__file__).parents[2]}


def _raise_descriptors(wanted: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        if hard != resource.RLIM_INFINITY and hard < wanted:
            raise InvalidError(f"limits: {wanted} descriptors needed, the system allows {hard}")
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class Process:
    """Ties gateway, listener and control channel together. `run` returns when drained or orphaned."""

    def __init__(self, control_fd: int) -> None:
        self._channel = socket.socket(fileno=control_fd)
        self._channel.setblocking(True)
        self._unsent: deque[dict[str, Any]] = deque()
        self._ready = False
        self._drain_by_s: float | None = None

    def run(self) -> None:
        """Shake hands with the supervisor, then serve.

        Raises:
            StrongroomError: the start message is not one; the supervisor has been told.
        """
        # The thread that waits for the disk asks for its turn; the loop's thread must not keep it for long.
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        self._loop = uvloop.new_event_loop()
        try:
            self._start()
        except StrongroomError as error:
            control.send(self._channel, {"kind": "failed", "family": error.family, "message": error.message})
            raise
        self._channel.setblocking(False)
        self._loop.add_reader(self._channel, self._on_control)
        self._loop.add_signal_handler(signal.SIGTERM, self._drain)
        self._loop.call_later(SWEEP_S, self._sweep)
        self._loop.call_later(STATS_S, self._send_stats)
        try:
            self._loop.run_forever()
        finally:
            self._gateway.close()
            self._book.close()
        with contextlib.suppress(OutageError):
            self._channel.setblocking(True)
            control.send(self._channel, {"kind": "drained"})

    def _start(self) -> None:
        # (1) a key for the journal, before anything can be recorded in it
        self._book = Book()
        control.send(
            self._channel, {"kind": "hello", "journal": self._book.name, "public_pem": self._book.public_pem}
        )
        # (2) what to serve with
        received = control.receive(self._channel)
        if received is None:
            raise OutageError("gateway: the supervisor is gone")
        message, descriptors = received
        if message.get("kind") != "start" or message.keys() != _START_KEYS or len(descriptors) != 3:
            raise InvalidError("gateway: not a start message")
        listener, journals, certificate = descriptors
        durability, limits = _parse_limits(message["limits"])
        _raise_descriptors(limits.max_connections + SPARE_DESCRIPTORS)
        context = build_context(message["trusted_ca_pem"], certificate)
        os.close(certificate)
        # (3) the journal is there before the first connection
        self._book.durable = durability == "strict"
        self._book.open(journals)
        os.close(journals)
        # (4) nothing more is opened; before the first thread, which would stay outside
        self._tell({"kind": "locked", "layers": {"landlock": shut_files()}})
        note = message["journal_note"].encode()
        self._gateway = Gateway(
            self._loop, limits, self._book, message["trust_domain"], note, message["server_name"], self._tell
        )
        self._listener = Listener(self._loop, self._gateway, context)
        self._trusted_ca_pem: str = message["trusted_ca_pem"]
        self._listener.start(listener)

    # -- control ---------------------------------------------------------------------------------------

    def _on_control(self) -> None:
        try:
            received = control.receive(self._channel)
        except BlockingIOError:
            return
        except (OSError, RejectedError):
            received = None
        if received is None:
            # Orphaned: nobody would tell us of a revocation any more.
            self._loop.remove_reader(self._channel)
            self._drain()
            return
        message, descriptors = received
        try:
            self._obey(message, descriptors)
        except (StrongroomError, KeyError, TypeError, ValueError) as error:
            reason = error.message if isinstance(error, StrongroomError) else "malformed"
            self._tell({"kind": "refused", "message": f"{shorten(message.get('kind'))}: {reason}"})
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def _obey(self, message: dict[str, Any], descriptors: list[int]) -> None:
        """Take what a message brings out of ``descriptors``; the rest is closed."""
        match message.get("kind"), len(descriptors):
            case "snapshot", 0:
                self._gateway.take_snapshot(message)
            case "worker", 1:
                self._gateway.take_worker(message["model"], message["digest"], os.dup(descriptors[0]))
            case "tls", 1:
                self._listener.context = build_context(self._trusted_ca_pem, descriptors[0])
            case "drain", 0:
                self._drain()
            case _:
                raise InvalidError("unknown message")
        if not self._ready and self._gateway.is_ready:
            self._ready = True
            self._tell({"kind": "ready"})

    def _tell(self, message: dict[str, Any]) -> None:
        """Send to the supervisor without waiting for it; what it cannot take now is sent later."""
        if len(self._unsent) < MAX_UNSENT:
            self._unsent.append(message)
        self._send_pending()

    def _send_pending(self) -> None:
        while self._unsent:
            try:
                control.send(self._channel, self._unsent[0])
            except OutageError:
                return
            self._unsent.popleft()

    def _send_stats(self) -> None:
        self._tell(self._gateway.stats())
        self._loop.call_later(STATS_S, self._send_stats)

    # -- deadlines and the end -------------------------------------------------------------------------

    def _sweep(self) -> None:
        try:
            self._gateway.sweep()
        except Exception as error:
            # Without the next sweep no deadline would hold any more.
            self._gateway.fault(error)
        self._send_pending()
        if self._gateway.is_lost:
            self._drain()
        if self._drain_by_s is not None and self._is_drained(self._drain_by_s):
            self._loop.stop()
            return
        self._loop.call_later(SWEEP_S, self._sweep)

    def _drain(self) -> None:
        if self._drain_by_s is not None:
            return
        self._drain_by_s = self._loop.time() + self._gateway.limits.drain_timeout_s
        self._gateway.draining = True
        self._listener.stop()
        for connection in list(self._gateway.connections):
            connection.close_if_idle()

    def _is_drained(self, drain_by_s: float) -> bool:
        if self._loop.time() >= drain_by_s:
            return True
        return not self._gateway.connections and not self._gateway.is_busy


def _parse_limits(value: object) -> tuple[str, Limits]:
    if not isinstance(value, dict):
        raise InvalidError("limits: not an object")
    durability = value.get("durability", "strict")
    if durability not in ("strict", "insecure-relaxed"):
        raise InvalidError(f"limits: durability {shorten(durability)} is unknown")
    return durability, Limits.parse({name: limit for name, limit in value.items() if name != "durability"})

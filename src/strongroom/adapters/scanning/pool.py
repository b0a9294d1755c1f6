"""Several files at a time, each judged in a child process with bounded memory and time.

A scanner that crashes, hangs or swells on a hostile file costs that file, which is then refused.
"""

import multiprocessing
import resource
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

from strongroom.adapters.scanning.tree import Source
from strongroom.errors import StrongroomError
from strongroom.scan.place import Place
from strongroom.scan.scan import Match
from strongroom.scan.scanners import load_all
from strongroom.scan.unread import BROKE
from strongroom.scan.upload import Part, scan_part

FILE_TIMEOUT_S = 600.0
MEMORY_BYTES = 4 * 2**30
"""Address space of a child beyond what it starts with."""

Done = Callable[[str], None]


@dataclass
class _Child:
    process: Any
    pipe: Connection
    path: str | None = None
    since: float = 0.0


def scan_parts(
    entries: Mapping[str, Source],
    jobs: int,
    begin: Callable[[], Done] | None = None,
    timeout_s: float = FILE_TIMEOUT_S,
) -> Sequence[Part]:
    """Scan every file in up to ``jobs`` processes; returns a part a file, in no order.

    ``begin`` is called once they run, and may start threads; what it returns hears of each path that is done.
    """
    if len(entries) > 1:
        load_all()  # once, before the children are forked
    waiting = sorted(entries, key=lambda path: entries[path][1])  # the largest first: taken from the end
    children: list[_Child] = []
    parts: list[Part] = []
    try:
        children += [_start(entries) for _ in range(min(jobs, len(waiting)))]
        done = begin() if begin is not None else None
        while waiting or any(child.path is not None for child in children):
            _hand_out(entries, children, waiting, jobs)
            for child in _settled(children, timeout_s):
                path, part = child.path or "", _receive(child)
                parts.append(part or _broken(path))
                child.path = None
                if part is None:
                    _end(child)
                    children.remove(child)
                if done is not None:
                    done(path)
    finally:
        for child in children:
            _end(child)
    return parts


def _hand_out(entries: Mapping[str, Source], children: list[_Child], waiting: list[str], jobs: int) -> None:
    while waiting:
        idle = next((child for child in children if child.path is None), None)
        if idle is None:
            if len(children) >= max(1, jobs):
                return
            idle = _start(entries)
            children.append(idle)
        idle.path, idle.since = waiting.pop(), time.monotonic()
        with suppress(OSError):  # it died; `_settled` sees that
            idle.pipe.send(idle.path)


def _settled(children: list[_Child], timeout_s: float) -> list[_Child]:
    """Wait until a child has answered, died or taken too long; return those."""
    busy = [child for child in children if child.path is not None]
    oldest = min(child.since for child in busy)
    ready = wait([child.pipe for child in busy], max(0.0, oldest + timeout_s - time.monotonic()))
    now = time.monotonic()
    return [child for child in busy if child.pipe in ready or now - child.since >= timeout_s]


def _receive(child: _Child) -> Part | None:
    try:
        answer = child.pipe.recv() if child.pipe.poll() else None
    except (EOFError, OSError):
        return None
    return answer if isinstance(answer, Part) else None


def _broken(path: str) -> Part:
    match = Match(BROKE, Place(path), "made the scanner crash, hang or run out of memory")
    return Part({}, (match,), frozenset(), 0)


def _start(entries: Mapping[str, Source]) -> _Child:
    # Forked where that is safe: the scanners are imported already. A program with threads gets a fresh one.
    context: Any = multiprocessing.get_context("fork" if threading.active_count() == 1 else "spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, entries), daemon=True)
    process.start()
    theirs.close()
    return _Child(process, ours)


def _end(child: _Child) -> None:
    child.pipe.close()
    child.process.kill()
    child.process.join()


def _serve(pipe: Connection, entries: Mapping[str, Source]) -> None:
    """In the child: answer each path with its part."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _bound_memory()
    while True:
        try:
            path = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            pipe.send(scan_part(entries, [path]))
        except (StrongroomError, MemoryError, RecursionError):
            pipe.send(None)


def _bound_memory() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    wanted = used + MEMORY_BYTES
    if hard == resource.RLIM_INFINITY or wanted < hard:
        resource.setrlimit(resource.RLIMIT_DATA, (wanted, hard))

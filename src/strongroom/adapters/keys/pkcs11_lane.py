"""One thread a PKCS #11 library: it is never entered twice at once, and who waits for it waits only so long.

A library is C code that may hang on a cable that was pulled, and the binding promises it only one caller at a
time. A forked child begins anew, with a thread, a start of the library and a login of its own.
"""

import os
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any, TypeVar

import pkcs11

from strongroom.errors import OutageError

_Result = TypeVar("_Result")
Library = Any
"""`pkcs11.lib`: a function until it is called, so it has no type to name."""
_Job = tuple["Future[Any]", Callable[[Library], Any]]
_LANES: dict[str, "Lane"] = {}
_STARTED_IN: dict[str, int] = {}
"""The process that started each library."""

os.register_at_fork(after_in_child=_LANES.clear)


def lane_of(module: str) -> "Lane":
    """Return the lane of a library in this process. Two paths to one file are one library: it starts once."""
    found = os.path.realpath(module)
    return _LANES.setdefault(found, Lane(found))


class Lane:
    """Calls into one library, in the order in which they were asked for."""

    def __init__(self, module: str) -> None:
        self._module = module
        self._jobs: SimpleQueue[_Job] = SimpleQueue()
        self._starting = Lock()
        self._thread: Thread | None = None
        self._busy_since: float | None = None
        self.shelf: dict[object, Any] = {}
        """What callers keep for as long as this lane lasts, such as sessions."""

    def call(self, function: Callable[[Library], _Result], deadline_s: float) -> _Result:
        """Return ``function(library)``, run in the lane's thread; what it raises passes.

        Raises:
            OutageError: it did not return in time. What it was doing may still happen.
        """
        busy_since = self._busy_since
        if busy_since is not None and time.monotonic() - busy_since > deadline_s:
            raise self._silent(deadline_s)
        self._start()
        future: Future[_Result] = Future()
        self._jobs.put((future, function))
        try:
            return future.result(timeout=deadline_s)
        except TimeoutError:
            future.cancel()
            raise self._silent(deadline_s) from None

    def _silent(self, deadline_s: float) -> OutageError:
        return OutageError(f"pkcs11: {self._module} did not answer within {deadline_s:g} s")

    def _start(self) -> None:
        with self._starting:
            if self._thread is None:
                self._thread = Thread(target=self._work, name="pkcs11", daemon=True)
                self._thread.start()

    def _work(self) -> None:
        while True:
            future, function = self._jobs.get()
            if not future.set_running_or_notify_cancel():
                continue
            self._busy_since = time.monotonic()
            try:
                future.set_result(function(self._library()))
            except BaseException as error:
                future.set_exception(error)
            finally:
                self._busy_since = None
            del future, function

    def _library(self) -> Library:
        library = pkcs11.lib(self._module)
        if _STARTED_IN.setdefault(self._module, os.getpid()) != os.getpid():
            self.restart(library)
            _STARTED_IN[self._module] = os.getpid()
        return library

    def restart(self, library: Library) -> None:
        """End every session and start the library again; all who use it log in anew. Only in the lane."""
        self.shelf.clear()
        with suppress(pkcs11.PKCS11Error):
            library.finalize()
        library.initialize()

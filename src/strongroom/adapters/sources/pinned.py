"""Files of a place that cannot change: fetched when they are first read, into memory, and checked before use.

Nothing of a model reaches a disk on its way here (I1). One file at a time is held: it is let go of once the
seal is done with it.
"""

import fnmatch
import hashlib
import os
import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from strongroom.errors import InvalidError, OutageError, RejectedError, shorten
from strongroom.ports import SourceFile
from strongroom.trust.provenance import MAX_PATTERNS, Provenance
from strongroom.values import Digest

MAX_FILES = 4096
MAX_FILE_BYTES = 2**40
MAX_DEPTH = 16
MAX_PATH_CHARS = 1024

_MEMORY = Path("/proc/meminfo")

Write = Callable[[bytes], None]
Fetch = Callable[[Write], None]


class Hash(Protocol):
    def update(self, data: bytes, /) -> None: ...

    def hexdigest(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Promise:
    """What a place says of a file: its size, and the SHA-256 or the git object id that it must have."""

    path: str
    size: int
    sha256: Digest | None = None
    blob: str = ""
    """40 hexadecimal digits."""

    def __post_init__(self) -> None:
        parts = self.path.split("/")
        bad = any(part in ("", ".", "..") or part.casefold() == ".git" for part in parts)
        if bad or len(self.path) > MAX_PATH_CHARS or not self.path.isprintable() or "\\" in self.path:
            raise RejectedError(f"{shorten(self.path)}: is no name that a file may have")
        if len(parts) > MAX_DEPTH or not 0 <= self.size <= MAX_FILE_BYTES:
            raise RejectedError(f"{shorten(self.path)}: is nested too deep, or too large")
        if (self.sha256 is None) == (not self.blob):
            raise RejectedError(f"{shorten(self.path)}: is promised by no digest, or by two")

    def begin(self) -> Hash:
        if self.sha256 is not None:
            return hashlib.sha256()
        return begin_object("blob", self.size)

    def require(self, found: Hash) -> None:
        wanted = self.sha256.hex if self.sha256 is not None else self.blob
        if found.hexdigest() != wanted:
            raise RejectedError(f"{shorten(self.path)}: is not what was promised, {wanted}")


def begin_object(kind: str, size: int) -> Hash:
    """Return the hash of a git object after its header (git-scm.com, Git Internals, Git Objects)."""
    begun = hashlib.sha1(usedforsecurity=False)
    begun.update(f"{kind} {size}\0".encode())
    return begun


class PinnedFile:
    """See `ports.SourceFile`; safe to read from several threads."""

    def __init__(self, promise: Promise, fetch: Fetch) -> None:
        self.path = promise.path
        self.size = promise.size
        self.promise = promise
        self._fetch = fetch
        self._descriptor = -1
        self._lock = threading.Lock()

    def renamed(self, path: str) -> "PinnedFile":
        """Return the same file under another name."""
        return PinnedFile(replace(self.promise, path=path), self._fetch)

    def read_into(self, offset: int, buffer: memoryview) -> int:
        with self._lock:
            if self._descriptor < 0:
                self._descriptor = self._fetched()
        done = 0
        while done < len(buffer):
            count = os.preadv(self._descriptor, [buffer[done:]], offset + done)
            if count == 0:
                break
            done += count
        return done

    def require_unchanged(self) -> None:
        """It was checked before the first byte was given out; the memory is let go of."""
        self.close()

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _fetched(self) -> int:
        if not hasattr(os, "memfd_create"):
            raise InvalidError("publish: fetches only on Linux, where memory can be a file")
        if self.size > (room := find_room()):
            raise OutageError(f"{shorten(self.path)}: needs {self.size} bytes of memory, {room} are free")
        descriptor = os.memfd_create("strongroom-source", os.MFD_CLOEXEC)
        try:
            hashed, left = self.promise.begin(), self.size

            def write(piece: bytes) -> None:
                nonlocal left
                left -= len(piece)
                if left < 0:
                    raise RejectedError(f"{shorten(self.path)}: is longer than promised")
                hashed.update(piece)
                write_all(descriptor, piece)

            self._fetch(write)
            if left:
                raise OutageError(f"{shorten(self.path)}: {left} bytes short", hint="try again")
            self.promise.require(hashed)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor


class PinnedSource:
    """See `ports.ModelSource`. ``provenance`` says where it is from, ``promised`` what must come out."""

    def __init__(
        self, files: Sequence[PinnedFile], provenance: Provenance, done: Callable[[], None] = lambda: None
    ) -> None:
        """``done`` is called when it is closed."""
        if not files:
            raise InvalidError(f"{provenance}: holds no file")
        if len(files) > MAX_FILES or len({file.path for file in files}) != len(files):
            raise RejectedError(f"{provenance}: has more than {MAX_FILES} files, or one twice")
        self._files = sorted(files, key=lambda file: file.path.encode())
        self._done = done
        self.provenance = provenance
        self.promised = {
            file.path: file.promise.sha256 for file in self._files if file.promise.sha256 is not None
        }

    @property
    def files(self) -> list[SourceFile]:
        return list(self._files)

    def close(self) -> None:
        for file in self._files:
            file.close()
        self._done()


def choose(paths: Sequence[str], folder: str, only: Sequence[str]) -> dict[str, str]:
    """Return the paths below ``folder`` (or that file) that a pattern fits, by the name they get.

    Raises:
        InvalidError: nothing is there, or a pattern fits nothing.
    """
    if len(only) > MAX_PATTERNS:
        raise InvalidError(f"only: more than {MAX_PATTERNS} patterns")
    start = f"{folder}/" if folder else ""
    found = {path: path.removeprefix(start) for path in paths if path.startswith(start)}
    if folder in paths:
        found = {folder: folder.rpartition("/")[2]}
    if not found:
        raise InvalidError(f"{shorten(folder)}: no such file or folder there")
    for pattern in only:
        if not any(fnmatch.fnmatchcase(name, pattern) for name in found.values()):
            raise InvalidError(f"only: {shorten(pattern)} fits no file there")
    if only:
        fits = {path for path, name in found.items() if any(fnmatch.fnmatchcase(name, one) for one in only)}
        found = {path: name for path, name in found.items() if path in fits}
    return found


def find_room() -> int:
    """Return how many bytes of memory are free for what is fetched; half of all is left to others."""
    try:
        found = re.search(r"MemAvailable: +([0-9]+) kB", _MEMORY.read_text())
    except OSError:
        found = None
    return int(found[1]) * 1024 // 2 if found else 2**30


def write_all(descriptor: int, piece: bytes) -> None:
    """Raises OutageError: memory is full."""
    view = memoryview(piece)
    while view:
        try:
            view = view[os.write(descriptor, view) :]
        except OSError as error:
            raise OutageError(f"memory: {error.strerror}") from None

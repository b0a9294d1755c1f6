"""What lies under a path on this machine, opened only when it is looked at."""

import os
import stat
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from strongroom.artifact.protobuf import ReadAt
from strongroom.errors import InvalidError, OutageError, RejectedError, shorten
from strongroom.scan.place import Place
from strongroom.scan.scan import Match
from strongroom.scan.unread import LINK, ODD

MAX_FILES = 200_000
MAX_DEPTH = 64
OPEN_FILES = 64
VERSION_CONTROL = frozenset({".git", ".hg", ".svn"})
"""Not part of what is checked out; skipped in a scan, and said to be."""

Source = tuple[ReadAt, int]


@dataclass
class Tree(Mapping[str, Source]):
    """The files under ``root`` by relative path; a file alone is a tree of one.

    ``links`` are symbolic links, ``odd`` what is neither a file nor a folder or may not be read; neither is
    in the mapping. With ``follow_links`` a link to a plain file stands for that file.
    """

    root: Path
    follow_links: bool = False
    sizes: dict[str, int] = field(default_factory=dict)
    links: list[str] = field(default_factory=list)
    odd: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    _open: OrderedDict[str, int] = field(default_factory=OrderedDict)

    def __post_init__(self) -> None:
        """Raises InvalidError: there is nothing under ``root``, or more than MAX_FILES files."""
        try:
            status = self.root.stat() if self.follow_links else self.root.lstat()
        except OSError as error:
            raise InvalidError(f"{shorten(self.root)}: {(error.strerror or '').lower()}") from None
        if stat.S_ISDIR(status.st_mode):
            self._folder = self.root
            self._walk("", 0)
        else:
            self._folder = self.root.parent
            self._note(self.root.name, status)

    def __getitem__(self, path: str) -> Source:
        size_bytes = self.sizes[path]
        return (lambda offset, size: self._read(path, offset, size)), size_bytes

    def __iter__(self) -> Iterator[str]:
        return iter(self.sizes)

    def __len__(self) -> int:
        return len(self.sizes)

    def __getstate__(self) -> dict[str, Any]:
        """For a process of its own, which opens files itself."""
        return {**self.__dict__, "_open": OrderedDict()}

    def matches(self) -> tuple[Match, ...]:
        """What has no content to scan and does not belong in a model."""
        links = [Match(LINK, Place(path), "is a symbolic link") for path in self.links]
        odd = [Match(ODD, Place(path), "is a device, a pipe, or may not be read") for path in self.odd]
        return (*links, *odd)

    def close(self) -> None:
        while self._open:
            os.close(self._open.popitem()[1])

    def _walk(self, prefix: str, depth: int) -> None:
        if depth > MAX_DEPTH:
            self.odd.append(prefix)
            return
        try:
            found = sorted(os.scandir(self._folder / prefix), key=lambda entry: entry.name)
        except OSError:
            self.odd.append(prefix or ".")
            return
        for entry in found:
            path = prefix + entry.name
            status = entry.stat(follow_symlinks=False)
            if stat.S_ISLNK(status.st_mode) and self.follow_links:
                try:
                    status = entry.stat()
                except OSError:
                    self.odd.append(path)
                    continue
                if stat.S_ISDIR(status.st_mode):
                    self.links.append(path)  # folders are not followed: they may lead round in a circle
                    continue
            if not stat.S_ISDIR(status.st_mode):
                self._note(path, status)
            elif entry.name in VERSION_CONTROL:
                self.skipped.append(path)
            else:
                self._walk(path + "/", depth + 1)

    def _note(self, path: str, status: os.stat_result) -> None:
        if stat.S_ISLNK(status.st_mode):
            self.links.append(path)
        elif stat.S_ISREG(status.st_mode):
            self.sizes[path] = status.st_size
        else:
            self.odd.append(path)
        if len(self.sizes) > MAX_FILES:
            raise InvalidError(f"{shorten(self.root)}: more than {MAX_FILES} files", hint="scan its parts")

    def _read(self, path: str, offset: int, size: int) -> bytes:
        descriptor = self._open.get(path)
        try:
            if descriptor is None:
                descriptor = self._open_file(path)
            self._open.move_to_end(path)
            return os.pread(descriptor, size, offset)
        except OSError as error:
            raise OutageError(f"{shorten(path)}: {(error.strerror or 'cannot be read').lower()}") from None

    def _open_file(self, path: str) -> int:
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
        descriptor = os.open(self._folder / path, flags if self.follow_links else flags | os.O_NOFOLLOW)
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size != self.sizes[path]:
            os.close(descriptor)
            raise RejectedError(f"{shorten(path)}: changed while it was scanned")
        if len(self._open) >= OPEN_FILES:
            os.close(self._open.popitem(last=False)[1])
        self._open[path] = descriptor
        return descriptor

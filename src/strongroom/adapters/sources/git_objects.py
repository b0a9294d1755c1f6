"""Objects of a git repository, each checked against its id: nothing that git says of them is believed."""

import os
import re
import select
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from strongroom.adapters.sources.git_process import build_environment, start, stop
from strongroom.adapters.sources.pinned import MAX_DEPTH, MAX_FILES, Write, begin_object
from strongroom.errors import InvalidError, OutageError, RejectedError, shorten

MAX_COMMIT_BYTES = 2**20
MAX_TREE_BYTES = 8 * 2**20
MAX_ENTRIES = 16 * MAX_FILES
"""Of all trees of a commit together."""
STALL_S = 60.0
"""Without a byte."""
PLAIN, EXECUTABLE, LINK, SUBMODULE, FOLDER = "100644", "100755", "120000", "160000", "40000"
_MODES = {"100644", "100664", "100755", "120000", "160000", "40000"}
_HEADER = re.compile(rb"([0-9a-f]{40}) (commit|tree|blob|tag) ([0-9]{1,15})\n")
_TREE_LINE = re.compile(rb"tree ([0-9a-f]{40})\n")
_TAG_LINE = re.compile(rb"object ([0-9a-f]{40})\ntype commit\n")
_PIECE_BYTES = 2**20
_MAX_HEADER_BYTES = 256


@dataclass(frozen=True, slots=True)
class TreeEntry:
    path: str
    mode: str
    object: str


class GitObjects:
    """Reads objects by id from a repository of ours that knows where others keep theirs."""

    def __init__(self, folder: Path, elsewhere: Path | None = None) -> None:
        """``elsewhere``: folder with the objects of another repository, of which nothing else is read."""
        environment = build_environment()
        if elsewhere is not None:
            environment["GIT_ALTERNATE_OBJECT_DIRECTORIES"] = _quoted(elsewhere)
        self._child = start(folder, ["cat-file", "--batch"], environment)
        self._sizes = start(folder, ["cat-file", "--batch-check"], environment)

    def close(self) -> None:
        stop(self._child)
        stop(self._sizes)

    def find(self, name: str) -> tuple[str, int] | None:
        """Return kind and size as git says them, or None if the object is not there."""
        return self._ask(self._sizes, name)

    def read(self, name: str, kind: str, limit: int) -> bytes:
        """Return a whole object, checked. Raises InvalidError if it is missing, RejectedError for another."""
        pieces: list[bytes] = []
        hashed = begin_object(kind, self._require(name, kind, limit))

        def write(piece: bytes) -> None:
            hashed.update(piece)
            pieces.append(piece)

        self._stream(name, kind, limit, write)
        if hashed.hexdigest() != name:
            raise RejectedError(f"git: object {name} is another")
        return b"".join(pieces)

    def stream_blob(self, name: str, size: int, write: Write) -> None:
        """Give a file's bytes to ``write``, unchecked: the reader compares the id."""
        self._stream(name, "blob", size, write)

    def _require(self, name: str, kind: str, limit: int) -> int:
        found = self.find(name)
        if found is None:
            raise InvalidError(f"git: {name} is not there", hint="fetch it first: git fetch origin COMMIT")
        if found[0] != kind:
            raise InvalidError(f"git: {name} is a {found[0]}, not a {kind}")
        if found[1] > limit:
            raise RejectedError(f"git: {kind} {name} is larger than {limit} bytes")
        return found[1]

    def _stream(self, name: str, kind: str, limit: int, write: Write) -> None:
        self._require(name, kind, limit)
        found = self._ask(self._child, name)
        if found is None or found[0] != kind or found[1] > limit:
            raise RejectedError(f"git: object {name} is another than it was")
        left = found[1]
        while left:
            piece = _read(self._child, min(left, _PIECE_BYTES))
            left -= len(piece)
            write(piece)
        if _read(self._child, 1) != b"\n":
            raise RejectedError(f"git: object {name} is longer than it says")

    @staticmethod
    def _ask(child: "subprocess.Popen[bytes]", name: str) -> tuple[str, int] | None:
        assert child.stdin is not None  # noqa: S101 - a pipe, as started
        with suppress(BrokenPipeError):
            child.stdin.write(f"{name}\n".encode())
            child.stdin.flush()
        line = b""
        while not line.endswith(b"\n") and len(line) < _MAX_HEADER_BYTES:
            line += _read(child, 1)
        if line == f"{name} missing\n".encode():
            return None
        match = _HEADER.fullmatch(line)
        if match is None or match[1] != name.encode():
            raise OutageError(f"git: does not answer as it should: {shorten(line.decode(errors='replace'))}")
        return match[2].decode(), int(match[3])


def read_tree_of(objects: GitObjects, commit: str) -> tuple[bytes, list[TreeEntry]]:
    """Return the commit itself, and every entry below its tree, folders left out.

    Raises:
        InvalidError: the commit is not there.
        RejectedError: an object is not the one of its id, or there are too many, or they are malformed.
    """
    content = objects.read(commit, "commit", MAX_COMMIT_BYTES)
    match = _TREE_LINE.match(content)
    if match is None:
        raise RejectedError(f"git: commit {commit} is malformed")
    found: list[TreeEntry] = []
    left = [("", match[1].decode(), 0)]
    seen = 0
    while left:
        prefix, tree, depth = left.pop()
        if depth > MAX_DEPTH:
            raise RejectedError(f"git: {shorten(prefix)}: nested deeper than {MAX_DEPTH} folders")
        for entry in parse_tree(objects.read(tree, "tree", MAX_TREE_BYTES), prefix):
            seen += 1
            if seen > MAX_ENTRIES:
                raise RejectedError(f"git: commit {commit} has more than {MAX_ENTRIES} entries")
            if entry.mode == FOLDER:
                left.append((f"{entry.path}/", entry.object, depth + 1))
            else:
                found.append(entry)
    return content, found


def parse_tree(content: bytes, prefix: str) -> list[TreeEntry]:
    """Return the entries of a tree object: mode, space, name, NUL, 20 bytes of id."""
    entries, at = [], 0
    while at < len(content):
        space, end = content.find(b" ", at, at + 8), content.find(b"\0", at)
        if space < 0 or end < space or end + 21 > len(content):
            raise RejectedError("git: a tree is malformed")
        try:
            mode, name = content[at:space].decode("ascii"), content[space + 1 : end].decode()
        except UnicodeDecodeError:
            raise RejectedError("git: a name in a tree is not UTF-8") from None
        if mode not in _MODES or not name or "/" in name:
            raise RejectedError(f"git: a tree has an entry that is none: {shorten(mode)} {shorten(name)}")
        entries.append(TreeEntry(prefix + name, mode, content[end + 1 : end + 21].hex()))
        at = end + 21
    if len({entry.path for entry in entries}) != len(entries):
        raise RejectedError("git: a tree has a name twice")
    return entries


def find_commit(objects: GitObjects, name: str) -> str | None:
    """Return the commit that an object is, or that a tag of it names."""
    found = objects.find(name)
    if found is None or found[0] not in ("commit", "tag"):
        return None
    if found[0] == "commit":
        return name
    match = _TAG_LINE.match(objects.read(name, "tag", MAX_COMMIT_BYTES))
    return match[1].decode() if match else None


def _read(child: "subprocess.Popen[bytes]", size: int) -> bytes:
    """Return 1 to ``size`` bytes. Raises OutageError: it ended, or said nothing for STALL_S."""
    assert child.stdout is not None  # noqa: S101 - a pipe, as started
    descriptor = child.stdout.fileno()
    end = time.monotonic() + STALL_S
    while not select.select([descriptor], [], [], max(0.0, end - time.monotonic()))[0]:
        if time.monotonic() >= end:
            raise OutageError(f"git: said nothing for {STALL_S:.0f} s")
    piece = os.read(descriptor, size)
    if not piece:
        raise OutageError("git: ended before it was done")
    return piece


def _quoted(folder: Path) -> str:
    """As git reads it: a list with ':' between, where what begins with '"' is a C string."""
    text = str(folder)
    if any(char in text for char in '\n"\\'):
        raise InvalidError(f"{shorten(text)}: git repositories with such a name are not read")
    return f'"{text}"'

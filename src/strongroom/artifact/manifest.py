"""The manifest: which files a model consists of, in one order, with one digest over all of it."""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from strongroom import canonical
from strongroom.errors import RejectedError, shorten
from strongroom.values import Digest

MAX_ENTRIES = 4096
MAX_PATH_BYTES = 1024
MAX_PATH_SEGMENTS = 32
MAX_ENTRY_BYTES = 2**40
"""1 TiB, the limit of sealed/1."""

_FORMAT = "strongroom/manifest/1"
_FORBIDDEN_CHARS = frozenset('\\:*?"<>|')
"""Separators and wild cards of some system: such a name would mean different files on different machines."""


def require_path(path: str) -> str:
    """Return ``path`` if it is one plain relative path with ``/`` between segments.

    Raises:
        RejectedError: absolute, ``.``/``..``/empty segments, backslash, drive letter, control or direction
            characters, not in Unicode NFC, or too long.
    """
    if not path:
        raise RejectedError("entry: the path is empty")
    try:
        size = len(path.encode())
    except UnicodeEncodeError:
        raise RejectedError(f"entry {shorten(path)}: the path is not Unicode text") from None
    if size > MAX_PATH_BYTES:
        raise RejectedError(f"entry {shorten(path)}: the path is longer than {MAX_PATH_BYTES} bytes")
    if unicodedata.normalize("NFC", path) != path:
        raise RejectedError(f"entry {shorten(path)}: the path is not in Unicode normal form NFC")
    # Category C: controls, direction overrides, surrogates, private use; Zl and Zp: line ends.
    if any(unicodedata.category(c)[0] == "C" or unicodedata.category(c) in ("Zl", "Zp") for c in path):
        raise RejectedError(f"entry {shorten(path)}: the path has control characters")
    if not _FORBIDDEN_CHARS.isdisjoint(path):
        raise RejectedError(f"entry {shorten(path)}: the path has one of {''.join(sorted(_FORBIDDEN_CHARS))}")
    _require_segments(path)
    return path


def require_paths(paths: Iterable[str]) -> tuple[str, ...]:
    """Return the paths in manifest order (by UTF-8 bytes) if they can live together in one model.

    Raises:
        RejectedError: none or more than MAX_ENTRIES, a path that `require_path` refuses, two that differ
            only in case or Unicode form, or one that is the folder of another.
    """
    found: dict[str, str] = {}
    for path in paths:
        folded = _fold(require_path(path))
        if folded in found:
            raise RejectedError(f"entry {shorten(path)}: clashes with {shorten(found[folded])}")
        found[folded] = path
        if len(found) > MAX_ENTRIES:
            raise RejectedError(f"manifest: more than {MAX_ENTRIES} entries")
    if not found:
        raise RejectedError("manifest: no entries")
    for folded, path in found.items():
        parent = folded.rpartition("/")[0]
        while parent:
            if parent in found:
                raise RejectedError(
                    f"entry {shorten(path)}: {shorten(found[parent])} is a file, not a folder"
                )
            parent = parent.rpartition("/")[0]
    return tuple(sorted(found.values(), key=str.encode))


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of a model as it was handed over."""

    path: str
    size_bytes: int
    sha256: Digest

    def __post_init__(self) -> None:
        require_path(self.path)
        if not 0 <= self.size_bytes <= MAX_ENTRY_BYTES:
            raise RejectedError(f"entry {shorten(self.path)}: the size is not within 0 and {MAX_ENTRY_BYTES}")


@dataclass(frozen=True, slots=True)
class Manifest:
    """All files of one version, ordered by the UTF-8 bytes of their paths."""

    entries: tuple[Entry, ...]

    def __post_init__(self) -> None:
        paths = tuple(entry.path for entry in self.entries)
        if require_paths(paths) != paths:
            raise RejectedError("manifest: entries are not in the order of their paths")

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> "Manifest":
        """Build one from entries in any order."""
        return cls(tuple(sorted(entries, key=lambda entry: entry.path.encode())))

    @property
    def size_bytes(self) -> int:
        return sum(entry.size_bytes for entry in self.entries)

    @property
    def digest(self) -> Digest:
        """SHA-256 over the canonical JSON of paths, order, sizes and digests (docs/formats/manifest-1.md)."""
        listed = [
            {"path": entry.path, "sha256": entry.sha256.hex, "size": entry.size_bytes}
            for entry in self.entries
        ]
        return Digest.of(canonical.encode({"entries": listed, "format": _FORMAT}))


def _require_segments(path: str) -> None:
    segments = path.split("/")
    if len(segments) > MAX_PATH_SEGMENTS:
        raise RejectedError(f"entry {shorten(path)}: more than {MAX_PATH_SEGMENTS} folders deep")
    for segment in segments:
        if segment in ("", ".", ".."):
            raise RejectedError(f"entry {shorten(path)}: the path is absolute or leaves its folder")
        if segment != segment.strip() or segment.endswith("."):
            raise RejectedError(
                f"entry {shorten(path)}: a name begins or ends with a blank or ends with a dot"
            )


def _fold(path: str) -> str:
    """Canonical caseless matching (Unicode 3.13, D145)."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", path).casefold())

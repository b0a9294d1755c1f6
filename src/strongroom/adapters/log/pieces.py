"""Reads a log that is kept as named pieces: the tiles and bundles of C2SP tlog-tiles."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Protocol

from strongroom.errors import InvalidError, RejectedError
from strongroom.trust.merkle import HASH_BYTES
from strongroom.trust.tiles import (
    MAX_BUNDLE_BYTES,
    WIDTH,
    entries_path,
    parse_entries,
    split_tile,
    tile_path,
    width_at,
)

_READ_ATTEMPTS = 5


class Pieces(Protocol):
    """Where the pieces lie."""

    def find(self, path: str, limit: int) -> bytes | None:
        """Return a piece, None if there is none. Raises RejectedError if it is larger than ``limit``."""

    def partial_widths(self, path: str) -> Iterable[str]:
        """Names of what lies in ``<path>.p/``."""


class PieceReader:
    """Tiles and records by their number, unverified."""

    def __init__(self, pieces: Pieces) -> None:
        self._pieces = pieces

    def leaf(self, index: int, size: int) -> bytes:
        """Return one record of a log of ``size``."""
        if not 0 <= index < size:
            raise InvalidError(f"log: has no record {index}")
        bundle, offset = divmod(index, WIDTH)
        width = width_at(size, 0, bundle)
        entries = list(self.entries(bundle, width))
        if len(entries) != width:
            raise RejectedError(f"log: {entries_path(bundle, width)} has {len(entries)} records")
        return entries[offset]

    def leaves(self, start: int, end: int, size: int) -> Iterator[bytes]:
        """Yield records as stored: fewer than asked if bundles lost some, shifted if they gained some."""
        if not 0 <= start <= end <= size:
            raise InvalidError(f"log: has no records {start} to {end}")
        bundles = range(start // WIDTH, -(-end // WIDTH))
        entries = chain.from_iterable(self.entries(each, width_at(size, 0, each)) for each in bundles)
        return islice(entries, start % WIDTH, start % WIDTH + end - start)

    def tile(self, level: int, index: int, width: int) -> Sequence[bytes]:
        """Return the stored hashes of a tile, unverified. Raises RejectedError if they are not there."""
        data, found = self._stored(tile_path(level, index), width, WIDTH * HASH_BYTES)
        return split_tile(data, found)[:width]

    def entries(self, bundle: int, width: int) -> Iterator[bytes]:
        data, found = self._stored(entries_path(bundle), width, MAX_BUNDLE_BYTES)
        entries = parse_entries(data)
        return entries if found == width else islice(entries, width)

    def _stored(self, path: str, width: int, limit: int) -> tuple[bytes, int]:
        """Read a tile or bundle at least ``width`` wide; return its content and its width.

        A partial one may have been removed by a writer since the checkpoint was read, but not before a
        wider one that begins with it was durable.
        """
        for _ in range(_READ_ATTEMPTS):
            for candidate in self._widths(path, width):
                suffix = "" if candidate == WIDTH else f".p/{candidate}"
                data = self._pieces.find(f"{path}{suffix}", limit)
                if data is not None:
                    return data, candidate
        raise RejectedError(f"log: {path}{'' if width == WIDTH else f'.p/{width}'} is missing")

    def _widths(self, path: str, width: int) -> Iterator[int]:
        """Yield the width wanted, and only if that is not there, the wider ones that are."""
        yield width
        if width < WIDTH:
            names = set(self._pieces.partial_widths(path))
            yield from (each for each in range(width + 1, WIDTH) if str(each) in names)
            yield WIDTH

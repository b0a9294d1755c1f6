"""The Merkle tree cut into tiles of 256 hashes, and the records into bundles (C2SP tlog-tiles).

Level 0 tiles hold leaf hashes; each hash of a tile above is the root of one full tile below. Only the
rightmost tile of a level may be partial, and it is never hashed upwards.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Self

from strongroom.errors import InvalidError, RejectedError
from strongroom.trust.merkle import HASH_BYTES, Frontier, HashReader, tree_root

HEIGHT = 8
WIDTH = 1 << HEIGHT
MAX_LEAF_BYTES = 2**16 - 1
MAX_BUNDLE_BYTES = WIDTH * (2 + MAX_LEAF_BYTES)

TileReader = Callable[[int, int, int], Sequence[bytes]]
"""``read(level, index, width)``: the hashes of one stored tile; raises RejectedError if it is not there."""


@dataclass(frozen=True, slots=True)
class Tile:
    """Consecutive hashes of one level; partial if fewer than WIDTH."""

    level: int
    index: int
    hashes: Sequence[bytes]

    @property
    def path(self) -> str:
        return tile_path(self.level, self.index, len(self.hashes))


def tile_path(level: int, index: int, width: int = WIDTH) -> str:
    """``tile/<L>/<N>[.p/<W>]``: 1234067 is ``x001/x234/067``."""
    return f"tile/{level}/{_index_path(index)}{_suffix(width)}"


def entries_path(index: int, width: int = WIDTH) -> str:
    return f"tile/entries/{_index_path(index)}{_suffix(width)}"


def width_at(size: int, level: int, index: int) -> int:
    """Return how many hashes tile ``index`` of ``level`` has in a tree of ``size``: 0 to WIDTH."""
    return max(0, min(WIDTH, (size >> HEIGHT * level) - index * WIDTH))


def edge_of(size: int) -> Iterator[tuple[int, int, int]]:
    """Yield level, index and width of each partial tile of a tree of ``size``, lowest level first."""
    level = 0
    while size >> HEIGHT * level:
        hashes = size >> HEIGHT * level
        if hashes % WIDTH:
            yield level, hashes // WIDTH, hashes % WIDTH
        level += 1


def split_tile(data: bytes, width: int) -> list[bytes]:
    """Return the hashes of a stored tile. Raises RejectedError if it is not ``width`` hashes."""
    if len(data) != width * HASH_BYTES:
        raise RejectedError(f"log tile: has {len(data)} bytes where {width * HASH_BYTES} belong")
    return [data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)]


def encode_entries(leaves: Iterable[bytes]) -> bytes:
    """Return an entry bundle: each record after its length as a big-endian uint16."""
    return b"".join(part for leaf in leaves for part in (_length(leaf), leaf))


def parse_entries(data: bytes) -> Iterator[bytes]:
    """Yield the records of an entry bundle.

    Raises:
        RejectedError: at a record that is cut, or at more than WIDTH of them.
    """
    at = found = 0
    while at < len(data):
        end = at + 2 + int.from_bytes(data[at : at + 2])
        if at + 2 > len(data) or end > len(data) or found == WIDTH:
            raise RejectedError(f"log entry bundle: torn after {found} records")
        yield data[at + 2 : end]
        at, found = end, found + 1


def hash_reader(size: int, read_tile: TileReader) -> HashReader:
    """Return a reader of the hashes of a tree of ``size``, for making proofs; unverified."""
    cached = lru_cache(maxsize=64)(read_tile)

    def read(level: int, index: int) -> bytes:
        tile_level, within = divmod(level, HEIGHT)
        tile, offset = divmod(index << within, WIDTH)
        hashes = cached(tile_level, tile, width_at(size, tile_level, tile))
        return tree_root(hashes[offset : offset + (1 << within)])

    return read


class TileBuilder:
    """A growing tree that hands out each tile once, when it is full."""

    def __init__(self, size: int = 0, edge: Mapping[int, Sequence[bytes]] | None = None) -> None:
        self.size = size
        self._edge = {level: list(hashes) for level, hashes in (edge or {}).items()}

    @classmethod
    def load(cls, size: int, read_tile: TileReader) -> Self:
        """Continue a stored tree from its partial tiles alone: O(log size) reads.

        What was read is unverified until `root` is compared with a checkpoint; that covers all of it.
        """
        edge = {level: read_tile(level, index, width) for level, index, width in edge_of(size)}
        return cls(size, edge)

    def push(self, leaf: bytes) -> Iterator[Tile]:
        """Add a leaf hash and return the tiles that it completed, lowest level first."""
        row = self._edge.setdefault(0, [])
        row.append(leaf)
        self.size += 1
        return self._completed() if len(row) == WIDTH else iter(())

    def _completed(self) -> Iterator[Tile]:
        level, full = 0, []
        while len(row := self._edge.get(level, [])) == WIDTH:
            full.append(Tile(level, (self.size >> HEIGHT * (level + 1)) - 1, tuple(row)))
            self._edge.setdefault(level + 1, []).append(tree_root(row))
            self._edge[level] = []
            level += 1
        return iter(full)

    def edge(self) -> list[Tile]:
        """The partial tiles, lowest level first."""
        return [
            Tile(level, self.size >> HEIGHT * (level + 1), tuple(row))
            for level, row in sorted(self._edge.items())
            if row
        ]

    def root(self) -> bytes:
        return edge_root(self.edge())


def edge_root(edge: Iterable[Tile]) -> bytes:
    """Return the root of the tree whose partial tiles, lowest level first, are these."""
    frontier = Frontier()
    for tile in reversed(list(edge)):
        for item in tile.hashes:
            frontier.push(item, HEIGHT * tile.level)
    return frontier.root()


def _index_path(index: int) -> str:
    groups = [f"{index % 1000:03}"]
    while index := index // 1000:
        groups.append(f"x{index % 1000:03}")
    return "/".join(reversed(groups))


def _suffix(width: int) -> str:
    if not 1 <= width <= WIDTH:
        raise InvalidError(f"log tile: width {width} is not 1 to {WIDTH}")
    return "" if width == WIDTH else f".p/{width}"


def _length(leaf: bytes) -> bytes:
    if len(leaf) > MAX_LEAF_BYTES:
        raise InvalidError(f"log: a record of {len(leaf)} bytes; at most {MAX_LEAF_BYTES}")
    return len(leaf).to_bytes(2)

"""What a process knows of a log in an object store: its head, and the pieces not published yet."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Self

from strongroom.adapters.log.appending import Growth, push_all
from strongroom.adapters.log.claim import Claim, claim_name
from strongroom.adapters.log.pieces import PieceReader, Pieces
from strongroom.errors import RejectedError
from strongroom.trust.checkpoint import Head, claimed_head
from strongroom.trust.tiles import TileBuilder, edge_of, encode_entries, entries_path, tile_path


@dataclass(frozen=True, slots=True)
class View:
    """A log of ``size``. ``pieces``: what its appends make beyond the checkpoint of size ``published``."""

    size: int = 0
    note: bytes | None = None
    published: int = 0
    pieces: Mapping[str, bytes] = field(default_factory=dict)

    @classmethod
    def published_at(cls, note: bytes) -> Self:
        size = claimed_head(note).size
        return cls(size, note if size else None, size)

    def as_published(self) -> "View":
        return View(self.size, self.note, self.size)

    def grown(self, growth: Growth) -> "View":
        return self.with_more(growth.head.size, growth.note, dict(growth.pieces()))

    def over(self, stored: Pieces) -> Pieces:
        """The stored pieces with our own before them."""
        return _Overlay(self.pieces, stored) if self.pieces else stored

    def with_more(self, size: int, note: bytes, more: Mapping[str, bytes]) -> "View":
        gone = {path for path in self.pieces if ".p/" in path} - set(_edge_paths(size))
        kept = {path: data for path, data in self.pieces.items() if path not in gone}
        return replace(self, size=size, note=note, pieces={**kept, **more})


def follow(view: View, claim: Claim, reader: PieceReader) -> View:
    """Return the log behind one more append.

    Raises:
        RejectedError: its checkpoint is not that of the tree that its records make.
    """
    builder = TileBuilder.load(view.size, reader.tile)
    tail: list[bytes] = []
    edge = next((tile for tile in builder.edge() if tile.level == 0), None)
    if edge is not None:
        tail = list(reader.entries(edge.index, len(edge.hashes)))
    tiles, bundles = push_all(builder, tail, claim.leaves)
    if Head(builder.size, builder.root()) != claim.head:
        raise RejectedError(f"log: {claim_name(view.size)} does not follow the records before it")
    pieces = {tile.path: b"".join(tile.hashes) for tile in tiles}
    pieces |= {bundle.path: encode_entries(bundle.leaves) for bundle in bundles}
    return view.with_more(builder.size, claim.note, pieces)


def _edge_paths(size: int) -> list[str]:
    paths = [(tile_path(level, index, width), level, index, width) for level, index, width in edge_of(size)]
    return list(
        chain.from_iterable(
            [path, entries_path(index, width)] if level == 0 else [path]
            for path, level, index, width in paths
        )
    )


class _Overlay:
    """`Pieces` of which some are in memory."""

    def __init__(self, pieces: Mapping[str, bytes], stored: Pieces) -> None:
        self._pieces = pieces
        self._stored = stored

    def find(self, path: str, limit: int) -> bytes | None:
        found = self._pieces.get(path)
        return found if found is not None else self._stored.find(path, limit)

    def partial_widths(self, path: str) -> list[str]:
        ours = [name.rpartition("/")[2] for name in self._pieces if name.startswith(f"{path}.p/")]
        return [*ours, *self._stored.partial_widths(path)]

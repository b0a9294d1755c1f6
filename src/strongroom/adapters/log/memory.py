"""The log in memory: the twin of `LocalLog` for flow tests."""

from collections.abc import Iterator, Sequence
from threading import Lock

from strongroom.errors import InvalidError, RejectedError
from strongroom.ports import LogGrewError, Signer
from strongroom.trust.checkpoint import require_origin, sign_checkpoint, verify_checkpoint
from strongroom.trust.merkle import leaf_hash
from strongroom.trust.signatures import PublicKey
from strongroom.trust.tiles import MAX_LEAF_BYTES, Tile, TileBuilder


class MemoryLog:
    """A `LogStore` that forgets everything with the process."""

    def __init__(self, origin: str) -> None:
        self._origin = require_origin(origin)
        self._leaves: list[bytes] = []
        self._checkpoint: bytes | None = None
        self._lock = Lock()

    def append(self, leaves: Sequence[bytes], signer: Signer, *, after: int | None = None) -> int:
        if not leaves or any(len(leaf) > MAX_LEAF_BYTES for leaf in leaves):
            raise InvalidError(f"log: append needs records, of at most {MAX_LEAF_BYTES} bytes each")
        with self._lock:
            builder, _ = self._build()
            if self._checkpoint is not None:
                current = verify_checkpoint(
                    self._checkpoint, PublicKey.from_pem(signer.public_pem), self._origin
                )
                if (builder.size, builder.root()) != current.head:
                    raise RejectedError("log: stored records do not match the checkpoint")
            first = builder.size
            if after not in (None, first):
                raise LogGrewError
            for leaf in leaves:
                builder.push(leaf_hash(leaf))
            self._checkpoint = sign_checkpoint(self._origin, builder.size, builder.root(), signer)
            self._leaves += leaves
            return first

    def checkpoint(self) -> bytes | None:
        return self._checkpoint

    def leaf(self, index: int) -> bytes:
        if not 0 <= index < len(self._leaves):
            raise InvalidError(f"log: has no record {index}")
        return self._leaves[index]

    def leaves(self, start: int, end: int) -> Iterator[bytes]:
        if not 0 <= start <= end <= len(self._leaves):
            raise InvalidError(f"log: has no records {start} to {end}")
        return iter(self._leaves[start:end])

    def tile(self, level: int, index: int, width: int) -> Sequence[bytes]:
        _, tiles = self._build()
        hashes = tiles.get((level, index), ())
        if len(hashes) < width:
            raise RejectedError(f"log: tile {level}/{index} of width {width} is missing")
        return hashes[:width]

    def _build(self) -> tuple[TileBuilder, dict[tuple[int, int], Sequence[bytes]]]:
        builder = TileBuilder()
        full: list[Tile] = []
        for leaf in self._leaves:
            full += builder.push(leaf_hash(leaf))
        return builder, {(tile.level, tile.index): tile.hashes for tile in [*full, *builder.edge()]}

"""How a log grows, wherever it is kept: from a verified tree to the tiles, bundles and note of a larger one.

Nothing is written here. A storage reads its tree through `Stored`, asks `grow`, writes what comes back under
names or keys that no reader of the current checkpoint looks at, and makes the note known last.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from strongroom.errors import InvalidError, RejectedError
from strongroom.ports import LogGrewError, Signer
from strongroom.trust.checkpoint import (
    Checkpoint,
    Head,
    require_extends,
    sign_checkpoint,
    verify_checkpoint,
)
from strongroom.trust.merkle import EMPTY_ROOT, consistency_proof, leaf_hash
from strongroom.trust.signatures import PublicKey
from strongroom.trust.tiles import (
    MAX_LEAF_BYTES,
    Tile,
    TileBuilder,
    edge_of,
    encode_entries,
    entries_path,
    hash_reader,
)

Remembered = Callable[[], tuple[int, bytes] | None]
"""Gives the largest head ever seen, kept elsewhere; a tree that does not extend it is refused."""


class Stored(Protocol):
    """A stored tree, unverified."""

    def tile(self, level: int, index: int, width: int) -> Sequence[bytes]: ...

    def entries(self, bundle: int, width: int) -> Iterator[bytes]:
        """The first ``width`` records of a bundle; fewer where some were lost."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """The records of one tile of level 0."""

    index: int
    leaves: tuple[bytes, ...]

    @property
    def path(self) -> str:
        return entries_path(self.index, len(self.leaves))


@dataclass(frozen=True, slots=True)
class Growth:
    """What an append adds: whole new tiles and bundles, each of which a reader of ``note`` will look for."""

    first: int
    head: Head
    note: bytes
    leaves: Sequence[bytes]
    tiles: tuple[Tile, ...]
    bundles: tuple[Bundle, ...]

    def pieces(self) -> Iterator[tuple[str, bytes]]:
        """Path and content of each file of C2SP tlog-tiles that this adds."""
        for tile in self.tiles:
            yield tile.path, b"".join(tile.hashes)
        for bundle in self.bundles:
            yield bundle.path, encode_entries(bundle.leaves)


def require_leaves(leaves: Sequence[bytes]) -> None:
    """Raises InvalidError if there are none, or one that no bundle can hold."""
    if not leaves or any(len(leaf) > MAX_LEAF_BYTES for leaf in leaves):
        raise InvalidError(f"log: append needs records, of at most {MAX_LEAF_BYTES} bytes each")


def sign_empty(origin: str, signer: Signer) -> bytes:
    """An empty tree is signed before the first record: a log without a checkpoint is one that lost it."""
    return sign_checkpoint(origin, 0, EMPTY_ROOT, signer)


def require_checkpoint(note: bytes, origin: str, signer: Signer) -> Checkpoint:
    return verify_checkpoint(note, PublicKey.from_pem(signer.public_pem), origin)


def grow(
    current: Checkpoint,
    stored: Stored,
    leaves: Sequence[bytes],
    signer: Signer,
    *,
    remembered: Head | None = None,
    after: int | None = None,
) -> Growth:
    """Return the log with ``leaves`` appended to the tree that ``current``, which is verified, names.

    Reads the partial tiles and the partial bundle only, all of which it checks.

    Raises:
        LogGrewError: the tree has another size than ``after``.
        RejectedError: the stored tree is not the checkpoint's, or does not extend ``remembered``.
    """
    builder, tail = _require_tree(current, stored)
    _require_remembered(current, stored, remembered)
    if after not in (None, builder.size):
        raise LogGrewError
    return extend(builder, tail, leaves, current.origin, signer)


def extend(
    builder: TileBuilder, tail: Sequence[bytes], leaves: Sequence[bytes], origin: str, signer: Signer
) -> Growth:
    first = builder.size
    tiles, bundles = push_all(builder, tail, leaves)
    head = Head(builder.size, builder.root())
    note = sign_checkpoint(origin, head.size, head.root, signer)
    return Growth(first, head, note, leaves, tiles, bundles)


def push_all(
    builder: TileBuilder, tail: Sequence[bytes], leaves: Sequence[bytes]
) -> tuple[tuple[Tile, ...], tuple[Bundle, ...]]:
    """Push ``leaves`` and return the tiles and bundles that this makes or widens."""
    unchanged = set(edge_of(builder.size))
    tiles: list[Tile] = []
    bundles: list[Bundle] = []
    open_bundle = list(tail)
    for leaf in leaves:
        open_bundle.append(leaf)
        for tile in builder.push(leaf_hash(leaf)):
            tiles.append(tile)
            if tile.level == 0:
                bundles.append(Bundle(tile.index, tuple(open_bundle)))
                open_bundle = []
    edge = builder.edge()
    tiles += [tile for tile in edge if (tile.level, tile.index, len(tile.hashes)) not in unchanged]
    if open_bundle:
        bundles.append(Bundle(edge[0].index, tuple(open_bundle)))
    return tuple(tiles), tuple(bundles)


def _require_tree(current: Checkpoint, stored: Stored) -> tuple[TileBuilder, list[bytes]]:
    """Return the tree as of the checkpoint and the records of its partial bundle, all of it verified."""
    builder = TileBuilder.load(current.size, stored.tile)
    if builder.root() != current.root:
        raise RejectedError(f"log: stored tiles do not match the checkpoint of {current.size} records")
    edge = next((tile for tile in builder.edge() if tile.level == 0), None)
    if edge is None:
        return builder, []
    tail = list(stored.entries(edge.index, len(edge.hashes)))
    if [leaf_hash(leaf) for leaf in tail] != list(edge.hashes):
        raise RejectedError(f"log: {entries_path(edge.index, len(edge.hashes))} does not match its tile")
    return builder, tail


def _require_remembered(current: Checkpoint, stored: Stored, old: Head | None) -> None:
    if old is None:
        return
    proof: list[bytes] = []
    if old.size < current.size:
        proof = consistency_proof(old.size, current.size, hash_reader(current.size, stored.tile))
    require_extends(old, current.head, proof)

"""Offline verification of a log: every record against the signed checkpoint, naming the first bad one.

The checkpoint's root decides. Stored tiles only help to find where a bad log goes wrong, and each is
believed only as far as it hashes up to that root.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from strongroom.errors import RejectedError
from strongroom.trust.checkpoint import Head, verify_checkpoint
from strongroom.trust.merkle import EMPTY_ROOT, leaf_hash, tree_root
from strongroom.trust.signatures import PublicKey
from strongroom.trust.tiles import (
    HEIGHT,
    WIDTH,
    Tile,
    TileBuilder,
    TileReader,
    edge_of,
    edge_root,
    tile_path,
    width_at,
)


@dataclass(frozen=True, slots=True)
class VerifiedLog:
    """Proof that the records read are, in order and completely, what the checkpoint signs."""

    size: int
    root: bytes


class BadRecordError(RejectedError):
    """The log is not what was signed; ``record`` is the first index that is not vouched for.

    ``exact``: that very record is bad, and all before it are good. Otherwise the records before it are
    good and somewhere from it on is a bad one.
    """

    def __init__(self, message: str, record: int, *, exact: bool) -> None:
        super().__init__(message)
        self.record = record
        self.exact = exact


def verify_log(
    leaves: Iterable[bytes],
    checkpoint: bytes,
    key: PublicKey,
    origin: str,
    *,
    read_tile: TileReader | None = None,
    remembered: Sequence[Head] = (),
) -> VerifiedLog:
    """Return proof that ``leaves`` are exactly the records of ``checkpoint``.

    With ``read_tile``, the stored tiles are checked too and a bad record is named. ``remembered`` are
    heads that this log had before, from wherever the caller trusts: the log must extend every one.

    Raises:
        BadRecordError: edited, deleted, inserted, reordered, cut or surplus records; a rollback; bad tiles.
        RejectedError: the checkpoint is not signed by ``key`` for ``origin``.
    """
    signed = verify_checkpoint(checkpoint, key, origin).head
    for head in remembered:
        if head.size > signed.size:
            raise BadRecordError(
                f"log: was cut or rolled back to {signed.size} records, {head.size} were seen before",
                signed.size,
                exact=True,
            )
    reading = _Reading(signed, read_tile, remembered)
    reading.take(leaves)
    reading.require_signed()
    reading.require_remembered()
    reading.require_tiles()
    return VerifiedLog(signed.size, signed.root)


class _Reading:
    """One pass over the records, with what is needed to say afterwards where they went wrong."""

    def __init__(self, signed: Head, read_tile: TileReader | None, remembered: Sequence[Head]) -> None:
        self.signed = signed
        self._read_tile = read_tile
        self._remembered = sorted(remembered)
        self._remembered_sizes = {head.size for head in remembered}
        self._roots_seen: dict[int, bytes] = {0: EMPTY_ROOT}
        """By size, at the sizes of remembered heads: the root over the records up to there."""
        self._builder = TileBuilder()
        self._roots: dict[int, list[bytes]] = {}
        """By level above 0: roots of the full tiles below, as computed from the records."""
        self._first_difference: dict[int, int] = {}
        """By bundle: the first record that differs from the stored level 0 tile."""
        self._bad_tile: str | None = None
        self._surplus = False
        self._cause = ""

    def take(self, leaves: Iterable[bytes]) -> None:
        stored: Sequence[bytes] | None = None
        for index, leaf in enumerate(self._readable(leaves)):
            if index == self.signed.size:
                self._surplus = True
                return
            bundle, offset = divmod(index, WIDTH)
            if offset == 0:
                stored = self._stored(0, bundle)
            hashed = leaf_hash(leaf)
            if stored is not None and stored[offset] != hashed:
                self._first_difference.setdefault(bundle, index)
            for tile in self._builder.push(hashed):
                self._note(tile)
            if index + 1 in self._remembered_sizes:
                self._roots_seen[index + 1] = self._builder.root()

    def require_signed(self) -> None:
        whole = self._builder.size == self.signed.size
        if whole and self._builder.root() == self.signed.root:
            if self._surplus:
                raise BadRecordError(
                    f"log: record {self.signed.size} is beyond the checkpoint", self.signed.size, exact=True
                )
            return
        record, exact = self._locate()
        if not exact:
            raise BadRecordError(
                f"log: cannot be reconciled with its checkpoint from record {record} on{self._cause}",
                record,
                exact=False,
            )
        what = "is missing" if record >= self._builder.size else "is not the one that was logged"
        raise BadRecordError(f"log: record {record} {what}{self._cause}", record, exact=True)

    def require_remembered(self) -> None:
        for head in self._remembered:
            if self._roots_seen[head.size] != head.root:
                raise BadRecordError(
                    f"log: was rewritten, its first {head.size} records are not those seen before",
                    self._vouched(),
                    exact=False,
                )

    def _vouched(self) -> int:
        """Records before this one are as a remembered head has them."""
        return max(
            (head.size for head in self._remembered if self._roots_seen.get(head.size) == head.root),
            default=0,
        )

    def require_tiles(self) -> None:
        """With good records, a stored tile that differs is the damaged part."""
        if self._read_tile is None:
            return
        for tile in self._builder.edge():
            self._note(tile)
        if self._first_difference:
            bundle = min(self._first_difference)
            self._bad_tile = tile_path(0, bundle, width_at(self.signed.size, 0, bundle))
        if self._bad_tile is not None:
            raise RejectedError(
                f"log: all {self.signed.size} records are good but {self._bad_tile} is not their hash",
                hint="restore that tile from a backup, or export the records and rebuild the tiles",
            )

    def _readable(self, leaves: Iterable[bytes]) -> Iterator[bytes]:
        """The records up to the first that storage cannot make sense of."""
        try:
            yield from leaves
        except RejectedError as error:
            self._cause = f" ({error.message})"

    def _stored(self, level: int, index: int) -> Sequence[bytes] | None:
        if self._read_tile is None:
            return None
        width = width_at(self.signed.size, level, index)
        try:
            hashes = self._read_tile(level, index, width)
        except RejectedError:
            hashes = ()
        if len(hashes) != width:
            self._bad_tile = self._bad_tile or tile_path(level, index, width)
            return None
        return hashes

    def _note(self, tile: Tile) -> None:
        """Keep a computed tile's root; compare the tile itself, above level 0, with the stored one."""
        if len(tile.hashes) == WIDTH:
            self._roots.setdefault(tile.level + 1, []).append(tree_root(tile.hashes))
        if tile.level and (stored := self._stored(tile.level, tile.index)) is not None:
            width = len(tile.hashes)
            if tuple(stored[:width]) != tuple(tile.hashes):
                self._bad_tile = self._bad_tile or tile_path(tile.level, tile.index, len(stored))

    def _locate(self) -> tuple[int, bool]:
        """Return the first record not vouched for, and whether exactly that one is bad."""
        for tile in self._signed_edge():
            found = self._search(tile)
            if found is not None:
                return found
        return self._vouched(), False

    def _signed_edge(self) -> list[Tile]:
        """The stored partial tiles that the root proves genuine, leftmost records first.

        A stored partial tile that was tampered with may be stood in for by the one computed from the
        records, if only together with that one the others hash to the root.
        """
        computed = {tile.level: tile for tile in self._builder.edge()}
        choices: list[list[Tile]] = []
        for level, index, width in edge_of(self.signed.size):
            stored = self._stored(level, index)
            options = [] if stored is None else [Tile(level, index, stored)]
            stand_in = computed.get(level)
            if stand_in is not None and len(stand_in.hashes) == width:
                options.append(stand_in)
            choices.append(options)
        for edge in product(*choices):
            if edge_root(edge) == self.signed.root:
                return list(reversed(edge))
        return []

    def _search(self, tile: Tile) -> tuple[int, bool] | None:
        """Return the first bad record below a genuine tile."""
        first = tile.index * WIDTH
        if tile.level == 0:
            return self._search_bundle(tile)
        computed = self._roots.get(tile.level, [])
        for index, expected in enumerate(tile.hashes, first):
            if index < len(computed) and computed[index] == expected:
                continue
            below = self._stored(tile.level - 1, index)
            if below is None or tree_root(below) != expected:
                return index << HEIGHT * tile.level, False
            found = self._search(Tile(tile.level - 1, index, below))
            if found is not None:
                return found
        return None

    def _search_bundle(self, tile: Tile) -> tuple[int, bool] | None:
        end = tile.index * WIDTH + len(tile.hashes)
        if tile.index in self._first_difference:
            return self._first_difference[tile.index], True
        return (self._builder.size, True) if self._builder.size < end else None

"""The log in a local folder, laid out as C2SP tlog-tiles (docs/formats/log.md).

The file ``checkpoint`` is the only one that is replaced; whatever lies beyond the size it names is the
leftover of an append that never happened, ignored by readers and overwritten by the next append.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import chain, islice
from pathlib import Path

from strongroom.adapters.log.folder import DurableWrites, find_file, hold_lock, sync_folder, write_file
from strongroom.errors import InvalidError, OutageError, RejectedError, StrongroomError
from strongroom.ports import LogGrewError, Signer
from strongroom.trust.checkpoint import (
    Checkpoint,
    Head,
    claimed_head,
    require_extends,
    require_origin,
    sign_checkpoint,
    verify_checkpoint,
)
from strongroom.trust.merkle import EMPTY_ROOT, HASH_BYTES, consistency_proof, leaf_hash
from strongroom.trust.note import MAX_NOTE_BYTES
from strongroom.trust.signatures import PublicKey
from strongroom.trust.tiles import (
    MAX_BUNDLE_BYTES,
    MAX_LEAF_BYTES,
    WIDTH,
    Tile,
    TileBuilder,
    edge_of,
    encode_entries,
    entries_path,
    hash_reader,
    parse_entries,
    split_tile,
    tile_path,
    width_at,
)

_CHECKPOINT = "checkpoint"
_LOCK = "lock"
_READ_ATTEMPTS = 5


class LocalLog:
    """A `LogStore` in one folder. Readers need no lock; any number may read while one appends."""

    def __init__(
        self,
        root: Path,
        origin: str,
        *,
        remembered: Callable[[], tuple[int, bytes] | None] = lambda: None,
        lock_timeout_s: float = 10.0,
    ) -> None:
        """``remembered`` gives the largest head ever seen, kept elsewhere; `append` refuses a tree that
        does not extend it.
        """
        self._root = root
        self._origin = require_origin(origin)
        self._remembered = remembered
        self._lock_timeout_s = lock_timeout_s

    def append(self, leaves: Sequence[bytes], signer: Signer, *, after: int | None = None) -> int:
        """See `LogStore.append`. If the error says so, the append may have become durable after all."""
        if not leaves or any(len(leaf) > MAX_LEAF_BYTES for leaf in leaves):
            raise InvalidError(f"log: append needs records, of at most {MAX_LEAF_BYTES} bytes each")
        with _translated("append"):
            if not self._root.is_dir():
                self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
                sync_folder(self._root.parent)
            with hold_lock(self._root / _LOCK, self._lock_timeout_s):
                builder, tail = self._require_tree(signer)
                first = builder.size
                if after not in (None, first):
                    raise LogGrewError
                self._extend(builder, tail, leaves, signer)
                self._drop_superseded(first, builder.size)
                return first

    def checkpoint(self) -> bytes | None:
        note = find_file(self._root / _CHECKPOINT, MAX_NOTE_BYTES)
        if note is None and (self._root / "tile").exists():
            raise RejectedError("log: has records but its checkpoint is missing")
        return None if note is None or claimed_head(note).size == 0 else note

    def leaf(self, index: int) -> bytes:
        size = self._size()
        if not 0 <= index < size:
            raise InvalidError(f"log: has no record {index}")
        bundle, offset = divmod(index, WIDTH)
        width = width_at(size, 0, bundle)
        entries = list(self._entries(bundle, width))
        if len(entries) != width:
            raise RejectedError(f"log: {entries_path(bundle, width)} has {len(entries)} records")
        return entries[offset]

    def leaves(self, start: int, end: int) -> Iterator[bytes]:
        """Yield records as stored: fewer than asked if bundles lost some, shifted if they gained some."""
        size = self._size()
        if not 0 <= start <= end <= size:
            raise InvalidError(f"log: has no records {start} to {end}")
        bundles = range(start // WIDTH, -(-end // WIDTH))
        entries = chain.from_iterable(self._entries(each, width_at(size, 0, each)) for each in bundles)
        return islice(entries, start % WIDTH, start % WIDTH + end - start)

    def tile(self, level: int, index: int, width: int) -> Sequence[bytes]:
        """Return the stored hashes of a tile, unverified. Raises RejectedError if they are not there."""
        data, found = self._stored(tile_path(level, index), width, WIDTH * HASH_BYTES)
        return split_tile(data, found)[:width]

    def _size(self) -> int:
        note = self.checkpoint()
        return 0 if note is None else claimed_head(note).size

    def _entries(self, bundle: int, width: int) -> Iterator[bytes]:
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
                data = find_file(self._root / f"{path}{suffix}", limit)
                if data is not None:
                    return data, candidate
        raise RejectedError(f"log: {path}{'' if width == WIDTH else f'.p/{width}'} is missing")

    def _widths(self, path: str, width: int) -> Iterator[int]:
        """Yield the width wanted, and only if that is not there, the wider ones that are."""
        yield width
        if width < WIDTH:
            with suppress(FileNotFoundError, NotADirectoryError):
                names = {each.name for each in (self._root / f"{path}.p").iterdir()}
                yield from (each for each in range(width + 1, WIDTH) if str(each) in names)
            yield WIDTH

    def _require_tree(self, signer: Signer) -> tuple[TileBuilder, list[bytes]]:
        """Return the tree as of the checkpoint and the records of its partial bundle, all of it verified."""
        current = self._require_checkpoint(signer)
        builder = TileBuilder.load(current.size, self.tile)
        if builder.root() != current.root:
            raise RejectedError(f"log: stored tiles do not match the checkpoint of {current.size} records")
        self._require_remembered(current.head)
        edge = next((tile for tile in builder.edge() if tile.level == 0), None)
        if edge is None:
            return builder, []
        tail = list(self._entries(edge.index, len(edge.hashes)))
        if [leaf_hash(leaf) for leaf in tail] != list(edge.hashes):
            raise RejectedError(f"log: {entries_path(edge.index, len(edge.hashes))} does not match its tile")
        return builder, tail

    def _require_checkpoint(self, signer: Signer) -> Checkpoint:
        key = PublicKey.from_pem(signer.public_pem)
        note = find_file(self._root / _CHECKPOINT, MAX_NOTE_BYTES)
        if note is None:
            if (self._root / "tile").exists():
                raise RejectedError("log: has records but its checkpoint is missing")
            # An empty tree is signed before the first record is written: from then on a log without
            # a checkpoint is a log that lost it.
            note = sign_checkpoint(self._origin, 0, EMPTY_ROOT, signer)
            self._replace_checkpoint(note)
            self._settle_checkpoint()
        return verify_checkpoint(note, key, self._origin)

    def _require_remembered(self, current: Head) -> None:
        held = self._remembered()
        if held is None:
            return
        old = Head(*held)
        proof: list[bytes] = []
        if old.size < current.size:
            proof = consistency_proof(old.size, current.size, hash_reader(current.size, self.tile))
        require_extends(old, current, proof)

    def _extend(
        self, builder: TileBuilder, tail: list[bytes], leaves: Sequence[bytes], signer: Signer
    ) -> None:
        writes = DurableWrites(self._root)
        old_size = builder.size
        try:
            bundle = list(tail)
            for leaf in leaves:
                bundle.append(leaf)
                for tile in builder.push(leaf_hash(leaf)):
                    writes.put(tile.path, b"".join(tile.hashes))
                    if tile.level == 0:
                        writes.put(entries_path(tile.index), encode_entries(bundle))
                        bundle = []
            self._write_edge(writes, builder.edge(), bundle, old_size)
            writes.settle()
            note = sign_checkpoint(self._origin, builder.size, builder.root(), signer)
            self._replace_checkpoint(note)
        except (OSError, StrongroomError):
            writes.undo()
            raise
        self._settle_checkpoint()

    def _write_edge(
        self, writes: DurableWrites, edge: list[Tile], bundle: list[bytes], old_size: int
    ) -> None:
        unchanged = set(edge_of(old_size))
        for tile in edge:
            if (tile.level, tile.index, len(tile.hashes)) not in unchanged:
                writes.put(tile.path, b"".join(tile.hashes))
        if bundle:
            writes.put(entries_path(edge[0].index, len(bundle)), encode_entries(bundle))

    def _replace_checkpoint(self, note: bytes) -> None:
        fresh = self._root / f"{_CHECKPOINT}.new"
        write_file(fresh, note)
        fresh.replace(self._root / _CHECKPOINT)

    def _settle_checkpoint(self) -> None:
        try:
            sync_folder(self._root)
        except OSError as error:
            raise OutageError(
                f"log: the new checkpoint may not be durable ({error.strerror})",
                hint="read the log before trying again: the records may have been appended",
            ) from None

    def _drop_superseded(self, old: int, new: int) -> None:
        """Remove partial tiles that wider ones now stand for; what cannot be removed may stay."""
        current = {(level, index): width for level, index, width in edge_of(new)}
        for level, index, _ in {*edge_of(old), *edge_of(new)}:
            paths = [tile_path(level, index)] + ([entries_path(index)] if level == 0 else [])
            keep = current.get((level, index))
            for path in paths:
                with suppress(OSError):
                    self._drop_partials(path, keep)

    def _drop_partials(self, path: str, keep: int | None) -> None:
        folder = self._root / f"{path}.p"
        if keep is not None:
            (self._root / path).unlink(missing_ok=True)  # full: left by an append that never happened
        for partial in list(folder.iterdir()):
            if keep is None or partial.name != str(keep):
                partial.unlink()
        if keep is None:
            folder.rmdir()


@contextmanager
def _translated(verb: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutageError(
            f"log: {verb} failed, nothing was appended ({error.strerror})",
            hint="free space on the log's disk or make it writable",
        ) from None

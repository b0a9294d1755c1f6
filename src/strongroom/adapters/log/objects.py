"""The log in an object store: C2SP tlog-tiles, behind appends that are objects of their own.

An append is one object that is made only once (see claim.py): that decides it, durably. Tiles, bundles and
``checkpoint`` are written after it, and say nothing that the appends do not; whoever comes next writes what a
dead one left out. A reader starts at ``checkpoint`` and follows the appends from there, so that a checkpoint
which a slow sequencer put back misleads nobody.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from random import SystemRandom
from secrets import token_bytes
from threading import Lock

from strongroom.adapters.log.appending import (
    Remembered,
    grow,
    require_checkpoint,
    require_leaves,
)
from strongroom.adapters.log.bucket import Bucket
from strongroom.adapters.log.claim import MAX_CLAIM_BYTES, Claim, claim_name
from strongroom.adapters.log.pieces import PieceReader
from strongroom.adapters.log.view import View, follow
from strongroom.errors import InvalidError, OutageError, RejectedError, StrongroomError
from strongroom.ports import BlobStore, Signer
from strongroom.trust.checkpoint import Checkpoint, Head, claimed_head, require_origin
from strongroom.trust.merkle import EMPTY_ROOT
from strongroom.trust.note import MAX_NOTE_BYTES

CLAIM_TIMEOUT_S = 10.0
"""For how long an append tries again when another sequencer was faster."""
MAX_UNPUBLISHED = 1024
"""Appends behind the checkpoint that a reader follows; every append first publishes those before it."""
_CHECKPOINT = "checkpoint"
_TOKEN_BYTES = 16
_PAUSE_S = 0.02


class ObjectLog:
    """A `LogStore` over a `BlobStore` that makes an object only where there is none."""

    def __init__(
        self,
        blobs: BlobStore,
        origin: str,
        *,
        remembered: Remembered = lambda: None,
        timeout_s: float = CLAIM_TIMEOUT_S,
    ) -> None:
        self._bucket = Bucket(blobs)
        self._origin = require_origin(origin)
        self._remembered = remembered
        self._timeout_s = timeout_s
        self._known: View | None = None
        self._lock = Lock()
        self._chance = SystemRandom()

    def append(self, leaves: Sequence[bytes], signer: Signer, *, after: int | None = None) -> int:
        """See `LogStore.append`. If the error says so, the append may have become durable after all."""
        require_leaves(leaves)
        held = self._remembered()
        old = None if held is None else Head(*held)
        deadline = time.monotonic() + self._timeout_s
        with self._lock:
            while True:
                view = self._publish(self._look())
                current = self._require_checkpoint(view, signer)
                growth = grow(current, self._reader(view), leaves, signer, remembered=old, after=after)
                claim = Claim(token_bytes(_TOKEN_BYTES), growth.note, leaves)
                if self._take(view.size, claim):
                    break
                if time.monotonic() >= deadline:
                    raise OutageError(f"log: other writers were faster for {self._timeout_s:g} s")
                time.sleep(self._chance.uniform(0, _PAUSE_S))
            self._known = view.grown(growth)
            with suppress(OutageError):  # it is in the log; whoever comes next publishes it
                self._known = self._publish(self._known)
        return growth.first

    def checkpoint(self) -> bytes | None:
        return self._look().note

    def leaf(self, index: int) -> bytes:
        view = self._look()
        return self._reader(view).leaf(index, view.size)

    def leaves(self, start: int, end: int) -> Iterator[bytes]:
        """Yield records as stored: fewer than asked if bundles lost some, shifted if they gained some."""
        view = self._reaching(end)
        return self._reader(view).leaves(start, end, view.size)

    def tile(self, level: int, index: int, width: int) -> Sequence[bytes]:
        view = self._known or self._look()
        return self._reader(view).tile(level, index, width)

    def _reaching(self, size: int) -> View:
        view = self._known
        return view if view is not None and size <= view.size else self._look()

    def _reader(self, view: View) -> PieceReader:
        return PieceReader(view.over(self._bucket))

    def _look(self) -> View:
        """Return the log as it is now: what is known, and the appends that followed it."""
        view = self._known
        if view is None or self._bucket.has(claim_name(view.size)):
            view = self._follow(self._start(view))
        known = self._known
        if known is None or view.size >= known.size:
            self._known = view
            return view
        return known  # another thread was faster

    def _start(self, known: View | None) -> View:
        """Begin at the stored checkpoint, unless more is known."""
        note = self._bucket.find(_CHECKPOINT, MAX_NOTE_BYTES)
        if note is not None and (known is None or claimed_head(note).size > known.size):
            return View.published_at(note)
        return known or View()

    def _follow(self, view: View) -> View:
        for _ in range(MAX_UNPUBLISHED):
            data = self._bucket.find(claim_name(view.size), MAX_CLAIM_BYTES)
            if data is None:
                self._require_begun(view)
                return view
            view = follow(view, Claim.parse(data, view.size), self._reader(view))
        raise RejectedError(
            f"log: its checkpoint is more than {MAX_UNPUBLISHED} appends behind",
            hint="restore the object checkpoint from a backup of the log",
        )

    def _require_begun(self, view: View) -> None:
        """A log of no records has no objects; one that lost checkpoint and first append still has tiles."""
        if view.size == 0 and self._bucket.is_filled("tile"):
            raise RejectedError("log: has records but its checkpoint is missing")

    def _require_checkpoint(self, view: View, signer: Signer) -> Checkpoint:
        if view.note is None:
            return Checkpoint(self._origin, 0, EMPTY_ROOT)
        return require_checkpoint(view.note, self._origin, signer)

    def _take(self, size: int, claim: Claim) -> bool:
        """Whether the place behind ``size`` is ours.

        A request whose answer was lost may have made the object all the same; then it is found to be ours.
        """
        name, data = claim_name(size), claim.to_bytes()
        if len(data) > MAX_CLAIM_BYTES:
            raise InvalidError(f"log: more than {MAX_CLAIM_BYTES} bytes in one append")
        try:
            self._bucket.put_new(name, data)
        except InvalidError:
            return self._bucket.find(name, MAX_CLAIM_BYTES) == data
        except OutageError as error:
            with suppress(StrongroomError):
                found = self._bucket.find(name, MAX_CLAIM_BYTES)
                if found is not None:
                    return found == data
            raise OutageError(
                f"log: the store fell silent, the records may have been appended ({error.message})",
                hint="read the log before trying again",
            ) from None
        return True

    def _publish(self, view: View) -> View:
        """Write the tiles and bundles of ``view``, then its checkpoint; nothing if both are there."""
        if view.note is None or view.published == view.size:
            return view
        for path, data in sorted(view.pieces.items()):
            self._bucket.put_same(path, data)
        self._bucket.replace(_CHECKPOINT, view.note)
        self._drop_partials(view)
        return view.as_published()

    def _drop_partials(self, view: View) -> None:
        """Remove the partial tiles of those that are full now; what cannot be removed may stay."""
        for path in view.pieces:
            if ".p/" not in path:
                with suppress(StrongroomError):
                    self._bucket.delete_below(f"{path}.p")

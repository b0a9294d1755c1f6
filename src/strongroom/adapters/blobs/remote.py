"""Sealed objects in a bucket of a cloud.

Reads go through obstore, writes through the cloud's own client (`bucket.Bucket`): only that knows conditional
completion of an object in parts, server-side encryption by a named key, and what the bucket is.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice
from operator import itemgetter
from pathlib import Path
from secrets import token_hex
from threading import Lock
from typing import TypeVar

import obstore

from strongroom.adapters.blobs.bucket import MAX_OBJECT_BYTES, Bucket, Source
from strongroom.adapters.blobs.failures import translated
from strongroom.adapters.blobs.names import (
    MAX_SMALL_BYTES,
    require_name,
    require_prefix,
    require_small,
    too_large,
)
from strongroom.adapters.blobs.notes import ForgottenNotes
from strongroom.adapters.blobs.patience import insist
from strongroom.adapters.blobs.posture import find_concerns, require_posture
from strongroom.adapters.blobs.probe import PROBE, require_create_only
from strongroom.adapters.blobs.ranges import RangedReader
from strongroom.adapters.blobs.spooled import SpooledFile
from strongroom.errors import InvalidError, OutageError, RejectedError
from strongroom.ports import BlobReader, BlobStat, BlobWriter

_Answer = TypeVar("_Answer")

MAX_LISTED = 2_000_000
"""Objects under one prefix."""


class RemoteBlobStore:
    """A `BlobStore` over a bucket. What is written lies in ``spool`` until it is sent; thread-safe.

    The bucket is looked at before its first use in this process: a public or unencrypted one is refused.
    """

    def __init__(self, bucket: Bucket, spool: Path) -> None:
        self._bucket = bucket
        self._place = bucket.place
        self._spool = spool
        self._lock = Lock()
        self._is_accepted = False
        self._is_create_only = False

    def create(self, name: str, size_hint: int = 0) -> BlobWriter:
        self._accept_for_writing(require_name(name))
        return _Writer(self, name, SpooledFile(self._spool, name, size_hint))

    def put_new(self, name: str, data: bytes) -> None:
        require_small(require_name(name), data)
        self._accept_for_writing(name)
        self._put(name, bytes(data), only_new=True)

    def replace(self, name: str, data: bytes) -> None:
        require_small(require_name(name), data)
        self._accept()
        self._put(name, bytes(data), only_new=False)

    def open(self, name: str) -> BlobReader:
        meta = self._head(require_name(name))
        size, tag = meta.size, meta.tag

        def fetch(start: int, end: int) -> bytes:
            return self._insist(lambda: self._range(name, start, end, size, tag))

        return RangedReader(name, size, fetch)

    def read(self, name: str, limit: int) -> bytes:
        require_name(name)
        self._accept()

        def get() -> bytes:
            with translated(self._place.name, name):
                found = obstore.get(self._bucket.objects, name)
                if found.meta["size"] > limit:
                    raise too_large(name, limit)
                return bytes(found.bytes())

        try:
            data = self._insist(get)
        except RejectedError:
            self._require_bucket()
            raise
        if len(data) > limit:
            raise too_large(name, limit)
        return data

    def list(self, prefix: str) -> Iterator[str]:
        return (name for name, _ in self.survey(prefix))

    def delete(self, name: str) -> None:
        require_name(name)
        self._accept()
        self._insist(lambda: self._bucket.delete(name))

    def stat(self, name: str) -> BlobStat:
        return self._head(require_name(name))

    def survey(self, prefix: str) -> Iterator[tuple[str, BlobStat]]:
        prefix = require_prefix(prefix)
        self._accept()

        def look() -> list[tuple[str, BlobStat]]:
            with translated(self._place.name, prefix):
                pages = obstore.list(self._bucket.objects, prefix or None)
                metas = islice(chain.from_iterable(pages), MAX_LISTED + 1)
                return [(meta["path"], BlobStat(meta["size"], _tag(meta["e_tag"]))) for meta in metas]

        found = self._insist(look)
        if len(found) > MAX_LISTED:
            raise OutageError(f"{self._place.name}: holds more than {MAX_LISTED} objects")
        return iter(sorted(((name, stat) for name, stat in found if name != PROBE), key=itemgetter(0)))

    def concerns(self) -> Sequence[str]:
        return find_concerns(self._insist(self._bucket.posture), self._place)

    # -- for `transit` and the writer ------------------------------------------------------------------

    @property
    def bucket(self) -> Bucket:
        return self._bucket

    def send(self, name: str, source: Source) -> None:
        """Write an object of any size, create-only; nothing of it stays behind if that fails."""
        if source.size <= MAX_SMALL_BYTES:
            data = bytearray(source.size)
            read = source.read_into(0, memoryview(data))
            self._put(name, bytes(memoryview(data)[:read]), only_new=True)
            return
        if source.size > MAX_OBJECT_BYTES:
            raise InvalidError(f"blob {name}: more than {MAX_OBJECT_BYTES} bytes")
        notes = ForgottenNotes()
        try:
            self._bucket.send(name, source, notes)
        except BaseException:
            self._bucket.abandon(name, notes)
            raise

    def accept_for_writing(self, name: str) -> None:
        """Refuse a bucket that must not hold models, or that would overwrite one."""
        self._accept_for_writing(name)

    def _put(self, name: str, data: bytes, *, only_new: bool) -> None:
        mark = token_hex(16)
        self._insist(lambda: self._bucket.put(name, data, mark, only_new=only_new))

    def _head(self, name: str) -> BlobStat:
        self._accept()

        def look() -> BlobStat:
            with translated(self._place.name, name):
                meta = obstore.head(self._bucket.objects, name)
                return BlobStat(meta["size"], _tag(meta["e_tag"]))

        try:
            return self._insist(look)
        except RejectedError:
            self._require_bucket()
            raise

    def _range(self, name: str, start: int, end: int, size: int, tag: str) -> bytes:
        with translated(self._place.name, name):
            options = {"range": (start, end), **({"if_match": _quote(tag)} if tag else {})}
            found = obstore.get(self._bucket.objects, name, options=options)  # type: ignore[arg-type]
            data = bytes(found.bytes())
        if len(data) != end - start or found.meta["size"] != size:
            raise RejectedError(f"blob {name}: was replaced or cut while it was read")
        return data

    def _require_bucket(self) -> None:
        """That an object is missing is evidence only if the bucket is there: a HEAD does not say which."""
        with translated(self._place.name, ""):
            obstore.list_with_delimiter(self._bucket.objects, "strongroom-no-such-folder")

    def _accept(self) -> None:
        with self._lock:
            if not self._is_accepted:
                require_posture(self._insist(self._bucket.posture), self._place)
                self._is_accepted = True

    def _accept_for_writing(self, name: str) -> None:
        self._accept()
        with self._lock:
            if not self._is_create_only:
                require_create_only(self._bucket, self._insist)
                self._is_create_only = True

    def _insist(self, ask: Callable[[], _Answer]) -> _Answer:
        return insist(ask, self._place.name, self._place.deadline_s)


class _Writer:
    def __init__(self, store: RemoteBlobStore, name: str, spooled: SpooledFile) -> None:
        self._store = store
        self._name = name
        self._spooled: SpooledFile | None = spooled

    def write_at(self, offset: int, data: bytes | bytearray | memoryview) -> None:
        if offset < 0:
            raise InvalidError(f"blob {self._name}: a negative offset")
        self._require_open().write_at(offset, data)

    def commit(self) -> None:
        try:
            self._store.send(self._name, self._require_open())
        finally:
            self.discard()

    def discard(self) -> None:
        if self._spooled is not None:
            self._spooled.close()
            self._spooled = None

    def _require_open(self) -> SpooledFile:
        if self._spooled is None:
            raise InvalidError(f"blob {self._name}: the writer is committed or discarded")
        return self._spooled


def _tag(tag: str | None) -> str:
    """Without quotes: some clouds have them in one answer and not in the other."""
    return (tag or "").strip('"')


def _quote(tag: str) -> str:
    return tag if tag.startswith("W/") else f'"{tag}"'

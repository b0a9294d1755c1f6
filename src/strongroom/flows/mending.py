"""Put what a backup holds back into the store where it is missing or damaged; the rest is left alone."""

from collections.abc import Iterator
from contextlib import suppress

from strongroom.artifact.sealed import object_size
from strongroom.artifact.stream import verify_root
from strongroom.errors import RejectedError
from strongroom.flows import layout
from strongroom.flows.archive import Archive, copy_object
from strongroom.flows.unsealing import Progress
from strongroom.ports import BlobStore
from strongroom.trust.backup import Holding, Index, parse_papers
from strongroom.values import SealedEntry

MAX_PAPERS_BYTES = 2**28
MAX_ENTRIES_OF_KEYS_BYTES = 2**28


def papers_of(archive: Archive, holding: Holding) -> dict[str, bytes]:
    """Return the small objects of a holding by their name in the store."""
    return parse_papers(archive.get("papers", holding.papers, MAX_PAPERS_BYTES))


def keys_of(archive: Archive, index: Index) -> dict[str, bytes]:
    """Return every wrapped data key by its name in the store."""
    found: dict[str, bytes] = {}
    for bundle in index.keys:
        found.update(parse_papers(archive.get("keys", bundle.chain, MAX_ENTRIES_OF_KEYS_BYTES)))
    return found


def put_back(
    archive: Archive,
    blobs: BlobStore,
    holding: Holding,
    keys: dict[str, bytes],
    progress: Progress | None = None,
) -> Iterator[str]:
    """Yield the name of each object that was put back.

    A wrapped key that is there is left alone: it may be newer than the backup. Damaged objects are removed
    first; a crash in between leaves them missing, which the next run sees.

    Raises:
        RejectedError: the backup's own copy is damaged or missing.
    """
    for entry in holding.objects:
        if not is_sound(blobs, entry):
            _require_name(holding, entry.object)
            blobs.delete(entry.object)
            copy_object(archive.store, archive.object_name(entry), blobs, entry.object, entry, progress)
            yield entry.object
    for name, content in papers_of(archive, holding).items():
        _require_name(holding, name)
        if _find(blobs, name, len(content)) != content:
            blobs.delete(name)
            blobs.put_new(name, content)
            yield name
    name = holding.key
    _require_name(holding, name)
    if _find(blobs, name, layout.MAX_WRAPPED_KEY_BYTES) is None:
        if name not in keys:
            raise RejectedError(f"backup: has no data key of {holding.name}")
        blobs.replace(name, keys[name])
        yield name


def is_sound(blobs: BlobStore, entry: SealedEntry) -> bool:
    """Whether the stored object is byte for byte the one that ``entry`` binds."""
    try:
        blob = blobs.open(entry.object)
    except RejectedError:
        return False
    try:
        if blob.size != object_size(entry.size_bytes):
            return False
        verify_root(blob.read_into, entry, blob.size)
    except RejectedError:
        return False
    finally:
        blob.close()
    return True


def _find(blobs: BlobStore, name: str, limit: int) -> bytes | None:
    with suppress(RejectedError):
        return blobs.read(name, limit)
    return None


def _require_name(holding: Holding, name: str) -> None:
    """A backup puts things only where its holding has them."""
    prefix = (
        layout.prefix(holding.model)
        if holding.kind == "version"
        else layout.quarantine_prefix(holding.model, holding.name)
    )
    if not name.startswith(f"{prefix}/"):
        raise RejectedError(f"backup: {holding.name} would be put somewhere else")

"""A sealed upload on its way to a store elsewhere: after a crash it goes on, as it was sealed.

Nothing is ever sealed again under the same data key: what goes on is the ciphertext of the spool, and only if
the source still has the same bytes. The draft beside it holds the data key wrapped, as `keys.json` will.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from strongroom import canonical
from strongroom.artifact.manifest import Entry, Manifest
from strongroom.artifact.sealed import object_size
from strongroom.artifact.stream import verify_root
from strongroom.errors import DeniedError, InvalidError, RejectedError
from strongroom.flows import layout
from strongroom.flows.entries import entry_from_json, entry_to_json
from strongroom.flows.keyfile import WrappedKey, data_key_context
from strongroom.flows.vault import Vault, bind_family_key, read_authority
from strongroom.ports import BlobStore, ModelSource, SourceFile, Transit
from strongroom.values import Digest, ModelId, SealedEntry

_FORMAT = "strongroom-draft-1"
_DRAFT = "draft.json"
MAX_DRAFT_BYTES = 8 * 2**20
_READ_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class Draft:
    """What was sealed, not yet published."""

    entries: tuple[SealedEntry, ...]
    data_key: bytes


def keep_draft(
    vault: Vault, transit: Transit, model: ModelId, draft: Draft, publisher: str, rule: str
) -> None:
    """Write down what the spool holds, so that a later publish goes on with it. Durable on return."""
    keys = vault.require_keys()
    key = bind_family_key(vault, publisher, model.family, rule)
    keys.create(key)
    wrapped = WrappedKey(key, keys.wrap(key, draft.data_key, _context(model, draft.entries)))
    content = canonical.encode(
        {
            "format": _FORMAT,
            "model": str(model),
            "key": wrapped.to_bytes().decode(),
            "entries": [entry_to_json(entry) for entry in draft.entries],
        }
    )
    transit.spool.replace(_name(model), content)


def find_draft(vault: Vault, transit: Transit, model: ModelId, source: ModelSource) -> Draft | None:
    """Return what an earlier publish of exactly these files sealed; None if nothing of it is whole.

    Raises:
        OutageError: the key provider or the store does not answer, so that it cannot be known.
    """
    try:
        content = canonical.decode(transit.spool.read(_name(model), MAX_DRAFT_BYTES))
        if not isinstance(content, dict) or content["format"] != _FORMAT or content["model"] != str(model):
            return None
        entries = tuple(entry_from_json(each) for each in content["entries"])
        wrapped = WrappedKey.parse(content["key"].encode())
        _require_same(source, entries)
        for entry in entries:
            _require_sealed(_holder(vault, transit, entry), entry)
        if wrapped.key not in read_authority(vault).opening_keys(model.family):
            return None
        keys = vault.require_keys()
        return Draft(entries, keys.unwrap(wrapped.key, wrapped.wrapped, _context(model, entries)))
    except (RejectedError, InvalidError, DeniedError, KeyError, TypeError, ValueError, AttributeError):
        return None  # begun anew, under a new key


def send_draft(vault: Vault, transit: Transit, entries: Sequence[SealedEntry]) -> None:
    """Move every object that still waits in the spool into the store."""
    waiting = set(transit.spool.list(""))
    for entry in entries:
        if entry.object not in waiting:
            continue
        try:
            transit.send(entry.object)
        except InvalidError:
            # It arrived just before a crash: then it is the very object.
            _require_sealed(vault.blobs, entry)
            transit.drop(entry.object)


def drop_draft(transit: Transit, model: ModelId) -> None:
    """Remove what the spool holds of a version, wrapped key first; nothing there is no error."""
    transit.spool.delete(_name(model))
    for name in list(transit.spool.list(layout.prefix(model))):
        transit.drop(name)


def drop_published(vault: Vault, transit: Transit) -> None:
    """Remove the drafts of versions that were published in spite of a crash: no key stays behind in them."""
    drafted = {name.rpartition("/")[0] for name in transit.spool.list("")}
    for model in read_authority(vault).versions:
        if layout.prefix(model) in drafted:
            drop_draft(transit, model)


def _name(model: ModelId) -> str:
    return f"{layout.prefix(model)}/{_DRAFT}"


def _context(model: ModelId, entries: Sequence[SealedEntry]) -> bytes:
    manifest = Manifest(tuple(Entry(entry.path, entry.size_bytes, entry.sha256) for entry in entries))
    return data_key_context(model, manifest.digest)


def _require_same(source: ModelSource, entries: Sequence[SealedEntry]) -> None:
    """Raises RejectedError: the source has other files, or another byte in one of them."""
    files = {file.path: file for file in source.files}
    if files.keys() != {entry.path for entry in entries}:
        raise RejectedError("draft: is of other files")
    for entry in entries:
        file = files[entry.path]
        if file.size != entry.size_bytes or _hash(file) != entry.sha256:
            raise RejectedError("draft: is of other bytes")
        file.require_unchanged()


def _hash(file: SourceFile) -> Digest:
    digest, offset = sha256(), 0
    buffer = memoryview(bytearray(_READ_BYTES))
    while count := file.read_into(offset, buffer):
        digest.update(buffer[:count])
        offset += count
    return Digest(digest.digest())


def _holder(vault: Vault, transit: Transit, entry: SealedEntry) -> BlobStore:
    """Where the object is by now. It leaves the spool only once it is whole in the store."""
    return transit.spool if entry.object in transit.spool.list("") else vault.blobs


def _require_sealed(store: BlobStore, entry: SealedEntry) -> None:
    """Raises RejectedError: the object is not byte for byte the one that was sealed."""
    if store.stat(entry.object).size != object_size(entry.size_bytes):
        raise RejectedError("draft: an object is cut")
    blob = store.open(entry.object)
    try:
        verify_root(blob.read_into, entry, blob.size)
    finally:
        blob.close()

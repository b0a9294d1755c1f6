"""Sealed objects of the store, opened and unsealed into memory."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

from strongroom.artifact.reader import SealedReader
from strongroom.artifact.stream import unseal
from strongroom.errors import DeniedError, InvalidError, RejectedError
from strongroom.flows import layout
from strongroom.flows.keyfile import WrappedKey, data_key_context
from strongroom.flows.vault import Vault, read_authority
from strongroom.ports import BlobReader, Memory
from strongroom.scan.scan import Source
from strongroom.trust.standing import FamilyKey
from strongroom.values import Digest, ModelId, SealedEntry

Progress = Callable[[int], None]
UNWRAP_ATTEMPTS = 4


@contextmanager
def opened(vault: Vault, entry: SealedEntry) -> Iterator[BlobReader]:
    """The stored object of one entry, closed afterwards."""
    blob = vault.blobs.open(entry.object)
    try:
        yield blob
    finally:
        blob.close()


@contextmanager
def readable(
    vault: Vault, model: ModelId, entries: Sequence[SealedEntry], data_key: bytes
) -> Iterator[dict[str, Source]]:
    """The plaintext of every entry by path, read anywhere and authenticated chunk by chunk."""
    with ExitStack() as stack:
        sources: dict[str, Source] = {}
        for entry in entries:
            blob = stack.enter_context(opened(vault, entry))
            reader = stack.enter_context(SealedReader(blob.read_into, data_key, entry, model))
            sources[entry.path] = (reader.read_at, entry.size_bytes)
        yield sources


def unwrap_data_key(vault: Vault, model: ModelId, manifest: Digest, name: str) -> bytes:
    """Return the data key that stands wrapped in the store under ``name``.

    A rotation may rewrap it between our reading it and our unwrapping it: what does not open is read again,
    and is refused if neither it nor what the log says of the family's key has changed.

    Raises:
        RejectedError: it is wrapped for another family, model or content, or under a key rotated away.
    """
    seen: tuple[bytes, FamilyKey | None] | None = None
    for attempt in range(1, UNWRAP_ATTEMPTS + 1):
        stored = vault.blobs.read(name, layout.MAX_WRAPPED_KEY_BYTES)
        now = (stored, vault.replayed.authority.family_keys.get(model.family))
        try:
            return _unwrap(vault, model, WrappedKey.parse(stored), data_key_context(model, manifest))
        except (DeniedError, InvalidError, RejectedError):
            if now == seen or attempt == UNWRAP_ATTEMPTS:
                raise
        seen = now
        read_authority(vault)
    raise AssertionError("unreachable")


def _unwrap(vault: Vault, model: ModelId, wrapped: WrappedKey, context: bytes) -> bytes:
    authority = vault.replayed.authority
    if wrapped.key not in authority.opening_keys(model.family):
        raise RejectedError(f"{model}: data key is wrapped under the key of another family")
    keys = vault.require_keys()
    bound = authority.family_keys.get(model.family)
    if bound is not None and bound.settled:
        version = keys.version_of(wrapped.key, wrapped.wrapped)
        if version < bound.version:
            raise RejectedError(
                f"{model}: data key is wrapped under version {version}, which was rotated away",
                hint="somebody put an old copy back; find out who",
            )
    return keys.unwrap(wrapped.key, wrapped.wrapped, context)


def unseal_entries(
    vault: Vault,
    model: ModelId,
    entries: Sequence[SealedEntry],
    data_key: bytes,
    progress: Progress | None = None,
    *,
    full: bool = False,
) -> dict[str, Memory]:
    """Return the plaintext of every entry by path, in sealed memory; the caller closes it.

    ``full`` also compares every SHA-256.

    Raises:
        RejectedError: an object is not the one that its entry binds; nothing stays in memory.
    """
    memories: dict[str, Memory] = {}
    try:
        for entry in entries:
            memory = memories[entry.path] = vault.memory.allocate(str(model), entry.size_bytes)
            with opened(vault, entry) as blob:
                unseal(
                    blob.read_into,
                    memory.write_at,
                    dek=data_key,
                    entry=entry,
                    model=model,
                    full=full,
                    progress=progress,
                )
            memory.seal()
    except BaseException:
        for memory in memories.values():
            memory.close()
        raise
    return memories

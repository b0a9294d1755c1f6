"""Sealed objects of the store, opened and unsealed into memory."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

from strongroom.artifact.reader import SealedReader
from strongroom.artifact.stream import unseal
from strongroom.errors import RejectedError
from strongroom.flows import layout
from strongroom.flows.keyfile import WrappedKey, data_key_context
from strongroom.flows.vault import Vault
from strongroom.ports import BlobReader, Memory
from strongroom.scan.scan import Source
from strongroom.values import Digest, ModelId, SealedEntry

Progress = Callable[[int], None]


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

    Raises:
        RejectedError: it is wrapped for another family, model or content.
    """
    wrapped = WrappedKey.parse(vault.blobs.read(name, layout.MAX_WRAPPED_KEY_BYTES))
    if wrapped.key not in vault.replayed.authority.opening_keys(model.family):
        raise RejectedError(f"{model}: data key is wrapped under the key of another family")
    return vault.require_keys().unwrap(wrapped.key, wrapped.wrapped, data_key_context(model, manifest))


def unseal_entries(
    vault: Vault,
    model: ModelId,
    entries: Sequence[SealedEntry],
    data_key: bytes,
    progress: Progress | None = None,
) -> dict[str, Memory]:
    """Return the plaintext of every entry by path, in sealed memory; the caller closes it.

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
                    progress=progress,
                )
            memory.seal()
    except BaseException:
        for memory in memories.values():
            memory.close()
        raise
    return memories

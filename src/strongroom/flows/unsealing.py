"""Sealed objects of the store, opened and unsealed into memory."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from strongroom.artifact.stream import unseal
from strongroom.flows.vault import Vault
from strongroom.ports import BlobReader, Memory
from strongroom.values import ModelId, SealedEntry

Progress = Callable[[int], None]


@contextmanager
def opened(vault: Vault, entry: SealedEntry) -> Iterator[BlobReader]:
    """The stored object of one entry, closed afterwards."""
    blob = vault.blobs.open(entry.object)
    try:
        yield blob
    finally:
        blob.close()


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

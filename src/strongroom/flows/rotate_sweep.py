"""Sweep a family's wrapped data keys: each that is not under the newest version is wrapped under it.

No byte of a model is read. A sweep that was cut off is done again; what is under the newest version is left.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

from strongroom.errors import DeniedError, RejectedError, StrongroomError
from strongroom.flows import layout
from strongroom.flows.keyfile import WrappedKey, data_key_context
from strongroom.flows.vault import Vault
from strongroom.trust.authority import Authority
from strongroom.values import Digest, KeyUri, ModelId, State

THREADS = 8
"""Most of a sweep is waiting: for a disk to sync, or for a custody to answer."""
_BATCH = 256
"""What is handed to the threads at once, so that the first failure stops the sweep soon."""
Count = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Held:
    """Where the wrapped data key of one version, or of one upload in quarantine, stands."""

    model: ModelId
    manifest: Digest
    name: str
    dispensable: bool
    """Of a revoked version or an upload in quarantine, which never load: a damaged one holds nothing up."""


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep found and did."""

    seen: int = 0
    rewrapped: int = 0
    damaged: int = 0


def held_keys(authority: Authority, family: str) -> Iterator[Held]:
    """Yield every wrapped data key of the family that the log knows of and that is not to be destroyed."""
    for model, known in authority.versions.items():
        if model.family == family and not authority.is_doomed(model):
            name = layout.wrapped_key_name(model, known.generation)
            yield Held(model, known.manifest, name, known.state is State.REVOKED)
    for kept in authority.quarantined.values():
        if kept.model.family == family and not authority.is_doomed(kept.model):
            name = layout.quarantine_key_name(kept.model, kept.ticket)
            yield Held(kept.model, kept.manifest, name, dispensable=True)


def sweep(vault: Vault, authority: Authority, family: str, count: Count | None = None) -> Swept:
    """Wrap every data key of the family under the newest version of its key in force; durable on return.

    ``count`` is told of each one done.

    Raises:
        RejectedError: one does not open. All others are done by then.
        OutageError: custody or store did not answer; what was done stays.
    """
    target = authority.family_key(family)
    opening = authority.opening_keys(family)
    newest = vault.require_keys().describe(target).newest.version
    seen = rewrapped = left = 0
    damaged: StrongroomError | None = None

    def handle(held: Held) -> bool | StrongroomError | None:
        try:
            return _rewrap(vault, held, target, newest, opening)
        except (RejectedError, DeniedError) as error:
            return None if held.dispensable else error

    everything = held_keys(authority, family)
    with ThreadPoolExecutor(THREADS, thread_name_prefix="rotate") as pool:
        while batch := list(islice(everything, _BATCH)):
            for outcome in pool.map(handle, batch):
                seen += 1
                if isinstance(outcome, StrongroomError):
                    damaged = damaged or outcome
                rewrapped += outcome is True
                left += outcome is None
                if count is not None:
                    count(1)
    if damaged is not None:
        raise RejectedError(
            f"{family}: not settled, because {damaged.message}",
            hint="put its keys.json back from a backup (an old one: --reopen VERSION), or revoke the version",
        )
    return Swept(seen, rewrapped, left)


def _rewrap(vault: Vault, held: Held, target: KeyUri, newest: int, opening: tuple[KeyUri, ...]) -> bool:
    """Return whether it had to be wrapped anew."""
    keys = vault.require_keys()
    try:
        stored = WrappedKey.parse(vault.blobs.read(held.name, layout.MAX_WRAPPED_KEY_BYTES))
        if stored.key not in opening:
            raise RejectedError("data key is wrapped under the key of another family")
        if stored.key == target and keys.version_of(target, stored.wrapped) == newest:
            return False
        context = data_key_context(held.model, held.manifest)
        if stored.key == target:
            fresh = keys.rewrap(target, stored.wrapped, context)
        else:
            data_key = keys.unwrap(stored.key, stored.wrapped, context)
            fresh = keys.wrap(target, data_key, context)
            # The old wrapping is about to be overwritten: the new custody must be able to open its own.
            if keys.unwrap(target, fresh, context) != data_key:
                raise RejectedError(f"{target}: opens to something else than it wrapped")
    except RejectedError as error:
        raise RejectedError(f"{held.name}: {error.message}") from None
    except DeniedError as error:
        raise DeniedError(f"{held.name}: {error.message}", hint=error.hint) from None
    vault.blobs.replace(held.name, WrappedKey(target, fresh).to_bytes())
    return True

"""The seal of a version that was encrypted anew: only where its ciphertext differs from the statement's.

The statement that was published and approved stays as it is. A reseal names it by digest and gives each entry
another object, key commitment and root; it has no field for anything else, so it can change nothing else.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Self

from strongroom import canonical
from strongroom.errors import InvalidError, RejectedError
from strongroom.trust.dsse import Envelope, sign_envelope, verify
from strongroom.trust.keyring import KeyHistory
from strongroom.trust.signatures import MessageSigner
from strongroom.trust.statement import MAX_CLOCK_SKEW, MAX_ENTRIES, SealStatement, parse_hash
from strongroom.values import Digest, ModelId, SealedEntry, format_time, parse_time

RESEAL_TYPE = "application/vnd.strongroom.reseal.v1+json"
_FORMAT = "strongroom-reseal/1"


@dataclass(frozen=True, slots=True)
class Reseal:
    """One later generation of one version's ciphertext."""

    model: ModelId
    generation: int
    manifest: Digest
    statement: Digest
    """SHA-256 of the envelope of the statement, which says all else."""
    seals: tuple[tuple[bytes, bytes], ...]
    """Key commitment and root of each entry, in the order of the statement."""
    created_at: datetime

    @classmethod
    def of(
        cls,
        model: ModelId,
        generation: int,
        manifest: Digest,
        statement: Digest,
        entries: Sequence[SealedEntry],
        created_at: datetime,
    ) -> Self:
        seals = tuple((entry.commitment, entry.root) for entry in entries)
        return cls(model, generation, manifest, statement, seals, created_at)

    def to_payload(self) -> bytes:
        """Return the canonical bytes that are signed."""
        return canonical.encode(
            {
                "created_at": format_time(self.created_at),
                "entries": [
                    {"commitment": commitment.hex(), "root": root.hex()} for commitment, root in self.seals
                ],
                "format": _FORMAT,
                "generation": self.generation,
                "manifest": str(self.manifest),
                "model": str(self.model),
                "statement": str(self.statement),
            }
        )

    @classmethod
    def parse(cls, payload: bytes) -> Self:
        """Return the reseal whose canonical bytes are ``payload``. Raises RejectedError."""
        try:
            value = canonical.decode(payload)
            match value:
                case {
                    "created_at": str(created_at),
                    "entries": list(entries),
                    "format": "strongroom-reseal/1",
                    "generation": int(generation),
                    "manifest": str(manifest),
                    "model": str(model),
                    "statement": str(statement),
                } if 1 <= len(entries) <= MAX_ENTRIES and type(generation) is int:
                    made = cls(
                        ModelId.parse(model),
                        generation,
                        Digest.parse(manifest),
                        Digest.parse(statement),
                        tuple(map(_parse_seal, entries)),
                        parse_time(created_at),
                    )
                    if made.to_payload() == payload:
                        return made
        except InvalidError as error:
            raise RejectedError(f"seal: {error.message}") from None
        raise RejectedError("seal: a field is unknown, missing or of another kind")

    def sign(self, signer: MessageSigner) -> bytes:
        """Return the envelope's bytes, as they are stored beside the objects."""
        return sign_envelope(RESEAL_TYPE, self.to_payload(), signer).to_bytes()

    def apply(self, statement: SealStatement, objects: Sequence[str]) -> SealStatement:
        """Return ``statement`` with its entries where this generation has them, under ``objects``.

        Raises:
            RejectedError: it is about another number of entries.
        """
        if not len(self.seals) == len(statement.entries) == len(objects):
            raise RejectedError(f"{self.model}: its seal is about another number of files")
        parts = zip(statement.entries, objects, self.seals, strict=True)
        moved = tuple(
            replace(entry, object=name, commitment=commitment, root=root)
            for entry, name, (commitment, root) in parts
        )
        return replace(statement, entries=moved)


def require_reseal(envelope: bytes, keys: KeyHistory, at: datetime) -> Reseal:
    """Return the reseal if keys that were valid ``at`` the time the log recorded it have signed it.

    Raises:
        RejectedError: forged, or signed by an unknown, early, expired or revoked key.
    """
    parsed = Envelope.parse(envelope)
    signers = [keys.require_valid(signature.key_id, at) for signature in parsed.signatures]
    made = Reseal.parse(verify(parsed, signers, RESEAL_TYPE))
    if made.created_at > at + MAX_CLOCK_SKEW:
        raise RejectedError(f"{made.model}: seal is dated after its record in the log")
    return made


def _parse_seal(value: Any) -> tuple[bytes, bytes]:
    match value:
        case {"commitment": str(commitment), "root": str(root), **rest} if not rest:
            return parse_hash(commitment), parse_hash(root)
        case _:
            raise InvalidError("an entry has a field missing or of another kind")

"""Real signers for the tests of this room, and ones that lie."""

from dataclasses import dataclass

from strongroom.adapters.keys.memory import MemoryKeyProvider
from strongroom.adapters.keys.stored import SoftwareSigner
from strongroom.trust.signatures import PublicKey
from strongroom.values import KeyUri


def new_signer(algorithm: str = "ecdsa-p256") -> SoftwareSigner:
    return MemoryKeyProvider().create_signer(KeyUri("file:sign/1"), algorithm)


def public(signer: SoftwareSigner) -> PublicKey:
    return PublicKey.from_pem(signer.public_pem)


@dataclass
class LyingSigner:
    """Claims the key of one signer and signs with another."""

    claimed: SoftwareSigner
    real: SoftwareSigner

    @property
    def key_id(self) -> str:
        return self.claimed.key_id

    @property
    def public_pem(self) -> bytes:
        return self.claimed.public_pem

    def sign(self, message: bytes) -> bytes:
        return self.real.sign(message)

"""Every custody of keys that the contract is run over; one that is new adds a function and a line below."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from strongroom.adapters.keys.file import FileKeyProvider
from strongroom.adapters.keys.keystore import Contents, Lock
from strongroom.adapters.keys.memory import MemoryKeyProvider
from strongroom.adapters.keys.pkcs11 import Pkcs11Keys
from strongroom.adapters.keys.routed import Custody
from strongroom.values import KeyUri
from tests.contract import services
from tests.contract.tokens import MODULE, shared_token

PASSPHRASE = "correct horse battery staple"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
LOCK = Lock.fresh(PASSPHRASE)
"""Derived once, as that is slow by design; the file's own tests derive anew."""


@dataclass(frozen=True)
class Kept:
    """One custody, empty, and how its keys are named."""

    provider: Custody
    kek_template: str
    sign_template: str
    where: str = "software"
    """`KeyInfo.custody` of its keys."""
    algorithms: tuple[str, ...] = ("ecdsa-p256", "ed25519")
    stride: int = 1
    """Every how many bits a wrapped key is flipped: 1, or more where each try is a request."""
    secrets: tuple[str, ...] = (PASSPHRASE,)
    """What opens the custody: a PIN, a token."""
    newest_can_rest: bool = True
    """False: the newest version is disabled only by adding another."""

    def kek(self, family: str) -> KeyUri:
        return KeyUri(self.kek_template.format(family))

    def sign(self, number: int) -> KeyUri:
        return KeyUri(self.sign_template.format(number))


@contextmanager
def memory(folder: Path) -> Iterator[Kept]:
    yield Kept(MemoryKeyProvider(now=lambda: NOW), "file:kek/{}", "file:sign/{}")


@contextmanager
def file(folder: Path) -> Iterator[Kept]:
    path = folder / "keystore.json"
    path.touch(mode=0o600)
    path.write_bytes(LOCK.write(Contents()))
    yield Kept(FileKeyProvider(path, LOCK, now=lambda: NOW), "file:kek/{}", "file:sign/{}")


@contextmanager
def pkcs11(folder: Path) -> Iterator[Kept]:
    token = shared_token()
    name = uuid4().hex[:8]
    yield Kept(
        Pkcs11Keys(MODULE, token.label, lambda: token.pin),
        f"pkcs11:{name}/kek/{{}}",
        f"pkcs11:{name}/sign/{{}}",
        where="hsm",
        algorithms=("ecdsa-p256",),
        stride=7,
        secrets=(token.pin,),
    )


@contextmanager
def vault(folder: Path) -> Iterator[Kept]:
    with services.transit() as (provider, _, service):
        token = next(iter(service.tokens))
        yield Kept(
            provider,
            "vault:kek-{}",
            "vault:sign-{}",
            where="kms",
            stride=3,
            secrets=(token,),
            newest_can_rest=False,
        )


@contextmanager
def awskms(folder: Path) -> Iterator[Kept]:
    provider, secret = services.aws_kms()
    name = uuid4().hex[:8]
    yield Kept(
        provider,
        f"awskms:{name}/kek-{{}}",
        f"awskms:{name}/sign-{{}}",
        where="kms",
        algorithms=("ecdsa-p256",),
        stride=19,
        secrets=(secret,),
    )


@contextmanager
def azurekv(folder: Path) -> Iterator[Kept]:
    with services.key_vault() as (provider, _, service):
        yield Kept(
            provider,
            "azurekv:kek-{}",
            "azurekv:sign-{}",
            where="kms",
            algorithms=("ecdsa-p256",),
            stride=29,
            secrets=tuple(service.tokens),
        )


@contextmanager
def gcpkms(folder: Path) -> Iterator[Kept]:
    with services.cloud_kms() as (provider, _, service):
        yield Kept(
            provider,
            "gcpkms:kek-{}",
            "gcpkms:sign-{}",
            where="kms",
            stride=5,
            secrets=tuple(service.tokens),
        )


CUSTODIES: dict[str, Callable[[Path], AbstractContextManager[Kept]]] = {
    "memory": memory,
    "file": file,
    "pkcs11": pkcs11,
    "vault": vault,
    "awskms": awskms,
    "azurekv": azurekv,
    "gcpkms": gcpkms,
}

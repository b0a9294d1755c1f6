"""A home in memory with people and a model in it, which a test may copy, break, and look at from outside."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from strongroom.adapters.blobs.memory import MemoryBlobStore
from strongroom.adapters.clock import FixedClock
from strongroom.adapters.entropy import FixedEntropy
from strongroom.adapters.identity.mtls import BuiltInAuthority, build_ca
from strongroom.adapters.journals.memory import MemoryJournals
from strongroom.adapters.keys.memory import MemoryKeyProvider
from strongroom.adapters.locks.memory import MemoryLocks
from strongroom.adapters.log.memory import MemoryLog
from strongroom.adapters.memory.buffer import BufferProvider
from strongroom.adapters.records.memory import MemoryRecords
from strongroom.errors import RejectedError
from strongroom.flows import layout
from strongroom.flows.approve import approve
from strongroom.flows.audit import verify_whole_log
from strongroom.flows.catalog import sync_catalog
from strongroom.flows.establish import Founder, establish
from strongroom.flows.grant import Wish, grant
from strongroom.flows.identity import add_identity
from strongroom.flows.publish import Offer, publish
from strongroom.flows.release import release, verify
from strongroom.flows.vault import CA_KEY, LOG_KEY, SIGNING_KEY, Replayed, Vault, read_authority
from strongroom.ports import SourceFile
from strongroom.trust.authority import Authority
from strongroom.trust.events import Event
from strongroom.trust.keyring import KeyHistory, SigningKey, TrustRoot
from strongroom.trust.signatures import PublicKey
from strongroom.values import ModelId, Role, State
from tests import models

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
DOMAIN = "home.strongroom.test"
ADMIN, SECOND_ADMIN = "ada", "ben"
DEPLOYER, REVIEWER, OPERATOR, AUDITOR, CONSUMER, OWNER = "dora", "rita", "olaf", "axel", "cleo", "omar"
ROLES = {
    SECOND_ADMIN: Role.ADMIN,
    DEPLOYER: Role.DEPLOYER,
    REVIEWER: Role.REVIEWER,
    OPERATOR: Role.OPERATOR,
    AUDITOR: Role.AUDITOR,
    CONSUMER: Role.CONSUMER,
    OWNER: Role.OWNER,
}
STRANGER = "sven"
"""Has an identity and no role."""
ONE, TWO = ModelId.parse("fraud@1.0.0"), ModelId.parse("fraud@1.1.0")
MONTH = timedelta(days=30)

_FOUND_SOUND: set[tuple[object, ...]] = set()
"""Versions with all their bytes that `require_sound` has looked at, so that it looks once."""


class HandedFile:
    """One file of a model in memory; ``swapped`` plays somebody who writes into it meanwhile."""

    def __init__(self, path: str, content: bytes, *, swapped: bool = False) -> None:
        self.path = path
        self.size = len(content)
        self._content = content
        self._swapped = swapped

    def read_into(self, offset: int, buffer: memoryview) -> int:
        piece = self._content[offset : offset + len(buffer)]
        buffer[: len(piece)] = piece
        return len(piece)

    def require_unchanged(self) -> None:
        if self._swapped:
            raise RejectedError(f"{self.path}: changed while it was read")


class HandedModel:
    """`ports.ModelSource` over a dict."""

    def __init__(self, entries: dict[str, bytes], *, swapped: str = "") -> None:
        self._files = [HandedFile(p, c, swapped=p == swapped) for p, c in sorted(entries.items())]

    @property
    def files(self) -> list[SourceFile]:
        return list(self._files)

    def close(self) -> None:
        """Nothing is held."""


class WatchedKeys(MemoryKeyProvider):
    """Custody that tells the tests which data keys there are, so that they can be searched for."""

    def __init__(self, now: Any) -> None:
        super().__init__(now)
        self.data_keys: list[bytes] = []

    def wrap(self, key: Any, data_key: bytes, context: bytes) -> bytes:
        self.data_keys.append(data_key)
        return super().wrap(key, data_key, context)


@dataclass
class Scene:
    """The twins behind one vault, open for whoever plays the attacker."""

    vault: Vault
    clock: FixedClock
    entropy: FixedEntropy
    blobs: MemoryBlobStore
    records: MemoryRecords
    log: MemoryLog
    journals: MemoryJournals
    keys: WatchedKeys
    memory: BufferProvider
    published: dict[ModelId, dict[str, bytes]] = field(default_factory=dict)
    """The plaintext of what was handed over."""
    seed: Replayed = field(default_factory=Replayed)
    """What the home that this one was copied from had replayed, so that a thousand copies need not."""

    @property
    def authority(self) -> Authority:
        return read_authority(self.reopened())

    @property
    def events(self) -> list[Event]:
        return [Event.parse(leaf) for leaf in self.log._leaves]

    def reopened(self, *, afresh: bool = False) -> Vault:
        """The home as the next process finds it; ``afresh`` replays the log from its first record."""
        ca_pem = self.vault.trust_root.ca_pem
        ca = BuiltInAuthority(ca_pem, DOMAIN, self.keys.signer(CA_KEY), self.entropy)
        return Vault(
            trust_root=self.vault.trust_root,
            clock=self.clock,
            entropy=self.entropy,
            blobs=self.blobs,
            records=self.records,
            log=self.log,
            journals=self.journals,
            locks=MemoryLocks(),
            memory=self.memory,
            keys=self.keys,
            signers=self.keys,
            tls_keys=self.keys,
            ca=ca,
            origin="test:1",
            replayed=Replayed() if afresh else self.seed,
        )

    def copy(self) -> "Scene":
        """An independent home in the same state."""
        made = build_bare(self.vault.trust_root, self.clock.at)
        made.entropy._drawn = self.entropy._drawn
        made.blobs.objects = dict(self.blobs.objects)
        made.log._leaves, made.log._checkpoint = list(self.log._leaves), self.log._checkpoint
        made.records._versions = dict(self.records._versions)
        made.records._identities = dict(self.records._identities)
        made.records._head = self.records._head
        made.journals.files = dict(self.journals.files)
        made.journals._closed = list(self.journals._closed)
        made.keys._held, made.keys.data_keys = dict(self.keys._held), list(self.keys.data_keys)
        made.published = dict(self.published)
        made.seed = self.vault.replayed
        made.vault = made.reopened()
        return made

    def offer(self, model: ModelId, entries: dict[str, bytes] | None = None, **more: Any) -> Offer:
        content = entries or models.linear(seed=model.version.minor + 1).entries
        self.published.setdefault(model, content)
        return Offer(model, more.pop("owner", OWNER), more.pop("by", DEPLOYER), HandedModel(content), **more)

    def publish(self, model: ModelId, entries: dict[str, bytes] | None = None) -> None:
        publish(self.vault, self.offer(model, entries))

    def publish_approved(self, model: ModelId, entries: dict[str, bytes] | None = None) -> None:
        self.publish(model, entries)
        approve(self.vault, REVIEWER, model)

    def objects_of(self, model: ModelId) -> list[str]:
        return list(self.blobs.list(layout.prefix(model)))

    def plaintext(self, model: ModelId) -> dict[str, bytes]:
        """Release ``model`` and return its bytes."""
        released = release(self.vault, OPERATOR, model)
        try:
            content = {path: bytes(memory.content) for path, memory in released.memories.items()}  # type: ignore[attr-defined]
            assert all(memory.is_sealed for memory in released.memories.values())  # type: ignore[attr-defined]
            return content
        finally:
            released.close()


def build_bare(root: TrustRoot | None = None, at: datetime = START) -> Scene:
    """A home whose log is empty; with ``root``, the ports of a home that `Scene.copy` fills."""
    clock, entropy = FixedClock(at), FixedEntropy()
    keys = WatchedKeys(clock.now)
    ca: BuiltInAuthority | None = None
    if root is None:
        log_signer = keys.create_signer(LOG_KEY, "ed25519")
        signing = keys.create_signer(SIGNING_KEY, "ecdsa-p256")
        ca_signer = keys.create_signer(CA_KEY, "ecdsa-p256")
        root = TrustRoot(
            trust_domain=DOMAIN,
            ca_pem=build_ca(ca_signer, DOMAIN, at, entropy),
            log_origin=f"{DOMAIN}/log",
            log_public_key=PublicKey.from_pem(log_signer.public_pem),
            signing_keys=KeyHistory((SigningKey(PublicKey.from_pem(signing.public_pem), at),)),
        )
        ca = BuiltInAuthority(root.ca_pem, DOMAIN, ca_signer, entropy)
    blobs, records, log = MemoryBlobStore(), MemoryRecords(), MemoryLog(root.log_origin)
    journals, memory = MemoryJournals(), BufferProvider()
    vault = Vault(
        trust_root=root,
        clock=clock,
        entropy=entropy,
        blobs=blobs,
        records=records,
        log=log,
        journals=journals,
        locks=MemoryLocks(),
        memory=memory,
        keys=keys,
        signers=keys,
        tls_keys=keys,
        ca=ca,
        origin="test:1",
    )
    return Scene(vault, clock, entropy, blobs, records, log, journals, keys, memory)


@cache
def _peopled(certificate_days: int) -> Scene:
    scene = build_bare()
    establish(scene.vault, Founder(ADMIN, certificate_days))
    for name, role in [*ROLES.items(), (STRANGER, None)]:
        add_identity(scene.vault, ADMIN, name, certificate_days)
        if role is not None:
            grant(scene.vault, ADMIN, Wish(name, role, "*", MONTH, "the test needs them"))
    scene.clock.advance(timedelta(minutes=1))
    return scene


def peopled(certificate_days: int = 90) -> Scene:
    """A home where everybody has one role, and nothing is published."""
    return _peopled(certificate_days).copy()


@cache
def _furnished() -> Scene:
    scene = peopled()
    scene.publish_approved(ONE)
    scene.clock.advance(timedelta(minutes=1))
    return scene


def furnished() -> Scene:
    """As `peopled`, with `ONE` published and approved."""
    return _furnished().copy()


def solo() -> Scene:
    """One person alone, as ``init --insecure-solo`` makes it."""
    scene = build_bare()
    establish(scene.vault, Founder(ADMIN, 7, solo=True))
    return scene


def require_sound(scene: Scene) -> Authority:
    """What must hold of every home at every time, whatever failed; returns the authority.

    The log replays; each version in it has exactly its objects, verifies wholly, and is released as it was
    handed over if it is approved; the catalog can be brought to say what the log says; no data key and no
    plaintext is anywhere in store, log or catalog.
    """
    look = replace(scene, vault=scene.copy().vault)  # looking leaves no record in the home itself
    verify_whole_log(look.vault)
    authority = read_authority(look.vault)
    for model, known in authority.versions.items():
        objects = tuple((name, scene.blobs.objects[name]) for name in scene.objects_of(model))
        if (known, objects) in _FOUND_SOUND:
            continue
        statement = verify(look.vault, OPERATOR, model, full=True)
        expected = layout.expected_names(model, [entry.object for entry in statement.entries])
        assert scene.objects_of(model) == expected
        if known.state is State.APPROVED:
            assert look.plaintext(model) == scene.published[model]
        _FOUND_SOUND.add((known, objects))
    _require_catalog_follows(look)
    _require_secrets_kept(scene)
    return authority


def _require_catalog_follows(scene: Scene) -> None:
    authority = sync_catalog(scene.vault)
    records = scene.vault.records
    rows = {row.model: (row.state, row.digest, row.statement_digest) for row in records.versions()}
    assert rows == {
        str(model): (known.state, str(known.manifest), str(known.statement))
        for model, known in authority.versions.items()
    }
    listed = {row.name: (row.certificate_pem, row.revoked) for row in records.identities()}
    assert listed == {one.name: (one.certificate_pem, one.revoked) for one in authority.identities.values()}
    head = records.head()
    assert head is not None
    assert head[0] == authority.size


def _require_secrets_kept(scene: Scene) -> None:
    kept = b"".join([*scene.blobs.objects.values(), *scene.log._leaves])
    kept += repr([scene.records._versions, scene.records._identities]).encode()
    secrets = [piece for key in scene.keys.data_keys for piece in (key, key.hex().encode())]
    secrets += [_marker(data) for entries in scene.published.values() for data in entries.values()]
    for secret in secrets:
        assert secret not in kept


@cache
def _marker(data: bytes) -> bytes:
    """The 16 most varied bytes of a file: weights, not names or padding."""
    return max((data[at : at + 16] for at in range(len(data) - 16)), key=lambda piece: len(set(piece)))

"""What every custody behind an API does the same way; how its service is asked is up to its subclasses.

A wrapped key is u32 version, then what the service returned. Which version that is, the service proves: it is
bound with the context, or each version is a key of its own.
"""

import re
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import ClassVar

from strongroom.adapters.keys.signing import CustodySigner
from strongroom.adapters.keys.stored import KeyAlgorithm, parse_signing_algorithm
from strongroom.adapters.keys.wrapping import KEY_BYTES, MAX_CONTEXT_BYTES, MAX_KEY_VERSION
from strongroom.errors import DeniedError, InvalidError, OutageError, RejectedError, shorten
from strongroom.ports import KeyInfo, KeyVersion
from strongroom.trust.signatures import PublicKey
from strongroom.values import KeyUri

MAX_WRAPPED_BYTES = 8192
MAX_VERSIONS = 1000
"""Of one key, living ones; a service that tells of more is not believed."""
CONTEXT_PURPOSE = b"strongroom/wrap/1\x00"
_VERSION_BYTES = 4
_SETTLE_S = 30.0
"""How long a change that the service confirmed may take to be seen."""
_SETTLE_POLL_S = 0.25


@dataclass(frozen=True, slots=True)
class HeldVersion:
    """One living version of a key, as its service tells."""

    number: int
    created_at: datetime
    enabled: bool
    handle: str = ""
    """What the service calls it."""


@dataclass(frozen=True, slots=True)
class HeldKey:
    """A key as its service tells."""

    wraps: bool
    versions: tuple[HeldVersion, ...]
    """Oldest first; empty if all were destroyed."""
    custody: str = "kms"
    concerns: tuple[str, ...] = ()
    highest: int = 0
    """The highest number ever given, as far as it is known."""


class RemoteKeys(ABC):
    """`ports.KeyProvider` and `ports.SignerProvider` over a service that holds the keys."""

    scheme: ClassVar[str]
    service: ClassVar[str]
    """As errors name it."""
    name_pattern: ClassVar[re.Pattern[str]]
    example: ClassVar[str]
    algorithms: ClassVar[tuple[KeyAlgorithm, ...]] = (KeyAlgorithm.ECDSA_P256, KeyAlgorithm.ED25519)

    @abstractmethod
    def _find(self, name: str) -> HeldKey | None:
        """Return what the service tells of a key. Raises InvalidError: it can be none of ours."""

    @abstractmethod
    def _begin(self, name: str, held: HeldKey | None, algorithm: KeyAlgorithm) -> None:
        """Make the key with a first living version; one that somebody else just made is no error."""

    @abstractmethod
    def _add(self, name: str, held: HeldKey) -> None:
        """Add a version, the newest."""

    @abstractmethod
    def _encrypt(self, name: str, version: HeldVersion, data_key: bytes, context: bytes) -> tuple[int, bytes]:
        """Return under which version, and what."""

    @abstractmethod
    def _decrypt(self, name: str, number: int, blob: bytes, context: bytes) -> bytes:
        """Raises RejectedError: the service does not open it, for whatever reason."""

    @abstractmethod
    def _switch(self, name: str, held: HeldKey, version: HeldVersion, enabled: bool) -> None: ...

    @abstractmethod
    def _end(self, name: str, held: HeldKey, version: HeldVersion) -> None:
        """Destroy, or have destroyed; unusable from now on."""

    @abstractmethod
    def _public(self, name: str, version: HeldVersion) -> PublicKey: ...

    @abstractmethod
    def _sign(self, name: str, version: HeldVersion, algorithm: str, message: bytes) -> bytes: ...

    def _move(
        self, name: str, number: int, blob: bytes, newest: HeldVersion, context: bytes
    ) -> tuple[int, bytes]:
        """Wrap anew under ``newest``; overridden where the service does it within itself."""
        return self._encrypt(
            name, newest, _require_data_key(self._decrypt(name, number, blob, context)), context
        )

    def create(self, key: KeyUri) -> KeyInfo:
        name = self._name(key)
        held = self._find(name)
        if held is None or not held.versions:
            self._begin(name, held, KeyAlgorithm.AES_256)
            held = self._settled(name, _is_ready)
        return _told(key, _require_wraps(key, held))

    def describe(self, key: KeyUri) -> KeyInfo:
        return _told(key, self._living(key))

    def wrap(self, key: KeyUri, data_key: bytes, context: bytes) -> bytes:
        if len(data_key) != KEY_BYTES:
            raise InvalidError(f"data key: is not {KEY_BYTES} bytes")
        _require_context(context)
        newest = _require_enabled(key, self._kek(key).versions[-1])
        return _pack(*self._encrypt(self._name(key), newest, data_key, context))

    def unwrap(self, key: KeyUri, wrapped: bytes, context: bytes) -> bytes:
        name = self._name(key)
        _require_context(context)
        number, blob = _unpack(wrapped)
        try:
            return _require_data_key(self._decrypt(name, number, blob, context))
        except (RejectedError, DeniedError) as error:
            raise self._refusal(key, number, error) from None

    def rewrap(self, key: KeyUri, wrapped: bytes, context: bytes) -> bytes:
        _require_context(context)
        number, blob = _unpack(wrapped)
        newest = self._kek(key).versions[-1]
        if number == newest.number:
            return wrapped
        _require_enabled(key, newest)
        try:
            return _pack(*self._move(self._name(key), number, blob, newest, context))
        except (RejectedError, DeniedError) as error:
            raise self._refusal(key, number, error) from None

    def version_of(self, key: KeyUri, wrapped: bytes) -> int:
        self._name(key)
        return _unpack(wrapped)[0]

    def rotate(self, key: KeyUri) -> KeyInfo:
        name, held = self._name(key), self._kek(key)
        before = held.versions[-1].number
        self._add(name, held)
        return _told(
            key, self._settled(name, lambda seen: _is_ready(seen) and seen.versions[-1].number > before)
        )

    def set_enabled(self, key: KeyUri, version: int, enabled: bool) -> None:
        name, held = self._name(key), self._living(key)
        meant = next((one for one in held.versions if one.number == version), None)
        if meant is None:
            raise InvalidError(f"{key}: has no version {version}")
        if meant.enabled != enabled:
            self._switch(name, held, meant, enabled)
            self._settled(
                name,
                lambda seen: any((one.number, one.enabled) == (version, enabled) for one in seen.versions),
            )

    def destroy(self, key: KeyUri, version: int) -> None:
        name = self._name(key)
        held = self._find(name)
        meant = next((one for one in held.versions if one.number == version), None) if held else None
        if held is None or meant is None:
            return
        _require_wraps(key, held)
        if meant is held.versions[-1] and len(held.versions) > 1:
            raise InvalidError(f"{key}: version {version} wraps now", hint="rotate the key first")
        self._end(name, held, meant)
        self._settled(name, lambda seen: all(one.number != version for one in seen.versions), gone=True)

    def create_signer(self, key: KeyUri, algorithm: str) -> CustodySigner:
        name, kind = self._name(key), parse_signing_algorithm(algorithm)
        if kind not in self.algorithms:
            raise InvalidError(
                f"{key}: {self.service} makes no {kind} keys", hint=f"use {', '.join(self.algorithms)}"
            )
        held = self._find(name)
        if held is not None and held.versions:
            raise InvalidError(f"{key}: exists already")
        self._begin(name, held, kind)
        self._settled(name, _is_ready)
        return self.signer(key)

    def signer(self, key: KeyUri) -> CustodySigner:
        """The first version signs; one that was added later is another key, which no record names."""
        name, held = self._name(key), self._living(key)
        if held.wraps:
            raise InvalidError(f"{key}: is a key-encryption key, it does not sign")
        version = _require_enabled(key, held.versions[0])
        public = self._public(name, version)
        return CustodySigner(self.service, public, partial(self._sign, name, version, public.algorithm))

    def _name(self, key: KeyUri) -> str:
        scheme, _, name = key.partition(":")
        if scheme != self.scheme or self.name_pattern.fullmatch(name) is None:
            raise InvalidError(
                f"key: {shorten(key)} is not a key of {self.service}", hint=f"such as {self.example}"
            )
        return name

    def _living(self, key: KeyUri) -> HeldKey:
        held = self._find(self._name(key))
        if held is None or not held.versions:
            concerns = "; ".join(held.concerns) if held else ""
            raise InvalidError(f"{key}: there is no such key", hint=concerns or None)
        return held

    def _kek(self, key: KeyUri) -> HeldKey:
        return _require_wraps(key, self._living(key))

    def _settled(self, name: str, seen: Callable[[HeldKey], bool], *, gone: bool = False) -> HeldKey:
        """Wait until the service shows what it has confirmed: some answer from a copy that lags behind."""
        deadline = time.monotonic() + _SETTLE_S
        while True:
            held = self._find(name) or (HeldKey(wraps=True, versions=()) if gone else None)
            if held is not None and seen(held):
                return held
            if time.monotonic() > deadline:
                raise OutageError(f"{self.service}: does not show a change of {name} that it confirmed")
            time.sleep(_SETTLE_POLL_S)

    def _refusal(
        self, key: KeyUri, number: int, refused: RejectedError | DeniedError
    ) -> RejectedError | DeniedError | InvalidError:
        """Say why the service did not open a wrapped key: services word and code it differently."""
        try:
            held = self._kek(key)
        except InvalidError as error:
            return error
        except DeniedError:
            return refused
        meant = next((one for one in held.versions if one.number == number), None)
        if meant is None:
            return RejectedError(f"{key}: wrapped under version {number}, which is destroyed or not known")
        if not meant.enabled:
            return DeniedError(f"{key}: version {number} is disabled")
        if isinstance(refused, DeniedError):
            return refused
        return RejectedError(f"{key}: wrapped key does not open under this key and context")


def _is_ready(held: HeldKey) -> bool:
    """Whether the newest version works; some services take a while to make one."""
    return bool(held.versions) and held.versions[-1].enabled


def _told(key: KeyUri, held: HeldKey) -> KeyInfo:
    versions = tuple(KeyVersion(one.number, one.created_at, one.enabled) for one in held.versions)
    return KeyInfo(key, versions, held.custody, held.concerns)


def _pack(number: int, blob: bytes) -> bytes:
    return number.to_bytes(_VERSION_BYTES, "big") + blob


def _unpack(wrapped: bytes) -> tuple[int, bytes]:
    number = int.from_bytes(wrapped[:_VERSION_BYTES], "big")
    if not _VERSION_BYTES < len(wrapped) <= MAX_WRAPPED_BYTES or not 1 <= number <= MAX_KEY_VERSION:
        raise RejectedError("wrapped key: is none of this custody")
    return number, wrapped[_VERSION_BYTES:]


def _require_wraps(key: KeyUri, held: HeldKey) -> HeldKey:
    if not held.wraps:
        raise InvalidError(f"{key}: is a signing key, it does not wrap")
    return held


def _require_enabled(key: KeyUri, version: HeldVersion) -> HeldVersion:
    if not version.enabled:
        raise DeniedError(f"{key}: version {version.number} is disabled")
    return version


def _require_data_key(data_key: bytes) -> bytes:
    if len(data_key) != KEY_BYTES:
        raise RejectedError("wrapped key: holds no data key")
    return data_key


def _require_context(context: bytes) -> None:
    if len(context) > MAX_CONTEXT_BYTES:
        raise InvalidError(f"context: longer than {MAX_CONTEXT_BYTES} bytes")

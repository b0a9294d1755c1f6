"""Keys in a hardware security module behind PKCS #11 (docs/keys.md, docs/formats/wrapped-keys.md).

A data key is wrapped by the token with AES-256-GCM, bound to the key's label, its version and the context.
The nonce is drawn by the token and by this machine, so neither a cloned machine nor a poor token repeats one.
"""

import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from hashlib import sha256
from itertools import groupby
from typing import Any

import pkcs11
from pkcs11 import Attribute, GCMParams, KeyType, Mechanism
from pkcs11.util.ec import encode_ec_public_key, encode_named_curve_parameters

from strongroom.adapters.keys.pkcs11_objects import (
    ID_BYTES,
    KEK_TEMPLATE,
    PRIVATE_TEMPLATE,
    SALT_BYTES,
    Kek,
    KeyId,
    find_kek,
    find_keks,
    find_pair,
    is_taken,
    parse_label,
)
from strongroom.adapters.keys.pkcs11_session import MissingKeyError, TokenSession
from strongroom.adapters.keys.signing import CustodySigner, der_signature
from strongroom.adapters.keys.stored import KeyAlgorithm, parse_signing_algorithm
from strongroom.adapters.keys.wrapping import KEY_BYTES, MAX_CONTEXT_BYTES
from strongroom.errors import DeniedError, InvalidError, OutageError, RejectedError
from strongroom.ports import KeyInfo, KeyVersion
from strongroom.trust.signatures import PublicKey
from strongroom.values import KeyUri

CUSTODY = "hsm"
_NONCE_BYTES = 12
_TAG_BYTES = 16
_SEALED_BYTES = KEY_BYTES + _TAG_BYTES
WRAPPED_BYTES = ID_BYTES + _NONCE_BYTES + _SEALED_BYTES
_PURPOSE = b"strongroom/pkcs11-wrap/1\x00"
_NOT_KNOWN = (pkcs11.AttributeTypeInvalid, pkcs11.AttributeValueInvalid, pkcs11.TemplateInconsistent)


class Pkcs11Keys:
    """`ports.KeyProvider` and `ports.SignerProvider` over one token. Safe between threads and forks."""

    def __init__(
        self,
        module: str,
        token: str,
        pin: Callable[[], str],
        *,
        deadline_s: float = 15.0,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        """Nothing is asked of the token yet. ``pin`` is called when a login is needed."""
        self._token = TokenSession(module, token, pin, deadline_s)
        self._now_s = now_s

    def __repr__(self) -> str:
        return f"Pkcs11Keys({self._token.name})"

    def create(self, key: KeyUri) -> KeyInfo:
        def make(session: pkcs11.Session) -> None:
            if not find_keks(session, key):
                if is_taken(session, key):
                    raise InvalidError(f"{key}: signs, so it does not wrap")
                self._generate(session, key, 1)

        parse_label(key)
        with suppress(MissingKeyError):
            return self.describe(key)
        self._token.change(make, fresh=True)
        return self.describe(key)

    def describe(self, key: KeyUri) -> KeyInfo:
        parse_label(key)
        return _describe(key, self._token.read(lambda session: find_keks(session, key)))

    def wrap(self, key: KeyUri, data_key: bytes, context: bytes) -> bytes:
        if len(data_key) != KEY_BYTES:
            raise InvalidError(f"data key: is not {KEY_BYTES} bytes")
        _require_context(context)
        parse_label(key)

        def seal(session: pkcs11.Session) -> bytes:
            kek = _newest(key, find_keks(session, key))
            return _wrap(session, key, _require_enabled(key, kek), data_key, context)

        return self._token.read(seal)

    def unwrap(self, key: KeyUri, wrapped: bytes, context: bytes) -> bytes:
        _require_context(context)
        parse_label(key)

        def open_wrapped(session: pkcs11.Session) -> bytes:
            kek = _of(session, key, wrapped)
            return _unwrap(session, key, _require_enabled(key, kek), wrapped, context)

        return self._token.read(open_wrapped)

    def rewrap(self, key: KeyUri, wrapped: bytes, context: bytes) -> bytes:
        _require_context(context)
        parse_label(key)

        def again(session: pkcs11.Session) -> bytes:
            newest = _newest(key, find_keks(session, key))
            kek = _of(session, key, wrapped)
            if kek.id.version == newest.id.version:
                return wrapped
            data_key = _unwrap(session, key, _require_enabled(key, kek), wrapped, context)
            return _wrap(session, key, _require_enabled(key, newest), data_key, context)

        return self._token.read(again)

    def version_of(self, key: KeyUri, wrapped: bytes) -> int:
        parse_label(key)
        return _split(wrapped)[0].version

    def rotate(self, key: KeyUri) -> KeyInfo:
        def add(session: pkcs11.Session) -> KeyInfo:
            self._generate(session, key, _newest(key, find_keks(session, key)).id.version + 1)
            return _describe(key, find_keks(session, key))

        parse_label(key)
        return self._token.change(add)

    def set_enabled(self, key: KeyUri, version: int, enabled: bool) -> None:
        def mark(session: pkcs11.Session) -> None:
            keks = find_keks(session, key)
            _newest(key, keks)
            chosen = [kek for kek in keks if kek.id.version == version]
            if not chosen:
                raise InvalidError(f"{key}: has no version {version}")
            for kek in chosen:
                _set_decrypt(key, kek, enabled)

        parse_label(key)
        self._token.change(mark)

    def destroy(self, key: KeyUri, version: int) -> None:
        def remove(session: pkcs11.Session) -> None:
            keks = find_keks(session, key)
            others = [kek for kek in keks if kek.id.version != version]
            if others and version > others[-1].id.version:
                raise InvalidError(f"{key}: version {version} wraps now", hint="rotate the key first")
            for kek in keks:
                if kek.id.version == version:
                    kek.object.destroy()
            if len(find_keks(session, key)) != len(others):
                raise OutageError(f"{key}: the token says that it destroyed version {version} and did not")

        parse_label(key)
        self._token.change(remove, fresh=True)

    def create_signer(self, key: KeyUri, algorithm: str) -> CustodySigner:
        parse_label(key)
        if parse_signing_algorithm(algorithm) is not KeyAlgorithm.ECDSA_P256:
            raise InvalidError(f"{key}: a token makes no {algorithm} key here", hint="use ecdsa-p256")

        def make(session: pkcs11.Session) -> None:
            if is_taken(session, key):
                raise InvalidError(f"{key}: exists already")
            self._generate_pair(session, key)

        self._token.change(make, fresh=True)
        return self.signer(key)

    def signer(self, key: KeyUri) -> CustodySigner:
        parse_label(key)
        public = self._token.read(lambda session: _public_key(key, _require_pair(session, key)[1]))

        def sign(message: bytes) -> bytes:
            digest = sha256(message).digest()
            raw = self._token.read(
                lambda session: _require_pair(session, key)[0].sign(digest, mechanism=Mechanism.ECDSA)
            )
            return der_signature(raw, self._token.name)

        return CustodySigner(key, public, sign)

    def _generate(self, session: pkcs11.Session, key: KeyUri, version: int) -> None:
        key_id = self._fresh_id(version)

        def generate(template: dict[Attribute, bool]) -> None:
            session.generate_key(
                KeyType.AES, 256, id=key_id, label=parse_label(key), store=True, template=template
            )

        _with_template(dict(KEK_TEMPLATE), generate)

    def _generate_pair(self, session: pkcs11.Session, key: KeyUri) -> None:
        curve = {Attribute.EC_PARAMS: encode_named_curve_parameters("secp256r1")}
        parameters: Any = session.create_domain_parameters(KeyType.EC, curve, local=True)
        key_id = self._fresh_id(1)

        def generate(template: dict[Attribute, bool]) -> None:
            parameters.generate_keypair(
                id=key_id,
                label=parse_label(key),
                store=True,
                mechanism=Mechanism.EC_KEY_PAIR_GEN,
                public_template={Attribute.VERIFY: True},
                private_template=template,
            )

        _with_template(dict(PRIVATE_TEMPLATE), generate)

    def _fresh_id(self, version: int) -> bytes:
        return KeyId(version, int(self._now_s()), os.urandom(SALT_BYTES)).to_bytes()


def _with_template(
    template: dict[Attribute, bool], generate: Callable[[dict[Attribute, bool]], None]
) -> None:
    """Tokens older than PKCS #11 2.40 do not know CKA_COPYABLE; all else is asked of every token."""
    try:
        generate(template)
    except _NOT_KNOWN:
        template.pop(Attribute.COPYABLE)
        generate(template)


def _describe(key: KeyUri, keks: Sequence[Kek]) -> KeyInfo:
    _newest(key, keks)
    versions = []
    for version, group in groupby(keks, key=lambda kek: kek.id.version):
        same = list(group)
        versions.append(KeyVersion(version, same[0].id.created_at, all(kek.enabled for kek in same)))
    return KeyInfo(key, tuple(versions), CUSTODY)


def _newest(key: KeyUri, keks: Sequence[Kek]) -> Kek:
    if not keks:
        raise MissingKeyError(f"{key}: there is no such key")
    return keks[-1]


def _of(session: pkcs11.Session, key: KeyUri, wrapped: bytes) -> Kek:
    """Return the object that ``wrapped`` says it was wrapped under."""
    key_id = None
    if len(wrapped) == WRAPPED_BYTES:
        key_id, _, _ = _split(wrapped)
        found = find_kek(session, key, key_id)
        if found is not None:
            return found
    _newest(key, find_keks(session, key))
    _split(wrapped)
    raise RejectedError(f"{key}: wrapped under version {key_id.version if key_id else 0}, which is not known")


def _require_enabled(key: KeyUri, kek: Kek) -> Kek:
    if not kek.enabled:
        raise DeniedError(f"{key}: version {kek.id.version} is disabled")
    return kek


def _set_decrypt(key: KeyUri, kek: Kek, enabled: bool) -> None:
    try:
        kek.object[Attribute.DECRYPT] = enabled
    except (pkcs11.AttributeReadOnly, pkcs11.FunctionNotSupported):
        raise InvalidError(
            f"{key}: this token does not let the use of a key be changed",
            hint="destroy the version instead, once nothing is wrapped under it",
        ) from None


def _wrap(session: pkcs11.Session, key: KeyUri, kek: Kek, data_key: bytes, context: bytes) -> bytes:
    nonce = _nonce(session)
    parameters = _parameters(key, kek.id, nonce, context)
    sealed: bytes = kek.object.encrypt(data_key, mechanism=Mechanism.AES_GCM, mechanism_param=parameters)
    # A token that draws the nonce itself, or writes the tag elsewhere, would cost the data key.
    opened = kek.object.decrypt(sealed, mechanism=Mechanism.AES_GCM, mechanism_param=parameters)
    if len(sealed) != _SEALED_BYTES or opened != data_key:
        raise OutageError(f"{key}: the token does not do AES-GCM as PKCS #11 says; nothing was wrapped")
    return kek.id.to_bytes() + nonce + sealed


def _unwrap(session: pkcs11.Session, key: KeyUri, kek: Kek, wrapped: bytes, context: bytes) -> bytes:
    _, nonce, sealed = _split(wrapped)
    parameters = _parameters(key, kek.id, nonce, context)
    try:
        data_key: bytes = kek.object.decrypt(sealed, mechanism=Mechanism.AES_GCM, mechanism_param=parameters)
    except pkcs11.PKCS11Error:
        # Tokens have many codes for a wrong tag, and some have them for their own failures too. If the same
        # key opens what it wraps now, it was the tag.
        _wrap(session, key, kek, bytes(KEY_BYTES), b"")
        raise RejectedError(f"{key}: wrapped key does not open under this key and context") from None
    if len(data_key) != KEY_BYTES:
        raise RejectedError(f"{key}: holds no data key")
    return data_key


def _nonce(session: pkcs11.Session) -> bytes:
    drawn = session.generate_random(8 * _NONCE_BYTES)
    return bytes(one ^ other for one, other in zip(drawn, os.urandom(_NONCE_BYTES), strict=True))


def _parameters(key: KeyUri, key_id: KeyId, nonce: bytes, context: bytes) -> GCMParams:
    label = parse_label(key).encode()
    bound = _PURPOSE + len(label).to_bytes(2, "big") + label + key_id.to_bytes() + context
    return GCMParams(nonce, bound, 8 * _TAG_BYTES)


def _split(wrapped: bytes) -> tuple[KeyId, bytes, bytes]:
    """Return key id, nonce and sealed data key. Raises RejectedError: not a wrapped key."""
    if len(wrapped) != WRAPPED_BYTES:
        raise RejectedError(f"wrapped key: is not {WRAPPED_BYTES} bytes")
    try:
        key_id = KeyId.parse(wrapped[:ID_BYTES])
    except InvalidError as error:
        raise RejectedError(f"wrapped key: {error.message}") from None
    return key_id, wrapped[ID_BYTES : ID_BYTES + _NONCE_BYTES], wrapped[ID_BYTES + _NONCE_BYTES :]


def _require_context(context: bytes) -> None:
    if len(context) > MAX_CONTEXT_BYTES:
        raise InvalidError(f"context: longer than {MAX_CONTEXT_BYTES} bytes")


def _require_pair(session: pkcs11.Session, key: KeyUri) -> tuple[Any, Any]:
    pair = find_pair(session, key)
    if pair is None:
        if is_taken(session, key):
            raise InvalidError(f"{key}: wraps, so it does not sign")
        raise MissingKeyError(f"{key}: there is no such key")
    return pair


def _public_key(key: KeyUri, public: Any) -> PublicKey:
    try:
        return PublicKey.from_der(encode_ec_public_key(public))
    except (InvalidError, ValueError):
        raise RejectedError(f"{key}: its public half is no P-256 key") from None

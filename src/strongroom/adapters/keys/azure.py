"""Keys in Azure Key Vault or Managed HSM, over its REST API: each version is a key ``<name>-v<number>``.

Of the versions that Key Vault keeps inside one key none can be deleted alone. Key Vault wraps with
RSA-OAEP-256, which binds no context: so what it wraps is a fresh seed, and the data key is wrapped under what
is derived from the seed and the context (AES-KWP, as in the keystore). Who holds the public key can make a
wrapped key, but none that the key commitment of a signed statement fits.
"""

import os
import re
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from strongroom.adapters.keys.bearer import BearerWire
from strongroom.adapters.keys.remote import CONTEXT_PURPOSE, MAX_VERSIONS, HeldKey, HeldVersion, RemoteKeys
from strongroom.adapters.keys.signing import der_signature
from strongroom.adapters.keys.stored import KeyAlgorithm
from strongroom.adapters.keys.wire import Answer, require_number, require_text
from strongroom.adapters.keys.wrapping import KEY_BYTES, unwrap_key, wrap_key
from strongroom.errors import DeniedError, InvalidError, OutageError, RejectedError
from strongroom.trust.signatures import PublicKey

MAX_KEYS = 20_000
"""Looked through in one vault; it lists them 25 at a time."""
_API = "api-version=7.4"
_PAGE = 25
_TAG, _KEK, _SIGNING = "strongroom", "kek", "sign"
_RSA_BITS, _RSA_BYTES = 3072, 384
_HANDLE_BYTES = 16
_SEALED_BYTES = KEY_BYTES + 8
_HANDLE = re.compile(r"[0-9a-f]{32}", re.ASCII)
_PURGE_WAIT_S, _PURGE_POLL_S = 20.0, 0.5
_NEXT_PATH = re.compile(r"/keys\?[A-Za-z0-9$&=._~%+-]{1,4000}", re.ASCII)


@dataclass(frozen=True, slots=True)
class _Current:
    """The current version of one key of the vault, as Key Vault itself counts versions."""

    handle: str
    jwk: dict[str, Any]


class AzureKeys(RemoteKeys):
    """Keys of one vault that carry the tag ``strongroom``."""

    scheme = "azurekv"
    service = "azurekv"
    name_pattern = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,110}[a-z0-9])?", re.ASCII)
    example = "azurekv:kek-fraud"
    algorithms = (KeyAlgorithm.ECDSA_P256,)

    def __init__(self, wire: BearerWire, *, hsm: bool) -> None:
        """``hsm``: new keys are made in hardware, which a standard vault refuses."""
        self._wire = wire
        self._hsm = hsm

    def __repr__(self) -> str:
        return f"AzureKeys({self._wire!r})"

    def _find(self, name: str) -> HeldKey | None:
        pattern = re.compile(rf"/keys/{re.escape(name)}-v([1-9][0-9]{{0,8}})", re.ASCII)
        versions, concerns, kinds = [], [], set()
        for one in self._listed():
            match = pattern.fullmatch(urlsplit(str(one.get("kid"))).path)
            if match is None:
                continue
            attributes, tags = one.get("attributes") or {}, one.get("tags") or {}
            number = int(match[1])
            kinds.add(str(tags.get(_TAG)))
            enabled = attributes.get("enabled") is True
            made = datetime.fromtimestamp(require_number("azurekv", attributes.get("created")), UTC)
            versions.append(HeldVersion(number, made, enabled, f"{name}-v{number}"))
            if attributes.get("exportable"):
                concerns.append(f"version {number} can be exported")
            if attributes.get("exp"):
                ends = datetime.fromtimestamp(require_number("azurekv", attributes["exp"]), UTC)
                concerns.append(f"version {number} expires on {ends:%Y-%m-%d}")
        if not versions:
            return None
        if len(versions) > MAX_VERSIONS:
            raise OutageError(f"azurekv: tells of more than {MAX_VERSIONS} versions")
        if kinds not in ({_KEK}, {_SIGNING}):
            raise InvalidError(
                f"azurekv:{name}: its versions do not all carry one tag {_TAG}={_KEK} or {_TAG}={_SIGNING}"
            )
        versions.sort(key=lambda version: version.number)
        return HeldKey(
            kinds == {_KEK},
            tuple(versions),
            concerns=tuple(concerns),
            highest=versions[-1].number,
        )

    def _listed(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        path = f"/keys?maxresults={_PAGE}&{_API}"
        while len(found) <= MAX_KEYS:
            page = self._done(self._wire.ask("GET", path))
            found += [one for one in page.get("value") or () if isinstance(one, dict)]
            if not page.get("nextLink"):
                return found
            following = urlsplit(str(page["nextLink"]))
            path = f"{following.path}?{following.query}"
            if following.hostname != self._wire.host or _NEXT_PATH.fullmatch(path) is None:
                raise OutageError("azurekv: goes on at an address that is none of its own")
        raise OutageError(f"azurekv: lists more than {MAX_KEYS} keys")

    def _begin(self, name: str, held: HeldKey | None, algorithm: KeyAlgorithm) -> None:
        self._make(name, 1, algorithm)

    def _add(self, name: str, held: HeldKey) -> None:
        self._make(name, held.highest + 1, KeyAlgorithm.AES_256)

    def _make(self, name: str, number: int, algorithm: KeyAlgorithm) -> None:
        """A number whose key is deleted but not purged is passed over."""
        wraps = algorithm is KeyAlgorithm.AES_256
        wanted: dict[str, Any] = {
            "kty": ("RSA" if wraps else "EC") + ("-HSM" if self._hsm else ""),
            "key_ops": ["wrapKey", "unwrapKey"] if wraps else ["sign", "verify"],
            "attributes": {"enabled": True, "exportable": False},
            "tags": {_TAG: _KEK if wraps else _SIGNING},
        }
        wanted |= {"key_size": _RSA_BITS} if wraps else {"crv": "P-256"}
        for candidate in range(number, number + MAX_VERSIONS):
            answer = self._wire.ask(
                "POST", f"/keys/{name}-v{candidate}/create?{_API}", wanted, repeatable=False
            )
            if answer.status != 409:
                self._done(answer)
                return
        raise OutageError(f"azurekv: every next name of {name} is taken by a deleted key")

    def _encrypt(self, name: str, version: HeldVersion, data_key: bytes, context: bytes) -> tuple[int, bytes]:
        current = self._current(version.handle)
        seed = os.urandom(KEY_BYTES)
        sealed = wrap_key(seed, _purpose(version.number, current.handle, context), data_key)
        wrapped_seed = self._used(version.handle, current.handle, "wrapkey", "RSA-OAEP-256", seed)
        if wrapped_seed is None:
            raise DeniedError(f"azurekv:{name}: version {version.number} does not wrap")
        if len(wrapped_seed) != _RSA_BYTES:
            raise OutageError("azurekv: wraps with another key than it described")
        return version.number, bytes.fromhex(current.handle) + sealed + wrapped_seed

    def _decrypt(self, name: str, number: int, blob: bytes, context: bytes) -> bytes:
        if len(blob) != _HANDLE_BYTES + _SEALED_BYTES + _RSA_BYTES:
            raise RejectedError("wrapped key: is none of this custody")
        handle = blob[:_HANDLE_BYTES].hex()
        sealed = blob[_HANDLE_BYTES : _HANDLE_BYTES + _SEALED_BYTES]
        seed = self._used(
            f"{name}-v{number}", handle, "unwrapkey", "RSA-OAEP-256", blob[_HANDLE_BYTES + _SEALED_BYTES :]
        )
        if seed is None or len(seed) != KEY_BYTES:
            raise RejectedError("azurekv: does not open it")
        return unwrap_key(seed, _purpose(number, handle, context), sealed)

    def _switch(self, name: str, held: HeldKey, version: HeldVersion, enabled: bool) -> None:
        """Of all versions that Key Vault itself counts: one rotated by a policy of the vault has several."""
        for handle in self._handles(version.handle):
            path = f"/keys/{version.handle}/{handle}?{_API}"
            self._done(self._wire.ask("PATCH", path, {"attributes": {"enabled": enabled}}))

    def _end(self, name: str, held: HeldKey, version: HeldVersion) -> None:
        """Delete, and purge where the vault lets us; else it is gone for good when its retention ends."""
        answer = self._wire.ask("DELETE", f"/keys/{version.handle}?{_API}")
        if answer.status not in (404, 409):
            self._done(answer)
        deadline = time.monotonic() + _PURGE_WAIT_S
        while time.monotonic() < deadline:
            try:
                purged = self._wire.ask("DELETE", f"/deletedkeys/{version.handle}?{_API}")
            except DeniedError:
                return
            if purged.status not in (404, 409):
                return
            time.sleep(_PURGE_POLL_S)

    def _public(self, name: str, version: HeldVersion) -> PublicKey:
        jwk = self._current(version.handle).jwk
        if jwk.get("crv") != "P-256":
            raise InvalidError(f"azurekv:{name}: is no P-256 key")
        x, y = (int.from_bytes(_decoded(jwk.get(part)), "big") for part in ("x", "y"))
        try:
            public = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
        except ValueError:
            raise OutageError("azurekv: tells of a public key that is none") from None
        return PublicKey.from_der(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))

    def _sign(self, name: str, version: HeldVersion, algorithm: str, message: bytes) -> bytes:
        handle = self._current(version.handle).handle
        raw = self._used(version.handle, handle, "sign", "ES256", sha256(message).digest())
        if raw is None:
            raise DeniedError(f"azurekv:{name}: does not sign with version {version.number}")
        return der_signature(raw, "azurekv")

    def _current(self, key: str) -> _Current:
        jwk = self._done(self._wire.ask("GET", f"/keys/{key}?{_API}")).get("key")
        if not isinstance(jwk, dict):
            raise OutageError("azurekv: tells of a key without its public part")
        handle = urlsplit(str(jwk.get("kid"))).path.rpartition("/")[2]
        if _HANDLE.fullmatch(handle) is None:
            raise OutageError("azurekv: names a version as Key Vault does not")
        return _Current(handle, jwk)

    def _handles(self, key: str) -> list[str]:
        page = self._done(self._wire.ask("GET", f"/keys/{key}/versions?maxresults={_PAGE}&{_API}"))
        kids = [urlsplit(str(one.get("kid"))).path.rpartition("/")[2] for one in page.get("value") or ()]
        if page.get("nextLink") or not kids or not all(_HANDLE.fullmatch(kid) for kid in kids):
            raise InvalidError(f"azurekv: {key} has more versions of its own than can be switched together")
        return kids

    def _used(self, key: str, handle: str, verb: str, algorithm: str, value: bytes) -> bytes | None:
        """Return what came out, or None where the key refuses."""
        body = {"alg": algorithm, "value": urlsafe_b64encode(value).rstrip(b"=").decode()}
        answer = self._wire.ask("POST", f"/keys/{key}/{handle}/{verb}?{_API}", body)
        return None if answer.status in (400, 404, 409) else _decoded(self._done(answer).get("value"))

    def _done(self, answer: Answer) -> dict[str, Any]:
        if answer.status == 404:
            raise InvalidError("azurekv: there is no such key")
        if not answer.ok:
            raise OutageError(f"azurekv: refuses with status {answer.status}", hint="see the vault's logs")
        return answer.body


def _purpose(number: int, handle: str, context: bytes) -> bytes:
    return CONTEXT_PURPOSE + number.to_bytes(4, "big") + bytes.fromhex(handle) + context


def _decoded(value: object) -> bytes:
    text = require_text("azurekv", value)
    try:
        return urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (Base64Error, ValueError):
        raise OutageError("azurekv: its answer cannot be read") from None

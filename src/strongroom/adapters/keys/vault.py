"""Keys in the Transit engine of HashiCorp Vault or OpenBao, over its HTTP API.

A family's key is one derived Transit key: the context is what the key of each wrapping is derived from, in
the server, so that a wrapped key opens in no other context, and the server can rewrap it.
"""

import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from strongroom.adapters.keys.remote import CONTEXT_PURPOSE, MAX_VERSIONS, HeldKey, HeldVersion, RemoteKeys
from strongroom.adapters.keys.stored import KeyAlgorithm
from strongroom.adapters.keys.wire import Answer, Wire, require_number, require_text
from strongroom.errors import DeniedError, InvalidError, OutageError, RejectedError
from strongroom.trust.signatures import Algorithm, PublicKey

_SEALED_BYTES = 12 + 32 + 16
"""Nonce, data key and tag of AES-256-GCM."""
_CIPHERTEXT = re.compile(r"vault:v([1-9][0-9]{0,8}):([A-Za-z0-9+/=]{1,400})", re.ASCII)
_PATH = re.compile(r"[A-Za-z0-9_-]{1,64}(?:/[A-Za-z0-9_-]{1,64}){0,7}", re.ASCII)
_KEK_TYPE = "aes256-gcm96"
_CONCERNS = (
    ("exportable", "its material can be exported"),
    ("allow_plaintext_backup", "its material can be backed up in plain"),
    ("deletion_allowed", "it can be deleted"),
    ("imported_key", "it was imported, so there is or was a copy elsewhere"),
)


class VaultKeys(RemoteKeys):
    """Transit keys by name. Versions are disabled and destroyed from the oldest on; see `_switch`, `_end`."""

    scheme = "vault"
    service = "vault"
    name_pattern = re.compile(r"[a-z0-9](?:[a-z0-9_-]|\.(?!\.)){0,120}[a-z0-9]", re.ASCII)
    example = "vault:kek-fraud"

    def __init__(
        self, wire: Wire, token: Callable[[], str], mount: str, namespace: str | None = None
    ) -> None:
        """``token`` is asked before every request, and again when the server refuses what it gave.

        Raises:
            InvalidError: mount or namespace is no path.
        """
        if _PATH.fullmatch(mount) is None or (namespace and _PATH.fullmatch(namespace.rstrip("/")) is None):
            raise InvalidError("vault: mount or namespace is no path", hint='for instance mount = "transit"')
        self._wire = wire
        self._token = token
        self._mount = mount
        self._namespace = namespace

    def __repr__(self) -> str:
        return f"VaultKeys({self._wire!r}, {self._mount!r})"

    def _find(self, name: str) -> HeldKey | None:
        answer = self._ask("GET", f"keys/{name}")
        if answer.status == 404:
            return None
        data = self._data(answer)
        wraps = data.get("type") == _KEK_TYPE
        if wraps and (data.get("derived") is not True or data.get("convergent_encryption")):
            raise InvalidError(
                f"vault:{name}: binds no context",
                hint="make it with derived=true and convergent_encryption=false",
            )
        if not wraps and data.get("type") not in set(Algorithm):
            raise InvalidError(
                f"vault:{name}: is a key of another type", hint=f"use {_KEK_TYPE} or ecdsa-p256"
            )
        concerns = tuple(text for field, text in _CONCERNS if data.get(field))
        latest = require_number("vault", data.get("latest_version"))
        return HeldKey(wraps, self._versions(data, latest), concerns=concerns, highest=latest)

    def _versions(self, data: dict[str, Any], latest: int) -> tuple[HeldVersion, ...]:
        """What Transit has disabled it tells no time of: then that of the oldest it does tell of."""
        first = max(1, require_number("vault", data.get("min_available_version", 0)))
        usable = require_number("vault", data.get("min_decryption_version", 0))
        if latest - first >= MAX_VERSIONS:
            raise OutageError(f"vault: tells of more than {MAX_VERSIONS} versions")
        told = data.get("keys")
        times = {
            int(number): _time(value)
            for number, value in (told.items() if isinstance(told, dict) else ())
            if str(number).isdecimal() and len(str(number)) < 10
        }
        if not times:
            raise OutageError("vault: tells of a key without versions")
        oldest = min(times.values())
        return tuple(
            HeldVersion(number, times.get(number, oldest), enabled=number >= usable)
            for number in range(first, latest + 1)
        )

    def _begin(self, name: str, held: HeldKey | None, algorithm: KeyAlgorithm) -> None:
        wraps = algorithm is KeyAlgorithm.AES_256
        wanted = {
            "type": _KEK_TYPE if wraps else str(algorithm),
            "derived": wraps,
            "exportable": False,
            "allow_plaintext_backup": False,
        }
        answer = self._ask("POST", f"keys/{name}", wanted)
        self._require_done(answer)
        if not wraps and any("already existed" in str(one) for one in answer.body.get("warnings") or ()):
            raise InvalidError(f"vault:{name}: exists already")

    def _add(self, name: str, held: HeldKey) -> None:
        self._require_done(self._ask("POST", f"keys/{name}/rotate", {}, repeatable=False))

    def _encrypt(self, name: str, version: HeldVersion, data_key: bytes, context: bytes) -> tuple[int, bytes]:
        body = {"plaintext": b64encode(data_key).decode(), "context": _derivation(context)}
        return self._sealed(self._ask("POST", f"encrypt/{name}", body))

    def _move(
        self, name: str, number: int, blob: bytes, newest: HeldVersion, context: bytes
    ) -> tuple[int, bytes]:
        body = {"ciphertext": _ciphertext(number, blob), "context": _derivation(context)}
        return self._sealed(self._ask("POST", f"rewrap/{name}", body))

    def _decrypt(self, name: str, number: int, blob: bytes, context: bytes) -> bytes:
        body = {"ciphertext": _ciphertext(number, blob), "context": _derivation(context)}
        data = self._opened(self._ask("POST", f"decrypt/{name}", body))
        try:
            return b64decode(require_text("vault", data.get("plaintext")), validate=True)
        except Base64Error:
            raise RejectedError("wrapped key: holds no data key") from None

    def _switch(self, name: str, held: HeldKey, version: HeldVersion, enabled: bool) -> None:
        """Transit knows one bound, ``min_decryption_version``. The newest is disabled by adding a version."""
        neighbour = next(
            (one for one in held.versions if one.number == version.number + (1 if enabled else -1)), None
        )
        if neighbour is not None and neighbour.enabled != enabled:
            order = "newer versions first" if enabled else "older versions first"
            raise InvalidError(
                f"vault:{name}: Transit cannot do this to version {version.number} alone", hint=order
            )
        if not enabled and version is held.versions[-1]:
            self._add(name, held)
        usable = version.number + (0 if enabled else 1)
        newest = max(usable, held.versions[-1].number)
        self._configure(name, {"min_decryption_version": usable, "min_encryption_version": newest})

    def _end(self, name: str, held: HeldKey, version: HeldVersion) -> None:
        if version is held.versions[-1]:
            self._configure(name, {"deletion_allowed": True})
            answer = self._ask("DELETE", f"keys/{name}")
            if answer.status != 404:
                self._require_done(answer)
            return
        if version is not held.versions[0]:
            raise InvalidError(f"vault:{name}: Transit destroys older versions first")
        bound = version.number + 1
        self._configure(
            name,
            {
                "min_decryption_version": max(bound, min(one.number for one in held.versions if one.enabled)),
                "min_encryption_version": held.versions[-1].number,
            },
        )
        self._require_done(self._ask("POST", f"keys/{name}/trim", {"min_available_version": bound}))

    def _public(self, name: str, version: HeldVersion) -> PublicKey:
        told = self._data(self._ask("GET", f"keys/{name}")).get("keys")
        entry = told.get(str(version.number)) if isinstance(told, dict) else None
        text = require_text("vault", entry.get("public_key") if isinstance(entry, dict) else None)
        if text.startswith("-----BEGIN"):
            return PublicKey.from_pem(text)
        try:
            raw = Ed25519PublicKey.from_public_bytes(b64decode(text, validate=True))
        except (Base64Error, ValueError):
            raise OutageError("vault: tells of a public key that is none") from None
        return PublicKey.from_der(raw.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))

    def _sign(self, name: str, version: HeldVersion, algorithm: str, message: bytes) -> bytes:
        body: dict[str, Any] = {"key_version": version.number}
        if algorithm == Algorithm.ECDSA_P256:
            path = f"sign/{name}/sha2-256"
            body |= {"input": b64encode(sha256(message).digest()).decode(), "prehashed": True}
            body |= {"marshaling_algorithm": "asn1"}
        else:
            path, body["input"] = f"sign/{name}", b64encode(message).decode()
        answer = self._ask("POST", path, body)
        if answer.status == 400:
            raise DeniedError(
                f"vault:{name}: does not sign with version {version.number}", hint="was it rotated?"
            )
        signature = _parsed(require_text("vault", self._data(answer).get("signature")))
        if signature is None:
            raise OutageError("vault: answers with something else than a signature")
        return signature[1]

    def _configure(self, name: str, settings: dict[str, Any]) -> None:
        self._require_done(self._ask("POST", f"keys/{name}/config", settings))

    def _ask(
        self, method: str, path: str, body: dict[str, Any] | None = None, *, repeatable: bool = True
    ) -> Answer:
        """Raises DeniedError: the token, as it is now, gives no right to this."""
        token, fresh = None, self._token()
        while token != fresh:
            token = fresh
            headers = {"X-Vault-Token": _require_token(token), "X-Vault-Request": "true"}
            if self._namespace:
                headers["X-Vault-Namespace"] = self._namespace
            answer = self._wire.call(
                method, f"/v1/{self._mount}/{path}", body, headers=headers, repeatable=repeatable
            )
            if answer.status not in (401, 403):
                return answer
            fresh = self._token()
        raise DeniedError(f"vault: its token gives no right to {path}", hint="see the policy in docs/keys.md")

    def _sealed(self, answer: Answer) -> tuple[int, bytes]:
        parsed = _parsed(require_text("vault", self._opened(answer).get("ciphertext")))
        if parsed is None or len(parsed[1]) != _SEALED_BYTES:
            raise OutageError("vault: answers with something else than a wrapped key")
        return parsed

    def _opened(self, answer: Answer) -> dict[str, Any]:
        if answer.status in (400, 404, 422):
            raise RejectedError("vault: does not open it")
        return self._data(answer)

    def _data(self, answer: Answer) -> dict[str, Any]:
        self._require_done(answer)
        data = answer.body.get("data")
        if not isinstance(data, dict):
            raise OutageError("vault: its answer holds no data")
        return data

    def _require_done(self, answer: Answer) -> None:
        if answer.status == 404:
            raise InvalidError(f"vault: there is no such key, or no Transit engine at {self._mount}")
        if not answer.ok:
            raise OutageError(
                f"vault: refuses with status {answer.status}", hint="see the audit log of the server"
            )


def _derivation(context: bytes) -> str:
    return b64encode(CONTEXT_PURPOSE + context).decode()


def _ciphertext(number: int, blob: bytes) -> str:
    if len(blob) != _SEALED_BYTES:
        raise RejectedError("wrapped key: is none of Transit")
    return f"vault:v{number}:{b64encode(blob).decode()}"


def _parsed(text: str) -> tuple[int, bytes] | None:
    match = _CIPHERTEXT.fullmatch(text)
    try:
        return (int(match[1]), b64decode(match[2], validate=True)) if match else None
    except Base64Error:
        return None


def _time(value: object) -> datetime:
    """Symmetric versions have seconds since 1970, asymmetric ones an object with RFC 3339 text."""
    try:
        if isinstance(value, dict):
            text = re.sub(r"(\.\d{1,6})\d*", r"\1", str(value.get("creation_time"))[:64])
            return datetime.fromisoformat(text).astimezone(UTC)
        return datetime.fromtimestamp(int(str(value)[:20]), UTC)
    except (ValueError, OverflowError):
        raise OutageError("vault: tells a time that is none") from None


def _require_token(token: str) -> str:
    if not (token.isascii() and token.isprintable() and token):
        raise InvalidError("vault: the token is no line of plain text")
    return token

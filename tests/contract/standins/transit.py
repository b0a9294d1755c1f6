"""The Transit engine of Vault and OpenBao: derived AES-256-GCM keys, ECDSA P-256, Ed25519, their versions.

What is refused, and when, follows the API pages "Transit secrets engine" of both projects.
"""

import base64
import os
import re
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.contract.standins.server import Asked

Refusal = tuple[int, Any]


@dataclass
class _Key:
    type: str
    derived: bool
    exportable: bool
    allow_plaintext_backup: bool
    materials: dict[int, Any] = field(default_factory=dict)
    made: dict[int, datetime] = field(default_factory=dict)
    latest: int = 0
    min_available: int = 0
    min_decryption: int = 1
    min_encryption: int = 0
    deletion_allowed: bool = False

    def rotate(self) -> None:
        self.latest += 1
        self.made[self.latest] = datetime.now(UTC)
        match self.type:
            case "aes256-gcm96":
                self.materials[self.latest] = os.urandom(32)
            case "ecdsa-p256":
                self.materials[self.latest] = ec.generate_private_key(ec.SECP256R1())
            case "ed25519":
                self.materials[self.latest] = ed25519.Ed25519PrivateKey.generate()


class Transit:
    """One engine mounted at ``transit``; `tokens` are those it lets in."""

    def __init__(self, token: str, namespace: str | None = None) -> None:
        self.tokens = {token}
        self.namespace = namespace
        self.keys: dict[str, _Key] = {}

    def answer(self, asked: Asked) -> tuple[int, Any]:
        if asked.headers.get("X-Vault-Token") not in self.tokens:
            return 403, {"errors": ["permission denied"]}
        if asked.headers.get("X-Vault-Namespace") != self.namespace or not asked.path.startswith(
            "/v1/transit/"
        ):
            return 404, {"errors": ["no handler for route"]}
        verb, _, rest = asked.path.removeprefix("/v1/transit/").partition("/")
        name, _, detail = rest.partition("/")
        key = self.keys.get(name)
        if verb == "keys":
            return self._keys(asked, name, key, detail)
        if key is None:
            return _refused("encryption key not found")
        match verb:
            case "encrypt":
                return self._encrypt(key, asked.body, base64.b64decode(asked.body["plaintext"]))
            case "decrypt" | "rewrap":
                opened = self._decrypt(key, asked.body)
                if isinstance(opened, tuple):
                    return opened
                if verb == "rewrap":
                    return self._encrypt(key, asked.body, opened)
                return 200, {"data": {"plaintext": base64.b64encode(opened).decode()}}
            case "sign":
                return self._sign(key, asked.body, detail)
        return 404, {"errors": []}

    def _keys(self, asked: Asked, name: str, key: _Key | None, detail: str) -> tuple[int, Any]:
        body = asked.body
        if asked.method == "POST" and not detail:
            known = key is not None
            if key is None:
                flags = ("derived", "exportable", "allow_plaintext_backup")
                key = _Key(body.get("type", "aes256-gcm96"), *(bool(body.get(flag)) for flag in flags))
                key.rotate()
                self.keys[name] = key
            return 200, {
                "data": _shown(name, key),
                "warnings": [f"key {name} already existed"] if known else None,
            }
        if key is None:
            return (
                (404, {"errors": []}) if asked.method == "GET" else _refused("no existing key could be found")
            )
        if asked.method == "GET":
            return 200, {"data": _shown(name, key)}
        if asked.method == "DELETE":
            if not key.deletion_allowed:
                return _refused("deletion is not allowed for this key")
            del self.keys[name]
            return 204, None
        return {"rotate": _rotate, "config": _configure, "trim": _trim}[detail](name, key, body)

    def _encrypt(self, key: _Key, body: Any, plaintext: bytes) -> tuple[int, Any]:
        context = base64.b64decode(body.get("context", ""))
        version = body.get("key_version") or key.latest
        if not context:
            return _refused("missing 'context' for key derivation; the key was created using a derived key")
        if version < (key.min_encryption or key.latest) or version > key.latest:
            return _refused("requested version for encryption is not allowed")
        nonce = os.urandom(12)
        sealed = nonce + AESGCM(_derive(key.materials[version], context)).encrypt(nonce, plaintext, None)
        text = f"vault:v{version}:{base64.b64encode(sealed).decode()}"
        return 200, {"data": {"ciphertext": text, "key_version": version}}

    def _decrypt(self, key: _Key, body: Any) -> bytes | Refusal:
        context = base64.b64decode(body.get("context", ""))
        match = re.fullmatch(r"vault:v(\d+):(.+)", body["ciphertext"])
        if match is None or not context:
            return _refused("invalid ciphertext: no prefix")
        version, sealed = int(match[1]), base64.b64decode(match[2])
        if not key.min_decryption <= version <= key.latest:
            return _refused("ciphertext or signature version is disallowed by policy (too old)")
        try:
            return AESGCM(_derive(key.materials[version], context)).decrypt(sealed[:12], sealed[12:], None)
        except InvalidTag:
            return _refused("cipher: message authentication failed")

    def _sign(self, key: _Key, body: Any, hash_name: str) -> tuple[int, Any]:
        version, message = body.get("key_version") or key.latest, base64.b64decode(body["input"])
        if version < (key.min_encryption or key.latest) or version not in key.materials:
            return _refused("requested version for signing is not allowed")
        private = key.materials[version]
        if isinstance(private, ed25519.Ed25519PrivateKey):
            signature = private.sign(message)
        elif hash_name == "sha2-256" and body.get("prehashed") and body.get("marshaling_algorithm") == "asn1":
            signature = private.sign(message, ec.ECDSA(Prehashed(hashes.SHA256())))
        else:
            return _refused("unsupported here")
        return 200, {"data": {"signature": f"vault:v{version}:{base64.b64encode(signature).decode()}"}}


def _rotate(name: str, key: _Key, body: Any) -> tuple[int, Any]:
    key.rotate()
    return 200, {"data": _shown(name, key)}


def _configure(name: str, key: _Key, body: Any) -> tuple[int, Any]:
    decryption = body.get("min_decryption_version", key.min_decryption) or 1
    encryption = body.get("min_encryption_version", key.min_encryption)
    if max(decryption, encryption) > key.latest:
        return _refused("cannot set min version, latest key version is smaller")
    if 0 < encryption < decryption or key.min_available > min(decryption, encryption):
        return _refused("cannot set min encryption/decryption values")
    key.min_decryption, key.min_encryption = decryption, encryption
    key.deletion_allowed = body.get("deletion_allowed", key.deletion_allowed)
    return 200, {"data": _shown(name, key)}


def _trim(name: str, key: _Key, body: Any) -> tuple[int, Any]:
    bound = body["min_available_version"]
    if (
        not key.min_encryption
        or bound > min(key.min_encryption, key.min_decryption)
        or bound < key.min_available
    ):
        return _refused("minimum available version cannot be set so")
    key.min_available = bound
    for version in [version for version in key.materials if version < bound]:
        del key.materials[version]
    return 200, {"data": _shown(name, key)}


def _shown(name: str, key: _Key) -> dict[str, Any]:
    """Versions below ``min_decryption_version`` are not told of."""
    told: dict[str, Any] = {}
    for version, material in key.materials.items():
        made = key.made[version]
        if version < key.min_decryption:
            continue
        if key.type == "aes256-gcm96":
            told[str(version)] = int(made.timestamp())
            continue
        told[str(version)] = {
            "name": {"ecdsa-p256": "P-256"}.get(key.type, key.type),
            "public_key": _public(material),
            "creation_time": made.strftime("%Y-%m-%dT%H:%M:%S.%f") + "123Z",
        }
    return {
        "name": name,
        "type": key.type,
        "derived": key.derived,
        "exportable": key.exportable,
        "allow_plaintext_backup": key.allow_plaintext_backup,
        "deletion_allowed": key.deletion_allowed,
        "imported_key": False,
        "keys": told,
        "latest_version": key.latest,
        "min_available_version": key.min_available,
        "min_decryption_version": key.min_decryption,
        "min_encryption_version": key.min_encryption,
    }


def _public(private: Any) -> str:
    public = private.public_key()
    if isinstance(private, ed25519.Ed25519PrivateKey):
        return base64.b64encode(public.public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()
    pem: bytes = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return pem.decode()


def _derive(material: bytes, context: bytes) -> bytes:
    return HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=context).derive(material)


def _refused(why: str) -> Refusal:
    return 400, {"errors": [why], "at": time.time()}

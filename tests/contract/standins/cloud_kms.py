"""Google Cloud KMS: CryptoKeys of one key ring and their versions, AES-GCM, ECDSA P-256, Ed25519, CRC32C.

Written from the REST reference "Cloud KMS API v1", resources cryptoKeys and cryptoKeyVersions.
"""

import base64
import os
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qs

import google_crc32c
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.contract.standins.server import Asked

RING = "projects/models/locations/europe-west3/keyRings/strongroom"
_FORMS = ("%Y-%m-%dT%H:%M:%S.%f", "123Z")


@dataclass
class _Version:
    algorithm: str
    level: str
    made: datetime
    material: Any
    state: str = "ENABLED"
    ends: datetime | None = None


@dataclass
class _Key:
    purpose: str
    template: dict[str, str]
    versions: dict[int, _Version] = field(default_factory=dict)
    import_only: bool = False

    def add(self) -> int:
        algorithm = self.template["algorithm"]
        material: Any = os.urandom(32)
        if algorithm == "EC_SIGN_P256_SHA256":
            material = ec.generate_private_key(ec.SECP256R1())
        elif algorithm == "EC_SIGN_ED25519":
            material = ed25519.Ed25519PrivateKey.generate()
        number = len(self.versions) + 1
        level = self.template["protectionLevel"]
        self.versions[number] = _Version(algorithm, level, datetime.now(UTC), material)
        return number


class CloudKms:
    """One key ring; `tokens` are those it lets in."""

    def __init__(self, token: str) -> None:
        self.tokens = {token}
        self.forbidden: set[str] = set()
        """Verbs that answer PERMISSION_DENIED."""
        self.keys: dict[str, _Key] = {}
        self.page = 2
        """How many versions a list shows at once, whatever is asked for."""

    def answer(self, asked: Asked) -> tuple[int, Any]:
        if asked.headers.get("Authorization", "").removeprefix("Bearer ") not in self.tokens:
            return _refused(401, "UNAUTHENTICATED")
        prefix = f"/v1/{RING}/cryptoKeys"
        if not asked.path.startswith(prefix):
            return _refused(404, "NOT_FOUND")
        path, _, verb = asked.path.removeprefix(prefix).strip("/").partition(":")
        if verb in self.forbidden:
            return _refused(403, "PERMISSION_DENIED")
        query = {name: values[0] for name, values in parse_qs(asked.query).items()}
        name, _, rest = path.partition("/")
        if not path:
            return self._create(query["cryptoKeyId"], asked.body)
        key = self.keys.get(name)
        if key is None:
            return _refused(404, "NOT_FOUND")
        if rest:
            return self._versions(asked, name, key, rest.split("/")[1:], verb, query)
        if verb == "decrypt":
            return _decrypt(key, asked.body)
        return 200, _shown(name, key)

    def _create(self, name: str, body: Any) -> tuple[int, Any]:
        if name in self.keys:
            return _refused(409, "ALREADY_EXISTS")
        assert timedelta(days=1) <= timedelta(seconds=int(body["destroyScheduledDuration"][:-1]))
        self.keys[name] = key = _Key(body["purpose"], body["versionTemplate"])
        key.add()
        return 200, _shown(name, key)

    def _versions(
        self, asked: Asked, name: str, key: _Key, rest: list[str], verb: str, query: dict[str, str]
    ) -> tuple[int, Any]:
        if not rest:
            if asked.method == "POST":
                return 200, _told(name, key, key.add())
            first = int(query.get("pageToken", "1"))
            numbers = [number for number in key.versions if number >= first]
            page: dict[str, Any] = {
                "cryptoKeyVersions": [_told(name, key, number) for number in numbers[: self.page]],
                "totalSize": len(key.versions),
            }
            if len(numbers) > self.page:
                page["nextPageToken"] = str(numbers[self.page])
            return 200, page
        number = int(rest[0])
        version = key.versions.get(number)
        if version is None:
            return _refused(404, "NOT_FOUND")
        if rest[1:] == ["publicKey"]:
            pem = version.material.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
            return 200, {"pem": pem.decode(), "pemCrc32c": _crc(pem), "algorithm": version.algorithm}
        if asked.method == "PATCH":
            if query["updateMask"] != "state" or version.state not in ("ENABLED", "DISABLED"):
                return _refused(400, "FAILED_PRECONDITION")
            version.state = asked.body["state"]
            return 200, _told(name, key, number)
        if verb == "destroy":
            if version.state == "DESTROY_SCHEDULED":
                return _refused(400, "FAILED_PRECONDITION")
            version.state, version.ends = "DESTROY_SCHEDULED", datetime.now(UTC) + timedelta(days=1)
            return 200, _told(name, key, number)
        if version.state != "ENABLED":
            return _refused(400, "FAILED_PRECONDITION")
        return _encrypt(key, number, asked.body) if verb == "encrypt" else _sign(version, asked.body)


def _encrypt(key: _Key, number: int, body: Any) -> tuple[int, Any]:
    plaintext, bound = _received(body, "plaintext"), _received(body, "additionalAuthenticatedData")
    if plaintext is None or bound is None or key.purpose != "ENCRYPT_DECRYPT":
        return _refused(400, "INVALID_ARGUMENT")
    nonce = os.urandom(12)
    sealed = AESGCM(key.versions[number].material).encrypt(nonce, plaintext, bound)
    blob = b"\x0a\x24\x00" + number.to_bytes(2, "big") + nonce + sealed
    return 200, {
        "ciphertext": base64.b64encode(blob).decode(),
        "ciphertextCrc32c": _crc(blob),
        "verifiedPlaintextCrc32c": True,
        "verifiedAdditionalAuthenticatedDataCrc32c": True,
    }


def _decrypt(key: _Key, body: Any) -> tuple[int, Any]:
    blob, bound = _received(body, "ciphertext"), _received(body, "additionalAuthenticatedData")
    if blob is None or bound is None or len(blob) < 33 or blob[:3] != b"\x0a\x24\x00":
        return _refused(400, "INVALID_ARGUMENT")
    version = key.versions.get(int.from_bytes(blob[3:5], "big"))
    if version is None:
        return _refused(400, "INVALID_ARGUMENT")
    if version.state != "ENABLED":
        return _refused(400, "FAILED_PRECONDITION")
    try:
        plaintext = AESGCM(version.material).decrypt(blob[5:17], blob[17:], bound)
    except InvalidTag:
        return _refused(400, "INVALID_ARGUMENT")
    return 200, {"plaintext": base64.b64encode(plaintext).decode(), "plaintextCrc32c": _crc(plaintext)}


def _sign(version: _Version, body: Any) -> tuple[int, Any]:
    if version.algorithm == "EC_SIGN_P256_SHA256":
        digest = base64.b64decode(body["digest"]["sha256"])
        assert len(digest) == sha256().digest_size and body["digestCrc32c"] == _crc(digest)
        signature = version.material.sign(digest, ec.ECDSA(Prehashed(hashes.SHA256())))
        verified = {"verifiedDigestCrc32c": True}
    else:
        data = _received(body, "data")
        if data is None:
            return _refused(400, "INVALID_ARGUMENT")
        signature, verified = version.material.sign(data), {"verifiedDataCrc32c": True}
    text = base64.b64encode(signature).decode()
    return 200, {"signature": text, "signatureCrc32c": _crc(signature), **verified}


def _received(body: Any, field: str) -> bytes | None:
    data = base64.b64decode(body[field])
    return data if body[f"{field}Crc32c"] == _crc(data) else None


def _crc(data: bytes) -> str:
    return str(google_crc32c.value(data))


def _shown(name: str, key: _Key) -> dict[str, Any]:
    told = {"name": f"{RING}/cryptoKeys/{name}", "purpose": key.purpose, "versionTemplate": key.template}
    return {**told, "importOnly": True} if key.import_only else told


def _told(name: str, key: _Key, number: int) -> dict[str, Any]:
    version = key.versions[number]
    told = {
        "name": f"{RING}/cryptoKeys/{name}/cryptoKeyVersions/{number}",
        "state": version.state,
        "protectionLevel": version.level,
        "algorithm": version.algorithm,
        "createTime": version.made.strftime(_FORMS[0]) + _FORMS[1],
    }
    return {**told, "destroyTime": f"{version.ends:%Y-%m-%dT%H:%M:%SZ}"} if version.ends else told


def _refused(status: int, code: str) -> tuple[int, Any]:
    return status, {"error": {"code": status, "status": code, "message": "refused"}}

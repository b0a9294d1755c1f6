"""Azure Key Vault: RSA and EC keys with Key Vault's own versions, soft deletion and purging.

Written from the REST reference "Azure Key Vault", operation group Keys, api-version 7.4.
"""

import base64
import time
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from uuid import uuid4

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature

from tests.contract.standins.server import Asked

_OAEP = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)


@dataclass
class _Version:
    private: Any
    kty: str
    operations: list[str]
    attributes: dict[str, Any]


@dataclass
class _Key:
    tags: dict[str, str]
    versions: dict[str, _Version] = field(default_factory=dict)
    """By Key Vault's own id; the last one is current."""


@cache
def _rsa(number: int, bits: int) -> rsa.RSAPrivateKey:
    """The n-th of a vault; the vaults of other tests have the same, as making one takes a second."""
    return rsa.generate_private_key(65537, bits)


class KeyVault:
    """One vault; `tokens` are those it lets in."""

    def __init__(self, token: str) -> None:
        self.tokens = {token}
        self.keys: dict[str, _Key] = {}
        self.deleted: dict[str, _Key] = {}
        self.purge_protection = False
        self.address = ""
        self.page = 3
        self._made = 0

    def answer(self, asked: Asked) -> tuple[int, Any]:
        if asked.headers.get("Authorization", "").removeprefix("Bearer ") not in self.tokens:
            return _refused(401, "Unauthorized")
        if "api-version=7.4" not in asked.query:
            return _refused(400, "BadParameter")
        parts = asked.path.strip("/").split("/")
        if parts[0] == "deletedkeys":
            return self._purge(parts[1])
        match asked.method, parts[1:]:
            case "GET", []:
                return self._list(asked)
            case "POST", [name, "create"]:
                return self._create(name, asked.body)
        name, rest = parts[1], parts[2:]
        key = self.keys.get(name)
        if key is None:
            return _refused(404, "KeyNotFound")
        match asked.method, rest:
            case "GET", []:
                return 200, self._shown(name, key, list(key.versions)[-1])
            case "GET", ["versions"]:
                return 200, {"value": [self._item(name, key, handle) for handle in key.versions]}
            case "DELETE", []:
                self.deleted[name] = self.keys.pop(name)
                return 200, {"recoveryId": f"{self.address}/deletedkeys/{name}"}
            case "PATCH", [handle] if handle in key.versions:
                key.versions[handle].attributes |= asked.body["attributes"]
                return 200, self._shown(name, key, handle)
            case "POST", [handle, verb] if handle in key.versions:
                return self._use(name, key.versions[handle], handle, verb, asked.body)
        return _refused(404, "KeyNotFound")

    def _list(self, asked: Asked) -> tuple[int, Any]:
        first = int(asked.query.partition("$skiptoken=")[2] or 0)
        names = list(self.keys)
        value = [
            {**self._item(name, self.keys[name], list(self.keys[name].versions)[-1]), "kid": self._kid(name)}
            for name in names[first : first + self.page]
        ]
        more = first + self.page < len(names)
        link = f"{self.address}/keys?api-version=7.4&$skiptoken={first + self.page}"
        return 200, {"value": value, "nextLink": link if more else None}

    def _create(self, name: str, body: Any) -> tuple[int, Any]:
        """An existing key gets another version, as Key Vault does it."""
        if name in self.deleted:
            return _refused(409, "Conflict")
        private: Any = ec.generate_private_key(ec.SECP256R1())
        if body["kty"].startswith("RSA"):
            self._made += 1
            private = _rsa(self._made, body["key_size"])
        now = int(time.time())
        attributes = {"recoveryLevel": "Recoverable", **body["attributes"], "created": now, "updated": now}
        key = self.keys.setdefault(name, _Key(body["tags"]))
        handle = uuid4().hex
        key.versions[handle] = _Version(private, body["kty"], body["key_ops"], attributes)
        return 200, self._shown(name, key, handle)

    def _purge(self, name: str) -> tuple[int, Any]:
        if self.purge_protection:
            return _refused(403, "Forbidden")
        return (204, None) if self.deleted.pop(name, None) else _refused(404, "KeyNotFound")

    def _use(self, name: str, version: _Version, handle: str, verb: str, body: Any) -> tuple[int, Any]:
        operation = {"wrapkey": "wrapKey", "unwrapkey": "unwrapKey"}.get(verb, verb)
        if not version.attributes["enabled"] or operation not in version.operations:
            return _refused(403, "Forbidden")
        value = _decoded(body["value"])
        match verb, body["alg"]:
            case "wrapkey", "RSA-OAEP-256":
                out = version.private.public_key().encrypt(value, _OAEP)
            case "unwrapkey", "RSA-OAEP-256":
                try:
                    out = version.private.decrypt(value, _OAEP)
                except ValueError:
                    return _refused(400, "BadParameter")
            case "sign", "ES256":
                r, s = decode_dss_signature(version.private.sign(value, ec.ECDSA(Prehashed(hashes.SHA256()))))
                out = r.to_bytes(32, "big") + s.to_bytes(32, "big")
            case _:
                return _refused(400, "BadParameter")
        return 200, {"kid": self._kid(name, handle), "value": _encoded(out)}

    def _kid(self, name: str, handle: str = "") -> str:
        return f"{self.address}/keys/{name}" + (f"/{handle}" if handle else "")

    def _item(self, name: str, key: _Key, handle: str) -> dict[str, Any]:
        return {
            "kid": self._kid(name, handle),
            "attributes": key.versions[handle].attributes,
            "tags": key.tags,
        }

    def _shown(self, name: str, key: _Key, handle: str) -> dict[str, Any]:
        version = key.versions[handle]
        jwk: dict[str, Any] = {
            "kid": self._kid(name, handle),
            "kty": version.kty,
            "key_ops": version.operations,
        }
        numbers = version.private.public_key().public_numbers()
        if version.kty.startswith("RSA"):
            jwk |= {"n": _encoded(numbers.n.to_bytes(384, "big")), "e": "AQAB"}
        else:
            jwk |= {"crv": "P-256"}
            jwk |= {part: _encoded(getattr(numbers, part).to_bytes(32, "big")) for part in ("x", "y")}
        return {"key": jwk, "attributes": version.attributes, "tags": key.tags}


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _refused(status: int, code: str) -> tuple[int, Any]:
    return status, {"error": {"code": code, "message": "refused"}}

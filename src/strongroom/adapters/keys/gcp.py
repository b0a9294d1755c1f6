"""Keys in Google Cloud KMS, over its REST API: a CryptoKey for each key, its versions as KMS numbers them.

The context and the version's number are the additional authenticated data; every value that crosses the wire
has its CRC32C checked on the other side, as the API page "Data integrity guidelines" advises.
"""

import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import google_crc32c

from strongroom.adapters.keys.bearer import BearerWire
from strongroom.adapters.keys.remote import CONTEXT_PURPOSE, MAX_VERSIONS, HeldKey, HeldVersion, RemoteKeys
from strongroom.adapters.keys.stored import KeyAlgorithm
from strongroom.adapters.keys.wire import Answer, require_number, require_text
from strongroom.errors import DeniedError, InvalidError, OutageError, RejectedError
from strongroom.trust.signatures import Algorithm, PublicKey

_RING = re.compile(
    r"projects/[a-z0-9.:-]{1,100}/locations/[a-z0-9-]{1,63}/keyRings/[A-Za-z0-9_-]{1,63}", re.ASCII
)
_PAGE = 1000
_ALGORITHMS = {
    KeyAlgorithm.AES_256: ("ENCRYPT_DECRYPT", "GOOGLE_SYMMETRIC_ENCRYPTION"),
    KeyAlgorithm.ECDSA_P256: ("ASYMMETRIC_SIGN", "EC_SIGN_P256_SHA256"),
    KeyAlgorithm.ED25519: ("ASYMMETRIC_SIGN", "EC_SIGN_ED25519"),
}
_USABLE, _DYING = "ENABLED", "DESTROY_SCHEDULED"
_LISTED = frozenset({_USABLE, "DISABLED", "PENDING_GENERATION"})
_DESTROY_AFTER = "86400s"
"""The shortest that KMS knows: a day, in which a destroyed version could be restored by who may."""
_CUSTODIES = {"HSM": "hsm", "HSM_SINGLE_TENANT": "hsm"}


class GoogleKeys(RemoteKeys):
    """CryptoKeys of one key ring, which exists already."""

    scheme = "gcpkms"
    service = "gcpkms"
    name_pattern = re.compile(r"[A-Za-z0-9_-]{1,63}", re.ASCII)
    example = "gcpkms:kek-fraud"

    def __init__(self, wire: BearerWire, key_ring: str, *, hsm: bool) -> None:
        """``hsm``: new keys are made in Cloud HSM. Raises InvalidError: the key ring's name is none."""
        if _RING.fullmatch(key_ring) is None:
            raise InvalidError(
                "keys.gcp.key_ring: is no name of a key ring",
                hint="projects/<project>/locations/<location>/keyRings/<ring>",
            )
        self._wire = wire
        self._ring = key_ring
        self._hsm = hsm

    def __repr__(self) -> str:
        return f"GoogleKeys({self._wire!r}, {self._ring!r})"

    def _find(self, name: str) -> HeldKey | None:
        told = self._ask("GET", f"cryptoKeys/{name}")
        if told is None:
            return None
        purpose = told.get("purpose")
        if purpose not in ("ENCRYPT_DECRYPT", "ASYMMETRIC_SIGN"):
            raise InvalidError(f"gcpkms:{name}: is a key for another purpose")
        concerns = (
            ["its material is imported, so there is or was a copy elsewhere"]
            if told.get("importOnly")
            else []
        )
        versions, levels, highest = [], set(), 0
        for one in self._listed(name):
            number = self._number(one, name)
            highest = max(highest, number)
            state = one.get("state")
            if state == _DYING:
                concerns.append(
                    f"version {number} is scheduled for destruction on {str(one.get('destroyTime'))[:10]}"
                )
            if state in _LISTED:
                levels.add(str(one.get("protectionLevel", "SOFTWARE")))
                made = _time(one.get("createTime"))
                versions.append(HeldVersion(number, made, state == _USABLE, str(one.get("algorithm"))))
        if any(level.startswith("EXTERNAL") for level in levels):
            concerns.append("its material lies outside of Google Cloud")
        custody = "hsm" if levels and levels <= _CUSTODIES.keys() else "kms"
        versions.sort(key=lambda version: version.number)
        return HeldKey(purpose == "ENCRYPT_DECRYPT", tuple(versions), custody, tuple(concerns), highest)

    def _listed(self, name: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        token = ""
        while True:
            page = self._ask("GET", f"cryptoKeys/{name}/cryptoKeyVersions?pageSize={_PAGE}{token}") or {}
            found += [one for one in page.get("cryptoKeyVersions", ()) if isinstance(one, dict)]
            following = page.get("nextPageToken")
            if not following:
                return found
            if len(found) > 10 * MAX_VERSIONS or not re.fullmatch(
                r"[A-Za-z0-9_=-]{1,1000}", str(following), re.ASCII
            ):
                raise OutageError(f"gcpkms: lists more versions of {name} than can be looked through")
            token = f"&pageToken={following}"

    def _number(self, told: dict[str, Any], name: str) -> int:
        path, _, number = require_text("gcpkms", told.get("name")).rpartition("/")
        if path != f"{self._ring}/cryptoKeys/{name}/cryptoKeyVersions":
            raise OutageError("gcpkms: tells of versions of another key")
        return require_number("gcpkms", number)

    def _begin(self, name: str, held: HeldKey | None, algorithm: KeyAlgorithm) -> None:
        purpose, kind = _ALGORITHMS[algorithm]
        if held is not None:
            if held.wraps != (purpose == "ENCRYPT_DECRYPT"):
                raise InvalidError(f"gcpkms:{name}: was a key for another purpose", hint="take another name")
            self._add(name, held)
            return
        level = "HSM" if self._hsm else "SOFTWARE"
        self._ask(
            "POST",
            f"cryptoKeys?cryptoKeyId={name}",
            {
                "purpose": purpose,
                "versionTemplate": {"algorithm": kind, "protectionLevel": level},
                "destroyScheduledDuration": _DESTROY_AFTER,
            },
            taken_is_fine=True,
        )

    def _add(self, name: str, held: HeldKey) -> None:
        self._ask("POST", f"cryptoKeys/{name}/cryptoKeyVersions", {"state": _USABLE}, repeatable=False)

    def _encrypt(self, name: str, version: HeldVersion, data_key: bytes, context: bytes) -> tuple[int, bytes]:
        answer = self._used(
            f"cryptoKeys/{name}/cryptoKeyVersions/{version.number}:encrypt",
            {
                **_sent("plaintext", data_key),
                **_sent("additionalAuthenticatedData", _bound(version.number, context)),
            },
        )
        if answer is None:
            raise DeniedError(f"gcpkms:{name}: version {version.number} does not wrap")
        verified = ("verifiedPlaintextCrc32c", "verifiedAdditionalAuthenticatedDataCrc32c")
        if not all(answer.get(field) is True for field in verified):
            raise OutageError("gcpkms: what was sent arrived damaged")
        return version.number, _checked(answer, "ciphertext")

    def _decrypt(self, name: str, number: int, blob: bytes, context: bytes) -> bytes:
        answer = self._used(
            f"cryptoKeys/{name}:decrypt",
            {**_sent("ciphertext", blob), **_sent("additionalAuthenticatedData", _bound(number, context))},
        )
        if answer is None:
            raise RejectedError("gcpkms: does not open it")
        return _checked(answer, "plaintext")

    def _switch(self, name: str, held: HeldKey, version: HeldVersion, enabled: bool) -> None:
        state = _USABLE if enabled else "DISABLED"
        self._ask(
            "PATCH",
            f"cryptoKeys/{name}/cryptoKeyVersions/{version.number}?updateMask=state",
            {"state": state},
        )

    def _end(self, name: str, held: HeldKey, version: HeldVersion) -> None:
        self._ask(
            "POST", f"cryptoKeys/{name}/cryptoKeyVersions/{version.number}:destroy", {}, taken_is_fine=True
        )

    def _public(self, name: str, version: HeldVersion) -> PublicKey:
        told = self._ask("GET", f"cryptoKeys/{name}/cryptoKeyVersions/{version.number}/publicKey")
        pem = require_text("gcpkms", (told or {}).get("pem"))
        if require_number("gcpkms", (told or {}).get("pemCrc32c")) != google_crc32c.value(pem.encode()):
            raise OutageError("gcpkms: its answer arrived damaged")
        return PublicKey.from_pem(pem)

    def _sign(self, name: str, version: HeldVersion, algorithm: str, message: bytes) -> bytes:
        if algorithm == Algorithm.ECDSA_P256:
            digest = sha256(message).digest()
            body = {"digest": {"sha256": b64encode(digest).decode()}, "digestCrc32c": _crc(digest)}
            verified = "verifiedDigestCrc32c"
        else:
            body, verified = _sent("data", message), "verifiedDataCrc32c"
        answer = self._used(f"cryptoKeys/{name}/cryptoKeyVersions/{version.number}:asymmetricSign", body)
        if answer is None:
            raise DeniedError(f"gcpkms:{name}: does not sign with version {version.number}")
        if answer.get(verified) is not True:
            raise OutageError("gcpkms: what was sent arrived damaged")
        return _checked(answer, "signature")

    def _used(self, path: str, body: dict[str, Any]) -> dict[str, Any] | None:
        """Return the answer, or None where the key refuses: 400 is both "does not open" and "is disabled"."""
        answer = self._wire.ask("POST", f"/v1/{self._ring}/{path}", body)
        return None if answer.status in (400, 404) else self._done(answer)

    def _ask(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        *,
        repeatable: bool = True,
        taken_is_fine: bool = False,
    ) -> dict[str, Any] | None:
        """Return the answer, or None where there is nothing of that name."""
        answer = self._wire.ask(method, f"/v1/{self._ring}/{path}", body, repeatable=repeatable)
        if answer.status == 404 or (taken_is_fine and answer.status in (400, 409)):
            if answer.status == 404 and method != "GET":
                raise InvalidError("gcpkms: there is no such key or key ring", hint="see keys.gcp.key_ring")
            return None
        return self._done(answer)

    def _done(self, answer: Answer) -> dict[str, Any]:
        if not answer.ok:
            raise OutageError(f"gcpkms: refuses with status {answer.status}", hint="see Cloud Audit Logs")
        return answer.body


def _bound(number: int, context: bytes) -> bytes:
    return CONTEXT_PURPOSE + number.to_bytes(4, "big") + context


def _crc(data: bytes) -> str:
    """A 64-bit number of the API is JSON text."""
    return str(google_crc32c.value(data))


def _sent(field: str, data: bytes) -> dict[str, Any]:
    return {field: b64encode(data).decode(), f"{field}Crc32c": _crc(data)}


def _checked(answer: dict[str, Any], field: str) -> bytes:
    try:
        data = b64decode(require_text("gcpkms", answer.get(field)), validate=True)
    except Base64Error:
        raise OutageError("gcpkms: its answer cannot be read") from None
    if require_number("gcpkms", answer.get(f"{field}Crc32c")) != google_crc32c.value(data):
        raise OutageError("gcpkms: its answer arrived damaged")
    return data


def _time(value: object) -> datetime:
    text = re.sub(r"(\.\d{1,6})\d*", r"\1", require_text("gcpkms", value)[:64])
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        raise OutageError("gcpkms: tells a time that is none") from None

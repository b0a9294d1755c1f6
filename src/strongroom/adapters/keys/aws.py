"""Keys in AWS KMS: each version is a KMS key of its own, found by its alias ``alias/<name>/v<number>``.

Of the versions that KMS keeps inside one KMS key none can be disabled or destroyed alone. The context travels
as encryption context, so CloudTrail shows which model each data key was unwrapped for.
"""

import re
from base64 import b64encode
from contextlib import suppress
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from strongroom.adapters.keys.aws_calls import KmsCalls, Reply
from strongroom.adapters.keys.remote import MAX_VERSIONS, HeldKey, HeldVersion, RemoteKeys
from strongroom.adapters.keys.stored import KeyAlgorithm
from strongroom.errors import DeniedError, InvalidError, OutageError, RejectedError
from strongroom.trust.signatures import PublicKey

MAX_ALIASES = 20_000
"""Looked through in one account and region; KMS lists them a hundred at a time."""
_PAGE = 100
_MIN_DELETION_DAYS = 7
_CONTEXT = "strongroom-context"
_TAG = "strongroom-key"
_WRAPS, _SIGNS = "ENCRYPT_DECRYPT", "SIGN_VERIFY"
_SPECS = {KeyAlgorithm.AES_256: "SYMMETRIC_DEFAULT", KeyAlgorithm.ECDSA_P256: "ECC_NIST_P256"}
_GONE = frozenset({"PendingDeletion", "PendingReplicaDeletion"})
_DOES_NOT_OPEN = frozenset(
    {
        "DisabledException",
        "IncorrectKeyException",
        "InvalidCiphertextException",
        "InvalidKeyUsageException",
        "KMSInvalidStateException",
        "NotFoundException",
        "ValidationException",
    }
)


class AwsKeys(RemoteKeys):
    """KMS keys behind aliases."""

    scheme = "awskms"
    service = "awskms"
    name_pattern = re.compile(r"(?!aws/)[a-z0-9][a-z0-9_-]{0,63}(?:/[a-z0-9][a-z0-9_-]{0,63}){0,2}", re.ASCII)
    example = "awskms:strongroom/kek-fraud"
    algorithms = (KeyAlgorithm.ECDSA_P256,)

    def __init__(self, calls: KmsCalls, *, deletion_days: int) -> None:
        """``deletion_days``: how long KMS keeps what was destroyed, unusable (7 to 30)."""
        self._calls = calls
        self._deletion_days = deletion_days

    def __repr__(self) -> str:
        return f"AwsKeys({self._calls!r})"

    def _find(self, name: str) -> HeldKey | None:
        versions, concerns, kinds, origins = [], [], set(), set()
        targets = self._targets(name)
        for number in sorted(targets):
            told = self._told(targets[number])
            state = told.get("KeyState")
            if (
                told.get("KeyUsage") == _WRAPS
                and told.get("KeySpec", "SYMMETRIC_DEFAULT") != "SYMMETRIC_DEFAULT"
            ):
                raise InvalidError(f"awskms:{name}: version {number} is no symmetric key")
            if state in _GONE:
                when = told.get("DeletionDate")
                day = f" on {when.astimezone(UTC):%Y-%m-%d}" if isinstance(when, datetime) else ""
                concerns.append(f"version {number} is scheduled for deletion{day}")
                continue
            kinds.add(told.get("KeyUsage"))
            origins.add(told.get("Origin"))
            versions.append(HeldVersion(number, _moment(told), state == "Enabled", str(told.get("KeyId"))))
        if not targets:
            return None
        if len(kinds) > 1 or kinds - {_WRAPS, _SIGNS}:
            raise InvalidError(f"awskms:{name}: its versions are not all of one kind")
        if "EXTERNAL" in origins:
            concerns.append("its material was imported, so there is or was a copy elsewhere")
        custody = "hsm" if origins == {"AWS_CLOUDHSM"} else "kms"
        return HeldKey(kinds != {_SIGNS}, tuple(versions), custody, tuple(concerns), highest=max(targets))

    def _targets(self, name: str) -> dict[int, str]:
        """Return the KMS key of every version that has an alias."""
        pattern = re.compile(rf"alias/{re.escape(name)}/v([1-9][0-9]{{0,8}})", re.ASCII)
        found: dict[int, str] = {}
        marker: dict[str, Any] = {}
        for _ in range(MAX_ALIASES // _PAGE):
            page = self._require(self._calls.ask("list_aliases", Limit=_PAGE, **marker))
            for alias in page.get("Aliases", ()):
                match = pattern.fullmatch(str(alias.get("AliasName")))
                if match and alias.get("TargetKeyId"):
                    found[int(match[1])] = str(alias["TargetKeyId"])
            if len(found) > MAX_VERSIONS:
                raise OutageError(f"awskms: tells of more than {MAX_VERSIONS} versions")
            if not page.get("Truncated"):
                return found
            marker = {"Marker": str(page.get("NextMarker"))}
        raise OutageError(f"awskms: lists more than {MAX_ALIASES} aliases")

    def _told(self, handle: str) -> dict[str, Any]:
        told = self._require(self._calls.ask("describe_key", KeyId=handle)).get("KeyMetadata")
        if not isinstance(told, dict):
            raise OutageError("awskms: describes a key with nothing")
        return told

    def _begin(self, name: str, held: HeldKey | None, algorithm: KeyAlgorithm) -> None:
        self._make(name, (held.highest if held else 0) + 1, algorithm)

    def _add(self, name: str, held: HeldKey) -> None:
        self._make(name, held.highest + 1, KeyAlgorithm.AES_256)

    def _make(self, name: str, number: int, algorithm: KeyAlgorithm) -> None:
        """Its alias is made once only: of two who make a version at once, one takes that of the other."""
        made = self._require(
            self._calls.ask(
                "create_key",
                repeatable=False,
                Description=f"Strongroom {name} version {number}",
                KeyUsage=_WRAPS if algorithm is KeyAlgorithm.AES_256 else _SIGNS,
                KeySpec=_SPECS[algorithm],
                Tags=[{"TagKey": _TAG, "TagValue": name}],
            )
        )
        handle = str(made.get("KeyMetadata", {}).get("KeyId"))
        try:
            refusal = self._calls.ask(
                "create_alias", AliasName=_alias(name, number), TargetKeyId=handle
            ).refusal
        except DeniedError:
            self._discard(handle)
            raise
        if refusal == "AlreadyExistsException":
            # Ours, if the first try was done and its answer lost.
            if self._targets(name).get(number) not in (None, handle):
                self._discard(handle)
        elif refusal:
            self._discard(handle)
            raise OutageError(f"awskms: refuses an alias ({refusal})")

    def _discard(self, handle: str) -> None:
        with suppress(DeniedError, OutageError):
            self._calls.ask("schedule_key_deletion", KeyId=handle, PendingWindowInDays=_MIN_DELETION_DAYS)

    def _encrypt(self, name: str, version: HeldVersion, data_key: bytes, context: bytes) -> tuple[int, bytes]:
        reply = self._calls.ask(
            "encrypt", KeyId=version.handle, Plaintext=data_key, EncryptionContext=_context(context)
        )
        if reply.refusal in _DOES_NOT_OPEN:
            raise DeniedError(f"awskms:{name}: version {version.number} does not wrap ({reply.refusal})")
        return version.number, _bytes(self._require(reply), "CiphertextBlob")

    def _decrypt(self, name: str, number: int, blob: bytes, context: bytes) -> bytes:
        reply = self._calls.ask(
            "decrypt", KeyId=_alias(name, number), CiphertextBlob=blob, EncryptionContext=_context(context)
        )
        return _bytes(self._opened(reply), "Plaintext")

    def _move(
        self, name: str, number: int, blob: bytes, newest: HeldVersion, context: bytes
    ) -> tuple[int, bytes]:
        reply = self._calls.ask(
            "re_encrypt",
            CiphertextBlob=blob,
            SourceKeyId=_alias(name, number),
            SourceEncryptionContext=_context(context),
            DestinationKeyId=newest.handle,
            DestinationEncryptionContext=_context(context),
        )
        return newest.number, _bytes(self._opened(reply), "CiphertextBlob")

    def _switch(self, name: str, held: HeldKey, version: HeldVersion, enabled: bool) -> None:
        self._require(self._calls.ask("enable_key" if enabled else "disable_key", KeyId=version.handle))

    def _end(self, name: str, held: HeldKey, version: HeldVersion) -> None:
        reply = self._calls.ask(
            "schedule_key_deletion", KeyId=version.handle, PendingWindowInDays=self._deletion_days
        )
        if reply.refusal != "KMSInvalidStateException":
            self._require(reply)

    def _public(self, name: str, version: HeldVersion) -> PublicKey:
        reply = self._require(self._calls.ask("get_public_key", KeyId=version.handle))
        return PublicKey.from_der(_bytes(reply, "PublicKey"))

    def _sign(self, name: str, version: HeldVersion, algorithm: str, message: bytes) -> bytes:
        reply = self._calls.ask(
            "sign",
            KeyId=version.handle,
            Message=sha256(message).digest(),
            MessageType="DIGEST",
            SigningAlgorithm="ECDSA_SHA_256",
        )
        if reply.refusal in ("DisabledException", "KMSInvalidStateException"):
            raise DeniedError(f"awskms:{name}: version {version.number} is disabled")
        return _bytes(self._require(reply), "Signature")

    def _opened(self, reply: Reply) -> dict[str, Any]:
        if reply.refusal in _DOES_NOT_OPEN:
            raise RejectedError(f"awskms: does not open it ({reply.refusal})")
        return self._require(reply)

    def _require(self, reply: Reply) -> dict[str, Any]:
        if reply.refusal == "LimitExceededException":
            raise OutageError("awskms: a quota of the account is used up", hint="see AWS Service Quotas")
        if reply.refusal == "NotFoundException":
            raise InvalidError("awskms: there is no such key")
        if reply.refusal:
            raise OutageError(f"awskms: refuses ({reply.refusal})", hint="see CloudTrail")
        return dict(reply.body)


def _alias(name: str, number: int) -> str:
    return f"alias/{name}/v{number}"


def _context(context: bytes) -> dict[str, str]:
    """One value for each context, never empty: base64 after a fixed beginning."""
    return {_CONTEXT: "v1:" + b64encode(context).decode()}


def _moment(told: dict[str, Any]) -> datetime:
    made = told.get("CreationDate")
    if not isinstance(made, datetime):
        raise OutageError("awskms: tells no time of a key")
    return made.astimezone(UTC)


def _bytes(body: dict[str, Any], field: str) -> bytes:
    value = body.get(field)
    if not isinstance(value, bytes):
        raise OutageError(f"awskms: its answer lacks {field}")
    return value

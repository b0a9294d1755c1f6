"""Keys as objects of a token: how they are named, what they must be before they are used (PKCS #11 2.40).

A key-encryption key is an AES-256 object that the token made itself and never gives out. All its versions
have one label; CKA_ID tells them apart: version (u32), time it was made (u64, seconds), 8 random bytes. A
version is disabled by taking CKA_DECRYPT from it, so that the token itself refuses.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Self

import pkcs11
from pkcs11 import Attribute, KeyType, ObjectClass

from strongroom.adapters.keys.wrapping import MAX_KEY_VERSION
from strongroom.errors import InvalidError, RejectedError, shorten
from strongroom.values import KeyUri

SCHEME = "pkcs11:"
ID_BYTES = 20
SALT_BYTES = 8
MAX_VERSIONS = 4096
MAX_UNIX_S = 2**34
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,95}", re.ASCII)

KEPT: Mapping[Attribute, bool] = {
    Attribute.SENSITIVE: True,
    Attribute.EXTRACTABLE: False,
    Attribute.ALWAYS_SENSITIVE: True,
    Attribute.NEVER_EXTRACTABLE: True,
    Attribute.LOCAL: True,
}
"""Made in the token, and never to be read from it: else somebody else may know the key."""
_MAY_NOT = (Attribute.WRAP, Attribute.UNWRAP, Attribute.SIGN, Attribute.VERIFY, Attribute.DERIVE)
KEK_TEMPLATE: Mapping[Attribute, bool] = {
    Attribute.SENSITIVE: True,
    Attribute.EXTRACTABLE: False,
    Attribute.PRIVATE: True,
    Attribute.MODIFIABLE: True,
    Attribute.COPYABLE: False,
    Attribute.ENCRYPT: True,
    Attribute.DECRYPT: True,
    **dict.fromkeys(_MAY_NOT, False),
}
PRIVATE_TEMPLATE: Mapping[Attribute, bool] = {
    Attribute.SENSITIVE: True,
    Attribute.EXTRACTABLE: False,
    Attribute.PRIVATE: True,
    Attribute.COPYABLE: False,
    Attribute.SIGN: True,
    Attribute.DECRYPT: False,
    Attribute.UNWRAP: False,
    Attribute.DERIVE: False,
}


@dataclass(frozen=True, slots=True, order=True)
class KeyId:
    """CKA_ID of one version; what is newest sorts last."""

    version: int
    created_s: int
    salt: bytes

    @property
    def created_at(self) -> datetime:
        return datetime.fromtimestamp(self.created_s, UTC)

    def to_bytes(self) -> bytes:
        return self.version.to_bytes(4, "big") + self.created_s.to_bytes(8, "big") + self.salt

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Raises InvalidError: it is none of ours."""
        if len(data) != ID_BYTES:
            raise InvalidError(f"key id: is not {ID_BYTES} bytes")
        found = cls(int.from_bytes(data[:4], "big"), int.from_bytes(data[4:12], "big"), data[12:])
        if not 1 <= found.version <= MAX_KEY_VERSION or found.created_s > MAX_UNIX_S:
            raise InvalidError("key id: version or time is out of bounds")
        return found


@dataclass(frozen=True, slots=True)
class Kek:
    """One object of a key-encryption key."""

    id: KeyId
    enabled: bool
    object: Any
    """`pkcs11.SecretKey`, which can encrypt and decrypt only as long as the token says so."""


def parse_label(key: KeyUri) -> str:
    """Return CKA_LABEL. Raises InvalidError: another scheme or spelling."""
    label = key.removeprefix(SCHEME)
    if label == key or _LABEL.fullmatch(label) is None:
        raise InvalidError(
            f"key: {shorten(key)} is not a key of a token", hint="for instance pkcs11:kek/fraud"
        )
    return label


def find_keks(session: pkcs11.Session, key: KeyUri) -> tuple[Kek, ...]:
    """Return every version's objects, oldest first; empty if there is no such key.

    Two machines that rotate at once make two objects of one version; both are good.

    Raises:
        RejectedError: one of them was not made by us, or the token might give it out.
    """
    wanted = {Attribute.CLASS: ObjectClass.SECRET_KEY, Attribute.LABEL: parse_label(key)}
    return tuple(sorted((_kek(key, one) for one in _search(session, key, wanted)), key=lambda kek: kek.id))


def find_kek(session: pkcs11.Session, key: KeyUri, key_id: KeyId) -> Kek | None:
    """Return exactly that object. Raises as `find_keks`."""
    wanted = {
        Attribute.CLASS: ObjectClass.SECRET_KEY,
        Attribute.LABEL: parse_label(key),
        Attribute.ID: key_id.to_bytes(),
    }
    found = [_kek(key, one) for one in _search(session, key, wanted)]
    if len(found) > 1:
        raise RejectedError(f"{key}: the token holds a second object of one id")
    return found[0] if found else None


def find_pair(session: pkcs11.Session, key: KeyUri) -> tuple[Any, Any] | None:
    """Return the private and the public object of a signing key.

    Raises:
        RejectedError: there are several, one of the two is missing, or the token might give the key out.
    """
    label = parse_label(key)
    private, public = (
        list(_search(session, key, {Attribute.CLASS: kind, Attribute.LABEL: label}))
        for kind in (ObjectClass.PRIVATE_KEY, ObjectClass.PUBLIC_KEY)
    )
    if not private and not public:
        return None
    if len(private) != 1 or len(public) != 1:
        raise RejectedError(f"{key}: the token holds {len(private)} private and {len(public)} public keys")
    require_kept(key, private[0].get_attributes(list(KEPT)))
    return private[0], public[0]


def is_taken(session: pkcs11.Session, key: KeyUri) -> bool:
    """Whether any key object has that label."""
    return any(True for _ in _search(session, key, {Attribute.LABEL: parse_label(key)}))


def require_kept(key: KeyUri, attributes: Mapping[Attribute, Any]) -> None:
    """Raises RejectedError: the key might be known outside of the token."""
    for attribute, value in KEPT.items():
        if attributes.get(attribute) is not value:
            raise RejectedError(
                f"{key}: is not kept by the token as it must be ({attribute.name.lower()} is not {value})",
                hint="somebody else put it there; make a key with another name and rotate to it",
            )


def _kek(key: KeyUri, found: Any) -> Kek:
    wanted = [*KEPT, Attribute.ID, Attribute.DECRYPT, Attribute.KEY_TYPE, Attribute.VALUE_LEN]
    attributes = found.get_attributes(wanted)
    require_kept(key, attributes)
    if (attributes.get(Attribute.KEY_TYPE), attributes.get(Attribute.VALUE_LEN)) != (KeyType.AES, 32):
        raise RejectedError(f"{key}: the token holds something else than AES-256 under that label")
    try:
        key_id = KeyId.parse(attributes.get(Attribute.ID) or b"")
    except InvalidError:
        raise RejectedError(f"{key}: the token holds a key of that label that is not ours") from None
    return Kek(key_id, attributes.get(Attribute.DECRYPT) is True, found)


def _search(session: pkcs11.Session, key: KeyUri, wanted: Mapping[Attribute, Any]) -> Iterator[Any]:
    found: Any = session.get_objects({**wanted, Attribute.TOKEN: True})
    with closing(found):  # a search left open would hold the session
        objects: Sequence[Any] = list(islice(found, MAX_VERSIONS + 1))
    if len(objects) > MAX_VERSIONS:
        raise RejectedError(f"{key}: the token holds more than {MAX_VERSIONS} objects of that label")
    yield from objects

"""Model signatures that other tools can check: OpenSSF Model Signing v1.0 in a Sigstore bundle v0.3.

`build_bundle` writes what ``model_signing verify key`` accepts; `require_signed` accepts what
``model_signing sign key`` writes, but is stricter: nothing is ignored, no old encoding is tried, there is one
signature and no unknown field. The format knows ECDSA only, so Ed25519 keys are refused here.
"""

import binascii
import json
from base64 import b64decode, b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

from strongroom import canonical
from strongroom.errors import InvalidError, RejectedError, shorten
from strongroom.trust.certificates import require_code_signer
from strongroom.trust.dsse import MAX_PAYLOAD_BYTES, pae
from strongroom.trust.signatures import (
    MAX_SIGNATURE_BYTES,
    Algorithm,
    MessageSigner,
    PublicKey,
    require_own_signature,
)
from strongroom.values import Digest

MAX_BUNDLE_BYTES = 8 * 2**20
MAX_RESOURCES = 4096
MAX_NAME_CHARS = 1024
BUNDLE_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://model_signing/signature/v1.0"
WHOLE_FILE = "."
"""The name of the one resource when the model is a file and not a folder."""
_GIT_PATHS = frozenset({".git", ".gitattributes", ".github", ".gitignore"})
"""What ``model_signing sign`` skips unless told otherwise."""

Entry = tuple[str, Digest]


@dataclass(frozen=True, slots=True)
class VerifiedBundle:
    """A model signature that holds for exactly the entries it was checked against."""

    model_name: str
    """As its signer called it; informative."""
    key: PublicKey
    digest: Digest
    """SHA-256 over all digests in the order of the bundle."""


def build_bundle(model_name: str, entries: Sequence[Entry], signer: MessageSigner) -> bytes:
    """Return the signature over ``entries``; a lone entry outside any folder is signed as a single file.

    Raises:
        InvalidError: no entries, too many, a name twice, or a key that is not ECDSA P-256.
    """
    key = _require_ecdsa(PublicKey.from_pem(signer.public_pem))
    names = [name for name, _ in entries]
    if not 1 <= len(entries) <= MAX_RESOURCES or len(set(names)) != len(names):
        raise InvalidError(f"model signature: must be over 1 to {MAX_RESOURCES} different entries")
    if len(entries) == 1 and "/" not in names[0]:
        entries = [(WHOLE_FILE, entries[0][1])]
    ordered = sorted(entries, key=lambda entry: entry[0].encode())
    payload = canonical.encode(
        {
            "_type": STATEMENT_TYPE,
            "predicate": {
                "resources": [
                    {"algorithm": "sha256", "digest": digest.hex, "name": name} for name, digest in ordered
                ],
                "serialization": {
                    "allow_symlinks": False,
                    "hash_type": "sha256",
                    "method": "files",
                },
            },
            "predicateType": PREDICATE_TYPE,
            "subject": [{"digest": {"sha256": _root(ordered).hex}, "name": model_name}],
        }
    )
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise InvalidError(f"model signature: larger than {MAX_PAYLOAD_BYTES} bytes")
    signature = require_own_signature(signer, pae(PAYLOAD_TYPE, payload))
    return canonical.encode(
        {
            "dsseEnvelope": {
                "payload": b64encode(payload).decode(),
                "payloadType": PAYLOAD_TYPE,
                "signatures": [{"keyid": "", "sig": b64encode(signature).decode()}],
            },
            "mediaType": BUNDLE_TYPE,
            "verificationMaterial": {"publicKey": {"hint": _hint(key)}, "tlogEntries": []},
        }
    )


def require_signed(bundle: bytes, entries: Sequence[Entry], keys: Iterable[PublicKey]) -> VerifiedBundle:
    """Return the proof that one of ``keys`` signed exactly ``entries``, no more and no fewer.

    Raises:
        RejectedError: another key or content, an extra or missing entry, anything ignored, or a bundle with a
            second signature or an unknown field.
    """
    material, payload, signature = _parse_bundle(bundle)
    match material:
        case {"publicKey": {"hint": str(hint), **more}, "tlogEntries": [], **rest} if not rest and not more:
            key = next((key for key in keys if _hint(key) == hint), None)
        case _:
            raise RejectedError("model signature: is not by a key")
    if key is None:
        raise RejectedError(f"model signature: key {shorten(hint, 64)} is not trusted")
    return _require_content(payload, signature, entries, key)


def require_signed_by_certificate(
    bundle: bytes, entries: Sequence[Entry], roots_pem: bytes, at: datetime
) -> VerifiedBundle:
    """Like `require_signed`, for a bundle that carries a certificate chain which must lead to ``roots_pem``.

    Unlike the stock tool, which judges the chain at the start of the leaf's own validity, it must hold ``at``
    a time that the caller believes. There is no revocation check.
    """
    material, payload, signature = _parse_bundle(bundle)
    match material:
        case {
            "x509CertificateChain": {"certificates": list(certificates), **more},
            "tlogEntries": [],
            **rest,
        } if not rest and not more:
            chain = tuple(_parse_certificate(certificate) for certificate in certificates)
        case _:
            raise RejectedError("model signature: is not by a certificate")
    return _require_content(payload, signature, entries, require_code_signer(chain, roots_pem, at))


def _require_content(
    payload: bytes, signature: bytes, entries: Sequence[Entry], key: PublicKey
) -> VerifiedBundle:
    try:
        _require_ecdsa(key)
    except InvalidError as error:
        raise RejectedError(error.message) from None
    key.verify(signature, pae(PAYLOAD_TYPE, payload))
    name, root, resources = _parse_payload(payload)
    if _root(resources) != root:
        raise RejectedError("model signature: contradicts itself, its digest is not over its resources")
    signed = dict(resources)
    if len(signed) != len(resources):
        raise RejectedError("model signature: names a resource twice")
    present = dict(entries)
    if len(present) != len(entries):
        raise RejectedError("model signature: an entry is there twice")
    if set(signed) == {WHOLE_FILE} and len(present) == 1:
        present = {WHOLE_FILE: next(iter(present.values()))}
    _require_same(signed, present)
    return VerifiedBundle(name, key, root)


def _require_same(signed: dict[str, Digest], present: dict[str, Digest]) -> None:
    for what, names in (
        ("is not signed", present.keys() - signed.keys()),
        ("is signed but missing", signed.keys() - present.keys()),
        ("differs from what is signed", {n for n in signed if present.get(n, signed[n]) != signed[n]}),
    ):
        if names:
            raise RejectedError(f"model signature: {shorten(min(names))} {what}")


def _parse_bundle(bundle: bytes) -> tuple[object, bytes, bytes]:
    """Return verification material, payload and signature of the one spelling of a bundle there is."""
    if len(bundle) > MAX_BUNDLE_BYTES:
        raise RejectedError(f"model signature: larger than {MAX_BUNDLE_BYTES} bytes")
    match _load(bundle):
        case {
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": material,
            "dsseEnvelope": {
                "payload": str(payload),
                "payloadType": "application/vnd.in-toto+json",
                "signatures": [{"sig": str(signature), "keyid": "", **in_signature}],
                **in_envelope,
            },
            **in_bundle,
        } if not in_signature and not in_envelope and not in_bundle:
            return material, _decode(payload, MAX_PAYLOAD_BYTES), _decode(signature, MAX_SIGNATURE_BYTES)
        case _:
            raise RejectedError("model signature: is not a v0.3 bundle with exactly one DSSE signature")


def _parse_payload(payload: bytes) -> tuple[str, Digest, list[Entry]]:
    match _load(payload):
        case {
            "_type": "https://in-toto.io/Statement/v1",
            "predicateType": "https://model_signing/signature/v1.0",
            "subject": [{"name": str(name), "digest": {"sha256": str(root), **in_digest}, **in_subject}],
            "predicate": {
                "serialization": {
                    "method": "files",
                    "hash_type": "sha256",
                    "allow_symlinks": False,
                    **in_serialization,
                },
                "resources": list(resources),
                **in_predicate,
            },
            **in_payload,
        } if not (in_digest or in_subject or in_predicate or in_payload):
            parsed = [_parse_resource(resource) for resource in resources[: MAX_RESOURCES + 1]]
        case _:
            raise RejectedError(
                "model signature: is not over whole files with SHA-256, or has unknown fields"
            )
    if not 1 <= len(parsed) <= MAX_RESOURCES or len(name) > MAX_NAME_CHARS:
        raise RejectedError("model signature: number of resources or name is out of bounds")
    if in_serialization:
        _require_nothing_ignored(in_serialization, parsed)
    return name, _parse_digest(root), parsed


def _require_nothing_ignored(more: object, resources: list[Entry]) -> None:
    """The tool's default list passes, since an entry it hides would then be present and not signed."""
    match more:
        case {"ignore_paths": list(ignored), **rest} if not rest and all(isinstance(p, str) for p in ignored):
            if ignored and sorted(ignored) != sorted(_GIT_PATHS):
                raise RejectedError("model signature: ignores paths", hint="sign without --ignore-paths")
        case _:
            raise RejectedError("model signature: its serialization has an unknown field")
    if ignored and any(name.split("/")[0] in _GIT_PATHS for name, _ in resources):
        raise RejectedError("model signature: signs what it says to ignore")


def _parse_resource(resource: object) -> Entry:
    match resource:
        case {"name": str(name), "algorithm": "sha256", "digest": str(digest), **rest} if (
            not rest and 1 <= len(name) <= MAX_NAME_CHARS
        ):
            return name, _parse_digest(digest)
        case _:
            raise RejectedError("model signature: a resource has an unknown field or algorithm")


def _parse_certificate(value: object) -> bytes:
    match value:
        case {"rawBytes": str(raw), **rest} if not rest:
            return _decode(raw, MAX_BUNDLE_BYTES)
        case _:
            raise RejectedError("model signature: a certificate has an unknown field")


def _parse_digest(text: str) -> Digest:
    try:
        return Digest.parse(f"sha256:{text}")
    except InvalidError:
        raise RejectedError("model signature: a digest is not 64 hexadecimal digits") from None


def _root(entries: Sequence[Entry]) -> Digest:
    hasher = sha256()
    for _, digest in entries:
        hasher.update(digest.value)
    return Digest(hasher.digest())


def _hint(key: PublicKey) -> str:
    """How the format names a key: SHA-256 of its PEM."""
    return sha256(key.pem).hexdigest()


def _require_ecdsa(key: PublicKey) -> PublicKey:
    if key.algorithm is not Algorithm.ECDSA_P256:
        raise InvalidError("model signature: the format has no Ed25519", hint="use an ecdsa-p256 key")
    return key


def _load(data: bytes) -> Any:
    """Parse JSON of other tools: any layout, but no duplicate keys and no constants outside the standard."""
    try:
        return json.loads(data.decode(), object_pairs_hook=_require_unique, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise RejectedError("model signature: JSON cannot be parsed, or has a key twice") from None


def _require_unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    unique = dict(pairs)
    if len(unique) != len(pairs):
        raise ValueError("duplicate key")
    return unique


def _refuse_constant(_: str) -> None:
    raise ValueError("not JSON")


def _decode(text: str, limit: int) -> bytes:
    try:
        data = b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise RejectedError("model signature: base64 cannot be decoded") from None
    if len(data) > limit or b64encode(data).decode() != text:
        raise RejectedError("model signature: base64 is too long or not in its one spelling")
    return data

"""Our verifier of OMS bundles ignores nothing; see tests/interop/test_oms.py for the stock tool."""

import copy
from base64 import b64decode, b64encode
from collections.abc import Callable
from datetime import datetime
from hashlib import sha256
from typing import Any

import orjson
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from strongroom.errors import InvalidError, RejectedError
from strongroom.trust import oms
from strongroom.trust.dsse import pae
from strongroom.trust.oms import PAYLOAD_TYPE, build_bundle, require_signed, require_signed_by_certificate
from strongroom.values import Digest
from tests.unit.trust.forgery import CODE, DAY, SERVER, T0, authority, der, leaf, pem, private_key
from tests.unit.trust.signers import LyingSigner, new_signer, public

SIGNER = new_signer()
KEY = public(SIGNER)
ENTRIES = [("model.onnx", Digest.of(b"m")), ("data/weights.bin", Digest.of(b"w"))]
BUNDLE = build_bundle("fraud", ENTRIES, SIGNER)


def _payload(bundle: bytes) -> dict[str, Any]:
    payload: dict[str, Any] = orjson.loads(b64decode(orjson.loads(bundle)["dsseEnvelope"]["payload"]))
    return payload


def _resigned(payload: bytes, bundle: bytes = BUNDLE) -> bytes:
    """The bundle around another payload, signed by the same key: what a careless signer might make."""
    value = orjson.loads(bundle)
    value["dsseEnvelope"]["payload"] = b64encode(payload).decode()
    signature = SIGNER.sign(pae(PAYLOAD_TYPE, payload))
    value["dsseEnvelope"]["signatures"] = [{"keyid": "", "sig": b64encode(signature).decode()}]
    return orjson.dumps(value)


def test_round_trip() -> None:
    verified = require_signed(BUNDLE, ENTRIES, [public(new_signer()), KEY])
    assert (verified.model_name, verified.key) == ("fraud", KEY)
    assert require_signed(BUNDLE, ENTRIES[::-1], [KEY]) == verified


def test_lone_file_is_signed_as_a_file() -> None:
    bundle = build_bundle("model.onnx", ENTRIES[:1], SIGNER)
    assert _payload(bundle)["predicate"]["resources"][0]["name"] == "."
    assert require_signed(bundle, ENTRIES[:1], [KEY]).digest == Digest.of(Digest.of(b"m").value)
    with pytest.raises(RejectedError):
        require_signed(bundle, ENTRIES, [KEY])
    inside = build_bundle("model", ENTRIES[1:], SIGNER)
    assert _payload(inside)["predicate"]["resources"][0]["name"] == "data/weights.bin"


_OTHER_ENTRIES = {
    "changed": [("model.onnx", Digest.of(b"x")), ENTRIES[1]],
    "exchanged": [("model.onnx", ENTRIES[1][1]), ("data/weights.bin", ENTRIES[0][1])],
    "extra": [*ENTRIES, ("extra.bin", Digest.of(b"e"))],
    "extra dotfile": [*ENTRIES, (".hidden", Digest.of(b"e"))],
    "extra git file": [*ENTRIES, (".gitattributes", Digest.of(b"e"))],
    "extra below .git": [*ENTRIES, (".git/hooks/post-checkout", Digest.of(b"e"))],
    "extra signature": [*ENTRIES, ("model.sig", Digest.of(b"e"))],
    "missing": ENTRIES[:1],
    "renamed": [("Model.onnx", ENTRIES[0][1]), ENTRIES[1]],
    "other spelling": [("./model.onnx", ENTRIES[0][1]), ENTRIES[1]],
    "none": [],
    "twice": [*ENTRIES, ENTRIES[0]],
}


@pytest.mark.parametrize("attack", list(_OTHER_ENTRIES))
@pytest.mark.parametrize("ignored", [[], [".git", ".gitattributes", ".github", ".gitignore"]])
def test_other_entries(attack: str, ignored: list[str]) -> None:
    payload = _payload(BUNDLE)
    payload["predicate"]["serialization"]["ignore_paths"] = ignored
    bundle = _resigned(orjson.dumps(payload))
    assert require_signed(bundle, ENTRIES, [KEY])
    with pytest.raises(RejectedError):
        require_signed(bundle, _OTHER_ENTRIES[attack], [KEY])


def test_wrong_signer() -> None:
    other = public(new_signer())
    with pytest.raises(RejectedError, match="not trusted"):
        require_signed(BUNDLE, ENTRIES, [other])
    value = orjson.loads(BUNDLE)
    value["verificationMaterial"]["publicKey"]["hint"] = sha256(other.pem).hexdigest()
    with pytest.raises(RejectedError, match="does not verify"):
        require_signed(orjson.dumps(value), ENTRIES, [other, KEY])


def test_faulty_signer_stores_nothing() -> None:
    with pytest.raises(RejectedError):
        build_bundle("fraud", ENTRIES, LyingSigner(SIGNER, new_signer()))


def test_ed25519_is_not_in_the_format() -> None:
    edwards = new_signer("ed25519")
    with pytest.raises(InvalidError, match="no Ed25519"):
        build_bundle("fraud", ENTRIES, edwards)
    value = orjson.loads(BUNDLE)
    value["verificationMaterial"]["publicKey"]["hint"] = sha256(public(edwards).pem).hexdigest()
    payload = b64decode(value["dsseEnvelope"]["payload"])
    value["dsseEnvelope"]["signatures"][0]["sig"] = b64encode(
        edwards.sign(pae(PAYLOAD_TYPE, payload))
    ).decode()
    with pytest.raises(RejectedError, match="no Ed25519"):
        require_signed(orjson.dumps(value), ENTRIES, [public(edwards)])


def test_old_encoding_that_the_stock_tool_still_tries() -> None:
    """v0.2 signed the text of a Python bytes literal; the stock tool falls back to that, we do not."""
    value = orjson.loads(BUNDLE)
    payload = b64decode(value["dsseEnvelope"]["payload"])
    old = f"DSSEV1 {len(PAYLOAD_TYPE)} {PAYLOAD_TYPE} {len(payload)} {payload!r}".encode()
    value["dsseEnvelope"]["signatures"][0]["sig"] = b64encode(SIGNER.sign(old)).decode()
    with pytest.raises(RejectedError, match="does not verify"):
        require_signed(orjson.dumps(value), ENTRIES, [KEY])


Edit = Callable[[dict[str, Any]], object]


def _set(*place: str | int, to: object) -> Edit:
    def edit(value: dict[str, Any]) -> None:
        here: Any = value
        for key in place[:-1]:
            here = here[key]
        here[place[-1]] = to

    return edit


_SIGNATURE = orjson.loads(BUNDLE)["dsseEnvelope"]["signatures"][0]
_BUNDLE_EDITS: dict[str, Edit] = {
    "second signature": lambda v: v["dsseEnvelope"]["signatures"].append(_SIGNATURE),
    "second signature that is bad": lambda v: v["dsseEnvelope"]["signatures"].append(
        {"keyid": "", "sig": "AA=="}
    ),
    "no signature": _set("dsseEnvelope", "signatures", to=[]),
    "unknown field": _set("more", to=1),
    "message signature beside the envelope": _set("messageSignature", to={}),
    "unknown field in the envelope": _set("dsseEnvelope", "more", to=1),
    "unknown field in the signature": _set("dsseEnvelope", "signatures", 0, "more", to=1),
    "key id": _set("dsseEnvelope", "signatures", 0, "keyid", to="x"),
    "long signature": _set("dsseEnvelope", "signatures", 0, "sig", to=b64encode(b"s" * 129).decode()),
    "signature of another spelling": _set(
        "dsseEnvelope", "signatures", 0, "sig", to=_SIGNATURE["sig"] + "\n"
    ),
    "payload type": _set("dsseEnvelope", "payloadType", to="text/plain"),
    "media type": _set("mediaType", to="application/vnd.dev.sigstore.bundle+json;version=0.2"),
    "no hint": _set("verificationMaterial", "publicKey", to={}),
    "empty hint": _set("verificationMaterial", "publicKey", "hint", to=""),
    "key in the bundle": _set(
        "verificationMaterial", "publicKey", "rawBytes", to=b64encode(KEY.der).decode()
    ),
    "log entries": _set("verificationMaterial", "tlogEntries", to=[{}]),
    "certificate beside the key": _set("verificationMaterial", "x509CertificateChain", to={}),
    "no material": _set("verificationMaterial", to=None),
}


@pytest.mark.parametrize("attack", list(_BUNDLE_EDITS))
def test_other_bundles(attack: str) -> None:
    value = orjson.loads(BUNDLE)
    _BUNDLE_EDITS[attack](value)
    with pytest.raises(RejectedError):
        require_signed(orjson.dumps(value), ENTRIES, [KEY])


_RESOURCE = _payload(BUNDLE)["predicate"]["resources"][0]
_GIT = [".git", ".gitattributes", ".github", ".gitignore"]
_PAYLOAD_EDITS: dict[str, Edit] = {
    "ignored path": _set("predicate", "serialization", "ignore_paths", to=["extra.bin"]),
    "ignored path beside git's": _set("predicate", "serialization", "ignore_paths", to=[*_GIT, "extra.bin"]),
    "part of git's paths": _set("predicate", "serialization", "ignore_paths", to=[".git"]),
    "one git path four times": _set("predicate", "serialization", "ignore_paths", to=[".git"] * 4),
    "ignored path of another kind": _set("predicate", "serialization", "ignore_paths", to=[1, 2, 3, 4]),
    "ignores everything": _set("predicate", "serialization", "ignore_paths", to=["."]),
    "symbolic links": _set("predicate", "serialization", "allow_symlinks", to=True),
    "shards": _set("predicate", "serialization", "method", to="shards"),
    "hash": _set("predicate", "serialization", "hash_type", to="blake3"),
    "unknown field in the serialization": _set("predicate", "serialization", "more", to=1),
    "unknown field in the predicate": _set("predicate", "more", to=1),
    "unknown field": _set("more", to=1),
    "statement type": _set("_type", to="https://in-toto.io/Statement/v0.1"),
    "predicate type": _set("predicateType", to="https://model_signing/Digests/v0.1"),
    "two subjects": lambda v: v["subject"].append(v["subject"][0]),
    "no subject": _set("subject", to=[]),
    "long name": _set("subject", 0, "name", to="n" * 1025),
    "digest not over the resources": _set("subject", 0, "digest", "sha256", to="0" * 64),
    "digest of another spelling": lambda v: _set(
        "subject", 0, "digest", "sha256", to=v["subject"][0]["digest"]["sha256"].upper()
    )(v),
    "resource digest cut": _set("predicate", "resources", 0, "digest", to="00"),
    "resource algorithm": _set("predicate", "resources", 0, "algorithm", to="sha512"),
    "resource with unknown field": _set("predicate", "resources", 0, "more", to=1),
    "resource twice": lambda v: v["predicate"]["resources"].append(_RESOURCE),
    "no resources": _set("predicate", "resources", to=[]),
}


@pytest.mark.parametrize("attack", list(_PAYLOAD_EDITS))
def test_other_statements_even_if_signed(attack: str) -> None:
    payload = copy.deepcopy(_payload(BUNDLE))
    _PAYLOAD_EDITS[attack](payload)
    with pytest.raises(RejectedError):
        require_signed(_resigned(orjson.dumps(payload)), ENTRIES, [KEY])


def test_resource_twice_with_a_digest_that_fits() -> None:
    payload = _payload(BUNDLE)
    payload["predicate"]["resources"].append(_RESOURCE)
    joined = b"".join(bytes.fromhex(resource["digest"]) for resource in payload["predicate"]["resources"])
    payload["subject"][0]["digest"]["sha256"] = sha256(joined).hexdigest()
    with pytest.raises(RejectedError, match="twice"):
        require_signed(_resigned(orjson.dumps(payload)), ENTRIES, [KEY])


def test_signs_what_it_says_to_ignore() -> None:
    payload = _payload(BUNDLE)
    payload["predicate"]["resources"][0]["name"] = ".git/config"
    payload["predicate"]["serialization"]["ignore_paths"] = _GIT
    with pytest.raises(RejectedError, match="says to ignore"):
        require_signed(
            _resigned(orjson.dumps(payload)), [(".git/config", Digest.of(b"w")), ENTRIES[0]], [KEY]
        )


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"NaN",
        BUNDLE * 2,
        BUNDLE + b"x",
        b"\xff" + BUNDLE,
        b"\xef\xbb\xbf" + BUNDLE,
        b"[" * 20_000,
        BUNDLE.replace(b'"mediaType"', b'"mediaType":"x","mediaType"', 1),
        BUNDLE.replace(b'"keyid":""', b'"keyid":"","keyid":""', 1),
        b'{"more":' + b"9" * 5000 + b"}",
    ],
)
def test_second_bundle_duplicate_keys_and_other_texts(text: bytes) -> None:
    with pytest.raises(RejectedError):
        require_signed(text, ENTRIES, [KEY])


def test_duplicate_keys_inside_the_payload() -> None:
    payload = b64decode(orjson.loads(BUNDLE)["dsseEnvelope"]["payload"])
    doubled = payload.replace(b'"resources":', b'"resources":[],"resources":', 1)
    with pytest.raises(RejectedError, match="key twice"):
        require_signed(_resigned(doubled), ENTRIES, [KEY])


def test_every_flipped_byte() -> None:
    for position in range(len(BUNDLE)):
        forged = bytearray(BUNDLE)
        forged[position] ^= 0x04
        with pytest.raises(RejectedError):
            require_signed(bytes(forged), ENTRIES, [KEY])


@given(st.binary(max_size=100))
def test_arbitrary_payload_raises_nothing_else(payload: bytes) -> None:
    with pytest.raises(RejectedError):
        require_signed(_resigned(payload), ENTRIES, [KEY])


def test_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    for entries in ([], [ENTRIES[0], ENTRIES[0]], [(str(n), ENTRIES[0][1]) for n in range(4097)]):
        with pytest.raises(InvalidError):
            build_bundle("fraud", entries, SIGNER)
    monkeypatch.setattr(oms, "MAX_RESOURCES", 1)
    with pytest.raises(RejectedError, match="out of bounds"):
        require_signed(BUNDLE, ENTRIES, [KEY])
    monkeypatch.setattr(oms, "MAX_BUNDLE_BYTES", len(BUNDLE) - 1)
    with pytest.raises(RejectedError, match="larger"):
        require_signed(BUNDLE, ENTRIES, [KEY])
    monkeypatch.setattr(oms, "MAX_PAYLOAD_BYTES", 10)
    with pytest.raises(InvalidError, match="larger"):
        build_bundle("fraud", ENTRIES[:1], SIGNER)


# --- with a certificate in place of a key


def _certified(*chain: bytes, key: str = "coder") -> bytes:
    value = orjson.loads(BUNDLE)
    payload = b64decode(value["dsseEnvelope"]["payload"])
    signature = private_key(key).sign(pae(PAYLOAD_TYPE, payload), ec.ECDSA(hashes.SHA256()))
    value["dsseEnvelope"]["signatures"][0]["sig"] = b64encode(signature).decode()
    certificates = [{"rawBytes": b64encode(certificate).decode()} for certificate in chain]
    value["verificationMaterial"] = {
        "x509CertificateChain": {"certificates": certificates},
        "tlogEntries": [],
    }
    return orjson.dumps(value)


ROOT = pem(authority())
CODER = der(leaf(usage=CODE, key="coder"))


def test_certificate_that_leads_to_the_root() -> None:
    for chain in ((CODER,), (CODER, der(authority()))):
        verified = require_signed_by_certificate(_certified(*chain), ENTRIES, ROOT, T0 + DAY)
        assert verified.model_name == "fraud"


@pytest.mark.parametrize("at", [T0 - DAY, T0 + 11 * DAY])
def test_certificate_out_of_its_time(at: datetime) -> None:
    """The stock tool judges a chain at the start of the leaf's validity, so an expired one passes there."""
    with pytest.raises(RejectedError, match="out of its time"):
        require_signed_by_certificate(_certified(CODER), ENTRIES, ROOT, at)


def test_certificate_attacks() -> None:
    server = der(leaf(usage=SERVER, key="coder"))
    foreign = der(leaf(usage=CODE, key="coder", issuer="other"))
    for bundle in (
        _certified(server),
        _certified(foreign, der(authority("other"))),
        _certified(CODER, key="thief"),
        _certified(),
        _certified(CODER[:-1]),
        _certified(*[CODER] * 9),
        BUNDLE,
    ):
        with pytest.raises(RejectedError):
            require_signed_by_certificate(bundle, ENTRIES, ROOT, T0 + DAY)
    with pytest.raises(RejectedError, match="not by a key"):
        require_signed(_certified(CODER), ENTRIES, [KEY])
    value = orjson.loads(_certified(CODER))
    value["verificationMaterial"]["x509CertificateChain"]["certificates"][0]["more"] = 1
    with pytest.raises(RejectedError, match="unknown field"):
        require_signed_by_certificate(orjson.dumps(value), ENTRIES, ROOT, T0 + DAY)


def test_certificate_over_other_entries() -> None:
    with pytest.raises(RejectedError, match="not signed"):
        require_signed_by_certificate(
            _certified(CODER), [*ENTRIES, ("extra", Digest.of(b"e"))], ROOT, T0 + DAY
        )

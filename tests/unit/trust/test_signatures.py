"""Only P-256 and Ed25519 keys, only their own signatures, only one encoding of each."""

from hashlib import sha256

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_public_key,
)

from strongroom.errors import InvalidError, RejectedError
from strongroom.trust.signatures import PublicKey, require_own_signature
from tests.unit.trust.signers import LyingSigner, new_signer, public

_SPKI = PublicFormat.SubjectPublicKeyInfo


def _pem(key: ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey) -> bytes:
    return key.public_bytes(Encoding.PEM, _SPKI)


def _rfc_6979_key() -> PublicKey:
    """RFC 6979 A.2.5."""
    x = 0x60FED4BA255A9D31C961EB74C6356D68C049B8923B61FA6CE669622E60F29FB6
    y = 0x7903FE1008B8BC99A41AE9E95628BC64F2F1B20C2D7E9F5177A3C294D4462299
    return PublicKey.from_pem(_pem(ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()))


def test_published_ecdsa_signature_verifies() -> None:
    r = 0xEFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716
    s = 0xF7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8
    _rfc_6979_key().verify(encode_dss_signature(r, s), b"sample")


def test_published_ed25519_signature_verifies() -> None:
    raw = bytes.fromhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
    key = PublicKey.from_pem(_pem(ed25519.Ed25519PublicKey.from_public_bytes(raw)))
    signature = bytes.fromhex(
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
    )
    key.verify(signature, b"\x72")  # RFC 8032 7.1, test 2
    assert key.raw == raw


def test_key_id_is_the_digest_of_the_der_key() -> None:
    key = _rfc_6979_key()
    assert key.key_id == sha256(key.der).hexdigest() and PublicKey.from_der(key.der) == key


def test_one_key_has_one_id_however_its_pem_is_laid_out() -> None:
    key = _rfc_6979_key()
    point = key.key.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    # SubjectPublicKeyInfo with the compressed point: 57 = 0x39 bytes instead of 0x59
    der = bytes.fromhex("3039301306072a8648ce3d020106082a8648ce3d030107032200") + point
    assert PublicKey.from_der(der) == key
    assert PublicKey.from_pem(b"\r\n" + key.pem.replace(b"\n", b"\r\n")) == key


@pytest.mark.parametrize("algorithm", ["ecdsa-p256", "ed25519"])
def test_every_flipped_byte_of_a_signature_is_refused(algorithm: str) -> None:
    signer = new_signer(algorithm)
    signature = signer.sign(b"message")
    public(signer).verify(signature, b"message")
    for position in range(len(signature)):
        forged = bytearray(signature)
        forged[position] ^= 0x10
        with pytest.raises(RejectedError):
            public(signer).verify(bytes(forged), b"message")


@pytest.mark.parametrize("algorithm", ["ecdsa-p256", "ed25519"])
def test_foreign_key_and_other_message_are_refused(algorithm: str) -> None:
    signer = new_signer(algorithm)
    signature = signer.sign(b"message")
    with pytest.raises(RejectedError, match="does not verify"):
        public(new_signer(algorithm)).verify(signature, b"message")
    with pytest.raises(RejectedError):
        public(signer).verify(signature, b"massage")


def test_algorithm_confusion_is_refused() -> None:
    ecdsa, edwards = new_signer("ecdsa-p256"), new_signer("ed25519")
    for key, signature in ((ecdsa, edwards.sign(b"m")), (edwards, ecdsa.sign(b"m"))):
        with pytest.raises(RejectedError):
            public(key).verify(signature, b"m")


def test_other_hash_under_the_same_key_is_refused() -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    key = PublicKey.from_pem(_pem(private.public_key()))
    for weak in (hashes.SHA224(), hashes.SHA384()):
        with pytest.raises(RejectedError):
            key.verify(private.sign(b"m", ec.ECDSA(weak)), b"m")


def test_other_encodings_of_a_good_signature_are_refused() -> None:
    signer = new_signer()
    good = signer.sign(b"m")
    r, s = decode_dss_signature(good)
    raw = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    long_length = b"\x30\x81" + good[1:2] + good[2:]
    for other in (b"", b"\x00", raw, good + b"\x00", good[:-1], long_length, b"\x00" * 72, good * 40):
        with pytest.raises(RejectedError):
            public(signer).verify(other, b"m")


@pytest.mark.parametrize("numbers", [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_trivial_signatures_are_refused(numbers: tuple[int, int]) -> None:
    """CVE-2022-21449: zero as r and s verified for every message."""
    with pytest.raises(RejectedError):
        _rfc_6979_key().verify(encode_dss_signature(*numbers), b"m")


def _refused_pems() -> dict[str, bytes]:
    private = ec.generate_private_key(ec.SECP256R1())
    good = _pem(private.public_key())
    return {
        "rsa": _pem(rsa.generate_private_key(65537, 2048).public_key()),
        "p-384": _pem(ec.generate_private_key(ec.SECP384R1()).public_key()),
        "secp256k1": _pem(ec.generate_private_key(ec.SECP256K1()).public_key()),
        "private key": private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        "two keys": good + good,
        "second key hidden behind": good + b"-----BEGIN CERTIFICATE-----\n",
        "cut": good[:-40],
        "empty": b"",
        "long": b" " * 5000 + good,
        "point not on the curve": b"-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE"
        + b"A" * 86
        + b"==\n-----END PUBLIC KEY-----\n",
    }


@pytest.mark.parametrize("what", list(_refused_pems()))
def test_other_keys_are_refused(what: str) -> None:
    with pytest.raises(InvalidError):
        PublicKey.from_pem(_refused_pems()[what])


def test_a_custody_that_signs_with_another_key_is_noticed() -> None:
    with pytest.raises(RejectedError):
        require_own_signature(LyingSigner(claimed=new_signer(), real=new_signer()), b"m")


def test_a_custody_that_names_another_key_is_noticed() -> None:
    class Misnamed(LyingSigner):
        key_id = "0" * 64

    signer = new_signer()
    with pytest.raises(RejectedError, match="key id"):
        require_own_signature(Misnamed(signer, signer), b"m")


def test_public_key_loads_elsewhere() -> None:
    signer = new_signer()
    loaded = load_pem_public_key(public(signer).pem)
    assert isinstance(loaded, ec.EllipticCurvePublicKey)
    loaded.verify(signer.sign(b"m"), b"m", ec.ECDSA(hashes.SHA256()))

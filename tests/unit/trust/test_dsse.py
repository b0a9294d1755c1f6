"""An envelope is believed only whole: its type, its one spelling, and every signature on it."""

from base64 import b64decode, b64encode
from dataclasses import replace

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.errors import InvalidError, RejectedError
from strongroom.trust import dsse
from strongroom.trust.dsse import Envelope, EnvelopeSignature, pae, sign_envelope, verify
from tests.unit.trust.signers import LyingSigner, new_signer, public

TYPE = "application/vnd.example+json"
ANN, BEN = new_signer(), new_signer("ed25519")
GOOD = sign_envelope(TYPE, b'{"a":1}', ANN)


def test_encoding_of_the_specification() -> None:
    expected = b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    assert pae("http://example.com/HelloWorld", b"hello world") == expected


def test_lengths_count_bytes_so_that_type_and_payload_cannot_flow_into_one_another() -> None:
    assert pae("ü", b"x") == "DSSEv1 2 ü 1 x".encode()
    assert pae("a 1 b", b"c") != pae("a", b"b 1 c")


def test_round_trip() -> None:
    parsed = Envelope.parse(GOOD.to_bytes())
    assert parsed == GOOD and verify(parsed, [public(BEN), public(ANN)], TYPE) == b'{"a":1}'


def test_signature_is_the_one_of_the_specification() -> None:
    """What another DSSE implementation would check, spelled out by hand."""
    value = orjson.loads(GOOD.to_bytes())
    signature = b64decode(value["signatures"][0]["sig"])
    public(ANN).verify(signature, pae(value["payloadType"], b64decode(value["payload"])))


def test_wrong_signer() -> None:
    with pytest.raises(RejectedError, match="not trusted"):
        verify(GOOD, [public(BEN)], TYPE)
    with pytest.raises(RejectedError, match="not trusted"):
        verify(GOOD, [], TYPE)


def test_signature_of_another_under_a_trusted_key_id() -> None:
    forged = EnvelopeSignature(ANN.key_id, new_signer().sign(pae(TYPE, b"x")))
    with pytest.raises(RejectedError, match="does not verify"):
        verify(Envelope(TYPE, b"x", (forged,)), [public(ANN)], TYPE)


def test_algorithm_confusion() -> None:
    message = pae(TYPE, b"x")
    swapped = Envelope(TYPE, b"x", (EnvelopeSignature(BEN.key_id, ANN.sign(message)),))
    with pytest.raises(RejectedError):
        verify(swapped, [public(ANN), public(BEN)], TYPE)


def test_payload_type_swap() -> None:
    other = "application/vnd.other+json"
    with pytest.raises(RejectedError, match="payload type"):
        verify(GOOD, [public(ANN)], other)
    with pytest.raises(RejectedError, match="does not verify"):
        verify(replace(GOOD, payload_type=other), [public(ANN)], other)


def test_payload_swap() -> None:
    with pytest.raises(RejectedError, match="does not verify"):
        verify(replace(GOOD, payload=b'{"a":2}'), [public(ANN)], TYPE)


def test_two_good_signatures_pass_and_one_bad_of_two_does_not() -> None:
    keys = [public(ANN), public(BEN)]
    second = EnvelopeSignature(BEN.key_id, BEN.sign(pae(TYPE, GOOD.payload)))
    both = replace(GOOD, signatures=(*GOOD.signatures, second))
    assert verify(Envelope.parse(both.to_bytes()), keys, TYPE) == GOOD.payload
    bad = EnvelopeSignature(BEN.key_id, BEN.sign(b"other"))
    for signatures in ((GOOD.signatures[0], bad), (bad, GOOD.signatures[0])):
        with pytest.raises(RejectedError, match="does not verify"):
            verify(replace(GOOD, signatures=signatures), keys, TYPE)


def test_a_good_signature_beside_one_of_a_stranger() -> None:
    stranger = new_signer()
    extra = EnvelopeSignature(stranger.key_id, stranger.sign(pae(TYPE, GOOD.payload)))
    with pytest.raises(RejectedError, match="not trusted"):
        verify(replace(GOOD, signatures=(*GOOD.signatures, extra)), [public(ANN)], TYPE)


def test_one_signature_counted_twice() -> None:
    with pytest.raises(RejectedError, match="signs twice"):
        verify(replace(GOOD, signatures=GOOD.signatures * 2), [public(ANN)], TYPE)


def test_no_signature() -> None:
    with pytest.raises(RejectedError, match="no signature"):
        verify(replace(GOOD, signatures=()), [public(ANN)], TYPE)


def _spelled(**changes: object) -> bytes:
    value = {**orjson.loads(GOOD.to_bytes()), **changes}
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


_SIGNATURE = orjson.loads(GOOD.to_bytes())["signatures"][0]

_REFUSED = {
    "unknown field": _spelled(more=1),
    "missing field": orjson.dumps({"payload": "", "payloadType": TYPE}),
    "unknown field in a signature": _spelled(signatures=[{**_SIGNATURE, "cert": ""}]),
    "missing key id": _spelled(signatures=[{"sig": _SIGNATURE["sig"]}]),
    "empty key id": _spelled(signatures=[{**_SIGNATURE, "keyid": ""}]),
    "no signatures": _spelled(signatures=[]),
    "too many signatures": _spelled(signatures=[_SIGNATURE] * 9),
    "signature of another kind": _spelled(signatures=["x"]),
    "long signature": _spelled(signatures=[{**_SIGNATURE, "sig": b64encode(b"x" * 129).decode()}]),
    "payload of another kind": _spelled(payload=7),
    "payload not base64": _spelled(payload="*"),
    "payload without padding": _spelled(payload="eyJhIjoxfQ"),
    "payload url-safe": _spelled(payload="_w=="),
    "payload with stray bits": _spelled(payload="/x=="),
    "payload with line break": _spelled(payload="eyJhIjoxfQ==\n"),
    "type too long": _spelled(payloadType="x" * 129),
    "type empty": _spelled(payloadType=""),
    "type not ascii": _spelled(payloadType="ü"),
    "white space": GOOD.to_bytes() + b"\n",
    "duplicate key": b'{"payload":"",' + GOOD.to_bytes()[1:],
    "list": b"[]",
    "deep": b"[" * 5000,
    "null byte": b"\x00",
    "empty": b"",
}


@pytest.mark.parametrize("attack", list(_REFUSED))
def test_other_spellings(attack: str) -> None:
    with pytest.raises(RejectedError):
        Envelope.parse(_REFUSED[attack])


def test_every_flipped_byte() -> None:
    good = GOOD.to_bytes()
    for position in range(len(good)):
        forged = bytearray(good)
        forged[position] ^= 0x01
        with pytest.raises(RejectedError):
            verify(Envelope.parse(bytes(forged)), [public(ANN)], TYPE)


def test_oversize_is_refused_before_parsing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dsse, "MAX_ENVELOPE_BYTES", len(GOOD.to_bytes()) - 1)
    with pytest.raises(RejectedError, match="larger"):
        Envelope.parse(GOOD.to_bytes())
    monkeypatch.setattr(dsse, "MAX_PAYLOAD_BYTES", 3)
    with pytest.raises(InvalidError, match="larger"):
        sign_envelope(TYPE, b"long", ANN)


def test_largest_payload_fits_the_largest_envelope() -> None:
    largest = sign_envelope(TYPE, b"x" * dsse.MAX_PAYLOAD_BYTES, ANN)
    full = replace(largest, signatures=(EnvelopeSignature("k" * 128, b"s" * 128),) * dsse.MAX_SIGNATURES)
    assert Envelope.parse(full.to_bytes()) == full


def test_faulty_signer_stores_nothing() -> None:
    with pytest.raises(RejectedError):
        sign_envelope(TYPE, b"x", LyingSigner(claimed=ANN, real=new_signer()))


@given(st.binary(max_size=200))
def test_arbitrary_bytes_raise_nothing_else(data: bytes) -> None:
    with pytest.raises(RejectedError):
        Envelope.parse(data)

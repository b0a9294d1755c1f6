"""One byte form per value."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom import canonical
from strongroom.canonical import MAX_DEPTH, MAX_INTEGER
from strongroom.errors import InvalidError

KEYS = st.text(st.characters(max_codepoint=127), max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-MAX_INTEGER, MAX_INTEGER) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_values_come_back_and_are_plain_json(value: Any) -> None:
    data = canonical.encode(value)
    assert canonical.decode(data) == value
    assert json.loads(data) == value


def test_the_form_is_frozen() -> None:
    value = {"b": [1, -2, None, True], "a": 'é\n"\\\x01\x7f/', "A": {}, "": []}
    assert canonical.encode(value) == (
        b'{"":[],"A":{},"a":"\xc3\xa9\\n\\"\\\\\\u0001\x7f/","b":[1,-2,null,true]}'
    )


@pytest.mark.parametrize(
    "value",
    [
        1.0, float("nan"), MAX_INTEGER + 1, -MAX_INTEGER - 1, b"x", {1}, {1: 2}, {None: 1}, {"é": 1},
        object(), "\ud800", ["\udfff"], {"a": 1j},
    ],
)  # fmt: skip
def test_values_without_a_canonical_form(value: object) -> None:
    with pytest.raises(InvalidError):
        canonical.encode(value)


def test_the_bounds() -> None:
    canonical.decode(canonical.encode([MAX_INTEGER, -MAX_INTEGER]))
    value: Any = 0
    for _ in range(MAX_DEPTH):
        value = [value]
    assert canonical.decode(canonical.encode(value)) == value
    with pytest.raises(InvalidError, match="nested"):
        canonical.encode([value])


@pytest.mark.parametrize(
    "data",
    [
        b"", b" 1", b"1 ", b"1\n", b"01", b"-0", b"1.0", b"1e3", b"1E400", b"NaN", b"Infinity", b"+1",
        b'{"a":1,"a":1}', b'{"a":1,"a":2}', b'{"b":1,"a":2}', b'{"a" :1}', b"[1, 2]", b"[1,]", b"{,}",
        b'"\\u0061"', b'"\\/"', b'"\\u000A"', b'"\\u000a"', b"'a'", b'"\xff"', b'"\xc0\x80"',
        b'"\xed\xa0\x80"',
        b'"\\ud800"', b'"\n"', b"\xef\xbb\xbf1", b"9007199254740992", b"123456789012345678901234567890",
        b"/*x*/1", b"1//x", b"tru", b"[" * 100_000, b"[" * 40 + b"]" * 40, b'{"\xc3\xa9":1}', b"1 1",
    ],
)  # fmt: skip
def test_other_spellings(data: bytes) -> None:
    with pytest.raises(InvalidError):
        canonical.decode(data)


@given(st.binary(max_size=64))
def test_whatever_is_accepted_is_canonical(data: bytes) -> None:
    try:
        value = canonical.decode(data)
    except InvalidError:
        return
    assert canonical.encode(value) == data

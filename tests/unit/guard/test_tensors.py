"""Tensors from callers: every lie about shape, amount, type or range is refused before numpy sees it."""

import struct
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.errors import InvalidError
from strongroom.guard.schema import DTYPES, TensorSpec
from strongroom.guard.tensors import (
    BFLOAT16,
    MAX_STRINGS,
    NUMPY,
    from_binary,
    from_json,
    require_values,
    to_binary,
    to_json,
)


def spec(dtype: str = "FP32", shape: tuple[int, ...] = (-1, 3), **more: Any) -> TensorSpec:
    return TensorSpec("x", dtype, shape, **more)


def test_flat_and_nested_json_are_the_same_tensor() -> None:
    flat = from_json(spec(), [2, 3], [1, 2.5, 3, 4, 5, 6])
    nested = from_json(spec(), [2, 3], [[1, 2.5, 3], [4, 5, 6]])
    assert flat.dtype == np.float32
    assert flat.shape == (2, 3)
    assert np.array_equal(flat, nested)


def test_three_levels_of_nesting() -> None:
    array = from_json(spec("INT64", (-1, 2, 2)), [1, 2, 2], [[[1, 2], [3, 4]]])
    assert array.tolist() == [[[1, 2], [3, 4]]]


@pytest.mark.parametrize(
    ("attack", "shape", "data"),
    [
        ("no list", "2,3", [1] * 6),
        ("rank", [6], [1] * 6),
        ("rank bomb", [1] * 4000, [1]),
        ("negative", [-1, 3], [1, 2, 3]),
        ("two negatives", [-2, -3], [1] * 6),
        ("zero rows", [0, 3], []),
        ("overflow product", [2**31 - 1, 3], [1]),
        ("overflow 64 bits", [2**62, 3], [1]),
        ("float dimension", [1.0, 3], [1, 2, 3]),
        ("bool dimension", [True, 3], [1, 2, 3]),
        ("text dimension", ["1", 3], [1, 2, 3]),
        ("other column count", [1, 4], [1, 2, 3, 4]),
        ("too little data", [2, 3], [1, 2, 3]),
        ("too much data", [1, 3], [1, 2, 3, 4]),
        ("no data list", [1, 3], "123"),
        ("data object", [1, 3], {"0": 1}),
        ("number in text", [1, 3], [1, "2", 3]),
        ("null", [1, 3], [1, None, 3]),
        ("bool as number", [1, 3], [1, True, 3]),
        ("mixed nesting", [2, 3], [[1, 2, 3], 4, 5, 6]),
        ("late nesting", [1, 3], [1, [2], 3]),
        ("ragged", [2, 3], [[1, 2], [3, 4, 5, 6]]),
        ("transposed", [2, 3], [[1, 2], [3, 4], [5, 6]]),
        ("too deep", [1, 3], [[[1], [2], [3]]]),
        ("FP32 overflow", [1, 3], [1e39, 0, 0]),
        ("integer beyond any float", [1, 3], [2**64 - 1, 10.0**300, 0]),
    ],
)
def test_json_lies(attack: str, shape: Any, data: Any) -> None:
    with pytest.raises(InvalidError, match=r"^input 'x': "):
        from_json(spec(), shape, data)
    if attack != "bool as number":
        with pytest.raises(InvalidError, match=r"^input 'x': "):
            from_json(spec(), shape, data, may_hold_bools=False)


@pytest.mark.parametrize(
    ("dtype", "low", "high"),
    [
        ("UINT8", 0, 2**8 - 1),
        ("UINT16", 0, 2**16 - 1),
        ("UINT32", 0, 2**32 - 1),
        ("UINT64", 0, 2**64 - 1),
        ("INT8", -(2**7), 2**7 - 1),
        ("INT16", -(2**15), 2**15 - 1),
        ("INT32", -(2**31), 2**31 - 1),
        ("INT64", -(2**63), 2**63 - 1),
    ],
)
def test_integers_keep_their_range(dtype: str, low: int, high: int) -> None:
    assert from_json(spec(dtype, (-1,)), [2], [low, high]).tolist() == [low, high]
    for outside in (low - 1, high + 1, 1.0, True, "1"):
        with pytest.raises(InvalidError):
            from_json(spec(dtype, (-1,)), [1], [outside])


def test_fp16_overflow_is_refused() -> None:
    assert from_json(spec("FP16", (-1,)), [1], [65504.0]).tolist() == [65504.0]
    with pytest.raises(InvalidError, match="FP16 numbers in its range"):
        from_json(spec("FP16", (-1,)), [1], [70000.0])


def test_bf16_is_binary_only() -> None:
    with pytest.raises(InvalidError, match="BF16 has no JSON form"):
        from_json(spec("BF16", (-1,)), [1], [1.0])
    array = from_binary(spec("BF16", (-1,)), [1], b"\x80\x3f")
    assert array.dtype == BFLOAT16
    with pytest.raises(InvalidError, match="BF16 has no JSON form"):
        to_json("y", array)
    assert to_binary(array) == b"\x80\x3f"


@pytest.mark.parametrize("bits", [0x7F80, 0xFF80, 0x7FC0, 0xFFFF])
def test_bf16_not_finite_is_seen(bits: int) -> None:
    array = from_binary(spec("BF16", (-1,)), [1], struct.pack("<H", bits))
    with pytest.raises(InvalidError, match="not finite"):
        require_values(spec("BF16", (-1,)), array)
    require_values(spec("BF16", (-1,), finite=False), array)


def test_bool_takes_bool_only() -> None:
    assert from_json(spec("BOOL", (-1,)), [2], [True, False]).tolist() == [True, False]
    with pytest.raises(InvalidError):
        from_json(spec("BOOL", (-1,)), [1], [1])
    with pytest.raises(InvalidError, match="neither 0 nor 1"):
        from_binary(spec("BOOL", (-1,)), [2], b"\x01\x02")


@pytest.mark.parametrize("dtype", sorted(DTYPES - {"BYTES"}))
def test_binary_length_lies(dtype: str) -> None:
    size = NUMPY[dtype].itemsize
    for lie in (0, size - 1, 2 * size - 1, 2 * size + 1, 20 * size):
        with pytest.raises(InvalidError, match="binary data"):
            from_binary(spec(dtype, (-1,)), [2], bytes(lie))
    assert from_binary(spec(dtype, (-1,)), [2], bytes(2 * size)).shape == (2,)


def test_strings_both_ways() -> None:
    text = spec("BYTES", (-1,), max_bytes=8)
    array = from_json(text, [2], ["héé", ""])
    assert array.tolist() == ["héé".encode(), b""]
    raw = to_binary(array)
    assert raw == b"\x05\x00\x00\x00h\xc3\xa9\xc3\xa9\x00\x00\x00\x00"
    assert from_binary(text, [2], memoryview(raw)).tolist() == array.tolist()
    assert to_json("y", array) == ["héé", ""]


@pytest.mark.parametrize(
    ("attack", "raw"),
    [
        ("no length", b""),
        ("cut length", b"\x01\x00"),
        ("length beyond the end", b"\xff\xff\xff\xff" + b"a" * 8),
        ("one string short", b"\x01\x00\x00\x00a"),
        ("second cut", b"\x01\x00\x00\x00a\x02\x00\x00\x00b"),
        ("left over", b"\x01\x00\x00\x00a\x01\x00\x00\x00b" + b"!"),
        ("too long", b"\x09\x00\x00\x00aaaaaaaaa\x00\x00\x00\x00"),
        ("not UTF-8", b"\x01\x00\x00\x00\xff\x00\x00\x00\x00"),
    ],
)
def test_string_lies(attack: str, raw: bytes) -> None:
    with pytest.raises(InvalidError):
        from_binary(spec("BYTES", (-1,), max_bytes=8), [2], raw)


def test_too_many_strings_are_refused_before_counting_them() -> None:
    with pytest.raises(InvalidError, match="more than"):
        from_binary(spec("BYTES", (-1,)), [MAX_STRINGS + 1], bytes(4 * (MAX_STRINGS + 1)))
    with pytest.raises(InvalidError, match="too few"):
        from_binary(spec("BYTES", (-1,)), [MAX_STRINGS], bytes(64))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["FP16", "FP32", "FP64"])
def test_not_finite_is_refused_unless_the_schema_says_so(dtype: str, value: float) -> None:
    array = from_binary(spec(dtype, (-1,)), [2], np.array([1, value], NUMPY[dtype]).tobytes())
    with pytest.raises(InvalidError, match="not finite"):
        require_values(spec(dtype, (-1,)), array)
    require_values(spec(dtype, (-1,), finite=False), array)


def test_nan_does_not_slip_past_a_bound() -> None:
    bounded = spec("FP32", (-1,), finite=False, minimum=(0,))
    with pytest.raises(InvalidError, match="below"):
        require_values(bounded, np.array([np.nan], np.float32))


def test_bounds_are_per_column_and_inclusive() -> None:
    bounded = spec(minimum=(0, -0.1, 0), maximum=(1,))
    require_values(bounded, from_json(bounded, [1, 3], [0, -0.1, 1]))
    with pytest.raises(InvalidError, match="below the minimum"):
        require_values(bounded, from_json(bounded, [2, 3], [0, 0, 0, 0, -0.11, 0]))
    with pytest.raises(InvalidError, match="above the maximum"):
        require_values(bounded, from_json(bounded, [1, 3], [0, 0, 1.01]))


def test_bounds_on_64_bit_integers_are_exact() -> None:
    bounded = spec("INT64", (-1,), maximum=(2**53,))
    require_values(bounded, np.array([2**53], np.int64))
    with pytest.raises(InvalidError):
        require_values(bounded, np.array([2**53 + 1], np.int64))


def test_only_known_categories_pass() -> None:
    known = spec("BYTES", (-1,), categories=frozenset({b"ch", b"de"}))
    require_values(known, from_json(known, [2], ["ch", "de"]))
    with pytest.raises(InvalidError, match="category"):
        require_values(known, from_json(known, [2], ["ch", "DE"]))
    numbers = spec("INT64", (-1,), categories=frozenset({1, 2}))
    with pytest.raises(InvalidError, match="category"):
        require_values(numbers, np.array([1, 3]))


def test_outputs_without_json_form_say_so() -> None:
    with pytest.raises(InvalidError, match="binary data"):
        to_json("y", np.array([np.nan], np.float32))
    with pytest.raises(InvalidError, match="binary data"):
        to_json("y", np.array([b"\xff"], np.object_))
    assert (
        orjson.dumps(to_json("y", np.array([[0.1, 2]], np.float32)), option=orjson.OPT_SERIALIZE_NUMPY)
        == b"[0.1,2.0]"
    )


def test_errors_cut_untrusted_text() -> None:
    with pytest.raises(InvalidError) as caught:
        from_json(spec(), [2**63] * 2, [1])
    assert len(caught.value.message) < 300
    assert "Traceback" not in caught.value.message


ANY_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=20,
)


@given(st.sampled_from(sorted(DTYPES)), st.sampled_from([(), (-1,), (-1, 2), (2, 2)]), ANY_JSON, ANY_JSON)
def test_any_json_is_a_tensor_or_invalid(dtype: str, dims: tuple[int, ...], shape: Any, data: Any) -> None:
    wanted = spec(dtype, dims)
    try:
        array = from_json(wanted, shape, data)
    except InvalidError:
        return
    assert array.dtype == NUMPY[dtype]
    assert list(array.shape) == shape


@given(
    st.sampled_from(sorted(DTYPES)),
    st.lists(st.integers(-2, 4) | st.integers(), max_size=3),
    st.binary(max_size=64),
)
def test_any_bytes_are_a_tensor_or_invalid(dtype: str, shape: list[int], raw: bytes) -> None:
    wanted = spec(dtype, (-1, -1))
    try:
        array = from_binary(wanted, shape, raw)
    except InvalidError:
        return
    assert to_binary(array) == raw

"""The schema inside the statement: one strict reading, and a description of exactly this model."""

from typing import Any

import pytest

from strongroom import canonical
from strongroom.errors import InvalidError
from strongroom.guard.schema import MAX_RANK, Schema

GOOD: dict[str, Any] = {
    "platform": "onnxruntime_onnx",
    "inputs": [
        {
            "name": "x",
            "dtype": "FP32",
            "shape": [-1, 3],
            "min": [0, "-0.5", 1],
            "max": "1e3",
            "finite": False,
        },
        {"name": "country", "dtype": "BYTES", "shape": [-1, 1], "categories": ["ch", "de"], "max_bytes": 2},
        {"name": "kind", "dtype": "INT64", "shape": [-1], "categories": [1, 2, 3]},
    ],
    "outputs": [{"name": "label", "dtype": "INT64", "shape": [-1]}],
    "batching": "rows",
    "max_rows": 16,
}


def changed(path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    """Return GOOD with one place changed; ... removes it."""
    schema: Any = canonical.decode(canonical.encode(GOOD))
    place = schema
    for step in path[:-1]:
        place = place[step]
    if value is ...:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    result: dict[str, Any] = schema
    return result


def test_what_is_signed_reads_back_as_it_was() -> None:
    schema = Schema.parse(GOOD)
    assert schema.by_rows
    assert schema.inputs[0].minimum == (0, -0.5, 1)
    assert schema.inputs[1].categories == frozenset({b"ch", b"de"})
    assert Schema.parse(canonical.decode(canonical.encode(schema.to_dict()))) == schema


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("surprise",), 1),
        (("platform",), ...),
        (("platform",), "pytorch_pickle"),
        (("batching",), "auto"),
        (("inputs",), []),
        (("inputs",), {"x": 1}),
        (("inputs",), [GOOD["inputs"][0]] * 300),
        (("outputs",), []),
        (("max_rows",), 0),
        (("max_rows",), True),
        (("inputs", 0, "finit"), True),
        (("inputs", 0, "name"), ""),
        (("inputs", 0, "name"), "a\nb"),
        (("inputs", 0, "name"), "country"),
        (("inputs", 0, "dtype"), "FP8"),
        (("inputs", 0, "dtype"), ["FP32"]),
        (("inputs", 0, "shape"), [-2, 3]),
        (("inputs", 0, "shape"), [0, 3]),
        (("inputs", 0, "shape"), [True, 3]),
        (("inputs", 0, "shape"), [-1] * (MAX_RANK + 1)),
        (("inputs", 0, "shape"), [2**31, 3]),
        (("inputs", 0, "shape"), [4, 3]),
        (("inputs", 0, "min"), [1, 2]),
        (("inputs", 0, "min"), 0.5),
        (("inputs", 0, "min"), "nan"),
        (("inputs", 0, "min"), "1e999"),
        (("inputs", 0, "min"), "1_0"),
        (("inputs", 0, "min"), True),
        (("inputs", 0, "min"), 2000),
        (("inputs", 0, "categories"), [1]),
        (("inputs", 0, "finite"), 1),
        (("inputs", 1, "min"), 1),
        (("inputs", 1, "categories"), []),
        (("inputs", 1, "categories"), ["a", "a"]),
        (("inputs", 1, "categories"), ["a", 1]),
        (("inputs", 1, "max_bytes"), -1),
        (("inputs", 2, "categories"), [True]),
        (("inputs", 2, "min"), "0.5"),
        (("inputs", 2, "min"), [1]),
        (("outputs", 0, "min"), 1),
        (("outputs", 0, "shape"), []),
    ],
)
def test_anything_else_is_refused(path: tuple[Any, ...], value: Any) -> None:
    with pytest.raises(InvalidError, match=r"^schema"):
        Schema.parse(changed(path, value))


def test_a_bound_outside_its_type_would_never_hold() -> None:
    with pytest.raises(InvalidError, match="out of range for UINT8"):
        Schema.parse(changed(("inputs", 2), {"name": "n", "dtype": "UINT8", "shape": [-1], "max": 300}))


IN = [{"name": "x", "dtype": "FP32", "shape": [-1, 30]}]
OUT = [{"name": "label", "dtype": "INT64", "shape": [-1]}, {"name": "p", "dtype": "FP32", "shape": [-1, 2]}]


def test_auto_takes_rows_only_when_every_first_dimension_is_free() -> None:
    assert Schema.auto(IN, OUT).by_rows
    assert not Schema.auto(IN, OUT, by_rows=False).by_rows
    assert not Schema.auto([{"name": "x", "dtype": "FP32", "shape": [1, 30]}], OUT).by_rows
    assert not Schema.auto(IN, [{"name": "sum", "dtype": "FP32", "shape": []}]).by_rows


def test_a_schema_may_narrow_its_model() -> None:
    free = [{"name": "x", "dtype": "FP32", "shape": [-1, -1]}]
    Schema.auto(IN, OUT).require_fits(free, OUT)


@pytest.mark.parametrize(
    ("inputs", "outputs"),
    [
        ([{"name": "y", "dtype": "FP32", "shape": [-1, 30]}], OUT),
        ([{"name": "x", "dtype": "FP64", "shape": [-1, 30]}], OUT),
        ([{"name": "x", "dtype": "FP32", "shape": [-1, 31]}], OUT),
        ([{"name": "x", "dtype": "FP32", "shape": [-1]}], OUT),
        (IN, OUT[:1]),
        ([*IN, {"name": "extra", "dtype": "FP32", "shape": [1]}], OUT),
    ],
)
def test_a_schema_of_another_model_is_refused(inputs: list[Any], outputs: list[Any]) -> None:
    with pytest.raises(InvalidError, match="model"):
        Schema.auto(IN, OUT).require_fits(inputs, outputs)

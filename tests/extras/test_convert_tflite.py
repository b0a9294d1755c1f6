"""TensorFlow Lite in the converter: `make test-extras`, where the extra ``convert-tflite`` is installed.

The models are of TensorFlow 2.21 (tests/vectors/convert/make.py); each is asked through LiteRT itself.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from strongroom.artifact.inspect import inspect
from strongroom.errors import InvalidError, RejectedError
from strongroom.serve.supervisor.conversion import TFLITE
from tests.serve.converting import Line

pytestmark = pytest.mark.slow
VECTORS = Path(__file__).parents[1] / "vectors"


@pytest.fixture(scope="module")
def line() -> Iterator[Line]:
    with Line(TFLITE) as opened:
        yield opened


def _model(name: str) -> bytes:
    return (VECTORS / "convert" / f"{name}.tflite").read_bytes()


@pytest.mark.parametrize("name", ["pictures", "pictures_float16", "pictures_one", "encoder"])
def test_a_model_is_converted_and_may_be_served(line: Line, name: str) -> None:
    content, facts = line.convert(_model(name), rows=16)
    assert float(facts["relative"]) < 1e-5
    assert facts["rows"] == (8 if name.endswith("one") else 16)
    inspection = inspect({"model.onnx": (lambda offset, size: content[offset : offset + size], len(content))})
    assert inspection.servable
    assert inspection.inputs[0].shape[0] == (1 if name.endswith("one") else -1)


def test_a_model_of_whole_numbers_differs_by_their_steps_and_only_who_accepts_that_gets_it(
    line: Line,
) -> None:
    with pytest.raises(RejectedError, match="differs"):
        line.convert(_model("pictures_int8"), rows=16)
    _, facts = line.convert(_model("pictures_int8"), rows=16, max_error=0.2)
    assert float(facts["absolute"]) <= 3.0
    assert facts["bound"] == "2.000e-01"


@pytest.mark.parametrize(
    ("name", "words"),
    [("flex", "custom|type"), ("flex_file", "custom|type"), ("while", "call one another")],
)
def test_what_is_not_converted_is_named(line: Line, name: str, words: str) -> None:
    with pytest.raises((InvalidError, RejectedError), match=words):
        line.convert((VECTORS / "tensorflow" / f"{name}.tflite").read_bytes())


@pytest.mark.parametrize("attack", ["cut", "offset", "huge shape"])
def test_a_malformed_model_is_refused_before_litert_sees_it(line: Line, attack: str) -> None:
    data = bytearray(_model("encoder"))
    if attack == "cut":
        del data[len(data) // 2 :]
    elif attack == "offset":
        data[0:4] = (0x7FFFFFF0).to_bytes(4, "little")
    else:
        shape = b"".join(size.to_bytes(4, "little", signed=True) for size in (1, 5, 4))
        data = data.replace(shape, (2**31 - 1).to_bytes(4, "little") * 3)
    with pytest.raises((RejectedError, InvalidError)):
        line.convert(bytes(data))
    line.convert(_model("encoder"), rows=2)

"""TensorFlow Lite models as ONNX: LiteRT itself answers for the original, torch rebuilds it by operator."""

import contextlib
import io
from collections.abc import Mapping
from importlib import metadata
from typing import Any

import numpy as np
import torch
from ai_edge_litert import interpreter as litert

from strongroom.artifact.formats import Format, identify
from strongroom.errors import InvalidError, RejectedError, StrongroomError, shorten
from strongroom.serve.converter import nhwc, traced
from strongroom.serve.converter.tensors import Original, Slot, draw, parse_given
from strongroom.serve.converter.tflite_graph import CUSTOM, Graph, Tensor, read_graph
from strongroom.serve.converter.tflite_operations import OPERATIONS
from strongroom.serve.converter.traced import Loaded, first_line, quiet
from strongroom.serve.converter.wish import Wish

_LIBRARIES = ("ai-edge-litert", "torch", "onnx", "onnxruntime", "numpy")
_versions: dict[str, str] = {}
BELOW_QUANTIZED = 256
_NO_DELEGATES = litert.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
"""A delegate starts threads and writes machine code."""

Array = np.ndarray[Any, Any]


class _Asked:
    """The original, as the runtime that it was made for answers."""

    def __init__(self, content: bytes) -> None:
        self._interpreter = litert.Interpreter(
            model_content=content, num_threads=1, experimental_op_resolver_type=_NO_DELEGATES
        )

    def __call__(self, *inputs: Any) -> list[Any]:
        taken = self._interpreter.get_input_details()
        for one, value in zip(taken, inputs, strict=True):
            self._interpreter.resize_tensor_input(one["index"], list(value.shape))
        self._interpreter.allocate_tensors()
        for one, value in zip(taken, inputs, strict=True):
            self._interpreter.set_tensor(one["index"], value.numpy())
        self._interpreter.invoke()
        return [
            torch.from_numpy(self._interpreter.get_tensor(one["index"]).copy())
            for one in self._interpreter.get_output_details()
        ]


class _Rebuilt(torch.nn.Module):  # type: ignore[misc]  # torch comes with an extra
    """The same operators, which an exporter can follow. Quantized tensors are real numbers on their grid."""

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self.graph = graph
        self.constants = {
            number: _constant(tensor)
            for number, tensor in enumerate(graph.tensors)
            if tensor.constant is not None
        }

    def forward(self, *inputs: Any) -> Any:
        values: dict[int, Any] = dict(self.constants)
        for number, value in zip(self.graph.inputs, inputs, strict=True):
            values[number] = _to_real(value, self.graph.tensors[number])
        for operator in self.graph.operators:
            given = [values[number] for number in operator.inputs if number >= 0]
            answer = OPERATIONS[operator.code](operator, given)
            answers = answer if isinstance(answer, tuple) else (answer,)
            for number, value in zip(operator.outputs, answers, strict=True):
                values[number] = _on_grid(value, self.graph.tensors[number])
        return tuple(_to_stored(values[number], self.graph.tensors[number]) for number in self.graph.outputs)


def _constant(tensor: Tensor) -> Any:
    constant = tensor.constant
    if constant is not None and tensor.grid is None and nhwc.may_be_sizes(constant):
        return constant.tolist()
    value = torch.from_numpy(np.array(tensor.constant))
    return value if tensor.grid is None else _to_real(value, tensor)


def _spread(tensor: Tensor) -> tuple[Any, Any]:
    assert tensor.grid is not None  # noqa: S101 - callers asked
    scales, zeros = tensor.grid.spread(len(tensor.shape))
    return torch.from_numpy(scales.copy()), torch.from_numpy(zeros.astype(np.float32))


def _to_real(value: Any, tensor: Tensor) -> Any:
    if tensor.grid is None:
        return value
    scales, zeros = _spread(tensor)
    return (value.to(torch.float32) - zeros) * scales


def _whole(value: Any, tensor: Tensor) -> Any:
    scales, zeros = _spread(tensor)
    bounds = np.iinfo(tensor.dtype)
    return torch.clamp(torch.round(value / scales) + zeros, bounds.min, bounds.max)


def _on_grid(value: Any, tensor: Tensor) -> Any:
    if tensor.grid is None or not isinstance(value, torch.Tensor) or not value.is_floating_point():
        return value
    scales, zeros = _spread(tensor)
    return (_whole(value, tensor) - zeros) * scales


def _to_stored(value: Any, tensor: Tensor) -> Any:
    if tensor.grid is None:
        return value
    return _whole(value, tensor).to(torch.from_numpy(np.zeros(1, tensor.dtype)).dtype)


def warm_up() -> None:
    """Do everything once, so that nothing is imported when it can no longer be."""
    traced.prepare()
    for name in _LIBRARIES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            _versions[name] = metadata.version(name)
    from strongroom.serve.converter.tflite_rehearsal import ORIGINAL

    request = {"rows": 4, "seed": 1, "features": None, "max_error": None, "entry": None}
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()), quiet():
        convert(ORIGINAL, {}, request)


def convert(
    content: bytes, given: Mapping[str, bytes], request: dict[str, Any]
) -> tuple[bytes, dict[str, Any]]:
    """Return the ONNX model, and what is to be known of it as a JSON object.

    Raises:
        RejectedError: the original is hostile or malformed, or the converted model answers otherwise.
        InvalidError: it cannot be converted here; the message says what stands in the way.
    """
    wish = Wish.parse(request)
    if "module" in given:
        raise InvalidError("original: is no state that a module belongs to", hint="leave --module out")
    found = identify(lambda offset, size: content[offset : offset + size], len(content))
    if found is not Format.TFLITE:
        raise InvalidError(
            f"original: is {found}, which is not converted", hint="docs/convert.md lists what is"
        )
    graph = read_graph(content)
    _require_convertible(graph)
    slots = [
        _slot(graph.tensors[number], index, len(graph.inputs)) for index, number in enumerate(graph.inputs)
    ]
    rows = {graph.tensors[number].shape[0] for number in graph.inputs}
    fixed = None if rows == {-1} else max(rows)
    data = given.get("inputs")
    inputs = parse_given(slots, data, fixed) if data is not None else draw(slots, wish, fixed)
    told = Original(found, "TensorFlow Lite", _versions, fixed)
    return traced.convert_loaded(
        Loaded(_ask_of(content), _Rebuilt(graph).eval(), told, by_shapes=True), inputs, wish
    )


def _require_convertible(graph: Graph) -> None:
    missing = sorted({operator.code for operator in graph.operators} - OPERATIONS.keys())
    if CUSTOM in missing:
        raise InvalidError("original: has custom operators, which are not converted")
    if missing:
        names = ", ".join(str(code) for code in missing[:8])
        raise InvalidError(
            f"original: has operators that are not converted, by number in TensorFlow Lite: {names}",
            hint="docs/convert.md lists those that are",
        )
    if any(not graph.tensors[number].shape for number in graph.inputs):
        raise InvalidError("original: takes a single number, not rows")


def _slot(tensor: Tensor, index: int, count: int) -> Slot:
    shape = tuple(extent if extent >= 0 else None for extent in tensor.shape[1:])
    below = None if tensor.dtype.kind == "f" else min(int(np.iinfo(tensor.dtype).max), BELOW_QUANTIZED)
    is_quantized = tensor.grid is not None
    return Slot(
        "input" if count == 1 else f"input_{index}", tensor.dtype, shape, below if is_quantized else None
    )


def _ask_of(content: bytes) -> _Asked:
    try:
        return _Asked(content)
    except StrongroomError:
        raise
    except Exception as error:
        raise RejectedError(f"original: LiteRT refuses it: {shorten(first_line(error), 200)}") from None

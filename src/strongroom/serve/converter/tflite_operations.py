"""The operators of TensorFlow Lite that are converted, by number: what each computes, with torch."""

from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional

from strongroom.errors import InvalidError
from strongroom.serve.converter import nhwc
from strongroom.serve.converter.tflite_graph import Operator

_FUSED = ("", "relu", "relu1", "relu6", "tanh")
_PADDING = (nhwc.SAME, nhwc.VALID)
_DTYPES = {
    0: torch.float32, 1: torch.float16, 2: torch.int32, 3: torch.uint8, 4: torch.int64, 6: torch.bool,
    7: torch.int16, 9: torch.int8,
}  # fmt: skip

Computes = Callable[[Operator, list[Any]], Any]


def fused(x: Any, number: int) -> Any:
    if not 0 <= number < len(_FUSED):
        raise InvalidError("original: has an activation that is not converted")
    return nhwc.ACTIVATIONS[_FUSED[number]](x)


def _padding(op: Operator) -> str:
    return _PADDING[op.number(0, 1) & 1]


def _strides(op: Operator) -> tuple[int, int]:
    return op.number(2), op.number(1)


def _convolution(op: Operator, x: list[Any]) -> Any:
    weights = x[1].permute(0, 3, 1, 2)
    groups = int(x[0].shape[3]) // int(weights.shape[1])
    dilations = op.number(5, default=1), op.number(4, default=1)
    return fused(
        nhwc.convolve(x[0], weights, _bias(x), _strides(op), _padding(op), dilations, groups), op.number(3, 1)
    )


def _depthwise(op: Operator, x: list[Any]) -> Any:
    weights = x[1].permute(3, 0, 1, 2)
    dilations = op.number(6, default=1), op.number(5, default=1)
    groups = int(x[0].shape[3])
    return fused(
        nhwc.convolve(x[0], weights, _bias(x), _strides(op), _padding(op), dilations, groups), op.number(4, 1)
    )


def _bias(x: list[Any]) -> Any:
    return x[2] if len(x) > 2 else None


def _dense(op: Operator, x: list[Any]) -> Any:
    if op.number(1, 1):
        raise InvalidError("original: keeps weights shuffled, which is not converted")
    value = x[0] if op.number(2, 1) else x[0].reshape(-1, x[1].shape[1])
    return fused(functional.linear(value, x[1], _bias(x)), op.number(0, 1))


def _transpose_convolution(op: Operator, x: list[Any]) -> Any:
    size = nhwc.sizes_of(x[0])[1:3]
    weights = x[1].permute(3, 0, 1, 2)
    bias = x[3] if len(x) > 3 else None
    return fused(
        nhwc.transpose_convolve(x[2], weights, bias, size, _strides(op), _padding(op)), op.number(3, 1)
    )


def _pool(function: Callable[..., Any]) -> Computes:
    return lambda op, x: fused(
        function(x[0], (op.number(4), op.number(3)), _strides(op), _padding(op)), op.number(5, 1)
    )


def _arithmetic(function: Callable[[Any, Any], Any]) -> Computes:
    def compute(op: Operator, x: list[Any]) -> Any:
        made = nhwc.pointwise(function, x[0], x[1])
        return made if nhwc.is_size(made) else fused(made, op.number(0, 1))

    return compute


def _plain(function: Callable[..., Any]) -> Computes:
    return lambda op, x: function(*x)


def _reshape(op: Operator, x: list[Any]) -> Any:
    return x[0].reshape(*(nhwc.sizes_of(x[1]) if len(x) > 1 else op.numbers(0)))


def _concatenate(op: Operator, x: list[Any]) -> Any:
    if any(map(nhwc.is_size, x)):
        return [extent for value in x for extent in nhwc.sizes_of(value)]
    return fused(torch.cat(x, op.number(0)), op.number(1, 1))


def _pad(x: list[Any]) -> Any:
    pairs = nhwc.sizes_of(x[1])
    pads = [extent for before, behind in reversed(pairs) for extent in (before, behind)]
    return functional.pad(x[0], pads, value=float(x[2]) if len(x) > 2 else 0.0)


def _reduce(kind: str) -> Computes:
    return lambda op, x: nhwc.reduce(kind, x[0], nhwc.sizes_of(x[1]), bool(op.number(0, 1)))


def _squeeze(op: Operator, x: list[Any]) -> Any:
    axes = op.numbers(0) or [axis for axis, extent in enumerate(x[0].shape) if axis and extent == 1]
    return x[0].squeeze(tuple(axes))


def _slice(x: list[Any]) -> Any:
    starts, sizes = nhwc.sizes_of(x[1]), nhwc.sizes_of(x[2])
    return x[0][
        tuple(slice(a, None if size == -1 else a + size) for a, size in zip(starts, sizes, strict=True))
    ]


def _strided_slice(op: Operator, x: list[Any]) -> Any:
    begin, end, strides = (nhwc.sizes_of(value) for value in x[1:4])
    if op.number(5, 1):
        raise InvalidError("original: slices by offsets, which is not converted")
    masks = (op.number(0), op.number(1), op.number(2), op.number(3), op.number(4))
    return nhwc.slice_strided(x[0], begin, end, strides, masks)


def _split(op: Operator, x: list[Any]) -> Any:
    return torch.chunk(x[1], max(op.number(0), 1), nhwc.sizes_of(x[0])[0])


def _pack(op: Operator, x: list[Any]) -> Any:
    if any(map(nhwc.is_size, x)):
        return [nhwc.sizes_of(value)[0] for value in x]
    return torch.stack(x, op.number(1))


def _gather(op: Operator, x: list[Any]) -> Any:
    if op.number(1):
        raise InvalidError("original: gathers by rows, which is not converted")
    return nhwc.gather(x[0], x[1], op.number(0))


def _softmax(op: Operator, x: list[Any]) -> Any:
    return torch.softmax(x[0] * op.real(0, 1.0), -1)


def _cast(op: Operator, x: list[Any]) -> Any:
    wanted = _DTYPES.get(op.number(1, 1))
    if wanted is None:
        raise InvalidError("original: casts to a type that is not converted")
    return x[0] if nhwc.is_size(x[0]) else x[0].to(wanted)


def _resize(mode: str, align: int, half: int) -> Computes:
    return lambda op, x: nhwc.resize(
        x[0], nhwc.sizes_of(x[1]), mode, bool(op.number(align, 1)), bool(op.number(half, 1))
    )


def _normalized(op: Operator, x: list[Any]) -> Any:
    return fused(functional.normalize(x[0], dim=-1, eps=1e-6), op.number(0, 1))


OPERATIONS: dict[int, Computes] = {
    0: _arithmetic(lambda a, b: a + b),
    1: _pool(nhwc.average_pool),
    2: _concatenate,
    3: _convolution,
    4: _depthwise,
    6: _plain(lambda x: x.float()),
    8: _plain(torch.floor),
    9: _dense,
    11: _normalized,
    14: _plain(torch.sigmoid),
    17: _pool(nhwc.max_pool),
    18: _arithmetic(lambda a, b: a * b),
    19: _plain(torch.relu),
    20: _plain(nhwc.ACTIVATIONS["relu1"]),
    21: _plain(nhwc.ACTIVATIONS["relu6"]),
    22: _reshape,
    23: _resize("bilinear", 2, 3),
    25: _softmax,
    28: _plain(torch.tanh),
    34: lambda op, x: _pad(x),
    36: _gather,
    39: _plain(lambda x, order: x.permute(*nhwc.sizes_of(order))),
    40: _reduce("mean"),
    41: _arithmetic(lambda a, b: a - b),
    42: _arithmetic(lambda a, b: a / b),
    43: _squeeze,
    45: _strided_slice,
    47: _plain(torch.exp),
    49: _split,
    50: _plain(lambda x: torch.log_softmax(x, -1)),
    53: _cast,
    54: _plain(lambda x, slope: torch.where(x >= 0, x, x * slope)),
    55: _plain(torch.maximum),
    57: _plain(torch.minimum),
    59: _plain(torch.neg),
    60: lambda op, x: _pad(x),
    65: lambda op, x: _slice(x),
    66: _plain(torch.sin),
    67: _transpose_convolution,
    70: _plain(lambda x, axis: x.unsqueeze(nhwc.sizes_of(axis)[0])),
    73: _plain(torch.log),
    74: _reduce("sum"),
    75: _plain(torch.sqrt),
    76: _plain(torch.rsqrt),
    77: _plain(lambda x: list(x.shape)),
    78: _plain(torch.pow),
    81: _reduce("prod"),
    82: _reduce("max"),
    83: _pack,
    88: lambda op, x: torch.unbind(x[0], op.number(1)),
    89: _reduce("min"),
    92: _plain(torch.square),
    97: _resize("nearest", 0, 1),
    98: lambda op, x: functional.leaky_relu(x[0], op.real(0)),
    99: _plain(lambda a, b: torch.square(a - b)),
    101: _plain(torch.abs),
    104: _plain(torch.ceil),
    108: _plain(torch.cos),
    111: _plain(functional.elu),
    114: _plain(lambda x: x),
    117: _plain(lambda x: x * torch.clamp(x + 3, 0, 6) / 6),
    126: lambda op, x: nhwc.batched_matmul(x[0], x[1], bool(op.number(0, 1)), bool(op.number(1, 1))),
    150: lambda op, x: functional.gelu(x[0], approximate="tanh" if op.number(0, 1) else "none"),
}
"""By BuiltinOperator of schema.fbs."""

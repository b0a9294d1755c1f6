"""What TensorFlow computes, said with torch: rows first, channels last, sizes that may be symbols."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from strongroom.errors import InvalidError

SAME, VALID = "SAME", "VALID"
MAX_SIZES = 64
Sizes = list[Any]
"""A small vector of whole numbers that are known, or symbols, while a model is exported."""

ACTIVATIONS: dict[str, Callable[[Any], Any]] = {
    "": lambda x: x,
    "relu": torch.relu,
    "relu1": lambda x: torch.clamp(x, -1, 1),
    "relu6": lambda x: torch.clamp(x, 0, 6),
    "tanh": torch.tanh,
}


def first(x: Any) -> Any:
    """Channels to where torch wants them."""
    return x.permute(0, 3, 1, 2)


def last(x: Any) -> Any:
    return x.permute(0, 2, 3, 1)


def pad_same(
    x: Any, kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int], value: float = 0.0
) -> Any:
    """Pad (N, C, H, W) as TensorFlow does for SAME: the odd cell goes behind."""
    pads: list[int] = []
    for extent, size, stride, dilation in zip(x.shape[2:], kernel, strides, dilations, strict=True):
        total = max(
            ((int(extent) + stride - 1) // stride - 1) * stride + (size - 1) * dilation + 1 - int(extent), 0
        )
        pads = [total // 2, total - total // 2, *pads]
    return functional.pad(x, pads, value=value) if any(pads) else x


def convolve(
    x: Any,
    weights: Any,
    bias: Any,
    strides: Sequence[int],
    padding: str,
    dilations: Sequence[int],
    groups: int = 1,
) -> Any:
    """``weights`` as torch has them: (out, in of a group, H, W)."""
    x = first(x)
    if padding == SAME:
        x = pad_same(x, weights.shape[2:], strides, dilations)
    return last(functional.conv2d(x, weights, bias, tuple(strides), 0, tuple(dilations), groups))


def max_pool(x: Any, kernel: Sequence[int], strides: Sequence[int], padding: str) -> Any:
    x = first(x)
    if padding == SAME:
        x = pad_same(x, kernel, strides, (1, 1), float("-inf"))
    return last(functional.max_pool2d(x, tuple(kernel), tuple(strides)))


def average_pool(x: Any, kernel: Sequence[int], strides: Sequence[int], padding: str) -> Any:
    """What was padded is not counted."""
    x = first(x)
    if padding == VALID:
        return last(functional.avg_pool2d(x, tuple(kernel), tuple(strides)))
    counted = pad_same(torch.ones_like(x[:1, :1]), kernel, strides, (1, 1))
    x = pad_same(x, kernel, strides, (1, 1))
    pooled = functional.avg_pool2d(x, tuple(kernel), tuple(strides))
    return last(pooled / functional.avg_pool2d(counted, tuple(kernel), tuple(strides)))


def transpose_convolve(
    x: Any, weights: Any, bias: Any, size: Sequence[int], strides: Sequence[int], padding: str
) -> Any:
    """``weights``: (in, out, H, W). ``size``: height and width that come out."""
    full = functional.conv_transpose2d(first(x), weights, None, tuple(strides))
    cut = []
    for extent, wanted in zip(full.shape[2:], size, strict=True):
        spare = max(int(extent) - int(wanted), 0) if padding == SAME else 0
        cut.append((spare // 2, int(wanted)))
    (top, height), (left, width) = cut
    behind = (0, max(left + width - int(full.shape[3]), 0), 0, max(top + height - int(full.shape[2]), 0))
    full = functional.pad(full, behind) if any(behind) else full
    full = last(full[:, :, top : top + height, left : left + width])
    return full if bias is None else full + bias


def resize(x: Any, size: Sequence[int], mode: str, align_corners: bool, half_pixel_centers: bool) -> Any:
    if mode == "bilinear" and (align_corners or half_pixel_centers):
        corners = align_corners
        return last(functional.interpolate(first(x), tuple(size), mode="bilinear", align_corners=corners))
    if mode == "nearest" and not align_corners:
        kind = "nearest-exact" if half_pixel_centers else "nearest"
        return last(functional.interpolate(first(x), tuple(size), mode=kind))
    raise InvalidError("original: resizes images in a way that ONNX has no word for here")


def slice_strided(
    x: Any,
    begin: Sequence[int],
    end: Sequence[int],
    strides: Sequence[int],
    masks: tuple[int, int, int, int, int],
) -> Any:
    """As numpy slices. ``masks``: of begin, end, ellipsis, new axis, shrunk axis."""
    from_start, to_end, ellipsis, new, shrunk = masks
    picked: list[Any] = []
    for index, (start, stop, step) in enumerate(zip(begin, end, strides, strict=True)):
        bit = 1 << index
        if ellipsis & bit:
            picked.append(...)
        elif new & bit:
            picked.append(None)
        elif shrunk & bit:
            picked.append(start)
        else:
            picked.append(slice(None if from_start & bit else start, None if to_end & bit else stop, step))
    if isinstance(x, list):
        if len(picked) != 1:
            raise InvalidError("original: computes with sizes in a way that is not converted")
        return x[picked[0]]
    if any(isinstance(part, slice) and (part.step or 1) < 0 for part in picked):
        raise InvalidError("original: slices backwards, which is not converted")
    return x[tuple(picked)]


def gather(x: Any, indices: Any, axis: int) -> Any:
    if isinstance(x, list):
        picked = [x[index] for index in sizes_of(indices)]
        return picked if isinstance(indices, list) else picked[0]
    axis %= x.ndim
    indices = tensor_of(indices)
    flat = torch.index_select(x, axis, indices.reshape(-1).long())
    return flat.reshape(*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])


def batched_matmul(x: Any, y: Any, adjoint_x: bool, adjoint_y: bool) -> Any:
    x = x.transpose(-1, -2) if adjoint_x else x
    return torch.matmul(x, y.transpose(-1, -2) if adjoint_y else y)


def reduce(kind: str, x: Any, axes: Sequence[int], keep: bool) -> Any:
    if isinstance(x, list):
        if kind != "prod":
            raise InvalidError("original: computes with sizes in a way that is not converted")
        product: Any = 1
        for extent in x:
            product = product * extent
        return product
    dimensions = tuple(int(axis) % x.ndim for axis in axes)
    if not dimensions:
        return x
    match kind:
        case "mean":
            return x.mean(dimensions, keep)
        case "sum":
            return x.sum(dimensions, keep)
        case "max":
            return torch.amax(x, dimensions, keep)
        case "min":
            return torch.amin(x, dimensions, keep)
    for axis in sorted(dimensions, reverse=True):
        x = x.prod(axis, keep)
    return x


def may_be_sizes(constant: np.ndarray[Any, Any]) -> bool:
    """Whether a constant is kept as Python numbers, which an exporter sees through."""
    return constant.dtype.kind == "i" and constant.dtype.itemsize >= 4 and constant.size <= MAX_SIZES


def sizes_of(x: Any) -> Sizes:
    """A number or vector that is known while a model is exported, as a vector.

    Raises:
        InvalidError: it is not known before the model has computed it.
    """
    if isinstance(x, torch.Tensor):
        raise InvalidError("original: has shapes that depend on what it is given, which is not converted")
    return x if isinstance(x, list) else [x]


def is_size(x: Any) -> bool:
    """Whether it is a number or vector that is known while a model is exported."""
    return not isinstance(x, torch.Tensor)


def tensor_of(x: Any) -> Any:
    """A tensor of what may be sizes."""
    return x if isinstance(x, torch.Tensor) else torch.tensor(x, dtype=torch.int64)


def pointwise(function: Callable[[Any, Any], Any], x: Any, y: Any) -> Any:
    """Compute with two tensors, or with sizes."""
    if not (is_size(x) and is_size(y)):
        return function(tensor_of(x), tensor_of(y))
    one, other = sizes_of(x), sizes_of(y)
    length = max(len(one), len(other))
    made = [function(one[i % len(one)], other[i % len(other)]) for i in range(length)]
    return made if isinstance(x, list) or isinstance(y, list) else made[0]

"""Check a safetensors file as its reference implementation does, and more strictly: no gap, no spare byte.

Format: https://github.com/huggingface/safetensors#format
"""

import json
import re
from math import prod
from typing import Any

from strongroom.artifact.formats import MAX_SAFETENSORS_HEADER
from strongroom.artifact.protobuf import ReadAt
from strongroom.artifact.tensors import MAX_ELEMENTS, MAX_RANK
from strongroom.errors import RejectedError, shorten

MAX_TENSORS = 1_000_000
MAX_METADATA = 1024

_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
    "I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32, "I64": 64, "U64": 64,
    "F64": 64, "C64": 64, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
}  # fmt: skip
_KEYS = {"dtype", "shape", "data_offsets"}
_PADDED = re.compile(rb"\{.*\} *", re.DOTALL)


class LayoutError(RejectedError):
    """Tensors that overlap, leave a gap or do not end where the file does."""


def read_safetensors(read_at: ReadAt, size_bytes: int, path: str) -> int:
    """Return the number of tensors. Raises RejectedError as `read_header` does."""
    return read_header(read_at, size_bytes, path)[0]


def read_forms(read_at: ReadAt, size_bytes: int, path: str) -> dict[str, str]:
    """Return type and shape of each tensor. Raises RejectedError as `read_header` does."""
    read_header(read_at, size_bytes, path)
    header = _parse_header(read_at(8, int.from_bytes(read_at(0, 8), "little")), path)
    return {
        name: f"{tensor['dtype']}[{','.join(map(str, tensor['shape']))}]"
        for name, tensor in header.items()
        if name != "__metadata__"
    }


def read_header(read_at: ReadAt, size_bytes: int, path: str) -> tuple[int, dict[str, str]]:
    """Return the number of tensors, and the metadata.

    Raises:
        RejectedError: the header is not one JSON object of known fields, a name stands twice, or the tensors
            do not fill the rest of the file exactly.
    """
    what = f"entry {shorten(path)}"
    head = read_at(0, 8)
    size = int.from_bytes(head, "little")
    if len(head) < 8 or not 2 <= size <= min(size_bytes - 8, MAX_SAFETENSORS_HEADER):
        raise RejectedError(f"{what}: the safetensors header is cut or too long")
    header = _parse_header(read_at(8, size), what)
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or len(metadata) > MAX_METADATA:
        raise RejectedError(f"{what}: the safetensors metadata is not a small object")
    if not all(isinstance(value, str) for value in metadata.values()):
        raise RejectedError(f"{what}: a safetensors metadata value is not text")
    if len(header) > MAX_TENSORS:
        raise RejectedError(f"{what}: more than {MAX_TENSORS} tensors")
    spans = sorted(_span(name, tensor, what) for name, tensor in header.items())
    end = 0
    for start, stop in spans:
        if start != end:
            raise LayoutError(f"{what}: safetensors data overlaps or has a gap at {end}")
        end = stop
    if end != size_bytes - 8 - size:
        raise LayoutError(f"{what}: the file does not end where its last tensor does")
    return len(header), metadata


def _parse_header(data: bytes, what: str) -> dict[str, Any]:
    if _PADDED.fullmatch(data) is None:
        raise RejectedError(f"{what}: the safetensors header is not one JSON object")
    try:
        header = json.loads(data, object_pairs_hook=_unique)
    except (ValueError, RecursionError):
        raise RejectedError(f"{what}: the safetensors header is not JSON, or names something twice") from None
    return header if isinstance(header, dict) else {}


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError
    return found


def _span(name: str, tensor: object, what: str) -> tuple[int, int]:
    where = f"{what}: tensor {shorten(name)}"
    if not isinstance(tensor, dict) or tensor.keys() != _KEYS:
        raise RejectedError(f"{where} has not exactly dtype, shape and data_offsets")
    bits = _BITS.get(tensor["dtype"]) if isinstance(tensor["dtype"], str) else None
    shape, offsets = tensor["shape"], tensor["data_offsets"]
    if bits is None:
        raise RejectedError(f"{where} is of the unknown type {shorten(tensor['dtype'])}")
    if not _are_counts(shape) or len(shape) > MAX_RANK or prod(shape) > MAX_ELEMENTS:
        raise RejectedError(f"{where} has a negative or overflowing shape")
    if not _are_counts(offsets) or len(offsets) != 2:
        raise RejectedError(f"{where} has offsets that are not two positions")
    start, end = offsets
    if end - start != -(-prod(shape) * bits // 8):
        raise RejectedError(f"{where} has other data than its shape says")
    return start, end


def _are_counts(value: object) -> bool:
    return isinstance(value, list) and all(type(each) is int and 0 <= each <= 2**48 for each in value)

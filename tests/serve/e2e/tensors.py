"""The protocol's two encodings of tensors, written again so that the product does not judge itself."""

import json
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
_TYPES = {
    "bool": "BOOL",
    "float16": "FP16",
    "float32": "FP32",
    "float64": "FP64",
    "object": "BYTES",
    **{f"{sign}int{bits}": f"{sign.upper()}INT{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)},
}
_NUMPY = {name: np.dtype(kind) for kind, name in _TYPES.items()}


def to_json_inputs(arrays: Mapping[str, Array]) -> list[dict[str, Any]]:
    """Tensors with their data as nested lists."""
    return [
        {
            "name": name,
            "shape": list(array.shape),
            "datatype": _TYPES[array.dtype.name],
            "data": array.tolist(),
        }
        for name, array in arrays.items()
    ]


def to_binary_request(arrays: Mapping[str, Array]) -> tuple[bytes, int]:
    """Return the body and the length of the JSON in front of it; all outputs are wanted binary, too."""
    inputs, tail = [], []
    for name, array in arrays.items():
        raw = _pack(array)
        tail.append(raw)
        inputs.append(
            {
                "name": name,
                "shape": list(array.shape),
                "datatype": _TYPES[array.dtype.name],
                "parameters": {"binary_data_size": len(raw)},
            }
        )
    head = json.dumps({"inputs": inputs, "parameters": {"binary_data_output": True}}).encode()
    return b"".join([head, *tail]), len(head)


def from_json_outputs(answer: Mapping[str, Any]) -> dict[str, Array]:
    return {
        output["name"]: np.array(output["data"], dtype=_NUMPY[output["datatype"]]).reshape(output["shape"])
        for output in answer["outputs"]
    }


def from_binary_answer(body: bytes, json_length: int) -> dict[str, Array]:
    found = {}
    at = json_length
    for output in json.loads(body[:json_length])["outputs"]:
        size = output["parameters"]["binary_data_size"]
        raw = body[at : at + size]
        at += size
        kind = _NUMPY[output["datatype"]]
        flat = _unpack(raw) if kind.hasobject else np.frombuffer(raw, kind)
        found[output["name"]] = flat.reshape(output["shape"])
    assert at == len(body)
    return found


def _pack(array: Array) -> bytes:
    if array.dtype != object:
        return array.tobytes()
    words = [word.encode() for word in array.ravel()]
    return b"".join(struct.pack("<I", len(word)) + word for word in words)


def _unpack(raw: bytes) -> Array:
    words, at = [], 0
    while at < len(raw):
        (size,) = struct.unpack_from("<I", raw, at)
        words.append(raw[at + 4 : at + 4 + size].decode())
        at += 4 + size
    return np.array(words, dtype=object)

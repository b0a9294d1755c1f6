"""What an inspection knows of a model's inputs, outputs and stored tensors."""

from dataclasses import dataclass
from enum import StrEnum

MAX_ELEMENTS = 2**40
MAX_RANK = 64


class Kind(StrEnum):
    """How a value of the model reaches a caller."""

    TENSOR = "tensor"
    CLASS_SCORES = "class-scores"
    """A sequence of maps from class to score, as ZipMap of scikit-learn exports makes: told and served as an
    FP32 matrix, one row a map, columns by ascending class."""
    OTHER = "other"
    """No form in the Open Inference Protocol: other maps and sequences, sparse, optional, complex numbers."""


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One input or output: name, Open Inference Protocol type, shape with -1 for a free dimension."""

    name: str
    dtype: str
    """Empty for `Kind.OTHER`."""
    shape: tuple[int, ...]
    kind: Kind = Kind.TENSOR
    detail: str = ""
    """What it is if it is not a tensor, in ONNX's words: ``seq(map(int64,float))``."""


@dataclass(frozen=True, slots=True)
class ElementType:
    """A type of ONNX tensor elements. ``bits`` is 0 for strings, ``wire`` empty if no caller can send it."""

    name: str
    bits: int
    wire: str = ""


ELEMENT_TYPES = {
    # onnx.proto, TensorProto.DataType, of onnx 1.23.2
    1: ElementType("float", 32, "FP32"),
    2: ElementType("uint8", 8, "UINT8"),
    3: ElementType("int8", 8, "INT8"),
    4: ElementType("uint16", 16, "UINT16"),
    5: ElementType("int16", 16, "INT16"),
    6: ElementType("int32", 32, "INT32"),
    7: ElementType("int64", 64, "INT64"),
    8: ElementType("string", 0, "BYTES"),
    9: ElementType("bool", 8, "BOOL"),
    10: ElementType("float16", 16, "FP16"),
    11: ElementType("double", 64, "FP64"),
    12: ElementType("uint32", 32, "UINT32"),
    13: ElementType("uint64", 64, "UINT64"),
    14: ElementType("complex64", 64),
    15: ElementType("complex128", 128),
    16: ElementType("bfloat16", 16, "BF16"),
    17: ElementType("float8e4m3fn", 8),
    18: ElementType("float8e4m3fnuz", 8),
    19: ElementType("float8e5m2", 8),
    20: ElementType("float8e5m2fnuz", 8),
    21: ElementType("uint4", 4),
    22: ElementType("int4", 4),
    23: ElementType("float4e2m1", 4),
    24: ElementType("float8e8m0", 8),
    25: ElementType("uint2", 2),
    26: ElementType("int2", 2),
}

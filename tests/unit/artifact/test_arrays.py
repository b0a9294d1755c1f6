import io
from typing import Any

import numpy as np
import pytest

from strongroom.artifact.arrays import read_array_header
from strongroom.artifact.literals import MAX_LITERAL_DEPTH, parse_literal
from strongroom.errors import RejectedError
from tests.unit.artifact.objects import Octets


def npy(header: str, data: bytes = b"", version: int = 1, length: int | None = None) -> bytes:
    text = header.encode()
    size = len(text) if length is None else length
    return (
        b"\x93NUMPY" + bytes([version, 0]) + size.to_bytes(2 if version == 1 else 4, "little") + text + data
    )


def described(descr: str = "'<f8'", shape: str = "(3,)", order: str = "False", more: str = "") -> str:
    return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, {more}}}      \n"


def saved(array: Any, version: tuple[int, int] | None = None) -> bytes:
    out = io.BytesIO()
    np.lib.format.write_array(out, array, version)
    return out.getvalue()


ARRAYS = [
    np.zeros(3),
    np.zeros((2, 0, 5), "i2"),
    np.array(7, "u1"),
    np.asfortranarray(np.zeros((3, 4), "f4")),
    np.zeros(2, "c16"),
    np.zeros(2, "f2"),
    np.zeros(2, "g"),
    np.zeros(2, "?"),
    np.array(["ä", "bc"]),
    np.array([b"ab"]),
    np.zeros(3, "V7"),
    np.zeros(3, ">i8"),
    np.zeros(3, "M8[ns]"),
    np.zeros(3, "m8[25s]"),
    np.zeros(3, "M8"),
    np.zeros(2, [("a", "<f4", (2, 3)), ("b", [("c", "i1"), ("d", "U3")])]),
    np.zeros(2, [(("title", "name"), "f8")]),
    np.zeros(2, np.dtype([("a", "i1"), ("b", "f8")], align=True)),
    np.zeros(2, [("ü", "f8")]),
]


@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: str(array.dtype))
@pytest.mark.parametrize("version", [None, (2, 0), (3, 0)])
def test_what_numpy_writes_is_read(array: Any, version: tuple[int, int] | None) -> None:
    if version == (2, 0) and "ü" in str(array.dtype):
        version = (3, 0)
    content = saved(array, version)
    header = read_array_header(Octets(content).read_at, len(content))
    assert (header.shape, header.item_bytes) == (array.shape, array.dtype.itemsize)
    assert header.data_bytes == len(content) - header.data_at
    assert not header.has_objects


@pytest.mark.parametrize("dtype", ["O", [("a", "O")], [("a", "f4"), ("b", [("c", "O")])]])
def test_objects_are_seen_at_any_depth(dtype: Any) -> None:
    content = saved(np.zeros(2, dtype))
    assert read_array_header(Octets(content).read_at, len(content)).has_objects


@pytest.mark.parametrize(
    ("attack", "content"),
    [
        ("unknown version", npy(described(), version=4)),
        ("header longer than the file", npy(described(), length=2**16 - 1)),
        ("header of gigabytes", npy(described(), version=2, length=2**32 - 1)),
        ("header longer than any", npy(described() + " " * 2**17, bytes(24), version=2)),
        ("cut", b"\x93NUMPY\x01\x00"),
        ("call", npy(described(shape="__import__('os').system('id')"))),
        ("comprehension", npy(described(shape="[0 for _ in ()]"))),
        ("arithmetic", npy(described(shape="(9**9**9,)"))),
        ("deep", npy(described(shape="(" * 5000 + ")" * 5000))),
        ("other field", npy(described(more="'evil': 1"))),
        ("missing field", npy("{'descr': '<f8', 'shape': (3,)}\n")),
        ("field given twice", npy(described(more="'shape': (4,)"))),
        ("no dictionary", npy("'<f8'\n")),
        ("bytes behind the dictionary", npy(described() + "x")),
        ("bytes behind its end", npy(described().strip() + "\x00" * 20)),
        ("negative shape", npy(described(shape="(-1,)"))),
        ("shape of truths", npy(described(shape="(True,)"))),
        ("shape of a list", npy(described(shape="[3]"))),
        ("product that overflows", npy(described(shape="(4294967296, 4294967296)"))),
        ("product that overflows beside zero", npy(described(shape="(0, 9223372036854775807, 2)"))),
        ("length that overflows", npy(described(shape="(9223372036854775808,)"))),
        ("many dimensions", npy(described(shape="(" + "1," * 65 + ")"))),
        ("order that is no truth", npy(described(order="0"))),
        ("unknown dtype", npy(described("'<x8'"))),
        ("unknown width", npy(described("'<f7'"))),
        ("dtype by name of a class", npy(described("'os.system'"))),
        ("dtype with commas", npy(described("'f8,f8'"))),
        ("dtype of no fields", npy(described("[]"))),
        ("dtype of malformed fields", npy(described("[('a',)]"))),
        ("dtype of huge fields", npy(described("[('a', '<f8', (65536, 65536))]"))),
        ("dtype deep", npy(described("[('a', " * 40 + "'f8'" + ")]" * 40))),
        ("header that is not UTF-8", npy(described(), version=3)[:-3] + b"\xff\xff\n"),
    ],
)
def test_headers_that_lie_are_refused(attack: str, content: bytes) -> None:
    with pytest.raises(RejectedError):
        read_array_header(Octets(content).read_at, len(content))


@pytest.mark.parametrize(
    "text", ["[1, 'a', (), (1,), (1), {'a': True, \"b\": [False, ], }]", " ( 1 , 2 ) \n", "-5", "''"]
)
def test_literals_mean_what_they_mean_to_python(text: str) -> None:
    assert parse_literal(text) == eval(text.strip())  # noqa: S307 - the point of comparison


@pytest.mark.parametrize(
    "text",
    ["", "(", ")", "[1 2]", "{1: 2}", "{'a' 1}", "{'a': 1, 'a': 1}", "'\\n'", "'", "1 1", "a", "[,]", "1.5"],
)
def test_other_text_is_no_literal(text: str) -> None:
    with pytest.raises(RejectedError):
        parse_literal(text)


def test_depth_is_bounded() -> None:
    assert parse_literal("[" * MAX_LITERAL_DEPTH + "]" * MAX_LITERAL_DEPTH)
    with pytest.raises(RejectedError, match="nested"):
        parse_literal("[" * 30 + "]" * 30)

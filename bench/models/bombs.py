"""Small files that ask for large things: each names a size, a count or a depth that no reader can afford."""

import gzip
import io
import zipfile
import zlib
from collections.abc import Callable
from struct import pack

_HUGE = 2**62
_DEPTH = 200_000
_SIGNATURE = b"\x89HDF\r\n\x1a\n"


def _npy(header: str, claimed: int | None = None) -> bytes:
    text = header.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x02\x00" + pack("<I", len(text) if claimed is None else claimed) + text


def _many_members() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for index in range(60_000):
            archive.writestr(zipfile.ZipInfo(f"{index}"), b"")
    return file.getvalue()


def _claimed_members() -> bytes:
    """A directory of 65,535 entries and 4 GiB, in a file of 22 bytes."""
    return b"PK\x05\x06" + pack("<HHHHIIH", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0, 0)


def _inflating(size: int) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(
            "arr_0.npy", _npy("{'descr': '<f8', 'fortran_order': False, 'shape': (8,)}") + bytes(size)
        )
    return file.getvalue()


def _laughing_pickle() -> bytes:
    """A pair of pairs of pairs, thirty times over: a billion elements in 200 bytes."""
    body = b"]q\x000"
    for index in range(30):
        body += (b"h" + bytes([index])) * 2 + b"\x86q" + bytes([index + 1]) + b"0"
    return b"\x80\x02" + body + b"h\x1e."


def _varint(number: int) -> bytes:
    out = b""
    while number > 0x7F:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def _field(number: int, body: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(body)) + body


def _deep_onnx() -> bytes:
    """Graphs within attributes of nodes within graphs."""
    graph = b""
    for _ in range(300):
        graph = _field(1, _field(4, b"If") + _field(5, _field(1, b"then_branch") + _field(6, graph)))
    return b"\x08\x08" + _field(7, graph) + _field(8, b"\x10\x11")


def _onnx_dims() -> bytes:
    tensor = b"\x08" + _varint(2**31) + b"\x08" + _varint(2**33) + b"\x10\x01" + _field(8, b"w")
    return b"\x08\x08" + _field(7, _field(5, tensor) + _field(2, b"g")) + _field(8, b"\x10\x11")


def _gguf(tail: bytes, tensors: int = 0, keys: int = 1) -> bytes:
    return pack("<4sIQQ", b"GGUF", 3, tensors, keys) + tail


def _key(kind: int, value: bytes) -> bytes:
    return pack("<Q", 1) + b"k" + pack("<I", kind) + value


def _safetensors(header: bytes, claimed: int | None = None) -> bytes:
    return pack("<Q", len(header) if claimed is None else claimed) + header


def _hdf5() -> bytes:
    """Version 0; its root is a header of 65,535 messages and 4 GiB that begins where it points to."""
    root = 96
    block = pack("<BBBBBBBBHHI", 0, 0, 0, 0, 0, 8, 8, 0, 4, 16, 0)
    block += pack("<QQQQ", 0, 2**64 - 1, _HUGE, 2**64 - 1) + pack("<QQII16x", 0, root, 0, 0)
    header = pack("<BBHII4x", 1, 0, 0xFFFF, 1, 0xFFFFFFFF) + pack("<HHB3xQQ", 0x10, 16, 0, root, 2**40)
    return (_SIGNATURE + block).ljust(root, b"\0") + header


def _tar() -> bytes:
    size = b"\x80" + _HUGE.to_bytes(11, "big")
    head = b"model".ljust(100, b"\0") + b"0000644\0" + b"0000000\0" * 2 + size + b"0" * 11 + b"\0"
    head = head.ljust(156, b" ") + b"0" + bytes(100) + b"ustar\x0000"
    head = head.ljust(512, b"\0")
    head = head[:148] + b" " * 8 + head[156:]
    return head[:148] + b"%06o\0 " % sum(head) + head[156:] + bytes(1024)


def _entities() -> bytes:
    names = [f'<!ENTITY e{index} "{f"&e{index - 1};" * 10}">' for index in range(1, 20)]
    return (
        '<?xml version="1.0"?><!DOCTYPE PMML [<!ENTITY e0 "ha">' + "".join(names) + "]><PMML>&e19;</PMML>"
    ).encode()


def _aliases() -> bytes:
    lines = ["a0: &a0 [x, x]"]
    lines += [f"a{index}: &a{index} [" + ", ".join([f"*a{index - 1}"] * 9) + "]" for index in range(1, 30)]
    return "\n".join(lines).encode()


_SHAPE = "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000, 1000000, 1000)}"
_RECORD = "{'descr': " + "[('a', " * 400 + "'<f8'" + ")]" * 400 + ", 'fortran_order': False, 'shape': (1,)}"

BOMBS: dict[str, tuple[str, Callable[[], bytes]]] = {
    "NumPy: an array of 10¹⁵ elements": ("shape.npy", lambda: _npy(_SHAPE)),
    "NumPy: a header of 4 GiB": ("header.npy", lambda: _npy(_SHAPE, 2**32 - 1)),
    "NumPy: records nested 400 deep": ("record.npy", lambda: _npy(_RECORD)),
    "safetensors: a header of 2⁶² bytes": ("w.safetensors", lambda: _safetensors(b"{}" + bytes(64), _HUGE)),
    "safetensors: a header nested 200,000 deep": (
        "deep.safetensors",
        lambda: _safetensors(b'{"a":' * _DEPTH + b"}" * _DEPTH),
    ),
    "GGUF: 2⁶² tensors and keys": ("counts.gguf", lambda: _gguf(b"", _HUGE, _HUGE)),
    "GGUF: an array of 2⁶² texts": ("array.gguf", lambda: _gguf(_key(9, pack("<IQ", 8, _HUGE)))),
    "GGUF: a text of 2⁶² bytes": ("text.gguf", lambda: _gguf(_key(8, pack("<Q", _HUGE)))),
    "ONNX: a field of 2⁶² bytes": (
        "length.onnx",
        lambda: b"\x08\x08\x12\x04test" + b"\x3a" + _varint(_HUGE) + bytes(64),
    ),
    "ONNX: graphs nested 300 deep": ("deep.onnx", _deep_onnx),
    "ONNX: a tensor of 2⁶⁴ elements": ("dims.onnx", _onnx_dims),
    "ZIP: a directory of 4 GiB": ("claims.zip", _claimed_members),
    "ZIP: 60,000 members": ("members.zip", _many_members),
    "ZIP: 200 MiB in 200 KiB": ("inflates.npz", lambda: _inflating(200 * 2**20)),
    "gzip: 1 GiB in 1 MiB": ("inflates.pkl.gz", lambda: gzip.compress(bytes(2**30), 9)),
    "zlib: 200 MiB in 200 KiB": ("inflates.joblib", lambda: zlib.compress(bytes(200 * 2**20), 9)),
    "TAR: a member of 2⁶² bytes": ("size.tar", _tar),
    "pickle: tuples nested 200,000 deep": ("deep.pkl", lambda: b"\x80\x02N" + b"\x85" * _DEPTH + b"."),
    "pickle: 2³⁰ elements by memo": ("laughs.pkl", _laughing_pickle),
    "pickle: a text of 2⁶² bytes": ("text.pkl", lambda: b"\x80\x04\x8d" + pack("<Q", _HUGE) + b"x."),
    "JSON: nested 200,000 deep": ("config.json", lambda: b"[" * _DEPTH + b"]" * _DEPTH),
    "JSON: a number of 1,000,000 digits": ("number.json", lambda: b'{"a": ' + b"9" * 1_000_000 + b"}"),
    "UBJSON: an array of 2⁶² numbers": (
        "counts.ubj",
        lambda: b"{L" + pack(">q", 7) + b"learner{L" + pack(">q", 1) + b"a[$d#L" + pack(">q", _HUGE),
    ),
    "HDF5: headers and heaps of 4 GiB": ("sizes.h5", _hdf5),
    "XML: 10¹⁹ words by entities": ("laughs.pmml", _entities),
    "YAML: 9²⁹ words by aliases": ("aliases.yaml", _aliases),
}

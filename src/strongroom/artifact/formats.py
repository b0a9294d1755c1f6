"""Say what a file is by its content, and refuse one that its name, or its other end, makes something else."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from strongroom.artifact.onnx import MODEL_FIELDS, read_onnx
from strongroom.artifact.protobuf import MAX_MESSAGE_BYTES, ReadAt, Wire
from strongroom.errors import RejectedError, shorten

MAX_TEXT_BYTES = 32 * 2**20
"""Larger text or JSON is not looked at, and so unknown: parsing takes up to 20 times as much memory."""
MAX_SAFETENSORS_HEADER = 32 * 2**20
"""The reference implementation takes 100 MB; the largest models known need a tenth of ours."""

_HEAD_BYTES = 4096
_ZIP_TAIL_BYTES = 65_535 + 22
_ZIP_NAMES_BYTES = 2**20
_ZIP_END = b"PK\x05\x06"
_MAX_TOP_FIELDS = 100_000
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f]")


class Format(StrEnum):
    """What a file is. Only the first three are models that may be published."""

    ONNX = "onnx"
    SAFETENSORS = "safetensors"
    GGUF = "gguf"
    JSON = "json"
    TEXT = "text"
    EMPTY = "empty"
    UNKNOWN = "unknown"
    NUMPY = "numpy"
    PICKLE = "pickle"
    TORCH = "torch"
    KERAS = "keras"
    NPZ = "npz"
    ZIP = "zip"
    HDF5 = "hdf5"
    TFLITE = "tflite"
    ORT = "ort"
    TENSORFLOW = "tensorflow"
    TAR = "tar"
    COMPRESSED = "compressed"
    EXECUTABLE = "executable"
    XGBOOST_JSON = "xgboost-json"
    XGBOOST_UBJ = "xgboost-ubj"
    LIGHTGBM = "lightgbm"
    SKOPS = "skops"
    PMML = "pmml"
    OPENVINO = "openvino"
    XML = "xml"
    TORCHSCRIPT = "torchscript"
    EXPORTED_PROGRAM = "exported-program"
    NOTEBOOK = "notebook"


_ARCHIVES = frozenset({Format.ZIP, Format.TORCH, Format.KERAS, Format.NPZ, Format.TAR})
_TEXTS = frozenset({Format.TEXT, Format.JSON, Format.EMPTY})
_TORCH = frozenset({Format.TORCH, Format.PICKLE, Format.TAR, Format.ZIP})

_BY_EXTENSION: dict[str, frozenset[Format]] = {
    "onnx": frozenset({Format.ONNX}),
    "safetensors": frozenset({Format.SAFETENSORS}),
    "gguf": frozenset({Format.GGUF}),
    "json": frozenset({Format.JSON}),
    **dict.fromkeys(("txt", "md", "rst", "csv", "tsv", "yaml", "yml", "toml", "cfg", "ini", "jinja"), _TEXTS),
    **dict.fromkeys(("py", "sh", "ipynb", "jsonl"), _TEXTS),
    "npy": frozenset({Format.NUMPY}),
    "npz": frozenset({Format.NPZ, Format.ZIP}),
    **dict.fromkeys(("pt", "pth", "ckpt"), _TORCH),
    **dict.fromkeys(("pkl", "pickle", "joblib", "dill"), frozenset({Format.PICKLE, Format.COMPRESSED})),
    **dict.fromkeys(("h5", "hdf5"), frozenset({Format.HDF5})),
    "keras": frozenset({Format.KERAS, Format.ZIP}),
    "tflite": frozenset({Format.TFLITE}),
    "ort": frozenset({Format.ORT}),
    "pb": frozenset({Format.TENSORFLOW, Format.UNKNOWN}),
    "zip": frozenset({Format.ZIP, Format.TORCH, Format.KERAS, Format.NPZ}),
    "tar": frozenset({Format.TAR}),
    **dict.fromkeys(("gz", "tgz", "bz2", "xz", "zst", "7z"), frozenset({Format.COMPRESSED})),
}
"""What each known extension may hold; any other extension may hold anything."""

_MAGICS: tuple[tuple[int, bytes, Format], ...] = (
    (0, b"GGUF", Format.GGUF),
    (0, b"\x93NUMPY", Format.NUMPY),
    (0, b"\x89HDF\r\n\x1a\n", Format.HDF5),
    (4, b"TFL3", Format.TFLITE),
    (4, b"ORTM", Format.ORT),
    (0, b"\x1f\x8b\x08", Format.COMPRESSED),
    (0, b"BZh", Format.COMPRESSED),
    (0, b"\xfd7zXZ\x00", Format.COMPRESSED),
    (0, b"\x28\xb5\x2f\xfd", Format.COMPRESSED),
    (0, b"7z\xbc\xaf\x27\x1c", Format.COMPRESSED),
    (0, b"Rar!\x1a\x07", Format.COMPRESSED),
    (0, b"\x7fELF", Format.EXECUTABLE),
    (0, b"\xcf\xfa\xed\xfe", Format.EXECUTABLE),
    (0, b"\xca\xfe\xba\xbe", Format.EXECUTABLE),
    (0, b"\x00asm", Format.EXECUTABLE),
)

# Protocol 2 to 5 begins with its number; 0 and 1 most often with a global, a mark or a string.
_PICKLE_HEAD = re.compile(
    rb"\x80[\x02-\x05]|[(]?(?:c[a-zA-Z_][\w.]*\n[\w.]+\n|[dl]p0\n|[(]?[ilp]\w+\n)", re.ASCII
)


def detect_format(read_at: ReadAt, size_bytes: int, path: str) -> Format:
    """Return what the content is.

    Raises:
        RejectedError: the extension promises something else, or an archive is hidden behind it: readers that
            look at the end of a file (ZIP) or only at its checksums (tar) would see other content.
    """
    found = identify(read_at, size_bytes)
    expected = _BY_EXTENSION.get(path.rpartition("/")[2].lower().rpartition(".")[2])
    if expected is not None and found not in expected:
        if found is Format.UNKNOWN and Format.ONNX in expected:
            read_onnx(read_at, size_bytes, path)  # says what is wrong with it
        raise RejectedError(
            f"entry {shorten(path)}: the name says {min(expected)}, the content is {found}",
            hint="give the file the name of what it is, or export it again",
        )
    if found not in _ARCHIVES:
        hidden = _find_archive(read_at, size_bytes)
        if hidden:
            raise RejectedError(f"entry {shorten(path)}: is {found} and {hidden} at once")
    return found


def identify(read_at: ReadAt, size_bytes: int) -> Format:
    """Return what the content is, by its beginning and, where there is no magic, its structure."""
    if not size_bytes:
        return Format.EMPTY
    file = _File(read_at, size_bytes, read_at(0, _HEAD_BYTES))
    for offset, magic, found in _MAGICS:
        if file.head[offset : offset + len(magic)] == magic:
            return found
    if file.head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _kind_of_zip(file)
    for is_format, found in _STRUCTURES:
        if is_format(file):
            return found
    return Format.UNKNOWN


@dataclass(frozen=True, slots=True)
class _File:
    read_at: ReadAt
    size_bytes: int
    head: bytes

    def tail(self, limit: int) -> bytes:
        start = max(0, self.size_bytes - limit)
        return self.read_at(start, self.size_bytes - start)


def _kind_of_zip(file: _File) -> Format:
    """Tell the frameworks' archives apart by the names in their directory, which lies at the end."""
    names = file.tail(_ZIP_NAMES_BYTES)
    if b"data.pkl" in names or b"constants.pkl" in names:
        return Format.TORCH
    if b"config.json" in names and b"model.weights" in names:
        return Format.KERAS
    return Format.NPZ if b".npyPK" in names else Format.ZIP


def _is_program(file: _File) -> bool:
    """A Windows program: the word MZ alone stands at the head of every 65,536th file of weights."""
    at = int.from_bytes(file.head[0x3C:0x40], "little")
    return file.head.startswith(b"MZ") and file.read_at(at, 4) == b"PE\x00\x00"


def _is_safetensors(file: _File) -> bool:
    size = int.from_bytes(file.head[:8], "little")
    return 2 <= size <= min(file.size_bytes - 8, MAX_SAFETENSORS_HEADER) and file.head[8:9] == b"{"


def _is_tar(file: _File) -> bool:
    """POSIX tar: octal checksum over the header block, its own field as blanks."""
    block, stated = file.head[:512], file.head[148:156].strip(b" \x00")
    if len(block) < 512 or re.fullmatch(rb"[0-7]{1,7}", stated) is None:
        return False
    return int(stated, 8) == sum(block) - sum(block[148:156]) + 8 * 0x20


def _is_onnx(file: _File) -> bool:
    """Known fields only, from the first byte to the last, a graph and a version among them."""
    numbers = set()
    fields = Wire(file.read_at, min(file.size_bytes, MAX_MESSAGE_BYTES), "onnx")
    try:
        for count, (number, _, _) in enumerate(fields.message((0, file.size_bytes), MODEL_FIELDS)):
            numbers.add(number)
            if count > _MAX_TOP_FIELDS:
                return False
    except RejectedError:
        return False
    return {1, 7} <= numbers


def _is_saved_model(file: _File) -> bool:
    """tensorflow/core/protobuf/saved_model.proto: schema version 1, then graphs."""
    return file.head.startswith(b"\x08\x01\x12")


def _is_json(file: _File) -> bool:
    if file.size_bytes > MAX_TEXT_BYTES or file.head.lstrip(b" \t\r\n")[:1] not in (b"{", b"["):
        return False
    try:
        json.loads(file.tail(MAX_TEXT_BYTES))
    except (ValueError, RecursionError):
        return False
    return True


def _is_pickle(file: _File) -> bool:
    return _PICKLE_HEAD.match(file.head) is not None and file.tail(1) == b"."


def _is_text(file: _File) -> bool:
    if file.size_bytes > MAX_TEXT_BYTES:
        return False
    try:
        text = file.tail(MAX_TEXT_BYTES).decode()
    except UnicodeDecodeError:
        return False
    return _CONTROL.search(text) is None


_STRUCTURES: tuple[tuple[Callable[[_File], bool], Format], ...] = (
    (_is_program, Format.EXECUTABLE),
    (_is_safetensors, Format.SAFETENSORS),
    (_is_tar, Format.TAR),
    (_is_pickle, Format.PICKLE),
    (_is_onnx, Format.ONNX),
    (_is_saved_model, Format.TENSORFLOW),
    (_is_json, Format.JSON),
    (_is_text, Format.TEXT),
)


def _find_archive(read_at: ReadAt, size_bytes: int) -> str:
    """Name the archive that a reader of another mind would find in this file, or nothing."""
    file = _File(read_at, size_bytes, read_at(0, 512))
    if _is_tar(file):
        return "tar"
    tail = file.tail(_ZIP_TAIL_BYTES)
    at = tail.rfind(_ZIP_END)
    while at >= 0:
        if _is_zip_end(tail[at:], size_bytes - len(tail) + at):
            return "zip"
        at = tail.rfind(_ZIP_END, 0, at)
    return ""


def _is_zip_end(record: bytes, position: int) -> bool:
    """An end of central directory record (APPNOTE.TXT 4.3.16) whose comment and directory fit in the file.

    Readers disagree about bytes after the comment, so a comment that ends early counts as well.
    """
    if len(record) < 22:
        return False
    entries, size = int.from_bytes(record[10:12], "little"), int.from_bytes(record[12:16], "little")
    comment = int.from_bytes(record[20:22], "little")
    is_zip64 = size == 0xFFFFFFFF or entries == 0xFFFF
    return 22 + comment <= len(record) and (is_zip64 or (size <= position and size >= 46 * entries))

"""Recognise binary content that has no magic, or more than its magic, by its structure."""

import lzma
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice

from strongroom.artifact.onnx import MODEL_FIELDS
from strongroom.artifact.protobuf import MAX_MESSAGE_BYTES, Fields, ReadAt, Wire
from strongroom.errors import RejectedError

MAX_SAFETENSORS_HEADER = 32 * 2**20
"""The reference implementation takes 100 MB; the largest models known need a tenth of ours."""
HEAD_BYTES = 4096

_MAX_TOP_FIELDS = 100_000
_ZIP_TAIL_BYTES = 65_535 + 22
_ZIP_END = b"PK\x05\x06"
_HDF5 = b"\x89HDF\r\n\x1a\n"
_MAX_HDF5_OFFSET = 2**40
_TRIAL_BYTES = 2**16
_TRIAL_MEMORY_BYTES = 2**25

_SAVED_MODEL_FIELDS: Fields = {1: "v", 2: "b*"}
"""tensorflow/core/protobuf/saved_model.proto."""
_SENTENCEPIECE_FIELDS: Fields = {1: "b*", 2: "b", 3: "b", 4: "b", 5: "b"}
"""ModelProto of sentencepiece_model.proto: pieces, trainer, normalizer, self test, denormalizer."""
_PIECE_FIELDS: Fields = {1: "b", 2: "f", 3: "v"}

# Python bytecode: a version, CR LF, flags or a time, then a marshalled code object. CPython, Lib/importlib.
_PYC = re.compile(rb".[\x0a-\x0f\xf2-\xf4]\r\n(?:.{4}|.{8}|.{12})[c\xe3]", re.DOTALL)


@dataclass(frozen=True, slots=True)
class File:
    """A file that is being recognised, with its beginning."""

    read_at: ReadAt
    size_bytes: int
    head: bytes

    def tail(self, limit: int) -> bytes:
        start = max(0, self.size_bytes - limit)
        return self.read_at(start, self.size_bytes - start)


def is_program(file: File) -> bool:
    """A Windows program: the word MZ alone stands at the head of every 65,536th file of weights."""
    at = int.from_bytes(file.head[0x3C:0x40], "little")
    return file.head.startswith(b"MZ") and file.read_at(at, 4) == b"PE\x00\x00"


def is_bytecode(file: File) -> bool:
    return _PYC.match(file.head) is not None


def is_safetensors(file: File) -> bool:
    size = int.from_bytes(file.head[:8], "little")
    return 2 <= size <= min(file.size_bytes - 8, MAX_SAFETENSORS_HEADER) and file.head[8:9] == b"{"


def is_tar(file: File) -> bool:
    """POSIX tar: octal checksum over the header block, its own field as blanks."""
    block, stated = file.head[:512], file.head[148:156].strip(b" \x00")
    if len(block) < 512 or re.fullmatch(rb"[0-7]{1,7}", stated) is None:
        return False
    return int(stated, 8) == sum(block) - sum(block[148:156]) + 8 * 0x20


def is_onnx(file: File) -> bool:
    """Known fields only, from the first byte to the last, a graph and a version among them."""
    return {1, 7} <= _fields_of(file, MODEL_FIELDS)


def is_saved_model(file: File) -> bool:
    return 2 in _fields_of(file, _SAVED_MODEL_FIELDS)


def is_sentencepiece(file: File) -> bool:
    """A tokenizer by its first pieces, each a text and a score: there are up to a quarter of a million."""
    wire = Wire(file.read_at, min(file.size_bytes, MAX_MESSAGE_BYTES), "sentencepiece")
    try:
        for number, _, piece in islice(wire.message((0, file.size_bytes), _SENTENCEPIECE_FIELDS), 3):
            if number != 1 or not {1, 2} <= {part for part, _, _ in wire.message(piece, _PIECE_FIELDS)}:
                return False
    except RejectedError:
        return False
    return file.head[:1] == b"\x0a"


def _fields_of(file: File, fields: Fields) -> set[int]:
    """The numbers of the fields of a message that has these only; none if it is something else."""
    numbers: set[int] = set()
    wire = Wire(file.read_at, min(file.size_bytes, MAX_MESSAGE_BYTES), "message")
    try:
        for count, (number, _, _) in enumerate(wire.message((0, file.size_bytes), fields)):
            numbers.add(number)
            if count > _MAX_TOP_FIELDS:
                return set()
    except RejectedError:
        return set()
    return numbers


def is_zlib(file: File) -> bool:
    """RFC 1950: a checked head of two bytes, which text can have as well, and data that unpacks."""
    if file.head[:1] != b"\x78" or int.from_bytes(file.head[:2], "big") % 31:
        return False
    unpacker = zlib.decompressobj()
    return _unpacks(file, lambda data: unpacker.decompress(data, _TRIAL_BYTES), lambda: unpacker.eof)


def is_lzma(file: File) -> bool:
    """The older format of LZMA, as joblib writes it: properties, a power of two, a size or none."""
    if file.head[:3] != b"\x5d\x00\x00" or len(file.head) < 14:
        return False
    unpacker = lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=_TRIAL_MEMORY_BYTES)
    return _unpacks(file, lambda data: unpacker.decompress(data, _TRIAL_BYTES), lambda: unpacker.eof)


def _unpacks(file: File, unpack: Callable[[bytes], bytes], is_done: Callable[[], bool]) -> bool:
    """Whether the beginning unpacks to something, or the whole does, if that is all there is."""
    try:
        out = unpack(file.head)
    except (zlib.error, lzma.LZMAError) as error:
        return isinstance(error, lzma.LZMAError) and "memory" in str(error).lower()
    return bool(out) and (is_done() or file.size_bytes > len(file.head) or len(out) == _TRIAL_BYTES)


def find_archive(file: File) -> str:
    """Name what a reader of another mind would find in this file, or nothing."""
    if is_tar(file):
        return "tar"
    at = 512
    while at < min(file.size_bytes, _MAX_HDF5_OFFSET):  # HDF5 format specification, II.A: after a user block
        if file.read_at(at, len(_HDF5)) == _HDF5:
            return "hdf5"
        at *= 2
    tail = file.tail(_ZIP_TAIL_BYTES)
    at = tail.rfind(_ZIP_END)
    while at >= 0:
        if _is_zip_end(tail, at, file.size_bytes):
            return "zip"
        at = tail.rfind(_ZIP_END, 0, at)
    return ""


def _is_zip_end(tail: bytes, at: int, size_bytes: int) -> bool:
    """An end of central directory record (APPNOTE.TXT 4.3.16) whose comment and directory fit in the file.

    Readers disagree about bytes after the comment, so a comment that ends early counts as well.
    """
    record, position = tail[at : at + 22], size_bytes - len(tail) + at
    if len(record) < 22:
        return False
    entries, size = int.from_bytes(record[10:12], "little"), int.from_bytes(record[12:16], "little")
    comment = int.from_bytes(record[20:22], "little")
    is_zip64 = size == 0xFFFFFFFF or entries == 0xFFFF
    return 22 + comment <= len(tail) - at and (is_zip64 or (size <= position and size >= 46 * entries))

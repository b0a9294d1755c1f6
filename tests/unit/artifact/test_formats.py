import bz2
import gzip
import io
import json
import lzma
import pickle
import tarfile
import zipfile
import zlib

import lz4.frame
import numpy as np
import pytest
import zstandard

from strongroom.artifact.formats import Format, detect_format
from strongroom.errors import RejectedError
from tests import models
from tests.unit.artifact.objects import Octets, some_bytes


def detect(content: bytes, path: str = "file") -> Format:
    return detect_format(Octets(content).read_at, len(content), path)


def archive(*names: str, comment: bytes = b"") -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        for name in names:
            file.writestr(name, b"x" * 10)
        file.comment = comment
    return out.getvalue()


def tar() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as file:
        file.addfile(tarfile.TarInfo("a"))
    return out.getvalue()


def numpy_file(archive: bool = False) -> bytes:
    out = io.BytesIO()
    if archive:
        np.savez(out, a=np.zeros(3))
    else:
        np.save(out, np.zeros(3))
    return out.getvalue()


def safetensors(header: dict[str, object] | None = None, data: bytes = bytes(8)) -> bytes:
    described = {"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}} if header is None else header
    text = json.dumps(described).encode()
    return len(text).to_bytes(8, "little") + text + data


PNG = b"\x89PNG\r\n\x1a\n" + bytes(40)
CALL = b"cos\nsystem\n(S'id'\ntR."
UBJ = b"{L" + (7).to_bytes(8, "big") + b"learner{L"
PMML = b'<?xml version="1.0"?>\n<!-- a model -->\n<PMML xmlns="http://www.dmg.org/PMML-4_4"><Header/></PMML>'
NOTEBOOK = b'{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}'
TOKENIZER = b"\x0a\x0c\x0a\x05hello\x15\x00\x00\x00\x00" * 3 + b"\x12\x02\x20\x01" + b"\x1a\x00"
PYC = b"\xa7\x0d\r\n" + bytes(12) + b"\xe3" + bytes(20)


SAMPLES: list[tuple[Format, bytes]] = [
    (Format.ONNX, models.linear().onnx),
    (Format.ONNX, models.classifier_with_zipmap().onnx),
    (Format.SAFETENSORS, safetensors()),
    (Format.GGUF, b"GGUF\x03\x00\x00\x00" + bytes(16)),
    (Format.JSON, b'{"a": [1, 2]}'),
    (Format.JSON, b" [1]"),
    (Format.TEXT, "Ein Modell für Betrug.\n".encode()),
    (Format.EMPTY, b""),
    (Format.UNKNOWN, some_bytes(5000)),
    (Format.UNKNOWN, bytes(5000)),
    (Format.UNKNOWN, b"MZ" + some_bytes(5000)),
    (Format.NUMPY, numpy_file()),
    (Format.NPZ, numpy_file(archive=True)),
    *((Format.PICKLE, pickle.dumps({"a": [1, "x"]}, protocol)) for protocol in range(2, 6)),
    (Format.PICKLE, b"cos\nsystem\n(S'id'\ntR."),
    (Format.PICKLE, pickle.dumps([1, 2], 0)),
    (Format.TORCH, archive("archive/data.pkl", "archive/data/0")),
    (Format.KERAS, archive("config.json", "model.weights.h5")),
    (Format.KERAS, archive("metadata.json", "config.json", "model.weights.json")),
    (Format.TORCH, archive("data.pkl", "version")),
    (Format.TORCHSCRIPT, archive("m/data.pkl", "m/constants.pkl", "m/code/__torch__.py")),
    (Format.TORCHSCRIPT, archive("m/data.pkl", "m/code/__torch__.py")),
    (Format.EXPORTED_PROGRAM, archive("m/archive_format", "m/models/model.json", "m/data/weights/w.pt")),
    (Format.EXPORTED_PROGRAM, archive("serialized_exported_program.json", "serialized_state_dict.pt")),
    (Format.SKOPS, archive("schema.json", "1234.npy")),
    (Format.ZIP, archive("a.npy", "evil.pkl")),
    (Format.ZIP, archive("readme.txt")),
    (Format.ZIP, archive()),
    (Format.HDF5, b"\x89HDF\r\n\x1a\n" + bytes(100)),
    (Format.TFLITE, b"\x1c\x00\x00\x00TFL3" + bytes(100)),
    (Format.ORT, b"\x1c\x00\x00\x00ORTM" + bytes(100)),
    (Format.TENSORFLOW, b"\x08\x01\x12\x05\x0a\x03abc"),
    (Format.TAR, tar()),
    (Format.COMPRESSED, gzip.compress(b"x")),
    (Format.COMPRESSED, bz2.compress(b"x")),
    (Format.COMPRESSED, bz2.compress(b"")),
    (Format.COMPRESSED, lzma.compress(b"x")),
    (Format.COMPRESSED, lzma.compress(some_bytes(9000), lzma.FORMAT_ALONE)),
    (Format.COMPRESSED, zstandard.compress(b"x")),
    (Format.COMPRESSED, b"\x50\x2a\x4d\x18\x00\x00\x00\x00" + zstandard.compress(b"x")),
    (Format.COMPRESSED, lz4.frame.compress(b"x")),
    *((Format.COMPRESSED, zlib.compress(some_bytes(9000), level)) for level in (0, 3, 6, 9)),
    (Format.COMPRESSED, zlib.compress(bytes(10**6))),
    (Format.TEXT, b"x^2 + y^2 = z^2 is what follows from it, and more\n" * 3),
    (Format.XGBOOST_UBJ, UBJ + bytes(50)),
    (Format.XGBOOST_JSON, b'{"learner": {}, "version": [3, 0, 0]}'),
    (Format.JSON, b'{"learner": "text"}'),
    (Format.LIGHTGBM, b"tree\nversion=v4\nnum_class=1\n"),
    (Format.TEXT, b"tree\nbranch\n"),
    (Format.PMML, PMML),
    (Format.PMML, b'<p:PMML xmlns:p="x"></p:PMML>'),
    (Format.OPENVINO, b'<?xml version="1.0"?><net name="m" version="11"><layers/></net>'),
    (Format.XML, b'<?xml version="1.0"?><root/>'),
    (Format.XML, b"<config><a>1</a></config>\n"),
    (Format.XML, b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><x>&e;</x>'),
    (Format.XML, b'\xef\xbb\xbf<!-- x --><!DOCTYPE html [<!ENTITY e "e">]><html>&e;</html>'),
    (Format.TEXT, b'<div align="center"><h1>A model</h1></div>'),
    (Format.TEXT, b"<!DOCTYPE html><html><body>hi</body></html>"),
    (Format.TEXT, b"<s>\n<pad>\n</s>"),
    (Format.TEXT, b"a < b\n<!ENTITY is a word>\n"),
    (Format.NOTEBOOK, NOTEBOOK),
    (Format.JSON, b'{"cells": []}'),
    (Format.TEXT, b'{"a": 1} {"a": 2}'),
    (Format.TEXT, b"{not json}"),
    (Format.SENTENCEPIECE, TOKENIZER),
    (Format.TEXT, b"\n\n\nhello\n"),
    (Format.TEXT, b"[" + b"[]," * 2**20 + b"1]"),
    (Format.TENSORFLOW, b"\x12\x05\x0a\x03abc"),
    (Format.IMAGE, PNG),
    (Format.IMAGE, b"\xff\xd8\xff\xe0" + bytes(40)),
    (Format.IMAGE, b"GIF89a" + bytes(40)),
    (Format.IMAGE, b"RIFF\x20\0\0\0WEBPVP8 " + bytes(40)),
    (Format.EXECUTABLE, b"\x00asm\x01\0\0\0"),
    (Format.EXECUTABLE, b"\xcf\xfa\xed\xfe" + bytes(50)),
    (Format.EXECUTABLE, b"\xca\xfe\xba\xbe\x00\x00\x00\x34" + bytes(50)),
    (Format.EXECUTABLE, PYC),
    (Format.EXECUTABLE, b"\x7fELF" + bytes(100)),
    (Format.EXECUTABLE, b"MZ".ljust(0x3C, b"\0") + b"\x80\0\0\0".ljust(0x44, b"\0") + b"PE\0\0" + bytes(50)),
]


@pytest.mark.parametrize(("expected", "content"), SAMPLES)
def test_content_decides(expected: Format, content: bytes) -> None:
    assert detect(content) == expected


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("model.onnx", pickle.dumps([1])),
        ("model.onnx", archive("archive/data.pkl")),
        ("model.onnx", safetensors()),
        ("model.onnx", some_bytes(500)),
        ("MODEL.ONNX", gzip.compress(b"")),
        ("a.onnx/weights.safetensors", models.linear().onnx),
        ("w.safetensors", pickle.dumps([1])),
        ("w.gguf", safetensors()),
        ("config.json", b"not json"),
        ("config.json", b""),
        ("README.md", b"\x00\x01"),
        ("model.pkl", models.linear().onnx),
        ("model.h5", archive("config.json")),
        ("x.npy", pickle.dumps([1])),
        ("weights.jpg", pickle.dumps([1])),
        ("weights.jpg", CALL),
        ("README.md", CALL),
        ("vocab.txt", CALL + b"\nmore"),
        ("model.pkl", b"just text\n"),
        ("model.pkl", PNG),
        ("model.pkl", b"\x7fELF" + bytes(100)),
        ("model.npz", archive("a.npy", "evil.pkl")),
        ("model.npz", archive("archive/data.pkl")),
        ("model.keras", archive("archive/data.pkl")),
        ("model.pt", archive("readme.txt")),
        ("model.pt2", archive("archive/data.pkl")),
        ("model.ubj", b'{"learner": {}, "version": [3, 0, 0]}'),
        ("model.xml", NOTEBOOK),
        ("model.pmml", b"<root></root>"),
        ("nb.ipynb", b'{"a": 1}'),
        ("config.json", NOTEBOOK),
        ("w.gz", bytes(100)),
        ("tokenizer.model", b"\x7fELF" + bytes(100)),
        ("pytorch_model.bin", b"\x7fELF" + bytes(100)),
        ("pytorch_model.bin", archive("readme.txt")),
    ],
)
def test_a_name_that_promises_something_else_is_refused(path: str, content: bytes) -> None:
    with pytest.raises(RejectedError):
        detect(content, path)


def test_a_cut_onnx_file_is_refused_with_the_reason() -> None:
    with pytest.raises(RejectedError, match="is cut"):
        detect(models.linear().onnx[:-10], "model.onnx")


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("config.json", b'{"learner": {}, "version": [3, 0, 0]}'),
        ("model.txt", b"tree\nversion=v4\n"),
        ("notes.txt", b"<config><a>1</a></config>\n"),
        ("README.md", b"<config><a>1</a></config>\n"),
        ("model.joblib", gzip.compress(pickle.dumps([1]))),
        ("model.joblib", pickle.dumps([1])),
        ("model.tar.gz", gzip.compress(b"")),
        ("pytorch_model.bin", archive("archive/data.pkl")),
        ("pytorch_model.bin", pickle.dumps([1])),
        ("weights.bin", bytes(10)),
        ("tokenizer.model", TOKENIZER),
        ("nb.ipynb", NOTEBOOK),
        ("a.jpeg", PNG),
        ("bundle.zip", archive("archive/data.pkl")),
    ],
)
def test_a_name_that_promises_what_is_there_passes(path: str, content: bytes) -> None:
    assert detect(content, path) is detect(content, "model")


@pytest.mark.parametrize("path", ["model", "weights.bin", "part-0", "x.data", ".onnx.bin"])
def test_a_name_that_promises_nothing_may_hold_anything(path: str) -> None:
    assert detect(some_bytes(100), path) is Format.UNKNOWN


def onnx_with(payload: bytes) -> bytes:
    """Valid to the last byte: the payload lies in the model's documentation."""
    size = len(payload)
    length = bytes([size & 0x7F | 0x80, size >> 7 & 0x7F | 0x80, size >> 14])
    return models.linear().onnx + b"\x32" + length + payload


@pytest.mark.parametrize(
    ("attack", "content"),
    [
        ("zip behind onnx", onnx_with(archive("evil.pkl"))),
        ("empty zip behind onnx", onnx_with(archive())),
        ("zip with a comment", onnx_with(archive("evil.pkl", comment=b"c" * 500))),
        ("zip with bytes after its end", onnx_with(archive("evil.pkl") + b"tail")),
        ("zip behind weights", some_bytes(5000) + archive("evil.pkl")),
        ("zip behind safetensors", safetensors(data=archive("evil.pkl"))),
        ("zip behind text", b"hello\n" + archive().replace(b"\0", b"\0")),
        ("zip behind the magic of gguf", b"GGUF" + archive("evil.pkl")),
    ],
)
def test_an_archive_behind_another_format_is_refused(attack: str, content: bytes) -> None:
    assert zipfile.is_zipfile(io.BytesIO(content))
    with pytest.raises(RejectedError, match="zip at once"):
        detect(content)


@pytest.mark.parametrize(
    ("attack", "content"),
    [
        ("pickle under the header of safetensors", safetensors({"x": {}}, b"\n0" + CALL)),
        ("pickle under the magic of gguf", b"GGUF\x03\0\0\0\x01" + CALL),
        ("pickle in the name of a member of a tar", tar()),
    ],
)
def test_a_pickle_under_another_format_is_refused(attack: str, content: bytes) -> None:
    if attack.startswith("pickle under the header"):
        # The length of the header is chosen so that its first byte pushes a line of text.
        padding = ord("V") - content[0]
        content = bytes([ord("V")]) + content[1:8] + content[8:].replace(b"}}", b"}" + b" " * padding + b"}")
    elif attack.startswith("pickle in the name"):
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as file:
            file.addfile(tarfile.TarInfo(CALL.decode()))
        content = out.getvalue()
    with pytest.raises(RejectedError, match="pickle at once"):
        detect(content)


@pytest.mark.parametrize("at", [512, 1024, 8192])
def test_hdf5_behind_another_format_is_refused(at: int) -> None:
    content = b"# notes\n".ljust(at, b" ") + b"\x89HDF\r\n\x1a\n" + bytes(200)
    with pytest.raises(RejectedError, match="hdf5 at once"):
        detect(content)


def test_a_pickle_in_front_of_an_archive_is_refused() -> None:
    with pytest.raises(RejectedError, match="zip at once"):
        detect(CALL + archive("a.txt"), "model.pkl")


def test_archives_in_archives_are_no_polyglots() -> None:
    """What lies in them is judged on its own."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as file:
        inner = archive("a.npy")
        info = tarfile.TarInfo("a.npz")
        info.size = len(inner)
        file.addfile(info, io.BytesIO(inner))
    assert detect(out.getvalue(), "m.tar") is Format.TAR


def test_a_tar_that_begins_like_another_format_is_refused() -> None:
    block = bytearray(tar())
    block[0:4] = b"GGUF"
    block[148:156] = b"%06o\0 " % (sum(block[:512]) - sum(block[148:156]) + 8 * 32)
    assert tarfile.is_tarfile(io.BytesIO(bytes(block)))
    with pytest.raises(RejectedError, match="tar at once"):
        detect(bytes(block))


def test_the_four_letters_alone_are_no_archive() -> None:
    """Weights hold every sequence of four bytes sooner or later."""
    assert detect(some_bytes(3000) + b"PK\x05\x06" + b"\xff" * 40) is not None


def test_json_larger_than_what_is_parsed_is_known_by_its_head_or_unknown() -> None:
    def read_at(offset: int, size: int) -> bytes:
        assert size <= 2**20
        return (b'{"learner":{' + bytes(size))[offset : offset + size]

    assert detect_format(read_at, 2**40, "model.json") is Format.XGBOOST_JSON


def test_deep_json_is_no_crash() -> None:
    assert detect(b"[" * 1_000_000) is Format.TEXT


def test_large_files_are_not_read_whole() -> None:
    touched = 0

    def zeros(offset: int, size: int) -> bytes:
        nonlocal touched
        touched += size
        return bytes(size)

    assert detect_format(zeros, 2**39, "weights.bin") is Format.UNKNOWN
    assert touched < 2**20

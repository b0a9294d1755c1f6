import gzip
import io
import json
import pickle
import tarfile
import zipfile

import numpy as np
import pytest

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
    (Format.ZIP, archive("readme.txt")),
    (Format.ZIP, archive()),
    (Format.HDF5, b"\x89HDF\r\n\x1a\n" + bytes(100)),
    (Format.TFLITE, b"\x1c\x00\x00\x00TFL3" + bytes(100)),
    (Format.ORT, b"\x1c\x00\x00\x00ORTM" + bytes(100)),
    (Format.TENSORFLOW, b"\x08\x01\x12\x05\x0a\x03abc"),
    (Format.TAR, tar()),
    (Format.COMPRESSED, gzip.compress(b"x")),
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
    ],
)
def test_a_name_that_promises_something_else_is_refused(path: str, content: bytes) -> None:
    with pytest.raises(RejectedError):
        detect(content, path)


def test_a_cut_onnx_file_is_refused_with_the_reason() -> None:
    with pytest.raises(RejectedError, match="is cut"):
        detect(models.linear().onnx[:-10], "model.onnx")


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

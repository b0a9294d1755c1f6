"""A checkpoint as `torch.save` writes weights, without torch: a ZIP of a pickle and of storages."""

import zipfile
from pathlib import Path
from struct import pack

from models.weights import MATRIX, MATRIX_BYTES, count_matrices, write_matrix

_STORED = (1980, 1, 1, 0, 0, 0)


def make(mib: int, folder: Path) -> Path:
    path = folder / "model.pt"
    count = count_matrices(mib)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(zipfile.ZipInfo("model/data.pkl", _STORED), _pickle(count))
        archive.writestr(zipfile.ZipInfo("model/byteorder", _STORED), b"little")
        for index in range(count):
            info = zipfile.ZipInfo(f"model/data/{index}", _STORED)
            info.file_size = MATRIX_BYTES
            with archive.open(info, "w") as file:
                write_matrix(file, index)  # type: ignore[arg-type]
        archive.writestr(zipfile.ZipInfo("model/version", _STORED), b"3\n")
    return path


def _pickle(count: int) -> bytes:
    """A dictionary of tensors by name, in the opcodes of protocol 2."""
    tensors = b"".join(_text(f"layers.{index}.weight") + _tensor(index) for index in range(count))
    return b"\x80\x02}(" + tensors + b"u."


def _tensor(index: int) -> bytes:
    elements = MATRIX[0] * MATRIX[1]
    storage = (
        b"("
        + _text("storage")
        + b"ctorch\nFloatStorage\n"
        + _text(str(index))
        + _text("cpu")
        + _number(elements)
        + b"tQ"
    )
    shape = _number(MATRIX[0]) + _number(MATRIX[1]) + b"\x86"
    strides = _number(MATRIX[1]) + _number(1) + b"\x86"
    hooks = b"ccollections\nOrderedDict\n)R"
    arguments = b"(" + storage + _number(0) + shape + strides + b"\x89" + hooks + b"t"
    return b"ctorch._utils\n_rebuild_tensor_v2\n" + arguments + b"R"


def _text(text: str) -> bytes:
    return b"X" + pack("<I", len(text)) + text.encode()


def _number(number: int) -> bytes:
    return b"J" + pack("<i", number)

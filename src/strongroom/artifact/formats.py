"""Say what a file is by its content, and refuse one that its name, or its other end, makes something else."""

import re
from collections.abc import Callable
from enum import StrEnum

from strongroom.artifact import structures
from strongroom.artifact.member_names import MAX_NAME_BYTES
from strongroom.artifact.onnx import read_onnx
from strongroom.artifact.pickle_streams import is_pickle, runs_as_pickle
from strongroom.artifact.protobuf import ReadAt
from strongroom.artifact.structures import HEAD_BYTES, File
from strongroom.artifact.structures import MAX_SAFETENSORS_HEADER as MAX_SAFETENSORS_HEADER
from strongroom.artifact.text_structures import MAX_TEXT_BYTES as MAX_TEXT_BYTES
from strongroom.artifact.text_structures import is_lightgbm, is_xgboost_json, json_keys, text_of, xml_root
from strongroom.artifact.zips import read_directory
from strongroom.errors import RejectedError, shorten

_ZIP_NAMES_BYTES = 2**20


class Format(StrEnum):
    """What a file is."""

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
    SENTENCEPIECE = "sentencepiece"
    IMAGE = "image"


_ARCHIVES = frozenset(
    {
        Format.ZIP,
        Format.TORCH,
        Format.TORCHSCRIPT,
        Format.EXPORTED_PROGRAM,
        Format.KERAS,
        Format.NPZ,
        Format.SKOPS,
        Format.TAR,
    }
)
_TEXTS = frozenset({Format.TEXT, Format.JSON, Format.EMPTY})
_PAGES = _TEXTS | {Format.XML}
_TORCHES = frozenset({Format.TORCH, Format.TORCHSCRIPT, Format.PICKLE, Format.TAR})
_PICKLES = frozenset({Format.PICKLE, Format.COMPRESSED, Format.TORCH})
_TREES = frozenset({Format.XGBOOST_JSON, Format.XGBOOST_UBJ, Format.LIGHTGBM})

_BY_EXTENSION: dict[str, frozenset[Format]] = {
    "onnx": frozenset({Format.ONNX}),
    "safetensors": frozenset({Format.SAFETENSORS}),
    "gguf": frozenset({Format.GGUF}),
    "ubj": frozenset({Format.XGBOOST_UBJ}),
    **dict.fromkeys(("lgb", "lgbm"), frozenset({Format.LIGHTGBM})),
    "xgb": frozenset({Format.XGBOOST_JSON, Format.XGBOOST_UBJ}),
    "pmml": frozenset({Format.PMML}),
    "xml": frozenset({Format.XML, Format.PMML, Format.OPENVINO}),
    **dict.fromkeys(("tflite", "lite"), frozenset({Format.TFLITE})),
    "ort": frozenset({Format.ORT}),
    **dict.fromkeys(("h5", "hdf5"), frozenset({Format.HDF5})),
    "keras": frozenset({Format.KERAS}),
    "skops": frozenset({Format.SKOPS}),
    "npy": frozenset({Format.NUMPY}),
    "npz": frozenset({Format.NPZ}),
    **dict.fromkeys(("pt", "pth", "ckpt"), _TORCHES),
    **dict.fromkeys(("ptl", "torchscript"), frozenset({Format.TORCHSCRIPT})),
    "pt2": frozenset({Format.EXPORTED_PROGRAM}),
    **dict.fromkeys(("pkl", "pickle", "pck", "joblib", "dill", "cloudpickle", "sav"), _PICKLES),
    "model": _TREES | {Format.SENTENCEPIECE, Format.PICKLE, Format.UNKNOWN},
    "bin": _TORCHES | _TREES | {Format.UNKNOWN, Format.EMPTY, Format.TEXT, Format.GGUF, Format.TFLITE},
    "pb": frozenset({Format.TENSORFLOW, Format.UNKNOWN}),
    "json": frozenset({Format.JSON, Format.XGBOOST_JSON}),
    "ipynb": frozenset({Format.NOTEBOOK}),
    "txt": _PAGES | {Format.LIGHTGBM},
    **dict.fromkeys(("md", "rst", "html", "htm"), _PAGES),
    "svg": frozenset({Format.XML}),
    **dict.fromkeys(("csv", "tsv", "yaml", "yml", "toml", "cfg", "ini", "jinja", "jsonl", "pbtxt"), _TEXTS),
    **dict.fromkeys(("py", "sh"), _TEXTS),
    **dict.fromkeys(("png", "jpg", "jpeg", "gif", "webp"), frozenset({Format.IMAGE})),
    "zip": _ARCHIVES - {Format.TAR},
    **dict.fromkeys(("mar", "whl", "egg", "jar"), frozenset({Format.ZIP})),
    "tar": frozenset({Format.TAR}),
    "nemo": frozenset({Format.TAR, Format.COMPRESSED}),
    **dict.fromkeys(
        ("gz", "tgz", "bz2", "xz", "lzma", "zst", "lz4", "7z", "rar"), frozenset({Format.COMPRESSED})
    ),
}
"""What each known extension may hold; any other extension may hold anything."""

_MAGICS: tuple[tuple[int, bytes, Format], ...] = (
    (0, b"GGUF", Format.GGUF),
    (0, b"\x93NUMPY", Format.NUMPY),
    (0, b"\x89HDF\r\n\x1a\n", Format.HDF5),
    (4, b"TFL3", Format.TFLITE),
    (4, b"ORTM", Format.ORT),
    (0, b"\x89PNG\r\n\x1a\n", Format.IMAGE),
    (0, b"\xff\xd8\xff", Format.IMAGE),
    (0, b"GIF87a", Format.IMAGE),
    (0, b"GIF89a", Format.IMAGE),
    (8, b"WEBPVP8", Format.IMAGE),
    (0, b"\x1f\x8b\x08", Format.COMPRESSED),
    (0, b"\xfd7zXZ\x00", Format.COMPRESSED),
    (0, b"\x28\xb5\x2f\xfd", Format.COMPRESSED),
    (0, b"\x04\x22\x4d\x18", Format.COMPRESSED),
    (0, b"7z\xbc\xaf\x27\x1c", Format.COMPRESSED),
    (0, b"Rar!\x1a\x07", Format.COMPRESSED),
    (0, b"\x7fELF", Format.EXECUTABLE),
    (0, b"\xfe\xed\xfa\xce", Format.EXECUTABLE),
    (0, b"\xfe\xed\xfa\xcf", Format.EXECUTABLE),
    (0, b"\xce\xfa\xed\xfe", Format.EXECUTABLE),
    (0, b"\xcf\xfa\xed\xfe", Format.EXECUTABLE),
    (0, b"\xca\xfe\xba\xbe", Format.EXECUTABLE),
    (0, b"\xca\xfe\xba\xbf", Format.EXECUTABLE),
    (0, b"\x00asm", Format.EXECUTABLE),
    (0, b"dex\n03", Format.EXECUTABLE),
    (0, b"!<arch>\n", Format.EXECUTABLE),
    (0, b"BC\xc0\xde", Format.EXECUTABLE),
)
_BZIP2 = re.compile(rb"BZh[1-9](?:1AY&SY|\x17\x72\x45\x38\x50\x90)")
_ZSTD_SKIPPED = re.compile(rb"[\x50-\x5f]\x2a\x4d\x18")
_XGBOOST_UBJ = re.compile(
    rb"\{(?:L\x00{7}|l\x00{3}|I\x00|[iU])(?:\x07learner|\x07version|\x06Config|\x05Model)", re.DOTALL
)
_PDF, _PDF_WITHIN = re.compile(r"%PDF-[0-9]"), 1024
"""Readers look for it in the first kilobyte (ISO 32000-1, annex H). A page that is all letters is no text."""
_ZIP_ENTRY = re.compile(rb"PK\x01\x02.{24}(..).{16}", re.DOTALL)


def detect_format(read_at: ReadAt, size_bytes: int, path: str) -> Format:
    """Return what the content is.

    Raises:
        RejectedError: the extension promises something else, or readers of another mind would find something
            else in it: an archive at its end (ZIP) or under its checksums (tar), HDF5 behind a user block, a
            pickle from its first byte.
    """
    found = identify(read_at, size_bytes)
    _, dot, extension = path.rpartition("/")[2].lower().rpartition(".")
    expected = _BY_EXTENSION.get(extension) if dot else None
    if expected is not None and found not in expected:
        if found is Format.UNKNOWN and Format.ONNX in expected:
            read_onnx(read_at, size_bytes, path)  # says what is wrong with it
        raise RejectedError(
            f"entry {shorten(path)}: the name says {_any_of(expected)}, the content is {found}",
            hint="give the file the name of what it is, or export it again",
        )
    hidden = _find_hidden(File(read_at, size_bytes, read_at(0, HEAD_BYTES)), found)
    if hidden:
        raise RejectedError(f"entry {shorten(path)}: is {found} and {hidden} at once")
    return found


def identify(read_at: ReadAt, size_bytes: int) -> Format:
    """Return what the content is, by its beginning and, where there is no magic, its structure."""
    if not size_bytes:
        return Format.EMPTY
    file = File(read_at, size_bytes, read_at(0, HEAD_BYTES))
    for offset, magic, found in _MAGICS:
        if file.head[offset : offset + len(magic)] == magic:
            return found
    if file.head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _kind_of_zip(file)
    for is_format, found in _STRUCTURES:
        if is_format(file):
            return found
    text = text_of(file)
    if text is not None:
        return Format.UNKNOWN if _PDF.search(text, 0, _PDF_WITHIN) else _kind_of_text(text)
    return Format.EXECUTABLE if structures.is_bytecode(file) else Format.UNKNOWN


def _any_of(formats: frozenset[Format]) -> str:
    return " or ".join(sorted(formats - {Format.UNKNOWN, Format.EMPTY}))


def _find_hidden(file: File, found: Format) -> str:
    if found not in _ARCHIVES:
        hidden = structures.find_archive(file)
        # The tools for metadata append label files to TFLite models as an archive; their scanner judges it.
        if hidden and not (found is Format.TFLITE and hidden == "zip"):
            return hidden
    elif found is not Format.TAR and structures.is_tar(file):
        return "tar"
    is_hidden = found is not Format.PICKLE and runs_as_pickle(file.read_at, file.size_bytes)
    return "pickle" if is_hidden else ""


def _is_headed(pattern: re.Pattern[bytes]) -> Callable[[File], bool]:
    return lambda file: pattern.match(file.head) is not None


_STRUCTURES: tuple[tuple[Callable[[File], bool], Format], ...] = (
    (structures.is_program, Format.EXECUTABLE),
    (structures.is_safetensors, Format.SAFETENSORS),
    (structures.is_tar, Format.TAR),
    (_is_headed(_BZIP2), Format.COMPRESSED),
    (_is_headed(_ZSTD_SKIPPED), Format.COMPRESSED),
    (structures.is_zlib, Format.COMPRESSED),
    (structures.is_lzma, Format.COMPRESSED),
    (lambda file: is_pickle(file.read_at, file.size_bytes), Format.PICKLE),
    (structures.is_onnx, Format.ONNX),
    (structures.is_saved_model, Format.TENSORFLOW),
    (structures.is_sentencepiece, Format.SENTENCEPIECE),
    (_is_headed(_XGBOOST_UBJ), Format.XGBOOST_UBJ),
    (is_xgboost_json, Format.XGBOOST_JSON),
    (is_lightgbm, Format.LIGHTGBM),
)


def _kind_of_text(text: str) -> Format:
    keys = json_keys(text)
    if keys is not None:
        if {"learner", "version"} <= keys or {"Config", "Model"} <= keys:
            return Format.XGBOOST_JSON
        return Format.NOTEBOOK if "nbformat" in keys and keys & {"cells", "worksheets"} else Format.JSON
    match xml_root(text):
        case None:
            return Format.TEXT
        case "PMML":
            return Format.PMML
        case "net":
            return Format.OPENVINO
        case _:
            return Format.XML


def _kind_of_zip(file: File) -> Format:
    """Tell the frameworks' archives apart by the names of their members."""
    names = _names_in_zip(file)
    inner = {name.partition("/")[2] or name for name in names}
    if "serialized_exported_program.json" in inner or {"archive_format", "archive_version"} & inner:
        return Format.EXPORTED_PROGRAM
    if "constants.pkl" in inner or any(name.startswith("code/") for name in inner):
        return Format.TORCHSCRIPT
    if "data.pkl" in inner:
        return Format.TORCH
    if "config.json" in names and any(name == "metadata.json" or ".weights." in name for name in names):
        return Format.KERAS
    if "schema.json" in names:
        return Format.SKOPS
    return Format.NPZ if names and all(name.endswith(".npy") for name in names) else Format.ZIP


def _names_in_zip(file: File) -> set[str]:
    try:
        return {member.name for member in read_directory(file.read_at, file.size_bytes).members}
    except RejectedError:
        tail = file.tail(
            _ZIP_NAMES_BYTES
        )  # whatever it is, it is refused; what it holds is to be named as well
    found = ((match.end(), int.from_bytes(match[1], "little")) for match in _ZIP_ENTRY.finditer(tail))
    return {tail[at : at + min(size, MAX_NAME_BYTES)].decode(errors="replace") for at, size in found}

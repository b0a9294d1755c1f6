"""Weights that lie beside a model: where they are, that they are weights, that tensors do not share bytes."""

from collections.abc import Iterable

from strongroom.artifact.formats import Format, identify
from strongroom.artifact.manifest import require_path
from strongroom.artifact.onnx_values import ExternalData
from strongroom.errors import RejectedError, shorten
from strongroom.scan.rule import Rule
from strongroom.scan.scan import Content, Scan
from strongroom.values import Severity

OUTSIDE = Rule(
    "onnx-external-data-outside",
    Severity.CRITICAL,
    "Weights outside the model's folder",
    "The model names a file elsewhere on the machine as its weights. Whoever loads it reads that file, a "
    "password file for instance, and may write over it when the model is saved.",
    "Save the model again with its weights beside it.",
    atlas=("AML.T0011.000", "AML.T0037"),
    aisvs=("6.1.2",),
)
MISSING = Rule(
    "onnx-external-data-missing",
    Severity.HIGH,
    "Weights that are not there",
    "Without all its weights the model cannot be judged; what it would load is up to the machine that it is "
    "on.",
    "Hand in the whole folder, with the files that hold the weights.",
)
BEYOND = Rule(
    "onnx-external-data-beyond-end",
    Severity.HIGH,
    "Weights beyond the end of their file",
    "Readers that do not check read what is not theirs, or fail while they serve.",
    "Save the model and its weights again, together.",
    atlas=("AML.T0029",),
)
OVERLAP = Rule(
    "onnx-external-data-overlap",
    Severity.HIGH,
    "Tensors share a part of their bytes",
    "Two tensors may be one and the same, but no exporter writes tensors that begin within another.",
    "Save the model and its weights again, together.",
)
NOT_WEIGHTS = Rule(
    "onnx-external-data-disguised",
    Severity.HIGH,
    "Another file where weights belong",
    "A file that is a model, an archive or a program of its own is read as numbers here and as what it is "
    "elsewhere.",
    "Save the model and its weights again, together.",
    atlas=("AML.T0074",),
)
RULES = (OUTSIDE, MISSING, BEYOND, OVERLAP, NOT_WEIGHTS)

_WEIGHTS = frozenset({Format.UNKNOWN, Format.EMPTY, Format.TEXT, Format.JSON})
"""What raw numbers may look like."""


def judge_external(scan: Scan, content: Content, external: Iterable[ExternalData]) -> None:
    """Judge where a model says its weights are, and claim the files that hold them."""
    spans: dict[str, list[tuple[int, int, str]]] = {}
    for data in external:
        path = _find_path(scan, content, data)
        if path:
            spans.setdefault(path, []).append((data.offset, data.offset + data.size_bytes, data.tensor))
    for path, parts in spans.items():
        read_at, size_bytes = scan.entries[path]
        found = identify(read_at, size_bytes)
        if found in _WEIGHTS:
            scan.claim(path)
        else:
            scan.add(NOT_WEIGHTS, content.place.named(path), f"{shorten(path)} is {found}")
        _judge_spans(scan, content, path, parts)


def _find_path(scan: Scan, content: Content, data: ExternalData) -> str:
    """Return the entry that holds the tensor; empty if there is none."""
    place = content.place.named(data.tensor)
    try:
        location = require_path(data.location)
    except RejectedError:
        scan.add(OUTSIDE, place, f"its data is in {shorten(data.location)}")
        return ""
    folder = content.path.rpartition("/")[0]
    path = f"{folder}/{location}" if folder else location
    if path not in scan.entries:
        scan.add(MISSING, place, f"its data is in {shorten(location)}, which is not here")
        return ""
    if path == content.path:
        scan.add(OVERLAP, place, "its data is the model's own file")
        return ""
    if data.offset + data.size_bytes > scan.entries[path][1]:
        scan.add(BEYOND, place, f"its data reaches beyond the end of {shorten(path)}")
    return path


def _judge_spans(scan: Scan, content: Content, path: str, parts: list[tuple[int, int, str]]) -> None:
    last_start = last_end = 0
    for start, end, tensor in sorted(parts):
        if start < last_end and (start, end) != (last_start, last_end) and start != end:
            scan.add(OVERLAP, content.place.named(tensor), f"begins within another tensor in {shorten(path)}")
        last_start, last_end = (start, end) if end >= last_end else (last_start, last_end)

"""ONNX, safetensors, GGUF: structure, metadata and templates."""

from strongroom.artifact import gguf, onnx_values, safetensors
from strongroom.artifact.onnx import OperatorError, SelfReferenceError, read_onnx
from strongroom.artifact.onnx_texts import find_texts
from strongroom.errors import RejectedError, shorten
from strongroom.scan.external_data import judge_external
from strongroom.scan.rule import Rule
from strongroom.scan.scan import Content, Scan
from strongroom.values import Severity

OPERATOR = Rule(
    "onnx-operator-unknown",
    Severity.CRITICAL,
    "Operator that is not part of ONNX",
    "An operator outside the standard set is code that somebody else supplies: the model only answers where "
    "a library of theirs is loaded, and that library may do anything.",
    "Export the model with standard operators only.",
    atlas=("AML.T0010.003", "AML.T0011.000"),
    aisvs=("6.1.2",),
)
RECURSION = Rule(
    "onnx-recursion",
    Severity.HIGH,
    "Model that contains itself",
    "A function that calls itself, or graphs nested without end, keep whoever loads the model busy for ever.",
    "Export the model again; no exporter writes this.",
    atlas=("AML.T0029",),
)
SHAPE = Rule(
    "onnx-tensor-shape",
    Severity.HIGH,
    "Tensor that is not as large as it says",
    "Readers that multiply such a shape allocate far too little or far too much memory, and read or write "
    "what is not theirs.",
    "Export the model again; no exporter writes this.",
    atlas=("AML.T0029",),
)
ENGINE_SETTINGS = Rule(
    "onnx-engine-settings",
    Severity.HIGH,
    "Model that configures the engine",
    "Metadata of this name is taken as settings by the engine that loads the model, which is for the "
    "operator of the server to decide.",
    "Remove the key ort_config from the model's metadata.",
    atlas=("AML.T0018.001",),
)
SAFETENSORS_LAYOUT = Rule(
    "safetensors-overlap",
    Severity.HIGH,
    "Tensors overlap or leave a gap",
    "Bytes that belong to no tensor, or to two, are how content is hidden in a file of weights.",
    "Save the weights again with the safetensors library.",
    atlas=("AML.T0011.000",),
)
GGUF_LAYOUT = Rule(
    "gguf-overlap",
    Severity.HIGH,
    "Tensors overlap or leave a gap",
    "Bytes that belong to no tensor, or to two, are how content is hidden in a file of weights.",
    "Convert the model to GGUF again.",
    atlas=("AML.T0011.000",),
)
RULES = (OPERATOR, RECURSION, SHAPE, ENGINE_SETTINGS, SAFETENSORS_LAYOUT, GGUF_LAYOUT)

_ENGINE_SETTINGS = "ort_config"
"""Metadata that onnxruntime may take as session options."""
_TEMPLATE = "tokenizer.chat_template"


def scan_onnx(scan: Scan, content: Content) -> None:
    read_at, size_bytes, place = content.read_at, content.size_bytes, content.place
    try:
        model = read_onnx(read_at, size_bytes, content.name)
    except OperatorError as error:
        scan.add(OPERATOR, place.named(error.node), error.message, error.hint or "")
    except SelfReferenceError as error:
        scan.add(RECURSION, place, error.message)
    except onnx_values.ShapeError as error:
        scan.add(SHAPE, place, error.message)
    else:
        if _ENGINE_SETTINGS in model.metadata:
            scan.add(ENGINE_SETTINGS, place.named(_ENGINE_SETTINGS), "carries settings for the engine")
        judge_external(scan, content, model.external)
    for where, text in find_texts(read_at, size_bytes, content.name):
        scan.text(text, place.named(where))


def scan_safetensors(scan: Scan, content: Content) -> None:
    try:
        _, metadata = safetensors.read_header(content.read_at, content.size_bytes, content.name)
    except safetensors.LayoutError as error:
        scan.add(SAFETENSORS_LAYOUT, content.place, error.message)
        return
    for key, value in metadata.items():
        scan.text(f"{key}: {value}", content.place.named(f"__metadata__ {key}"))


def scan_gguf(scan: Scan, content: Content) -> None:
    try:
        model = gguf.read_gguf(content.read_at, content.size_bytes, content.name)
    except gguf.LayoutError as error:
        scan.add(GGUF_LAYOUT, content.place, error.message)
        return
    from strongroom.scan.templates import scan_template  # Jinja, which no other format here needs

    for key, text in model.texts.items():
        if key == _TEMPLATE or key.startswith(_TEMPLATE + "."):
            scan_template(scan, text, content.place.named(key))
        else:
            scan.text(f"{key}: {text}", content.place.named(key))
    for key in model.templates:
        if key not in model.texts:
            raise RejectedError(f"metadata {shorten(key)} is not a text")

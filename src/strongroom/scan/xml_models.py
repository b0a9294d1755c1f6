"""PMML and OpenVINO IR, and XML that is neither: no entities, no code, no operations from elsewhere."""

import re

from strongroom.artifact.formats import Format, identify
from strongroom.artifact.openvino import GraphError, OpenvinoModel, OperationError, read_openvino
from strongroom.artifact.pmml import Oddity, PmmlModel, read_pmml
from strongroom.artifact.xml_reader import DeclarationError, Element, read_xml
from strongroom.errors import shorten
from strongroom.scan.rule import Rule
from strongroom.scan.scan import Content, Scan
from strongroom.values import Severity

DECLARATION = Rule(
    "xml-declaration",
    Severity.CRITICAL,
    "XML that reaches for other files",
    "Entities, document types, inclusions and instructions make a reader fetch files of the machine or of "
    "the network, or unfold a few bytes into gigabytes.",
    "Remove the DOCTYPE, ENTITY, XInclude or processing instruction; no exporter of models writes one.",
    atlas=("AML.T0011.000", "AML.T0037"),
    aisvs=("6.1.2",),
)
VOCABULARY = Rule(
    "xml-vocabulary-unknown",
    Severity.HIGH,
    "XML of an unknown kind",
    "What XML does depends on who reads it: some kinds start programs or build objects by name.",
    "Leave the file out, or keep its content as JSON or text.",
    atlas=("AML.T0011.000",),
    waivable=True,
)
PMML_ELEMENT = Rule(
    "pmml-element-unknown",
    Severity.HIGH,
    "Element that is not PMML",
    "An element beside the standard is read by one program only, and may be a script or a table from "
    "elsewhere.",
    "Export the model with standard elements only.",
    atlas=("AML.T0011.000", "AML.T0018.001"),
)
PMML_FUNCTION = Rule(
    "pmml-function-unknown",
    Severity.CRITICAL,
    "Function that is not part of PMML",
    "A function that is neither built in nor defined in the model is code of the machine that evaluates it: "
    "evaluators look for a class of that name.",
    "Use the built-in functions of PMML, or define the function in the model.",
    atlas=("AML.T0010.003", "AML.T0011.000"),
    aisvs=("6.1.2",),
)
PMML_RECURSION = Rule(
    "pmml-function-recursion",
    Severity.HIGH,
    "Function that calls itself",
    "PMML has no recursion; an evaluator that follows it never ends.",
    "Define the function without itself.",
    atlas=("AML.T0029",),
)
PMML_CODE = Rule(
    "pmml-extension-code",
    Severity.HIGH,
    "Extension that carries code",
    "Extensions are for notes of one program to itself. This one looks like a script, which such a program "
    "may run.",
    "Remove the extension.",
    atlas=("AML.T0011.000", "AML.T0018.002"),
)
OPENVINO_OPERATION = Rule(
    "openvino-operation-unknown",
    Severity.CRITICAL,
    "Operation that is not part of OpenVINO",
    "An operation outside the standard sets is code that somebody else supplies as a library to be loaded.",
    "Convert the model with standard operations only.",
    atlas=("AML.T0010.003", "AML.T0011.000"),
    aisvs=("6.1.2",),
)
OPENVINO_GRAPH = Rule(
    "openvino-graph",
    Severity.HIGH,
    "Layers that lead nowhere, or round",
    "Whoever loads such a model follows its edges for ever, or to a layer that is not there.",
    "Convert the model again; no converter writes this.",
    atlas=("AML.T0029",),
)
OPENVINO_BEYOND = Rule(
    "openvino-weights-beyond-end",
    Severity.HIGH,
    "Weights beyond the end of their file",
    "Readers that do not check read what is not theirs, or fail while they serve.",
    "Convert the model again, and keep its .xml and .bin together.",
    atlas=("AML.T0029",),
)
OPENVINO_MISSING = Rule(
    "openvino-weights-missing",
    Severity.MEDIUM,
    "Weights that are not there",
    "The model says what to compute, but the file with its numbers was not handed in and cannot be judged.",
    "Hand in the .bin file beside the .xml.",
)
OPENVINO_NOT_WEIGHTS = Rule(
    "openvino-weights-disguised",
    Severity.HIGH,
    "Another file where weights belong",
    "A file that is a model, an archive or a program of its own is read as numbers here and as what it is "
    "elsewhere.",
    "Convert the model again.",
    atlas=("AML.T0074",),
)
RULES = (
    DECLARATION,
    VOCABULARY,
    PMML_ELEMENT,
    PMML_FUNCTION,
    PMML_RECURSION,
    PMML_CODE,
    OPENVINO_OPERATION,
    OPENVINO_GRAPH,
    OPENVINO_BEYOND,
    OPENVINO_MISSING,
    OPENVINO_NOT_WEIGHTS,
)

_WEIGHTS = frozenset({Format.UNKNOWN, Format.EMPTY, Format.TEXT, Format.JSON})
_DATA_ROOTS = frozenset({"annotation", "annotations", "opencv_storage"})
"""XML that holds numbers and names only: labels of pictures, and matrices as OpenCV keeps them."""
_CODE = re.compile(
    r"[{}`<>|\\$;]|\w\((?!s\))|\w\s{1,8}\(\s{0,8}[\"']|\]\s{0,8}\(|\b(?:java)?script\b|\bgroovy\b"
    r"|^[ \t]{0,64}(?:import|from)[ \t]{1,8}[\w.]{1,256}(?:[ \t]{1,8}import\b.{0,256})?[ \t]{0,8}$",
    re.IGNORECASE | re.MULTILINE,
)
"""What notes do not have, and every language has something of: calls, blocks, pipes, imports."""
_BATCH_CHARS = 64 * 1024


def scan_pmml(scan: Scan, content: Content) -> None:
    try:
        model = read_pmml(content.read_at, content.size_bytes)
    except DeclarationError as error:
        scan.add(DECLARATION, content.place, error.message)
        return
    for line, text in _batches(model):
        scan.text(text, content.place.named(f"line {line}"))
    for odd in model.unknown_elements:
        _add(scan, content, PMML_ELEMENT, odd, "is not an element of PMML")
    for odd in model.unknown_functions:
        _add(scan, content, PMML_FUNCTION, odd, "is neither built in nor defined here")
    for name in model.recursive_functions:
        scan.add(PMML_RECURSION, content.place.named(name), f"function {shorten(name)} calls itself")
    for odd in model.extensions:
        if _CODE.search(odd.what):
            _add(scan, content, PMML_CODE, odd, "looks like code")


def scan_openvino(scan: Scan, content: Content) -> None:
    try:
        model = read_openvino(content.read_at, content.size_bytes)
    except DeclarationError as error:
        scan.add(DECLARATION, content.place, error.message)
    except OperationError as error:
        scan.add(OPENVINO_OPERATION, content.place.named(error.layer), error.message, error.hint or "")
    except GraphError as error:
        scan.add(OPENVINO_GRAPH, content.place, error.message)
    else:
        scan.text("\n".join(text for _, text in model.texts), content.place)
        _judge_weights(scan, content, model)


def scan_xml(scan: Scan, content: Content) -> None:
    """XML that is no model: data of a known kind, or refused."""
    texts: list[str] = []

    def start(element: Element) -> None:
        if not element.depth and (element.name not in _DATA_ROOTS or element.namespace):
            scan.add(VOCABULARY, content.place, f"its root is {shorten(element.name)}")
        texts.extend(element.attributes.values())

    def end(_: Element, text: str) -> None:
        if text:
            texts.append(text)

    try:
        read_xml(content.read_at, content.size_bytes, start, end)
    except DeclarationError as error:
        scan.add(DECLARATION, content.place, error.message)
    scan.text("\n".join(texts), content.place)


def _add(scan: Scan, content: Content, rule: Rule, odd: Oddity, what: str) -> None:
    scan.add(rule, content.place.named(f"line {odd.line}"), f"{shorten(odd.what)} {what}")


def _batches(model: PmmlModel) -> list[tuple[int, str]]:
    """Texts by the line that they begin on, short ones together."""
    batches: list[tuple[int, str]] = []
    line, words, chars = 0, list[str](), 0
    for number, text in model.texts:
        line = line if words else number
        words.append(text)
        chars += len(text)
        if chars > _BATCH_CHARS:
            batches.append((line, "\n".join(words)))
            words, chars = [], 0
    if words:
        batches.append((line, "\n".join(words)))
    return batches


def _judge_weights(scan: Scan, content: Content, model: OpenvinoModel) -> None:
    """The weights lie in a file of the same name; claim it."""
    stem, dot, _ = content.path.rpartition(".")
    path = f"{stem}.bin" if dot else f"{content.path}.bin"
    if path not in scan.entries:
        if model.constants:
            scan.add(
                OPENVINO_MISSING, content.place, f"its weights are in {shorten(path)}, which is not here"
            )
        return
    read_at, size_bytes = scan.entries[path]
    found = identify(read_at, size_bytes)
    if found in _WEIGHTS:
        scan.claim(path)
    else:
        scan.add(OPENVINO_NOT_WEIGHTS, content.place.named(path), f"{shorten(path)} is {found}")
    for constant in model.constants:
        if constant.offset + constant.size_bytes > size_bytes:
            place = content.place.named(constant.layer)
            scan.add(OPENVINO_BEYOND, place, f"its data reaches beyond the end of {shorten(path)}")

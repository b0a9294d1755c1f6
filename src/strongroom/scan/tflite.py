"""TensorFlow Lite: built-in operators, custom ones by exact allow-list, and the files appended to a model."""

from strongroom.artifact.flexbuffers import parse_flex_options
from strongroom.artifact.saved_model import read_node
from strongroom.artifact.tflite import CustomUse, read_tflite
from strongroom.artifact.zips import open_member, read_directory
from strongroom.errors import RejectedError, shorten
from strongroom.scan import tensorflow_rules as rules
from strongroom.scan.name_lists import parse_names
from strongroom.scan.scan import MAX_MEMBER_BYTES, Content, Scan
from strongroom.scan.tensorflow_graph import FILE_OPS, PYTHON_OPS
from strongroom.scan.tensorflow_names import is_inert

MAX_SLACK_BYTES = 4096
"""Behind the structure: what options hold that is not looked into, and filling."""
INERT_CUSTOM = parse_names(
    "TFLite_Detection_PostProcess AudioSpectrogram Mfcc MaxPoolingWithArgmax2D MaxUnpooling2D "
    "Convolution2DTransposeBias Convolution2DTransposeBiasV2"
)
"""Custom operators that only compute, of TensorFlow Lite itself and of MediaPipe."""
_FLEX = "Flex"


def scan_tflite(scan: Scan, content: Content) -> None:
    """Look at operators, texts and appended files.

    Raises:
        RejectedError: see `read_tflite`; bytes behind the model that are no archive of files.
    """
    model = read_tflite(content.read_at, content.size_bytes)
    scan.text("\n".join(model.texts), content.place)
    for use in model.custom:
        _judge_custom(scan, content, use)
    if content.size_bytes - model.end > MAX_SLACK_BYTES or _ends_in_archive(content):
        _scan_appended(scan, content, model.end)


def _judge_custom(scan: Scan, content: Content, use: CustomUse) -> None:
    place = content.place.named(use.where)
    if use.name in INERT_CUSTOM:
        return
    if not use.name.startswith(_FLEX):
        scan.add(rules.TFLITE_CUSTOM, place, f"custom operator {shorten(use.name)}")
        return
    name, data = parse_flex_options(use.options)
    node = read_node(data)
    if name != use.name.removeprefix(_FLEX) or node.op != name:
        raise RejectedError(f"operator {shorten(use.name)} runs {shorten(node.op)}")
    if name in PYTHON_OPS:
        scan.add(rules.PYTHON, place, f"operation {name}")
    elif name in FILE_OPS:
        scan.add(rules.FILES, place, f"operation {name}")
    elif not is_inert(name) or node.functions:
        scan.add(rules.OPERATOR, place, f"operation {shorten(name)}")


def _ends_in_archive(content: Content) -> bool:
    tail = content.read_at(max(0, content.size_bytes - MAX_SLACK_BYTES), MAX_SLACK_BYTES)
    return b"PK\x05\x06" in tail


def _scan_appended(scan: Scan, content: Content, end: int) -> None:
    """Label files and vocabularies, which the tools for metadata append as an archive."""
    directory = read_directory(content.read_at, content.size_bytes, (end, end + MAX_SLACK_BYTES))
    for member in directory.members:
        place = content.place.enter(member.name)
        if member.is_folder:
            continue
        read_at, size_bytes = open_member(content.read_at, member, MAX_MEMBER_BYTES)
        if member.method:
            scan.spend(size_bytes)
        scan.descend(Content(read_at, size_bytes, place))

"""skops archives: a tree of nodes, each loader with its own types, and the arrays that nodes name."""

import json

from strongroom.artifact.formats import Format
from strongroom.artifact.zips import ZipMember, is_packed, open_member, read_zip
from strongroom.errors import RejectedError, shorten
from strongroom.scan import boosters, pickle_rules
from strongroom.scan.pickle_rules import EXECUTES as PICKLE_EXECUTES
from strongroom.scan.place import Place
from strongroom.scan.rule import Rule
from strongroom.scan.scan import MAX_MEMBER_BYTES, Content, Scan
from strongroom.scan.skops_nodes import SkopsTree
from strongroom.values import Severity

_FIX = "Do not load it. Save it again with skops, made of scikit-learn's classes only, or export it to ONNX."
EXECUTES = Rule(
    "skops-code-execution",
    Severity.CRITICAL,
    "Names a function that runs code",
    "A skops file is safe only as long as the names in it are. This one names something that can run "
    "programs "
    "or read files, and a loader that is told to trust it will call it.",
    _FIX,
    atlas=("AML.T0010.003", "AML.T0011.000", "AML.T0018.002"),
)
TYPE = Rule(
    "skops-type-not-allowed",
    Severity.HIGH,
    "Names something that is not on the list",
    "Loading imports and uses whatever the file names. Only names that were looked at are allowed, each "
    "for the "
    "loader that it is for; a loader that is given another type can be led to call it.",
    _FIX,
    atlas=("AML.T0010.003", "AML.T0011.000"),
)
MEMBER = Rule(
    "skops-member-unknown",
    Severity.HIGH,
    "Something that no skops file holds",
    "The archive holds a file that the model does not refer to, or not in the way its kind is read. Code "
    "travels "
    "past scanners this way.",
    "Save the model again with skops, and keep other files beside it, not in it.",
    atlas=("AML.T0010.003", "AML.T0011.000"),
)
RULES = (EXECUTES, TYPE, MEMBER)

SCHEMA = "schema.json"
MAX_SCHEMA_BYTES = 64 * 2**20
MAX_TEXT_BYTES = 16 * 2**20
_HIGHEST_PROTOCOL = 2

_READ_AS = {"NdArrayNode": frozenset({Format.NUMPY}), "SparseMatrixNode": frozenset({Format.NPZ})}


def scan_skops(scan: Scan, content: Content) -> None:
    """Judge a skops archive: its schema, then every file that the schema names, and no others."""
    members = {member.name: member for member in read_zip(content.read_at, content.size_bytes)}
    schema = members.pop(SCHEMA, None)
    if schema is None:
        raise RejectedError("a skops archive without its schema")
    place = content.place.enter(SCHEMA)
    tree = SkopsTree(lambda module, name, why: _report(scan, place, module, name, why))
    try:
        _walk(tree, _parse(_open(scan, content, schema, MAX_SCHEMA_BYTES)))
    finally:
        text = "\n".join(tree.texts)[:MAX_TEXT_BYTES]
        scan.text(text.encode("utf-8", "replace").decode(), place)
    for name, member in members.items():
        _judge_member(scan, content, member, tree.files.get(name))
    missing = tree.files.keys() - members.keys()
    if missing:
        raise RejectedError(f"a skops archive without {shorten(min(missing))}, which its schema names")
    for library, source in tree.boosters:
        _judge_booster(scan, content, members, library, source)


def _open(scan: Scan, content: Content, member: ZipMember, limit: int) -> Content:
    if is_packed(member):
        scan.spend(member.size_bytes)
    read_at, size_bytes = open_member(content.read_at, member, limit)
    return Content(read_at, size_bytes, content.place.enter(member.name))


def _parse(schema: Content) -> object:
    try:
        return json.loads(schema.read(MAX_SCHEMA_BYTES), object_pairs_hook=_distinct)
    except RecursionError:
        raise RejectedError("a schema that is nested too deeply") from None
    except ValueError:
        raise RejectedError("a schema that is not JSON") from None


def _distinct(pairs: list[tuple[str, object]]) -> dict[str, object]:
    named = dict(pairs)
    if len(named) != len(pairs):
        raise RejectedError("a schema with a name given twice")
    return named


def _walk(tree: SkopsTree, schema: object) -> None:
    if not isinstance(schema, dict):
        raise RejectedError("a schema that is not a node")
    protocol = schema.get("protocol", 0)
    if isinstance(protocol, bool) or not isinstance(protocol, int) or not 0 <= protocol <= _HIGHEST_PROTOCOL:
        raise RejectedError("a skops archive of an unknown protocol")
    tree.walk(schema, is_root=True)


def _report(scan: Scan, place: Place, module: str, name: str, why: str) -> None:
    rule = EXECUTES if pickle_rules.rule_for(module, name) is PICKLE_EXECUTES else TYPE
    scan.add(rule, place.named(f"{module}.{name}"), f"names {shorten(f'{module}.{name}')}, which {why}")


def _judge_member(scan: Scan, content: Content, member: ZipMember, loader: str | None) -> None:
    place = content.place.enter(member.name)
    if loader is None or member.is_folder:
        scan.add(MEMBER, place, f"holds {shorten(member.name)}, which no node names")
    inner = _open(scan, content, member, MAX_MEMBER_BYTES)
    if loader is None or loader in _READ_AS:
        found = scan.descend(inner)
        if loader is not None and found not in _READ_AS[loader]:
            scan.add(MEMBER, place, f"is {found} where an array belongs")


def _judge_booster(
    scan: Scan, content: Content, members: dict[str, ZipMember], library: str, source: str
) -> None:
    kind, _, value = source.partition(":")
    place = content.place.enter(f"{library} model")
    if kind == "text":
        data = value.encode("utf-8", "surrogatepass")
    else:
        data = _open(scan, content, members[value], MAX_MEMBER_BYTES).read(MAX_MEMBER_BYTES)
    if library == "xgboost":
        boosters.scan_snapshot(scan, data, place)
    elif scan.descend_bytes(data, place) is not Format.LIGHTGBM:
        raise RejectedError("what is kept as a LightGBM model is none")

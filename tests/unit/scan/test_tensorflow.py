"""SavedModels and TensorFlow Lite: what reads files, calls Python or misuses the saver is refused."""

import io
import zipfile
from pathlib import Path

import pytest

from strongroom.artifact.flatbuffers import FlatFile
from strongroom.artifact.saved_model import Function, MetaGraph, Node, Saver, read_saved_model
from strongroom.artifact.tensor_bundle import BundleEntry, read_bundle, require_covered
from strongroom.artifact.tflite import read_tflite
from strongroom.errors import RejectedError
from strongroom.scan.place import Place
from strongroom.scan.scan import Scan
from strongroom.scan.tensorflow_graph import judge_graph
from strongroom.scan.upload import Report, Verdict
from tests.unit.scan.looking import rules, scan_files

_VECTORS = Path(__file__).parents[2] / "vectors"
_TENSORFLOW = _VECTORS / "tensorflow"
_SHARD = "variables/variables.data-00000-of-00001"


def folder(name: str, root: Path = _TENSORFLOW) -> dict[str, bytes]:
    base = root / name
    return {
        str(path.relative_to(base)): path.read_bytes() for path in sorted(base.rglob("*")) if path.is_file()
    }


def sample(name: str) -> Report:
    return scan_files({name: (_TENSORFLOW / name).read_bytes()})


def node(op: str, *inputs: str, name: str = "", value: str | None = None, calls: str = "") -> Node:
    return Node(name or op.lower(), op, inputs, (calls,) if calls else (), value)


def judged(*nodes: Node, graph: MetaGraph | None = None) -> set[str]:
    graph = graph or MetaGraph()
    graph.nodes = nodes
    scan = Scan({}, lambda *_: None, lambda *_: None)
    judge_graph(scan, graph, Place("saved_model.pb"))
    return rules(scan.matches)


@pytest.mark.parametrize("name", ["dense", "asset_table"])
def test_exported_models_pass(name: str) -> None:
    assert scan_files(folder(name)).matches == ()
    inside = {f"models/1/{path}": data for path, data in folder(name).items()}
    assert scan_files(inside).matches == ()


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("write_file", "tensorflow-file-access"),
        ("restore", "tensorflow-saver-misused"),
        ("table_file", "tensorflow-table-file"),
        ("python", "tensorflow-python-call"),
    ],
)
def test_exported_attacks_are_refused(name: str, rule: str) -> None:
    report = scan_files(folder(name))
    assert report.verdict is Verdict.REFUSED
    assert rule in rules(report.matches)


def test_labelled() -> None:
    artifacts = _VECTORS / "artifacts"
    assert scan_files(folder("sm_ok", artifacts)).verdict is Verdict.ACCEPTED
    assert "tensorflow-file-access" in rules(scan_files(folder("sm_readfile", artifacts)).matches)


@pytest.mark.parametrize(
    ("op", "rule"),
    [
        ("ReadFile", "tensorflow-file-access"),
        ("MatchingFiles", "tensorflow-file-access"),
        ("PrintV2", "tensorflow-file-access"),
        ("DebugIdentityV2", "tensorflow-file-access"),
        ("ImmutableConst", "tensorflow-file-access"),
        ("DecodeProtoV2", "tensorflow-file-access"),
        ("FixedUnigramCandidateSampler", "tensorflow-file-access"),
        ("TFRecordDatasetV2", "tensorflow-file-access"),
        ("CreateSummaryFileWriter", "tensorflow-file-access"),
        ("RpcServer", "tensorflow-file-access"),
        ("GenerateVocabRemapping", "tensorflow-file-access"),
        ("LoadAndRemapMatrix", "tensorflow-file-access"),
        ("EagerPyFunc", "tensorflow-python-call"),
        ("PyFuncStateless", "tensorflow-python-call"),
        ("XlaCallModule", "tensorflow-operator-not-allowed"),
        ("TPUCompile", "tensorflow-operator-not-allowed"),
        ("RangeDataset", "tensorflow-operator-not-allowed"),
        ("SimpleMLInferenceOpWithHandle", "tensorflow-operator-not-allowed"),
        ("matmul", "tensorflow-operator-not-allowed"),
        ("", "tensorflow-operator-not-allowed"),
    ],
)
def test_operations_that_do_more_than_compute(op: str, rule: str) -> None:
    assert judged(node(op, name="n")) == {rule}
    library = MetaGraph(functions={"f": Function("f", (), (node(op, name="n"),))})
    assert judged(graph=library) == {rule}


def test_operations_that_compute_pass() -> None:
    ops = "MatMul Conv2D Placeholder VarHandleOp ReadVariableOp StatefulPartitionedCall If While Assert"
    assert judged(*(node(op) for op in [*ops.split(), "LookupTableFindV2"])) == set()


def saver(*nodes: Node, inputs: tuple[str, ...] = ("prefix",)) -> MetaGraph:
    graph = MetaGraph(saver=Saver("filename:0", "call:0", "call"))
    graph.functions["restore"] = Function("restore", inputs, nodes)
    return graph


_RESTORE = node("RestoreV2", "prefix", "names:output:0")
_CALL = node("StatefulPartitionedCall", "filename", name="call", calls="restore")
_FILENAME = node("Placeholder", name="filename")


def test_variables_are_restored_from_where_the_loader_says() -> None:
    assert judged(_FILENAME, _CALL, graph=saver(_RESTORE)) == set()


SAVER_ATTACKS: dict[str, tuple[tuple[Node, ...], MetaGraph]] = {
    "path of its own": ((), saver(node("Const", name="c", value="/etc/x"), node("RestoreV2", "c:output:0"))),
    "path put before": (
        (_FILENAME, _CALL),
        saver(
            node("Const", name="c", value="/etc/"),
            node("StringJoin", "c:output:0", "prefix"),
            node("RestoreV2", "stringjoin:output:0"),
        ),
    ),
    "path behind": (
        (_FILENAME, _CALL),
        saver(
            node("Const", name="c", value="/../../x"),
            node("StringJoin", "prefix", "c:output:0"),
            node("SaveV2", "stringjoin:output:0"),
        ),
    ),
    "computed path": ((), saver(node("DecodeBase64", "prefix"), node("RestoreV2", "decodebase64:output:0"))),
    "another placeholder": (
        (node("Placeholder", name="x"), node("StatefulPartitionedCall", "x", name="call", calls="restore")),
        saver(_RESTORE),
    ),
    "constant for the call": (
        (
            node("Const", name="x", value="/etc/x"),
            node("StatefulPartitionedCall", "x", name="call", calls="restore"),
        ),
        saver(_RESTORE),
    ),
    "another call": (
        (_FILENAME, node("StatefulPartitionedCall", "filename", name="other", calls="restore")),
        saver(_RESTORE),
    ),
    "in a branch": ((_FILENAME, node("If", "filename", name="call", calls="restore")), saver(_RESTORE)),
    "in the graph": ((node("Const", name="c", value="/etc/x"), node("RestoreV2", "c")), saver()),
    "without a path": ((node("MergeV2Checkpoints"),), saver()),
    "variable that is assigned twice": (
        (
            _FILENAME,
            node("VarHandleOp", name="v"),
            node("Const", name="c", value="/etc/x"),
            node("AssignVariableOp", "v", "filename", name="a"),
            node("AssignVariableOp", "v", "c", name="b"),
            node("ReadVariableOp", "v", name="r"),
            node("RestoreV2", "r"),
        ),
        saver(),
    ),
}


@pytest.mark.parametrize(("nodes", "graph"), SAVER_ATTACKS.values(), ids=SAVER_ATTACKS)
def test_the_saver_elsewhere_is_refused(nodes: tuple[Node, ...], graph: MetaGraph) -> None:
    assert "tensorflow-saver-misused" in judged(*nodes, graph=graph)


def test_a_saver_that_callers_reach_is_refused() -> None:
    graph = saver(_RESTORE)
    graph.signature_tensors = {"filename:0"}
    assert "tensorflow-saver-misused" in judged(_FILENAME, _CALL, graph=graph)
    exported = saver(_RESTORE)
    exported.bound["restore"] = ()
    assert "tensorflow-saver-misused" in judged(_FILENAME, _CALL, graph=exported)
    chosen = saver(_RESTORE)
    chosen.bound["restore"], chosen.objects = (0,), ["constant"]
    assert "tensorflow-saver-misused" in judged(_FILENAME, _CALL, graph=chosen)


def table(kind: str) -> MetaGraph:
    fill = node("InitializeTableFromTextFileV2", "table", "path")
    graph = MetaGraph(functions={"fill": Function("fill", ("path", "table"), (fill,))})
    graph.assets, graph.objects, graph.bound = [("asset:0", "vocab.txt")], [kind, "other"], {"fill": (0, 1)}
    return graph


def test_tables_are_filled_from_assets_only() -> None:
    call = node("StatefulPartitionedCall", "asset", "t", name="init", calls="fill")
    asset = node("Const", name="asset", value="/tmp/vocab.txt")
    assert judged(asset, call, graph=table("asset")) == set()
    assert judged(asset, call, graph=table("constant")) == {"tensorflow-table-file"}
    other = node("StatefulPartitionedCall", "secret", "t", name="init", calls="fill")
    secret = node("Const", name="secret", value="/etc/passwd")
    assert judged(asset, secret, other, graph=table("asset")) == {"tensorflow-table-file"}
    alias = [
        Node("v", "VarHandleOp", (), (), None, "shared"),
        Node("w", "VarHandleOp", (), (), None, "shared"),
        node("AssignVariableOp", "v", "asset", name="a"),
        node("AssignVariableOp", "w", "secret", name="b"),
        node("ReadVariableOp", "v", name="r"),
        node("StatefulPartitionedCall", "r", "t", name="init", calls="fill"),
    ]
    assert judged(asset, secret, *alias, graph=table("asset")) == {"tensorflow-table-file"}


def test_recursive_functions_end() -> None:
    call = node("PartitionedCall", "path", name="c", calls="f")
    fill = node("InitializeTableFromTextFileV2", "table", "path")
    graph = MetaGraph(functions={"f": Function("f", ("path", "table"), (call, fill))})
    assert judged(graph=graph) == set()


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "~/x", "gs://bucket/x", "..\\x"])
def test_assets_outside_are_refused(name: str) -> None:
    files = folder("asset_table")
    model = files["saved_model.pb"]
    wanted = b"\x12\x09vocab.txt"  # AssetFileDef.filename
    assert model.count(wanted) == 1
    padded = name.encode()[:9].ljust(9, b"x")
    report = scan_files(files | {"saved_model.pb": model.replace(wanted, b"\x12\x09" + padded)})
    assert "tensorflow-asset-path" in rules(report.matches)


def test_notes_of_keras_are_judged() -> None:
    files = folder("dense")
    for text, rule in (
        ('{"class_name": "Lambda", "config": {}}', "keras-lambda"),
        ('{"class_name": "function", "module": "os", "config": "system"}', "keras-import"),
        ('{"class_name": "MyModel", "config": {}}', "keras-custom-class"),
    ):
        entry = b"\x10\x01\x2a" + bytes([len(text)]) + text.encode()
        report = scan_files(files | {"keras_metadata.pb": b"\x0a" + bytes([len(entry)]) + entry})
        assert rule in rules(report.matches)
        assert (report.verdict is Verdict.ACCEPTED) == (rule == "keras-custom-class")


def test_data_that_the_index_does_not_list_is_refused() -> None:
    files = folder("dense")
    for change in (files[_SHARD] + b"\x7fELF", files[_SHARD][:-1]):
        assert scan_files(files | {_SHARD: change}).verdict is Verdict.REFUSED
    assert scan_files(files | {"variables/extra.bin": b"\x00\x01\x02\x03"}).verdict is Verdict.REFUSED
    del files[_SHARD]
    assert scan_files(files).verdict is Verdict.REFUSED


def test_broken_indexes_are_refused() -> None:
    data = folder("dense")["variables/variables.index"]
    for at in range(0, len(data), 2):
        for value in (0xFF, 0x00, data[at] ^ 1):
            broken = data[:at] + bytes([value]) + data[at + 1 :]
            try:
                bundle = read_bundle(lambda offset, size: broken[offset : offset + size], len(broken))  # noqa: B023
                require_covered([entry for entry in bundle.entries if entry.size_bytes], 666)
            except RejectedError:
                continue
    with pytest.raises(RejectedError):
        require_covered([BundleEntry("a", 1, 1, 0, 0, 4), BundleEntry("b", 1, 1, 0, 2, 4)], 6)


@pytest.mark.slow
def test_broken_graphs_are_refused_or_read() -> None:
    data = folder("asset_table")["saved_model.pb"]
    for at in range(0, len(data), 23):
        broken = data[:at] + b"\xff" + data[at + 1 :]
        try:
            read_saved_model(lambda offset, size: broken[offset : offset + size], len(broken))  # noqa: B023
        except RejectedError:
            continue


def test_a_constant_bomb_is_refused() -> None:
    """A shape of 2**40 with one value."""
    shape = b"\x12\x08\x12\x06\x08" + b"\x80\x80\x80\x80\x40"[:5]
    tensor = b"\x08\x01" + b"\x12\x08" + shape[2:] + b"\x2a\x04\0\0\0\0"
    value = b"\x42" + bytes([len(tensor)]) + tensor
    attribute = b"\x0a\x05value\x12" + bytes([len(value)]) + value
    const = b"\x0a\x01c\x12\x05Const\x2a" + bytes([len(attribute)]) + attribute
    graph = b"\x0a" + bytes([len(const)]) + const
    meta = b"\x12" + bytes([len(graph)]) + graph
    data = b"\x08\x01\x12" + bytes([len(meta)]) + meta
    with pytest.raises(RejectedError, match="constant"):
        read_saved_model(lambda offset, size: data[offset : offset + size], len(data))


@pytest.mark.parametrize("name", ["dense.tflite", "flex.tflite", "while.tflite"])
def test_converted_models_pass(name: str) -> None:
    assert sample(name).matches == ()


def test_files_of_tensorflow_inside_of_tflite_are_refused() -> None:
    assert "tensorflow-file-access" in rules(sample("flex_file.tflite").matches)


def test_an_operator_under_another_name_is_refused() -> None:
    """The name that runtimes look up stands in the options, the one that people see in the table."""
    data = (_TENSORFLOW / "flex_file.tflite").read_bytes()
    assert data.count(b"FlexReadFile") == 1
    report = scan_files({"a.tflite": data.replace(b"FlexReadFile", b"FlexIdentity")})
    assert report.verdict is Verdict.REFUSED
    custom = scan_files({"a.tflite": data.replace(b"FlexReadFile", b"MyOwnFileOps")})
    assert rules(custom.matches) == {"tflite-custom-operator"}


def test_subgraphs_that_call_themselves_are_refused() -> None:
    data = bytearray((_TENSORFLOW / "while.tflite").read_bytes())
    file = FlatFile(lambda offset, size: bytes(data[offset : offset + size]), len(data))
    options = next(
        table
        for operator in file.root().tables(2)[0].tables(3)
        if (table := operator.table(4)) is not None and len(table.slots) == 2 and table.size_bytes == 12
    )
    for slot in options.slots:
        data[options.at + slot : options.at + slot + 4] = bytes(4)
    with pytest.raises(RejectedError, match="calls itself"):
        read_tflite(lambda offset, size: bytes(data[offset : offset + size]), len(data))


def appended(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO((_TENSORFLOW / "dense.tflite").read_bytes())
    out.seek(0, io.SEEK_END)
    with zipfile.ZipFile(out, "a") as target:
        for name, data in members.items():
            target.writestr(name, data)
    return out.getvalue()


def test_label_files_behind_a_model_are_judged() -> None:
    assert scan_files({"a.tflite": appended({"labels.txt": b"cat\ndog\n"})}).matches == ()
    assert scan_files(
        {"a.tflite": appended({"x.pkl": b"\x80\x04\x8c\x02os\x8c\x06system\x93."})}
    ).verdict is (Verdict.REFUSED)
    assert scan_files({"a.tflite": appended({"../x": b"a"})}).verdict is Verdict.REFUSED


def test_anything_else_behind_a_model_is_refused() -> None:
    data = (_TENSORFLOW / "dense.tflite").read_bytes()
    assert scan_files({"a.tflite": data + b"\x7fELF" + bytes(8192)}).verdict is Verdict.REFUSED
    hidden = data + bytes(8192) + appended({"labels.txt": b"cat"})[len(data) :]
    assert scan_files({"a.tflite": hidden}).verdict is Verdict.REFUSED


@pytest.mark.slow
def test_every_broken_byte_is_refused_or_read() -> None:
    """No other exception leaves, whichever byte is broken."""
    for name in ("dense.tflite", "while.tflite"):
        data = (_TENSORFLOW / name).read_bytes()
        for at in range(len(data)):
            for value in (0xFF, 0x7F):
                broken = data[:at] + bytes([value]) + data[at + 1 :]
                try:
                    read_tflite(lambda offset, size: broken[offset : offset + size], len(broken))  # noqa: B023
                except RejectedError:
                    continue


def test_graphs_written_as_text_are_refused() -> None:
    graph = 'saved_model_schema_version: 1\nmeta_graphs {\n graph_def {\n node {\n op: "ReadFile"\n}\n}\n}\n'
    for name in ("saved_model.pbtxt", "other.pbtxt", "graph.textproto"):
        assert "tensorflow-text-graph" in rules(scan_files({name: graph}).matches)
    assert scan_files({"labels.pbtxt": 'item {\n id: 1\n name: "cat"\n}\n'}).matches == ()

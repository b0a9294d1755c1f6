"""Judge the graph of a SavedModel: operations by exact allow-list; what touches files only in its place.

Every SavedModel saves and restores its variables, and some fill tables from asset files. Which path these
operations get is followed back through the graph: to the one placeholder that the loader fills, or to an
asset.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from strongroom.artifact.saved_model import Function, MetaGraph, Node
from strongroom.errors import RejectedError, shorten
from strongroom.scan import tensorflow_rules as rules
from strongroom.scan.name_lists import parse_names
from strongroom.scan.place import Place
from strongroom.scan.rule import Rule
from strongroom.scan.scan import Scan
from strongroom.scan.tensorflow_names import is_inert

PYTHON_OPS = parse_names("PyFunc EagerPyFunc PyFuncStateless")
FILE_OPS = parse_names(
    "ReadFile WriteFile MatchingFiles PrintV2 Print Save SaveSlices Restore RestoreSlice LoadAndRemapMatrix "
    "ImmutableConst GenerateVocabRemapping WholeFileReader WholeFileReaderV2 TextLineReader TextLineReaderV2 "
    "TFRecordReader TFRecordReaderV2 FixedLengthRecordReader FixedLengthRecordReaderV2 LMDBReader "
    "RecordInput "
    "TextLineDataset TFRecordDataset TFRecordDatasetV2 FixedLengthRecordDataset FixedLengthRecordDatasetV2 "
    "SqlDataset CSVDataset CSVDatasetV2 LMDBDataset MatchingFilesDataset SnapshotDataset SnapshotDatasetV2 "
    "SaveDataset SaveDatasetV2 LoadDataset DatasetToTFRecord CacheDataset CacheDatasetV2 DataServiceDataset "
    "DataServiceDatasetV2 DataServiceDatasetV3 DataServiceDatasetV4 CreateSummaryFileWriter "
    "CreateSummaryDbWriter "
    "DebugIdentity DebugIdentityV2 DebugIdentityV3 DebugNanCount DebugNumericSummary DebugNumericSummaryV2 "
    "DumpTensor Copy CopyHost RemoteCall RpcClient RpcCall RpcServer RpcServerStart RpcServerRegister "
    "Send Recv "
    "DistributedSave RegisterDataset FixedUnigramCandidateSampler Skipgram EncodeProto DecodeProtoV2 "
    "FileSystemSetConfiguration LoadLibrary WorkerHeartbeat"
)
_SAVERS = {"SaveV2": (0,), "RestoreV2": (0,), "MergeV2Checkpoints": (0, 1)}
"""Which inputs are paths."""
_TABLES = {"InitializeTableFromTextFile": (1,), "InitializeTableFromTextFileV2": (1,)}
_CALLS = frozenset({"PartitionedCall", "StatefulPartitionedCall"})
_THROUGH = {
    "Identity": (0,), "StringJoin": None, "Select": (1, 2), "SelectV2": (1, 2), "ShardedFilename": (0,),
    "Pack": None, "ExpandDims": (0,), "Reshape": (0,),
}  # fmt: skip
"""Operations that hand on a path, and from which inputs; None is all."""
_FRAGMENT = re.compile(r"(?:_temp(?:_[0-9a-f]{32})?/)?\.?part|model|", re.ASCII)
"""What a saver puts behind the path it is given."""
_MAX_STEPS = 1_000_000
"""Back along all paths together; models take a few hundred."""
_VARIABLE_USES = frozenset({"AssignVariableOp", "ReadVariableOp", "VarIsInitializedOp"})
_ARGUMENT, _PLACEHOLDER, _ASSET, _TEXT, _OTHER = "argument", "placeholder", "asset", "text", "other"


def judge_graph(scan: Scan, graph: MetaGraph, place: Place) -> None:
    """Report operations that do more than compute."""
    for scope in _scopes(graph):
        for node in scope.nodes:
            _judge_operator(scan, node, place.named(scope.title + node.name))
    _Paths(scan, graph, place).judge()


def _judge_operator(scan: Scan, node: Node, place: Place) -> None:
    if is_inert(node.op) or node.op in _SAVERS or node.op in _TABLES or node.op == "ShardedFilename":
        return
    if node.op in PYTHON_OPS:
        scan.add(rules.PYTHON, place, f"operation {node.op}")
    elif node.op in FILE_OPS:
        scan.add(rules.FILES, place, f"operation {node.op}")
    else:
        scan.add(rules.OPERATOR, place, f"operation {shorten(node.op)}")


@dataclass(frozen=True, slots=True)
class _Scope:
    """The graph itself, or a function of its library."""

    title: str
    function: Function | None
    nodes: tuple[Node, ...]
    by_name: dict[str, Node]


def _scopes(graph: MetaGraph) -> Iterator[_Scope]:
    yield _Scope("", None, graph.nodes, {node.name: node for node in graph.nodes})
    for function in graph.functions.values():
        by_name = {node.name: node for node in function.nodes}
        yield _Scope(f"{function.name}/", function, function.nodes, by_name)


@dataclass(frozen=True, slots=True)
class _Sink:
    """An argument of a function that ends up as a path."""

    function: str
    argument: int
    is_table: bool


class _Paths:
    def __init__(self, scan: Scan, graph: MetaGraph, place: Place) -> None:
        self._scan, self._graph, self._place = scan, graph, place
        self._filename = _node_of(graph.saver.filename) if graph.saver else ""
        self._own = {_node_of(graph.saver.save), _node_of(graph.saver.restore)} if graph.saver else set()
        self._assets = {_node_of(tensor) for tensor, _ in graph.assets}
        self._signature = {_node_of(tensor) for tensor in graph.signature_tensors}
        self._handles = Counter(
            _variable_of(node) for scope in _scopes(graph) for node in scope.nodes if node.op == "VarHandleOp"
        )
        self._steps_left = _MAX_STEPS
        self._sinks: list[_Sink] = []
        self._known: set[_Sink] = set()

    def judge(self) -> None:
        scopes = list(_scopes(self._graph))
        for scope in scopes:
            for node in scope.nodes:
                for index in _SAVERS.get(node.op, ()):
                    self._require(scope, node, index, is_table=False)
                for index in _TABLES.get(node.op, ()):
                    self._require(scope, node, index, is_table=True)
        callers: dict[str, list[tuple[_Scope, Node]]] = {}
        for scope in scopes:
            for node in scope.nodes:
                for name in node.functions:
                    callers.setdefault(name, []).append((scope, node))
        for sink in self._sinks:  # grows while it is walked
            self._require_bound(sink)
            for scope, node in callers.get(sink.function, ()):
                self._require_call(scope, node, sink)

    def _report(self, scope: _Scope, node: Node, message: str, is_table: bool) -> None:
        rule: Rule = rules.TABLE if is_table else rules.SAVER
        self._scan.add(rule, self._place.named(scope.title + node.name), f"{node.op} {message}")

    def _require(self, scope: _Scope, node: Node, index: int, is_table: bool) -> None:
        """The path at an input comes from where it may."""
        data_inputs = [name for name in node.inputs if not name.startswith("^")]
        if index >= len(data_inputs):
            self._report(scope, node, "has no path", is_table)
            return
        sources = list(self._sources(scope, data_inputs[index]))
        kinds = {kind for kind, _ in sources}
        if is_table:
            if kinds not in ({_ASSET}, {_ARGUMENT}):
                self._report(scope, node, "reads a file that is no asset", is_table)
        elif not kinds & {_ARGUMENT, _PLACEHOLDER} or kinds - {_ARGUMENT, _PLACEHOLDER, _TEXT}:
            self._report(scope, node, "has a path of its own", is_table)
        elif scope.function is None and (self._filename in self._signature or node.name in self._signature):
            self._report(scope, node, "is offered to callers", is_table)
        for kind, name in sources:
            if kind == _ARGUMENT and scope.function is not None:
                self._follow(_Sink(scope.function.name, scope.function.arguments.index(name), is_table))

    def _follow(self, sink: _Sink) -> None:
        if sink not in self._known:
            self._known.add(sink)
            self._sinks.append(sink)

    def _require_call(self, scope: _Scope, node: Node, sink: _Sink) -> None:
        if node.op not in _CALLS:
            self._report(scope, node, f"calls {shorten(sink.function)}", sink.is_table)
            return
        if not sink.is_table and (scope.function is not None or node.name not in self._own):
            self._report(scope, node, f"calls {shorten(sink.function)}", sink.is_table)
            return
        self._require(scope, node, sink.argument, sink.is_table)

    def _require_bound(self, sink: _Sink) -> None:
        """What the loader binds to the argument, if the function is one that it offers."""
        bound = self._graph.bound.get(sink.function)
        if bound is None:
            return
        first = len(self._graph.functions[sink.function].arguments) - len(bound)
        kind = _OTHER
        if sink.is_table and 0 <= first <= sink.argument:
            number = bound[sink.argument - first]
            kind = self._graph.objects[number] if number < len(self._graph.objects) else _OTHER
        if kind != _ASSET:
            rule: Rule = rules.TABLE if sink.is_table else rules.SAVER
            message = f"{shorten(sink.function)} takes a path from its caller"
            self._scan.add(rule, self._place.named(sink.function), message)

    def _sources(self, scope: _Scope, tensor: str) -> Iterator[tuple[str, str]]:
        """Where a text comes from: kinds, with the name of an argument."""
        waiting, seen = [tensor], set[str]()
        while waiting:
            name = waiting.pop()
            if name in seen:
                continue
            seen.add(name)
            self._spend(1)
            node = scope.by_name.get(_node_of(name))
            if node is None:
                is_argument = scope.function is not None and name in scope.function.arguments
                yield (_ARGUMENT if is_argument else _OTHER), name
            elif node.op in _THROUGH:
                self._spend(len(node.inputs))
                inputs = [value for value in node.inputs if not value.startswith("^")]
                chosen = _THROUGH[node.op]
                waiting += inputs if chosen is None else [inputs[i] for i in chosen if i < len(inputs)]
            elif node.op == "ReadVariableOp" and scope.function is None:
                assigned = self._assigned(scope, node)
                yield from () if assigned else ((_OTHER, name),)
                waiting += assigned
            else:
                yield self._source(scope, node), name
                if node.op == "PlaceholderWithDefault":
                    waiting += node.inputs[:1]

    def _spend(self, steps: int) -> None:
        self._steps_left -= steps
        if self._steps_left < 0:
            raise RejectedError("the paths of the saver lead through more of the graph than in any model")

    def _assigned(self, graph: _Scope, read: Node) -> list[str]:
        """What is assigned to a variable, if that is all that the graph does with it besides reading it."""
        handle = graph.by_name.get(_node_of(read.inputs[0])) if read.inputs else None
        if handle is None or handle.op != "VarHandleOp" or self._handles[_variable_of(handle)] != 1:
            return []
        self._spend(len(graph.nodes))
        users = [
            node
            for node in graph.nodes
            for name in node.inputs
            if name[:1] != "^" and _node_of(name) == handle.name
        ]
        if any(node.op not in _VARIABLE_USES for node in users):
            return []
        writers = [node for node in users if node.op == "AssignVariableOp"]
        return [node.inputs[1] for node in writers if len(node.inputs) > 1]

    def _source(self, scope: _Scope, node: Node) -> str:
        if scope.function is None and node.name in self._assets and node.op in ("Const", "Placeholder"):
            return _ASSET if node.name not in self._signature else _OTHER
        if node.op == "Const":
            return _TEXT if node.value is not None and _FRAGMENT.fullmatch(node.value) else _OTHER
        is_placeholder = node.op in ("Placeholder", "PlaceholderWithDefault") and scope.function is None
        # A placeholder with a default stands before the one of the saver in graphs of TensorFlow 1.
        known = node.name == self._filename or node.op == "PlaceholderWithDefault"
        return _PLACEHOLDER if is_placeholder and known and node.name not in self._signature else _OTHER


def _variable_of(handle: Node) -> str:
    return handle.shared_name or handle.name


def _node_of(tensor: str) -> str:
    return tensor.lstrip("^").partition(":")[0]

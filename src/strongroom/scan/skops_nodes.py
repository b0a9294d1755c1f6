"""The tree of nodes in a skops file: each loader with the types that it is for, and only its own fields.

A loader imports the type that a node names and calls it, sets its state or looks up an attribute. Which
of these is up to the loader, so a type is judged for the loader that gets it (skops 0.16, skops/io).
"""

import json
import re
from collections.abc import Callable
from typing import Any

from strongroom.errors import RejectedError, shorten
from strongroom.scan.pickle_calls import is_argument_parser
from strongroom.scan.pickle_globals import Allowed, Use, find_allowed

MAX_NODES = 2_000_000

_BASE = frozenset({"__class__", "__module__", "__loader__", "__id__"})
_IGNORED = frozenset({"__id__", "protocol", "_skops_version", "file"})
_ROOT = frozenset({"protocol", "_skops_version"})
_SCALARS = frozenset(
    [
        "bool_",
        "bool",
        "int8",
        "int16",
        "int32",
        "int64",
        "uint8",
        "uint16",
        "uint32",
        "uint64",
        "intc",
        "uintc",
        "longlong",
        "ulonglong",
        "float16",
        "float32",
        "float64",
        "longdouble",
        "complex64",
        "complex128",
        "clongdouble",
        "str_",
        "bytes_",
        "datetime64",
        "timedelta64",
    ]
)
_KEY_TYPES = frozenset({("builtins", name) for name in ("str", "int", "float", "bool")}) | {
    ("numpy", name) for name in _SCALARS
}
_FACTORIES = frozenset(
    {("builtins", name) for name in ("list", "dict", "int", "float", "str", "set", "tuple", "bool")}
) | {("collections", "OrderedDict")}
_CONSTRUCTED = frozenset(
    {("datetime", name) for name in ("date", "datetime", "time", "timedelta", "timezone")}
    | {("decimal", "Decimal"), ("builtins", "complex"), ("builtins", "range")}
)
_GENERATORS = frozenset({"MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64"})
_ATTRIBUTE = re.compile(r"[A-Za-z][A-Za-z0-9_.]*", re.ASCII)

Node = dict[str, Any]
OnProblem = Callable[[str, str, str], None]
"""Hears of a module, a name and what is wrong with it."""


class SkopsTree:
    """Walks the nodes of one file. ``problem`` hears of every type that is not allowed where it stands."""

    def __init__(self, problem: OnProblem) -> None:
        self._problem = problem
        self._open: set[object] = set()
        self._by_id: dict[object, int] = {}
        self._shapes: dict[object, int] = {}
        self._numbers: dict[int, int] = {}
        self._left = MAX_NODES
        self.files: dict[str, str] = {}
        """Members that nodes name, and the loader that reads each."""
        self.texts: list[str] = []
        self.boosters: list[tuple[str, str]] = []
        """The library of a model, and the member or text that is its content."""

    def walk(self, node: object, *, is_root: bool = False) -> Node:
        """Judge a node and all below it; return it.

        Raises:
            RejectedError: it is no node, has fields of another loader, or stands for two things.
        """
        if not isinstance(node, dict):
            raise RejectedError("something stands where a node belongs")
        self._left -= 1
        if self._left < 0:
            raise RejectedError(f"more than {MAX_NODES} nodes")
        names = [node.get(field) for field in ("__loader__", "__module__", "__class__")]
        if not all(isinstance(name, str) for name in names):
            raise RejectedError("a node without a loader, a module or a class")
        loader = str(names[0])
        fields, judge = _LOADERS.get(loader, (frozenset(), None))
        if judge is None:
            self._problem(
                str(names[1]), str(names[2]), f"asks for the loader {shorten(loader)}, which is not allowed"
            )
            return node
        if node.keys() - _BASE - fields - (_ROOT if is_root else frozenset()):
            raise RejectedError(f"a {loader} with fields that it does not have")
        identity = node.get("__id__")
        if not isinstance(identity, int | None):
            raise RejectedError("a node whose identity is not a number")
        if identity is not None and identity in self._open:
            raise RejectedError("a node that holds itself")
        self._open.add(identity)
        judge(self, node)
        self._open.discard(identity)
        self._require_same(node, identity)
        return node

    def _require_same(self, node: Node, identity: int | None) -> None:
        """A loader takes the first node of an identity for all; so they have to be the same."""
        shape = tuple(
            sorted((name, self._shape(value)) for name, value in node.items() if name not in _IGNORED)
        )
        number = self._shapes.setdefault(shape, len(self._shapes))
        self._numbers[id(node)] = number
        if identity is not None and self._by_id.setdefault(identity, number) != number:
            raise RejectedError("two different nodes under one identity")

    def _shape(self, value: object) -> int:
        """Return a number that equal values share."""
        if isinstance(value, dict):
            known = self._numbers.get(id(value))
            if known is not None:
                return known
            key: object = ("dict", tuple(sorted((name, self._shape(item)) for name, item in value.items())))
        elif isinstance(value, list):
            key = ("list", tuple(self._shape(item) for item in value))
        else:
            key = (type(value).__name__, value)
        return self._shapes.setdefault(key, len(self._shapes))

    # parts -------------------------------------------------------------------------------------------

    def _type(self, node: Node) -> tuple[str, str, Allowed | None]:
        module, name = str(node["__module__"]), str(node["__class__"])
        return module, name, find_allowed(module, name)

    def _refuse(self, node: Node, why: str = "is not on the list") -> None:
        self._problem(str(node["__module__"]), str(node["__class__"]), why)

    def _require(self, node: Node, *names: str) -> None:
        """Report a type that is not one of those that this loader is for."""
        if f"{node['__module__']}.{node['__class__']}" not in names:
            self._refuse(node, f"is given to {node['__loader__']}, which is not for it")

    def _all(self, nodes: object) -> list[Node]:
        if not isinstance(nodes, list):
            raise RejectedError("something stands where a list of nodes belongs")
        return [self.walk(node) for node in nodes]

    def _named(self, nodes: object, *names: str) -> dict[str, Node]:
        if not isinstance(nodes, dict) or (names and set(nodes) != set(names)):
            raise RejectedError("something stands where named nodes belong")
        return {str(name): self.walk(node) for name, node in nodes.items()}

    def _of(self, node: object, *loaders: str) -> Node:
        """Judge a node that must be of one of these kinds, since the loader above it calls or unpacks it."""
        found = self.walk(node)
        if found["__loader__"] not in loaders:
            raise RejectedError(f"a {found['__loader__']} where {loaders[0]} belongs")
        return found

    def _file(self, node: Node, pattern: str) -> None:
        name = node.get("file")
        if not isinstance(name, str) or re.fullmatch(pattern, name, re.ASCII) is None:
            raise RejectedError("a node that names no file of the archive")
        loader = self.files.setdefault(name, str(node["__loader__"]))
        if loader != node["__loader__"]:
            raise RejectedError(f"the file {shorten(name)} is read in two ways")

    # loaders -----------------------------------------------------------------------------------------

    def judge_json(self, node: Node) -> None:
        self._require(node, "builtins.str")
        self.constant(node)

    def constant(self, node: Node) -> object:
        """Return the constant of a JsonNode."""
        content = node.get("content")
        if not isinstance(content, str) or node.get("is_json") is not True:
            raise RejectedError("a constant that is not written as JSON")
        try:
            value = json.loads(content)
        except (ValueError, RecursionError):
            raise RejectedError("a constant that is not JSON") from None
        if isinstance(value, list | dict):
            raise RejectedError("a constant that is a container")
        if isinstance(value, str) and len(value) > 7:
            self.texts.append(value)
        return value

    def judge_dict(self, node: Node) -> None:
        _, _, allowed = self._type(node)
        if allowed is None or not (
            allowed.use is Use.DICT or allowed.check in ("ordered-dict", "collection")
        ):
            self._refuse(node)
        types = self._of(node.get("key_types"), "ListNode")
        items = self._named(node.get("content"))
        self.texts += [name for name in items if len(name) > 7]
        for kind in types["content"]:
            if kind["__loader__"] != "TypeNode" or (kind["__module__"], kind["__class__"]) not in _KEY_TYPES:
                self._refuse(kind, "is called with the keys of a dictionary")

    def judge_default_dict(self, node: Node) -> None:
        self._require(node, "collections.defaultdict")
        parts = self._content(node, "main", "default_factory")
        self._of(parts["main"], "DictNode")
        factory = self._of(parts["default_factory"], "TypeNode", "JsonNode")
        named = (factory["__module__"], factory["__class__"])
        if factory["__loader__"] == "TypeNode" and named not in _FACTORIES:
            self._refuse(factory, "is called by a dictionary for what it lacks")

    def _content(self, node: Node, *names: str) -> dict[str, Any]:
        content = node.get("content")
        if not isinstance(content, dict) or set(content) != set(names):
            raise RejectedError(f"a {node['__loader__']} without its parts")
        return content

    def judge_list(self, node: Node) -> None:
        self._require(node, "builtins.list")
        self._all(node.get("content"))

    def judge_set(self, node: Node) -> None:
        self._require(node, "builtins.set", "builtins.frozenset")
        self._all(node.get("content"))

    def judge_tuple(self, node: Node) -> None:
        module, name, allowed = self._type(node)
        if (module, name) != ("builtins", "tuple") and (allowed is None or allowed.use is not Use.TUPLE):
            self._refuse(node)
        self._all(node.get("content"))

    def judge_function(self, node: Node) -> None:
        _, _, allowed = self._type(node)
        if allowed is None or allowed.use is not Use.HOLD:
            self._refuse(node)
        if "content" in node:  # of protocol 0
            path = self._content(node, "module_path", "function")
            allowed = find_allowed(str(path["module_path"]), str(path["function"]))
            if allowed is None or allowed.use is not Use.HOLD:
                self._problem(str(path["module_path"]), str(path["function"]), "is not on the list")

    def judge_partial(self, node: Node) -> None:
        self._require(node, "functools.partial")
        parts = self._content(node, "func", "args", "kwds", "namespace")
        self._of(parts["func"], "FunctionNode", "TypeNode")
        self._of(parts["args"], "TupleNode")
        self._of(parts["kwds"], "DictNode")
        self._of(parts["namespace"], "DictNode", "JsonNode")

    def judge_type(self, node: Node) -> None:
        _, _, allowed = self._type(node)
        if allowed is None or allowed.use is Use.CALL:
            self._refuse(node)

    def judge_made(self, node: Node) -> None:
        if (node["__module__"], node["__class__"]) not in _CONSTRUCTED:
            self._refuse(node, "is called with arguments")
        self._of(node.get("content"), "TupleNode")

    def judge_object(self, node: Node) -> None:
        _, _, allowed = self._type(node)
        is_object = allowed is not None and (
            allowed.use in (Use.OBJECT, Use.DICT, Use.LIST) or allowed.check in _OBJECTS
        )
        if not is_object:
            self._refuse(node)
        state = self.walk(node["content"]) if node.get("content") is not None else None
        if allowed is not None and allowed.check in _OBJECTS:
            _OBJECTS[allowed.check](self, node, state)

    def _booster(self, node: Node, state: Node | None) -> None:
        content = state.get("content") if state is not None and state["__loader__"] == "DictNode" else None
        if not isinstance(content, dict):
            raise RejectedError("a booster without a state")
        for name in ("handle", "_handle"):
            handle = content.get(name)
            if handle is None:
                continue
            library = str(node["__module__"]).partition(".")[0]
            if handle["__loader__"] in _BYTES:
                self.boosters.append((library, f"file:{handle['file']}"))
            elif handle["__loader__"] != "JsonNode":
                raise RejectedError("a booster whose model is not a string")
            elif (value := self.constant(handle)) is not None:
                if not isinstance(value, str):
                    raise RejectedError("a booster whose model is not a string")
                self.boosters.append((library, f"text:{value}"))

    def _distribution(self, node: Node, state: Node | None) -> None:
        content = state.get("content") if state is not None and state["__loader__"] == "DictNode" else None
        template = content.get("_parse_arg_template") if isinstance(content, dict) else None
        if not isinstance(template, dict) or template["__loader__"] != "JsonNode":
            raise RejectedError("a distribution of SciPy without its functions")
        if not is_argument_parser(self.constant(template)):
            self._refuse(node, "has functions that are not those of SciPy")

    def judge_operator(self, node: Node) -> None:
        self._require(node, "operator.itemgetter", "operator.attrgetter")
        attributes = self._of(node.get("attrs"), "TupleNode")
        if node["__class__"] == "attrgetter":
            for part in attributes["content"]:
                name = self.constant(part) if part["__loader__"] == "JsonNode" else None
                if not isinstance(name, str) or _ATTRIBUTE.fullmatch(name) is None or "._" in name:
                    raise RejectedError("an attribute getter of something that is no plain attribute")

    def judge_bytes(self, node: Node) -> None:
        self._require(node, "builtins.bytes" if node["__loader__"] == "BytesNode" else "builtins.bytearray")
        self._file(node, r"[0-9a-f-]{36}\.bin")

    def judge_slice(self, node: Node) -> None:
        self._require(node, "builtins.slice")
        parts = self._content(node, "start", "stop", "step")
        if not all(isinstance(part, int | str | None) for part in parts.values()):
            raise RejectedError("a slice of something else than numbers")

    def judge_array(self, node: Node) -> None:
        if node["__module__"] != "numpy" or node["__class__"] not in _SCALARS | {"ndarray", "matrix"}:
            self._refuse(node, "is called with the content of an array")
        if node.get("type") == "json":
            self._all(node.get("content"))
            shape = self._of(node.get("shape"), "TupleNode")
            sizes = [self.constant(part) for part in shape["content"] if part["__loader__"] == "JsonNode"]
            if len(sizes) != len(shape["content"]) or not all(isinstance(size, int) for size in sizes):
                raise RejectedError("an array whose shape is not made of numbers")
        elif node.get("type") == "numpy" and "content" not in node:
            self._file(node, r"[0-9]{1,20}\.npy")
        else:
            raise RejectedError("an array of an unknown kind")

    def judge_masked(self, node: Node) -> None:
        self._require(node, "numpy.ma.MaskedArray", "numpy.ma.core.MaskedArray")
        for part in self._content(node, "data", "mask").values():
            self._of(part, "NdArrayNode", "JsonNode")

    def judge_random_state(self, node: Node) -> None:
        self._require(node, "numpy.random.mtrand.RandomState")
        self._of(node.get("content"), "DictNode")

    def judge_random_generator(self, node: Node) -> None:
        self._require(node, "numpy.random._generator.Generator")
        content = node.get("content")
        if not isinstance(content, dict) or not {"bit_generator"} <= set(content) <= {
            "bit_generator",
            "seed_seq",
        }:
            raise RejectedError("a random generator without its parts")
        state = self._of(content["bit_generator"], "DictNode")
        if "seed_seq" in content:
            self._of(content["seed_seq"], "DictNode")
        name = state["content"].get("bit_generator")
        kind = self.constant(name) if isinstance(name, dict) and name["__loader__"] == "JsonNode" else None
        if kind not in _GENERATORS:
            self._problem("numpy.random", str(kind), "is called as a random generator")

    def judge_dtype(self, node: Node) -> None:
        self._require(node, "numpy.dtype")
        self._of(node.get("content"), "NdArrayNode")

    def judge_sparse(self, node: Node) -> None:
        module, name, _ = self._type(node)
        if (
            not module.startswith("scipy.sparse")
            or find_allowed(module, name) is None
            or node.get("type") != "scipy"
        ):
            self._refuse(node)
        self._file(node, r"[0-9]{1,20}\.npz")

    def judge_reduced(self, node: Node) -> None:
        """TreeNode and LossNode: the type is called with arguments, then given its state."""
        module, name, _ = self._type(node)
        if node["__loader__"] == "TreeNode":
            self._require(node, "sklearn.tree._tree.Tree")
        elif module not in _LOSSES or find_allowed(module, name) is None or name.startswith("__"):
            self._refuse(node)
        reduce = node.get("__reduce__")
        if not isinstance(reduce, dict) or set(reduce) != {"args"}:
            raise RejectedError("an object without its arguments")
        self._of(reduce["args"], "TupleNode", "JsonNode")
        self.walk(node.get("content"))


_LOSSES = frozenset({"sklearn._loss._loss", "sklearn.linear_model._sgd_fast"})
_BYTES = frozenset({"BytesNode", "BytearrayNode"})
_OBJECTS: dict[str, Callable[[SkopsTree, Node, Node | None], None]] = {
    "xgboost-booster": SkopsTree._booster,  # noqa: SLF001
    "lightgbm-booster": SkopsTree._booster,  # noqa: SLF001
    "distribution": SkopsTree._distribution,  # noqa: SLF001
}
_CONTENT = frozenset({"content"})
_LOADERS: dict[str, tuple[frozenset[str], Callable[[SkopsTree, Node], None] | None]] = {
    "JsonNode": (frozenset({"content", "is_json"}), SkopsTree.judge_json),
    "DictNode": (frozenset({"content", "key_types"}), SkopsTree.judge_dict),
    "DefaultDictNode": (_CONTENT, SkopsTree.judge_default_dict),
    "ListNode": (_CONTENT, SkopsTree.judge_list),
    "SetNode": (_CONTENT, SkopsTree.judge_set),
    "TupleNode": (_CONTENT, SkopsTree.judge_tuple),
    "FunctionNode": (_CONTENT, SkopsTree.judge_function),
    "PartialNode": (_CONTENT, SkopsTree.judge_partial),
    "TypeNode": (frozenset(), SkopsTree.judge_type),
    "ConstructorFromReduceNode": (_CONTENT, SkopsTree.judge_made),
    "ObjectNode": (_CONTENT, SkopsTree.judge_object),
    "OperatorFuncNode": (frozenset({"attrs"}), SkopsTree.judge_operator),
    "BytesNode": (frozenset({"file"}), SkopsTree.judge_bytes),
    "BytearrayNode": (frozenset({"file"}), SkopsTree.judge_bytes),
    "SliceNode": (_CONTENT, SkopsTree.judge_slice),
    "NdArrayNode": (frozenset({"content", "file", "type", "shape"}), SkopsTree.judge_array),
    "MaskedArrayNode": (_CONTENT, SkopsTree.judge_masked),
    "RandomStateNode": (_CONTENT, SkopsTree.judge_random_state),
    "RandomGeneratorNode": (_CONTENT, SkopsTree.judge_random_generator),
    "DTypeNode": (_CONTENT, SkopsTree.judge_dtype),
    "SparseMatrixNode": (frozenset({"file", "type"}), SkopsTree.judge_sparse),
    "TreeNode": (frozenset({"__reduce__", "content"}), SkopsTree.judge_reduced),
    "LossNode": (frozenset({"__reduce__", "content"}), SkopsTree.judge_reduced),
}

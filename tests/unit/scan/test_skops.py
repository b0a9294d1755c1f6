"""skops archives in which a loader is led to import or call what it is not for."""

import io
import json
import zipfile
from typing import Any

import pytest

from strongroom.artifact.formats import Format
from strongroom.scan import skops as module
from tests.unit.scan.pickled import ARTIFACTS, PICKLES, matches, refused_by

Node = dict[str, Any]
NPY = (
    b"\x93NUMPY\x01\x00v\x00"
    + b"{'descr': '<f8', 'fortran_order': False, 'shape': (1,), }".ljust(117)
    + b"\n"
    + bytes(8)
)


def node(loader: str, name: str, **fields: Any) -> Node:
    owner, _, kind = name.rpartition(".")
    return {"__loader__": loader, "__module__": owner, "__class__": kind, **fields}


def constant(value: object) -> Node:
    return node("JsonNode", "builtins.str", content=json.dumps(value), is_json=True)


def mapping(**items: Node) -> Node:
    types = [node("TypeNode", "builtins.str") for _ in items]
    return node(
        "DictNode", "builtins.dict", content=items, key_types=node("ListNode", "builtins.list", content=types)
    )


def row(*items: Node) -> Node:
    return node("TupleNode", "builtins.tuple", content=list(items))


def packed(root: Node, **members: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
        archive.writestr("schema.json", json.dumps({**root, "protocol": 2, "_skops_version": "0.16.0"}))
    return file.getvalue()


def refused(root: Node, **members: bytes) -> set[str]:
    return refused_by(packed(root, **members), Format.SKOPS)


MODEL = "sklearn.linear_model._logistic.LogisticRegression"


def model(**attributes: Node) -> Node:
    return node("ObjectNode", MODEL, content=mapping(**attributes))


@pytest.mark.parametrize(
    "path",
    [*sorted((PICKLES / "skops").glob("*")), *sorted(ARTIFACTS.glob("?[rf].skops"))],
    ids=lambda path: path.name,
)
def test_real_models_pass(path: Any) -> None:
    assert not matches(path.read_bytes(), Format.SKOPS)


def test_the_shapes_used_here_pass() -> None:
    array = node("NdArrayNode", "numpy.ndarray", type="numpy", file="5.npy", __id__=5)
    assert not refused(model(C=constant(1.0), coef_=array, pair=row(constant(1))), **{"5.npy": NPY})


@pytest.mark.parametrize(
    "root",
    [
        node("FunctionNode", "builtins.eval"),
        node("FunctionNode", "os.system", content={"module_path": "numpy", "function": "log1p"}),
        node("FunctionNode", "numpy.log1p", content={"module_path": "os", "function": "system"}),
        node("TypeNode", "os.system"),
        node("TypeNode", "builtins.eval"),
        node("ObjectNode", "subprocess.Popen", content=mapping()),
        node("ObjectNode", "__main__.Mine", content=mapping()),
        node("ObjectNode", "numpy.log1p", content=mapping()),
        node("ObjectNode", "builtins.range", content=mapping()),
        node("ConstructorFromReduceNode", "subprocess.Popen", content=row(constant("id"))),
        node("ConstructorFromReduceNode", "numpy.memmap", content=row(constant("/etc/passwd"))),
        node("ConstructorFromReduceNode", MODEL, content=row(constant("x"))),
        node("MethodNode", MODEL, content={"func": "fit", "obj": model()}),
        node("OperatorFuncNode", "operator.methodcaller", attrs=row(constant("system"))),
        node("OperatorFuncNode", "os.itemgetter", attrs=row(constant("x"))),
        node("OperatorFuncNode", "operator.attrgetter", attrs=row(constant("__class__.__base__"))),
        node(
            "PartialNode",
            "functools.partial",
            content={
                "func": node("FunctionNode", "os.system"),
                "args": row(),
                "kwds": mapping(),
                "namespace": constant(None),
            },
        ),
        node(
            "PartialNode",
            "os.system",
            content={
                "func": node("FunctionNode", "numpy.log1p"),
                "args": row(),
                "kwds": mapping(),
                "namespace": constant(None),
            },
        ),
        node("ListNode", "builtins.eval", content=[]),
        node("ListNode", "os.system", content=[]),
        node("SetNode", "subprocess.Popen", content=[]),
        node("TupleNode", "os.stat_result", content=[]),
        node("DictNode", "os.environ", content={}, key_types=node("ListNode", "builtins.list", content=[])),
        node(
            "DictNode",
            "builtins.dict",
            content={"id": constant(1)},
            key_types=node("ListNode", "builtins.list", content=[node("TypeNode", "os.system")]),
        ),
        node(
            "DictNode",
            "builtins.dict",
            content={"id": constant(1)},
            key_types=node("ListNode", "builtins.list", content=[node("TypeNode", MODEL)]),
        ),
        node(
            "DictNode",
            "builtins.dict",
            content={"id": constant(1)},
            key_types=node("ListNode", "builtins.list", content=[node("FunctionNode", "numpy.log1p")]),
        ),
        node(
            "DefaultDictNode",
            "collections.defaultdict",
            content={"main": mapping(), "default_factory": node("TypeNode", MODEL)},
        ),
        node("JsonNode", "os.system", content="1", is_json=True),
        node("JsonNode", "builtins.str", content="[1]", is_json=True),
        node("JsonNode", "builtins.str", content="1", is_json=False),
        node("SliceNode", "builtins.slice", content={"start": 1, "stop": {"a": 1}, "step": None}),
        node("RandomStateNode", "os.system", content=mapping()),
        node(
            "RandomGeneratorNode",
            "numpy.random._generator.Generator",
            content={"bit_generator": mapping(bit_generator=constant("seed"))},
        ),
        node("LossNode", "os.system", __reduce__={"args": row(constant("id"))}, content=mapping()),
        node("TreeNode", "os.system", __reduce__={"args": row(constant("id"))}, content=mapping()),
        node("MaskedArrayNode", "os.system", content={"data": constant(1), "mask": constant(1)}),
        node("DTypeNode", "os.system", content=constant(1)),
        node("QuantileForestNode", "quantile_forest.X", __reduce__={"args": row()}, content=mapping()),
        node("NewNode", "builtins.str", content=""),
        node("ObjectNode", MODEL, content=mapping(), extra={"__reduce__": 1}),
        node("ObjectNode", "xgboost.core.Booster", content=mapping(handle=constant(12345))),
        node("ObjectNode", "xgboost.core.Booster", content=mapping(handle=constant("junk"))),
        node(
            "ObjectNode",
            "scipy.stats._continuous_distns.norm_gen",
            content=mapping(_parse_arg_template=constant("import os")),
        ),
        {"__loader__": "ObjectNode"},
        node("ListNode", "builtins.list", content=["x"]),
    ],
)
def test_types_are_judged_for_the_loader_that_gets_them(root: Node) -> None:
    assert refused(root)
    assert refused(model(hidden=root))
    assert refused(node("ListNode", "builtins.list", content=[row(mapping(deep=root))]))


@pytest.mark.parametrize(
    "kind", ["memmap", "recarray", "void", "record", "load", "fromfile", "ma.MaskedArray"]
)
def test_arrays_are_made_by_array_types_only(kind: str) -> None:
    array = node("NdArrayNode", f"numpy.{kind}", type="numpy", file="5.npy")
    assert refused(model(a=array), **{"5.npy": NPY})


def test_one_identity_stands_for_one_node() -> None:
    """A loader takes the first node of an identity for all others, whatever they say."""
    first = {**node("ListNode", "builtins.list", content=[node("TypeNode", MODEL)]), "__id__": 7}
    keys = {**node("ListNode", "builtins.list", content=[node("TypeNode", "builtins.str")]), "__id__": 7}
    second = node("DictNode", "builtins.dict", content={"a": constant(1)}, key_types=keys)
    assert refused(model(first=first, second=second))
    assert not refused(model(first=keys, second=second))


def test_a_node_that_holds_itself_is_refused() -> None:
    inner = {**node("ListNode", "builtins.list", content=[]), "__id__": 9}
    assert refused({**node("ListNode", "builtins.list", content=[inner]), "__id__": 9})


def test_files_that_no_node_names_are_refused() -> None:
    assert module.MEMBER.id in refused(model(), **{"run.py": b"import os"})
    assert module.MEMBER.id in refused(model(), **{"5.npy": NPY})
    evil = b"cos\nsystem\n(S'id'\ntR."
    assert "pickle-code-execution" in refused(model(), **{"x.pkl": evil})


def test_arrays_that_are_none_are_refused() -> None:
    array = node("NdArrayNode", "numpy.ndarray", type="numpy", file="5.npy")
    assert refused(model(a=array), **{"5.npy": b"cos\nsystem\n(S'id'\ntR."})
    assert refused(model(a=array), **{"5.npy": NPY.replace(b"<f8", b"|O ")})
    assert refused(model(a=array))
    other = node("SparseMatrixNode", "scipy.sparse._csr.csr_matrix", type="scipy", file="5.npy")
    assert refused(model(a=array, b=other), **{"5.npy": NPY})


def test_names_given_twice_and_deep_trees_are_refused() -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("schema.json", '{"__loader__": "JsonNode", "__loader__": "TypeNode"}')
    assert refused_by(file.getvalue(), Format.SKOPS)
    deep = constant(1)
    for _ in range(150):
        deep = row(deep)
    assert not refused(deep)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("schema.json", '{"content": [' * 50_000)
    assert refused_by(file.getvalue(), Format.SKOPS)


def test_protocols_that_are_unknown_are_refused() -> None:
    for protocol in (3, -1, True, "2"):
        data = packed(model()).replace(b'"protocol": 2', f'"protocol": {json.dumps(protocol)}'.encode())
        assert refused_by(data, Format.SKOPS)


def test_strings_are_looked_through() -> None:
    texts: list[str] = []
    matches(packed(model(note=constant("the password is elsewhere"))), Format.SKOPS, texts)
    assert "the password is elsewhere" in "\n".join(texts)

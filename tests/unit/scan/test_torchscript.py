"""Programs of PyTorch: what it writes itself passes; files, libraries, Python and hidden members do not."""

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from strongroom.errors import RejectedError
from strongroom.scan import exported_texts as texts
from strongroom.scan.torch_operators import is_allowed
from strongroom.scan.torchscript_code import Program
from strongroom.scan.upload import Verdict
from tests.unit.scan.looking import rules, scan_files

VECTORS = Path(__file__).parent.parent.parent / "vectors" / "torchscript"
SAMPLES = sorted(path for path in VECTORS.iterdir() if path.suffix in (".pt", ".ptl", ".pt2"))


def members(name: str) -> dict[str, bytes]:
    with zipfile.ZipFile(VECTORS / name) as archive:
        return {each: archive.read(each) for each in archive.namelist()}


def packed(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), data)
    return buffer.getvalue()


def found(name: str, files: dict[str, bytes]) -> set[str]:
    return rules(scan_files({name: packed(files)}).matches)


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_what_pytorch_writes_passes(path: Path) -> None:
    report = scan_files({path.name: path.read_bytes()})
    assert report.matches == ()
    assert report.verdict is Verdict.ACCEPTED


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_the_same_members_in_an_archive_of_another_writer_pass(path: Path) -> None:
    assert found(path.name, members(path.name)) == set()


def code(lines: str) -> dict[str, bytes]:
    """Put lines in place of the body of `forward`."""
    files = members("words.pt")
    source = files["words/code/__torch__.py"].decode()
    start = source.index("  def forward(")
    body_at = source.index("\n", source.index(") ->", start)) + 1
    body = "".join(f"    {line}\n" for line in lines.split("\n"))
    end = source.index("\nclass ", body_at) + 1
    files["words/code/__torch__.py"] = (source[:body_at] + body + source[end:]).encode()
    return files


HOSTILE_CODE = {
    "writes a file": 'ops.aten.save(x, "/tmp/x")\nreturn x',
    "writes a file, by the module": 'torch.save(x, "/tmp/x")\nreturn x',
    "writes a file, as a method": 'x.save("/tmp/x")\nreturn x',
    "maps a file": 'return torch.from_file("/etc/passwd", False, 100)',
    "maps a file, as a method": 'return (x).from_file("/etc/passwd")',
    "loads a library": 'torch.ops.load_library("/tmp/x.so")\nreturn x',
    "custom operator": "return ops.evil.run(x)",
    "operator for files of torchvision": 'return ops.image.read_file("/etc/passwd")',
    "calls Python": "return ops.prim.PythonOp(x)",
    "calls another machine": 'return ops.prim.rpc_sync("host", x)',
    "talks to other machines": "return ops.c10d.send(x)",
    "a class of somebody else": "return __torch__.torch.classes.evil.Runner(x)",
    "an engine of somebody else": "return __torch__.torch.classes.tensorrt.Engine(x)",
    "a function that is not there": "return __torch__.missing.run(x)",
    "keeps a function for later": "f = torch.save\nreturn x",
    "keeps the module for later": "f = torch\nreturn f.save(x)",
    "keeps the operators for later": "f = ops.aten\nreturn x",
    "forks it": 'fork(torch.save, x, "/tmp/x")\nreturn x',
    "evaluates text": 'eval("x")\nreturn x',
    "opens a file": 'open("/etc/passwd")\nreturn x',
    "calls what it computes": "return [x][0](x)",
}


@pytest.mark.parametrize("name", HOSTILE_CODE)
def test_a_program_that_does_more_than_compute_is_refused(name: str) -> None:
    assert "torchscript-call-not-allowed" in found("words.pt", code(HOSTILE_CODE[name]))


ODD_CODE = {
    "import": "import os\nreturn x",
    "lambda": "f = lambda: x\nreturn x",
    "comprehension": "return [y for y in x]",
    "formatted text": 'return f"{x}"',
    "bytes": 'return b"x"',
    "a handler": "try:\n      pass\n    except:\n      pass\n    return x",
    "a decorator": "@torch.relu\n    def f(x):\n      return x\n    return x",
    "other letters": 'return "é"',
    "a carriage return": "return x # \r torch.save(x)",
    "not a program": "return (",
    "a function of the name of an operator": "def save(x):\n      return x\n    return x",
}


@pytest.mark.parametrize("name", ODD_CODE)
def test_a_program_that_pytorch_did_not_write_is_refused(name: str) -> None:
    assert found("words.pt", code(ODD_CODE[name])) & {"torchscript-code", "torchscript-call-not-allowed"}


def test_a_program_that_computes_passes() -> None:
    assert found("words.pt", code("y = torch.add(x, 1)\nreturn ops.prim.device(torch.relu(y))")) == set()


@pytest.mark.parametrize(
    "source",
    [
        "x=" + "-" * 100_000 + "1",
        "x=1" + "+1" * 100_000,
        "x=a" + ".a" * 100_000,
        "(" * 100_000,
    ],
)
def test_deep_programs_are_refused_and_not_a_crash(source: str) -> None:
    with pytest.raises(RejectedError):
        Program().add("__torch__.py", source)


def added(name: str, inner: str, data: bytes) -> dict[str, bytes]:
    files = members(name)
    root = next(iter(files)).partition("/")[0]
    return files | {f"{root}/{inner}": data}


PICKLE = b"\x80\x02cposix\nsystem\nX\x02\x00\x00\x00id\x85R."


def test_what_does_not_belong_is_refused() -> None:
    for inner, data in {
        "code/evil.py": b"import os\n",
        "code/__torch__/x.so": b"\x7fELF" + b"\0" * 64,
        "setup.py": b"import os\n",
        "data/evil.txt": b"hello",
        "data.pkl.bak": PICKLE,
        "byteorder2": b"little",
    }.items():
        assert found("words.pt", added("words.pt", inner, data)) & {
            "torchscript-member-unknown",
            "torchscript-storage-mismatch",
        }, inner


def test_a_member_beside_the_folder_is_refused() -> None:
    assert "torchscript-member-unknown" in found("words.pt", members("words.pt") | {"data.pkl": PICKLE})


@pytest.mark.parametrize(
    "inner", ["data.pkl", "constants.pkl", "code/__torch__.py.debug_pkl", "attributes.pkl"]
)
def test_a_pickle_that_calls_is_refused(inner: str) -> None:
    assert found("words.pt", added("words.pt", inner, PICKLE)) & {
        "pickle-code-execution",
    }


def test_objects_of_classes_that_the_program_does_not_have_are_refused() -> None:
    for name in (b"__torch__ Evil", b"__torch__.torch.classes.evil Runner", b"__main__ Words"):
        module, _, attribute = name.partition(b" ")
        data = b"\x80\x02c" + module + b"\n" + attribute + b"\n)\x81}b."
        assert found("words.pt", added("words.pt", "data.pkl", data)) != set(), name


def test_a_further_file_is_judged_as_what_it_is() -> None:
    assert found("words.pt", added("words.pt", "extra/note.txt", b"hello")) == set()
    assert found("words.pt", added("words.pt", "extra/x.pkl", PICKLE)) != set()
    assert found("words.pt", added("words.pt", "extra/x.so", b"\x7fELF" + b"\0" * 64)) != set()


def test_tensors_and_their_bytes_agree() -> None:
    files = members("loopy.pt")
    files["loopy/data/0"] += b"more"
    assert "torchscript-storage-mismatch" in found("loopy.pt", files)
    del files["loopy/data/0"]
    assert "torchscript-storage-mismatch" in found("loopy.pt", files)
    spare = members("loopy.pt") | {"loopy/data/99": b"hidden"}
    assert "torchscript-storage-mismatch" in found("loopy.pt", spare)


def test_the_program_for_phones_is_judged_too() -> None:
    files = members("lite.ptl")
    name = "lite/bytecode.pkl"
    assert b"aten::conv2d" in files[name]
    files[name] = files[name].replace(b"X\x0c\x00\x00\x00aten::conv2d", b"X\x0c\x00\x00\x00evil::conv2d")
    assert "torchscript-call-not-allowed" in found("lite.ptl", files)


def test_operators_that_open_files_are_not_on_the_list() -> None:
    assert is_allowed("aten", "add")
    for name in ("save", "from_file", "_test_optional_intlist", ""):
        assert not is_allowed("aten", name)
    for name in ("PythonOp", "rpc_sync", "rpc_async", "rpc_remote", "FusionGroup"):
        assert not is_allowed("prim", name)


# exported programs -----------------------------------------------------------------------------------


def graph(change: Callable[[Any], None], name: str = "dynamic.pt2") -> dict[str, bytes]:
    files = members(name)
    path = next(each for each in files if each.endswith("models/model.json"))
    value = json.loads(files[path])
    change(value)
    return files | {path: json.dumps(value).encode()}


def node(model: Any) -> Any:
    return model["graph_module"]["graph"]["nodes"][0]


def test_an_unchanged_graph_passes() -> None:
    assert found("x.pt2", graph(lambda model: None)) == set()


TARGETS = (
    "torch.ops.aten.from_file.default",
    "torch.ops.aten.save.default",
    "torch.ops.evil.run.default",
    "torch.ops.load_library",
    "torch.hub.load",
    "torch.load",
    "torch._C._jit_set_fusion_strategy",
    "torch.utils.cpp_extension.load_inline",
    "torch.ops.higher_order.triton_kernel_wrapper_mutation",
    "torch.ops.higher_order.call_torchbind",
    "torch.ops.debugprims.load_tensor.default",
    "torch.ops.aten.add.Tensor.__call__",
    "torch.ops.aten.add.Tensor\n",
    "_operator.methodcaller",
    "_operator.attrgetter",
    "math.__loader__.load_module",
    "os.system",
    "#extension:evil",
    "",
)


@pytest.mark.parametrize("target", TARGETS)
def test_a_graph_that_calls_more_than_operators_is_refused(target: str) -> None:
    rule = "exported-program-call-not-allowed"
    assert rule in found("x.pt2", graph(lambda model: node(model).__setitem__("target", target)))


def test_operators_of_pytorch_are_called() -> None:
    for target in (
        "torch.ops.aten.add.Tensor",
        "_operator.getitem",
        "torch.sym_max",
        "torch.ops.higher_order.cond",
    ):
        assert texts.operator_fault(target) == ""


def with_size(text: str) -> Callable[[Any], None]:
    def change(model: Any) -> None:
        values = model["graph_module"]["graph"]["tensor_values"]
        next(iter(values.values()))["sizes"][0] = {"as_expr": {"expr_str": text, "hint": None}}

    return change


SIZES = (
    "__import__('os').system('id')",
    "Symbol('s0').__class__",
    "().__class__.__bases__[0].__subclasses__()",
    "open('/etc/passwd')",
    "exec('1')",
    "lambda: 1",
    "sympify('1')",
    "parse_expr('1')",
    "Symbol('s0', cls=open)",
    "9**9**9**9",
    "Pow(9, Pow(9, Pow(9, Pow(9, Pow(9, 9)))))",
    "Pow(Integer(9), Integer(999999999))",
    "LShift(1, 999999999)",
    "1 << 999999999",
    "Float('1.5', precision=999999999)",
    "[x for x in ()]",
    "s0 if os else 1",
    "1;2",
    "1\nimport os",
    "",
)


@pytest.mark.parametrize("text", SIZES)
def test_a_size_that_would_be_run_is_refused(text: str) -> None:
    assert "exported-program-text-runs" in found("x.pt2", graph(with_size(text)))


@pytest.mark.parametrize(
    "text",
    [
        "Symbol('s77', positive=True, integer=True)",
        "s0",
        "2*s0 + 1",
        "Mod(s0, 8)",
        "FloorDiv(s77, 2)",
        "Eq(u0, 1)",
        "Max(1, s0)",
        "s0**2",
        "Integer(4)",
        "Pow(Symbol('s77', positive=True, integer=True), Integer(2))",
        "TruncToInt(Mul(Float('1.5', precision=53), ToFloat(Symbol('s27', integer=True))))",
        "(s0//2) - 1",
        "s0 < 64",
    ],
)
def test_sizes_as_pytorch_writes_them_pass(text: str) -> None:
    assert texts.size_fault(text) == ""


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('id')",
        "L['x'].__class__",
        "print(1)",
        "L['x'].size(0) == open('x')",
        "(lambda: 1)()",
        "[y for y in L]",
        "globals()",
        "L['x'].tolist()",
        "1); import os; (1",
        """L["'); import os; ('"] == 1""",
    ],
)
def test_a_guard_that_does_more_than_compare_is_refused(text: str) -> None:
    rule = "exported-program-text-runs"
    assert rule in found("x.pt2", graph(lambda model: model.__setitem__("guards_code", [text])))


def test_guards_as_pytorch_writes_them_pass() -> None:
    for text in (
        "L['x'].size()[0] >= 2",
        "L['x'].size()[0] % 8 == 0",
        "2 <= L['args'][0].size()[1] and not (1 > 2)",
    ):
        assert texts.guard_fault(text) == ""


def spec(kind: str | None, context: object, *children: object) -> str:
    text = None if context is None else json.dumps(context)
    return json.dumps([1, {"type": kind, "context": text, "children_spec": list(children)}])


SPECS = {
    "a factory of another module": spec(
        "collections.defaultdict",
        {"default_factory_module": "os", "default_factory_name": "system", "dict_context": []},
    ),
    "a factory that runs": spec(
        "collections.defaultdict",
        {"default_factory_module": "builtins", "default_factory_name": "eval", "dict_context": []},
    ),
    "an enumeration": spec("builtins.dict", [{"__enum__": True, "fqn": "os:system", "name": "x"}]),
    "a type of somebody else": spec("transformers.cache_utils.DynamicCache", None),
    "a named tuple": spec("collections.namedtuple", "evil"),
    "no JSON": "[[[",
    "deep": "[1," + '{"type":null,"context":null,"children_spec":[' * 3000,
}


@pytest.mark.parametrize("name", SPECS)
def test_arguments_that_would_be_imported_are_refused(name: str) -> None:
    def change(model: Any) -> None:
        model["graph_module"]["module_call_graph"][0]["signature"]["in_spec"] = SPECS[name]

    assert "exported-program-text-runs" in found("x.pt2", graph(change))


def test_names_that_become_code_are_refused() -> None:
    evil = "x=__import__('os').system('id')"

    def argument(model: Any) -> None:
        model["graph_module"]["graph"]["inputs"][0]["as_tensor"]["name"] = evil

    def keyword(model: Any) -> None:
        plain = {"type": None, "context": None, "children_spec": []}
        inner = [
            {"type": "builtins.tuple", "context": "null", "children_spec": []},
            {"type": "builtins.dict", "context": json.dumps([evil]), "children_spec": [plain]},
        ]
        value = [1, {"type": "builtins.tuple", "context": "null", "children_spec": inner}]
        model["graph_module"]["module_call_graph"][0]["signature"]["in_spec"] = json.dumps(value)

    def forward(model: Any) -> None:
        model["graph_module"]["module_call_graph"][0]["signature"]["forward_arg_names"] = [evil]

    def key(model: Any) -> None:
        model["graph_module"]["graph"]["tensor_values"][evil] = {}

    for change in (argument, keyword, forward, key):
        assert "exported-program-text-runs" in found("x.pt2", graph(change)), change.__name__


def test_objects_of_classes_of_their_own_are_refused() -> None:
    def change(model: Any) -> None:
        model["graph_module"]["graph"]["custom_obj_values"] = {"a": {"name": "a", "class_fqn": "evil.Runner"}}

    assert "exported-program-call-not-allowed" in found("x.pt2", graph(change))


def test_unknown_fields_and_names_given_twice_are_refused() -> None:
    assert found("x.pt2", graph(lambda model: model.__setitem__("code", "x"))) == {"file-malformed"}
    files = members("dynamic.pt2")
    path = next(each for each in files if each.endswith("models/model.json"))
    files[path] = files[path].replace(b'"verifiers"', b'"verifiers": [], "verifiers"', 1)
    assert found("x.pt2", files) == {"file-malformed"}


def test_compiled_libraries_are_refused() -> None:
    for inner in ("data/aotinductor/model/a.wrapper.so", "data/aotinductor/model/a.cpp", "extra.so"):
        assert "exported-program-library" in found(
            "x.pt2", added("cond.pt2", inner, b"\x7fELF" + b"\0" * 64)
        ), inner


def test_members_of_an_exported_program_are_judged() -> None:
    assert found("x.pt2", added("cond.pt2", "data/sample_inputs/model.pt", PICKLE)) != set()
    assert found("x.pt2", added("cond.pt2", "extra/x.pkl", PICKLE)) != set()
    assert "torchscript-member-unknown" in found("x.pt2", added("cond.pt2", "main.py", b"import os"))
    assert "torchscript-member-unknown" in found(
        "x.pt2", added("cond.pt2", "data/constants/custom_obj_0", b"x")
    )


def test_a_tensor_that_is_unpickled_is_a_checkpoint() -> None:
    files = members("dynamic.pt2")
    path = next(each for each in files if each.endswith("model_weights_config.json"))
    files[path] = files[path].replace(b'"use_pickle": false', b'"use_pickle": true', 1)
    assert found("x.pt2", files) != set()
    weight = next(each for each in files if each.endswith("weights/weight_0"))
    assert found("x.pt2", files | {weight: PICKLE}) & {"pickle-code-execution"}


def flat(change: Callable[[Any], None] = lambda model: None) -> dict[str, bytes]:
    """The layout before 2.7."""
    files = graph(change)
    model = next(data for name, data in files.items() if name.endswith("models/model.json"))
    return {"serialized_exported_program.json": model, "version": b"8.2"}


def test_the_layout_of_older_versions_is_read() -> None:
    assert found("x.pt2", flat()) == set()
    assert found("x.pt2", flat(lambda model: node(model).__setitem__("target", "torch.load"))) != set()
    assert found("x.pt2", flat() | {"serialized_state_dict.pt": PICKLE}) != set()
    assert found("x.pt2", flat() | {"extra_files/note.txt": b"hello"}) == set()

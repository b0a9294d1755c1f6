"""ONNX, safetensors, GGUF: what is said of what is refused, and that every text in them is looked at."""

import json
import struct
from collections.abc import Callable

import onnx
import pytest
from onnx import TensorProto, helper

from strongroom.artifact.gguf import read_gguf
from strongroom.artifact.onnx_texts import find_texts
from strongroom.scan.upload import Report, Verdict
from tests.unit.scan.looking import rules, scan_files

SECRET = "ghp_" + "A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q7r8"


def value(name: str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, [2])


def model(
    *nodes: onnx.NodeProto, stored: tuple[onnx.TensorProto, ...] = (), **more: object
) -> onnx.ModelProto:
    body = list(nodes) or [helper.make_node("Add", ["x", "w"], ["y"], name="sum")]
    held = list(stored) or [helper.make_tensor("w", TensorProto.FLOAT, [2], [1, 2])]
    graph = helper.make_graph(body, "g", [value("x")], [value("y")], held)
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("evil", 1)][: 2 if "evil" in more else 1]
    functions = more.get("functions", [])
    assert isinstance(functions, list)
    return helper.make_model(graph, opset_imports=opsets, ir_version=10, functions=functions)


def scanned(made: onnx.ModelProto, **beside: bytes) -> Report:
    return scan_files({"m/model.onnx": made.SerializeToString(), **{f"m/{k}": v for k, v in beside.items()}})


def external(name: str, location: str, offset: int = 0, size: int = 8, dims: int = 2) -> onnx.TensorProto:
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[dims])
    tensor.data_location = TensorProto.EXTERNAL
    for key, text in (("location", location), ("offset", str(offset)), ("length", str(size))):
        tensor.external_data.add(key=key, value=text)
    return tensor


def test_a_plain_model_passes() -> None:
    assert scanned(model()).matches == ()


def test_an_operator_of_somebody_else_is_named_with_its_node() -> None:
    node = helper.make_node("Run", ["x"], ["y"], name="the culprit", domain="evil")
    report = scanned(model(node, evil=True))
    assert rules(report.matches) == {"onnx-operator-unknown"}
    assert report.matches[0].place.name == "the culprit"
    assert "evil:Run" in report.matches[0].message


def test_an_operator_of_somebody_else_within_a_branch_or_function_is_refused() -> None:
    node = helper.make_node("Run", ["x"], ["y"], domain="evil")
    branch = helper.make_graph([node], "b", [], [value("y")])
    held = helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=branch)
    assert rules(scanned(model(held, evil=True)).matches) == {"onnx-operator-unknown"}
    inner = helper.make_function("mine", "F", ["x"], ["y"], [node], [helper.make_opsetid("evil", 1)])
    call = helper.make_node("F", ["x"], ["y"], domain="mine")
    made = model(call, functions=[inner])
    made.opset_import.append(helper.make_opsetid("mine", 1))
    assert rules(scanned(made).matches) == {"onnx-operator-unknown"}


def test_functions_that_call_themselves_are_refused() -> None:
    call = helper.make_node("F", ["x"], ["y"], domain="mine")
    inner = helper.make_function("mine", "F", ["x"], ["y"], [call], [helper.make_opsetid("mine", 1)])
    made = model(call, functions=[inner])
    made.opset_import.append(helper.make_opsetid("mine", 1))
    assert rules(scanned(made).matches) == {"onnx-recursion"}


@pytest.mark.parametrize("dims", [[2**62, 4], [-1], [2**31, 2**31, 2**31]])
def test_overflowing_shapes_are_refused(dims: list[int]) -> None:
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=dims, raw_data=b"\0" * 8)
    assert rules(scanned(model(stored=(tensor,))).matches) == {"onnx-tensor-shape"}


def test_settings_for_the_engine_are_refused() -> None:
    made = model()
    helper.set_model_props(made, {"ort_config": '{"session_options": {}}'})
    assert rules(scanned(made).matches) == {"onnx-engine-settings"}


OUTSIDE = (
    "../../../etc/passwd",
    "/etc/passwd",
    "..",
    "a/../../b",
    "C:\\x",
    "weights\0.bin",
    "",
    ".",
    "//host/x",
)


@pytest.mark.parametrize("location", OUTSIDE)
def test_weights_outside_the_folder_are_refused(location: str) -> None:
    report = scanned(model(stored=(external("w", location),)), **{"w.bin": bytes(8)})
    assert rules(report.matches) >= {"onnx-external-data-outside"}
    assert report.verdict is Verdict.REFUSED


def test_weights_beside_the_model_are_claimed() -> None:
    made = model(stored=(external("w", "w.bin"), external("v", "w.bin", 8, 8)))
    assert scanned(made, **{"w.bin": bytes(range(16))}).matches == ()


def test_tied_weights_share_their_bytes() -> None:
    made = model(stored=(external("w", "w.bin"), external("v", "w.bin")))
    assert scanned(made, **{"w.bin": bytes(range(8))}).matches == ()


EXTERNAL: dict[str, tuple[str, tuple[onnx.TensorProto, ...], bytes]] = {
    "missing": ("onnx-external-data-missing", (external("w", "other.bin"),), bytes(range(8))),
    "beyond the end": ("onnx-external-data-beyond-end", (external("w", "w.bin", 4),), bytes(range(8))),
    "far beyond": ("onnx-external-data-beyond-end", (external("w", "w.bin", 2**39),), bytes(range(8))),
    "overlapping": (
        "onnx-external-data-overlap",
        (external("w", "w.bin"), external("v", "w.bin", 4)),
        bytes(range(16)),
    ),
    "within another": (
        "onnx-external-data-overlap",
        (external("w", "w.bin", 0, 16, 4), external("v", "w.bin", 4, 4, 1)),
        bytes(range(16)),
    ),
    "the model itself": ("onnx-external-data-overlap", (external("w", "model.onnx"),), bytes(range(8))),
    "a program": (
        "onnx-external-data-disguised",
        (external("w", "w.bin"),),
        b"\x7fELF\x02\x01\x01" + bytes(57),
    ),
    "a pickle": (
        "onnx-external-data-disguised",
        (external("w", "w.bin"),),
        b"\x80\x02cposix\nsystem\nX\x02\x00\x00\x00id\x85R.",
    ),
}


@pytest.mark.parametrize("name", EXTERNAL)
def test_weights_that_are_not_what_they_seem_are_refused(name: str) -> None:
    rule, stored, data = EXTERNAL[name]
    assert rule in rules(scanned(model(stored=stored), **{"w.bin": data}).matches)


def told(made: onnx.ModelProto) -> dict[str, str]:
    data = made.SerializeToString()
    return dict(find_texts(lambda offset, size: data[offset : offset + size], len(data), "m"))


def describe(made: onnx.ModelProto) -> None:
    made.doc_string = SECRET


def describe_graph(made: onnx.ModelProto) -> None:
    made.graph.doc_string = SECRET


def describe_node(made: onnx.ModelProto) -> None:
    made.graph.node[0].doc_string = SECRET


def name_node(made: onnx.ModelProto) -> None:
    made.graph.node[0].name = SECRET


def describe_tensor(made: onnx.ModelProto) -> None:
    made.graph.initializer[0].doc_string = SECRET


def describe_input(made: onnx.ModelProto) -> None:
    made.graph.input[0].doc_string = SECRET


def note(made: onnx.ModelProto) -> None:
    helper.set_model_props(made, {"note": SECRET})


def long_note(made: onnx.ModelProto) -> None:
    helper.set_model_props(made, {"note": "x " * 50_000 + SECRET})


def name_producer(made: onnx.ModelProto) -> None:
    made.producer_name = SECRET


def keep_text(made: onnx.ModelProto) -> None:
    made.graph.node.append(helper.make_node("Constant", [], ["c"], value_string=SECRET.encode()))


def keep_tensor(made: onnx.ModelProto) -> None:
    made.graph.initializer.append(helper.make_tensor("t", TensorProto.STRING, [1], [SECRET.encode()]))


def keep_in_branch(made: onnx.ModelProto) -> None:
    inner = helper.make_node("Constant", [], ["y"], value_string=SECRET.encode())
    branch = helper.make_graph([inner], "b", [], [value("y")])
    made.graph.node.append(helper.make_node("If", ["c"], ["z"], then_branch=branch, else_branch=branch))


PLACES = (
    describe,
    describe_graph,
    describe_node,
    name_node,
    describe_tensor,
    describe_input,
    note,
    long_note,
    name_producer,
    keep_text,
    keep_tensor,
    keep_in_branch,
)


@pytest.mark.parametrize("put", PLACES, ids=lambda put: put.__name__)
def test_a_secret_anywhere_in_a_model_is_found_and_not_shown(put: Callable[[onnx.ModelProto], None]) -> None:
    made = model()
    put(made)
    assert any(SECRET in text for text in told(made).values())
    report = scanned(made)
    assert any(rule.startswith("secret") for rule in rules(report.matches))
    assert not any(SECRET in match.message for match in report.matches)


# safetensors -------------------------------------------------------------------------------------------


def safetensors(header: dict[str, object], data: bytes = bytes(8)) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def tensor(start: int, end: int, count: int = 1) -> dict[str, object]:
    return {"dtype": "F32", "shape": [count], "data_offsets": [start, end]}


def test_safetensors_pass() -> None:
    data = safetensors({"a": tensor(0, 4), "b": tensor(4, 8), "__metadata__": {"format": "pt"}})
    assert scan_files({"m.safetensors": data}).matches == ()


@pytest.mark.parametrize(
    "header",
    [
        {"a": tensor(0, 4), "b": tensor(2, 6)},
        {"a": tensor(0, 4)},
        {"a": tensor(4, 8)},
        {"a": tensor(0, 4), "b": tensor(0, 4)},
    ],
    ids=["overlap", "spare bytes", "hole", "twice the same"],
)
def test_safetensors_that_overlap_or_hide_bytes_are_refused(header: dict[str, object]) -> None:
    assert rules(scan_files({"m.safetensors": safetensors(header)}).matches) == {"safetensors-overlap"}


def test_secrets_in_safetensors_metadata_are_found() -> None:
    data = safetensors({"a": tensor(0, 4), "b": tensor(4, 8), "__metadata__": {"note": SECRET}})
    assert any(rule.startswith("secret") for rule in rules(scan_files({"m.safetensors": data}).matches))


# GGUF --------------------------------------------------------------------------------------------------


def text(words: str) -> bytes:
    return struct.pack("<Q", len(words.encode())) + words.encode()


def gguf(
    *pairs: bytes, tensors: tuple[tuple[str, int, int], ...] = (("w", 8, 0),), data: bytes = bytes(32)
) -> bytes:
    head = struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), len(pairs)) + b"".join(pairs)
    for name, count, offset in tensors:
        head += text(name) + struct.pack("<IQIQ", 1, count, 0, offset)
    return head + bytes(-len(head) % 32) + data


def pair(key: str, words: str) -> bytes:
    return text(key) + struct.pack("<I", 8) + text(words)


def words(key: str, *items: str) -> bytes:
    return text(key) + struct.pack("<IIQ", 9, 8, len(items)) + b"".join(map(text, items))


PLAIN = "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n{% endfor %}"
HOSTILE = "{{ ''.__class__.__mro__[1].__subclasses__() }}"


def test_gguf_passes() -> None:
    data = gguf(
        pair("general.architecture", "llama"),
        pair("tokenizer.chat_template", PLAIN),
        words("tokenizer.ggml.tokens", "a", "__class__", SECRET),
        words("general.tags", "text", "small"),
    )
    assert scan_files({"m.gguf": data}).matches == ()


@pytest.mark.parametrize("key", ["tokenizer.chat_template", "tokenizer.chat_template.tool_use"])
def test_a_hostile_chat_template_is_refused(key: str) -> None:
    report = scan_files({"m.gguf": gguf(pair("general.architecture", "llama"), pair(key, HOSTILE))})
    assert any(rule.startswith("template-") for rule in rules(report.matches))
    assert report.verdict is Verdict.REFUSED


def test_a_chat_template_that_is_no_text_is_refused() -> None:
    number = text("tokenizer.chat_template") + struct.pack("<II", 4, 1)
    assert rules(scan_files({"m.gguf": gguf(number)}).matches) == {"file-malformed"}


def test_overlapping_tensors_are_refused() -> None:
    for tensors in ((("w", 8, 0), ("v", 8, 0)), (("w", 8, 64),), ()):
        data = gguf(tensors=tensors, data=bytes(64 if tensors else 640))
        assert rules(scan_files({"m.gguf": data}).matches) == {"gguf-overlap"}, tensors


@pytest.mark.parametrize("key", ["general.description", "general.tags", "my.own.key"])
def test_secrets_in_gguf_metadata_are_found(key: str) -> None:
    for held in (pair(key, SECRET), words(key, "a", SECRET)):
        report = scan_files({"m.gguf": gguf(held)})
        assert any(rule.startswith("secret") for rule in rules(report.matches))


def test_a_vocabulary_is_not_kept() -> None:
    data = gguf(words("tokenizer.ggml.tokens", "a", "b"), words("general.tags", "c", "d"))
    found = read_gguf(lambda offset, size: data[offset : offset + size], len(data), "m")
    assert found.texts == {"general.tags": "c\nd"}

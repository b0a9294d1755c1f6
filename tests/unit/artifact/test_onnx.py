from collections.abc import Callable
from itertools import pairwise

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from strongroom.artifact.onnx import MAX_GRAPH_DEPTH, OnnxModel, SelfReferenceError, read_onnx
from strongroom.artifact.onnx_values import ExternalData
from strongroom.artifact.tensors import Kind, TensorSpec
from strongroom.errors import RejectedError
from tests import models
from tests.models import SampleModel
from tests.unit.artifact import wire
from tests.unit.artifact.objects import Octets


def read(data: bytes) -> OnnxModel:
    return read_onnx(Octets(data).read_at, len(data), "model.onnx")


@pytest.mark.parametrize("build", models.SERVABLE, ids=lambda build: build.__name__)
def test_real_models_read_as_the_onnx_library_reads_them(build: Callable[[], SampleModel]) -> None:
    sample = build()
    found, theirs = read(sample.onnx), onnx.load_from_string(sample.onnx)
    assert found.ir_version == theirs.ir_version
    assert found.opsets == {each.domain: each.version for each in theirs.opset_import}
    assert [spec.name for spec in found.inputs] == [each.name for each in theirs.graph.input]
    assert [spec.name for spec in found.outputs] == [each.name for each in theirs.graph.output]
    assert found.initializers == {each.name for each in theirs.graph.initializer}
    assert sum(found.operators.values()) >= len(theirs.graph.node)
    assert {name for _, name in found.operators} >= {node.op_type for node in theirs.graph.node}


def test_the_inputs_and_outputs_of_a_linear_model() -> None:
    found = read(models.linear().onnx)
    assert found.inputs == (TensorSpec("x", "FP32", (-1, 4)),)
    assert found.outputs == (TensorSpec("score", "FP32", (-1, 1)),)
    assert found.producer.startswith("strongroom-tests")


def test_scikit_learn_without_zipmap() -> None:
    found = read(models.classifier().onnx)
    assert found.outputs == (
        TensorSpec("label", "INT64", (-1,)),
        TensorSpec("probabilities", "FP32", (-1, 2)),
    )


def test_scikit_learn_with_zipmap_is_flagged() -> None:
    label, scores = read(models.classifier_with_zipmap().onnx).outputs
    assert label == TensorSpec(label.name, "INT64", (-1,))
    assert scores == TensorSpec(scores.name, "FP32", (-1, -1), Kind.CLASS_SCORES, "seq(map(int64,float))")


def test_strings_are_bytes_on_the_wire() -> None:
    assert read(models.strings().onnx).inputs == (TensorSpec("word", "BYTES", (-1, 1)),)


def test_external_data_is_told_with_its_place() -> None:
    found = read(models.external_data().onnx)
    assert {data.location for data in found.external} == {"weights/part-0.bin"}
    assert all(data.size_bytes > 0 for data in found.external)


def test_external_data_without_a_length_has_that_of_its_shape() -> None:
    found = read(wire.model(wire.graph(wire.external(location="w.bin", offset="4096"))))
    assert found.external == (ExternalData("w", "w.bin", 4096, 16),)


def test_stored_values_are_no_inputs() -> None:
    """Before IR version 4 every initializer is listed as an input too."""
    found = read(
        wire.model(wire.graph(wire.floats(2, name="w"), wire.octets(11, wire.value("w"))), ir_version=3)
    )
    assert [spec.name for spec in found.inputs] == ["x"]


def test_operators_of_inner_graphs_are_counted() -> None:
    inner = wire.octets(1, "then_branch") + wire.octets(
        6, wire.graph(nodes=(wire.node("Abs"), wire.node("Abs")))
    )
    found = read(wire.model(wire.graph(nodes=(wire.node("If", "", inner),))))
    assert found.operators == {("", "Abs"): 2, ("", "If"): 1}


def test_ai_onnx_is_the_default_domain() -> None:
    found = read(wire.model(wire.graph(nodes=(wire.node("Abs", "ai.onnx"),))))
    assert found.operators == {("", "Abs"): 1}


def test_a_domain_imported_twice_in_one_version_is_what_skl2onnx_writes() -> None:
    assert read(wire.model(opsets=wire.opset() + wire.opset("ai.onnx"))).opsets == {"": 17}


def function(name: str, *calls: bytes, domain: str = "local", more: bytes = b"") -> bytes:
    body = b"".join(wire.octets(7, each) for each in calls)
    return wire.octets(25, wire.octets(1, name) + body + wire.octets(10, domain) + more)


def test_local_functions_are_looked_into() -> None:
    data = wire.model(
        wire.graph(nodes=(wire.node("Twice", "local"),)),
        function("Twice", wire.node("Abs"), wire.node("Once", "local")),
        function("Once", wire.node("Neg")),
        opsets=wire.opset() + wire.opset("local", 1),
    )
    found = read(data)
    assert found.functions == {("local", "Twice"), ("local", "Once")}
    assert ("", "Neg") in found.operators


def doubling(levels: int) -> bytes:
    """Functions that call the next one twice each."""
    names = [f"F{level}" for level in range(levels)]
    bodies = [
        function(name, wire.node(called, "local"), wire.node(called, "local"))
        for name, called in pairwise(names)
    ]
    return wire.model(
        wire.graph(nodes=(wire.node("F0", "local"),)),
        *bodies,
        function(names[-1], wire.node("Abs")),
        opsets=wire.opset() + wire.opset("local", 1),
    )


def test_functions_that_grow_without_bound_are_refused() -> None:
    assert len(read(doubling(10)).functions) == 10
    with pytest.raises(SelfReferenceError, match="come to more than"):
        read(doubling(40))


def deep(levels: int) -> bytes:
    inner = wire.graph()
    for _ in range(levels):
        inner = wire.graph(nodes=(wire.node("If", "", wire.octets(1, "b") + wire.octets(6, inner)),))
    return wire.model(inner)


def test_graphs_may_be_nested_a_little() -> None:
    assert read(deep(MAX_GRAPH_DEPTH)).operators[("", "If")] == MAX_GRAPH_DEPTH


BASE = wire.model()
REFUSED: list[tuple[str, bytes]] = [
    ("empty", b""),
    ("only a version", wire.integer(1, 8)),
    ("no version", wire.octets(7, wire.graph()) + wire.opset()),
    ("IR version too new", wire.model(ir_version=99)),
    ("IR version too old", wire.model(ir_version=2)),
    ("IR version overflows", wire.model(ir_version=2**64 - 1)),
    ("opset too new", wire.model(opsets=wire.opset("", 99))),
    ("opset zero", wire.model(opsets=wire.opset("", 0))),
    ("opset negative", wire.model(opsets=wire.opset("", -1))),
    ("two opsets of one domain", wire.model(opsets=wire.opset("", 17) + wire.opset("ai.onnx", 18))),
    ("no opset", wire.model(opsets=b"")),
    ("two graphs, which readers merge", wire.model(None, wire.octets(7, wire.graph()))),
    ("two versions, of which readers take the last", wire.model(None, wire.integer(1, 8))),
    ("unknown field", wire.model(None, wire.octets(99, b"payload"))),
    ("unknown field in the graph", wire.model(wire.graph(wire.octets(3, b"payload")))),
    ("unknown field in a node", wire.model(wire.graph(nodes=(wire.node() + wire.integer(99, 1),)))),
    ("field number zero", wire.model(None, b"\x02\x00")),
    ("group", wire.model(None, b"\x2b\x2c")),
    ("wire type 6", wire.model(None, b"\x16")),
    ("wrong wire type", wire.integer(7, 1) + BASE),
    ("length beyond the end", BASE + b"\x42\xff\x01"),
    ("length overflows", wire.opset() + b"\x3a" + b"\xff" * 9 + b"\x01"),
    ("varint too long", b"\x08" + b"\x80" * 10 + b"\x01" + BASE[2:]),
    ("varint cut", BASE + b"\x28\x80"),
    ("tag cut", BASE + b"\x80"),
    ("appended zeros", BASE + bytes(16)),
    ("training information", wire.model(None, wire.octets(20, b""))),
    ("graphs nested too deep", deep(MAX_GRAPH_DEPTH + 1)),
    ("custom domain", models.custom_operator().onnx),
    ("custom domain that looks standard", models.custom_operator("ai.onnx.mI").onnx),
    (
        "operator that opens files",
        wire.model(
            wire.graph(nodes=(wire.node("EPContext", "com.microsoft"),)),
            opsets=wire.opset() + wire.opset("com.microsoft", 1),
        ),
    ),
    (
        "operator that runs python",
        wire.model(
            wire.graph(nodes=(wire.node("PythonOp", "com.microsoft"),)),
            opsets=wire.opset() + wire.opset("com.microsoft", 1),
        ),
    ),
    ("unknown operator of the standard domain", wire.model(wire.graph(nodes=(wire.node("Exec"),)))),
    ("operator without a name", wire.model(wire.graph(nodes=(wire.node(""),)))),
    (
        "operator hidden in an inner graph",
        wire.model(
            wire.graph(
                nodes=(
                    wire.node(
                        "If",
                        "",
                        wire.octets(1, "b") + wire.octets(6, wire.graph(nodes=(wire.node("Evil", "evil"),))),
                    ),
                )
            )
        ),
    ),
    (
        "operator hidden in a list of graphs",
        wire.model(
            wire.graph(
                nodes=(
                    wire.node(
                        "If",
                        "",
                        wire.octets(1, "b") + wire.octets(11, wire.graph(nodes=(wire.node("Evil", "evil"),))),
                    ),
                )
            )
        ),
    ),
    ("domain used but not imported", wire.model(wire.graph(nodes=(wire.node("Scaler", "ai.onnx.ml"),)))),
    ("operator hidden in a function", wire.model(None, function("F", wire.node("Evil", "evil")))),
    ("function in a standard domain", wire.model(None, function("Abs", wire.node("Neg"), domain=""))),
    (
        "function in the contributed domain",
        wire.model(None, function("Gelu", wire.node("Neg"), domain="com.microsoft")),
    ),
    ("function twice", wire.model(None, function("F", wire.node()), function("F", wire.node("Abs")))),
    ("function that calls itself", wire.model(None, function("F", wire.node("F", "local")))),
    (
        "functions in a circle",
        wire.model(None, function("F", wire.node("G", "local")), function("G", wire.node("F", "local"))),
    ),
    ("two inputs of one name", wire.model(wire.graph(wire.octets(11, wire.value("x"))))),
    ("two outputs of one name", wire.model(wire.graph(wire.octets(12, wire.value("y"))))),
    ("two initializers of one name", wire.model(wire.graph(wire.floats(1), wire.floats(1)))),
    ("input without a name", wire.model(wire.graph(wire.octets(11, wire.value(""))))),
    ("input without a type", wire.model(wire.graph(wire.octets(11, wire.octets(1, "z"))))),
    (
        "input of two types",
        wire.model(wire.graph(wire.octets(11, wire.value("z", wire.tensor_type() + wire.octets(8, b""))))),
    ),
    (
        "input of an unknown element type",
        wire.model(wire.graph(wire.octets(11, wire.value("z", wire.tensor_type(99))))),
    ),
    (
        "type nested too deep",
        wire.model(
            wire.graph(
                wire.octets(
                    11,
                    wire.value(
                        "z",
                        wire.octets(
                            4,
                            wire.octets(
                                1,
                                wire.octets(
                                    4,
                                    wire.octets(
                                        1,
                                        wire.octets(
                                            4,
                                            wire.octets(
                                                1,
                                                wire.octets(
                                                    4,
                                                    wire.octets(
                                                        1, wire.octets(4, wire.octets(1, wire.tensor_type()))
                                                    ),
                                                ),
                                            ),
                                        ),
                                    ),
                                ),
                            ),
                        ),
                    ),
                )
            )
        ),
    ),
    ("name not UTF-8", wire.model(wire.graph(nodes=(wire.octets(4, b"\xff\xfe"),)))),
    ("name too long", wire.model(wire.graph(nodes=(wire.octets(4, "A" * 1000),)))),
    ("raw data too short", wire.model(wire.graph(wire.floats(4, data=bytes(15))))),
    ("raw data too long", wire.model(wire.graph(wire.floats(4, data=bytes(17))))),
    ("negative dimension", wire.model(wire.graph(wire.floats(-1, data=b"")))),
    ("negative dimension beside a zero", wire.model(wire.graph(wire.floats(0, -1, data=b"")))),
    (
        "two negative dimensions, whose product is not",
        wire.model(wire.graph(wire.floats(-1, -4, data=bytes(16)))),
    ),
    ("dimensions that overflow", wire.model(wire.graph(wire.floats(2**32, 2**32, data=b"")))),
    ("dimensions that overflow to zero", wire.model(wire.graph(wire.floats(2**63, 2, data=b"")))),
    ("too many dimensions", wire.model(wire.graph(wire.floats(*([1] * 65))))),
    ("unknown tensor type", wire.model(wire.graph(wire.octets(5, wire.tensor(wire.integer(2, 99)))))),
    ("tensor without a type", wire.model(wire.graph(wire.octets(5, wire.tensor())))),
    (
        "data twice",
        wire.model(
            wire.graph(
                wire.octets(
                    5,
                    wire.tensor(
                        wire.integer(1, 1), wire.integer(2, 1), wire.single(4, 1), wire.octets(9, bytes(4))
                    ),
                )
            )
        ),
    ),
    (
        "tensor in segments",
        wire.model(wire.graph(wire.octets(5, wire.tensor(wire.integer(2, 1), wire.octets(3, b""))))),
    ),
    ("external without a place", wire.model(wire.graph(wire.external()))),
    ("external without a location", wire.model(wire.graph(wire.external(offset="0")))),
    ("external with an unknown key", wire.model(wire.graph(wire.external(location="w", basepath="/etc")))),
    ("external of another length", wire.model(wire.graph(wire.external(location="w", length="15")))),
    ("external at a negative offset", wire.model(wire.graph(wire.external(location="w", offset="-1")))),
    (
        "external at an offset that overflows",
        wire.model(wire.graph(wire.external(location="w", offset="9" * 19))),
    ),
    (
        "external at an offset in hexadecimal",
        wire.model(wire.graph(wire.external(location="w", offset="0x10"))),
    ),
    ("external at an offset with blanks", wire.model(wire.graph(wire.external(location="w", offset=" 1")))),
    (
        "a place but not external",
        wire.model(
            wire.graph(
                wire.octets(
                    5,
                    wire.tensor(
                        wire.integer(2, 1), wire.octets(13, wire.octets(1, "location") + wire.octets(2, "w"))
                    ),
                )
            )
        ),
    ),
    (
        "external and raw",
        wire.model(
            wire.graph(
                wire.octets(
                    5,
                    wire.tensor(
                        wire.integer(2, 1),
                        wire.octets(9, bytes(4)),
                        wire.octets(13, wire.octets(1, "location") + wire.octets(2, "w")),
                        wire.integer(14, 1),
                    ),
                )
            )
        ),
    ),
    (
        "external text",
        wire.model(
            wire.graph(
                wire.octets(
                    5,
                    wire.tensor(
                        wire.integer(2, 8),
                        wire.octets(13, wire.octets(1, "location") + wire.octets(2, "w")),
                        wire.integer(14, 1),
                    ),
                )
            )
        ),
    ),
    (
        "unknown data location",
        wire.model(wire.graph(wire.octets(5, wire.tensor(wire.integer(2, 1), wire.integer(14, 2))))),
    ),
    (
        "bad tensor in an attribute",
        wire.model(
            wire.graph(
                nodes=(
                    wire.node(
                        "Constant",
                        "",
                        wire.octets(1, "value") + wire.octets(5, wire.tensor(wire.integer(2, 99))),
                    ),
                )
            )
        ),
    ),
    (
        "bad tensor in a sparse initializer",
        wire.model(wire.graph(wire.octets(15, wire.octets(1, wire.tensor(wire.integer(2, 99)))))),
    ),
]


@pytest.mark.parametrize(("attack", "data"), REFUSED, ids=[name for name, _ in REFUSED])
def test_a_malformed_or_hostile_model_is_refused(attack: str, data: bytes) -> None:
    with pytest.raises(RejectedError, match=r"^entry 'model.onnx'"):
        read(data)


def test_the_hand_written_base_is_sound() -> None:
    """Else every refusal above would prove nothing."""
    assert read(BASE).inputs == (TensorSpec("x", "FP32", (-1, 4)),)
    read(wire.model(wire.graph(wire.floats(4), wire.external("v", location="w.bin"))))
    onnx.load_from_string(BASE)


@pytest.mark.parametrize("build", models.SERVABLE, ids=lambda build: build.__name__)
def test_a_cut_model_is_refused_wherever_it_is_cut(build: Callable[[], SampleModel]) -> None:
    """Unless the cut falls between two fields of the outermost message and all that is needed is there."""
    data, passed = build().onnx, 0
    for size in range(0, len(data), max(1, len(data) // 200)):
        try:
            read(data[:size])
            passed += 1
        except RejectedError:
            pass
    assert passed <= 2


def test_other_values_are_told_and_have_no_form_on_the_wire() -> None:
    kinds = {
        "seq(float)": wire.octets(4, wire.octets(1, wire.tensor_type())),
        "seq(map(int64,double))": wire.octets(4, wire.octets(1, wire.octets(
            5, wire.integer(1, 7) + wire.octets(2, wire.tensor_type(11))))),
        "map(string,float)": wire.octets(5, wire.integer(1, 8) + wire.octets(2, wire.tensor_type())),
        "optional(float)": wire.octets(9, wire.octets(1, wire.tensor_type())),
        "sparse tensor": wire.octets(8, b""),
        "tensor(complex64)": wire.tensor_type(14),
        "tensor(float) of unknown rank": wire.octets(1, wire.integer(1, 1)),
    }  # fmt: skip
    for detail, described in kinds.items():
        _, other = read(wire.model(wire.graph(wire.octets(12, wire.value("z", described))))).outputs
        assert other == TensorSpec("z", "", (), Kind.OTHER, detail)


def test_free_dimensions_are_minus_one() -> None:
    described = wire.tensor_type(1, ("batch", -1, 3))
    negative = wire.octets(1, wire.integer(1, 1) + wire.octets(2, wire.octets(1, wire.integer(1, -1))))
    data = wire.model(
        wire.graph(wire.octets(11, wire.value("a", described)), wire.octets(11, wire.value("b", negative)))
    )
    assert [spec.shape for spec in read(data).inputs] == [(-1, 4), (-1, -1, 3), (-1,)]


def test_a_tensor_of_any_type_has_the_size_its_type_says() -> None:
    for kind in (
        TensorProto.FLOAT,
        TensorProto.INT64,
        TensorProto.BOOL,
        TensorProto.FLOAT16,
        TensorProto.INT4,
    ):
        dtype = helper.tensor_dtype_to_np_dtype(kind)
        tensor = numpy_helper.from_array(np.zeros((3, 5), dtype), "w")
        inner = wire.graph(wire.octets(5, tensor.SerializeToString()))
        assert read(wire.model(inner)).initializers == {"w"}


def test_the_bytes_of_weights_are_never_read() -> None:
    data = models.wide(8 * 2**20).onnx
    touched = 0

    def counted(offset: int, size: int) -> bytes:
        nonlocal touched
        touched += size
        return data[offset : offset + size]

    read_onnx(counted, len(data), "model.onnx")
    assert touched < 2 * 2**20


def test_a_forest_of_a_million_numbers_is_stepped_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Elements of decision forests are fields of their own; they are skipped in runs and not counted."""
    monkeypatch.setattr("strongroom.artifact.protobuf.MAX_FIELDS", 1000)
    attributes = [
        wire.octets(1, "nodes_values") + wire.single(7, 1.5) * 1_000_000,
        wire.octets(1, "nodes_ids") + (wire.integer(8, 5) + wire.integer(8, -1)) * 300_000,
        wire.octets(1, "nodes_modes") + (wire.octets(9, "BRANCH_LEQ") + wire.octets(9, "LEAF")) * 300_000,
    ]
    data = wire.model(wire.graph(nodes=(wire.node("Identity", "", *attributes),)))
    assert read(data).operators == {("", "Identity"): 1}


def test_a_bomb_of_small_fields_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("strongroom.artifact.protobuf.MAX_FIELDS", 10_000)
    with pytest.raises(RejectedError, match="fields"):
        read(wire.model(None, *(wire.octets(14, b"") for _ in range(20_000))))


def test_more_than_two_gib_is_refused_before_it_is_read() -> None:
    def never(offset: int, size: int) -> bytes:
        raise AssertionError("was read")

    with pytest.raises(RejectedError, match="2 GiB"):
        read_onnx(never, 2**31, "model.onnx")


def test_a_file_shorter_than_it_says_is_refused() -> None:
    data = models.linear().onnx
    with pytest.raises(RejectedError):
        read_onnx(Octets(data[:-20]).read_at, len(data), "model.onnx")


def test_weights_are_jumped_over_and_little_is_read_beside_them() -> None:
    """Of a sealed model each piece read costs 1 MiB, so what is read must stay near the headers."""
    weights = [numpy_helper.from_array(np.zeros((256, 1024), np.float32), f"w{index}") for index in range(12)]
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 4])],
        initializer=weights,
    )
    data = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    ).SerializeToString()
    reads: list[int] = []

    def read_at(offset: int, size: int) -> bytes:
        reads.append(size)
        return data[offset : offset + size]

    assert read_onnx(read_at, len(data), "model.onnx").initializers == {f"w{index}" for index in range(12)}
    assert sum(reads) < 20 * 8192

"""Keras archives, HDF5 files and configurations: what runs code, imports, or leads outside is refused."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from strongroom.artifact.hdf5 import read_hdf5
from strongroom.artifact.hdf5_bytes import lookup3
from strongroom.errors import RejectedError
from strongroom.scan.upload import Report, Verdict
from tests.unit.scan.looking import rules, scan_files

_VECTORS = Path(__file__).parents[2] / "vectors"
_KERAS = _VECTORS / "keras"
_ARTIFACTS = _VECTORS / "artifacts"
_METADATA = {"keras_version": "3.8.0", "date_saved": "2024-01-01@00:00:00"}


def sample(path: Path) -> Report:
    return scan_files({path.name: path.read_bytes()})


def archive(config: Any, **members: bytes) -> bytes:
    with zipfile.ZipFile(_KERAS / "dense.keras") as source:
        weights = source.read("model.weights.h5")
    text = config if isinstance(config, str) else json.dumps(config)
    return pack({"metadata.json": json.dumps(_METADATA).encode(), "config.json": text.encode(),
                 "model.weights.h5": weights, **members})  # fmt: skip


def pack(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as target:
        for name, data in members.items():
            target.writestr(name, data)
    return out.getvalue()


def layer(name: str, module: str | None = "keras.layers", /, **config: Any) -> dict[str, Any]:
    return {"module": module, "class_name": name, "config": config, "registered_name": None}


def model(*layers: Any, **more: Any) -> dict[str, Any]:
    config = {"name": "sequential", "layers": list(layers)}
    return {"module": "keras", "class_name": "Sequential", "config": config, "registered_name": None, **more}


def judge(*layers: Any, **more: Any) -> Report:
    return scan_files({"a.keras": archive(model(*layers, **more))})


def function(name: Any, module: str | None) -> dict[str, Any]:
    return {"class_name": "function", "module": module, "config": name, "registered_name": "function"}


LAMBDA = {"class_name": "__lambda__", "config": {"value": "YwAA", "defaults": None, "closure": None}}


@pytest.mark.parametrize("name", ["dense.keras", "dense.h5", "nested.keras"])
def test_models_that_keras_wrote_pass(name: str) -> None:
    assert sample(_KERAS / name).matches == ()


@pytest.mark.parametrize("name", ["dense.keras", "dense.h5"])
def test_labelled_benign(name: str) -> None:
    assert sample(_ARTIFACTS / name).verdict is Verdict.ACCEPTED


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("lambda.keras", "keras-lambda"),
        ("module_import.keras", "keras-import"),
        ("lambda.h5", "keras-lambda"),
    ],
)
def test_labelled_malicious(name: str, rule: str) -> None:
    report = sample(_ARTIFACTS / name)
    assert report.verdict is Verdict.REFUSED
    assert rule in rules(report.matches)


LAMBDAS = {
    "layer": layer("Lambda", function=LAMBDA),
    "of an old module": layer("Lambda", "keras.src.layers.core.lambda_layer"),
    "without module": layer("Lambda", None, function=["eA==", None, None], function_type="lambda"),
    "in a wrapper": layer("TimeDistributed", layer=layer("Lambda", function=LAMBDA)),
    "in a wrapper in a model": model(layer("Bidirectional", layer=layer("RNN", cell=layer("Lambda")))),
    "as activation": layer("Dense", units=1, activation=LAMBDA),
    "as initializer": layer("Dense", units=1, kernel_initializer=LAMBDA),
    "as regularizer in a list": layer("Dense", units=1, kernel_regularizer=[{"deep": [LAMBDA]}]),
    "as build configuration": {**layer("Dense", units=1), "build_config": {"input_shape": LAMBDA}},
    "as argument of a call": {**layer("Dense"), "inbound_nodes": [{"args": [], "kwargs": {"mask": LAMBDA}}]},
}


@pytest.mark.parametrize("config", LAMBDAS.values(), ids=LAMBDAS)
def test_python_code_is_found_at_any_depth(config: Any) -> None:
    report = judge(config)
    assert report.verdict is Verdict.REFUSED
    assert "keras-lambda" in rules(report.matches)


IMPORTS = {
    "function of the system": function("system", "os"),
    "function of builtins": function("eval.x", "builtins"),
    "downloads a file": function("get_file", "keras.utils"),
    "switches safety off": function("enable_unsafe_deserialization", "keras.config"),
    "loads another model": function("load_model", "keras.models"),
    "unpickles": function("loads", "pickle"),
    "class of another package": layer("Popen", "subprocess", args=["true"]),
    "type specification": {"class_name": "__typespec__", "module": "os", "spec_name": "x", "config": []},
    "function without module": function("os.system", None),
    "name that is no text": function(["system"], "os"),
    "file of TensorFlow": layer("TFOpLambda", function="io.write_file"),
    "program of TensorFlow": layer("TFOpLambda", function="load_op_library"),
    "node of a graph": layer("TensorFlowOpLayer", node_def=json.dumps({"name": "w", "op": "WriteFile"})),
    "node that is binary": layer("TensorFlowOpLayer", node_def="\n\x01w"),
}


@pytest.mark.parametrize("config", IMPORTS.values(), ids=IMPORTS)
def test_imports_by_name_are_refused(config: Any) -> None:
    assert "keras-import" in rules(judge(config).matches)
    assert "keras-import" in rules(judge(layer("Dense", activation=config)).matches)
    assert "keras-import" in rules(judge(compile_config={"loss": {"out": [config]}}).matches)


@pytest.mark.parametrize("name", ["TFSMLayer", "TorchModuleWrapper", "FlaxLayer", "JaxLayer", "KerasLayer"])
def test_layers_that_load_other_code_are_refused(name: str) -> None:
    assert "keras-layer-runs-code" in rules(judge(layer(name, filepath="/srv/x")).matches)


CUSTOM = {
    "unknown layer": layer("Magic"),
    "known name in another module of Keras": layer("Dense", "keras.utils"),
    "registered": {**layer("Magic", None), "registered_name": "shop>Magic"},
    "registered over a known one": {**layer("Dense"), "registered_name": "shop>Dense"},
    "old custom": layer("Custom>Magic", None),
    "activation": layer("Dense", activation="magic"),
    "initializer": layer("Dense", kernel_initializer="magic"),
    "regularizer": layer("Dense", bias_regularizer="magic"),
    "constraint": layer("Dense", kernel_constraint="magic"),
    "function": layer("Dense", activation=function("magic", "builtins")),
}


@pytest.mark.parametrize("config", CUSTOM.values(), ids=CUSTOM)
def test_what_keras_does_not_have_is_refused(config: Any) -> None:
    report = judge(config)
    assert rules(report.matches) == {"keras-name-not-allowed"}
    assert report.verdict is Verdict.REFUSED


BENIGN = {
    "old functional model": layer("Functional", "keras.src.models.functional"),
    "functional model of Keras 2": layer("Functional", "keras.engine.functional"),
    "of tf_keras": layer("Functional", "tf_keras.src.engine.functional"),
    "operation": {**layer("Matmul", "keras.src.ops.numpy"), "registered_name": "Matmul"},
    "activation as function": layer("Dense", activation=function("gelu", "keras.activations")),
    "activation of Keras 2": layer("Dense", activation=function("relu", "builtins")),
    "objects without module": layer("Dense", None, kernel_initializer={"class_name": "Ones", "config": {}}),
    "policy": layer("Dense", dtype=layer("DTypePolicy", "keras", name="mixed_float16")),
    "mathematics of TensorFlow": layer("TFOpLambda", None, function="math.add", name="tf.math.add"),
    "slices": layer("SlicingOpLambda", None, function="__operators__.getitem"),
    "node of TensorFlow": layer("TensorFlowOpLayer", None, node_def=json.dumps({"name": "a", "op": "AddV2"})),
    "vocabulary in the file": layer("StringLookup", vocabulary=["a", "b"]),
    "no vocabulary": layer("TextVectorization", vocabulary=None),
    "values": layer(
        "Normalization", mean={"class_name": "__numpy__", "config": {"value": [1], "dtype": "f4"}}
    ),
    "name with slashes": layer("Dense", name="encoder/block_1/dense"),
    "optimizer of Keras 2": layer("Custom>Adam", None),
}


@pytest.mark.parametrize("config", BENIGN.values(), ids=BENIGN)
def test_what_keras_has_passes(config: Any) -> None:
    assert judge(config).matches == ()


@pytest.mark.parametrize("path", ["/etc/passwd", "vocab.txt", "https://host/vocab.txt", "gs://bucket/v"])
@pytest.mark.parametrize("name", ["StringLookup", "IntegerLookup", "TextVectorization"])
def test_a_vocabulary_from_a_path_is_refused(name: str, path: str) -> None:
    assert "keras-file-access" in rules(judge(layer(name, vocabulary=path)).matches)


@pytest.mark.parametrize("name", ["../../etc/x", "a/../../b", "/abs", "~root", "C:\\x", "..\\x"])
def test_names_that_lead_out_are_refused(name: str) -> None:
    assert "keras-path-in-name" in rules(judge(layer("Dense", name=name)).matches)


def test_a_loss_of_its_own_is_for_a_reviewer() -> None:
    report = judge(compile_config={"optimizer": "adam", "loss": "dice_of_mine", "metrics": ["accuracy"]})
    assert report.verdict is Verdict.DOUBTFUL
    assert rules(report.matches) == {"keras-custom-objective"}
    assert judge(compile_config={"loss": "mse", "metrics": [["acc"], {"a": "mae"}]}).matches == ()


def test_archives_of_another_shape_are_refused() -> None:
    config = model(layer("Dense"))
    whole = archive(config)
    with zipfile.ZipFile(io.BytesIO(whole)) as file:
        members = {name: file.read(name) for name in file.namelist()}
    for name in ("metadata.json", "model.weights.h5"):
        lacking = pack({key: data for key, data in members.items() if key != name})
        assert scan_files({"a.keras": lacking}).verdict is Verdict.REFUSED
    extra = scan_files({"a.keras": archive(config, **{"notes.txt": b"hello"})})
    assert "keras-unexpected-member" in rules(extra.matches)
    text = scan_files({"a.keras": archive(config, **{"model.weights.h5": b"just text"})})
    assert "keras-unexpected-member" in rules(text.matches)
    assert scan_files({"a.keras": archive(config, **{"assets/vocabulary.txt": b"a\nb\n"})}).matches == ()
    code = scan_files({"a.keras": archive(config, **{"assets/load.py": b"import os\nos.system('x')\n"})})
    assert code.verdict is Verdict.REFUSED


@pytest.mark.parametrize(
    "text",
    [
        '{"class_name": "Dense", "class_name": "Lambda"}',
        "[" * 100_000 + "]" * 100_000,
        '{"a":' * 5000 + "1" + "}" * 5000,
        "[]",
        "no JSON",
        '{"class_name": ["Lambda"]}',
        '{"class_name": "Dense", "module": 3}',
    ],
    ids=["key twice", "deep lists", "deep objects", "a list", "no JSON", "list as class", "number as module"],
)
def test_configurations_with_two_meanings_are_refused(text: str) -> None:
    assert scan_files({"a.keras": archive(text)}).verdict is Verdict.REFUSED


@pytest.mark.parametrize(
    "name",
    ["plain_earliest.h5", "plain_latest.h5", "many_earliest.h5", "many_latest.h5", "large_attribute.h5",
     "tables.h5", "tables_object.h5"],
)  # fmt: skip
def test_ordinary_hdf5_passes(name: str) -> None:
    assert sample(_KERAS / name).matches == ()


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("external_earliest.h5", "hdf5-outside-file"),
        ("external_latest.h5", "hdf5-outside-file"),
        ("hidden_external.h5", "hdf5-outside-file"),
        ("raw_external.h5", "hdf5-outside-file"),
        ("virtual.h5", "hdf5-outside-file"),
        ("scale_offset.h5", "hdf5-filter"),
        ("bomb.h5", "file-malformed"),
        ("cycle.h5", "file-malformed"),
        ("tables_attack.h5", "pickle-code-execution"),
    ],
)
def test_hostile_hdf5_is_refused(name: str, rule: str) -> None:
    report = sample(_KERAS / name)
    assert report.verdict is Verdict.REFUSED
    assert rule in rules(report.matches)


def test_objects_have_their_values() -> None:
    data = (_KERAS / "plain_latest.h5").read_bytes()
    file = read_hdf5(lambda offset, size: data[offset : offset + size], len(data))
    found = {thing.path: thing for thing in file.objects}
    assert set(found) == {"/", "/group", "/group/numbers", "/text", "/packed"}
    assert [list(a.values(file.heaps)) for a in found["/group"].attributes] == [[b"a", b"bb"]]
    packed = found["/packed"].dataset
    assert packed is not None
    assert packed.extent.dimensions == (9, 5)
    assert packed.filters == (2, 1)


def test_many_links_and_attributes_are_all_read() -> None:
    for name in ("many_earliest.h5", "many_latest.h5"):
        data = (_KERAS / name).read_bytes()
        file = read_hdf5(lambda offset, size: data[offset : offset + size], len(data))  # noqa: B023
        assert len(file.objects) == 41
        assert {attribute.name for attribute in file.objects[0].attributes} == {
            f"attribute{number}" for number in range(40)
        }


@pytest.mark.parametrize("name", ["plain_earliest.h5", "plain_latest.h5"])
@pytest.mark.parametrize("change", ["cut", "junk behind", "other superblock", "other base"])
def test_hdf5_of_another_shape_is_refused(name: str, change: str) -> None:
    data = bytearray((_KERAS / name).read_bytes())
    if change == "cut":
        del data[-100:]
    elif change == "junk behind":
        data += b"junk"
    elif change == "other superblock":
        data[8] = 9
    else:
        data[24 if name == "plain_earliest.h5" else 12] = 1
    with pytest.raises(RejectedError):
        read_hdf5(lambda offset, size: bytes(data[offset : offset + size]), len(data))


@pytest.mark.slow
def test_every_broken_byte_is_refused_or_read() -> None:
    """No other exception leaves, whichever byte is broken."""
    for name in ("plain_earliest.h5", "plain_latest.h5", "external_latest.h5"):
        data = (_KERAS / name).read_bytes()
        for at in range(8, min(len(data), 2200), 3):
            for value in (0xFF, 0x00, data[at] ^ 1):
                broken = data[:at] + bytes([value]) + data[at + 1 :]
                try:
                    file = read_hdf5(lambda o, n: broken[o : o + n], len(broken))  # noqa: B023
                    for thing in file.objects:
                        for attribute in thing.attributes:
                            list(attribute.values(file.heaps))
                except RejectedError:
                    continue


def test_checksum() -> None:
    """The examples of lookup3.c."""
    assert lookup3(b"") == 0xDEADBEEF
    assert lookup3(b"Four score and seven years ago") == 0x17770551


def test_a_configuration_in_any_attribute_is_judged() -> None:
    """Keras reads the root's; other loaders take those of groups."""
    data = (_ARTIFACTS / "lambda.h5").read_bytes().replace(b"model_config", b"other_config")
    assert "keras-lambda" in rules(scan_files({"a.h5": data}).matches)

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest

from strongroom import canonical
from strongroom.artifact.formats import Format
from strongroom.artifact.inspect import Inspection, inspect
from strongroom.artifact.tensors import Kind
from strongroom.errors import RejectedError
from tests import models
from tests.models import SampleModel
from tests.unit.artifact import wire
from tests.unit.artifact.objects import Octets, some_bytes
from tests.unit.artifact.test_formats import archive, numpy_file, safetensors
from tests.unit.artifact.test_weights import gguf, pair, text


def look(entries: dict[str, bytes]) -> Inspection:
    return inspect({path: (Octets(data).read_at, len(data)) for path, data in entries.items()})


@pytest.mark.parametrize("build", models.SERVABLE, ids=lambda build: build.__name__)
def test_servable_models_are_servable(build: Callable[[], SampleModel]) -> None:
    sample = build()
    found = look(sample.entries)
    assert (found.format, found.main, found.servable) == (Format.ONNX, sample.main, True)
    assert {spec.name for spec in found.inputs} == set(sample.example)
    assert found.outputs


def test_the_summary_is_canonical_and_says_what_a_runtime_needs() -> None:
    found = look(models.classifier_with_zipmap().entries)
    assert canonical.decode(canonical.encode(found.summary())) == found.summary()
    assert "ai.onnx.ml:ZipMap" in found.operators
    assert found.dependencies["opsets"].keys() == {"ai.onnx", "ai.onnx.ml"}
    assert "ZipMap" in found.dependencies["operators"]["ai.onnx.ml"]


def test_zipmap_is_a_finding_and_served_as_a_matrix() -> None:
    found = look(models.classifier_with_zipmap().entries)
    assert [finding.rule for finding in found.findings] == ["onnx-class-scores"]
    assert found.outputs[1].kind is Kind.CLASS_SCORES
    assert look(models.classifier().entries).findings == ()


def test_a_model_with_values_no_request_can_hold_is_kept_but_not_served() -> None:
    sequence = wire.octets(4, wire.octets(1, wire.tensor_type()))
    for data in (
        wire.model(wire.graph(wire.octets(12, wire.value("z", sequence)))),
        wire.model(wire.graph(wire.octets(11, wire.value("z", wire.tensor_type(14))))),
        wire.model(wire.octets(1, wire.node())),
    ):
        found = look({"model.onnx": data})
        assert not found.servable
        assert "onnx-not-servable" in {finding.rule for finding in found.findings}


def test_companions_may_lie_beside_the_model() -> None:
    beside = {"README.md": b"# Fraud\n", "config.json": b"{}", "LICENSE": b"Apache", "notes": b""}
    assert look({**models.linear().entries, **beside}).main == "model.onnx"


def test_external_data_in_a_folder_below_the_model() -> None:
    entries = {f"sub/{path}": data for path, data in models.external_data().entries.items()}
    assert look(entries).main == "sub/model.onnx"


LINEAR = models.linear().onnx
EXTERNAL = models.external_data().entries
WEIGHTS = next(path for path in EXTERNAL if path != "model.onnx")


def pointing(location: str, **more: str) -> bytes:
    return wire.model(wire.graph(wire.external(location=location, **more)))


REFUSED: list[tuple[str, dict[str, bytes], str]] = [
    ("nothing", {}, "no entries"),
    ("no model", {"README.md": b"hello"}, "no file here is an inert model"),
    ("only unknown bytes", {"weights.bin": some_bytes(100)}, "no file here is an inert model"),
    ("pickle", {"model.pkl": pickle.dumps([1])}, "is pickle"),
    ("pickle beside a model", {"model.onnx": LINEAR, "x": pickle.dumps([1])}, "is pickle"),
    ("torch", {"model.pt": archive("a/data.pkl")}, "is torch"),
    ("keras", {"model.keras": archive("config.json", "model.weights.h5")}, "is keras"),
    ("numpy", {"model.npy": numpy_file()}, "is numpy"),
    ("zip beside a model", {"model.onnx": LINEAR, "x": archive("y")}, "is zip"),
    ("program beside a model", {"model.onnx": LINEAR, "x": b"\x7fELF" + bytes(60)}, "is executable"),
    ("python beside a model", {"model.onnx": LINEAR, "modeling.py": b"import os\n"}, "program code"),
    ("library by name", {"model.onnx": LINEAR, "ops.so": some_bytes(100)}, "program code"),
    ("unknown bytes beside a model", {"model.onnx": LINEAR, "w.bin": some_bytes(100)}, "does not refer"),
    ("two models", {"a.onnx": LINEAR, "b.onnx": LINEAR}, "2 ONNX models"),
    ("model in the clothes of text", {"model.onnx": LINEAR, "README.md": LINEAR}, "the name says"),
    ("two kinds of models", {"a.onnx": LINEAR, "w.safetensors": safetensors()}, "onnx and safetensors"),
    ("custom operator", models.custom_operator().entries, "not one of the allowed operators"),
    (
        "settings for the engine",
        {"model.onnx": wire.model(None, wire.octets(14, wire.octets(1, "ort_config")))},
        "settings for the engine",
    ),
    ("external data missing", {"model.onnx": EXTERNAL["model.onnx"]}, "not part of the model"),
    ("external data renamed", {"model.onnx": EXTERNAL["model.onnx"], "x.bin": EXTERNAL[WEIGHTS]}, "not part"),
    ("external data cut", {**EXTERNAL, WEIGHTS: EXTERNAL[WEIGHTS][:-1]}, "beyond the end"),
    ("external data is a pickle", {"model.onnx": pointing("w"), "w": pickle.dumps(["x" * 50])}, "is pickle"),
    ("external data is a model",
     {"model.onnx": pointing("w"), "w": safetensors()}, "onnx and safetensors"),
    ("external data in the model itself", {"model.onnx": pointing("model.onnx")}, "not part of the model"),
    ("external data outside", models.external_escape().entries, "outside the model"),
    ("external data absolute", {"model.onnx": pointing("/etc/passwd")}, "outside the model"),
    ("external data up and down", {"model.onnx": pointing("a/../w"), "w": bytes(16)}, "outside the model"),
    ("external data here", {"model.onnx": pointing("./w"), "w": bytes(16)}, "outside the model"),
    ("external data in another case", {"model.onnx": pointing("W"), "w": bytes(16)}, "not part of the model"),
    # onnxruntime takes this location for "the data is at this address of the process".
    ("external data at an address", {"model.onnx": pointing("*/_ORT_MEM_ADDR_/*", offset="4096")}, "outside"),
    ("external data nowhere", {"model.onnx": pointing("")}, "outside the model"),
    ("external data at an end that overflows",
     {"model.onnx": pointing("w", offset=str(2**40)), "w": bytes(16)}, "beyond the end"),
    ("paths that clash", {"model.onnx": LINEAR, "MODEL.ONNX": LINEAR}, "clashes"),
    ("path outside", {"../model.onnx": LINEAR}, "leaves its folder"),
    ("malformed safetensors", {"w.safetensors": safetensors() + b"x"}, "does not end"),
    ("malformed gguf", {"w.gguf": gguf()[:-1]}, "does not end"),
    ("python beside weights", {"w.safetensors": safetensors(), "m.py": b""}, "program code"),
    ("unknown bytes beside weights", {"w.safetensors": safetensors(), "x": some_bytes(9)}, "does not refer"),
]  # fmt: skip


@pytest.mark.parametrize(("attack", "entries", "reason"), REFUSED, ids=[row[0] for row in REFUSED])
def test_what_may_not_be_published_is_refused_with_the_reason(
    attack: str, entries: dict[str, bytes], reason: str
) -> None:
    with pytest.raises(RejectedError, match=reason):
        look(entries)


@pytest.mark.parametrize("entries", [{"m.pkl": pickle.dumps([1])}, {"m.pt": archive("a/data.pkl")}])
def test_a_refusal_says_how_to_fix_it(entries: dict[str, bytes]) -> None:
    with pytest.raises(RejectedError) as refused:
        look(entries)
    assert refused.value.hint


def test_weights_are_kept_but_not_served() -> None:
    shards = {"b.safetensors": safetensors(), "a.safetensors": safetensors(), "config.json": b"{}"}
    found = look(shards)
    assert (found.format, found.main, found.servable) == (Format.SAFETENSORS, "a.safetensors", False)
    assert found.dependencies == {"files": 2, "tensors": 2}
    assert look({"w.gguf": gguf()}).dependencies["architecture"] == "llama"


def test_a_template_in_gguf_is_a_finding() -> None:
    found = look({"w.gguf": gguf((pair("tokenizer.chat_template", 8, text("{{ x }}")),))})
    assert [finding.rule for finding in found.findings] == ["gguf-template"]


SAMPLES = Path(__file__).parents[2] / "vectors" / "artifacts"


@pytest.mark.parametrize(
    ("name", "found", "key"),
    [
        ("xgb.json", Format.XGBOOST_JSON, "trees"),
        ("xgb.ubj", Format.XGBOOST_UBJ, "objective"),
        ("lgb.txt", Format.LIGHTGBM, "trees"),
        ("ov_ok.xml", Format.OPENVINO, "operators"),
    ],
)
def test_inert_model_that_is_not_served_is_kept_with_what_it_needs(
    name: str, found: Format, key: str
) -> None:
    data = (SAMPLES / name).read_bytes()
    seen = inspect({name: (Octets(data).read_at, len(data))})
    assert (seen.format, seen.main, seen.servable) == (found, name, False)
    assert seen.dependencies[key]
    assert [each.rule for each in seen.findings] == ["model-not-served"]


def test_two_models_of_one_tool_are_not_one() -> None:
    data = (SAMPLES / "lgb.txt").read_bytes()
    source = (Octets(data).read_at, len(data))
    with pytest.raises(RejectedError, match="holds 2 lightgbm models"):
        inspect({"a.txt": source, "b.txt": source})

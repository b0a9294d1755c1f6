"""What was declared against what a host has."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from strongroom.scan.bill import Bill, BillFile, Runtime, find_architecture, find_task
from strongroom.scan.dependencies import Ecosystem, build_dependency
from strongroom.scan.differences import Difference, Host, Kind, compare

BILL = Bill(
    family="fraud",
    version="1.0.0",
    manifest="sha256:" + "a" * 64,
    statement="sha256:" + "b" * 64,
    owner="risk",
    publisher="dora",
    created_at=datetime(2026, 3, 1, tzinfo=UTC),
    format="onnx",
    main="model.onnx",
    files=(BillFile("model.onnx", 1, "c" * 64),),
    inputs=("x: float32[-1,4]",),
    outputs=("y: float32[-1,1]",),
    requires={"opsets": {"ai.onnx": 21, "ai.onnx.ml": 3}, "operators": {"ai.onnx": ["Gemm"]}},
    dependencies=(build_dependency("numpy", "2.1.0"),),
    runtime=(Runtime("onnxruntime", "1.22.0"), Runtime("strongroom", "0.1.0")),
)
HERE = Host({"numpy": "2.1", "onnxruntime": "1.22.0"}, opsets={"ai.onnx": 23, "ai.onnx.ml": 5})


def kinds(bill: Bill = BILL, host: Host = HERE, **changes: Any) -> list[tuple[Kind, str]]:
    return [(one.kind, one.name) for one in found(bill, replace(host, **changes))]


def found(bill: Bill, host: Host) -> tuple[Difference, ...]:
    return compare(bill, host)


def test_as_declared() -> None:
    assert kinds() == []


def test_missing_other_and_extra() -> None:
    packages = {"onnxruntime": "1.22.0", "scipy": "1.0"}
    assert kinds(packages=packages) == [(Kind.MISSING, "numpy"), (Kind.EXTRA, "scipy")]
    assert kinds(packages={**HERE.packages, "numpy": "2.1.1"}) == [(Kind.VERSION, "numpy")]
    assert kinds(packages={**HERE.packages, "numpy": None}) == [(Kind.VERSION, "numpy")]


def test_what_strongroom_brings_is_expected() -> None:
    packages = {**HERE.packages, "typer": "1", "pip": "24", "strongroom": "0.1.0"}
    assert kinds(packages=packages, expected=frozenset({"typer"})) == []


def test_nothing_declared_nothing_too_much() -> None:
    assert kinds(replace(BILL, dependencies=()), packages={**HERE.packages, "scipy": "1.0"}) == []


@pytest.mark.parametrize("packages", [{"numpy": "2.1"}, {"numpy": "2.1", "onnxruntime": "1.23.0"}])
def test_engine_drift(packages: dict[str, str]) -> None:
    assert kinds(packages=packages) == [(Kind.ENGINE, "onnxruntime")]


def test_an_opset_beyond_the_engine() -> None:
    assert kinds(opsets={"ai.onnx": 20, "ai.onnx.ml": 5}) == [(Kind.OPSET, "ai.onnx")]
    assert kinds(opsets={"ai.onnx": 21}) == [(Kind.OPSET, "ai.onnx.ml")]


@pytest.mark.parametrize(("version", "doubtful"), [("1.23.0", False), ("1.22.0", False), ("1.21.9", True)])
def test_of_an_engine_that_cannot_be_asked_only_newer_ones_are_believed(version: str, doubtful: bool) -> None:
    told = kinds(packages={**HERE.packages, "onnxruntime": version}, opsets=None)
    assert ((Kind.OPSET, "onnxruntime") in told) is doubtful


def test_several_versions_of_one_package_are_alternatives() -> None:
    both = (build_dependency("numpy", "1.26.4"), build_dependency("numpy", "2.1.0"))
    assert kinds(replace(BILL, dependencies=both)) == []


def test_what_only_conda_has_is_not_looked_for_among_pythons() -> None:
    system = (build_dependency("openssl", "1.1.1w", ecosystem=Ecosystem.CONDA),)
    assert kinds(replace(BILL, dependencies=system), packages={"onnxruntime": "1.22.0"}) == []


def test_what_operators_say_of_a_model() -> None:
    assert find_task(["ai.onnx.ml:TreeEnsembleClassifier"]) == "classification"
    assert find_task(["ai.onnx.ml:SVMRegressor"]) == "regression"
    assert find_task(["ai.onnx:Gemm"]) is None
    assert find_architecture(["ai.onnx:Conv"], {}) == "convolutional neural network"
    assert find_architecture(["ai.onnx:Gemm"], {}) is None
    assert find_architecture([], {"architecture": "llama"}) == "llama"

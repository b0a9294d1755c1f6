"""What is installed: this very environment, and one that a test makes up."""

import sys
from types import ModuleType, SimpleNamespace

import pytest

from strongroom.adapters.host.memory import MemoryHost
from strongroom.adapters.host.python import PythonHost
from strongroom.ports import InstalledPackages


@pytest.fixture(params=["memory", "python"])
def host(request: pytest.FixtureRequest) -> InstalledPackages:
    if request.param == "python":
        return PythonHost()
    return MemoryHost(
        {"strongroom": "0.1.0", "rich": "14.0", "pygments": "2.0", "pytest": "9.0"},
        {"strongroom": frozenset({"rich", "absent"}), "rich": frozenset({"pygments"})},
    )


def test_the_closure_is_what_it_needs_and_no_more(host: InstalledPackages) -> None:
    versions = host.versions()
    needed = host.closure("strongroom")
    assert {"strongroom", "rich", "pygments"} <= needed <= versions.keys()
    assert "pytest" in versions
    assert "pytest" not in needed


def test_of_what_is_not_installed(host: InstalledPackages) -> None:
    assert host.closure("unheard-of") == frozenset()


def test_opsets_as_the_engine_says(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = ModuleType("engine")
    schemas = [("", 13), ("", 21), ("ai.onnx.ml", 3)]
    told = [SimpleNamespace(domain=domain, since_version=version) for domain, version in schemas]
    engine.get_all_operator_schema = lambda: told  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "onnxruntime.capi.onnxruntime_pybind11_state", engine)
    assert PythonHost().opsets() == {"ai.onnx": 21, "ai.onnx.ml": 3}
    del engine.get_all_operator_schema
    assert PythonHost().opsets() == {}


def test_this_engine_tells_its_opsets() -> None:
    pytest.importorskip("onnxruntime")
    assert PythonHost().opsets()["ai.onnx"] >= 20

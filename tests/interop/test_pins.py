"""What is installed is what was pinned, and the pins name packages and hashes and nothing else."""

import re
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[2]
_PIN = re.compile(r"([a-z0-9-]+)==([a-z0-9.+]+)( ; [a-z0-9_ =!<>.()'A-Z]+)? \\")
_HASH = re.compile(r"    --hash=sha256:[0-9a-f]{64}( \\)?")
_UNLOCKED = frozenset({"convert-torch", "convert-keras", "convert-tflite"})
"""PyTorch's builds for processors and for CUDA share a version but no hash (Makefile, `test-extras`)."""


def _pins(lock: str) -> dict[str, str]:
    lines = (_ROOT / lock).read_text().splitlines()
    matches = [_PIN.fullmatch(line) for line in lines if not line.startswith(" ")]
    return {match[1]: match[2] for match in matches if match and not match[3]}


def _direct_dependencies() -> set[str]:
    project = tomllib.loads((_ROOT / "pyproject.toml").read_text())["project"]
    wanted = list(project["dependencies"])
    for name, extra in project["optional-dependencies"].items():
        wanted += [line for line in extra if ";" not in line and name not in _UNLOCKED]
    return {re.split(r"[ =<>!~\[;]", line, maxsplit=1)[0].lower().replace("_", "-") for line in wanted}


@pytest.mark.parametrize(
    "lock", [f"requirements{which}.lock" for which in ("", "-bench", "-bench-scan", "-fuzz")]
)
def test_lock_names_no_host_no_path_and_pins_by_hash(lock: str) -> None:
    lines = (_ROOT / lock).read_text().splitlines()
    assert [line for line in lines if not (_PIN.fullmatch(line) or _HASH.fullmatch(line))] == []
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        if not line.startswith(" "):
            assert _HASH.fullmatch(following), f"{line} has no hash"


def test_every_direct_dependency_is_locked() -> None:
    assert _direct_dependencies() - set(_pins("requirements.lock")) == set()


def test_what_is_installed_is_what_is_locked() -> None:
    different = {}
    for name, pinned in _pins("requirements.lock").items():
        try:
            installed = version(name)
        except PackageNotFoundError:
            installed = "nothing"
        if installed != pinned:
            different[name] = (pinned, installed)
    assert different == {}, "run `make dev`"

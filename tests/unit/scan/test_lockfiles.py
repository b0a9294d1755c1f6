"""Lockfiles of every kind, and what must not slip through one."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.errors import InvalidError
from strongroom.scan import dependencies, lockfiles, requirements
from strongroom.scan.dependencies import (
    Dependency,
    Ecosystem,
    build_dependency,
    dependencies_to_json,
    find_dependencies,
    flatten_dependencies,
)
from strongroom.scan.lockfiles import parse_lockfile

A, B = "a" * 64, "b" * 64


def read(text: str, name: str = "requirements.txt") -> dict[str, Dependency]:
    return {one.name: one for one in parse_lockfile(text.encode(), name).dependencies}


def test_requirements_with_hashes() -> None:
    found = read(
        "# made by a tool\n--index-url https://user:secret@index.example/simple\n"
        "Scikit_Learn[extra]==1.4.0 ; python_version > '3.8' \\\n"
        f"    --hash=sha256:{A} \\\n    --hash=sha256:{B}\n"
        "numpy==1.26.4  # pinned\n"
    )
    assert found["scikit-learn"] == Dependency("scikit-learn", "1.4.0", pinned=True, sha256=(A, B), line=3)
    assert (found["numpy"].version, found["numpy"].pinned, found["numpy"].line) == ("1.26.4", True, 6)


@pytest.mark.parametrize(
    "line",
    ["numpy", "numpy>=1.0", "numpy~=1.2", "numpy==1.*", "numpy!=1.0", "numpy<2,>=1", "numpy===weird"],
)
def test_unpinned_is_kept_and_known_as_such(line: str) -> None:
    found = read(line)["numpy"]
    assert (found.version, found.pinned) == (None, False)
    assert found.wanted


def test_a_range_that_leaves_one_version_is_pinned() -> None:
    assert read("numpy>=1,==1.26.4,<2")["numpy"].version == "1.26.4"


@pytest.mark.parametrize(
    ("line", "name", "version"),
    [
        ("torch @ https://u:pw@files.example/torch-2.1.0-cp311-cp311-linux_x86_64.whl", "torch", "2.1.0"),
        ("./wheels/torch-2.1.0-py3-none-any.whl", "torch", "2.1.0"),
        ("torch @ git+https://token@forge.example/torch.git@main", "torch", None),
        ("-e git+https://forge.example/x/torch.git@abc#egg=torch", "torch", None),
        ("-e /home/dana/work/torch", "torch", None),
        ("git+https://forge.example/x/torch.git", "torch", None),
    ],
)
def test_places_are_no_pins_and_no_secrets(line: str, name: str, version: str | None) -> None:
    found = read(line)[name]
    assert (found.version, found.pinned) == (version, False)
    assert all(secret not in found.wanted for secret in ("pw", "token", "dana"))


def test_a_place_with_a_hash_is_a_pin() -> None:
    assert read(f"torch @ https://x.example/torch-2.1.0-py3-none-any.whl#sha256={A}")["torch"].pinned


@pytest.mark.parametrize(
    "line",
    ["-r other.txt", "--requirement=other.txt", "-cother.txt", "--constraint x", "--install-option=x", "-z"],
)
def test_what_points_elsewhere_is_refused(line: str) -> None:
    with pytest.raises(InvalidError, match="line 2"):
        read(f"numpy==1.0\n{line}\n")


@pytest.mark.parametrize(
    "line", ["num py==1", "==1.0", "numpy==", "nümpy==1", "numpy==1.0 extra words", "../", "-e"]
)
def test_what_is_no_requirement_is_refused(line: str) -> None:
    with pytest.raises(InvalidError):
        read(f"{line}\n")


def test_pip_freeze_of_powershell() -> None:
    found = parse_lockfile("numpy==1.26.4\r\n".encode("utf-16"), "requirements.txt")
    assert found.dependencies[0].version == "1.26.4"


UV = f"""
version = 1
requires-python = ">=3.11"
[[package]]
name = "Numpy"
version = "1.26.4"
source = {{ registry = "https://index.example/simple" }}
sdist = {{ url = "https://f.example/n.tar.gz", hash = "sha256:{A}", size = 1 }}
wheels = [{{ url = "https://f.example/n.whl", hash = "sha256:{B}", size = 1 }}]
[[package]]
name = "mine"
version = "0.1"
source = {{ editable = "." }}
[[package]]
name = "forked"
version = "2.0"
source = {{ git = "https://token@forge.example/forked?rev=1#abc" }}
"""
POETRY = f"""
[[package]]
name = "numpy"
version = "1.26.4"
files = [{{file = "n.whl", hash = "sha256:{A}"}}]
[metadata]
lock-version = "2.0"
content-hash = "x"
"""
POETRY_OLD = f"""
[[package]]
name = "numpy"
version = "1.26.4"
[metadata]
lock-version = "1.1"
[metadata.files]
numpy = [{{file = "n.whl", hash = "sha256:{A}"}}]
"""
PYLOCK = f"""
lock-version = "1.0"
created-by = "t"
[[packages]]
name = "numpy"
version = "1.26.4"
[[packages.wheels]]
url = "https://f.example/n.whl"
hashes = {{sha256 = "{A}"}}
"""
PIPFILE = json.dumps(
    {
        "_meta": {"hash": {"sha256": "x"}},
        "default": {"numpy": {"version": "==1.26.4", "hashes": [f"sha256:{A}"]}},
        "develop": {"forked": {"git": "https://forge.example/x.git", "ref": "abc"}},
    }
)
CYCLONEDX = json.dumps(
    {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "components": [
            {"type": "operating-system", "name": "debian", "purl": "pkg:deb/debian/bash@5"},
            {
                "type": "library",
                "name": "outer",
                "components": [
                    {
                        "type": "library",
                        "name": "numpy",
                        "purl": "pkg:pypi/numpy@1.26.4?x=y",
                        "hashes": [{"alg": "SHA-256", "content": A}, {"alg": "MD5", "content": "0"}],
                    }
                ],
            },
        ],
    }
)


@pytest.mark.parametrize(
    ("text", "name", "kind", "count"),
    [
        (UV, "uv.lock", "uv.lock", 2),
        (POETRY, "poetry.lock", "poetry.lock", 1),
        (POETRY_OLD, "poetry.lock", "poetry.lock", 1),
        (PYLOCK, "pylock.toml", "pylock.toml", 1),
        (PIPFILE, "Pipfile.lock", "Pipfile.lock", 2),
        (CYCLONEDX, "bom.json", "CycloneDX", 1),
        ('{"numpy": "1.26.4"}', "built-with.json", "JSON", 1),
    ],
)
def test_every_kind_of_lock(text: str, name: str, kind: str, count: int) -> None:
    found = parse_lockfile(text.encode(), name)
    assert (found.kind, len(found.dependencies)) == (kind, count)
    numpy = next(one for one in found.dependencies if one.name == "numpy")
    assert (numpy.version, numpy.pinned) == ("1.26.4", True)
    assert kind == "JSON" or A in numpy.sha256


def test_a_repository_in_a_lock_is_no_pin() -> None:
    forked = read(UV, "uv.lock")["forked"]
    assert (forked.version, forked.pinned, forked.wanted) == ("2.0", False, "https://forge.example/forked")


CONDA = """\
name: train
channels:
  - conda-forge
  - defaults
dependencies:
  - python=3.11.5=hab00c5b_0_cpython
  - conda-forge::numpy==1.26.4
  - scipy=1.11   # fuzzy
  - pandas>=2
  - openssl
  - pip
  - pip:
    - torch==2.1.0
    - "onnx==1.16.0"
prefix: /home/dana/envs/train
"""


def test_conda_environment() -> None:
    found = read(CONDA, "environment.yml")
    assert {name: (one.version, one.pinned) for name, one in found.items()} == {
        "python": ("3.11.5", True),
        "numpy": ("1.26.4", True),
        "scipy": ("1.11", False),
        "pandas": (None, False),
        "openssl": (None, False),
        "pip": (None, False),
        "torch": ("2.1.0", True),
        "onnx": ("1.16.0", True),
    }
    assert found["torch"].ecosystem is Ecosystem.PYPI
    assert found["scipy"].ecosystem is Ecosystem.CONDA


def test_conda_explicit() -> None:
    text = f"@EXPLICIT\nhttps://c.example/linux-64/openssl-1.1.1w-hd590300_0.conda#sha256:{A}\n"
    found = read(text, "spec.txt")["openssl"]
    assert (found.version, found.sha256, found.ecosystem) == ("1.1.1w", (A,), Ecosystem.CONDA)


@pytest.mark.parametrize(
    "text",
    [
        "dependencies: &a\n  - numpy\n",
        "dependencies:\n  - *a\n",
        "dependencies: [numpy]\n",
        "dependencies:\n  - !!python/object/apply:os.system ['id']\n",
        "dependencies:\n  - |\n    numpy\n",
        "surprise:\n  - x\n",
        "dependencies:\n\t- numpy\n",
        "dependencies:\n  numpy: 1\n",
    ],
)
def test_more_yaml_than_conda_writes_is_refused(text: str) -> None:
    with pytest.raises(InvalidError):
        read(text, "environment.yml")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("", "requirements.txt"),
        ("# nothing\n", "requirements.txt"),
        ("{}", "x.json"),
        ('{"numpy": "1", "numpy": "2"}', "x.json"),
        ('{"numpy": {"deep": 1}}', "x.json"),
        ('{"numpy": "not a version"}', "x.json"),
        ('{"bomFormat": "CycloneDX", "components": []}', "x.json"),
        ("[" * 100_000, "x.json"),
        ('{"a":' * 5000, "x.json"),
        ("[[package]]\nname = 'x'\n", "uv.lock"),
        ("x = " + "[" * 50_000, "uv.toml"),
        ("version = 1\n[[package]]\nname = 1\n", "uv.lock"),
        ("a\x00b", "requirements.txt"),
    ],
)
def test_what_names_nothing_or_cannot_be_read_is_refused(text: str, name: str) -> None:
    with pytest.raises(InvalidError):
        parse_lockfile(text.encode(), name)


def test_bytes_that_are_no_text() -> None:
    with pytest.raises(InvalidError, match="not text"):
        parse_lockfile(b"\x80\x81numpy", "requirements.txt")


def test_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dependencies, "MAX_DEPENDENCIES", 2)
    with pytest.raises(InvalidError, match="more than 2 packages"):
        read("a==1\nb==1\nc==1\n")
    monkeypatch.setattr(dependencies, "MAX_HASHES", 1)
    with pytest.raises(InvalidError, match="more than 1 hashes"):
        read(f"a==1 --hash=sha256:{A} --hash=sha256:{B}\n")
    monkeypatch.setattr(requirements, "MAX_LINE_CHARS", 20)
    with pytest.raises(InvalidError, match="longer than 20"):
        read("a==1.0 \\\n" * 10)
    monkeypatch.setattr(lockfiles, "MAX_LOCKFILE_BYTES", 3)
    with pytest.raises(InvalidError, match="larger than 3"):
        read("a==1\n")


def test_a_long_name_of_a_package() -> None:
    with pytest.raises(InvalidError, match="not a package name"):
        build_dependency("a" * 200, "1")


@given(st.text(max_size=200), st.sampled_from(["requirements.txt", "environment.yml", "uv.lock", "x.json"]))
def test_arbitrary_text_is_read_or_refused(text: str, name: str) -> None:
    try:
        found = parse_lockfile(text.encode("utf-8", "surrogatepass"), name)
    except InvalidError:
        return
    assert all(one.name for one in found.dependencies)


def test_the_signed_form_says_the_same() -> None:
    found = parse_lockfile(CONDA.encode(), "environment.yml").dependencies
    told = find_dependencies(json.loads(json.dumps(dependencies_to_json(found))))
    assert [(one.name, one.version, one.pinned, one.ecosystem, one.wanted) for one in told] == [
        (one.name, one.version, one.pinned, one.ecosystem, one.wanted) for one in found
    ]


def test_what_earlier_releases_signed_is_read_as_far_as_it_names_packages() -> None:
    declared = {"numpy": "2.1.0", "dataset": {"sha256": "11"}, "a note": "trained on a Tuesday"}
    assert [str(one) for one in find_dependencies(declared)] == ["numpy 2.1.0"]
    assert flatten_dependencies(declared)["numpy"] == "2.1.0"
    assert flatten_dependencies(declared)["a note"] == "trained on a Tuesday"


def test_lines_for_people() -> None:
    declared = dependencies_to_json(parse_lockfile(b"numpy==2.1.0\npandas>=2\n").dependencies)
    declared["runtime"] = [{"name": "onnxruntime", "version": "1.22.0"}]
    assert flatten_dependencies(declared) == {
        "numpy": "2.1.0",
        "pandas": ">=2",
        "onnxruntime (runtime)": "1.22.0",
    }

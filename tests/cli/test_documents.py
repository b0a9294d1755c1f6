"""The pages in docs/ against what they are about: commands, settings, invariants, formats, links."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from strongroom.sdk import running
from strongroom.sdk.client import Client
from strongroom.sdk.home import Strongroom
from strongroom.settings import Settings
from tests.cli.pages import REPOSITORY
from tests.cli.reference import build_common, build_head, commands

DOCS = REPOSITORY / "docs"
PAGES = [*sorted(DOCS.rglob("*.md")), *sorted(REPOSITORY.glob("*.md"))]
INVARIANTS = 12
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_NAMED_TEST = re.compile(r"`((?:tests/)?[\w/]+\.py)(?:::(\w+))?`")


def _text(path: str) -> str:
    return (REPOSITORY / path).read_text()


def _section(name: str) -> str:
    return _text("docs/cli.md").partition(f"### {name}\n")[2].partition("\n###")[0]


@pytest.mark.parametrize("name", commands())
def test_every_command_is_described_as_it_is(name: str) -> None:
    wanted = build_head(name, commands()[name])
    assert wanted in _text("docs/cli.md"), f"docs/cli.md should say:\n{wanted}"
    assert f"\n    {name}" in _section(name), "an example"
    assert "\nExit: 0" in _section(name), "exit codes"


def test_no_command_is_described_that_does_not_exist() -> None:
    assert set(re.findall(r"^### (.*)$", _text("docs/cli.md"), re.MULTILINE)) == set(commands())


def test_the_common_options_are_described_as_they_are() -> None:
    for command in commands().values():
        assert build_common(command) in _text("docs/cli.md")


@pytest.mark.parametrize("name", commands())
def test_examples_use_only_options_that_exist(name: str) -> None:
    known = {option for parameter in commands()[name].params for option in parameter.opts}
    examples = re.findall(rf"^    {name}(.*)$", _section(name), re.MULTILINE)
    for example in examples:
        assert set(re.findall(r"(?<!\S)--[a-z-]+", example)) <= known


def _settings(model: type[BaseModel], prefix: str = "") -> dict[str, Any]:
    found = {}
    for name, field in model.model_fields.items():
        if isinstance(field.default, BaseModel):
            found |= _settings(type(field.default), f"{prefix}{name}.")
        else:
            found[prefix + (field.alias or name)] = field.default
    return found


def _described_settings() -> dict[str, Any]:
    described, section = {}, ""
    for line in _text("docs/settings.md").splitlines():
        heading = re.match(r"## (?:`\[([\w.]+)\]`)?", line)
        if heading:
            section = f"{heading[1]}." if heading[1] else "outside."
        row = re.match(r"\| `([\w-]+)` \| (.+?) \| ", line)
        if row and section != "outside.":
            value = row[2].strip("`")
            described[section + row[1]] = None if value == "none" else tomllib.loads(f"x = {value}")["x"]
    return described


def test_every_setting_is_described_with_its_default() -> None:
    assert _described_settings() == _settings(Settings)


def test_the_example_of_settings_is_one() -> None:
    example = re.search(r"```toml\n(.*?)```", _text("docs/settings.md"), re.DOTALL)
    assert example is not None
    Settings.model_validate(tomllib.loads(example[1]))


@pytest.mark.parametrize("kind", [Strongroom, Client])
def test_every_public_method_is_described(kind: type) -> None:
    text = _text("docs/sdk.md")
    public = [name for name in vars(kind) if not name.startswith("_") and callable(getattr(kind, name))]
    assert [name for name in public if f"{name}(" not in text] == []


def test_every_invariant_names_tests_that_exist() -> None:
    rows = re.findall(r"^\| I(\d+) \| (.*)$", _text("docs/architecture.md"), re.MULTILINE)
    assert [int(number) for number, _ in rows] == list(range(1, INVARIANTS + 1))
    for number, row in rows:
        named = _NAMED_TEST.findall(row)
        assert len(named) >= 3, f"I{number}"
        for file, function in named:
            path = REPOSITORY / "tests" / file
            assert path.is_file(), f"I{number}: {file}"
            assert f"def {function or 'test_'}" in path.read_text(), f"I{number}: {file}::{function}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_links_and_named_tests_lead_somewhere(page: Path) -> None:
    text = page.read_text()
    for link in _LINK.findall(text):
        target, _, part = link.partition("#")
        if target.startswith("https://"):
            continue
        path = (page.parent / target).resolve() if target else page
        assert path.exists(), link
        if part:
            assert part in [_anchor(line) for line in path.read_text().splitlines()], link
    for file, function in _NAMED_TEST.findall(text):
        if file.startswith("tests/") and function:
            assert f"def {function}" in _text(file), file


def _anchor(heading: str) -> str:
    return re.sub(r"[^a-z0-9 -]", "", heading.lstrip("#").strip().lower()).replace(" ", "-")


@pytest.mark.parametrize("folder", ["formats", "decisions"])
def test_every_page_is_in_its_index(folder: str) -> None:
    index = (DOCS / folder / "README.md").read_text()
    pages = {path.name for path in (DOCS / folder).glob("*.md")} - {"README.md"}
    assert {name for name in pages if f"]({name})" not in index} == set()


def test_every_file_that_the_code_writes_into_a_home_is_in_the_threat_model(tmp_path: Path) -> None:
    home = tmp_path / "home"
    Strongroom.init(home, passphrase="five random words would do").status()
    model, described = _text("docs/threat-model.md"), _text("docs/formats/home.md")
    (home / running.FOLDER).mkdir(exist_ok=True)  # as `serve` would
    for path in home.iterdir():
        name = path.name.partition(".sqlite")[0] if path.name.startswith("catalog") else path.name
        name = name.removesuffix(".lock")
        assert f"`{name}" in model, path.name
        assert f"`{name}" in described, path.name

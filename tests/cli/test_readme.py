"""Every command and every program in README.md and in the tutorial runs, and prints what the page says."""

from pathlib import Path

import pytest

from demo.train import train_tumour
from tests.cli.pages import REPOSITORY, Reader, Step, read_steps, require_printed


@pytest.mark.slow
def test_the_readme_is_true(tmp_path: Path) -> None:
    train_tumour().write(tmp_path / "models")
    Reader(tmp_path).follow(REPOSITORY / "README.md")


@pytest.mark.slow
def test_the_tutorial_is_true(tmp_path: Path) -> None:
    Reader(tmp_path).follow(REPOSITORY / "docs" / "getting-started.md")


@pytest.mark.parametrize("page", ["README.md", "docs/getting-started.md"])
def test_there_is_something_to_run(page: str) -> None:
    steps = read_steps(REPOSITORY / page)
    assert {step.language for step in steps} == {"console", "python"}
    assert all(step.expected for step in steps if step.language == "python")


@pytest.mark.parametrize("printed", [["b"], ["a", "b"], []], ids=["another line", "one more", "nothing"])
def test_a_page_that_lies_is_noticed(printed: list[str]) -> None:
    with pytest.raises(AssertionError, match="the page says"):
        require_printed(Step("echo a", ["a"], "console"), printed)

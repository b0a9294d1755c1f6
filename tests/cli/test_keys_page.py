"""The transcript in docs/keys.md, played against SoftHSM."""

from pathlib import Path

import pytest

from tests import models
from tests.cli.pages import REPOSITORY, Reader


@pytest.mark.slow
def test_the_page_about_keys_is_true(tmp_path: Path) -> None:
    models.linear().write(tmp_path / "models")
    Reader(tmp_path).follow(REPOSITORY / "docs" / "keys.md")

"""Folders as hubs and tools lay them out pass whole."""

import pytest

from tests.unit.scan.looking import scan_files
from tests.unit.scan.model_folders import FOLDERS


@pytest.mark.parametrize("files", FOLDERS.values(), ids=FOLDERS.keys())
def test_folder_of_a_real_tool_passes(files: dict[str, str]) -> None:
    assert scan_files(files).matches == ()

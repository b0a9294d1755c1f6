"""Scanners are imported by name, when they are first needed: every name is there."""

import subprocess
import sys

import pytest

from strongroom.artifact.formats import Format
from strongroom.scan.scanners import find_scanner

_UNSCANNED = frozenset({Format.UNKNOWN, Format.ORT})


@pytest.mark.parametrize("found", [found for found in Format if found not in _UNSCANNED])
def test_a_known_format_has_its_scanner(found: Format) -> None:
    scanner = find_scanner(found)
    assert scanner is not None and scanner.__name__.startswith("scan_")


@pytest.mark.parametrize("found", sorted(_UNSCANNED))
def test_a_format_without_a_scanner_has_none(found: Format) -> None:
    assert find_scanner(found) is None


def test_publishing_loads_no_scanner_and_one_file_loads_its_own() -> None:
    script = """
import sys
import strongroom.flows.publish
from strongroom.scan.scanners import find_scanner
assert "strongroom.scan.inert" not in sys.modules
find_scanner("safetensors")
assert "strongroom.scan.inert" in sys.modules
assert not {"strongroom.scan.pickles", "strongroom.scan.templates"} & sys.modules.keys()
"""
    subprocess.run([sys.executable, "-c", script], check=True)

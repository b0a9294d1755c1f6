"""Pages and scripts that a browser runs: in outputs of notebooks and in HTML beside a model."""

import re

from strongroom.scan.place import Place
from strongroom.scan.rule import Rule
from strongroom.scan.scan import Scan
from strongroom.values import Severity

RUNS_ON_OPENING = Rule(
    "page-drives-notebook",
    Severity.HIGH,
    "Output that runs when the notebook is opened",
    "A stored output tells the browser to run code in the notebook's Python, without a cell being started.",
    "Clear all outputs and save the notebook.",
    atlas=("AML.T0011",),
)
SCRIPT = Rule(
    "page-script-talks",
    Severity.MEDIUM,
    "Script that talks to others",
    "A page or a stored output holds a script that sends or loads data when it is shown.",
    "Clear all outputs and save the notebook.",
    atlas=("AML.T0011",),
)
RULES = (RUNS_ON_OPENING, SCRIPT)

_DRIVES_KERNEL = re.compile(
    r"(?:IPython|Jupyter|jupyter)(?:\.notebook|App)?[\w.]{0,60}\.(?:execute|requestExecute|create_code_cell)\s*\("
    r"|\bkernel\.(?:execute|requestExecute)\s*\(|notebook:run-|execute_all_cells"
)
_TALKS = re.compile(r"\bfetch\s*\(|XMLHttpRequest|sendBeacon|WebSocket\s*\(|document\.cookie|localStorage")
_SCRIPT = re.compile(r"<script\b|\bon(?:error|load)\s*=|javascript:", re.IGNORECASE)
_LIBRARY_CHARS = 200_000
"""A script as long as that is a plotting library, which has a way to fetch in it."""


def scan_page(scan: Scan, text: str, place: Place, *, is_script: bool = False) -> None:
    """Report scripts that run code in a notebook's Python, or that send and load data."""
    if _DRIVES_KERNEL.search(text):
        scan.add(RUNS_ON_OPENING, place, "holds a script that has the notebook run code")
    elif (is_script or _SCRIPT.search(text)) and _TALKS.search(text) and len(text) < _LIBRARY_CHARS:
        scan.add(SCRIPT, place, "holds a script that sends or loads data")

"""What Python 3.11.2, which Debian 12 ships, does wrongly must not be relied on."""

import re
from pathlib import Path

import strongroom

# Possessive quantifiers and atomic groups match wrongly before 3.11.5 (cpython issue 101955).
_POSSESSIVE = re.compile(r"[*?}+]\+[\"'|)\\\[( :]|\(\?>")
_EXPRESSION = re.compile(r"\b(?:r|rb|b)[\"']")


def test_no_expression_is_possessive_or_atomic() -> None:
    found = []
    for path in Path(strongroom.__file__).parent.rglob("*.py"):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if _EXPRESSION.search(line) and _POSSESSIVE.search(line) and "_TOKEN = " not in line:
                found.append(f"{path.name}:{number}: {line.strip()}")
    assert found == []

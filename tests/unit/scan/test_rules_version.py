"""Nobody changes what is looked for without raising RULES_VERSION: by it stored models are judged again."""

import hashlib
from pathlib import Path

from strongroom import scan
from strongroom.scan.catalogue import RULES
from strongroom.scan.rule import RULES_VERSION

_LISTS = (
    *(
        "pickle_globals.txt",
        "torch_operators.txt",
        "keras_names.py",
        "tensorflow_names.py",
        "template_names.py",
    ),
    *("pickle_calls.py", "torch_calls.py", "name_lists.py", "secret_kinds.py"),
)
"""What is allowed, or searched for, by name."""
_PINNED = ("2026.11.2", "6269d3124eee2f8386ae034f2f368a50a213fe681646c618d9a205fb9a06c4de")


def _digest() -> str:
    digest = hashlib.sha256()
    for rule in RULES.values():
        digest.update(f"{rule.id} {rule.severity} {rule.waivable} {rule.atlas} {rule.aisvs}\n".encode())
    for name in _LISTS:
        digest.update(name.encode() + b"\n" + (Path(scan.__file__).parent / name).read_bytes())
    return digest.hexdigest()


def test_rules_and_lists_are_those_of_their_version() -> None:
    assert (RULES_VERSION, _digest()) == _PINNED, (
        "what is looked for has changed: raise RULES_VERSION in scan/rule.py, then pin both here"
    )


def test_every_rule_says_what_requires_it() -> None:
    without = [rule.id for rule in RULES.values() if not rule.aisvs and not rule.id.startswith("secret-")]
    assert without == []

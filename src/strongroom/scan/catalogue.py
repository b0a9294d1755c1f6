"""All rules by id, and the version of the whole: what was judged by older rules is judged again."""

from strongroom.scan import (
    unread,
)
from strongroom.scan.rule import Rule

RULES_VERSION = "2026.11.1"
"""Raised with every change of what is refused or reported; a test knows which rules it stands for."""

RULES: dict[str, Rule] = {rule.id: rule for module in (unread,) for rule in module.RULES}

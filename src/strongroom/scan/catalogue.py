"""All rules, by id."""

import pkgutil
from importlib import import_module

from strongroom import scan
from strongroom.scan.rule import Rule


def _collect() -> dict[str, Rule]:
    """Every module of this room says in ``RULES`` which are its own; an id stands for one rule."""
    found: dict[str, Rule] = {}
    for module in pkgutil.iter_modules(scan.__path__):
        if module.name == "catalogue":
            continue
        for rule in getattr(import_module(f"strongroom.scan.{module.name}"), "RULES", ()):
            if found.setdefault(rule.id, rule) is not rule:
                raise ValueError(f"two rules are called {rule.id}")
    return dict(sorted(found.items()))


RULES: dict[str, Rule] = _collect()

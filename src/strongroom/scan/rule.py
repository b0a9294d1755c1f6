"""A rule: what is looked for, why it matters, how it is fixed, and what the field calls it."""

import re
from dataclasses import dataclass

from strongroom.values import Severity

RULES_VERSION = "2026.11.2"
"""Raised with every change of what is refused or reported: what older rules judged is judged again."""

SCANNED = "6.1.2"
"""Models are scanned by tools before import: what every rule is for that says nothing else."""
DEPENDENCIES = "6.2.1"
"""Dependency scanners run on frameworks and libraries."""

_ID = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that a scan reports. Its id is stable: waivers, SARIF baselines and the log name it."""

    id: str
    """Words joined by hyphens, the format first: ``pickle-global-not-allowed``."""
    severity: Severity
    """HIGH and CRITICAL refuse; MEDIUM asks a reviewer; LOW is worth knowing."""
    title: str
    """A few words for a table."""
    why: str
    """Why it matters, for a reader who is not an engineer. One or two sentences."""
    fix: str
    """What a data scientist does about it."""
    atlas: tuple[str, ...] = ()
    """MITRE ATLAS techniques, ``AML.T0011.000`` for instance (atlas.mitre.org)."""
    aisvs: tuple[str, ...] = (SCANNED,)
    """Requirements of the OWASP AI Security Verification Standard, ``6.2.3`` for instance."""
    waivable: bool = False
    """Whether a second person may accept it for one digest. Never for what runs code or cannot be read."""

    def __post_init__(self) -> None:
        if _ID.fullmatch(self.id) is None:
            raise ValueError(f"rule id {self.id!r}")

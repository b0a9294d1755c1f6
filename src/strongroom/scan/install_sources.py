"""Where a list of packages has them from: addresses, repositories and indexes other than the usual one."""

import re

from strongroom.errors import shorten
from strongroom.scan.place import Place
from strongroom.scan.rule import DEPENDENCIES, Rule
from strongroom.scan.scan import Scan
from strongroom.values import Severity

FOREIGN = Rule(
    "requirements-foreign-source",
    Severity.MEDIUM,
    "Package from elsewhere",
    "Whoever installs this list takes software from an address that the model's author chose, and installing "
    "software runs it.",
    "Name packages by name and exact version, with hashes, from your own index.",
    atlas=("AML.T0010.001",),
    aisvs=(DEPENDENCIES,),
)
UNPINNED = Rule(
    "requirements-unpinned",
    Severity.LOW,
    "Packages without an exact version",
    "What is installed depends on the day, and whoever takes over a package chooses it.",
    "Pin every package: pip freeze, or a lockfile with hashes.",
    atlas=("AML.T0010.001",),
    aisvs=(DEPENDENCIES,),
)
RULES = (FOREIGN, UNPINNED)

_MAX_LINES = 100_000
_FILES = re.compile(
    r"(?:requirements|constraints)[\w.-]*\.(?:txt|in|pip)|[\w.-]*requirements\.txt", re.IGNORECASE
)
_FOREIGN = re.compile(
    r"(?:^|[\s\"'])(?:-e|--editable|-i|--index-url|--extra-index-url|-f|--find-links|--trusted-host)(?=[\s=])"
    r"|(?:git|hg|svn|bzr)\+\w+:|(?:https?|ftp|file)://",
    re.IGNORECASE,
)
_PINNED = re.compile(r"[A-Za-z0-9][\w.\-]*(?:\[[^\]]*\])?\s*===?\s*[\w.+!*-]+")


def is_requirements(name: str) -> bool:
    return len(name) <= 255 and _FILES.fullmatch(name) is not None


def scan_requirements(scan: Scan, text: str, place: Place) -> None:
    """Report lines that name another source, and that there are lines without an exact version."""
    unpinned = 0
    for number, line in enumerate(text.split("\n")[:_MAX_LINES], 1):
        plain = line.partition(" #")[0].strip()
        if not plain or plain.startswith("#"):
            continue
        if _FOREIGN.search(plain):
            scan.add(FOREIGN, place.named(f"line {number}"), f"installs from {shorten(plain)}")
        elif not plain.startswith("-") and _PINNED.match(plain) is None:
            unpinned += 1
    if unpinned:
        scan.add(UNPINNED, place, f"{unpinned} packages have no exact version")


def scan_conda(scan: Scan, value: object, place: Place) -> None:
    """Report pip's part of an environment file."""
    dependencies = value.get("dependencies") if isinstance(value, dict) else None
    for part in dependencies if isinstance(dependencies, list) else ():
        lines = part.get("pip") if isinstance(part, dict) else None
        for line in lines if isinstance(lines, list) else ():
            if _FOREIGN.search(str(line)):
                scan.add(FOREIGN, place.named("pip"), f"installs from {shorten(line)}")

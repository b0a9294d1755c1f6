"""Scan a file or folder of this machine, with no home and without loading anything."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from strongroom.adapters.scanning.pool import scan_parts
from strongroom.adapters.scanning.second import ask_others, find_tools
from strongroom.adapters.scanning.tree import Tree
from strongroom.artifact.formats import Format
from strongroom.errors import InvalidError
from strongroom.scan.opinions import Opinion
from strongroom.scan.upload import Report, join_parts

MAX_JOBS = 64


@dataclass(frozen=True, slots=True)
class Scanned:
    """What `scan_path` saw."""

    report: Report
    skipped: tuple[str, ...]
    """Folders of version control, which are not scanned."""


def scan_path(
    path: str | Path,
    *,
    jobs: int | None = None,
    follow_links: bool = False,
    start: Callable[[int, int], Callable[[str], None]] | None = None,
) -> Scanned:
    """Scan what lies under ``path``; ``jobs``: processes, by default one a core.

    ``start`` is told the number of files and of bytes and returns what hears of each path that is done.

    Raises:
        InvalidError: nothing is there, or more than can be scanned at once.
    """
    tree = Tree(Path(path), follow_links)
    try:
        begin = partial(start, len(tree), sum(tree.sizes.values())) if start is not None else None
        wanted = jobs if jobs is not None else len(os.sched_getaffinity(0))
        parts = scan_parts(tree, max(1, min(wanted, MAX_JOBS, len(tree) or 1)), begin)
        report = join_parts(tree, parts).with_matches(tree.matches())
    finally:
        tree.close()
    return Scanned(report, tuple(tree.skipped))


def second_opinions(path: str | Path, report: Report) -> list[Opinion]:
    """Return what fickling and modelaudit say of ``path``; it decides nothing.

    Each that is installed runs in a process of its own: no network, bounded time and memory.

    Raises:
        InvalidError: neither is installed.
    """
    tools = find_tools()
    if not tools:
        raise InvalidError(
            "scan: neither fickling nor modelaudit is installed",
            hint="pip install fickling modelaudit, in this environment or one on the PATH",
        )
    pickles = [file.path for file in report.files if file.format is Format.PICKLE]
    return ask_others(Path(path), pickles, tools)

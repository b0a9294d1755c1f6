"""Plain-text tables and medians for both benchmarks."""

from collections.abc import Sequence
from statistics import median


def print_table(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """First column left, all others right, as wide as they need to be."""
    widths = [max(len(row[column]) for row in (heads, *rows)) for column in range(len(heads))]
    print(f"\n{title}\n")
    for row in (heads, ["-" * width for width in widths], *rows):
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        print("| " + " | ".join(cells) + " |")


def spread(values: Sequence[float]) -> float:
    """Largest over smallest: how much a number moved between rounds."""
    return max(values) / min(values)


def middle(values: Sequence[float]) -> float:
    return float(median(values))


def rotated(cases: Sequence[str], turn: int) -> list[str]:
    """The same cases, each round beginning with another, so that none always follows the same one."""
    start = turn % len(cases)
    return [*cases[start:], *cases[:start]]

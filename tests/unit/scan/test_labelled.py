"""Labelled samples of every kind: what is malicious or abusive is refused, what is benign is not."""

import csv
from functools import partial
from pathlib import Path

import pytest

from strongroom.scan.scan import Source
from strongroom.scan.upload import Verdict, scan_upload

SAMPLES = Path(__file__).parents[2] / "vectors" / "artifacts"


def _labels() -> list[tuple[str, str]]:
    with (SAMPLES / "labels.csv").open() as file:
        return [(row["file"].removeprefix("shared/"), row["expected"]) for row in csv.DictReader(file)]


def _read(data: bytes, offset: int, size: int) -> bytes:
    return data[offset : offset + size]


def _entries(path: Path) -> dict[str, Source]:
    files = [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]
    base = path.parent if path.is_file() else path
    return {
        str(each.relative_to(base)): (partial(_read, each.read_bytes()), each.stat().st_size)
        for each in files
    }


@pytest.mark.parametrize(("name", "expected"), _labels())
def test_sample(name: str, expected: str) -> None:
    report = scan_upload(_entries(SAMPLES / name))
    wanted = Verdict.ACCEPTED if expected == "accept" else Verdict.REFUSED
    assert report.verdict is wanted, [f"{match.place}: {match.message}" for match in report.matches]


def test_no_sample_is_without_a_label() -> None:
    labelled = {name for name, _ in _labels()}
    assert {each.name for each in SAMPLES.iterdir()} == labelled | {"labels.csv"}

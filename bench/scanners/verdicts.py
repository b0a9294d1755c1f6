"""What each scanner says of labelled files: what it finds, flags wrongly, and does not look at."""

import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

from scanners.samples import Sample
from scanners.scanner import Outcome, Scanner, run
from table import print_table

Verdicts = dict[str, dict[Sample, Outcome]]
"""Outcome of each sample by the name of a reading."""

_TIMEOUT_S = 300
_SILENT = (Outcome.NOT_SCANNED, Outcome.FAILED, Outcome.TIMED_OUT)


def judge(scanners: Sequence[Scanner], samples: Sequence[Sample], jobs: int) -> Verdicts:
    verdicts: Verdicts = {reading: {} for scanner in scanners for reading in scanner.readings}
    pairs = [(scanner, sample) for sample in samples for scanner in scanners]

    def judge_one(pair: tuple[Scanner, Sample]) -> dict[str, Outcome]:
        scanner, sample = pair
        return scanner.outcomes(run(scanner, sample.path, _TIMEOUT_S))

    with ThreadPoolExecutor(jobs) as pool:
        for index, ((_, sample), outcomes) in enumerate(zip(pairs, pool.map(judge_one, pairs), strict=True)):
            for reading, outcome in outcomes.items():
                verdicts[reading][sample] = outcome
            print(f"\r{index + 1}/{len(pairs)} verdicts", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return verdicts


def report(verdicts: Verdicts, samples: Sequence[Sample]) -> None:
    hostile = [sample for sample in samples if not sample.benign]
    benign = [sample for sample in samples if sample.benign]
    columns: list[tuple[str, list[Sample]]] = [
        ("hostile flagged", hostile),
        ("pickles", [sample for sample in hostile if sample.is_pickle]),
        ("others", [sample for sample in hostile if not sample.is_pickle]),
        ("benign flagged", benign),
        ("pickles", [sample for sample in benign if sample.is_pickle]),
        ("of them convertible", [sample for sample in benign if sample.is_convertible]),
        ("others", [sample for sample in benign if not sample.is_pickle]),
    ]
    rows = [
        [reading, *(_share(outcomes, group) for _, group in columns)]
        for reading, outcomes in verdicts.items()
    ]
    print_table(
        f"Verdicts on {len(hostile)} hostile and {len(benign)} benign samples",
        ["scanner", *(head for head, _ in columns)],
        rows,
    )
    rows = [
        [
            reading,
            *(_count(outcomes, group, outcome) for group in (hostile, benign) for outcome in _SILENT),
        ]
        for reading, outcomes in verdicts.items()
    ]
    heads = [f"{what}: {outcome}" for what in ("hostile", "benign") for outcome in _SILENT]
    print_table("Without a verdict (neither a flag nor a pass)", ["scanner", *heads], rows)
    _list_misses(verdicts, hostile)
    _list("Benign and flagged", verdicts, benign, lambda outcome: outcome is Outcome.FLAGGED)


def _share(outcomes: dict[Sample, Outcome], group: Sequence[Sample]) -> str:
    flagged = sum(outcomes[sample] is Outcome.FLAGGED for sample in group)
    return f"{flagged}/{len(group)} ({100 * flagged / len(group):.0f} %)" if group else "–"


def _count(outcomes: dict[Sample, Outcome], group: Iterable[Sample], outcome: Outcome) -> str:
    return str(sum(outcomes[sample] is outcome for sample in group))


def _list_misses(verdicts: Verdicts, hostile: Sequence[Sample]) -> None:
    """Techniques that one scanner or another did not flag, and which: one line a technique."""
    names = list(verdicts)
    rows = []
    for sample in hostile:
        missed = [verdicts[name][sample] is not Outcome.FLAGGED for name in names]
        if any(missed):
            marks = ["missed" if each else "" for each in missed]
            rows.append([f"{sample.technique} (`{sample.path.name}`)", *marks])
    print_table("Missed, by technique", ["technique", *names], rows)


def _list(
    title: str, verdicts: Verdicts, group: Sequence[Sample], is_listed: Callable[[Outcome], bool]
) -> None:
    print(f"\n{title}\n")
    for reading, outcomes in verdicts.items():
        names = [f"`{sample.path.name}`" for sample in group if is_listed(outcomes[sample])]
        print(f"- {reading}: {', '.join(names) or 'none'}")

"""What other scanners say, in their words. It is shown beside ours and decides nothing."""

import json
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

MAX_WORDS = 5
MAX_WORD_CHARS = 300
MAX_ISSUES = 10_000
_CLEAR = frozenset({"LIKELY_SAFE"})
_WARNS = frozenset({"critical", "error", "warning"})


class Says(StrEnum):
    NOTHING = "nothing"
    """It looked, and found nothing to warn of."""
    WARNS = "warns"
    FAILED = "failed"
    """It ended without an answer: no opinion."""


@dataclass(frozen=True, slots=True)
class Opinion:
    """Of one scanner, of one path. Words are untrusted: they repeat what stands in the file."""

    tool: str
    path: str
    says: Says
    words: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "tool": self.tool,
            "path": self.path,
            "says": str(self.says),
            "words": list(self.words),
            "decides": False,
        }


def parse_fickling(path: str, report: bytes) -> Opinion:
    """Return what ``fickling --check-safety --json-output`` wrote."""
    match _json(report):
        case {"severity": str(severity), "analysis": str(analysis)}:
            says = Says.NOTHING if severity in _CLEAR else Says.WARNS
            return _opinion("fickling", path, says, [severity, *analysis.splitlines()])
    return failed("fickling", path, "wrote no report")


def parse_modelaudit(path: str, output: bytes) -> Opinion:
    """Return what ``modelaudit scan --format json`` printed."""
    match _json(output[max(output.find(b"{"), 0) :]):
        case {"issues": list(issues)} if len(issues) <= MAX_ISSUES:
            told = [
                (str(one.get("severity", "")).lower(), str(one.get("message", "")))
                for one in issues
                if isinstance(one, dict)
            ]
            warned = [(severity, message) for severity, message in told if severity in _WARNS]
            if not warned:
                return _opinion("modelaudit", path, Says.NOTHING, [])
            counts = Counter(severity for severity, _ in warned)
            summary = ", ".join(f"{count} {severity}" for severity, count in sorted(counts.items()))
            return _opinion("modelaudit", path, Says.WARNS, [summary, *(message for _, message in warned)])
    return failed("modelaudit", path, "printed no report")


def failed(tool: str, path: str, why: str) -> Opinion:
    return _opinion(tool, path, Says.FAILED, [why])


def _opinion(tool: str, path: str, says: Says, words: list[str]) -> Opinion:
    kept = [word[:MAX_WORD_CHARS] for word in words if word]
    more = len(kept) - MAX_WORDS
    return Opinion(tool, path, says, (*kept[:MAX_WORDS], *((f"and {more} more",) if more > 0 else ())))


def _json(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None

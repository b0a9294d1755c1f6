"""A report as JSON: stable names, one object a finding, nothing that was redacted."""

from typing import Any

from strongroom.scan.rule import RULES_VERSION, Rule
from strongroom.scan.scan import Match
from strongroom.scan.upload import Report

FORMAT = "strongroom-scan/1"


def report_to_json(report: Report) -> dict[str, Any]:
    """Return the form that `scan --json` prints (docs/scanning.md)."""
    return {
        "format": FORMAT,
        "rules": RULES_VERSION,
        "verdict": str(report.verdict),
        "files": [
            {"path": file.path, "format": str(file.format), "size_bytes": file.size_bytes}
            for file in report.files
        ],
        "findings": [match_to_json(match) for match in report.matches],
        "findings_not_kept": report.dropped,
    }


def match_to_json(match: Match) -> dict[str, Any]:
    """Return one finding; ``id`` is what a waiver names, ``where`` is for people."""
    rule, place = match.rule, match.place
    return {
        "id": match.fingerprint,
        "rule": rule.id,
        "severity": str(rule.severity),
        "title": rule.title,
        "message": match.message,
        "where": str(place),
        "path": place.path,
        "members": list(place.members),
        "offset": place.offset,
        "name": place.name,
        "why": rule.why,
        "fix": match.fix or rule.fix,
        "atlas": list(rule.atlas),
        "aisvs": list(rule.aisvs),
        "waivable": rule.waivable,
    }


def rule_to_json(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.id,
        "severity": str(rule.severity),
        "title": rule.title,
        "why": rule.why,
        "fix": rule.fix,
        "atlas": list(rule.atlas),
        "aisvs": list(rule.aisvs),
        "waivable": rule.waivable,
    }

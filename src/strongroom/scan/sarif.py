"""A report as SARIF 2.1.0, which code hosts show beside the files.

https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
"""

from typing import Any
from urllib.parse import quote

from strongroom.scan.rule import RULES_VERSION, Rule
from strongroom.scan.scan import Match
from strongroom.scan.upload import Report, Verdict
from strongroom.values import Severity

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_LEVEL = {
    Severity.CRITICAL: "error",
    Severity.HIGH: "error",
    Severity.MEDIUM: "warning",
    Severity.LOW: "note",
}
_SECURITY_SEVERITY = {
    Severity.CRITICAL: "9.5",
    Severity.HIGH: "8.0",
    Severity.MEDIUM: "5.0",
    Severity.LOW: "2.0",
}
"""Within the bands that code hosts use: over 9.0 critical, 7.0 high, 4.0 medium."""


def report_to_sarif(report: Report, tool_version: str) -> dict[str, Any]:
    """Return one SARIF run. Paths are relative to what was scanned (``%SRCROOT%``)."""
    rules = sorted({match.rule.id: match.rule for match in report.matches}.values(), key=lambda rule: rule.id)
    sizes = {file.path: file.size_bytes for file in report.files}
    numbers = {rule.id: number for number, rule in enumerate(rules)}
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "strongroom",
                        "fullName": f"strongroom {tool_version}",
                        "version": tool_version,
                        "semanticVersion": tool_version,
                        "rules": [_rule(rule) for rule in rules],
                        "properties": {"rulesVersion": RULES_VERSION},
                    }
                },
                "originalUriBaseIds": {"%SRCROOT%": {"description": {"text": "what was scanned"}}},
                "columnKind": "unicodeCodePoints",
                "artifacts": [
                    {"location": _location(file.path), "length": file.size_bytes} for file in report.files
                ],
                "results": [
                    _result(match, numbers[match.rule.id], sizes.get(match.place.path, 0))
                    for match in report.matches
                ],
                "invocations": [
                    {
                        "executionSuccessful": True,
                        "exitCode": 4 if report.verdict is Verdict.REFUSED else 0,
                    }
                ],
            }
        ],
    }


def _rule(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.id,
        "name": "".join(word.capitalize() for word in rule.id.split("-")),
        "shortDescription": {"text": rule.title},
        "fullDescription": {"text": rule.why},
        "help": {"text": rule.fix},
        "defaultConfiguration": {"level": _LEVEL[rule.severity]},
        "properties": {
            "security-severity": _SECURITY_SEVERITY[rule.severity],
            "tags": [
                "security",
                *(f"external/atlas/{each}" for each in rule.atlas),
                *(f"external/aisvs/{each}" for each in rule.aisvs),
            ],
        },
    }


def _result(match: Match, number: int, size_bytes: int) -> dict[str, Any]:
    place = match.place
    region = {
        "byteOffset": 0,
        "byteLength": size_bytes,
    }  # all of it, unless a byte of the file itself is meant
    if place.offset is not None and not place.members:
        region = {"byteOffset": place.offset, "byteLength": 1}
    physical: dict[str, Any] = {"artifactLocation": _location(place.path), "region": region}
    inside = [*place.members, *([place.name] if place.name else [])]
    location: dict[str, Any] = {"physicalLocation": physical}
    if inside:
        location["logicalLocations"] = [
            {"name": inside[-1], "fullyQualifiedName": " ! ".join((place.path, *inside))}
        ]
    return {
        "ruleId": match.rule.id,
        "ruleIndex": number,
        "level": _LEVEL[match.rule.severity],
        "message": {"text": f"{place}: {match.message}. {match.fix or match.rule.fix}"},
        "locations": [location],
        "partialFingerprints": {"strongroom/v1": match.fingerprint},
    }


def _location(path: str) -> dict[str, Any]:
    return {"uri": quote(path.encode("utf-8", "surrogateescape")), "uriBaseId": "%SRCROOT%"}

"""A report as one page that needs nothing else, for a reviewer who is not an engineer."""

from collections import Counter
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined

from strongroom.scan.report_json import report_to_json
from strongroom.scan.upload import Report, Verdict
from strongroom.values import Severity

_TEMPLATE = "report_page.html.jinja"
_HEADLINES = {
    Verdict.ACCEPTED: ("Nothing dangerous was found", "Every file was understood and read to its end."),
    Verdict.DOUBTFUL: (
        "A person has to decide",
        "Every file was understood, but something in them is unusual enough that a reviewer should look.",
    ),
    Verdict.REFUSED: (
        "This must not be used as it is",
        "Something in these files can do harm, hides what it is, or could not be read to its end.",
    ),
}
_MEANINGS = {
    Severity.CRITICAL: "can run a stranger's program or gives away a secret",
    Severity.HIGH: "hides what it is, cannot be checked, or can do harm",
    Severity.MEDIUM: "unusual: somebody should look",
    Severity.LOW: "worth knowing",
}


def report_to_html(report: Report, target: str, tool_version: str) -> str:
    """Return the page on a report that was just made."""
    return stored_report_to_html(report_to_json(report), target, tool_version, {})


def stored_report_to_html(
    report: dict[str, Any], target: str, tool_version: str, facts: dict[str, str]
) -> str:
    """Return the page; ``facts`` are lines for its head (model, digest, who handed it over).

    Everything untrusted is escaped by the template engine, and a policy in the page forbids scripts and
    anything from elsewhere.
    """
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    source = files("strongroom.scan").joinpath(_TEMPLATE).read_text(encoding="utf-8")
    headline, explanation = _HEADLINES[Verdict(report["verdict"])]
    counts = Counter(found["severity"] for found in report["findings"])
    return environment.from_string(source).render(
        target=_shown(target),
        verdict=report["verdict"],
        headline=headline,
        explanation=explanation,
        facts={name: _shown(value) for name, value in facts.items()},
        counts=[(str(level), counts[level], _MEANINGS[level]) for level in reversed(Severity)],
        findings=[_finding(found) for found in report["findings"]],
        dropped=report["findings_not_kept"],
        files=[(_shown(each["path"]), each["format"], _size(each["size_bytes"])) for each in report["files"]],
        rules_version=report["rules"],
        tool_version=tool_version,
    )


def _finding(found: dict[str, Any]) -> dict[str, Any]:
    tags = [*(f"MITRE ATLAS {tag}" for tag in found["atlas"]), *(f"AISVS {tag}" for tag in found["aisvs"])]
    shown = {name: _shown(value) for name, value in found.items() if isinstance(value, str)}
    return {**shown, "tags": tags, "waivable": found["waivable"]}


def _shown(text: str) -> str:
    """Without what a browser would act on though it is escaped: controls and changes of direction."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def _size(size_bytes: int) -> str:
    amount, unit = float(size_bytes), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if amount < 1024:
            break
        amount, unit = amount / 1024, larger
    return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"

"""Scan text that a test writes, as if it lay in an upload."""

from collections.abc import Mapping

from strongroom.scan.place import Place
from strongroom.scan.scan import Match, Scan, Source
from strongroom.scan.templates import scan_template
from strongroom.scan.upload import Report, scan_upload
from strongroom.values import Severity

REFUSING = frozenset({Severity.HIGH, Severity.CRITICAL})


def source(data: bytes) -> Source:
    return lambda offset, size: data[offset : offset + size], len(data)


def scan_files(files: Mapping[str, bytes | str]) -> Report:
    """Return what a scan of a folder with these files says."""
    data = {path: each.encode() if isinstance(each, str) else each for path, each in files.items()}
    return scan_upload({path: source(each) for path, each in data.items()})


def template_matches(text: str) -> list[Match]:
    """Return what is found in a chat template."""
    scan = Scan({}, lambda *_: None, lambda *_: None)
    scan_template(scan, text, Place("tokenizer_config.json", name="chat_template"))
    return scan.matches


def rules(matches: list[Match] | tuple[Match, ...]) -> set[str]:
    return {match.rule.id for match in matches}


def refused(matches: list[Match] | tuple[Match, ...]) -> set[str]:
    """Return the rules that refuse, of those that matched."""
    return {match.rule.id for match in matches if match.rule.severity in REFUSING}

"""Scan all files of one upload, each by what it is, and say what is to become of it."""

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from strongroom.artifact.formats import Format, detect_format, identify
from strongroom.artifact.protobuf import ReadAt
from strongroom.errors import RejectedError
from strongroom.scan.place import Place
from strongroom.scan.scan import Content, Match, Scan, Source
from strongroom.scan.scanners import find_scanner
from strongroom.scan.unread import DISGUISED, MALFORMED, UNKNOWN
from strongroom.values import Severity


class Verdict(StrEnum):
    """What is to become of an upload."""

    ACCEPTED = "accepted"
    DOUBTFUL = "doubtful"
    """Something that a reviewer has to look at."""
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class ScannedFile:
    path: str
    format: Format
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Report:
    """What a scan saw. Matches are ordered by severity, worst first, then by place."""

    files: tuple[ScannedFile, ...]
    matches: tuple[Match, ...]
    dropped: int = 0
    """Matches too many to keep."""

    @classmethod
    def join(cls, reports: Sequence[tuple[str, "Report"]]) -> "Report":
        """Return one report over several uploads; paths are put under the name of each."""
        files = [
            replace(file, path=f"{name}/{file.path}") for name, report in reports for file in report.files
        ]
        matches = [
            replace(match, place=replace(match.place, path=f"{name}/{match.place.path}"))
            for name, report in reports
            for match in report.matches
        ]
        dropped = sum(report.dropped for _, report in reports)
        return cls(tuple(files), tuple(sorted(matches, key=_order)), dropped)

    def with_matches(self, more: Sequence[Match]) -> "Report":
        """Return the report with what was seen beside the files' contents."""
        return replace(self, matches=tuple(sorted((*self.matches, *more), key=_order)))

    def without(self, fingerprints: Container[str]) -> "Report":
        """Return the report without the matches that somebody answers for."""
        return replace(
            self, matches=tuple(match for match in self.matches if match.fingerprint not in fingerprints)
        )

    @property
    def verdict(self) -> Verdict:
        """The worst match decides; what is waived was taken out before."""
        severities = {match.rule.severity for match in self.matches}
        if severities & {Severity.HIGH, Severity.CRITICAL}:
            return Verdict.REFUSED
        return Verdict.DOUBTFUL if Severity.MEDIUM in severities else Verdict.ACCEPTED


@dataclass(frozen=True, slots=True)
class Part:
    """What was seen of some files of an upload. Parts come from processes of their own and are joined."""

    formats: dict[str, Format]
    matches: tuple[Match, ...]
    claimed: frozenset[str]
    dropped: int


def scan_upload(entries: Mapping[str, Source], done: Callable[[str], None] | None = None) -> Report:
    """Scan the files of one upload. Never raises for what they hold; ``done`` hears of each path."""
    return join_parts(entries, [scan_part(entries, list(entries), done)])


def scan_part(
    entries: Mapping[str, Source], paths: Sequence[str], done: Callable[[str], None] | None = None
) -> Part:
    """Scan some files of an upload; ``entries`` are all of them, for what refers to another.

    Files without structure are left to `join_parts`, for a model in another part may claim them.
    """
    scan = Scan(entries, judge, judge_text)
    for path in sorted(paths):
        read_at, size_bytes = entries[path]
        found = scan.formats[path] = _detect(scan, path, read_at, size_bytes)
        if found is not Format.UNKNOWN:
            judge(scan, Content(read_at, size_bytes, Place(path)), found)
        judge_text(scan, path, Place(path))
        if done is not None:
            done(path)
    return Part(scan.formats, tuple(scan.matches), frozenset(scan.claimed), scan.dropped)


def join_parts(entries: Mapping[str, Source], parts: Sequence[Part]) -> Report:
    """Return the report on an upload; a file that is in none of ``parts`` is refused as not scanned."""
    from strongroom.scan.redaction import redact_place  # a file may be named after a credential

    formats = {path: found for part in parts for path, found in part.formats.items()}
    claimed = frozenset().union(*(part.claimed for part in parts))
    matches = [match for part in parts for match in part.matches]
    reported = {match.place.path for match in matches}
    shown = {path: redact_place(Place(path)) for path in sorted(entries)}
    for path, place in shown.items():
        if path not in formats and path in reported:
            continue  # its scan broke off, which is said
        if path not in formats:
            matches.append(Match(UNKNOWN, place, "was not scanned"))
        elif formats[path] is Format.UNKNOWN and path not in claimed:
            matches.append(Match(UNKNOWN, place, "is of no known format and no model here refers to it"))
    files = tuple(
        ScannedFile(place.path, formats.get(path, Format.UNKNOWN), entries[path][1])
        for path, place in shown.items()
    )
    return Report(files, tuple(sorted(matches, key=_order)), sum(part.dropped for part in parts))


def judge(scan: Scan, content: Content, found: Format) -> None:
    """Look at content of a known format; what cannot be read to its end is a match, never a pass."""
    scanner = find_scanner(found)
    if scanner is None:
        scan.add(UNKNOWN, content.place, f"is {found}, which is not scanned")
        return
    try:
        scanner(scan, content)
    except RejectedError as error:
        scan.add(MALFORMED, content.place, error.message, error.hint or "")
    except RecursionError:
        scan.add(MALFORMED, content.place, "is nested too deeply")
    except MemoryError:
        scan.add(MALFORMED, content.place, "needs more memory than a scan may take")


def judge_text(scan: Scan, text: str, place: Place) -> None:
    """Look at text that was extracted from a model or lies beside it."""
    from strongroom.scan.secrets import judge_text

    judge_text(scan, text, place)


def _detect(scan: Scan, path: str, read_at: ReadAt, size_bytes: int) -> Format:
    try:
        return detect_format(read_at, size_bytes, path)
    except RejectedError as error:
        scan.add(DISGUISED, Place(path), error.message, error.hint or "")
    try:
        return identify(read_at, size_bytes)  # what it is all the same: what it hides is to be named as well
    except RejectedError:
        return Format.UNKNOWN


_RANK = {Severity.CRITICAL: 0, Severity.HIGH: 1, Severity.MEDIUM: 2, Severity.LOW: 3}


def _order(match: Match) -> tuple[int, str, str]:
    return (_RANK[match.rule.severity], str(match.place), match.rule.id)

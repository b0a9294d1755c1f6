"""One scan: what it may cost, what it has found, and how it goes down into containers."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from strongroom.artifact.formats import Format, identify
from strongroom.artifact.protobuf import ReadAt
from strongroom.errors import RejectedError
from strongroom.scan.place import Place
from strongroom.scan.rule import Rule
from strongroom.values import Digest, Finding, Severity

MAX_DEPTH = 4
"""Containers within containers: a tar.gz of archives of pickles is three. Deeper is a disguise."""
MAX_MATCHES = 1000
"""Kept of one scan; what more there is would not be read."""
MAX_UNPACKED_BYTES = 2**30
"""Decompressed in one scan, over all files."""
MAX_MEMBER_BYTES = 256 * 2**20
"""Of one compressed member that has to lie in memory to be looked at."""

Source = tuple[ReadAt, int]
"""Reads a file anywhere, and its size."""


@dataclass(frozen=True, slots=True)
class Content:
    """Bytes to be judged: a file, or a member of one."""

    read_at: ReadAt
    size_bytes: int
    place: Place

    @property
    def path(self) -> str:
        """Its name in the upload, or in the innermost archive: its key in `Scan.entries`."""
        return self.place.members[-1] if self.place.members else self.place.path

    @property
    def name(self) -> str:
        """The last part of the innermost path, as its author wrote it."""
        return self.path.replace("\\", "/").rpartition("/")[2]

    @property
    def extension(self) -> str:
        """Lower case, without the dot; empty if there is none."""
        stem, dot, extension = self.name.rpartition(".")
        return extension.lower() if dot and stem else ""

    def read(self, limit: int) -> bytes:
        """Return the whole. Raises RejectedError if it is larger than ``limit`` bytes."""
        if self.size_bytes > limit:
            raise RejectedError(f"larger than {limit} bytes, which is more than is looked at")
        return self.read_at(0, self.size_bytes)


@dataclass(frozen=True, slots=True)
class Match:
    """A rule that matched, at a place."""

    rule: Rule
    place: Place
    message: str
    """What was found here; untrusted words shortened, secrets redacted."""
    fix: str = ""
    """What to do in this case, where it is more than the rule says."""

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits that name this finding in these bytes: what a waiver names."""
        place = self.place
        key = [self.rule.id, place.path, *place.members, str(place.offset), place.name]
        return Digest.of("\0".join(key).encode("utf-8", "surrogatepass")).hex[:16]

    def to_finding(self) -> Finding:
        return Finding(
            self.rule.id, self.rule.severity, str(self.place), self.message, self.fix or self.rule.fix
        )


Judge = Callable[["Scan", Content, Format], None]
TextJudge = Callable[["Scan", str, Place], None]


@dataclass(slots=True)
class Scan:
    """Collects what scanners see. One for all the files of an upload, so that limits are over all of it."""

    entries: Mapping[str, Source]
    """All files of the upload, or of the archive that is looked at now, for what refers to another."""
    judge: Judge
    """Looks at content of a known format; see `scan.upload`."""
    judge_text: TextJudge
    """Looks at text that people or tools wrote: metadata, configuration, strings of a pickle."""
    matches: list[Match] = field(default_factory=list)
    formats: dict[str, Format] = field(default_factory=dict)
    """Format of each entry."""
    claimed: set[str] = field(default_factory=set)
    """Entries without structure that a model says are its weights."""
    dropped: int = 0
    """Matches beyond MAX_MATCHES, counted only."""
    _unpacked_bytes: int = 0
    _seen: set[tuple[str, Place, str]] = field(default_factory=set)
    _texts_seen: set[int] = field(default_factory=set)

    def add(self, rule: Rule, place: Place, message: str, fix: str = "") -> None:
        """Report, with credentials redacted. The same thing at the same place counts once."""
        key = (rule.id, place, message)
        if key in self._seen:
            return
        if len(self.matches) >= MAX_MATCHES and rule.severity not in _REFUSING:
            self.dropped += 1
            return
        if len(self.matches) >= 2 * MAX_MATCHES:
            self.dropped += 1
            return
        self._seen.add(key)
        from strongroom.scan.redaction import redact, redact_place  # its patterns take a while to compile

        self.matches.append(Match(rule, redact_place(place), redact(message), redact(fix)))

    def text(self, text: str, place: Place) -> None:
        """Have text looked at for secrets. Give what was extracted; never tensor bytes."""
        self.judge_text(self, text, place)

    def descend(self, content: Content) -> Format:
        """Identify and judge a member of a container; returns its format.

        Raises:
            RejectedError: nested deeper than MAX_DEPTH.
        """
        if len(content.place.members) > MAX_DEPTH:
            raise RejectedError(f"containers nested deeper than {MAX_DEPTH}")
        self.text(content.name, content.place)
        found = identify(content.read_at, content.size_bytes)
        self.judge(self, content, found)
        return found

    def descend_bytes(self, data: bytes, place: Place) -> Format:
        """As `descend`, for a member that had to be unpacked into memory."""
        view = memoryview(data)

        def read_at(offset: int, size: int) -> bytes:
            return bytes(view[offset : offset + size])

        return self.descend(Content(read_at, len(data), place))

    def spend(self, size_bytes: int) -> None:
        """Count bytes that were decompressed. Raises RejectedError beyond MAX_UNPACKED_BYTES."""
        self._unpacked_bytes += size_bytes
        if self._unpacked_bytes > MAX_UNPACKED_BYTES:
            raise RejectedError(f"unpacks to more than {MAX_UNPACKED_BYTES} bytes in all")

    @contextmanager
    def within(self, entries: Mapping[str, Source]) -> Iterator[set[str]]:
        """Look at the files of an archive: they know one another and nothing around it.

        Yields those that a model among them has claimed so far.
        """
        around = self.entries, self.claimed
        self.entries, self.claimed = entries, set()
        try:
            yield self.claimed
        finally:
            self.entries, self.claimed = around

    def claim(self, path: str) -> None:
        """Say that an entry without structure is weights of a model that was looked at."""
        self.claimed.add(path)


_REFUSING = frozenset({Severity.HIGH, Severity.CRITICAL})

"""Watch: look at everything in the store again and again, and hold back what is no longer as it was signed.

Each survey asks the store what it says of every object (size, tag): that is cheap, and tells of whatever was
written since. Content is read where that changed, and of everything once in a while, because whoever writes
to a store may also lie in what it says. What is served comes first; reading keeps to a rate.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self

from strongroom.artifact.sealed import object_size
from strongroom.errors import InvalidError, OutageError, RejectedError, StrongroomError, shorten
from strongroom.flows import layout
from strongroom.flows.vault import (
    Vault,
    build_event,
    moment,
    read_authority,
    record,
    require_permission,
)
from strongroom.flows.watch_subjects import Fault, Papers, Subject, subjects_of
from strongroom.ports import BlobStat
from strongroom.trust.authority import Authority
from strongroom.trust.events import Event
from strongroom.trust.fold_holds import MAX_WHAT_CHARS
from strongroom.trust.standing import VersionRecord
from strongroom.values import Action, ModelId, SealedEntry, State

BUSY_TIMEOUT_S = 0.2
"""What is being written right now is looked at by the next survey."""
STRANGER = "is in the store and the log knows nothing of it"
MAX_TOLD_OF_ONE = 64
"""Findings of one version, or of strangers, between two rereadings: a filled store must not fill the log."""
MAX_SILENT = 3
"""Objects that the store does not give, before a survey ends: one must not hide the others."""
_FAMILY = re.compile(r"[a-z0-9][a-z0-9-]{0,63}", re.ASCII)
_LISTS = frozenset({layout.REVOCATIONS, layout.CRL})

Found = Mapping[str, BlobStat]
_Turn = tuple[bool, bool, bool, float]


class _Stopped(Exception):  # noqa: N818 - no failure: whoever waits for us is told at once
    """It is time to stop, also in the midst of an object."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How often, and how fast."""

    rate_bytes_s: int = 64 * 2**20
    """Content read in a second, at the most."""
    survey_s: float = 20.0
    """Between two surveys, also while content is being read."""
    reread_s: float = 24 * 3600.0
    """After so long content is read though nothing says that it changed."""

    @classmethod
    def of(cls, rate_mib_s: int, survey_s: float, reread_hours: float) -> Self:
        """Return the pace that people set: in MiB a second, seconds and hours."""
        return cls(rate_mib_s * 2**20, survey_s, reread_hours * 3600.0)


@dataclass(frozen=True, slots=True)
class Finding:
    """Something in the store that is not as it should be."""

    of: str
    """``family@version``, an upload in quarantine, or ``store``."""
    object: str
    what: str
    held: bool
    """Whether the version was quarantined for it, just now or before."""


@dataclass
class _Seen:
    """What this watcher knows of one subject."""

    subject: Subject
    papers: Papers | None = None
    tags: dict[str, BlobStat] = field(default_factory=dict)
    """Of each object when its content was last found right."""
    read_at: dict[str, float] = field(default_factory=dict)


class Watcher:
    """One watcher of one store; not for several threads. What it knows lasts as long as it does."""

    def __init__(
        self,
        vault: Vault,
        actor: str,
        pace: Pace,
        *,
        told: Callable[[Finding], None],
        seconds: Callable[[], float],
        wait: Callable[[float], bool],
        served: Callable[[], Collection[ModelId]] = tuple,
    ) -> None:
        """``seconds``: a monotonic clock. ``wait``: sleep so long; True if it is time to stop."""
        self._vault, self._actor, self._pace = vault, actor, pace
        self._told, self._seconds, self._wait, self._served = told, seconds, wait, served
        self._seen: dict[str, _Seen] = {}
        self._said: set[tuple[str, Fault]] = set()
        self._queue: list[tuple[_Turn, _Seen, SealedEntry]] = []
        self._held: set[str] = set()
        """Where something was held back and, as far as is known, still is."""
        self._counts: Counter[str] = Counter()
        """How many findings were made of what, since `_counted_at`."""
        self._counted_at = seconds()
        self._failed: set[str] = set()
        """Objects that the store did not give when their turn came: the others come first."""
        self._silent: OutageError | None = None
        """Why the last survey could not look at everything."""
        self._trouble = ""
        """Of which family the failure is that was told last and lasts."""
        self._next_survey = 0.0
        self._stopping = False
        self.objects = 0
        """Objects that the last survey saw."""
        self.read_bytes = 0

    def require_permission(self) -> None:
        """Raises DeniedError if the actor may not verify what is in the store."""
        require_permission(self._vault, read_authority(self._vault), self._actor, Action.VERIFY, "*")

    def run(self) -> None:
        """Survey and read until told to stop. An outage of the store or the log is waited out."""
        while not self._stopping:
            try:
                self.survey()
                while not self._stopping and self.read_next():
                    self._survey_in_time()
                self._require_answers()
                self._trouble = ""
            except _Stopped:
                return
            except StrongroomError as error:
                if self._trouble != error.family:
                    self._trouble = error.family
                    self._told(Finding("store", "", error.message, held=False))
            left_s = self._next_survey - self._seconds()
            self._stopping = self._stopping or self._wait(max(left_s, 0.0))

    def run_once(self) -> None:
        """Survey, and read everything once."""
        with suppress(_Stopped):
            self.survey()
            while not self._stopping and self.read_next():
                pass
            self._require_answers()

    def _require_answers(self) -> None:
        """Raises OutageError if the store did not give something when it was surveyed."""
        if self._silent is not None:
            raise self._silent

    # -- what the store says ---------------------------------------------------------------------------

    def survey(self) -> None:
        """Compare what the store says it holds with what the log says it must."""
        self._next_survey = self._seconds() + self._pace.survey_s
        if self._seconds() - self._counted_at >= self._pace.reread_s:
            self._counted_at = self._seconds()
            self._counts.clear()
        authority = read_authority(self._vault)
        subjects = {each.prefix: each for each in subjects_of(authority, _must_be_there)}
        by_prefix, strangers = self._list({*subjects, *_prefixes_of(authority)})
        silent: list[OutageError] = []
        for prefix, subject in subjects.items():
            try:
                self._examine(authority, self._follow(prefix, subject), by_prefix.get(prefix, {}))
            except OutageError as error:
                silent.append(error)
                if len(silent) == MAX_SILENT:
                    break
        for prefix in set(self._seen) - set(subjects):
            del self._seen[prefix]
        self._failed &= {name for found in by_prefix.values() for name in found}
        self._look_at_strangers(strangers)
        self._queue = sorted(self._due(), key=lambda each: each[0], reverse=True)
        self._silent = silent[0] if silent else None

    def _list(self, known: Collection[str]) -> tuple[Mapping[str, Found], list[str]]:
        """What the store holds of what is known, and the names of the first few strangers."""
        by_prefix: dict[str, dict[str, BlobStat]] = defaultdict(dict)
        strangers: list[str] = []
        self.objects = 0
        for name, stat in self._vault.blobs.survey(""):
            self.objects += 1
            prefix = _prefix_of(name)
            if prefix in known:
                by_prefix[prefix][name] = stat
            elif len(strangers) < MAX_TOLD_OF_ONE and self._is_strange(name):
                strangers.append(name)
        return by_prefix, strangers

    def _is_strange(self, name: str) -> bool:
        return name not in _LISTS and ("store", Fault(name, STRANGER)) not in self._said

    def _follow(self, prefix: str, subject: Subject) -> _Seen:
        """Return what is known of a subject: nothing, if it is another one or was let go again."""
        seen = self._seen.get(prefix)
        if seen is None or not seen.subject.is_same(subject) or self._is_let_go(subject):
            seen = self._seen[prefix] = _Seen(subject)
            self._said = {each for each in self._said if each[0] != subject.name}
        seen.subject = subject
        return seen

    def _is_let_go(self, subject: Subject) -> bool:
        if subject.prefix not in self._held or _is_held(subject):
            return False
        self._held.discard(subject.prefix)
        return True

    def _examine(self, authority: Authority, seen: _Seen, found: Found) -> None:
        """Read the small files if they were written since; then compare names and sizes."""
        subject = seen.subject
        if seen.papers is None or self._is_changed(seen, found, subject.small):
            try:
                seen.papers = subject.read_papers(self._vault, authority)
            except (InvalidError, RejectedError) as error:
                lost = [name for name in subject.small if name not in found]
                where = lost[0] if lost else subject.small[0]
                if lost or not subject.is_as_recorded(self._vault):
                    self._suspect(subject, Fault(where, "is missing" if lost else error.message))
                seen.papers = None
                return
            self._remember(seen, found, subject.small)
        for fault in (*seen.papers.faults, *subject.compare_names(seen.papers, found)):
            self._suspect(subject, fault)
        if subject.key in found and self._is_changed(seen, found, [subject.key]):
            wrong = subject.read_key(self._vault, seen.papers)
            if wrong is not None:
                self._suspect(subject, wrong)
            else:
                self._remember(seen, found, [subject.key])
        for entry in seen.papers.entries:
            if self._is_changed(seen, found, [entry.object]):
                seen.read_at.pop(entry.object, None)  # to be read, and soon
            seen.tags.pop(entry.object, None)
            if entry.object in found and found[entry.object].size == object_size(entry.size_bytes):
                seen.tags[entry.object] = found[entry.object]

    def _is_changed(self, seen: _Seen, found: Found, names: Collection[str]) -> bool:
        return any(found.get(name) != seen.tags.get(name) for name in names)

    def _remember(self, seen: _Seen, found: Found, names: Collection[str]) -> None:
        seen.tags.update({name: found[name] for name in names if name in found})

    # -- what it really holds --------------------------------------------------------------------------

    def read_next(self) -> bool:
        """Read the one object whose turn it is; False if none was due at the last survey."""
        if not self._queue:
            return False
        _, seen, entry = self._queue.pop()
        self._failed.add(entry.object)
        fault = seen.subject.read_object(self._vault, entry, self._hold_back())
        self._failed.discard(entry.object)
        seen.read_at[entry.object] = self._seconds()
        if fault is not None:
            self._suspect(seen.subject, fault)
        return True

    def _due(self) -> Iterator[tuple[_Turn, _Seen, SealedEntry]]:
        """What was written since or never read comes first, what is served before what is not."""
        now, served = self._seconds(), {layout.prefix(model) for model in self._served()}
        for prefix, seen in self._seen.items():
            for entry in seen.papers.entries if seen.papers is not None else ():
                at = seen.read_at.get(entry.object)
                if entry.object in seen.tags and (at is None or now - at >= self._pace.reread_s):
                    failed = entry.object in self._failed
                    yield (failed, prefix not in served, at is not None, at or 0.0), seen, entry

    def _hold_back(self) -> Callable[[int], None]:
        """Keeps reading to its rate, and surveys in time though an object be large."""
        began, done = self._seconds(), 0

        def progress(size_bytes: int) -> None:
            nonlocal done
            done += size_bytes
            self.read_bytes += size_bytes
            ahead_s = done / self._pace.rate_bytes_s - (self._seconds() - began)
            self._require_going(max(ahead_s, 0.0))
            self._survey_in_time()

        return progress

    def _require_going(self, wait_s: float = 0.0) -> None:
        if self._wait(wait_s):
            self._stopping = True
            raise _Stopped

    def _survey_in_time(self) -> None:
        if self._seconds() >= self._next_survey:
            self.survey()

    # -- what is done about it -------------------------------------------------------------------------

    def _suspect(self, subject: Subject, fault: Fault) -> None:
        """Look once more while nobody writes there; what is still wrong is recorded and held back."""
        if (subject.name, fault) in self._said or self._counts[subject.name] >= MAX_TOLD_OF_ONE:
            return
        vault = self._vault
        with suppress(OutageError), vault.locks.hold(f"publish-{subject.model.family}", BUSY_TIMEOUT_S):
            authority = read_authority(vault)
            current = {each.prefix: each for each in subjects_of(authority, _must_be_there)}
            now = current.get(subject.prefix)
            if now is None or not now.is_same(subject) or not self._is_still_wrong(authority, now, fault):
                return
            self._tell(subject.name, fault, held=self._hold(authority, now, fault))

    def _is_still_wrong(self, authority: Authority, subject: Subject, fault: Fault) -> bool:
        found = dict(self._vault.blobs.survey(subject.prefix))
        try:
            papers = subject.read_papers(self._vault, authority)
        except (InvalidError, RejectedError):
            return not subject.is_as_recorded(self._vault)
        again = [*papers.faults, *subject.compare_names(papers, found)]
        if any(each.object == fault.object for each in again):
            return True
        if fault.object == subject.key:
            return subject.read_key(self._vault, papers) is not None
        entry = next((each for each in papers.entries if each.object == fault.object), None)
        return entry is not None and self._is_altered(subject, entry)

    def _is_altered(self, subject: Subject, entry: SealedEntry) -> bool:
        """At full speed, as whoever publishes waits for us; but not for longer than we are wanted."""
        return subject.read_object(self._vault, entry, lambda _: self._require_going()) is not None

    def _hold(self, authority: Authority, subject: Subject, fault: Fault) -> bool:
        """Record it; a version is held back, an upload in quarantine is nowhere to be held back from."""
        vault, known = self._vault, subject.record
        what = shorten(f"{fault.object} {fault.what}", MAX_WHAT_CHARS // 2)
        if isinstance(known, VersionRecord) and known.held is None:
            detail = {"model": str(subject.model), "object": fault.object, "what": what}
            event = build_event(
                vault,
                moment(vault, authority),
                self._actor,
                "hold",
                str(subject.model),
                rule="altered",
                reason=what,
                **detail,
            )
        else:
            event = self._finding(authority, subject.name, what)
        record(vault, event)
        if isinstance(known, VersionRecord):
            self._held.add(subject.prefix)
        return isinstance(known, VersionRecord)

    def _look_at_strangers(self, names: list[str]) -> None:
        vault = self._vault
        for name in names:
            fault = Fault(name, STRANGER)
            if self._counts["store"] >= MAX_TOLD_OF_ONE:
                return
            with suppress(OutageError, InvalidError), vault.locks.hold(_lock_of(name), BUSY_TIMEOUT_S):
                authority = read_authority(vault)
                if _prefix_of(name) not in _prefixes_of(authority) and _is_there(vault, name):
                    record(vault, self._finding(authority, "store", f"{shorten(name)} {STRANGER}"))
                    self._tell("store", fault, held=False)

    def _finding(self, authority: Authority, of: str, what: str) -> Event:
        return build_event(
            self._vault,
            moment(self._vault, authority),
            self._actor,
            Action.VERIFY,
            of,
            verdict="reject",
            rule="altered",
            reason=what,
        )

    def _tell(self, of: str, fault: Fault, *, held: bool) -> None:
        if (of, fault) not in self._said:
            self._said.add((of, fault))
            self._counts[of] += 1
            self._told(Finding(of, fault.object, fault.what, held))


def _must_be_there(known: VersionRecord) -> bool:
    return known.state is not State.REVOKED


def _is_held(subject: Subject) -> bool:
    return isinstance(subject.record, VersionRecord) and subject.record.held is not None


def _prefix_of(name: str) -> str:
    """Of the version, or of the upload in quarantine, that an object would belong to."""
    return "/".join(name.split("/", 2)[:2])


def _prefixes_of(authority: Authority) -> set[str]:
    """Where something of ours is or was: what is revoked or shredded leaves papers behind."""
    uploads = authority.quarantined.values()
    return {layout.prefix(model) for model in authority.versions} | {
        layout.quarantine_prefix(kept.model, kept.ticket) for kept in uploads
    }


def _lock_of(name: str) -> str:
    """Whoever writes into a family holds this; what has no family's name nobody of ours writes."""
    family = name.partition("/")[0]
    return f"publish-{family if _FAMILY.fullmatch(family) else '0'}"


def _is_there(vault: Vault, name: str) -> bool:
    try:
        vault.blobs.stat(name)
    except InvalidError:
        return True  # a name that we do not give: listed, and that is all that can be said
    except RejectedError as error:
        return "no such object" not in error.message
    return True

"""The inventory: every version here, in quarantine or elsewhere, who answers for it, where it runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from strongroom.errors import InvalidError, shorten
from strongroom.flows.inventory import Listed, list_versions
from strongroom.flows.quarantine import list_quarantined
from strongroom.flows.vault import Vault, judge, moment, read_authority
from strongroom.trust.authority import Authority
from strongroom.trust.standing import OwnerStatus, QuarantineRecord, UnmanagedRecord
from strongroom.values import Action, ModelId, State

UNMANAGED = "unmanaged"
"""In the place of a state: listed by somebody, and not in the store."""
STATES = (*(state.value for state in State), UNMANAGED)
ANYWHERE, NOWHERE = "any", "none"


@dataclass(frozen=True, slots=True)
class Item:
    """One line of the inventory. Texts are empty, and numbers None, where nothing is known."""

    model: ModelId
    state: str
    owner: str
    owner_status: OwnerStatus
    since: datetime
    """When it was published, kept or registered."""
    by: str
    """Who published, handed over or registered it."""
    log_index: int
    format: str = ""
    size_bytes: int | None = None
    digest: str = ""
    places: tuple[str, ...] = ()
    """Servers of this home on this machine that answer with it now."""
    location: str = ""
    dependencies: str = ""
    note: str = ""

    @property
    def orphaned(self) -> bool:
        """Whether it waits for another owner before anybody may publish or approve on it."""
        live = (State.PUBLISHED.value, State.APPROVED.value)
        return self.state in live and self.owner_status.orphans

    def to_json(self) -> dict[str, Any]:
        """The form that `list --json` prints."""
        return {
            "model": str(self.model),
            "state": self.state,
            "owner": self.owner,
            "owner_status": self.owner_status.value,
            "orphaned": self.orphaned,
            "publisher": self.by,
            "format": self.format,
            "size_bytes": self.size_bytes,
            "digest": self.digest,
            "published_at": self.since.isoformat(),
            "serving": list(self.places),
            "location": self.location,
            "dependencies": self.dependencies,
            "note": self.note,
            "log_index": self.log_index,
        }


@dataclass(frozen=True, slots=True)
class Filter:
    """What to list; an item is listed if all that is said here fits it."""

    family: str | None = None
    owner: str | None = None
    format: str | None = None
    states: Sequence[str] = ()
    """Of `STATES`; none is all but what waits in quarantine."""
    runs_on: str | None = None
    """A server's name, ``name:port``, ``any`` or ``none``."""
    older_than: timedelta | None = None
    orphaned: bool = False
    unmanaged: bool = False

    def __post_init__(self) -> None:
        for state in self.states:
            if state not in STATES:
                raise InvalidError(f"state: {shorten(state)} is not one of {', '.join(STATES)}")

    def fits(self, item: Item, now: datetime) -> bool:
        wanted = (self.family, self.owner, self.format)
        known = (item.model.family, item.owner, item.format)
        if any(one is not None and one != other for one, other in zip(wanted, known, strict=True)):
            return False
        if self.older_than is not None and now - item.since < self.older_than:
            return False
        return self._fits_state(item) and self._fits_place(item)

    def _fits_state(self, item: Item) -> bool:
        if self.states and item.state not in self.states:
            return False
        return (item.orphaned or not self.orphaned) and (item.state == UNMANAGED or not self.unmanaged)

    def _fits_place(self, item: Item) -> bool:
        match self.runs_on:
            case None:
                return True
            case "any":
                return bool(item.places)
            case "none":
                return not item.places
            case place:
                return any(place in (each, each.rpartition(":")[0]) for each in item.places)


def list_inventory(
    vault: Vault, actor: str, wanted: Filter, places: Mapping[str, Sequence[str]]
) -> list[Item]:
    """Return what ``actor`` may see of what is wanted, by family and version.

    ``places``: where each version runs, by its name.

    Raises InvalidError: a filter is not one, or ``actor`` is nobody here.
    """
    listed = list_versions(vault, actor, wanted.family)
    authority = read_authority(vault)
    now = moment(vault, authority)
    items = [_published(authority, one, tuple(places.get(one.row.model, ())), now) for one in listed]
    items += [
        _unmanaged(authority, known, now)
        for model, known in authority.unmanaged.items()
        if judge(authority, actor, Action.LIST, str(model), now).allowed
    ]
    if State.QUARANTINED in wanted.states:
        items += [_quarantined(authority, kept, now) for kept in list_quarantined(vault, actor)]
    return sorted((item for item in items if wanted.fits(item, now)), key=lambda item: item.model)


def orphans(authority: Authority, now: datetime) -> dict[str, tuple[str, OwnerStatus]]:
    """Return the owner of each family with a published or approved version that is an orphan, and why."""
    live = (State.PUBLISHED, State.APPROVED)
    found = {}
    for model, known in authority.versions.items():
        status = authority.owner_status(known.owner, now)
        if known.state in live and status.orphans:
            found[model.family] = (known.owner, status)
    return dict(sorted(found.items()))


def _published(authority: Authority, one: Listed, places: tuple[str, ...], now: datetime) -> Item:
    record = one.record
    return Item(
        record.model,
        record.state.value if record.held is None else State.QUARANTINED.value,
        record.owner,
        authority.owner_status(record.owner, now),
        record.published_at,
        record.publisher,
        record.log_index,
        one.row.format,
        one.row.size_bytes,
        str(record.manifest),
        places,
    )


def _unmanaged(authority: Authority, known: UnmanagedRecord, now: datetime) -> Item:
    entry = known.entry
    return Item(
        entry.model,
        UNMANAGED,
        entry.owner,
        authority.owner_status(entry.owner, now),
        known.recorded_at,
        known.recorded_by,
        known.log_index,
        entry.format,
        None,
        entry.digest,
        (),
        entry.location,
        entry.dependencies,
        entry.note,
    )


def _quarantined(authority: Authority, kept: QuarantineRecord, now: datetime) -> Item:
    status = authority.owner_status(kept.publisher, now)
    note = f"strongroom scan show {kept.ticket}"
    return Item(
        kept.model,
        State.QUARANTINED.value,
        kept.publisher,
        status,
        kept.kept_at,
        kept.publisher,
        kept.log_index,
        digest=str(kept.manifest),
        note=note,
    )

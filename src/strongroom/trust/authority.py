"""Who may do what: a pure fold over the verified records of the log (docs/decisions/0002).

The log is the only source. Nothing that a database, a file or a caller says adds to it or takes from it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Self

from strongroom.errors import RejectedError, StrongroomError
from strongroom.trust.approvals import APPROVAL_TYPE, build_approval
from strongroom.trust.events import Event, Outcome
from strongroom.trust.fold import INIT, STEPS
from strongroom.trust.standing import Approval, GrantRecord, Identity, Journal, Standing, VersionRecord

__all__ = [
    "APPROVAL_TYPE",
    "Approval",
    "Authority",
    "GrantRecord",
    "Identity",
    "Journal",
    "VersionRecord",
    "build_approval",
]


@dataclass(frozen=True, slots=True)
class Authority(Standing):
    """All rights after the records so far. ``Authority()`` is the one before the first record."""

    def apply(self, event: Event, index: int) -> Self:
        """Return the authority after one more record; this one stays as it is.

        Flows apply an event before they append it, so that no record is written that a replay refuses.

        Raises:
            RejectedError: the record is out of sequence, malformed, wrongly signed, or allows what may not
                be allowed; the message names its index.
        """
        if index != self.size:
            raise RejectedError(f"log record {index}: is not the next one, which is {self.size}")
        at = self.moment(event.time)
        changes: dict[str, Any] = {}
        try:
            if not self.size and (event.action, event.decision) != (INIT, Outcome.ALLOW):
                raise RejectedError("a log begins with init")
            step = STEPS.get(event.action)
            if step is not None and event.decision == Outcome.ALLOW:
                changes = step(self, event, at)
        except StrongroomError as error:
            raise RejectedError(f"log record {index}: {event.action}: {error.message}") from None
        return replace(self, size=index + 1, last_time=at, **changes)

    def extend(self, events: Iterable[Event]) -> Self:
        """Return the authority after ``events``, which follow the last record. Raises as `apply` does."""
        after = self
        for event in events:
            after = after.apply(event, after.size)
        return after

    @classmethod
    def replay(cls, events: Iterable[Event]) -> Self:
        """Return the authority after ``events``, from the first record on. Raises as `apply` does."""
        return cls().extend(events)

    def to_snapshot(self, now: datetime) -> dict[str, Any]:
        """Return what a gateway needs to decide: identities with their valid serials, grants not yet ended.

        Grants that have not started yet are there too: whoever holds the snapshot compares the time.
        """
        at = self.moment(now)
        return {
            "solo": self.solo,
            "identities": [
                {"name": one.name, "serials": list(one.valid_serials(at)), "revoked": one.revoked}
                for one in self.identities.values()
            ],
            "grants": [
                record.grant.to_json()
                for record in self.grants.values()
                if record.revoked_at is None
                and at < record.grant.end
                and not self.identities[record.grant.principal].revoked
            ],
        }

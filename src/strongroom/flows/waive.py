"""Waive: a second person lets one finding pass, in exactly these bytes and until a day."""

from datetime import timedelta

from strongroom.errors import InvalidError, shorten
from strongroom.flows.quarantine import show_quarantined
from strongroom.flows.vault import (
    CONTROL_LOCK,
    Vault,
    build_event,
    moment,
    read_authority,
    record,
    require_permission,
)
from strongroom.trust import dsse
from strongroom.trust.waivers import WAIVER_TYPE, Waiver
from strongroom.values import Action, require_reason

DEFAULT_DURATION = timedelta(days=90)


def waive(
    vault: Vault,
    actor: str,
    ticket: str,
    finding: str,
    reason: str,
    lasts: timedelta,
    *,
    dry_run: bool = False,
) -> int:
    """Let ``finding`` pass in what is kept under ``ticket``; returns the log index.

    Raises:
        DeniedError: the actor may not, or handed it over.
        InvalidError: there is no such finding in it, or it is one that nobody may waive.
        RejectedError: the stored report is not the one that was recorded.
    """
    with vault.locks.hold(CONTROL_LOCK):
        authority = read_authority(vault)
        kept = authority.quarantined.get(ticket)
        decision = require_permission(
            vault,
            authority,
            actor,
            Action.WAIVE,
            str(kept.model) if kept else "*",
            publisher=kept.publisher if kept else None,
        )
        if kept is None:
            raise InvalidError(f"{shorten(ticket)}: no such ticket", hint="see: strongroom scan list")
        report = show_quarantined(vault, actor, ticket).report
        found = next((each for each in report["findings"] if each["id"] == finding), None)
        if found is None:
            raise InvalidError(
                f"{ticket}: has no finding {shorten(finding)}", hint=f"see: strongroom scan show {ticket}"
            )
        if not found["waivable"]:
            raise InvalidError(f"{ticket}: {found['rule']} cannot be waived", hint=f"the fix: {found['fix']}")
        now = moment(vault, authority)
        waiver = Waiver(
            kept.model,
            kept.manifest,
            finding,
            found["rule"],
            actor,
            require_reason(reason),
            now,
            now + lasts,
        )
        if dry_run:
            return -1
        signer = vault.identity_signer(actor)
        envelope = dsse.sign_envelope(WAIVER_TYPE, waiver.to_bytes(), signer)
        return record(
            vault,
            build_event(
                vault,
                now,
                actor,
                Action.WAIVE,
                str(kept.model),
                rule=decision.rule,
                reason=waiver.reason,
                ticket=ticket,
                waiver=waiver.to_json(),
                envelope=envelope.to_bytes().decode(),
            ),
        )

"""Rescan: judge again, by today's rules and advisories, what was published by those of its day."""

from dataclasses import dataclass

from strongroom.errors import InvalidError
from strongroom.flows import layout
from strongroom.flows.osv import check_version
from strongroom.flows.statement import require_statement_of
from strongroom.flows.unsealing import readable, unwrap_data_key
from strongroom.flows.vault import Vault, build_event, moment, read_authority, record, require_permission
from strongroom.scan.rule import RULES_VERSION
from strongroom.scan.scan import Match
from strongroom.scan.upload import Report, Verdict, scan_upload
from strongroom.trust.authority import VersionRecord
from strongroom.values import Action, ModelId, Severity, State

MAX_RECORDED = 50
"""Findings that are named in the log; the report has them all."""
_GRAVE = frozenset({Severity.HIGH, Severity.CRITICAL})
_LIVE = frozenset({State.PUBLISHED, State.APPROVED})


@dataclass(frozen=True, slots=True)
class Rescanned:
    """One version, judged again."""

    record: VersionRecord
    report: Report
    """Without what is waived now."""
    packages: tuple[Match, ...]
    """What is known by now against the packages that it declares and the engine that serves it."""
    judged_by: str
    """Version of the rules when it was published."""

    @property
    def is_sound(self) -> bool:
        """Whether it would be let pass now, and no grave hole is known in what it runs with."""
        grave = any(each.rule.severity in _GRAVE for each in self.packages)
        return self.report.verdict is Verdict.ACCEPTED and not grave


def versions_to_rescan(vault: Vault, *, outdated: bool = False) -> list[ModelId]:
    """Return the versions that may be served; with ``outdated`` those that other rules than ours judged."""
    authority = read_authority(vault)
    live = sorted(model for model, known in authority.versions.items() if known.state in _LIVE)
    if not outdated:
        return live
    return [
        model
        for model in live
        if require_statement_of(vault, authority, model).inspection.get("rules") != RULES_VERSION
    ]


def rescan(vault: Vault, actor: str, model: ModelId) -> Rescanned:
    """Scan a stored version again. What is refused now is recorded; withdrawing it is a person's decision.

    Raises:
        DeniedError: the actor may not.
        RejectedError: the store does not hold what was published.
    """
    authority = read_authority(vault)
    decision = require_permission(vault, authority, actor, Action.RESCAN, str(model))
    known = authority.versions.get(model)
    if known is None:
        raise InvalidError(f"{model}: no such version", hint="see: strongroom list")
    statement = require_statement_of(vault, authority, model)
    # The record comes before the key.
    now = moment(vault, authority)
    record(
        vault,
        build_event(
            vault,
            now,
            actor,
            Action.RESCAN,
            str(model),
            rule=decision.rule,
            manifest=str(known.manifest),
            rules=RULES_VERSION,
        ),
    )
    name = layout.wrapped_key_beside(statement.entries[0].object)
    data_key = unwrap_data_key(vault, model, statement.manifest_digest, name)
    with readable(vault, model, statement.entries, data_key) as entries:
        report = scan_upload(entries).without(authority.waivers_of(known.manifest, now))
    judged_by = statement.inspection.get("rules", "")
    done = Rescanned(
        known,
        report,
        check_version(vault, actor, model),
        judged_by if isinstance(judged_by, str) else "",
    )
    if not done.is_sound:
        _record_findings(vault, actor, done)
    return done


def _record_findings(vault: Vault, actor: str, done: Rescanned) -> None:
    found = (*done.report.matches, *(each for each in done.packages if each.rule.severity in _GRAVE))
    worst = found[0]
    record(
        vault,
        build_event(
            vault,
            moment(vault, read_authority(vault)),
            actor,
            Action.RESCAN,
            str(done.record.model),
            verdict="reject",
            reason=f"{worst.place}: {worst.message}",
            rules=RULES_VERSION,
            scan=str(done.report.verdict),
            findings=[{"finding": each.fingerprint, "rule": each.rule.id} for each in found[:MAX_RECORDED]],
        ),
    )

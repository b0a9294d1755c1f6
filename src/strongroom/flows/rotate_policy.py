"""Record rotations that are overdue: what nobody did in time stands in the log, once per period."""

from strongroom.flows.vault import Vault, build_event, moment, read_authority, record
from strongroom.trust.rotation import KeyAge, RotationPolicy, is_news, key_ages
from strongroom.values import format_time


def record_overdue(vault: Vault, actor: str, policy: RotationPolicy) -> list[KeyAge]:
    """Record each rotation that is overdue and was not recorded in this period; returns these.

    Raises:
        OutageError: the log could not be written.
    """
    authority = read_authority(vault)
    now = moment(vault, authority)
    overdue = [age for age in key_ages(authority, policy, now) if age.overdue]
    fresh = [age for age in overdue if is_news(authority, policy, age, now)]
    for age in fresh:
        event = build_event(
            vault,
            now,
            actor,
            "rotation-overdue",
            age.key,
            reason=f"rotation was due {age.due:%Y-%m-%d}",
            key=age.name,
            since=format_time(age.since),
            every_s=int(policy.of(age.name).total_seconds()),
        )
        record(vault, event)
    return fresh

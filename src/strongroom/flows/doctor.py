"""Doctor: what a careful operator would look at, each check with its evidence and its remedy."""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path

from strongroom.errors import InvalidError, RejectedError, StrongroomError, shorten
from strongroom.flows import layout
from strongroom.flows.audit import verify_whole_log
from strongroom.flows.listing import orphans
from strongroom.flows.revocations import read_list, require_log_of
from strongroom.flows.rotate_probe import opening_probe
from strongroom.flows.rotate_signing import is_enabled
from strongroom.flows.statement import require_statement_of
from strongroom.flows.vault import Vault, moment, read_authority
from strongroom.trust.authority import Authority
from strongroom.trust.keyring import KeyHistory
from strongroom.trust.rotation import KeyAge, RotationPolicy, key_ages
from strongroom.trust.standing import SIGNING

SOON = timedelta(days=30)
LOW_ROOM_BYTES = 2 * 2**30
MAX_CLOCK_LEAD_S = 60.0
MAX_NAMED = 10
"""Things wrong in the store that are named one by one."""


class Verdict(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at. A check that could not run is a failure, never a pass (I7)."""

    name: str
    verdict: Verdict
    evidence: str
    fix: str = ""


def examine(vault: Vault, home: Path, insecure: list[str], policy: RotationPolicy) -> list[Check]:
    """Run every check of the home; the host's sandbox is examined by `serve.supervisor.probe`."""
    checks: list[Check] = []
    for name, look in (
        ("log", lambda: _log(vault)),
        ("clock", lambda: _clock(vault)),
        ("home", lambda: _home(home)),
        ("store", lambda: _store(vault)),
        ("revocations", lambda: _revocations(vault)),
        ("grants", lambda: _grants(vault)),
        ("owners", lambda: _owners(vault)),
        ("certificates", lambda: _certificates(vault)),
        ("rotation", lambda: _rotation(vault, policy)),
        ("custody", lambda: _custody(vault)),
        ("choices", lambda: _choices(vault, insecure)),
        ("swap", _swap),
    ):
        checks.extend(_run(name, look))
    return checks


def _run(name: str, look: Callable[[], Iterator[Check]]) -> list[Check]:
    try:
        return list(look())
    except StrongroomError as error:
        return [Check(name, Verdict.FAIL, error.message, error.hint or "")]
    except OSError as error:
        return [Check(name, Verdict.FAIL, f"could not be looked at: {error.strerror}")]


def _log(vault: Vault) -> Iterator[Check]:
    verified = verify_whole_log(vault)
    yield Check(
        "log",
        Verdict.OK,
        f"{verified.size} records and {verified.predictions} predictions match the signed checkpoint",
    )
    if vault.records.head() is None:
        yield Check(
            "log",
            Verdict.WARN,
            "the catalog is new and remembers no head: whether the log was cut cannot be told from here",
            "strongroom log verify --against a checkpoint that was kept elsewhere",
        )


def _clock(vault: Vault) -> Iterator[Check]:
    lag_s = (read_authority(vault).last_time - vault.clock.now()).total_seconds()
    if lag_s > MAX_CLOCK_LEAD_S:
        yield Check(
            "clock",
            Verdict.FAIL,
            f"this clock is {lag_s:.0f} s behind the newest record",
            "set the clock; until then every time is taken as that of the newest record",
        )
    else:
        yield Check("clock", Verdict.OK, "not behind the newest record")


def _home(home: Path) -> Iterator[Check]:
    status = home.stat()
    if status.st_mode & 0o077:
        yield Check("home", Verdict.FAIL, f"{home} is open to other users", f"chmod 700 {home}")
    elif status.st_uid != os.geteuid():
        yield Check("home", Verdict.WARN, f"{home} belongs to user {status.st_uid}, not to this one")
    else:
        yield Check("home", Verdict.OK, f"{home} is private to this user")
    room = shutil.disk_usage(home).free
    verdict = Verdict.OK if room >= LOW_ROOM_BYTES else Verdict.WARN
    yield Check("disk", verdict, f"{room / 2**30:.1f} GiB free", "" if verdict is Verdict.OK else "make room")


def _store(vault: Vault) -> Iterator[Check]:
    authority = read_authority(vault)
    unlike = list(_unlike_statements(vault, authority))
    for what in unlike[:MAX_NAMED]:
        yield Check("store", Verdict.FAIL, what, "find out who did it; put back what was published")
    known = {layout.prefix(model) for model in authority.versions}
    known |= {layout.quarantine_prefix(kept.model, kept.ticket) for kept in authority.quarantined.values()}
    known |= {layout.REVOCATIONS, layout.CRL}
    for concern in vault.blobs.concerns():
        yield Check("bucket", Verdict.WARN, f"insecure: {concern}", "see docs/stores.md")
    if vault.transit is not None and (waiting := len(list(vault.transit.spool.list("")))):
        yield Check(
            "spool",
            Verdict.WARN,
            f"{waiting} files of publishes that were cut off wait to be sent",
            "publish the same files again, or remove the home's folder spool",
        )
    strangers = [name for name in vault.blobs.list("") if "/".join(name.split("/")[:2]) not in known]
    if strangers:
        yield Check(
            "store",
            Verdict.FAIL,
            f"{len(strangers)} uncatalogued objects, first {shorten(strangers[0])}",
            "find out who put them there, then delete them",
        )
    if not unlike and not strangers:
        yield Check("store", Verdict.OK, f"{len(known)} versions, no uncatalogued object")
    logged = {str(model) for model in authority.versions}
    rows = {row.model for row in vault.records.versions()}
    for model in sorted(logged - rows)[:1]:
        yield Check(
            "catalog",
            Verdict.FAIL,
            f"{model} is in the log but not in the catalog",
            f"strongroom verify {model}",
        )
    unlogged = sorted(rows - logged)
    if unlogged:
        yield Check(
            "catalog",
            Verdict.FAIL,
            f"{unlogged[0]} is in the catalog but not in the log",
            "someone edited the catalog; delete catalog.sqlite, it is rebuilt from the log",
        )


def _unlike_statements(vault: Vault, authority: Authority) -> Iterator[str]:
    """Say which versions do not lie in the store as they were published; the bytes are for `verify`."""
    for model, known in authority.versions.items():
        try:
            statement = require_statement_of(vault, authority, model)
        except RejectedError as error:
            yield error.message
            continue
        expected = set(layout.expected_names(model, [entry.object for entry in statement.entries]))
        if authority.is_doomed(model):
            expected = set(layout.remaining_names(model, known.generation))
        found = set(vault.blobs.list(layout.prefix(model)))
        passing = layout.generation_names(model, known.beside or 0, len(statement.entries))
        for name in sorted(found - expected - set(passing if known.beside is not None else ())):
            yield f"{model}: unsigned file {shorten(name)} beside the model"
        for name in sorted(expected - found):
            yield f"{model}: {shorten(name)} is missing from the store"


def _revocations(vault: Vault) -> Iterator[Check]:
    authority = read_authority(vault)
    for one in authority.shreds.values():
        if one.pending:
            yield Check(
                "revocations",
                Verdict.FAIL,
                f"{one.target} is to be shredded since {one.confirmed_at:%Y-%m-%d} and not shown to be",
                f"strongroom shred {one.target} --confirm",
            )
        elif one.is_open(moment(vault, authority)):
            yield Check(
                "revocations",
                Verdict.WARN,
                f"{one.requested_by} asks to shred {one.target}, which nobody else has confirmed",
                f"an admin who agrees: strongroom shred {one.target} --confirm",
            )
    listed = read_list(vault)
    if listed is not None:
        require_log_of(vault, listed)
    if authority.issue is not None and (listed is None or listed.issue.number < authority.issue.number):
        yield Check(
            "revocations",
            Verdict.FAIL,
            "the revocation list in the store is missing, or older than the log says",
            "strongroom revocation refresh",
        )
    else:
        number = "none was issued yet" if listed is None else f"list {listed.issue.number} is in the store"
        yield Check("revocations", Verdict.OK, number)


def _grants(vault: Vault) -> Iterator[Check]:
    authority = read_authority(vault)
    now = moment(vault, authority)
    end = authority.last_admin_end(now)
    if end is None:
        yield Check("grants", Verdict.FAIL, "nobody is admin any more: no grant can be made")
    elif end - now < SOON:
        yield Check(
            "grants",
            Verdict.WARN,
            f"the last admin grant ends {end:%Y-%m-%d}",
            "have another admin grant it again, or add a second admin",
        )
    else:
        yield Check("grants", Verdict.OK, f"an admin until {end:%Y-%m-%d}")


def _certificates(vault: Vault) -> Iterator[Check]:
    authority = read_authority(vault)
    now = moment(vault, authority)
    live = [one for one in authority.identities.values() if not one.revoked]
    ended = [one.name for one in live if not one.valid_credentials(now)]
    if ended:
        yield Check(
            "certificates",
            Verdict.WARN,
            f"expired: {', '.join(ended[:5])}",
            f"strongroom identity renew {ended[0]}",
        )
    else:
        yield Check("certificates", Verdict.OK, f"{len(live)} identities with a valid certificate")


def _owners(vault: Vault) -> Iterator[Check]:
    authority = read_authority(vault)
    alone = orphans(authority, moment(vault, authority))
    for family, (owner, status) in list(alone.items())[:MAX_NAMED]:
        yield Check(
            "owners",
            Verdict.WARN,
            f"{family} is an orphan: its owner {owner} is {status}",
            f"strongroom own {family} --to NAME",
        )
    if not alone:
        elsewhere = f", {len(authority.unmanaged)} versions are elsewhere" if authority.unmanaged else ""
        yield Check("owners", Verdict.OK, f"no family is an orphan{elsewhere}")


def _rotation(vault: Vault, policy: RotationPolicy) -> Iterator[Check]:
    authority = read_authority(vault)
    ages = key_ages(authority, policy, moment(vault, authority))
    found = list(_keys_to_rotate(ages))
    if _ends(vault.trust_root.signing_keys) != _ends(authority.key_history):
        evidence = "trust.json names other signing keys than the log; who checks with it is told wrong"
        found.append(Check("rotation", Verdict.WARN, evidence, "strongroom rotate status"))
    if vault.keys is not None:
        found += _keys_that_are_back(vault, authority)
    yield from found
    if not found:
        yield Check("rotation", Verdict.OK, f"{len(ages)} keys, none overdue")


def _ends(history: KeyHistory) -> list[tuple[str, datetime | None, datetime | None]]:
    return [(key.public.key_id, key.not_after, key.revoked_at) for key in history.keys]


def _keys_to_rotate(ages: list[KeyAge]) -> Iterator[Check]:
    for age in ages:
        verb = "strongroom rotate signing" if age.name == SIGNING else f"strongroom rotate key {age.name}"
        if age.overdue:
            evidence = f"{age.name}: rotation was due {age.due:%Y-%m-%d}"
            yield Check("rotation", Verdict.FAIL, evidence, verb)
        if not age.settled:
            yield Check("rotation", Verdict.WARN, f"{age.name}: a rotation was cut off", verb)
        if age.to_reencrypt:
            evidence = f"{age.name}: {age.to_reencrypt} versions are still to be encrypted anew"
            yield Check("rotation", Verdict.WARN, evidence, f"{verb} --reencrypt")


def _keys_that_are_back(vault: Vault, authority: Authority) -> Iterator[Check]:
    """What was rotated away is tried again: a version may have been enabled, or a keystore put back."""
    for family, bound in authority.family_keys.items():
        probe = opening_probe(vault, family, bound.probes) if bound.settled else None
        if probe is not None:
            evidence = f"{probe.uri}: version {probe.version} was rotated away and opens again"
            yield Check("rotation", Verdict.FAIL, evidence, f"strongroom rotate key {family}")
    for uri in authority.earlier_signing:
        if is_enabled(vault, uri):
            evidence = f"{uri}: was rotated away and still signs, though nothing that it signs is believed"
            yield Check("rotation", Verdict.WARN, evidence, "disable it in its custody, or rotate again")


def _custody(vault: Vault) -> Iterator[Check]:
    """What the custody of each family's key says of it; a custody that is silent says so here too."""
    if vault.keys is None:
        return
    authority = read_authority(vault)
    concerned = False
    for family in authority.families():
        uri = authority.family_key(family)
        try:
            concerns = vault.keys.describe(uri).concerns
        except InvalidError:
            continue  # never made, or shredded
        for concern in concerns:
            concerned = True
            yield Check("custody", Verdict.WARN, f"{uri}: {concern}", "see docs/keys.md")
    if not concerned:
        yield Check("custody", Verdict.OK, "no custody tells of a weakness of its keys")


def _choices(vault: Vault, insecure: list[str]) -> Iterator[Check]:
    authority = read_authority(vault)
    for choice in insecure:
        yield Check("choices", Verdict.WARN, f"insecure: {choice}", "remove it from strongroom.toml")
    if authority.solo:
        yield Check(
            "choices",
            Verdict.WARN,
            "insecure: one person publishes and approves (init --insecure-solo)",
            "add a second person: strongroom identity add NAME --role reviewer",
        )
    if not insecure and not authority.solo:
        yield Check("choices", Verdict.OK, "no insecure choice")


def _swap() -> Iterator[Check]:
    lines = Path("/proc/swaps").read_text().splitlines()[1:]
    pattern = Path("/proc/sys/kernel/core_pattern").read_text().strip()
    if lines:
        yield Check(
            "swap",
            Verdict.WARN,
            f"{len(lines)} swap areas are on; model memory is kept out only where mlock is permitted",
            "swapoff -a, encrypted swap, or raise RLIMIT_MEMLOCK",
        )
    else:
        yield Check("swap", Verdict.OK, f"no swap; workers write no core file (pattern {pattern[:40]!r})")


def count_states(authority: Authority) -> dict[str, int]:
    """How many versions stand in which state, for `status`."""
    counts: dict[str, int] = {}
    for record in authority.versions.values():
        counts[record.state.value] = counts.get(record.state.value, 0) + 1
    return counts

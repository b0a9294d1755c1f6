"""Who may call which flow: every person against every flow, by a table written by hand."""

from datetime import timedelta

import pytest

from strongroom.errors import DeniedError, InvalidError, StrongroomError
from strongroom.flows.approve import approve
from strongroom.flows.audit import prove, read_log
from strongroom.flows.grant import Wish, can, grant
from strongroom.flows.identity import add_identity, renew_identity
from strongroom.flows.inventory import list_versions, show_version
from strongroom.flows.publish import publish
from strongroom.flows.release import release, verify
from strongroom.flows.retire import retire
from strongroom.flows.revoke import revoke_grant, revoke_identity, revoke_version
from strongroom.flows.serving import Served, record_start
from strongroom.flows.vault import read_authority
from strongroom.values import Action, ModelId, Role, State
from tests.flows.scene import (
    ADMIN,
    AUDITOR,
    CONSUMER,
    DEPLOYER,
    ONE,
    OPERATOR,
    OWNER,
    REVIEWER,
    SECOND_ADMIN,
    STRANGER,
    TWO,
    Scene,
    furnished,
    require_sound,
    solo,
)

EVERYBODY = [ADMIN, SECOND_ADMIN, DEPLOYER, REVIEWER, OPERATOR, AUDITOR, CONSUMER, OWNER, STRANGER, "nobody"]
WISH = Wish(CONSUMER, Role.AUDITOR, "fraud", timedelta(hours=1), "an audit")
DAY = timedelta(days=1)


def _serve(scene: Scene, who: str) -> None:
    authority = read_authority(scene.vault)
    record_start(scene.vault, who, [Served.choose(scene.vault, authority, "fraud")], [])


def _end(scene: Scene, who: str) -> None:
    held = next(g.grant for g in scene.authority.grants.values() if g.grant.principal == CONSUMER)
    revoke_grant(scene.vault, who, held.id, "over")


FLOWS = {
    # ADMIN founded the home and has every role but reviewer.
    "publish": (lambda s, w: publish(s.vault, s.offer(TWO, by=w)), {ADMIN, DEPLOYER}),
    "approve": (lambda s, w: (s.publish(TWO), approve(s.vault, w, TWO)), {REVIEWER}),
    "retire": (lambda s, w: retire(s.vault, w, ONE, "old"), {ADMIN, OPERATOR, OWNER}),
    "revoke": (lambda s, w: revoke_version(s.vault, w, ONE, "leaked"), {ADMIN, OWNER}),
    "release": (lambda s, w: release(s.vault, w, ONE).close(), {ADMIN, OPERATOR}),
    "record-serving": (_serve, {ADMIN, OPERATOR}),
    "verify": (lambda s, w: verify(s.vault, w, ONE), {ADMIN, DEPLOYER, REVIEWER, OPERATOR, OWNER}),
    "show": (lambda s, w: show_version(s.vault, w, ONE), {ADMIN, DEPLOYER, REVIEWER, OPERATOR, OWNER}),
    "add-identity": (lambda s, w: add_identity(s.vault, w, "nora", 7), {ADMIN, SECOND_ADMIN}),
    "renew-identity": (lambda s, w: renew_identity(s.vault, w, CONSUMER, 7), {ADMIN, SECOND_ADMIN}),
    "revoke-identity": (lambda s, w: revoke_identity(s.vault, w, CONSUMER, "left"), {ADMIN, SECOND_ADMIN}),
    "grant": (lambda s, w: grant(s.vault, w, WISH), {ADMIN, SECOND_ADMIN}),
    "end-grant": (_end, {ADMIN, SECOND_ADMIN}),
    "read-log": (lambda s, w: list(read_log(s.vault, w)), {ADMIN, AUDITOR}),
    "prove": (lambda s, w: prove(s.vault, w, 0), {ADMIN, AUDITOR}),
}


@pytest.mark.parametrize("flow", FLOWS)
@pytest.mark.parametrize("who", EVERYBODY)
def test_every_person_against_every_flow(flow: str, who: str) -> None:
    act, allowed = FLOWS[flow]
    scene = furnished()
    before = scene.authority
    if who in allowed:
        act(scene, who)
        return
    with pytest.raises(DeniedError, match=f"^{who} may not"):
        act(scene, who)
    # The denial is in the log with the rule that made it, and has changed nothing.
    last = scene.events[-1]
    assert (last.actor, str(last.decision)) == (who, "deny")
    assert last.rule
    after = scene.authority
    assert (after.identities, after.grants) == (before.identities, before.grants)
    assert after.versions.get(ONE) == before.versions[ONE]


@pytest.mark.parametrize("who", EVERYBODY)
def test_list_shows_nothing_to_whom_may_not_see(who: str) -> None:
    may = who in {ADMIN, DEPLOYER, REVIEWER, OPERATOR, OWNER}
    scene = furnished()
    if who not in scene.authority.identities:
        with pytest.raises(InvalidError, match="no such identity"):
            list_versions(scene.vault, who)
        return
    assert bool(list_versions(scene.vault, who)) is may


def test_a_version_that_is_forbidden_and_one_that_is_not_there_look_the_same() -> None:
    scene = furnished()
    told = []
    for model in (ONE, ModelId.parse("fraud@9.9.9")):
        with pytest.raises(DeniedError) as denial:
            show_version(scene.vault, CONSUMER, model)
        told.append((denial.value.message.replace(str(model), "M"), denial.value.hint))
    assert told[0] == told[1]


def test_a_grant_on_one_family_reaches_no_other() -> None:
    scene = furnished()
    grant(scene.vault, ADMIN, Wish(STRANGER, Role.DEPLOYER, "fraud2", DAY, "their own family"))
    with pytest.raises(DeniedError):
        publish(scene.vault, scene.offer(TWO, by=STRANGER))
    publish(scene.vault, scene.offer(ModelId.parse("fraud2@1.0.0"), by=STRANGER))
    require_sound(scene)


def test_nobody_approves_their_own_upload() -> None:
    scene = furnished()
    grant(scene.vault, ADMIN, Wish(STRANGER, Role.DEPLOYER, "churn", DAY, "uploads"))
    model = ModelId.parse("churn@1.0.0")
    publish(scene.vault, scene.offer(model, by=STRANGER))
    grant(scene.vault, ADMIN, Wish(STRANGER, Role.REVIEWER, "churn", DAY, "now reviews"))
    with pytest.raises(DeniedError, match="nobody-approves-their-own"):
        approve(scene.vault, STRANGER, model)
    assert scene.authority.versions[model].state is State.PUBLISHED
    with pytest.raises(DeniedError):
        release(scene.vault, OPERATOR, model)
    approve(scene.vault, REVIEWER, model)
    require_sound(scene)


def test_a_reviewer_never_uploads() -> None:
    scene = furnished()
    grant(scene.vault, ADMIN, Wish(REVIEWER, Role.DEPLOYER, "*", DAY, "wants both"))
    with pytest.raises(DeniedError, match="reviewer-never-uploads"):
        publish(scene.vault, scene.offer(TWO, by=REVIEWER))


@pytest.mark.parametrize("role", [Role.REVIEWER, Role.ADMIN])
def test_nobody_edits_their_own_grants(role: Role) -> None:
    scene = furnished()
    with pytest.raises(DeniedError, match="nobody-edits-their-own-grants"):
        grant(scene.vault, SECOND_ADMIN, Wish(SECOND_ADMIN, role, "*", DAY, "more power"))
    own = next(g.grant for g in scene.authority.grants.values() if g.grant.principal == SECOND_ADMIN)
    with pytest.raises(DeniedError, match="nobody-edits-their-own-grants"):
        revoke_grant(scene.vault, SECOND_ADMIN, own.id, "cover my tracks")


def test_a_revoked_person_does_nothing_more() -> None:
    scene = furnished()
    scene.publish(TWO)
    revoke_identity(scene.vault, ADMIN, REVIEWER, "left")
    with pytest.raises(DeniedError, match="identity-revoked"):
        approve(scene.vault, REVIEWER, TWO)
    with pytest.raises(InvalidError, match="is revoked"):
        renew_identity(scene.vault, ADMIN, REVIEWER, 7)
    with pytest.raises(InvalidError, match="no such identity"):
        grant(scene.vault, ADMIN, Wish(REVIEWER, Role.REVIEWER, "*", DAY, "back again"))


def test_a_permission_lost_while_sealing_stops_the_publication() -> None:
    """It is asked again at the end: a grant that ends during an hour of sealing is no right."""
    scene = furnished()
    held = next(g.grant for g in scene.authority.grants.values() if g.grant.principal == DEPLOYER)
    other = scene.reopened()
    progress = iter([lambda: revoke_grant(other, ADMIN, held.id, "changed their mind")])
    with pytest.raises(DeniedError):
        publish(scene.vault, scene.offer(TWO), lambda done: next(progress, lambda: None)())
    assert TWO not in scene.authority.versions
    assert scene.objects_of(TWO) == []


# One person alone


def test_alone_until_there_is_a_second_person() -> None:
    scene = solo()
    publish(scene.vault, scene.offer(ONE, by=ADMIN))
    approve(scene.vault, ADMIN, ONE)
    assert scene.events[-1].rule.startswith("solo-")
    publish(scene.vault, scene.offer(TWO, by=ADMIN))
    add_identity(scene.vault, ADMIN, REVIEWER, 7)
    grant(scene.vault, ADMIN, Wish(REVIEWER, Role.REVIEWER, "*", DAY, "a second person"))
    with pytest.raises(DeniedError, match="nobody-approves-their-own"):
        approve(scene.vault, ADMIN, TWO)
    approve(scene.vault, REVIEWER, TWO)
    revoke_identity(scene.vault, ADMIN, REVIEWER, "left again")
    with pytest.raises(DeniedError):
        publish(scene.vault, scene.offer(ModelId.parse("fraud@1.2.0"), by=ADMIN))


def test_without_solo_the_founder_approves_nothing() -> None:
    scene = furnished()
    publish(scene.vault, scene.offer(TWO, by=ADMIN))
    with pytest.raises(DeniedError):
        approve(scene.vault, ADMIN, TWO)


# Names


def test_names_never_come_back() -> None:
    scene = furnished()
    revoke_identity(scene.vault, ADMIN, REVIEWER, "left")
    with pytest.raises(InvalidError, match="exists already"):
        add_identity(scene.vault, ADMIN, REVIEWER, 7)
    revoke_version(scene.vault, OWNER, ONE, "leaked")
    with pytest.raises(StrongroomError, match=r"fraud@1\.0\.0"):
        publish(scene.vault, scene.offer(ONE))
    for withdraw in (retire, revoke_version):
        with pytest.raises(InvalidError, match="is revoked already"):
            withdraw(scene.vault, OWNER, ONE, "again")
    with pytest.raises(InvalidError, match="not waiting for approval"):
        approve(scene.vault, _new_reviewer(scene), ONE)


def _new_reviewer(scene: Scene) -> str:
    add_identity(scene.vault, ADMIN, "ruth", 7)
    grant(scene.vault, ADMIN, Wish("ruth", Role.REVIEWER, "*", DAY, "the next one"))
    return "ruth"


@pytest.mark.parametrize("bad", ["*x", "Fraud", "fraud@", "fraud@1", "../x", "a b", ""])
def test_a_grant_on_no_resource_is_a_wrong_input(bad: str) -> None:
    scene = furnished()
    size = scene.authority.size
    with pytest.raises(InvalidError):
        grant(scene.vault, ADMIN, Wish(STRANGER, Role.AUDITOR, bad, DAY, "a typo"))
    assert scene.authority.size == size


@pytest.mark.parametrize("days", [0, -1, 367, 10**6])
def test_every_grant_ends(days: int) -> None:
    scene = furnished()
    with pytest.raises(InvalidError):
        grant(scene.vault, ADMIN, Wish(STRANGER, Role.AUDITOR, "*", timedelta(days=days), "too much"))


@pytest.mark.parametrize("reason", ["", "x" * 501, "two\nlines", "\x1b[2J"])
def test_a_reason_is_one_printable_line(reason: str) -> None:
    scene = furnished()
    for act in (
        lambda: grant(scene.vault, ADMIN, Wish(STRANGER, Role.AUDITOR, "*", DAY, reason)),
        lambda: retire(scene.vault, OPERATOR, ONE, reason),
        lambda: revoke_identity(scene.vault, ADMIN, REVIEWER, reason),
    ):
        with pytest.raises(InvalidError, match="reason"):
            act()


# Asking first


@pytest.mark.parametrize(
    ("who", "action", "resource", "allowed"),
    [
        (DEPLOYER, Action.PUBLISH, "fraud@3.0.0", True),
        (DEPLOYER, Action.PUBLISH, str(ONE), False),
        (REVIEWER, Action.APPROVE, str(ONE), True),
        (DEPLOYER, Action.APPROVE, str(ONE), False),
        (ADMIN, Action.DELETE, str(ONE), False),
        ("nobody", Action.LIST, "*", False),
    ],
)
def test_can_answers_as_the_flows_would_and_records_nothing(
    who: str, action: Action, resource: str, allowed: bool
) -> None:
    scene = furnished()
    size = len(scene.events)
    assert can(scene.vault, who, action, resource).allowed is allowed
    assert len(scene.events) == size

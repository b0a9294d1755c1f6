"""The fold: what a log gives, and every way to make it give more."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID

from strongroom.errors import DeniedError, InvalidError, RejectedError
from strongroom.trust.approvals import build_approval
from strongroom.trust.authority import Authority
from strongroom.trust.events import Event
from strongroom.trust.grants import GRANT_TYPE, Grant
from strongroom.trust.signatures import PublicKey
from strongroom.values import Digest, ModelId, Role, State, format_time
from tests.unit.trust.world import MANIFEST, MODEL, STATEMENT, Ca, World, founded, pem_of, peopled, sign

OTHER = Digest.of(b"other")
LATER = ModelId.parse("fraud@1.1.0")


def refuse(world: World, event: Event, match: str) -> None:
    """The fold refuses ``event``, names its index, and stays as it was."""
    before = world.authority
    with pytest.raises(RejectedError, match=match) as caught:
        before.apply(event, before.size)
    assert caught.value.message.startswith(f"log record {before.size}: ")
    assert world.authority is before


def published() -> World:
    world = peopled()
    world.do(world.publish())
    return world


def approved() -> World:
    world = published()
    world.do(world.approve())
    return world


# What a log gives


def test_a_home_from_first_admin_to_approval() -> None:
    world = approved()
    authority = world.authority
    assert set(authority.identities) == {"root", "dora", "rita", "olga"}
    assert [grant.role for grant in authority.grants_of("rita", world.now)] == [Role.REVIEWER]
    version = authority.versions[MODEL]
    assert (version.state, version.publisher, version.owner) == (State.APPROVED, "dora", "olga")
    (approval,) = authority.require_approved(MODEL, MANIFEST, STATEMENT)
    assert (approval.approver, approval.log_index) == ("rita", authority.size - 1)


def test_replay_gives_what_the_steps_gave() -> None:
    world = approved()
    assert Authority.replay(world.events) == world.authority
    assert Authority.replay(Event.parse(event.to_bytes()) for event in world.events) == world.authority


def test_apply_changes_nothing_in_place() -> None:
    world = peopled()
    before, versions = world.authority, dict(world.authority.versions)
    after = before.apply(world.publish(), before.size)
    assert dict(before.versions) == versions
    assert MODEL in after.versions


@pytest.mark.parametrize("decision", ["deny", "reject", "outage"])
def test_only_allowed_events_change_anything(decision: str) -> None:
    world = peopled()
    before = world.authority
    after = before.apply(_as(world.publish(), decision), before.size)
    assert after == replace(before, size=after.size, last_time=after.last_time)


def _as(event: Event, decision: str) -> Event:
    return replace(event, decision=decision)


def test_events_that_are_not_about_rights_change_nothing() -> None:
    world = peopled()
    before = world.authority
    after = before.apply(world.event("olga", "verify", {"anything": [1]}), before.size)
    assert after == replace(before, size=after.size, last_time=after.last_time)


def test_every_record_may_say_where_it_came_from() -> None:
    world = peopled()
    event = world.publish(origin="host tty")
    assert MODEL in world.authority.apply(event, world.authority.size).versions


# Order


def test_a_record_left_out_is_noticed() -> None:
    world = approved()
    with pytest.raises(RejectedError, match="log record 5: is not the next one, which is 4"):
        Authority.replay(world.events[:4]).apply(world.events[5], 5)


def test_a_record_repeated_is_noticed() -> None:
    world = published()
    with pytest.raises(RejectedError, match="not the next"):
        world.authority.apply(world.events[-1], world.authority.size - 1)
    refuse(world, world.events[-1], "exists; versions never change")


def test_a_log_without_its_beginning_is_refused() -> None:
    world = peopled()
    with pytest.raises(RejectedError, match="begins with init"):
        Authority().apply(world.events[1], 0)
    with pytest.raises(RejectedError, match="begins with init"):
        Authority().apply(replace(world.events[0], decision="deny"), 0)


def test_a_second_init_does_not_take_over() -> None:
    world = peopled()
    refuse(world, world.init(solo=True), "begins once")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("trust_domain", "UPPER"), ("ca_pem", "no"), ("log_public_pem", "no"), ("log_origin", ""),
        ("solo", 1), ("extra", "x"), ("trust_domain", None), ("trust_domain", "a\nb"),
    ],
)  # fmt: skip
def test_a_malformed_init(field: str, value: object) -> None:
    world = World()
    refuse(world, world.init(**{field: value}), "init")


def test_init_with_a_log_key_of_another_kind() -> None:
    world = World()
    key = ec.generate_private_key(ec.SECP256R1())
    refuse(world, world.init(log_public_pem=pem_of(key)), "not ed25519")


def test_init_with_a_leaf_instead_of_a_ca() -> None:
    world = World()
    leaf = world.ca.issue("root", world.key("root"))["certificate_pem"]
    refuse(world, world.init(ca_pem=leaf), "ca")


# Time


def test_a_grant_ends_to_the_microsecond() -> None:
    world = peopled()
    (grant,) = world.authority.grants_of("dora", world.now)
    assert world.authority.grants_of("dora", grant.end - timedelta(microseconds=1)) == (grant,)
    assert world.authority.grants_of("dora", grant.end) == ()


def test_a_clock_set_back_does_not_revive_a_grant() -> None:
    world = peopled()
    (grant,) = world.authority.grants_of("dora", world.now)
    world.now = grant.end
    world.do(world.event("olga", "verify", {}))
    assert world.authority.grants_of("dora", grant.start) == ()
    assert world.authority.moment(grant.start) == grant.end
    assert world.authority.moment(grant.end + timedelta(hours=1)) == grant.end + timedelta(hours=1)


def test_an_event_dated_back_does_not_use_an_ended_grant() -> None:
    world = published()
    (grant,) = world.authority.grants_of("rita", world.now)
    back = world.now
    world.now = grant.end
    world.do(world.event("olga", "verify", {}))
    world.now = back
    refuse(world, world.approve(), "was not reviewer")


def test_a_grant_that_has_not_started_gives_nothing_yet() -> None:
    world = peopled()
    start = world.now + timedelta(days=1)
    world.do(world.grant(world.made_grant("dora", Role.OPERATOR, start=start, end=start + timedelta(days=1))))
    assert len(world.authority.grants_of("dora", world.now)) == 1
    assert len(world.authority.grants_of("dora", start)) == 2


# Identities


@pytest.mark.parametrize(
    ("field", "value"),
    [("name", "mall"), ("serial", "1"), ("serial", "00"), ("not_after", "2027-01-01T00:00:00.000000Z")],
)
def test_a_certificate_other_than_the_record_says(field: str, value: str) -> None:
    world = founded()
    event = world.add("mallory")
    detail = dict(event.detail or {}) | {field: value}
    refuse(world, world.event("root", "add-identity", detail), "another than the record says")


def test_a_certificate_of_another_ca_with_the_same_name() -> None:
    world = founded()
    foreign = Ca().issue("mallory", world.key("mallory"))
    refuse(world, world.event("root", "add-identity", foreign), "does not lead to this CA")


@pytest.mark.parametrize(
    "issue",
    [
        {"domain": "evil.test"},
        {"usage": ExtendedKeyUsageOID.SERVER_AUTH},
        {"end": datetime(2026, 2, 28, 13, tzinfo=UTC)},
        {"start": datetime(2026, 3, 2, 13, tzinfo=UTC)},
    ],
    ids=["foreign trust domain", "server certificate", "expired", "not yet valid"],
)
def test_a_certificate_that_is_no_identity(issue: dict[str, Any]) -> None:
    world = founded()
    refuse(world, world.add("mallory", **issue), "certificate")


def test_a_name_is_given_once() -> None:
    world = peopled()
    refuse(world, world.add("rita"), "exists or existed")
    world.do(revocation(world, "rita"))
    refuse(world, world.add("rita"), "exists or existed")


def test_a_certificate_is_recorded_once() -> None:
    world = peopled()
    event = world.events[3]
    assert event.action == "add-identity"
    refuse(world, replace(event, action="renew-identity", time=world.now), "used twice")


def test_only_who_is_there_is_renewed() -> None:
    world = peopled()
    renewal = world.event("root", "renew-identity", world.ca.issue("nobody", world.key("nobody")))
    refuse(world, renewal, "no identity")


def test_both_certificates_count_while_both_are_valid() -> None:
    world = peopled()
    old = world.keys["rita"]
    world.keys["rita"] = ec.generate_private_key(ec.SECP256R1())
    world.do(world.event("root", "renew-identity", world.ca.issue("rita", world.keys["rita"])))
    identity = world.authority.identities["rita"]
    assert len(identity.valid_serials(world.now)) == 2
    assert {key.key_id for key in identity.keys(world.now)} == {
        PublicKey.from_pem(pem_of(key)).key_id for key in (old, world.keys["rita"])
    }
    world.do(world.publish())
    world.do(world.approve())


def revocation(world: World, name: str, serials: list[Any] | None = None) -> Event:
    known = [one.serial for one in world.authority.identities[name].credentials]
    return world.event(
        "root", "revoke-identity", {"name": name, "serials": known if serials is None else serials}
    )


def test_a_revoked_identity_has_nothing_left() -> None:
    world = published()
    world.do(revocation(world, "rita"))
    identity = world.authority.identities["rita"]
    assert identity.revoked
    assert identity.valid_serials(world.now) == ()
    assert world.authority.grants_of("rita", world.now) == ()
    refuse(world, world.approve(), "no identity, or revoked")
    refuse(world, revocation(world, "rita"), "no identity, or revoked")
    renewal = world.event("root", "renew-identity", world.ca.issue("rita", world.key("rita")))
    refuse(world, renewal, "no identity, or revoked")
    refuse(world, world.grant(world.made_grant("rita", Role.OWNER)), "no identity, or revoked")


def test_a_revocation_that_leaves_a_certificate_out() -> None:
    world = peopled()
    refuse(world, revocation(world, "rita", []), "valid certificate that is not listed")
    refuse(world, revocation(world, "rita", ["1"]), "no such certificate")
    refuse(world, revocation(world, "rita", [7]), "no such certificate")
    refuse(world, revocation(world, "rita", [{}]), "no such certificate")


@pytest.mark.parametrize(
    "action", ["publish", "grant", "retire", "add-identity", "rotate-key", "revoke-key", "configure"]
)
def test_nobody_unknown_acts(action: str) -> None:
    world = published()
    refuse(world, world.event("mallory", action, {}), "no identity, or revoked")


# Grants


def test_the_first_identity_grants_itself_roles_only_while_it_is_the_only_one() -> None:
    world = founded()
    world.do(world.grant(world.made_grant("root", Role.OWNER)))
    world.do(world.add("dora"))
    refuse(world, world.grant(world.made_grant("root", Role.DEPLOYER)), "nobody edits their own grants")


def test_the_second_identity_grants_nothing_without_being_admin() -> None:
    world = founded()
    world.do(world.add("mallory"))
    grant = world.made_grant("root", Role.OWNER, granted_by="mallory")
    refuse(world, world.grant(grant), "was not admin")


def test_an_admin_of_one_family_grants_there_only() -> None:
    world = peopled()
    world.do(world.grant(world.made_grant("olga", Role.ADMIN, "fraud")))
    world.do(world.grant(world.made_grant("dora", Role.OWNER, "fraud@1.0.0", granted_by="olga")))
    for resource in ("*", "fraud2", "churn@1.0.0"):
        grant = world.made_grant("dora", Role.OWNER, resource, granted_by="olga")
        refuse(world, world.grant(grant), "was not admin")


def test_an_admin_whose_grant_ended_grants_nothing() -> None:
    world = founded()
    world.do(world.add("dora"))
    world.now += timedelta(days=300)
    refuse(world, world.grant(world.made_grant("dora", Role.OWNER)), "was not admin")


def test_a_grant_signed_by_somebody_else() -> None:
    world = peopled()
    refuse(world, world.grant(world.made_grant("dora", Role.ADMIN), signer="dora"), "not trusted")


def test_a_grant_recorded_by_somebody_else() -> None:
    world = peopled()
    refuse(
        world, world.grant(world.made_grant("dora", Role.ADMIN), actor="dora"), "another than who recorded"
    )


def test_a_grant_whose_signature_is_for_another_one() -> None:
    world = peopled()
    signed = world.made_grant("dora", Role.CONSUMER)
    wanted = replace(signed, role=Role.ADMIN)
    event = world.grant(signed)
    detail = dict(event.detail or {}) | {"grant": wanted.to_json()}
    refuse(world, world.event("root", "grant", detail), "signed something else")


def test_a_signature_for_another_purpose_is_no_grant() -> None:
    world = peopled()
    grant = world.made_grant("dora", Role.ADMIN)
    envelope = sign(world.key("root"), "application/vnd.in-toto+json", grant.to_bytes())
    event = world.event("root", "grant", {"grant": grant.to_json(), "envelope": envelope})
    refuse(world, event, "payload type")


def test_a_grant_cannot_be_recorded_twice() -> None:
    world = peopled()
    event = world.events[-1]
    refuse(world, replace(event, time=world.now), "used twice")


def test_a_grant_signed_with_a_certificate_that_has_expired() -> None:
    world = founded()
    world.do(world.add("ada", end=world.now + timedelta(hours=1)))
    world.do(world.grant(world.made_grant("ada", Role.ADMIN)))
    world.now += timedelta(hours=2)
    refuse(world, world.grant(world.made_grant("root", Role.OWNER, granted_by="ada")), "not trusted")


def test_a_grant_to_nobody_waits_for_no_one() -> None:
    world = founded()
    refuse(world, world.grant(world.made_grant("later", Role.ADMIN)), "no identity")


def test_a_revoked_grant_gives_nothing() -> None:
    world = peopled()
    (grant,) = world.authority.grants_of("rita", world.now)
    world.do(world.event("root", "revoke-grant", {"id": grant.id}))
    assert world.authority.grants_of("rita", world.now) == ()
    refuse(world, world.event("root", "revoke-grant", {"id": grant.id}), "revoked already")


def test_nobody_revokes_their_own_grant_or_one_that_is_not_there() -> None:
    world = peopled()
    (grant,) = world.authority.grants_of("root", world.now)
    refuse(world, world.event("root", "revoke-grant", {"id": grant.id}), "nobody edits their own")
    refuse(world, world.event("root", "revoke-grant", {"id": "g-" + "0" * 32}), "is no grant")
    refuse(world, world.event("root", "revoke-grant", {"id": 7}), "not of type str")


def test_when_the_last_admin_ends_is_known() -> None:
    world = peopled()
    (grant,) = world.authority.grants_of("root", world.now)
    assert world.authority.last_admin_end(world.now) == grant.end
    assert world.authority.last_admin_end(grant.end) is None
    world.do(world.grant(world.made_grant("olga", Role.ADMIN, "fraud")))
    assert world.authority.last_admin_end(grant.end - timedelta(days=290)) == grant.end


# One person alone


def test_solo_lets_one_person_do_it_all_and_names_it() -> None:
    world = founded(solo=True)
    for role in (Role.DEPLOYER, Role.REVIEWER):
        world.do(world.grant(world.made_grant("root", role)))
    world.do(world.add("app"))
    world.do(world.grant(world.made_grant("app", Role.CONSUMER, "fraud")))
    world.do(world.grant(world.made_grant("root", Role.OWNER), rule="solo-edits-own-grants"))
    world.do(world.publish("root"))
    refuse(world, world.approve("root", rule="reviewer-approves"), "nobody approves what they published")
    world.do(world.approve("root", rule="solo-approves-own"))
    assert world.authority.versions[MODEL].state is State.APPROVED
    assert world.authority.solo


@pytest.mark.parametrize("role", [Role.REVIEWER, Role.ADMIN])
def test_solo_ends_for_good_with_a_second_person(role: Role) -> None:
    world = founded(solo=True)
    world.do(world.grant(world.made_grant("root", Role.REVIEWER)))
    world.do(world.add("rita"))
    assert world.authority.solo
    grant = world.made_grant("rita", role, end=world.now + timedelta(minutes=2))
    world.do(world.grant(grant))
    assert not world.authority.solo
    assert world.authority.insecure_solo
    world.now += timedelta(days=1)
    world.do(world.publish("root"))
    refuse(world, world.approve("root", rule="solo-approves-own"), "nobody approves what they published")
    own = world.made_grant("root", Role.OWNER)
    refuse(world, world.grant(own, rule="solo-edits-own-grants"), "nobody edits their own grants")


def test_a_rule_that_says_solo_does_not_make_it_so() -> None:
    world = founded()
    world.do(world.grant(world.made_grant("root", Role.REVIEWER)))
    world.do(world.add("dora"))
    world.do(world.publish("root"))
    refuse(world, world.approve("root", rule="solo-approves-own"), "nobody approves what they published")


# Versions


def test_a_version_is_published_once() -> None:
    world = published()
    refuse(world, world.publish(manifest=str(OTHER)), "versions never change")


def test_a_publisher_speaks_for_themselves() -> None:
    world = peopled()
    detail = dict(world.publish().detail or {}) | {"publisher": "olga"}
    refuse(world, world.event("dora", "publish", detail), "another than who recorded")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("model", "fraud"), ("model", "Fraud@1.0.0"), ("manifest", "sha256:00"), ("statement", ""),
        ("owner", "*"), ("owner", None), ("more", "x"),
    ],
)  # fmt: skip
def test_a_malformed_publication(field: str, value: object) -> None:
    world = peopled()
    refuse(world, world.publish(**{field: value}), "publish")


def test_nobody_approves_what_they_published_whatever_their_roles() -> None:
    world = peopled()
    world.do(world.publish("rita"))
    refuse(world, world.approve("rita"), "nobody approves what they published")


def test_an_approval_by_somebody_who_is_not_reviewer() -> None:
    world = published()
    for name in ("olga", "root"):
        refuse(world, world.approve(name), "was not reviewer")


def test_a_reviewer_of_another_family_or_of_the_version_before() -> None:
    world = peopled()
    for name, resource in (("rolf", "fraud2"), ("rosa", "fraud@1.0.0")):
        world.do(world.add(name))
        world.do(world.grant(world.made_grant(name, Role.REVIEWER, resource)))
    world.do(world.publish(model=LATER))
    for name in ("rolf", "rosa"):
        refuse(world, world.approve(name, LATER), "was not reviewer")


def test_an_approval_signed_by_the_publisher_in_the_reviewers_name() -> None:
    world = published()
    refuse(world, world.approve("rita", signer="dora"), "not trusted")


@pytest.mark.parametrize("changed", [{"manifest": OTHER}, {"statement": OTHER}])
def test_approve_then_swap(changed: dict[str, Digest]) -> None:
    world = published()
    refuse(world, world.approve(**changed), "other bytes")


def _payload(world: World, *values: Any) -> bytes:
    defaults = [MODEL, MANIFEST, STATEMENT, "rita", world.now]
    return build_approval(
        *[new if new is not None else old for new, old in zip(values, defaults, strict=True)]
    )


@pytest.mark.parametrize(
    "values",
    [
        (LATER, None, None, None, None),
        (None, OTHER, None, None, None),
        (None, None, OTHER, None, None),
        (None, None, None, "dora", None),
        (None, None, None, None, datetime(2026, 1, 1, tzinfo=UTC)),
        (None, None, None, None, datetime(2027, 1, 1, tzinfo=UTC)),
    ],
    ids=[
        "model",
        "manifest",
        "statement",
        "approver",
        "signed before it was published",
        "signed in the future",
    ],
)
def test_an_approval_signed_for_something_else(values: tuple[Any, ...]) -> None:
    world = published()
    refuse(world, world.approve(payload=_payload(world, *values)), "signed for something else")


def test_a_grant_signature_is_no_approval() -> None:
    world = published()
    refuse(world, world.approve(payload_type=GRANT_TYPE), "payload type")


@pytest.mark.parametrize("payload", [b"{}", b"[]", b"", b'{"a":1}', b"\xff", b"{" * 5000])
def test_an_approval_that_is_not_one(payload: bytes) -> None:
    world = published()
    refuse(world, world.approve(payload=payload), "approve")


def test_a_second_reviewer_may_approve_too_but_nobody_twice() -> None:
    world = approved()
    refuse(world, world.approve(), "has the approval of rita already")
    world.do(world.add("rosa"))
    world.do(world.grant(world.made_grant("rosa", Role.REVIEWER, "fraud")))
    world.do(world.approve("rosa"))
    approvals = world.authority.require_approved(MODEL, MANIFEST, STATEMENT)
    assert [approval.approver for approval in approvals] == ["rita", "rosa"]


@pytest.mark.parametrize("first", ["retire", "revoke"])
def test_what_was_withdrawn_never_becomes_approved_again(first: str) -> None:
    world = approved()
    world.do(world.add("rosa"))
    world.do(world.grant(world.made_grant("rosa", Role.REVIEWER, "fraud")))
    world.do(world.take(first))
    refuse(world, world.approve("rosa"), "cannot be approved")
    refuse(world, world.publish(), "versions never change")
    refuse(world, world.take("retire"), "cannot become retired")


def test_a_retired_version_can_still_be_revoked_but_not_the_other_way_round() -> None:
    world = approved()
    world.do(world.take("retire"))
    world.do(world.take("revoke"))
    assert world.authority.versions[MODEL].state is State.REVOKED
    refuse(world, world.take("revoke"), "cannot become revoked")


def test_what_is_not_there_is_neither_approved_nor_withdrawn() -> None:
    world = peopled()
    refuse(world, world.approve(), "no such version")
    refuse(world, world.take("revoke"), "no such version")


def test_require_approved_says_why_not() -> None:
    world = peopled()
    with pytest.raises(RejectedError, match="knows no such version"):
        world.authority.require_approved(MODEL, MANIFEST, STATEMENT)
    world.do(world.publish())
    with pytest.raises(DeniedError, match="is published, not approved"):
        world.authority.require_approved(MODEL, MANIFEST, STATEMENT)
    world.do(world.approve())
    for digests in ((OTHER, STATEMENT), (MANIFEST, OTHER)):
        with pytest.raises(RejectedError, match="differs from what was published"):
            world.authority.require_approved(MODEL, *digests)
    retired = world.authority.apply(world.take("retire"), world.authority.size)
    with pytest.raises(DeniedError, match="is retired"):
        retired.require_approved(MODEL, MANIFEST, STATEMENT)
    world.do(world.take("revoke"))
    with pytest.raises(RejectedError, match="is revoked"):
        world.authority.require_approved(MODEL, MANIFEST, STATEMENT)


def test_require_version() -> None:
    world = published()
    assert world.authority.require_version(MODEL).publisher == "dora"
    with pytest.raises(InvalidError, match="no such version"):
        world.authority.require_version(LATER)


# Signing keys


def rotation(world: World, key: Any, **changed: Any) -> Event:
    public = PublicKey.from_pem(pem_of(key))
    value = {
        "key_id": public.key_id,
        "algorithm": str(public.algorithm),
        "public_pem": public.pem.decode(),
        "not_before": format_time(world.now),
        "not_after": None,
    }
    detail = {"kind": "signing", "key": value | changed}
    return world.event("root", "rotate-key", detail, subject="file:sign/2")


def test_a_rotation_ends_the_key_before() -> None:
    world = peopled()
    first, second = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    at_first = world.now
    world.do(rotation(world, first))
    at_second = world.now
    world.do(rotation(world, second))
    history = world.authority.key_history
    old, new = (PublicKey.from_pem(pem_of(key)).key_id for key in (first, second))
    history.require_valid(old, at_first)
    history.require_valid(new, at_second)
    for key_id, at in ((old, at_second), (new, at_first)):
        with pytest.raises(RejectedError):
            history.require_valid(key_id, at)
    refuse(world, rotation(world, first), "twice")


@pytest.mark.parametrize("action", ["rotate-key", "revoke-key", "configure"])
def test_signing_key_changed_by_someone_who_is_no_admin(action: str) -> None:
    world = peopled()
    key = ec.generate_private_key(ec.SECP256R1())
    world.do(rotation(world, key))
    detail = {"key_id": PublicKey.from_pem(pem_of(key)).key_id, "at": format_time(world.now)}
    if action == "rotate-key":
        detail = dict(rotation(world, ec.generate_private_key(ec.SECP256R1())).detail or {})
    refuse(world, world.event("rita", action, detail), "was not admin")


def test_a_rotation_dated_back_does_not_end_the_key_before_it_was_recorded() -> None:
    world = peopled()
    first, second = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    world.do(rotation(world, first))
    used = world.now
    world.now += timedelta(days=1)
    world.do(rotation(world, second, not_before=format_time(used - timedelta(days=1))))
    world.authority.key_history.require_valid(PublicKey.from_pem(pem_of(first)).key_id, used)


@pytest.mark.parametrize(
    "changed",
    [
        {"key_id": "0" * 64}, {"algorithm": "rsa"}, {"public_pem": "x"}, {"not_before": "now"}, {"more": 1},
        {"not_after": 7}, {"not_after": "2026-01-01T00:00:00.000000Z"}, {"revoked_at": None},
    ],
)  # fmt: skip
def test_a_malformed_signing_key(changed: dict[str, Any]) -> None:
    world = peopled()
    refuse(world, rotation(world, ec.generate_private_key(ec.SECP256R1()), **changed), "rotate-key")


def test_a_rotation_says_where_the_new_signing_key_is_kept() -> None:
    world = peopled()
    world.do(rotation(world, ec.generate_private_key(ec.SECP256R1())))
    assert world.authority.signing_key == "file:sign/2"


# Key-encryption keys


def family_rotation(world: World, kind: str = "family", actor: str = "root", **changed: Any) -> Event:
    key = {"family": "fraud", "uri": "vault:fraud", "version": 1}
    return world.event(actor, "rotate-key", {"kind": kind, "key": key | changed})


def test_a_family_without_a_record_has_the_key_of_the_keystore() -> None:
    authority = peopled().authority
    assert authority.family_key("fraud") == "file:kek/fraud"
    assert authority.opening_keys("fraud") == ("file:kek/fraud",)


def test_both_keys_open_until_a_rotation_is_settled() -> None:
    world = peopled()
    world.do(family_rotation(world))
    assert world.authority.family_key("fraud") == "vault:fraud"
    assert world.authority.opening_keys("fraud") == ("vault:fraud", "file:kek/fraud")
    refuse(world, family_rotation(world, "settled", version=2), "another key")
    world.do(family_rotation(world, "settled"))
    assert world.authority.opening_keys("fraud") == ("vault:fraud",)
    assert world.authority.family_key("credit") == "file:kek/credit"


def test_a_key_version_that_was_superseded_does_not_come_back() -> None:
    world = peopled()
    world.do(family_rotation(world, version=3))
    refuse(world, family_rotation(world, version=3), "already")
    refuse(world, family_rotation(world, version=2), "already")


@pytest.mark.parametrize(
    "changed",
    [{"version": 0}, {"version": True}, {"version": "1"}, {"uri": "no uri"}, {"family": "F"}, {"more": 1}],
    ids=repr,
)
@pytest.mark.parametrize("kind", ["family", "settled"])
def test_malformed_rotation_of_a_family(kind: str, changed: dict[str, Any]) -> None:
    world = peopled()
    world.do(family_rotation(world))
    with pytest.raises(RejectedError):
        world.do(family_rotation(world, kind, **{"version": 2, **changed}))


@pytest.mark.parametrize("kind", ["family", "settled"])
def test_a_family_s_key_changed_by_someone_who_is_no_admin(kind: str) -> None:
    world = peopled()
    refuse(world, family_rotation(world, kind, actor="rita"), "was not admin")


def test_kinds_of_key_that_nobody_rotates() -> None:
    world = peopled()
    refuse(world, family_rotation(world, "kek"), "no kind of key")


def test_the_key_of_a_family_is_bound_once_and_before_its_first_version() -> None:
    world = peopled()
    bind = {"family": "credit", "uri": "vault:credit"}
    world.do(world.event("dora", "bind-key", bind))
    assert world.authority.family_key("credit") == "vault:credit"
    refuse(world, world.event("dora", "bind-key", bind | {"uri": "file:kek/other"}), "has a key")
    world = published()
    refuse(world, world.event("dora", "bind-key", {"family": MODEL.family, "uri": "vault:x"}), "has a key")


def test_a_revoked_key_fails_from_the_time_it_was_lost() -> None:
    world = peopled()
    key = ec.generate_private_key(ec.SECP256R1())
    key_id = PublicKey.from_pem(pem_of(key)).key_id
    start = world.now
    world.do(rotation(world, key))
    lost = start + timedelta(days=1)
    world.now = start + timedelta(days=2)
    detail = {"key_id": key_id, "at": format_time(lost)}
    world.do(world.event("root", "revoke-key", detail))
    world.authority.key_history.require_valid(key_id, lost - timedelta(microseconds=1))
    with pytest.raises(RejectedError, match="revoked"):
        world.authority.key_history.require_valid(key_id, lost)
    detail["at"] = format_time(world.now + timedelta(microseconds=1))
    refuse(world, world.event("root", "revoke-key", detail), "from now or from a past time")
    refuse(
        world,
        world.event("root", "revoke-key", detail | {"key_id": "0" * 64, "at": format_time(lost)}),
        "known",
    )


# Journals

JOURNAL = "00ff" * 8


def opening(world: World, name: str = JOURNAL, key: Any = None) -> Event:
    public = pem_of(key or ed25519.Ed25519PrivateKey.generate())
    return world.event("root", "journal-open", {"journal": name, "public_pem": public})


def fold(world: World, first: Any, last: Any, **changed: Any) -> Event:
    detail = {"journal": JOURNAL, "first": first, "last": last, "root": "00" * 32, "size": 1}
    return world.event("root", "fold", detail | changed)


def test_batches_are_folded_once_and_without_a_gap() -> None:
    world = peopled()
    refuse(world, fold(world, 0, 3), "no journal that was opened")
    world.do(opening(world))
    refuse(world, fold(world, 2, 3), "with a gap or twice")
    world.do(fold(world, 0, 3))
    for first in (0, 3, 5, -1):
        refuse(world, fold(world, first, 9), "with a gap or twice")
    refuse(world, fold(world, 4, 3), "with a gap or twice")
    refuse(world, fold(world, True, 4), "not of type int")
    world.do(fold(world, 4, 4))
    assert world.authority.journals[JOURNAL].folded == 4


def test_a_journal_keeps_its_key() -> None:
    world = peopled()
    world.do(opening(world))
    refuse(world, opening(world), "taken")
    refuse(world, opening(world, "short"), "no journal name")
    refuse(world, opening(world, "11" * 16, ec.generate_private_key(ec.SECP256R1())), "not ed25519")


# What gateways are told


def test_a_snapshot_says_who_may_still_log_in() -> None:
    world = peopled()
    world.do(world.add("app", end=world.now + timedelta(days=1)))
    (grant,) = world.authority.grants_of("rita", world.now)
    world.do(revocation(world, "rita"))
    snapshot = world.authority.to_snapshot(world.now)
    identities = {one["name"]: one for one in snapshot["identities"]}
    serials = [one.serial for one in world.authority.identities["app"].credentials]
    assert identities["app"] == {"name": "app", "serials": serials, "revoked": False}
    assert identities["rita"] == {"name": "rita", "serials": [], "revoked": True}
    ids = {Grant.from_json(value).id for value in snapshot["grants"]}
    assert grant.id not in ids
    assert len(ids) == 3
    assert snapshot["solo"] is False
    later = world.authority.to_snapshot(world.now + timedelta(days=31))
    assert {one["name"]: one["serials"] for one in later["identities"]}["app"] == []
    assert [value["principal"] for value in later["grants"]] == ["root"]


def test_a_snapshot_names_grants_to_come_but_none_that_was_revoked() -> None:
    world = peopled()
    (grant,) = world.authority.grants_of("dora", world.now)
    world.do(world.event("root", "revoke-grant", {"id": grant.id}))
    start = world.now + timedelta(days=5)
    coming = world.made_grant("dora", Role.OPERATOR, start=start, end=start + timedelta(days=1))
    world.do(world.grant(coming))
    held = [value["id"] for value in world.authority.to_snapshot(world.now)["grants"]]
    assert coming.id in held
    assert grant.id not in held


@pytest.mark.parametrize("action", ["add-identity", "grant", "approve", "revoke-key", "journal-open", "fold"])
@pytest.mark.parametrize("spoil", [lambda d: d | {"x": 1}, lambda d: dict(list(d.items())[1:])])
def test_fields_unknown_or_missing(action: str, spoil: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    world = published()
    good = {
        "add-identity": lambda: world.add("mallory"),
        "grant": lambda: world.grant(world.made_grant("dora", Role.OWNER)),
        "approve": world.approve,
        "revoke-key": lambda: world.event("root", "revoke-key", {"key_id": "0", "at": "0"}),
        "journal-open": lambda: opening(world),
        "fold": lambda: fold(world, 0, 0),
    }[action]()
    refuse(world, world.event(good.actor, action, spoil(dict(good.detail or {}))), "missing or unknown")


# Settings


def test_what_was_set_for_the_home_is_remembered_and_replaced_whole() -> None:
    world = peopled()
    for digest in ("sha256:1", "sha256:2"):
        world.do(world.event("root", "configure", {"setting": "osv-database", "value": {"digest": digest}}))
        assert world.authority.settings == {"osv-database": {"digest": digest}}


def test_a_setting_that_nobody_knows() -> None:
    world = peopled()
    detail = {"setting": "trust-everybody", "value": {}}
    refuse(world, world.event("root", "configure", detail), "no setting that is recorded")
    refuse(world, world.event("root", "configure", {"setting": "osv-database"}), "missing or unknown")

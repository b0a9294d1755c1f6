"""The revocation list: one spelling, one signer, a growing number; and its age, whatever the clock says."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from strongroom import canonical
from strongroom.errors import InvalidError, RejectedError
from strongroom.trust.dsse import sign_envelope
from strongroom.trust.revocations import (
    Issue,
    RevocationList,
    RevokedIdentity,
    RevokedKey,
    Sighting,
    require_list,
    sign_list,
)
from strongroom.trust.signatures import PublicKey
from strongroom.values import ModelId, Role, State, Uptime
from tests.unit.trust.world import MODEL, World, founded, pem_of, peopled

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ORIGIN = "strongroom.test/log"
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


class Signer:
    """The log's key, or somebody's."""

    def __init__(self) -> None:
        self._key = ed25519.Ed25519PrivateKey.generate()
        self.public = PublicKey.from_pem(pem_of(self._key))
        self.key_id, self.public_pem = self.public.key_id, self.public.pem

    def sign(self, message: bytes) -> bytes:
        return self._key.sign(message)


LOG = Signer()


def made(number: int = 7, size: int = 8, at: datetime = NOW, **more: Any) -> RevocationList:
    return RevocationList(ORIGIN, Issue(number, at, 3600), size, bytes(32), **more)


FULL = made(
    models=frozenset({"churn", "fraud@1.0.0"}),
    identities=(RevokedIdentity("carol", ("1f", "ab")),),
    keys=(RevokedKey("ab" * 32, NOW),),
    grants=frozenset({"g-" + "0" * 32}),
)


class TestTheListItself:
    def test_comes_back_as_it_was_signed(self) -> None:
        assert require_list(sign_list(FULL, LOG), LOG.public, ORIGIN) == FULL

    def test_names_versions_and_whole_families_and_those_to_come(self) -> None:
        named = {name for name in ("fraud@1.0.0", "churn@9.9.9") if FULL.names(ModelId.parse(name))}
        assert named == {"fraud@1.0.0", "churn@9.9.9"}
        assert not FULL.names(ModelId.parse("fraud@1.0.1"))

    def test_forged(self) -> None:
        with pytest.raises(RejectedError, match="does not hold"):
            require_list(sign_list(FULL, Signer()), LOG.public, ORIGIN)

    def test_of_another_home(self) -> None:
        with pytest.raises(RejectedError, match="another log"):
            require_list(sign_list(FULL, LOG), LOG.public, "elsewhere/log")

    def test_something_else_that_the_same_key_signed(self) -> None:
        envelope = sign_envelope("application/x", FULL.to_payload(), LOG).to_bytes()
        with pytest.raises(RejectedError, match="payload type"):
            require_list(envelope, LOG.public, ORIGIN)

    @pytest.mark.parametrize(
        "change",
        [
            {"format": "strongroom-revocations/2"},
            {"number": 0},
            {"number": 9},
            {"number": True},
            {"max_age_s": 9},
            {"max_age_s": 10**9},
            {"models": ["fraud@1.0.0", "churn"]},
            {"models": ["Fraud"]},
            {"models": [7]},
            {"identities": [{"name": "carol"}]},
            {"identities": [{"name": "carol", "serials": ["XY"]}]},
            {"keys": [{"key_id": "ab", "since": "yesterday"}]},
            {"grants": ["g-1"]},
            {"grants": ["g-" + "0" * 32] * 50_001},
            {"log": {"size": 8, "root": "00"}},
            {"log": {"size": 8, "root": "00" * 32, "more": 1}},
            {"more": 1},
        ],
        ids=str,
    )
    def test_another_spelling(self, change: dict[str, Any]) -> None:
        value = canonical.decode(FULL.to_payload()) | change
        with pytest.raises(InvalidError):
            RevocationList.parse(canonical.encode(value))


class TestItsAge:
    """`Sighting`: what a host knows of the newest list."""

    def _seen(self, at: datetime = NOW, elapsed_ms: int = 1000) -> Sighting:
        return Sighting.of(made(), at, Uptime("a", elapsed_ms))

    def test_grows_with_the_clock_and_with_the_uptime(self) -> None:
        assert self._seen().age_s(NOW + HOUR, Uptime("a", 3_601_000)) == 3600

    @pytest.mark.parametrize("moved", [-DAY, -HOUR, timedelta()])
    def test_clock_set_back_makes_it_no_younger(self, moved: timedelta) -> None:
        assert self._seen().age_s(NOW + moved, Uptime("a", 3_601_000)) == 3600

    def test_clock_set_ahead_makes_it_old_and_back_again_not_young(self) -> None:
        seen = self._seen()
        assert seen.age_s(NOW + DAY, Uptime("a", 1000)) == 86400
        ahead = seen.moved_on(NOW + DAY, Uptime("a", 2000))
        assert ahead.age_s(NOW, Uptime("a", 3000)) >= 86400

    def test_first_seen_when_it_was_old_already(self) -> None:
        seen = self._seen(at=NOW + HOUR)
        assert seen.age_s(NOW - DAY, Uptime("a", 61_000)) == 3660

    def test_after_another_boot_the_clock_counts(self) -> None:
        assert self._seen().age_s(NOW + HOUR, Uptime("b", 0)) == 3600

    def test_after_another_boot_a_clock_behind_what_was_seen_says_nothing(self) -> None:
        seen = self._seen().moved_on(NOW + HOUR, Uptime("a", 3_601_000))
        assert seen.age_s(NOW + HOUR / 2, Uptime("b", 0)) == float("inf")

    def test_outlives_a_restart(self) -> None:
        seen = self._seen().moved_on(NOW + HOUR, Uptime("a", 3_601_000))
        again = Sighting.parse(seen.to_bytes())
        assert again == seen
        assert again.age_s(NOW - DAY, Uptime("a", 3_602_000)) == 3601
        again.moved_on(NOW, Uptime("b", 0)).to_bytes()  # infinite, and can be written all the same

    def test_time_known_never_goes_back(self) -> None:
        seen = self._seen().moved_on(NOW + HOUR, Uptime("a", 3_601_000))
        assert seen.now(NOW - DAY, Uptime("a", 3_661_000)) == NOW + HOUR + timedelta(minutes=1)
        assert seen.now(NOW - DAY, Uptime("b", 5)) == NOW + HOUR

    @pytest.mark.parametrize("sequence", [(6, 8), (7, 7), (6, 99)])
    def test_a_lower_sequence_is_refused(self, sequence: tuple[int, int]) -> None:
        with pytest.raises(RejectedError, match="this host has seen number 7 of 8"):
            self._seen().require_not_older(made(*sequence))

    def test_the_same_and_a_higher_one_are_not(self) -> None:
        for sequence in ((7, 8), (7, 9), (9, 9)):
            self._seen().require_not_older(made(*sequence))

    @pytest.mark.parametrize("text", [b"", b"{}", b"[]", b'{"boot":"a"}'])
    def test_a_damaged_mark(self, text: bytes) -> None:
        with pytest.raises(InvalidError):
            Sighting.parse(text)


def _published() -> World:
    world = peopled()
    world.do(world.publish())
    world.do(world.approve())
    return world


def _refuse(world: World, event: Any, why: str | None = None) -> None:
    with pytest.raises(RejectedError, match=why):
        world.authority.apply(event, world.authority.size)


class TestTheFold:
    def test_a_family_ends_with_its_name(self) -> None:
        world = _published()
        world.do(world.event("olga", "revoke-model", {"family": "fraud"}))
        assert world.authority.versions[MODEL].state is State.REVOKED
        _refuse(world, world.publish(model=ModelId.parse("fraud@2.0.0")), "is revoked")
        _refuse(world, world.approve(), "cannot be approved")
        _refuse(world, world.event("olga", "revoke-model", {"family": "fraud"}), "revoked already")
        kept = {"ticket": "0" * 16, "model": "fraud@2.0.0", "manifest": f"sha256:{'0' * 64}"}
        _refuse(world, world.event("dora", "quarantine", kept | {"report": kept["manifest"]}), "is revoked")

    @pytest.mark.parametrize("who", ["dora", "rita", "root", "nobody"])
    def test_only_an_owner_ends_it(self, who: str) -> None:
        world = _published()
        _refuse(world, world.event(who, "revoke-model", {"family": "fraud"}))

    def test_a_list_has_the_size_of_its_log_as_number(self) -> None:
        world = founded()
        world.do(world.event("root", "issue-revocations", {"max_age_s": 60}))
        issue = world.authority.issue
        assert issue is not None
        assert (issue.number, issue.max_age_s) == (world.authority.size, 60)
        _refuse(world, world.event("root", "issue-revocations", {"max_age_s": 5}), "max age")
        _refuse(world, world.event("root", "issue-revocations", {"max_age_s": 60, "number": 1}), "fields")

    def _asked(self) -> World:
        world = _published()
        world.do(world.add("ben"))
        world.do(world.grant(world.made_grant("ben", Role.ADMIN)))
        world.do(world.event("root", "request-shred", {"target": "fraud@1.0.0"}, reason="ended"))
        return world

    def _shred(self, world: World, actor: str = "ben", **more: Any) -> Any:
        doomed = [{"uri": "file:kek/fraud", "version": 1}]
        return world.event(actor, "shred", {"target": "fraud@1.0.0", "doomed": doomed} | more)

    def test_shredding_takes_two(self) -> None:
        world = self._asked()
        _refuse(world, self._shred(world, "root"), "nobody shreds alone")
        _refuse(world, self._shred(world, "olga"), "was not admin")
        world.do(self._shred(world))
        assert world.authority.versions[MODEL].state is State.REVOKED
        assert world.authority.is_doomed(MODEL)
        _refuse(world, self._shred(world), "confirmed already")

    @pytest.mark.parametrize(
        "doomed",
        [
            [],
            [{"uri": "file:kek/other", "version": 1}],
            [{"uri": "file:kek/fraud", "version": 1}, {"uri": "file:kek/other", "version": 1}],
            [{"uri": "file:kek/fraud", "version": 1}] * 2,
            [{"uri": "file:kek/fraud", "version": 0}],
            [{"uri": "file:kek/fraud", "version": True}],
            [{"uri": "file:kek/fraud", "version": 1}] * 17,
        ],
        ids=str,
    )
    def test_only_the_family_s_own_keys_are_doomed(self, doomed: list[Any]) -> None:
        world = self._asked()
        _refuse(world, self._shred(world, doomed=doomed))

    def test_nobody_asks_for_what_is_not_there_or_not_theirs(self) -> None:
        world = _published()
        _refuse(world, world.event("root", "request-shred", {"target": "churn"}), "no family")
        _refuse(world, world.event("root", "request-shred", {"target": "fraud@9.0.0"}), "no such version")
        _refuse(world, world.event("dora", "request-shred", {"target": "fraud"}), "neither owner nor admin")

    def test_nothing_is_shown_that_was_not_decided(self) -> None:
        world = self._asked()
        proof = {"target": "fraud@1.0.0", "attempts": 1, "refused": 1, "wrapped": f"sha256:{'0' * 64}"}
        _refuse(world, world.event("ben", "shredded", proof), "is not being shredded")
        world.do(self._shred(world))
        _refuse(world, world.event("ben", "shredded", proof | {"refused": 0}), "still opens")
        world.do(world.event("ben", "shredded", proof))
        _refuse(world, world.event("ben", "shredded", proof), "is not being shredded")

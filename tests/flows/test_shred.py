"""Shredding: two people, every copy of a key, and what else must not be touched."""

from contextlib import suppress

import pytest

from strongroom.errors import DeniedError, InvalidError, OutageError, RejectedError
from strongroom.flows import layout
from strongroom.flows.keyfile import WrappedKey, data_key_context
from strongroom.flows.publish import publish
from strongroom.flows.release import verify
from strongroom.flows.revoke import revoke_identity
from strongroom.flows.rotate import Wish, rotate_key
from strongroom.flows.shred import Shredded, request_shred, shred
from strongroom.flows.unsealing import unwrap_data_key
from strongroom.flows.vault import build_event, read_authority, record
from strongroom.trust.shreds import REQUEST_LASTS, Target
from strongroom.values import KeyUri, ModelId, State
from tests import models
from tests.flows.scene import (
    ADMIN,
    DEPLOYER,
    ONE,
    OPERATOR,
    OWNER,
    REVIEWER,
    SECOND_ADMIN,
    TWO,
    Scene,
    furnished,
    solo,
)
from tests.flows.trip import Failure, Killed, Trip

VERSION, FAMILY = Target.parse(str(ONE)), Target.parse("fraud")
KEK = KeyUri("file:kek/fraud")


def _two() -> Scene:
    """Two approved versions of one family."""
    scene = furnished()
    scene.publish_approved(TWO, models.external_data().entries)
    return scene


def _key_of(scene: Scene, model: ModelId) -> bytes:
    return scene.blobs.objects[layout.wrapped_key_name(model)]


def _opens(scene: Scene, stored: bytes, model: ModelId) -> bool:
    """Whether a copy of a wrapped key that somebody kept still opens."""
    key = WrappedKey.parse(stored)
    manifest = scene.authority.versions[model].manifest
    try:
        scene.keys.unwrap(key.key, key.wrapped, data_key_context(model, manifest))
    except (DeniedError, InvalidError, RejectedError):
        return False
    return True


def _shred(scene: Scene, target: Target = VERSION) -> Shredded:
    request_shred(scene.vault, OWNER, target, "the contract has ended")
    return shred(scene.vault, ADMIN, target)


def _require_gone(scene: Scene, copies: dict[ModelId, bytes]) -> None:
    for model, stored in copies.items():
        assert not _opens(scene, stored, model)
        assert sorted(scene.objects_of(model)) == layout.remaining_names(model, 0)
        assert scene.authority.versions[model].state is State.REVOKED


def test_every_copy_of_a_wrapped_key_is_useless_and_the_others_load() -> None:
    scene = _two()
    copy, other = _key_of(scene, ONE), _key_of(scene, TWO)
    done = _shred(scene)
    _require_gone(scene, {ONE: copy})
    assert (done.keys, scene.authority.shreds[str(ONE)].done_at is not None) == (1, True)
    assert scene.plaintext(TWO) == scene.published[TWO]
    # The copy of the other's old wrapping is as useless, which is why it was wrapped anew.
    assert not _opens(scene, other, TWO)
    # A copy of everything that was deleted, put back, opens nothing.
    scene.blobs.objects[layout.wrapped_key_name(ONE)] = copy
    with pytest.raises((DeniedError, RejectedError, InvalidError)):
        unwrap_data_key(
            scene.reopened(), ONE, scene.authority.versions[ONE].manifest, layout.wrapped_key_name(ONE)
        )


def test_a_family_goes_whole_with_its_key_and_its_name() -> None:
    scene = _two()
    copies = {model: _key_of(scene, model) for model in (ONE, TWO)}
    _shred(scene, FAMILY)
    _require_gone(scene, copies)
    with pytest.raises(InvalidError, match="no such key"):
        scene.keys.describe(KEK)
    with pytest.raises(InvalidError, match="is revoked, and so is its name"):
        scene.publish(ModelId.parse("fraud@2.0.0"))


def test_what_was_kept_in_quarantine_as_that_version_goes_too() -> None:
    scene = furnished()
    hostile = {"model.onnx": b"cos\nsystem\n(S'true'\ntR."}
    with pytest.raises(RejectedError):
        publish(scene.vault, scene.offer(TWO, hostile))
    (kept,) = scene.authority.quarantined.values()
    stored = scene.blobs.objects[layout.quarantine_key_name(TWO, kept.ticket)]
    scene.published.pop(TWO)
    scene.publish_approved(TWO, models.external_data().entries)
    _shred(scene, Target.parse(str(TWO)))
    key = WrappedKey.parse(stored)
    with pytest.raises((DeniedError, RejectedError)):
        scene.keys.unwrap(key.key, key.wrapped, data_key_context(TWO, kept.manifest))
    assert list(scene.blobs.list(layout.quarantine_prefix(TWO, kept.ticket))) == [
        layout.quarantine_report_name(TWO, kept.ticket)
    ]
    assert scene.plaintext(ONE) == scene.published[ONE]


def test_nobody_shreds_alone() -> None:
    scene = _two()
    request_shred(scene.vault, ADMIN, VERSION, "mine")
    with pytest.raises(DeniedError, match="nobody-shreds-alone"):
        shred(scene.vault, ADMIN, VERSION)
    assert scene.authority.versions[ONE].state is State.APPROVED
    shred(scene.vault, SECOND_ADMIN, VERSION)
    assert scene.authority.shreds[str(ONE)].done_at is not None


@pytest.mark.parametrize("who", [DEPLOYER, REVIEWER, OPERATOR, OWNER])
def test_only_an_admin_confirms(who: str) -> None:
    scene = _two()
    request_shred(scene.vault, ADMIN, VERSION, "ended")
    with pytest.raises(DeniedError):
        shred(scene.vault, who, VERSION)
    assert _opens(scene, _key_of(scene, ONE), ONE)


def test_one_person_alone_may_and_it_shows() -> None:
    scene = solo()
    publish(scene.vault, scene.offer(ONE, by=ADMIN, owner=ADMIN))
    request_shred(scene.vault, ADMIN, VERSION, "a trial")
    shred(scene.vault, ADMIN, VERSION)
    assert next(one for one in scene.events if one.action == "shred").rule == "solo-shreds-alone"


def test_what_nobody_asked_for_or_too_long_ago_is_not_shredded() -> None:
    scene = _two()
    with pytest.raises(InvalidError, match="nobody asked"):
        shred(scene.vault, ADMIN, VERSION)
    request_shred(scene.vault, OWNER, VERSION, "ended")
    with pytest.raises(InvalidError, match="not confirmed"):
        request_shred(scene.vault, ADMIN, VERSION, "ended")
    scene.clock.advance(REQUEST_LASTS)
    with pytest.raises(InvalidError, match="nobody asked"):
        shred(scene.vault, ADMIN, VERSION)
    assert _opens(scene, _key_of(scene, ONE), ONE)


def test_a_request_ends_with_whoever_made_it() -> None:
    scene = _two()
    request_shred(scene.vault, OWNER, VERSION, "ended")
    revoke_identity(scene.vault, ADMIN, OWNER, "was somebody else all along")
    with pytest.raises(RejectedError, match="is no identity"):
        shred(scene.vault, ADMIN, VERSION)
    assert _opens(scene, _key_of(scene, ONE), ONE)


def test_a_key_of_another_version_that_does_not_open_stops_it_before_anything_is_destroyed() -> None:
    scene = _two()
    copy = _key_of(scene, ONE)
    scene.blobs.objects[layout.wrapped_key_name(TWO)] = copy
    request_shred(scene.vault, OWNER, VERSION, "ended")
    with pytest.raises(RejectedError, match="fraud"):
        shred(scene.vault, ADMIN, VERSION)
    assert {one.version for one in scene.keys.describe(KEK).versions} >= {1}
    assert scene.authority.shreds[str(ONE)].pending


def test_a_proof_that_is_none_is_not_believed() -> None:
    scene = _two()
    request_shred(scene.vault, OWNER, VERSION, "ended")
    vault = scene.vault
    for detail in ({"attempts": 1, "refused": 0}, {"attempts": -1, "refused": -1}):
        more = {"target": str(ONE), "wrapped": "sha256:" + "0" * 64, **detail}
        event = build_event(vault, vault.clock.now(), ADMIN, "shredded", str(ONE), **more)
        with pytest.raises(RejectedError):
            record(vault, event)


def test_shredded_is_shredded() -> None:
    scene = _two()
    _shred(scene)
    with pytest.raises(InvalidError, match="is shredded already"):
        shred(scene.vault, ADMIN, VERSION)
    with pytest.raises(InvalidError, match="is shredded"):
        verify(scene.vault, REVIEWER, ONE)
    rotate_key(scene.vault, ADMIN, Wish("fraud"))
    assert scene.plaintext(TWO) == scene.published[TWO]
    _shred(scene, Target.parse(str(TWO)))
    assert read_authority(scene.reopened()).is_doomed(TWO)


def test_a_dry_run_destroys_nothing() -> None:
    scene = _two()
    request_shred(scene.vault, OWNER, VERSION, "ended", dry_run=True)
    assert not scene.authority.shreds
    request_shred(scene.vault, OWNER, VERSION, "ended")
    assert shred(scene.vault, ADMIN, VERSION, dry_run=True).keys == 1
    assert _opens(scene, _key_of(scene, ONE), ONE)


def _calls(target: Target) -> list[str]:
    scene, trip = _two(), Trip()
    request_shred(scene.vault, OWNER, target, "ended")
    shred(trip.arm(scene.reopened()), ADMIN, target)
    return trip.calls


@pytest.mark.parametrize("target", [VERSION, FAMILY], ids=str)
@pytest.mark.parametrize("failure", [Failure.NOT_KEPT, Failure.DIED_AFTER])
def test_cut_off_at_any_write_it_goes_on_from_there(target: Target, failure: Failure) -> None:
    """The other version loads at every moment, and in the end what is doomed is gone."""
    calls = _calls(target)
    assert len(calls) > 12
    ready = _two()
    request_shred(ready.vault, OWNER, target, "ended")
    for number, call in enumerate(calls):
        scene = ready.copy()
        copies = {model: _key_of(scene, model) for model in (ONE, TWO) if target.includes(model)}
        with suppress(OutageError, Killed):
            shred(Trip(number, failure).arm(scene.reopened()), ADMIN, target)
        try:
            if target is VERSION:
                assert scene.plaintext(TWO) == scene.published[TWO]
            with suppress(InvalidError):
                shred(scene.reopened(), SECOND_ADMIN, target)
            assert scene.authority.shreds[str(target)].done_at is not None
            _require_gone(scene, copies)
            if target is VERSION:
                assert scene.plaintext(TWO) == scene.published[TWO]
        except Exception as error:
            raise AssertionError(f"{call} (write {number}): {failure.value}") from error

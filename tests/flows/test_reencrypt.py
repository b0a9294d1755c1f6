"""Versions encrypted anew: what stays, what goes, and what somebody with the old key can do."""

from dataclasses import replace
from typing import Any

import pytest

from strongroom.artifact.stream import seal
from strongroom.errors import DeniedError, InvalidError, OutageError, RejectedError
from strongroom.flows import layout
from strongroom.flows import reencrypt as reencrypting
from strongroom.flows.keyfile import WrappedKey, data_key_context
from strongroom.flows.reencrypt import reencrypt
from strongroom.flows.release import release, verify
from strongroom.flows.review import review
from strongroom.flows.rotate_signing import rotate_signing
from strongroom.flows.statement import require_statement_of
from strongroom.flows.vault import record, signing_signer
from strongroom.trust.authority import Authority
from strongroom.trust.keyring import KeyHistory
from strongroom.trust.reseal import Reseal
from strongroom.trust.rotation import unfinished
from strongroom.values import Digest, State
from tests.flows.rotating import FAMILY, THREE, family, require_served, rotate
from tests.flows.scene import ADMIN, DEPLOYER, ONE, OPERATOR, REVIEWER, TWO, Scene, require_sound
from tests.flows.test_rotate import FOUR
from tests.unit.trust.signers import new_signer


def _reencrypted() -> Scene:
    scene = family()
    rotate(scene, reencrypt=True)
    reencrypt(scene.vault, ADMIN, FAMILY)
    return scene


def _key_of(scene: Scene, name: str) -> bytes:
    wrapped = WrappedKey.parse(scene.blobs.objects[name])
    context = data_key_context(ONE, scene.authority.versions[ONE].manifest)
    return scene.keys.unwrap(wrapped.key, wrapped.wrapped, context)


def test_every_version_has_other_ciphertext_under_another_key_and_nothing_old_is_left() -> None:
    scene = family()
    before = dict(scene.blobs.objects)
    old_key = _key_of(scene, layout.wrapped_key_name(ONE))
    rotate(scene, reencrypt=True)
    done = reencrypt(scene.vault, ADMIN, FAMILY)
    assert done.versions == 3
    for model in (ONE, TWO, THREE):
        kept = {layout.statement_name(model), layout.signature_name(model)}
        names = set(scene.objects_of(model))
        assert names == kept | set(layout.generation_names(model, 1, 1))
        assert all(scene.blobs.objects[name] == before[name] for name in kept)
    assert _key_of(scene, layout.wrapped_key_name(ONE, 1)) != old_key
    require_sound(scene)


def test_statement_and_approvals_stay_bound_to_what_was_published() -> None:
    scene = family()
    before = scene.authority.versions
    rotate(scene, reencrypt=True)
    reencrypt(scene.vault, ADMIN, FAMILY)
    for model, known in scene.authority.versions.items():
        was = before[model]
        assert (known.manifest, known.statement) == (was.manifest, was.statement)
        assert (known.state, known.approvals) == (was.state, was.approvals)
        assert (known.generation, known.beside) == (1, None)
    release(scene.vault, OPERATOR, ONE).close()
    with pytest.raises(DeniedError, match="not approved"):
        release(scene.vault, OPERATOR, THREE)


def test_again_and_again() -> None:
    scene = _reencrypted()
    rotate(scene, reencrypt=True)
    reencrypt(scene.vault, ADMIN, FAMILY)
    assert {known.generation for known in scene.authority.versions.values()} == {2}
    assert set(layout.generation_names(ONE, 2, 1)) < set(scene.objects_of(ONE))
    assert not set(layout.generation_names(ONE, 1, 1)) & set(scene.objects_of(ONE))
    require_sound(scene)
    review(scene.vault, REVIEWER, TWO)


def test_what_was_published_since_is_not_encrypted_anew() -> None:
    scene = family()
    rotate(scene, reencrypt=True)
    scene.publish(FOUR)
    assert FOUR not in unfinished(scene.authority, FAMILY)
    assert reencrypt(scene.vault, ADMIN, FAMILY).versions == 3
    assert reencrypt(scene.vault, ADMIN, FAMILY).versions == 0


def test_a_revoked_version_is_left_as_it_is() -> None:
    scene = family()
    scene.vault.replayed.authority.require_version(ONE)
    _withdraw(scene)
    rotate(scene, reencrypt=True)
    assert reencrypt(scene.vault, ADMIN, FAMILY).versions == 2
    assert scene.authority.versions[ONE].generation == 0


def _withdraw(scene: Scene) -> None:
    from strongroom.flows.vault import build_event, moment

    now = moment(scene.vault, scene.authority)
    event = build_event(
        scene.vault, now, "omar", "revoke", str(ONE), rule="owner-reads-and-ends", model=str(ONE)
    )
    record(scene.vault, event)
    assert scene.authority.versions[ONE].state is State.REVOKED


def test_the_old_generation_put_back_is_refused_and_never_read() -> None:
    scene = family()
    before = dict(scene.blobs.objects)
    rotate(scene, reencrypt=True)
    reencrypt(scene.vault, ADMIN, FAMILY)
    for name in layout.generation_names(ONE, 0, 1):
        scene.blobs.objects[name] = before[name]
    with pytest.raises(RejectedError, match="unsigned file"):
        release(scene.vault, OPERATOR, ONE)


def test_the_old_wrapped_key_or_object_under_the_new_name_does_not_open() -> None:
    for moved, message in ((layout.WRAPPED_KEY, "rotated away|commit"), ("0.sealed", "commitment")):
        scene = family()
        rotate(scene)
        old = scene.blobs.objects[f"{layout.prefix(ONE)}/{moved}"]
        rotate(scene, reencrypt=True)
        reencrypt(scene.vault, ADMIN, FAMILY)
        scene.blobs.objects[f"{layout.folder(ONE, 1)}/{moved}"] = old
        with pytest.raises(RejectedError, match=message):
            release(scene.vault, OPERATOR, ONE)


@pytest.mark.parametrize("name", [layout.SEAL, layout.WRAPPED_KEY, "0.sealed"])
def test_each_file_of_the_new_generation_must_be_there(name: str) -> None:
    scene = _reencrypted()
    del scene.blobs.objects[f"{layout.folder(ONE, 1)}/{name}"]
    with pytest.raises(RejectedError):
        release(scene.vault, OPERATOR, ONE)


def test_the_seal_of_another_version_is_refused() -> None:
    scene = _reencrypted()
    for name in (layout.SEAL, layout.WRAPPED_KEY, "0.sealed"):
        scene.blobs.objects[f"{layout.folder(ONE, 1)}/{name}"] = scene.blobs.objects[
            f"{layout.folder(TWO, 1)}/{name}"
        ]
    with pytest.raises(RejectedError, match="seal is not the one"):
        release(scene.vault, OPERATOR, ONE)


def _forge_generation(scene: Scene, content: bytes, signer: Any = None) -> None:
    """Seal other bytes as the next generation, by the records and the signing key of this home itself."""
    authority = scene.authority
    known = authority.versions[ONE]
    (entry,) = require_statement_of(scene.vault, authority, ONE).entries
    data_key, name = b"k" * 32, layout.object_name(ONE, 0, 1)
    writer = scene.blobs.create(name)
    padded = content.ljust(entry.size_bytes, b"\0")

    def read_into(offset: int, buffer: memoryview) -> int:
        piece = padded[offset : offset + len(buffer)]
        buffer[: len(piece)] = piece
        return len(piece)

    made = seal(
        read_into,
        writer.write_at,
        size=entry.size_bytes,
        model=ONE,
        path=entry.path,
        object=name,
        salt=b"s" * 32,
        dek=data_key,
    )
    writer.commit()
    uri = authority.family_key(FAMILY)
    wrapped = scene.keys.wrap(uri, data_key, data_key_context(ONE, known.manifest))
    scene.blobs.objects[layout.wrapped_key_name(ONE, 1)] = WrappedKey(uri, wrapped).to_bytes()
    claimed = Reseal.of(ONE, 1, known.manifest, known.statement, [made], scene.clock.at)
    envelope = claimed.sign(signer or signing_signer(scene.vault, authority))
    scene.blobs.objects[layout.seal_name(ONE, 1)] = envelope
    reencrypting._record(scene.vault, ADMIN, known, "begin", 1)
    reencrypting._append(scene.vault, ADMIN, known, "done", 1, str(Digest.of(envelope)))
    for old in layout.generation_names(ONE, 0, 1):
        scene.blobs.delete(old)
    reencrypting._record(scene.vault, ADMIN, known, "settled", 1)


def test_an_admin_with_every_key_cannot_put_other_bytes_behind_an_approval() -> None:
    """The load of a later generation compares the digests that the reviewers stood for."""
    scene = family()
    _forge_generation(scene, b"another model")
    with pytest.raises(RejectedError, match="SHA-256"):
        release(scene.vault, OPERATOR, ONE)
    assert scene.events[-1].decision == "reject"


def test_a_seal_by_another_key_is_refused() -> None:
    scene = family()
    _forge_generation(scene, b"another model", new_signer())
    with pytest.raises(RejectedError, match="not known here"):
        release(scene.vault, OPERATOR, ONE)


def test_a_seal_holds_by_the_signing_key_of_its_time() -> None:
    scene = _reencrypted()
    rotate_signing(scene.vault, ADMIN)
    require_sound(scene)
    known = scene.authority.versions[ONE]
    envelope = scene.blobs.objects[layout.seal_name(ONE, 1)]
    assert Digest.of(envelope) == known.seal
    assert len(scene.authority.key_history.keys) == 2
    assert isinstance(scene.authority.key_history, KeyHistory)


def test_stored_bytes_that_are_not_what_was_published_stop_it_and_nothing_is_lost() -> None:
    scene = family()
    name = layout.object_name(TWO, 0)
    plain = scene.blobs.objects[name]
    scene.blobs.objects[name] = plain[:-1] + bytes([plain[-1] ^ 1])
    rotate(scene, reencrypt=True)
    with pytest.raises(RejectedError):
        reencrypt(scene.vault, ADMIN, FAMILY)
    assert scene.authority.versions[TWO].generation == 0
    scene.blobs.objects[name] = plain
    reencrypt(scene.vault, ADMIN, FAMILY)
    require_sound(scene)


def test_a_load_in_flight_while_it_is_encrypted_anew_succeeds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scene = family()
    rotate(scene, reencrypt=True)
    loader, rotator = scene.reopened(), scene.reopened()
    plain, turned, before = scene.blobs.open, [], len(scene.events)

    def opening(name: str) -> Any:
        if not turned:
            turned.append(name)
            reencrypt(rotator, ADMIN, FAMILY)
        return plain(name)

    monkeypatch.setattr(scene.blobs, "open", opening)
    release(loader, OPERATOR, ONE).close()
    assert turned
    assert all(event.decision == "allow" for event in scene.events[before:])


def test_a_version_loads_at_every_step_of_its_re_encryption(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = family()
    rotate(scene, reencrypt=True)
    rotator, steps = scene.reopened(), []

    def look(method: str) -> None:
        plain = getattr(scene.blobs, method)

        def call(*arguments: Any, **named: Any) -> Any:
            done = plain(*arguments, **named)
            steps.append(method)
            verify(scene.reopened(), OPERATOR, ONE)
            release(scene.reopened(), OPERATOR, ONE).close()
            return done

        monkeypatch.setattr(rotator, "blobs", _Watched(rotator.blobs, method, call))

    for method in ("put_new", "delete", "create"):
        look(method)
    reencrypt(rotator, ADMIN, FAMILY)
    assert {"put_new", "delete", "create"} <= set(steps)
    require_served(scene)


class _Watched:
    """A port with one method in the place of its own."""

    def __init__(self, target: Any, method: str, call: Any) -> None:
        self._target = target
        setattr(self, method, call)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._target, name)


def test_only_an_admin_encrypts_anew() -> None:
    scene = family()
    rotate(scene, reencrypt=True)
    with pytest.raises(DeniedError):
        reencrypt(scene.vault, DEPLOYER, FAMILY)
    done = _reencrypted()
    (begun, *_rest) = [event for event in done.events if event.action == "reseal"]
    before = done.events[: done.events.index(begun)]
    with pytest.raises(RejectedError, match="not admin"):
        Authority.replay([*before, replace(begun, actor=DEPLOYER)])


def _changed(**changes: Any) -> Any:
    """A record of a re-encryption with other fields, after those before it."""
    scene = _reencrypted()
    at = next(n for n, event in enumerate(scene.events) if (event.detail or {}).get("step") == "done")
    detail = {**(scene.events[at].detail or {}), **changes}
    return Authority.replay([*scene.events[:at], replace(scene.events[at], detail=detail)])


@pytest.mark.parametrize(
    "changes",
    [
        {"generation": 2},
        {"generation": 0},
        {"step": "begin", "seal": "", "generation": 2},
        {"step": "settled", "seal": ""},
        {"step": "undone", "seal": ""},
        {"seal": ""},
        {"manifest": str(Digest.of(b"other"))},
        {"statement": str(Digest.of(b"other"))},
        {"model": "fraud@9.9.9"},
    ],
    ids=str,
)
def test_a_record_out_of_step_stops_the_replay(changes: dict[str, Any]) -> None:
    _changed()
    with pytest.raises(RejectedError):
        _changed(**changes)


def test_a_full_store_leaves_the_version_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = family()
    rotate(scene, reencrypt=True)
    rotator = scene.reopened()

    def full(name: str, size_hint: int = 0) -> Any:
        raise OutageError("blobs: no room")

    monkeypatch.setattr(rotator, "blobs", _Watched(rotator.blobs, "create", full))
    with pytest.raises(OutageError):
        reencrypt(rotator, ADMIN, FAMILY)
    require_sound(scene)
    reencrypt(scene.reopened(), ADMIN, FAMILY)
    require_sound(scene)


def test_a_seal_has_one_spelling() -> None:
    scene = _reencrypted()
    known = scene.authority.versions[ONE]
    (entry,) = require_statement_of(scene.vault, scene.authority, ONE).entries
    payload = Reseal.of(ONE, 1, known.manifest, known.statement, [entry], scene.clock.at).to_payload()
    assert Reseal.parse(payload).to_payload() == payload
    for bad in (payload[:-1], payload.replace(b'"generation":1', b'"generation":true'), b"{}", b"[]"):
        with pytest.raises(RejectedError):
            Reseal.parse(bad)
    with pytest.raises((RejectedError, InvalidError)):
        Reseal.parse(payload).apply(require_statement_of(scene.vault, scene.authority, ONE), [])

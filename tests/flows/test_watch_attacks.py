"""Who would blind the watcher, flood the log with it, or have it hold back what is sound."""

import threading
from collections.abc import Callable
from contextlib import suppress

import pytest

from strongroom.errors import OutageError, RejectedError
from strongroom.flows import layout, watch_subjects
from strongroom.flows.publish import publish
from strongroom.flows.recover import recover
from strongroom.flows.reencrypt import reencrypt
from strongroom.flows.rotate import Wish, rotate_key
from strongroom.flows.shred import request_shred, shred
from strongroom.flows.watch import MAX_TOLD_OF_ONE, Pace
from strongroom.trust.shreds import Target
from strongroom.values import ModelId
from tests.flows.scene import ADMIN, ONE, OPERATOR, OWNER, TWO, Scene, furnished
from tests.flows.test_watch import OBJECT, SIGNATURE, STATEMENT, Night, _flip

THREE = ModelId.parse("fraud@1.2.0")


@pytest.fixture
def scene() -> Scene:
    made = furnished()
    made.publish_approved(TWO)
    return made


# Flooding and blinding


def test_a_store_filled_with_strangers_does_not_fill_the_log(scene: Scene) -> None:
    night = Night(scene)
    night.look()
    size = len(scene.events)
    for number in range(3 * MAX_TOLD_OF_ONE):
        scene.blobs.put_new(f"zoo/1.0.0/{number}", b"x")
        scene.blobs.put_new(f"fraud/1.0.0/{number}.bin", b"x")
    for _ in range(3):
        night.look()
    assert len(scene.events) - size <= 2 * MAX_TOLD_OF_ONE
    assert night.held == {ONE}
    _flip(scene, layout.object_name(TWO, 0))
    night.look()
    assert night.held == {ONE, TWO}, "and it still sees what else is altered"


@pytest.mark.parametrize("family", ["é", "Fraud", "x" * 200, ".", "fraud_x"])
def test_a_stranger_whose_name_is_no_family_is_named_all_the_same(scene: Scene, family: str) -> None:
    night = Night(scene)
    night.look()
    name = f"{family}/1.0.0/0.sealed"
    scene.blobs.objects[name] = b"x"
    assert ("store", name, False) in night.look()


def test_what_lies_among_the_lists_of_the_home_is_a_stranger(scene: Scene) -> None:
    night = Night(scene)
    scene.blobs.objects[f"{layout.OWN}/payload.bin"] = b"x"
    scene.blobs.objects[layout.REVOCATIONS] = b"the list has its own checks"
    assert night.look() == [("store", f"{layout.OWN}/payload.bin", False)]


def test_a_signature_too_large_to_read_is_an_alteration(scene: Scene) -> None:
    night = Night(scene)
    night.look()
    scene.blobs.objects[SIGNATURE] = b"x" * (layout.MAX_SIGNATURE_BYTES + 1)
    night.look()
    assert night.held == {ONE}


@pytest.mark.parametrize("name", [OBJECT, STATEMENT])
def test_an_object_that_is_never_given_does_not_hide_the_others(scene: Scene, name: str) -> None:
    night = Night(scene)
    _flip(scene, layout.object_name(TWO, 0))
    opened, read = scene.blobs.open, scene.blobs.read

    def silent(asked: str, *rest: int) -> object:
        if asked == name:
            raise OutageError("store: does not answer")
        return read(asked, *rest) if rest else opened(asked)

    scene.blobs.open = scene.blobs.read = silent  # type: ignore[method-assign,assignment]
    for _ in range(2):
        with pytest.raises(OutageError):
            night.look()
    assert night.held == {TWO}


# Surviving


class Patient(Night):
    """A watcher that runs, and is stopped after so many waits; the store answers as ``acts`` say."""

    def run(self, waits: int, act: Callable[[int], None] = lambda _: None) -> None:
        done = 0

        def wait(seconds: float) -> bool:
            nonlocal done
            if seconds >= 1:
                done += 1
                self.now += seconds
                act(done)
            return done >= waits

        self.watcher._wait = wait
        self.watcher.run()


def test_an_outage_is_told_once_and_again_when_there_is_another(scene: Scene) -> None:
    night = Patient(scene)
    survey = scene.blobs.survey
    count = 0

    def silent(prefix: str) -> object:
        nonlocal count
        count += 1
        raise OutageError(f"store: does not answer (request {count})")

    def act(turn: int) -> None:
        scene.blobs.survey = survey if turn in (4, 5) else silent  # type: ignore[method-assign,assignment]
        if turn == 4:
            _flip(scene, OBJECT)

    act(1)
    night.run(9, act)
    assert [each.object for each in night.told] == ["", OBJECT, ""]
    assert night.held == {ONE}


def test_it_stops_in_the_midst_of_an_object(scene: Scene) -> None:
    night = Patient(scene, Pace(rate_bytes_s=1))
    night.run(1)
    assert 0 < night.watcher.read_bytes < sum(len(data) for data in scene.blobs.objects.values())
    assert night.told == []


# What is not an alteration


def test_a_signing_key_that_was_revoked_is_not_the_stores_doing(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    def distrusted(*_: object) -> None:
        raise RejectedError("statement: its signing key was revoked")

    monkeypatch.setattr(watch_subjects, "require_statement_of", distrusted)
    night = Night(scene)
    assert night.look() == []
    scene.blobs.objects[STATEMENT] += b" "
    assert night.look() == [(str(ONE), STATEMENT, True)]


def test_what_is_shredded_is_gone_and_not_missing(scene: Scene) -> None:
    night = Night(scene)
    night.look()
    request_shred(scene.vault, OWNER, Target.parse(str(ONE)), "the owner wants it gone")
    shred(scene.vault, ADMIN, Target.parse(str(ONE)))
    assert night.look() == []
    assert Night(scene).look() == []
    assert recover(scene.reopened(), OPERATOR).faults == ()


def test_what_a_shredded_upload_leaves_is_no_stranger(scene: Scene) -> None:
    with suppress(RejectedError):
        publish(scene.vault, scene.offer(THREE, {"model.onnx": b"cos\nsystem\n(S'true'\ntR."}))
    assert scene.authority.quarantined
    request_shred(scene.vault, OWNER, Target.parse("fraud"), "the owner wants it gone")
    shred(scene.vault, ADMIN, Target.parse("fraud"))
    assert Night(scene).look() == []


# Interleavings


def _rotate(scene: Scene) -> None:
    rotate_key(scene.reopened(), ADMIN, Wish("fraud"))


def _reencrypt(scene: Scene) -> None:
    vault = scene.reopened()
    rotate_key(vault, ADMIN, Wish("fraud", reencrypt=True))
    reencrypt(vault, ADMIN, "fraud")


def _shred(scene: Scene) -> None:
    vault = scene.reopened()
    request_shred(vault, OWNER, Target.parse(str(TWO)), "the owner wants it gone")
    shred(vault, ADMIN, Target.parse(str(TWO)))


def _publish(scene: Scene) -> None:
    scene.publish_approved(THREE)


def _recover(scene: Scene) -> None:
    assert recover(scene.reopened(), OPERATOR).faults == ()


@pytest.mark.parametrize("work", [_rotate, _reencrypt, _shred, _publish, _recover])
def test_work_between_any_two_looks_at_the_store_gives_no_false_hold(
    scene: Scene, work: Callable[[Scene], None]
) -> None:
    """The work is done whole at the n-th request that the watcher makes, for each n."""
    request = 1
    while True:
        home = scene.copy()
        night = Night(home)
        count, done = 0, False

        def tick(home: Scene = home, night: Night = night, request: int = request) -> None:
            nonlocal count, done
            count += 1
            if count >= request and not done and not _is_holding(night):
                done = True
                work(home)

        for verb in ("survey", "read", "open", "stat"):
            _hook(home, verb, tick)
        night.look()
        assert [each for each in night.told if each.held] == []
        assert night.held == set()
        if not done:
            return
        request += 1


def _is_holding(night: Night) -> bool:
    """While the watcher holds a lock, whoever works there waits."""
    return any(lock.locked() for lock in night.vault.locks._locks.values())  # type: ignore[attr-defined]


def _hook(home: Scene, verb: str, tick: Callable[[], None]) -> None:
    honest = getattr(home.blobs, verb)
    watching = threading.get_ident()
    busy = False

    def asked(*arguments: object) -> object:
        nonlocal busy
        if not busy and threading.get_ident() == watching:
            busy = True
            try:
                tick()
            finally:
                busy = False
        return honest(*arguments)

    setattr(home.blobs, verb, asked)


# What it costs


def test_a_survey_of_what_did_not_change_is_one_request(scene: Scene) -> None:
    """To a bucket it is one listing, a thousand objects a page."""
    night = Night(scene)
    night.look()
    asked: list[str] = []
    for verb in ("survey", "read", "open", "stat"):
        _hook(scene, verb, lambda verb=verb: asked.append(verb))  # type: ignore[misc]
    night.look()
    assert asked == ["survey"]

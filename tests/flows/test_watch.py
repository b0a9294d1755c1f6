"""The watcher on the twins: every way to alter a store, what is told of it, and what is held back."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from strongroom.errors import DeniedError, OutageError, RejectedError
from strongroom.flows import layout
from strongroom.flows.listing import Filter, list_inventory
from strongroom.flows.recover import recover
from strongroom.flows.release import release
from strongroom.flows.revoke import revoke_version
from strongroom.flows.vault import read_authority
from strongroom.flows.watch import STRANGER, Finding, Pace, Watcher
from strongroom.values import ModelId
from tests.flows.scene import CONSUMER, ONE, OPERATOR, OWNER, TWO, Scene, furnished


class Night:
    """A watcher with its clock; waiting is instant."""

    def __init__(self, scene: Scene, pace: Pace = Pace(), actor: str = OPERATOR) -> None:  # noqa: B008
        self.scene = scene
        self.told: list[Finding] = []
        self.now = 0.0
        self.waited = 0.0
        self.vault = scene.reopened()
        self.watcher = Watcher(
            self.vault, actor, pace, told=self.told.append, seconds=lambda: self.now, wait=self._wait
        )

    def _wait(self, seconds: float) -> bool:
        self.waited += seconds
        self.now += seconds
        return False

    def look(self) -> list[tuple[str, str, bool]]:
        """What one survey, and the reading that follows it, tells that is new."""
        self.told.clear()
        self.watcher.run_once()
        return [(each.of, each.object, each.held) for each in self.told]

    @property
    def held(self) -> set[ModelId]:
        versions = read_authority(self.scene.reopened()).versions
        return {model for model, known in versions.items() if known.held is not None}


@pytest.fixture
def scene() -> Scene:
    made = furnished()
    made.publish_approved(TWO)
    return made


def _flip(scene: Scene, name: str, at: int = -1) -> None:
    data = bytearray(scene.blobs.objects[name])
    data[at] ^= 1
    scene.blobs.objects[name] = bytes(data)


OBJECT, STATEMENT = layout.object_name(ONE, 0), layout.statement_name(ONE)
SIGNATURE, KEY = layout.signature_name(ONE), layout.wrapped_key_name(ONE)

ATTACKS: dict[str, tuple[Callable[[Scene], None], str]] = {
    "flipped byte": (lambda scene: _flip(scene, OBJECT), OBJECT),
    "flipped byte in the header": (lambda scene: _flip(scene, OBJECT, 20), OBJECT),
    "cut": (lambda scene: scene.blobs.objects.update({OBJECT: scene.blobs.objects[OBJECT][:-1]}), OBJECT),
    "missing object": (lambda scene: scene.blobs.delete(OBJECT), OBJECT),
    "object of another version": (
        lambda scene: scene.blobs.objects.update({OBJECT: scene.blobs.objects[layout.object_name(TWO, 0)]}),
        OBJECT,
    ),
    "extra file": (
        lambda scene: scene.blobs.put_new("fraud/1.0.0/payload.bin", b"x"),
        "fraud/1.0.0/payload.bin",
    ),
    "missing statement": (lambda scene: scene.blobs.delete(STATEMENT), STATEMENT),
    "swapped statement": (
        lambda scene: scene.blobs.objects.update(
            {STATEMENT: scene.blobs.objects[layout.statement_name(TWO)]}
        ),
        STATEMENT,
    ),
    "missing signature": (lambda scene: scene.blobs.delete(SIGNATURE), SIGNATURE),
    "swapped signature": (
        lambda scene: scene.blobs.objects.update(
            {SIGNATURE: scene.blobs.objects[layout.signature_name(TWO)]}
        ),
        SIGNATURE,
    ),
    "missing data key": (lambda scene: scene.blobs.delete(KEY), KEY),
    "data key of another version": (
        lambda scene: scene.blobs.objects.update({KEY: scene.blobs.objects[layout.wrapped_key_name(TWO)]}),
        KEY,
    ),
    "rubbish for a data key": (lambda scene: scene.blobs.objects.update({KEY: b"rubbish"}), KEY),
}


def test_a_sound_store_tells_nothing(scene: Scene) -> None:
    night = Night(scene)
    size = len(scene.events)
    assert night.look() == []
    assert night.look() == []
    assert len(scene.events) == size


@pytest.mark.parametrize("attack", ATTACKS)
def test_it_is_noticed_named_recorded_and_held_back(scene: Scene, attack: str) -> None:
    night = Night(scene)
    night.look()
    act, name = ATTACKS[attack]
    act(scene)
    assert night.look() == [(str(ONE), name, True)]
    assert night.held == {ONE}
    event = scene.events[-1]
    assert (event.action, event.subject, event.detail["object"]) == ("hold", str(ONE), name)
    with pytest.raises(RejectedError, match=None if name == STATEMENT else "quarantined"):
        release(scene.reopened(), OPERATOR, ONE)
    release(scene.reopened(), OPERATOR, TWO).close()


@pytest.mark.parametrize("attack", ATTACKS)
def test_it_is_noticed_by_a_watcher_that_comes_later(scene: Scene, attack: str) -> None:
    act, name = ATTACKS[attack]
    act(scene)
    assert (str(ONE), name, True) in Night(scene).look()


def test_it_is_told_once(scene: Scene) -> None:
    night = Night(scene)
    _flip(scene, OBJECT)
    assert night.look()
    size = len(scene.events)
    for _ in range(3):
        assert night.look() == []
    assert len(scene.events) == size


def test_a_stranger_is_named(scene: Scene) -> None:
    night = Night(scene)
    night.look()
    for name in ("fraud/9.9.9/0.sealed", "other/1.0.0/0.sealed", "notes.txt"):
        scene.blobs.put_new(name, b"x")
    assert {name for _, name, _ in night.look()} == {
        "fraud/9.9.9/0.sealed",
        "other/1.0.0/0.sealed",
        "notes.txt",
    }
    assert {each.what for each in night.told} == {STRANGER}
    assert scene.events[-1].decision == "reject"
    assert night.held == set()


def test_what_is_being_published_is_no_stranger(scene: Scene) -> None:
    night = Night(scene)
    with night.vault.locks.hold("publish-fraud"):
        scene.blobs.put_new("fraud/9.9.9/0.sealed", b"x")
        assert night.look() == []


def test_a_version_that_is_listed_as_quarantined(scene: Scene) -> None:
    night = Night(scene)
    _flip(scene, OBJECT)
    night.look()
    listed = list_inventory(scene.reopened(), OWNER, Filter(), {})
    assert {str(item.model): item.state for item in listed} == {str(ONE): "quarantined", str(TWO): "approved"}


def test_it_is_let_go_when_every_byte_is_right_again(scene: Scene) -> None:
    before = scene.blobs.objects[OBJECT]
    night = Night(scene)
    _flip(scene, OBJECT)
    night.look()
    assert recover(scene.reopened(), OPERATOR).lifted == (), "not while it is wrong"
    scene.blobs.objects[OBJECT] = before
    assert recover(scene.reopened(), OPERATOR).lifted == (str(ONE),)
    assert night.held == set()
    assert scene.plaintext(ONE) == scene.published[ONE]
    assert night.look() == []
    _flip(scene, OBJECT)
    assert night.look() == [(str(ONE), OBJECT, True)], "and held back again when it is altered again"


def test_a_store_that_lies_about_its_tags_is_caught_by_the_schedule(scene: Scene) -> None:
    night = Night(scene, Pace(reread_s=3600.0))
    night.look()
    honest = dict(scene.blobs.survey(""))
    _flip(scene, OBJECT)
    scene.blobs.survey = lambda prefix: iter(  # type: ignore[method-assign]
        (name, stat) for name, stat in honest.items() if not prefix or name.startswith(prefix)
    )
    assert night.look() == []
    night.now += 3601
    assert night.look() == [(str(ONE), OBJECT, True)]


def test_what_did_not_change_is_not_read_again(scene: Scene) -> None:
    night = Night(scene)
    night.look()
    read = night.watcher.read_bytes
    assert read > 0
    night.look()
    assert night.watcher.read_bytes == read


def test_reading_keeps_to_its_rate(scene: Scene) -> None:
    night = Night(scene, Pace(rate_bytes_s=100))
    night.look()
    assert night.waited >= night.watcher.read_bytes / 100 - 1


def test_what_is_served_is_read_first(scene: Scene) -> None:
    order: list[str] = []
    opened = scene.blobs.open
    scene.blobs.open = lambda name: (order.append(name), opened(name))[1]  # type: ignore[method-assign]
    night = Night(scene)
    night.watcher._served = lambda: [TWO]
    night.look()
    assert order[0] == layout.object_name(TWO, 0)


def test_a_revoked_version_need_not_be_there(scene: Scene) -> None:
    revoke_version(scene.vault, OWNER, ONE, "stolen")
    for name in scene.objects_of(ONE):
        scene.blobs.delete(name)
    assert Night(scene).look() == []


def test_who_may_not_verify_may_not_watch(scene: Scene) -> None:
    with pytest.raises(DeniedError):
        Night(scene, actor=CONSUMER).watcher.require_permission()


def test_a_store_that_is_silent_holds_nothing_back(scene: Scene) -> None:
    night = Night(scene)

    def silent(name: str) -> None:
        raise OutageError("store: does not answer")

    scene.blobs.open = silent  # type: ignore[method-assign,assignment]
    with pytest.raises(OutageError):
        night.look()
    assert night.held == set()


def test_a_held_version_cannot_be_held_twice_nor_let_go_twice(scene: Scene) -> None:
    night = Night(scene)
    _flip(scene, OBJECT)
    night.look()
    authority = read_authority(scene.reopened())
    again = scene.events[-1]
    with pytest.raises(RejectedError, match="already"):
        authority.extend([again])
    lifted = replace(again, action="lift", subject=str(TWO), detail={"model": str(TWO)})
    with pytest.raises(RejectedError, match="not held back"):
        authority.extend([lifted])

"""Publishing to a store elsewhere: what was cut off goes on as it was sealed, and leaves no key behind."""

from dataclasses import dataclass, field

import pytest

from strongroom.adapters.blobs.memory import MemoryBlobStore
from strongroom.errors import DeniedError, InvalidError, OutageError, RejectedError
from strongroom.flows import layout
from strongroom.flows.publish import publish
from tests import models
from tests.flows.scene import ONE, TWO, Scene, peopled, require_sound

DRAFT = f"{layout.prefix(ONE)}/draft.json"
FIRST = layout.object_name(ONE, 0)


@dataclass
class MemoryTransit:
    """The twin of a transit: it counts what it sends, and falls silent before or after a sending."""

    store: MemoryBlobStore
    spool: MemoryBlobStore = field(default_factory=MemoryBlobStore)
    sent: list[str] = field(default_factory=list)
    silent_before: str = ""
    silent_after: str = ""

    def send(self, name: str) -> None:
        if name == self.silent_before:
            raise OutageError("store: no answer")
        self.store.add(name, self.spool.objects[name])
        self.sent.append(name)
        if name == self.silent_after:
            raise OutageError("store: no answer")
        self.spool.delete(name)

    def drop(self, name: str) -> None:
        self.spool.delete(name)


@pytest.fixture
def scene() -> Scene:
    return peopled()


@pytest.fixture
def transit(scene: Scene) -> MemoryTransit:
    found = MemoryTransit(scene.blobs)
    scene.vault.transit = found
    return found


def _cut_off(scene: Scene, transit: MemoryTransit, **how: str) -> dict[str, bytes]:
    """Publish a model of two files, and let the store fall silent; returns the ciphertext there is."""
    for name, value in how.items():
        setattr(transit, name, value)
    with pytest.raises(OutageError):
        publish(scene.vault, scene.offer(ONE, models.external_data().entries))
    transit.silent_before = transit.silent_after = ""
    assert ONE not in scene.authority.versions
    ciphertext = {**transit.spool.objects, **scene.blobs.objects}
    return {name: data for name, data in ciphertext.items() if name.endswith(".sealed")}


def test_what_is_published_leaves_nothing_in_the_spool(scene: Scene, transit: MemoryTransit) -> None:
    publish(scene.vault, scene.offer(ONE, models.external_data().entries))
    assert transit.spool.objects == {}
    assert len(transit.sent) == 2
    require_sound(scene)


@pytest.mark.parametrize("how", ["silent_before", "silent_after"])
@pytest.mark.parametrize("index", [0, 1])
def test_what_was_cut_off_goes_on_as_it_was_sealed(
    scene: Scene, transit: MemoryTransit, how: str, index: int
) -> None:
    sealed = _cut_off(scene, transit, **{how: layout.object_name(ONE, index)})
    assert len(sealed) == 2
    publish(scene.vault, scene.offer(ONE, models.external_data().entries))
    assert {name: scene.blobs.objects[name] for name in sealed} == sealed
    assert len(transit.sent) == 2, "nothing was sent twice"
    assert transit.spool.objects == {}
    require_sound(scene)


def test_another_source_is_sealed_anew_under_another_key(scene: Scene, transit: MemoryTransit) -> None:
    sealed = _cut_off(scene, transit, silent_before=FIRST)
    publish(scene.vault, scene.offer(ONE, models.linear().entries))
    assert scene.blobs.objects[FIRST] != sealed[FIRST]
    assert transit.spool.objects == {}
    require_sound(scene)


@pytest.mark.parametrize("where", ["spool", "store"])
def test_ciphertext_that_somebody_changed_is_not_gone_on_with(
    scene: Scene, transit: MemoryTransit, where: str
) -> None:
    """Flipped in the spool, or in the store where it has arrived already."""
    sealed = _cut_off(scene, transit, silent_before=layout.object_name(ONE, 1))
    name, held = (FIRST, scene.blobs) if where == "store" else (layout.object_name(ONE, 1), transit.spool)
    held.objects[name] = held.objects[name][:-1] + bytes([held.objects[name][-1] ^ 1])
    publish(scene.vault, scene.offer(ONE, models.external_data().entries))
    assert all(scene.blobs.objects[name] != sealed[name] for name in sealed), "sealed anew, as a whole"
    require_sound(scene)


@pytest.mark.parametrize("draft", [b"", b"{}", b"[]", b'{"format":"strongroom-draft-1"}', b"\xff"])
def test_a_draft_that_makes_no_sense_is_begun_anew(
    scene: Scene, transit: MemoryTransit, draft: bytes
) -> None:
    sealed = _cut_off(scene, transit, silent_before=FIRST)
    transit.spool.objects[DRAFT] = draft
    publish(scene.vault, scene.offer(ONE, models.external_data().entries))
    assert scene.blobs.objects[FIRST] != sealed[FIRST]
    require_sound(scene)


def test_a_draft_of_another_version_is_not_taken(scene: Scene, transit: MemoryTransit) -> None:
    """Swap: draft and ciphertext of one version in the place of another's."""
    _cut_off(scene, transit, silent_before=FIRST)
    for name in list(transit.spool.objects):
        moved = name.replace(layout.prefix(ONE), layout.prefix(TWO))
        transit.spool.objects[moved] = transit.spool.objects[name]
    sealed = transit.spool.objects[layout.object_name(TWO, 0)]
    publish(scene.vault, scene.offer(TWO, models.external_data().entries))
    assert scene.blobs.objects[layout.object_name(TWO, 0)] != sealed
    require_sound(scene)


def test_what_is_refused_leaves_nothing_in_the_spool(scene: Scene, transit: MemoryTransit) -> None:
    with pytest.raises(RejectedError):
        publish(scene.vault, scene.offer(ONE, {"model.pkl": b"\x80\x04N."}))
    assert transit.spool.objects == {}
    assert not list(scene.blobs.list(layout.prefix(ONE)))


def test_a_dry_run_leaves_nothing_in_the_spool_and_makes_no_key(scene: Scene, transit: MemoryTransit) -> None:
    held = dict(scene.keys._held)
    publish(scene.vault, scene.offer(ONE), dry_run=True)
    assert transit.spool.objects == scene.blobs.objects == {}
    assert scene.keys._held == held


def test_the_key_in_a_draft_goes_once_its_version_is_published(scene: Scene, transit: MemoryTransit) -> None:
    """The process died between the record and the removal: the next publish, of whatever, removes it."""
    publish(scene.vault, scene.offer(ONE))
    transit.spool.objects[DRAFT] = b"a wrapped key"
    transit.spool.objects[FIRST] = b"ciphertext"
    with pytest.raises((InvalidError, DeniedError)):
        publish(scene.vault, scene.offer(ONE))
    publish(scene.vault, scene.offer(TWO, models.linear().entries))
    assert transit.spool.objects == {}

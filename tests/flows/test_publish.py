"""Publish: what is refused leaves nothing, a dry run leaves nothing, versions have an order."""

import pytest

from strongroom.errors import DeniedError, InvalidError, RejectedError, StrongroomError
from strongroom.flows.approve import approve
from strongroom.flows.publish import Offer, publish
from strongroom.flows.revoke import revoke_version
from strongroom.values import ModelId, State
from tests import models
from tests.flows.scene import (
    DEPLOYER,
    ONE,
    OWNER,
    REVIEWER,
    TWO,
    HandedModel,
    Scene,
    furnished,
    peopled,
    require_sound,
)

PICKLE = b"\x80\x04\x95\x1f\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system\x94\x93\x94."


@pytest.fixture
def scene() -> Scene:
    return peopled()


def _store(scene: Scene) -> tuple[object, ...]:
    return (
        dict(scene.blobs.objects),
        list(scene.log._leaves),
        scene.records._versions.copy(),
        scene.keys._held,
    )


def test_what_is_released_is_what_was_handed_over(scene: Scene) -> None:
    for number, build in enumerate(models.SERVABLE):
        scene.publish_approved(ModelId.parse(f"sample@1.{number}.0"), build().entries)
    require_sound(scene)


def test_published_says_what_it_is(scene: Scene) -> None:
    made = publish(scene.vault, scene.offer(ONE, models.external_data().entries))
    assert (made.model, made.files, made.format) == (ONE, 2, "onnx")
    assert made.schema is not None
    known = scene.authority.versions[ONE]
    assert (known.state, known.publisher, known.owner) == (State.PUBLISHED, DEPLOYER, OWNER)
    assert (known.log_index, known.manifest) == (made.log_index, made.digest)


def test_dry_run_leaves_nothing(scene: Scene) -> None:
    before = _store(scene)
    made = publish(scene.vault, scene.offer(ONE), dry_run=True)
    assert made.log_index == -1
    assert _store(scene) == before
    publish(scene.vault, scene.offer(ONE))


@pytest.mark.parametrize(
    ("entries", "why"),
    [
        ({"model.pkl": PICKLE}, "pickle"),
        ({"model.onnx": PICKLE}, "pickle"),
        ({"model.onnx": b""}, "the content is empty"),
        ({"model.onnx": models.linear().onnx, "run.py": b"import os\n"}, "program code"),
        ({"model.onnx": models.linear().onnx, "more.pkl": PICKLE}, "pickle"),
        (models.custom_operator().entries, "domain|operator"),
        (models.external_escape().entries, "external"),
        ({"../model.onnx": models.linear().onnx}, "segment|path"),
        ({"/model.onnx": models.linear().onnx}, "path|absolute|segment"),
        ({"a/model.onnx": models.linear().onnx, "A/model.onnx": b"{}"}, "clashes|case"),
        ({"model.onnx": models.linear().onnx, "mo\u0301del.txt": b"x"}, "NFC"),
    ],
)
def test_refused_model_is_no_version_and_is_recorded(
    scene: Scene, entries: dict[str, bytes], why: str
) -> None:
    size = len(scene.events)
    with pytest.raises(RejectedError, match=why) as refusal:
        publish(scene.vault, Offer(ONE, OWNER, DEPLOYER, HandedModel(entries)))
    assert all(name.startswith("fraud/quarantine-") for name in scene.blobs.objects)
    assert not scene.records._versions
    assert not scene.authority.versions
    *kept, refused = scene.events[size:]
    assert [(e.action, e.actor) for e in kept] in ([], [("quarantine", DEPLOYER)])
    assert bool(kept) == bool(scene.blobs.objects)
    assert (str(refused.decision), refused.action, refused.subject, refused.actor) == (
        *("reject", "publish"),
        *(str(ONE), DEPLOYER),
    )
    assert refused.reason == refusal.value.message[:500]
    publish(scene.vault, scene.offer(ONE))
    require_sound(scene)


def test_source_that_changed_while_it_was_read(scene: Scene) -> None:
    source = HandedModel(models.external_data().entries, swapped="weights/part-0.bin")
    with pytest.raises(RejectedError, match="changed while it was read"):
        publish(scene.vault, Offer(ONE, OWNER, DEPLOYER, source))
    assert scene.blobs.objects == {}
    assert ONE not in scene.authority.versions


def test_source_that_is_shorter_than_it_said(scene: Scene) -> None:
    source = HandedModel(models.linear().entries)
    source.files[0].size += 1  # type: ignore[misc]
    with pytest.raises(StrongroomError):
        publish(scene.vault, Offer(ONE, OWNER, DEPLOYER, source))
    assert scene.blobs.objects == {}


def test_schema_that_does_not_fit_the_model(scene: Scene) -> None:
    made = publish(scene.vault, scene.offer(ONE), dry_run=True)
    assert made.schema is not None
    wrong = made.schema.to_dict()
    wrong["inputs"][0]["name"] = "not-there"
    with pytest.raises(StrongroomError, match=r"not-there|input"):
        publish(scene.vault, scene.offer(ONE, schema=wrong))
    assert scene.blobs.objects == {}


@pytest.mark.parametrize("owner", ["", "Team A", "../x", "x" * 64])
def test_owner_is_a_principal(scene: Scene, owner: str) -> None:
    with pytest.raises(InvalidError):
        publish(scene.vault, Offer(ONE, owner, DEPLOYER, HandedModel(models.linear().entries)))
    assert scene.blobs.objects == {}


# Versions


def test_published_versions_never_change() -> None:
    scene = furnished()
    before = dict(scene.blobs.objects)
    for offer in (scene.offer(ONE), scene.offer(ONE, models.linear(seed=99).entries, allow_older=True)):
        with pytest.raises((DeniedError, InvalidError), match=r"fraud@1\.0\.0"):
            publish(scene.vault, offer)
    assert scene.blobs.objects == before
    require_sound(scene)


@pytest.mark.parametrize("older", ["0.9.9", "1.0.0-rc.1", "0.0.1"])
def test_an_older_version_only_if_asked_for(older: str) -> None:
    scene = furnished()
    model = ModelId.parse(f"fraud@{older}")
    with pytest.raises(InvalidError, match=r"older than fraud@1\.0\.0"):
        publish(scene.vault, scene.offer(model))
    publish(scene.vault, scene.offer(model, allow_older=True))
    require_sound(scene)


def test_ten_is_newer_than_nine(scene: Scene) -> None:
    for version in ("1.9.0", "1.10.0"):
        scene.publish(ModelId.parse(f"fraud@{version}"))
    with pytest.raises(InvalidError, match="older than"):
        scene.publish(ModelId.parse("fraud@1.9.1"))


def test_versions_that_differ_only_in_case(scene: Scene) -> None:
    """They would be one folder on some file systems."""
    scene.publish(ModelId.parse("fraud@1.0.0-rc"))
    with pytest.raises(InvalidError, match="only in case"):
        publish(scene.vault, scene.offer(ModelId.parse("fraud@1.0.0-RC"), allow_older=True))


def test_a_revoked_version_still_counts(scene: Scene) -> None:
    scene.publish(TWO)
    revoke_version(scene.vault, OWNER, TWO, "leaked")
    with pytest.raises(InvalidError, match="older than"):
        scene.publish(ONE)


def test_leftovers_of_a_dead_publish_are_swept(scene: Scene) -> None:
    scene.blobs.put_new("fraud/1.0.0/0.sealed", b"half of something")
    scene.blobs.put_new("fraud/1.0.0/7.sealed", b"half of something else")
    scene.publish_approved(ONE)
    require_sound(scene)


def test_a_version_is_not_served_before_a_second_person_stands_for_it(scene: Scene) -> None:
    scene.publish(ONE)
    with pytest.raises(StrongroomError, match="not approved"):
        scene.plaintext(ONE)
    approve(scene.vault, REVIEWER, ONE)
    assert scene.plaintext(ONE) == scene.published[ONE]


def test_two_versions_share_no_data_key_and_no_salt(scene: Scene) -> None:
    scene.publish(ONE, models.external_data().entries)
    scene.publish(TWO, models.external_data().entries)
    assert len(set(scene.keys.data_keys)) == len(scene.keys.data_keys) == 2
    headers = [data[:4096] for name, data in scene.blobs.objects.items() if name.endswith(".sealed")]
    assert len(headers) == 4
    assert len({header[32:64] for header in headers}) == 4

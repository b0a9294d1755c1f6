"""Where it came from goes into the statement, through quarantine too; what was promised must come out."""

from dataclasses import replace

import pytest

from strongroom.errors import RejectedError
from strongroom.flows.inventory import show_version
from strongroom.flows.publish import publish
from strongroom.flows.quarantine import quarantined_source, show_quarantined
from strongroom.trust.provenance import Provenance
from strongroom.values import Digest
from tests.flows.scene import DEPLOYER, ONE, OWNER, REVIEWER, TWO, Scene, peopled, require_sound

PLACE = Provenance("git", "https://host/repo", "ab" * 20, "model.onnx", (), {"lfs_files": "1"})


@pytest.fixture
def scene() -> Scene:
    return peopled()


def test_statement_says_where_it_is_from(scene: Scene) -> None:
    publish(scene.vault, scene.offer(ONE, provenance=PLACE))
    scene.publish(TWO)
    assert show_version(scene.vault, OWNER, ONE).statement.provenance == PLACE
    assert show_version(scene.vault, OWNER, TWO).statement.provenance is None
    require_sound(scene)


def test_other_bytes_than_were_promised(scene: Scene) -> None:
    offer = scene.offer(ONE, provenance=PLACE)
    path = offer.source.files[0].path
    with pytest.raises(RejectedError, match="is not what git https://host/repo@abab"):
        publish(scene.vault, replace(offer, promised={path: Digest(b"x" * 32)}))
    assert not scene.authority.versions
    assert scene.objects_of(ONE) == []
    require_sound(scene)


def test_quarantine_keeps_where_it_is_from(scene: Scene) -> None:
    with pytest.raises(RejectedError):
        publish(scene.vault, scene.offer(ONE, {"model.pkl": b"\x80\x04cposix\nsystem\n."}, provenance=PLACE))
    ticket = next(iter(scene.authority.quarantined))
    kept = show_quarantined(scene.vault, REVIEWER, ticket)
    assert kept.provenance == PLACE
    with quarantined_source(scene.vault, kept) as source:
        assert [file.path for file in source.files] == ["model.pkl"]
    assert show_quarantined(scene.vault, DEPLOYER, ticket).provenance == PLACE

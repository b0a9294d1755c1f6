"""The trial at publish: rows are joined only if shown to be independent; a refusal leaves nothing."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from strongroom.errors import InvalidError, OutageError, RejectedError, StrongroomError
from strongroom.flows.publish import publish
from strongroom.ports import Trial
from tests.flows.scene import DEPLOYER, ONE, Scene, peopled, require_sound


@dataclass
class Bench:
    """`ports.Trials` that answers as told, and keeps what it was handed."""

    answer: Trial | StrongroomError
    handed: list[Any] = field(default_factory=list)

    def run(self, name: str, memories: dict[str, Any], main: str, schema: Any) -> Trial:
        self.handed += [bytes(memory.content) for memory in memories.values()]
        if isinstance(self.answer, StrongroomError):
            raise self.answer
        return self.answer


def _publish(answer: Trial | StrongroomError, schema: dict[str, Any] | None = None) -> tuple[Scene, Any]:
    scene = peopled()
    scene.vault.trials = Bench(answer)
    return scene, publish(scene.vault, scene.offer(ONE, schema=schema))


def test_independent_rows_are_joined() -> None:
    scene, made = _publish(Trial(loads=True, independent_rows=True))
    assert made.schema.by_rows
    assert scene.vault.trials.handed == list(scene.published[ONE].values())  # type: ignore[union-attr]
    assert all(memory.is_closed for memory in scene.memory.allocated.values())
    require_sound(scene)


@pytest.mark.parametrize("independent", [False, None])
def test_rows_that_were_not_shown_to_be_independent_are_not_joined(independent: bool | None) -> None:
    _, made = _publish(Trial(loads=True, independent_rows=independent))
    assert not made.schema.by_rows
    assert any("one by one" in finding for finding in made.findings)


def test_a_schema_that_joins_rows_which_influence_each_other_is_refused() -> None:
    _, made = _publish(Trial(loads=True, independent_rows=True))
    with pytest.raises(InvalidError, match="influence each other"):
        _publish(Trial(loads=True, independent_rows=False), schema=made.schema.to_dict())


def test_no_sandbox_is_said_in_the_findings() -> None:
    _, made = _publish(OutageError("no sandbox here"))
    assert not made.schema.by_rows
    assert any("not loaded in a sandbox" in finding for finding in made.findings)


def test_a_model_that_the_engine_refuses_leaves_nothing_and_is_recorded() -> None:
    scene = peopled()
    scene.vault.trials = Bench(RejectedError("fraud@1.0.0: the engine refuses it"))
    size = len(scene.events)
    with pytest.raises(RejectedError, match="the engine refuses it"):
        publish(scene.vault, scene.offer(ONE))
    assert scene.blobs.objects == {}
    assert all(memory.is_closed for memory in scene.memory.allocated.values())
    (told,) = scene.events[size:]
    assert (str(told.decision), told.actor, told.action) == ("reject", DEPLOYER, "publish")

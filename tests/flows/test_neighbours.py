"""Several processes of one home: what another one writes meanwhile is no attack."""

from collections.abc import Callable
from typing import Any

import pytest

from strongroom.flows.audit import verify_whole_log
from strongroom.flows.vault import Vault, build_event, moment, read_authority, record
from tests.flows.scene import ADMIN, Scene, furnished


def _write_something(scene: Scene) -> None:
    vault = scene.reopened()
    now = moment(vault, read_authority(vault))
    record(vault, build_event(vault, now, ADMIN, "verify", "*", reason="by a neighbour"))


@pytest.mark.parametrize("read", [read_authority, verify_whole_log])
@pytest.mark.parametrize("asked", ["head", "checkpoint"])
@pytest.mark.parametrize("first", [True, False])
def test_who_appends_while_the_log_is_looked_at_does_not_look_like_who_cuts_it(
    read: Callable[[Vault], Any], asked: str, first: bool
) -> None:
    """``first``: they append before we are answered; else between that answer and the next question."""
    scene = furnished()
    vault = scene.reopened()
    port: Any = scene.records if asked == "head" else scene.log
    plain, calls = getattr(port, asked), []

    def disturbed() -> Any:
        setattr(port, asked, plain)
        calls.append(1)
        answer = None if first else plain()
        _write_something(scene)
        return plain() if first else answer

    setattr(port, asked, disturbed)
    read(vault)
    assert calls

"""Rotations whose writes and reads fail in every way: everything loads, and a retry ends well (I12)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from strongroom.errors import DeniedError, InvalidError, OutageError, RejectedError
from strongroom.flows import rotate_sweep
from strongroom.flows.reencrypt import reencrypt
from strongroom.flows.rotate_identity import rotate_identity
from strongroom.flows.rotate_signing import rotate_signing
from strongroom.flows.vault import Vault
from strongroom.trust.authority import Authority
from tests.flows.rotating import ELSEWHERE, FAMILY, family, require_served, rotate, wrapped_keys
from tests.flows.scene import ADMIN, OPERATOR, Scene, require_sound
from tests.flows.trip import DEATHS, Failure, Killed, Trip

pytestmark = pytest.mark.slow
_FAILURES = list(Failure)
"""Each write fails in one of these, its neighbours in the others."""
READS_STEP = 7


@dataclass(frozen=True)
class Verb:
    name: str
    act: Callable[[Scene, Vault], Any]
    happened: Callable[[Authority], bool]
    writes: int
    """At least so many must be seen, or the wire is not where it should be."""
    prepare: Callable[[Scene], Any] = lambda scene: None


def _settled(authority: Authority) -> bool:
    bound = authority.family_keys.get(FAMILY)
    return bound is not None and bound.settled


VERBS = [
    Verb("rotate key", lambda scene, vault: rotate(scene, vault), _settled, 12),
    Verb("rotate key to", lambda scene, vault: rotate(scene, vault, to=ELSEWHERE), _settled, 12),
    Verb(
        "reencrypt",
        lambda scene, vault: reencrypt(vault, ADMIN, FAMILY),
        lambda authority: all(
            (one.generation, one.beside) == (1, None) for one in authority.versions.values()
        ),
        40,
        lambda scene: rotate(scene, reencrypt=True),
    ),
    Verb(
        "rotate signing",
        lambda scene, vault: rotate_signing(vault, ADMIN),
        lambda authority: len(authority.earlier_signing) > 0,
        5,
    ),
    Verb(
        "rotate identity",
        lambda scene, vault: rotate_identity(vault, ADMIN, OPERATOR, 7),
        lambda authority: authority.identities[OPERATOR].key_number > 1,
        5,
    ),
]


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that call number n is the same in every run."""
    monkeypatch.setattr(rotate_sweep, "THREADS", 1)


def _prepared(verb: Verb) -> Scene:
    scene = family()
    verb.prepare(scene)
    return scene.copy()


def _calls(verb: Verb, *, reads: bool = False) -> list[str]:
    scene = _prepared(verb)
    trip = Trip(reads=reads)
    verb.act(scene, trip.arm(scene.reopened()))
    assert verb.happened(require_sound(scene))
    return trip.calls


def _fail_at(verb: Verb, number: int, failure: Failure, *, reads: bool = False) -> tuple[Scene, bool]:
    scene = _prepared(verb)
    trip = Trip(number, failure, reads=reads)
    try:
        verb.act(scene, trip.arm(scene.reopened()))
        told = True
    except (OutageError, Killed):
        told = False
    assert trip.tripped
    assert not told or failure not in DEATHS
    return scene, told


def _require_good_end(verb: Verb, scene: Scene, told: bool) -> None:
    before = wrapped_keys(scene)
    authority = require_served(scene)
    if told:
        assert verb.happened(authority)
    verb.act(scene, scene.reopened())
    after = require_sound(scene)
    assert verb.happened(after)
    assert wrapped_keys(scene).keys() == before.keys() or verb.name == "reencrypt"


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_a_failing_write_loses_no_model(verb: Verb) -> None:
    calls = _calls(verb)
    assert len(calls) >= verb.writes
    for number, call in enumerate(calls):
        failure = _FAILURES[number % len(_FAILURES)]
        scene, told = _fail_at(verb, number, failure)
        try:
            _require_good_end(verb, scene, told)
        except (AssertionError, DeniedError, InvalidError, OutageError, RejectedError) as error:
            raise AssertionError(f"{verb.name}: {call} (write {number}): {failure.value}") from error


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_a_failing_read_loses_no_model(verb: Verb) -> None:
    for number, call in list(enumerate(_calls(verb, reads=True)))[::READS_STEP]:
        scene, told = _fail_at(verb, number, Failure.NOT_KEPT, reads=True)
        try:
            _require_good_end(verb, scene, told)
        except (AssertionError, DeniedError, InvalidError, OutageError, RejectedError) as error:
            raise AssertionError(f"{verb.name}: {call} (read {number})") from error

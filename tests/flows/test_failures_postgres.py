"""The fault injection of test_failures.py, with catalog, log and locks in a real PostgreSQL."""

from collections.abc import Iterator

import pytest

from strongroom.flows.vault import Vault
from tests.database import Database
from tests.flows import test_failures
from tests.flows.scene import Scene, furnished
from tests.flows.shared import Places
from tests.flows.test_failures import (
    _count,
    require_read_survived,
    require_survived,
    test_a_catalog_that_fell_behind_is_brought_up_by_whoever_comes_next,
    test_establish_is_all_or_nothing,
    test_nothing_is_given_out_without_its_record,
    test_two_that_bring_the_catalog_up_at_once_do_not_stumble,
)
from tests.flows.trip import Failure
from tests.flows.verbs import VERBS, Verb

__all__ = [
    "test_a_catalog_that_fell_behind_is_brought_up_by_whoever_comes_next",
    "test_establish_is_all_or_nothing",
    "test_nothing_is_given_out_without_its_record",
    "test_two_that_bring_the_catalog_up_at_once_do_not_stumble",
]
pytestmark = pytest.mark.slow
FAILURES = {
    "log": tuple(Failure),
    "records": (Failure.NOT_KEPT, Failure.KEPT, Failure.DIED_AFTER),
    "locks": (Failure.NOT_KEPT, Failure.DIED_AFTER),
}
"""What is in the database, and how it fails there; test_failures.py has every other pair."""
SHARED = tuple(f"{port}." for port in FAILURES)


@pytest.fixture(scope="module")
def places(database: Database) -> Iterator[Places]:
    made = Places(database, furnished().vault.trust_root.log_origin)
    yield made
    made.close()


@pytest.fixture(autouse=True)
def over_postgres(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every scene that a verb is tried in, and every process that opens it, is in the database."""
    plain_scene, plain_reopened = Verb.scene, Scene.reopened
    plain_bare = test_failures.build_bare

    def reopened(scene: Scene, *, afresh: bool = False) -> Vault:
        vault = plain_reopened(scene, afresh=afresh)
        vault.locks = places.locks_of(scene) or vault.locks
        return vault

    monkeypatch.setattr(Verb, "scene", lambda verb: places.share(plain_scene(verb)))
    monkeypatch.setattr(Scene, "reopened", reopened)
    monkeypatch.setattr(test_failures, "build_bare", lambda: places.share(plain_bare()))


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_a_failing_write_leaves_the_shared_home_sound(verb: Verb) -> None:
    calls = [(number, call) for number, call in enumerate(_count(verb)) if call.startswith(SHARED)]
    assert calls
    for number, call in calls:
        for failure in FAILURES[call.partition(".")[0]]:
            require_survived(verb, number, call, failure)


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_a_failing_read_leaves_the_shared_home_sound(verb: Verb) -> None:
    """The first and the last read of each kind: what lies between differs only in how far the verb came."""
    calls = {n: call for n, call in enumerate(_count(verb, reads=True)) if call.startswith(SHARED)}
    last = {call: number for number, call in calls.items()}
    first = {call: number for number, call in reversed(calls.items())}
    for number in sorted({*first.values(), *last.values()}):
        require_read_survived(verb, number, calls[number])

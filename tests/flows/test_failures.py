"""Every flow, with each of its writes failing in every way: the home stays sound, and a retry ends well.

It failed and nothing was kept; it failed but was kept. I12: a crash anywhere leaves
the store as before the step or as after it. I4: nothing is given out without its record.
"""

from contextlib import suppress

import pytest

from strongroom.errors import DeniedError, InvalidError, OutageError
from strongroom.flows.catalog import sync_catalog
from strongroom.flows.establish import Founder, establish
from tests.flows.scene import ADMIN, Scene, build_bare, require_sound
from tests.flows.trip import DEATHS, Failure, Killed, Trip, records_before_plaintext
from tests.flows.verbs import VERBS, Verb

WRITES = {
    "add-identity": 3,
    "approve": 4,
    "publish": 10,
    "release": 4,
    "fold": 3,
}
"""At least so many writes must have been seen, or the wire is not where it should be."""


def _count(verb: Verb, *, reads: bool = False) -> list[str]:
    scene = verb.scene()
    trip = Trip(reads=reads)
    verb.act(scene, trip.arm(scene.reopened(afresh=True)))
    assert verb.happened(require_sound(scene))
    return trip.calls


def _fail_at(verb: Verb, number: int, failure: Failure, *, reads: bool = False) -> tuple[Scene, Trip, bool]:
    """Run ``verb`` with one failure; returns the home, and whether the caller was told of success."""
    scene = verb.scene()
    trip = Trip(number, failure, reads=reads)
    vault = trip.arm(scene.reopened())
    with records_before_plaintext(trip, scene.log):
        try:
            verb.act(scene, vault)
            told = True
        except (OutageError, Killed):
            told = False
    assert trip.tripped
    return scene, trip, told


def _require_good_end(verb: Verb, scene: Scene) -> None:
    """The same call again, by a new process, succeeds or says that it was done already."""
    try:
        verb.act(scene, scene.reopened())
    except (InvalidError, DeniedError) as error:
        assert verb.happened(scene.authority), error.message
        assert any(text in error.message for text in ("already", "is revoked", "is approved", "overwrites"))
    assert verb.happened(require_sound(scene))


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_a_failing_write_leaves_the_home_sound(verb: Verb) -> None:
    calls = _count(verb)
    assert len(calls) >= WRITES.get(verb.name, 1)
    for number, call in enumerate(calls):
        for failure in Failure:
            require_survived(verb, number, call, failure)


def require_survived(verb: Verb, number: int, call: str, failure: Failure) -> None:
    """Whatever became of write ``number``, the home is sound and the same call ends well."""
    before = len(verb.scene().log._leaves)
    scene, _, told = _fail_at(verb, number, failure)
    context = f"{verb.name}: {call} (write {number}): {failure.value}"
    assert not told or failure not in DEATHS, context
    try:
        authority = require_sound(scene)
        if told:
            assert verb.happened(authority)
        if call == "log.append" and failure is Failure.FOR_GOOD and len(scene.log._leaves) == before:
            assert not told
        _require_good_end(verb, scene)
    except Exception as error:
        raise AssertionError(context) from error


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_a_failing_read_leaves_the_home_sound(verb: Verb) -> None:
    for number, call in enumerate(_count(verb, reads=True)):
        require_read_survived(verb, number, call)


def require_read_survived(verb: Verb, number: int, call: str) -> None:
    scene, _, told = _fail_at(verb, number, Failure.NOT_KEPT, reads=True)
    try:
        authority = require_sound(scene)
        assert not told or verb.happened(authority)
        _require_good_end(verb, scene)
    except Exception as error:
        raise AssertionError(f"{verb.name}: {call} (read {number})") from error


@pytest.mark.parametrize("verb", [v for v in VERBS if v.gives], ids=lambda verb: verb.name)
def test_nothing_is_given_out_without_its_record(verb: Verb) -> None:
    """`records_before_plaintext` looks at every call; here the log never answers at all."""
    scene = verb.scene()
    before = list(scene.log._leaves)
    appends = [n for n, call in enumerate(_count(verb)) if call == "log.append"]
    trip = Trip(appends[0], Failure.FOR_GOOD)
    seen: list[str] = []
    trip.witness = lambda port, method: seen.append(f"{port}.{method}")
    with pytest.raises(OutageError):
        verb.act(scene, trip.arm(scene.reopened()))
    assert scene.log._leaves == before
    assert not {"keys.unwrap", "memory.allocate"} & set(seen)
    assert not scene.memory.allocated


def test_establish_is_all_or_nothing() -> None:
    def run(trip: Trip) -> Scene:
        scene = build_bare()
        with suppress(OutageError, Killed):
            establish(trip.arm(scene.vault), Founder(ADMIN, 7))
        return scene

    counting = Trip()
    run(counting)
    assert counting.calls.count("log.append") == 1
    for number, call in enumerate(counting.calls):
        for failure in Failure:
            scene = run(Trip(number, failure))
            if scene.log.checkpoint() is None:
                assert scene.log._leaves == [], (call, failure)
            else:
                assert scene.authority.identities.keys() == {ADMIN}, (call, failure)


def test_a_catalog_that_fell_behind_is_brought_up_by_whoever_comes_next() -> None:
    verb = next(each for each in VERBS if each.name == "approve")
    rows = [n for n, call in enumerate(_count(verb)) if call == "records.set_state"]
    scene, _, told = _fail_at(verb, rows[0], Failure.DIED_BEFORE)
    assert not told
    before = {row.model: row.state for row in scene.records.versions()}
    sync_catalog(scene.reopened())
    after = {row.model: row.state for row in scene.records.versions()}
    assert before != after
    assert after == {str(model): known.state for model, known in scene.authority.versions.items()}


def test_two_that_bring_the_catalog_up_at_once_do_not_stumble() -> None:
    """Each commits its record, then both see the same row missing; neither may be told it has failed."""
    verb = next(each for each in VERBS if each.name == "sync-catalog")
    scene = verb.scene()
    trip, raced = Trip(), []

    def race(port: str, method: str) -> None:
        if method in ("hold", "add_version") and not raced:
            raced.append(method)
            other = scene.reopened()
            sync_catalog(other)

    trip.witness = race
    vault = trip.arm(scene.reopened())
    sync_catalog(vault)
    assert raced
    require_sound(scene)

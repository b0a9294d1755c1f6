"""kill -9 at any instant: the home is as before or as after, never between (I12)."""

import time
from collections.abc import Callable

import pytest

from strongroom.trust.authority import Authority
from strongroom.values import ModelId, State
from tests.cli.press import Shell
from tests.faults.home import instants, require_whole, run_and_die, run_and_kill
from tests.faults.killing import Killer

pytestmark = pytest.mark.slow

BUDGET_S = 8.0
"""For each of the eight tests here; as many deaths as fit, but never fewer than LEAST."""
LEAST = 4
MOST = 60
DONE_ALREADY = ("exists already", "overwrites", "not waiting for approval")

Arguments = Callable[[int], tuple[str, ...]]


def _publish(round_: int) -> tuple[str, ...]:
    return ("publish", "model.onnx", "--as", f"fraud@2.{round_}.0", "--owner", "risk")


def _approve(round_: int) -> tuple[str, ...]:
    return ("approve", f"fraud@2.{round_}.0", "--identity", "rita")


def _add_identity(round_: int) -> tuple[str, ...]:
    return ("identity", "add", f"person-{round_}")


def _is_published(authority: Authority, round_: int) -> bool:
    return ModelId.parse(f"fraud@2.{round_}.0") in authority.versions


def _is_approved(authority: Authority, round_: int) -> bool:
    known = authority.versions.get(ModelId.parse(f"fraud@2.{round_}.0"))
    return known is not None and known.state is State.APPROVED


def _is_there(authority: Authority, round_: int) -> bool:
    return f"person-{round_}" in authority.identities


VERBS = {
    "publish": (_publish, _is_published),
    "approve": (_approve, _is_approved),
    "identity add": (_add_identity, _is_there),
}


def _killer(what: str) -> Killer:
    return Killer(what, budget_s=BUDGET_S, least=LEAST, most=MOST)


def _prepare(shell: Shell, verb: str, round_: int) -> None:
    if verb == "approve":
        shell.ok(*_publish(round_))


def _require_good_end(shell: Shell, verb: str, round_: int) -> None:
    arguments, happened = VERBS[verb]
    before = require_whole(shell.home)
    again = shell(*arguments(round_))
    if happened(before, round_):
        assert again.code in (2, 3), again
        assert any(text in again.error for text in DONE_ALREADY), again
    else:
        assert again.code == 0, again
    assert happened(require_whole(shell.home), round_)


@pytest.mark.parametrize("verb", VERBS)
def test_killed_at_random_instants(shell: Shell, verb: str) -> None:
    arguments, _ = VERBS[verb]
    _prepare(shell, verb, 0)
    started = time.monotonic()
    shell.ok(*arguments(0))
    lasts_s = time.monotonic() - started
    chance = instants(seed=len(verb))
    for deaths in _killer(verb).rounds():
        _prepare(shell, verb, deaths)
        run_and_kill(shell, arguments(deaths), chance.uniform(0.2, 1.05) * lasts_s)
        _require_good_end(shell, verb, deaths)


@pytest.mark.parametrize("verb", VERBS)
def test_killed_at_a_file_operation(shell: Shell, verb: str) -> None:
    """Denser than by the clock: most of a command's time is spent where nothing is at stake."""
    arguments, _ = VERBS[verb]
    chance = instants(seed=len(verb) + 100)
    round_, longest = 0, 8
    killer = _killer(f"{verb}, at file operations")
    while killer.goes_on():
        round_ += 1
        _prepare(shell, verb, round_)
        at = chance.randint(1, longest)
        if run_and_die(shell, arguments(round_), at):
            killer.deaths += 1
            longest = max(longest, at * 2)
        _require_good_end(shell, verb, round_)
        assert round_ < 10 * (killer.deaths + LEAST)


def _require_whole_or_nothing(shell: Shell) -> None:
    if shell.home.exists():
        assert require_whole(shell.home).identities.keys() == {"ada"}
        assert "exists already" in shell("init", "--identity", "ada").error
    else:
        shell.ok("init", "--identity", "ada")
        require_whole(shell.home)


def test_init_killed_at_random_instants(bare: Shell) -> None:
    started = time.monotonic()
    bare.ok("init", "--identity", "ada")
    lasts_s = time.monotonic() - started
    chance = instants(seed=7)
    for number in _killer("init").rounds():
        bare.home = bare.root / f"home-{number}"
        run_and_kill(bare, ("init", "--identity", "ada"), chance.uniform(0.1, 1.05) * lasts_s)
        _require_whole_or_nothing(bare)


def test_init_killed_at_a_file_operation(bare: Shell) -> None:
    chance = instants(seed=8)
    longest, died = 8, 0
    for number in _killer("init, at file operations").rounds():
        bare.home = bare.root / f"home-{number}"
        at = chance.randint(1, longest)
        if run_and_die(bare, ("init", "--identity", "ada"), at):
            longest, died = max(longest, at * 2), died + 1
        _require_whole_or_nothing(bare)
    assert died >= LEAST // 2

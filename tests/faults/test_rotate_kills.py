"""kill -9 in rotations and re-encryptions: everything loads, and the same call ends well (I12)."""

import shutil
import time
from pathlib import Path

import pytest

from strongroom.flows import layout
from strongroom.flows.audit import verify_whole_log
from strongroom.flows.release import verify
from strongroom.trust.authority import Authority
from strongroom.trust.rotation import unfinished
from strongroom.wiring import open_home
from tests.cli.conftest import new_shell
from tests.cli.press import PASSPHRASE, Shell
from tests.faults.home import instants, require_whole, run_and_kill
from tests.faults.killing import Killer

pytestmark = pytest.mark.slow

BUDGET_S = 25.0
"""As many deaths as fit, but never fewer than LEAST."""
LEAST = 6
MOST = 120
VERSIONS = 4
LOOK_EVERY, GO_ON_EVERY = 2, 7
ROTATE = ("rotate", "key", "fraud")
VERBS = (
    ROTATE,
    (*ROTATE, "--reencrypt"),
    (*ROTATE, "--to", "file:kek/fraud.b"),
    (*ROTATE, "--to", "file:kek/fraud"),
    ("rotate", "signing"),
    ("rotate", "identity", "dora"),
)


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("family")
    shell = new_shell(root)
    shell.ok("init", "--identity", "ada")
    for number in range(VERSIONS):
        shell.ok("publish", "model.onnx", "--as", f"fraud@1.{number}.0", "--owner", "risk")
    shell.ok("identity", "add", "dora", "--role", "deployer")
    return root


@pytest.fixture
def rotated(family: Path, tmp_path: Path) -> Shell:
    root = tmp_path / "user"
    shutil.copytree(family, root, symlinks=True)
    return Shell(root, root / "home", root / "passphrase")


def _require_loads(home: Path) -> Authority:
    """What was cut off takes nothing away: log, every version, and nobody's key."""
    vault = open_home(home, PASSPHRASE)
    verify_whole_log(vault)
    for model in vault.replayed.authority.versions:
        verify(vault, "ada", model, full=True)
    return vault.replayed.authority


def _require_settled(shell: Shell) -> None:
    authority = require_whole(shell.home)
    bound = authority.family_keys["fraud"]
    assert bound.settled
    assert not unfinished(authority, "fraud")
    vault = open_home(shell.home, PASSPHRASE)
    enabled = [one for one in vault.require_keys().describe(bound.uri).versions if one.enabled]
    assert [one.version for one in enabled] == [bound.version]
    for model, known in authority.versions.items():
        assert layout.wrapped_key_name(model, known.generation) in list(
            vault.blobs.list(layout.prefix(model))
        )


def _go_on(shell: Shell, arguments: tuple[str, ...]) -> None:
    before = _require_loads(shell.home)
    shell.ok(*arguments)
    if arguments[1] == "key":
        _require_settled(shell)
    else:
        assert len(_require_loads(shell.home).versions) == len(before.versions)


def _look_after(shell: Shell, arguments: tuple[str, ...], rounds: int) -> None:
    """Several deaths one upon another, then a look; now and then the command is let end."""
    if rounds % GO_ON_EVERY == 0:
        _go_on(shell, arguments)
    elif rounds % LOOK_EVERY == 0:
        _require_loads(shell.home)


def test_killed_at_random_instants(rotated: Shell) -> None:
    chance = instants(seed=12)
    started = time.monotonic()
    rotated.ok(*ROTATE)
    lasts_s = time.monotonic() - started
    for deaths in Killer("rotate", budget_s=BUDGET_S, least=LEAST, most=MOST).rounds():
        arguments = VERBS[(deaths - 1) % len(VERBS)]
        run_and_kill(rotated, arguments, chance.uniform(0.3, 1.3) * lasts_s)
        _look_after(rotated, arguments, deaths)
    _go_on(rotated, (*ROTATE, "--reencrypt"))

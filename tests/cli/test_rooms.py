"""The list of commands that is shown without importing them is the list that they make."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path

from strongroom import cli
from strongroom.cli.contents import CONTENTS
from strongroom.cli.rooms import load_room

_HEAVY = (
    "numpy",
    "sqlalchemy",
    "pydantic",
    "cryptography",
    "cedarpy",
    "strongroom.wiring",
    "strongroom.flows",
)


def test_the_contents_are_those_of_the_rooms_in_order() -> None:
    names = sorted(path.stem for path in Path(cli.__file__).parent.glob("*.py"))
    rooms = {name for name in names if hasattr(import_module(f"strongroom.cli.{name}"), "add_to")}
    assert rooms == CONTENTS.keys(), "name each room in cli/contents.py"
    for room, listed in CONTENTS.items():
        made = {name: command.get_short_help_str(200) for name, command in load_room(room).items()}
        assert list(listed.items()) == list(made.items()), "say it in cli/contents.py too"


def test_no_command_is_in_two_rooms() -> None:
    every = [name for commands in CONTENTS.values() for name in commands]
    assert len(every) == len(set(every))


def test_help_imports_nothing_that_takes_long() -> None:
    code = (
        "import sys\n"
        "from strongroom.cli import main\n"
        "try: main(['--help'])\n"
        f"finally: print([name for name in {_HEAVY!r} if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.splitlines()[-1] == "[]", done.stderr

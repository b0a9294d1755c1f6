"""The rooms of the command line, each imported when one of its commands is called: `--help` needs none."""

from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_group

from strongroom.cli.contents import CONTENTS


def load_room(name: str) -> dict[str, Any]:
    """Return a room's commands, by name and in its order."""
    app = typer.Typer(rich_markup_mode=None)
    app.callback()(_nothing)
    import_module(f"strongroom.cli.{name}").add_to(app)
    return dict(get_group(app).commands)


def _nothing() -> None:
    pass


class LazyRooms(TyperGroup):
    """Lists what `contents.CONTENTS` says, and asks a room only for what is called."""

    def list_commands(self, ctx: Any) -> list[str]:
        return [name for commands in CONTENTS.values() for name in commands]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        room = next((room for room, commands in CONTENTS.items() if cmd_name in commands), None)
        return None if room is None else load_room(room).get(cmd_name)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        listed = {name: text for commands in CONTENTS.values() for name, text in commands.items()}
        with formatter.section("Commands"):
            formatter.write_dl(list(listed.items()))

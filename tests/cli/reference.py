"""What `docs/cli.md` must say of each command, taken from the command line itself."""

from collections.abc import Iterator
from typing import Any

from typer import Context
from typer.main import get_command

from strongroom.cli.app import app
from strongroom.cli.desk import _COMMON

_COMMON_OPTIONS = frozenset(f"--{name.replace('_', '-')}" for name in _COMMON) | {"--json"}


def commands() -> dict[str, Any]:
    """Every command by its full name, ``strongroom log verify`` and so on."""
    return dict(_walk("strongroom", get_command(app)))


def build_head(name: str, command: Any) -> str:
    """The heading, the help text and the table of a command's own parameters."""
    rows = [_row(each) for each in command.params if not _COMMON_OPTIONS & set(each.opts)]
    table = ["| | |", "|---|---|", *rows, ""] if rows else []
    text = " ".join(command.help.split())
    return "\n".join([f"### {name}", "", text, "", *table])


def build_common(command: Any) -> str:
    """The table of the options that every command has."""
    rows = [_row(each) for each in command.params if _COMMON_OPTIONS & set(each.opts)]
    return "\n".join(["| | |", "|---|---|", *rows, ""])


def _walk(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    if not hasattr(command, "list_commands"):
        yield name, command
        return
    context = Context(command)
    for word in command.list_commands(context):
        yield from _walk(f"{name} {word}", command.get_command(context, word))


def _row(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        shown = (parameter.metavar or parameter.name).upper()
    else:
        shown = parameter.opts[0]
    text = parameter.help or ""
    if parameter.required:
        text += " (required)"
    elif parameter.default and not isinstance(parameter.default, bool):
        text += f" [default: {parameter.default}]"
    return f"| `{shown}` | {' '.join(text.split())} |"

"""The command line put together, and how its failures end."""

import os
import signal
import sys
from typing import Annotated, Any, NoReturn

import orjson
import typer

from strongroom import __version__
from strongroom.cli.desk import printable
from strongroom.cli.hardening import harden
from strongroom.cli.rooms import LazyRooms
from strongroom.errors import StrongroomError

BUG_EXIT_CODE = 70
"""EX_SOFTWARE of sysexits.h: a failure that is not one of ours."""
INTERRUPTED_EXIT_CODE = 130

app = typer.Typer(
    name="strongroom",
    cls=LazyRooms,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    help="Keeps a machine-learning model secret, genuine and available from hand-over to answer.",
)


def _version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"strongroom {__version__}\n")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options of the program itself."""


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run one command; exit 0, or as the family of the failure says (`strongroom.errors`)."""
    given = sys.argv[1:] if arguments is None else arguments
    harden()
    try:
        code = app(given, standalone_mode=False, prog_name="strongroom")
        sys.stdout.flush()
    except StrongroomError as error:
        _tell(error, as_json="--json" in given)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED_EXIT_CODE)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)
    except Exception as error:
        _end_otherwise(error)
    finally:
        _let_go_of_notes()
    sys.exit(code if isinstance(code, int) else 0)


def _let_go_of_notes() -> None:
    """Nobody may be reading what we note any more; the interpreter would end with its own code over that."""
    try:
        sys.stderr.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


def _tell(error: StrongroomError, *, as_json: bool) -> None:
    if as_json:
        described: dict[str, Any] = {"family": error.family, "message": error.message, "hint": error.hint}
        described = {name: text and printable(text) for name, text in described.items()}
        sys.stdout.write(orjson.dumps({"error": described}).decode() + "\n")
        return
    sys.stderr.write(f"error: {printable(error.message)}\n")
    if error.hint:
        sys.stderr.write(f"hint: {printable(error.hint)}\n")


def _end_otherwise(error: Exception) -> NoReturn:
    """Usage errors of the argument parser read like ours; anything else is a bug and says only what kind."""
    code = getattr(error, "exit_code", None)
    if isinstance(code, int):
        explain = getattr(error, "format_message", None)
        message = explain() if callable(explain) else str(error)
        message = message.replace("Value error, ", "", 1)
        context = getattr(error, "ctx", None)
        if type(error).__name__ == "NoArgsIsHelpError":
            sys.stderr.write(f"{message}\n")
            sys.exit(code)
        if message:
            sys.stderr.write(f"error: {printable(message[0].lower() + message[1:].rstrip('.'))}\n")
        if context is not None:
            sys.stderr.write(f"hint: {context.command_path} --help\n")
        sys.exit(code)
    if os.environ.get("STRONGROOM_TRACEBACK"):
        raise error
    sys.stderr.write(
        f"error: unexpected {type(error).__name__}; this is a bug\n"
        "hint: set STRONGROOM_TRACEBACK=1 to see where, and report it as SECURITY.md says\n"
    )
    sys.exit(BUG_EXIT_CODE)

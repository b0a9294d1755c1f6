"""What every command shares: its common options, where its home and passphrase come from, how it prints."""

import inspect
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from getpass import getpass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from rich.table import Table
from rich.text import Text

from strongroom.errors import DeniedError, InvalidError
from strongroom.values import inert_cell

if TYPE_CHECKING:
    from strongroom.sdk.home import Strongroom

PASSPHRASE_FILE_VARIABLE = "STRONGROOM_PASSPHRASE_FILE"  # noqa: S105 - names a file, is no secret
MAX_PASSPHRASE_BYTES = 4096

_COMMON: dict[str, Any] = {
    "home": Annotated[
        Path | None,
        typer.Option(help="The home to work in.  [default: $STRONGROOM_HOME or ~/.strongroom]"),
    ],
    "identity": Annotated[str | None, typer.Option(help="Who acts.  [default: the home's own]")],
    "passphrase_file": Annotated[
        Path | None,
        typer.Option(help=f"File whose first line opens the keystore.  [or ${PASSPHRASE_FILE_VARIABLE}]"),
    ],
    "passphrase_fd": Annotated[int | None, typer.Option(help="Open descriptor to read the passphrase from.")],
    "json_output": Annotated[bool, typer.Option("--json", help="Print one JSON value.")],
}

_PRINTING = ("json_output",)
_NOTHING: dict[str, Any] = dict.fromkeys(_COMMON)

DryRun = Annotated[bool, typer.Option("--dry-run", help="Check everything, change nothing.")]


@dataclass
class Desk:
    """One invocation."""

    home: Path | None
    identity: str | None
    passphrase_file: Path | None
    passphrase_fd: int | None
    json_output: bool

    def __post_init__(self) -> None:
        self.console = Console(highlight=False, soft_wrap=True, markup=False, emoji=False)
        self.notes = Console(stderr=True, highlight=False, soft_wrap=True, markup=False, emoji=False)

    def open(self) -> "Strongroom":
        from strongroom.sdk.home import Strongroom  # the largest import; help and scan do without

        given = self.passphrase_fd is not None or self.passphrase_file or _passphrase_file_of_environment()
        return Strongroom(
            self.home,
            acting=self.identity,
            passphrase=self.passphrase() if given else self.passphrase,
            ask=_ask if sys.stdin.isatty() else None,
        )

    def passphrase(self) -> str:
        """From a descriptor, a file or a prompt; never from the command line (I9)."""
        if self.passphrase_fd is not None:
            return _first_line(self.passphrase_fd, f"descriptor {self.passphrase_fd}")
        path = self.passphrase_file or _passphrase_file_of_environment()
        if path:
            return _read_passphrase_file(path)
        if not sys.stdin.isatty():
            raise DeniedError(
                "keystore: needs its passphrase and there is no terminal to ask at",
                hint="use --passphrase-file FILE or --passphrase-fd N",
            )
        return getpass("Passphrase: ")

    def new_passphrase(self) -> str:
        """As `passphrase`, asked twice at a prompt."""
        first = self.passphrase()
        prompted = self.passphrase_fd is None and not (
            self.passphrase_file or _passphrase_file_of_environment()
        )
        if prompted and getpass("Again: ") != first:
            raise InvalidError("passphrase: the two differ")
        return first

    def show(self, value: Any, *lines: str) -> None:
        """Print ``value`` as JSON if asked for, else ``lines``."""
        if self.json_output:
            self.print_json(value)
        else:
            for line in lines:
                self.console.print(printable(line))

    def note(self, text: str) -> None:
        """Print a line beside the output, on stderr."""
        self.notes.print(printable(text))

    def print_json(self, value: Any) -> None:
        text = orjson.dumps(_encodable(value), option=orjson.OPT_INDENT_2, default=str)
        sys.stdout.write(text.decode() + "\n")

    def table(self, columns: list[str], rows: list[list[str]], empty: str) -> None:
        """Aligned columns in colour on a terminal, tab-separated lines with inert cells otherwise."""
        if not rows:
            self.note(empty)
            return
        rows = [[printable(cell) for cell in row] for row in rows]
        if not self.console.is_terminal:
            for row in [columns, *rows]:
                sys.stdout.write("\t".join(map(inert_cell, row)) + "\n")
            return
        table = Table(box=None, header_style="bold", pad_edge=False)
        for column in columns:
            table.add_column(column)
        for row in rows:
            table.add_row(*map(Text, row))
        self.console.print(table)

    @contextmanager
    def progress(self, what: str, total_bytes: int | None) -> Iterator[Callable[[int], None]]:
        """A progress bar on a terminal; nothing elsewhere. Yields what takes the bytes done since last."""
        with Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            console=self.notes,
            transient=True,
            disable=self.json_output or not self.notes.is_terminal,
        ) as bar:
            task = bar.add_task(what, total=total_bytes)
            yield lambda done: bar.advance(task, done)


def command(
    app: typer.Typer, name: str, *, home: bool = True, **options: Any
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register a function whose first parameter is the `Desk`; the common options are added to its own.

    ``home``: whether the command works in one; otherwise only the options about printing are added.
    """
    shared = _COMMON if home else {key: _COMMON[key] for key in _PRINTING}

    def register(function: Callable[..., None]) -> Callable[..., None]:
        own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
        common = [
            inspect.Parameter(
                key,
                inspect.Parameter.KEYWORD_ONLY,
                default=False if key == "json_output" else None,
                annotation=annotation,
            )
            for key, annotation in shared.items()
        ]

        @wraps(function)
        def run(**arguments: Any) -> None:
            desk = Desk(**{**_NOTHING, **{key: arguments.pop(key) for key in shared}})
            function(desk, **arguments)

        keywords = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in own]
        run.__signature__ = inspect.Signature([*keywords, *common])  # type: ignore[attr-defined]
        run.__annotations__ = {each.name: each.annotation for each in [*keywords, *common]}
        app.command(name, **options)(run)
        return function

    return register


def printable(text: str) -> str:
    """Return ``text`` with all that a terminal or a reader of lines and tabs would act on spelled out.

    Names of files, reasons and what a model calls its tensors are other people's words.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _spelled_out(char) for char in text)


def _spelled_out(char: str) -> str:
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _encodable(value: Any) -> Any:
    """Return ``value`` with halves of surrogate pairs, as in file names that are not UTF-8, spelled out."""
    match value:
        case str():
            return value.encode("utf-8", "backslashreplace").decode()
        case dict():
            return {key: _encodable(item) for key, item in value.items()}
        case list() | tuple():
            return [_encodable(item) for item in value]
        case _:
            return value


def _ask(secret: str) -> str:
    return getpass(f"{secret[:1].upper()}{secret[1:]}: ")


def _passphrase_file_of_environment() -> Path | None:
    path = os.environ.get(PASSPHRASE_FILE_VARIABLE)
    return Path(path) if path else None


def _read_passphrase_file(path: Path) -> str:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise InvalidError(f"{path}: {(error.strerror or 'cannot be read').lower()}") from None
    try:
        return _first_line(descriptor, str(path))
    finally:
        os.close(descriptor)


def _first_line(descriptor: int, name: str) -> str:
    try:
        data = b""
        while len(data) <= MAX_PASSPHRASE_BYTES and b"\n" not in data:
            part = os.read(descriptor, MAX_PASSPHRASE_BYTES + 1)
            if not part:
                break
            data += part
        line = data.partition(b"\n")[0]
        if not line or len(line) > MAX_PASSPHRASE_BYTES:
            raise InvalidError(f"{name}: holds no passphrase")
        return line.decode().removesuffix("\r")
    except (OSError, OverflowError, UnicodeDecodeError):
        raise InvalidError(f"{name}: the passphrase cannot be read") from None

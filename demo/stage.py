"""What the demonstration prints: one line a step, one line an attack, a table at the end."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table

from strongroom.errors import StrongroomError

PLAIN_WIDTH = 200


@dataclass(frozen=True)
class Outcome:
    """How one attack ended."""

    stopped: bool
    by: str
    """What stopped it, or what it got."""
    record: str = ""
    """Where the log shows it."""


@dataclass(frozen=True)
class Attempt:
    """One line of the final table."""

    act: str
    name: str
    expected_to_work: bool
    outcome: Outcome

    @property
    def as_it_should(self) -> bool:
        return self.outcome.stopped is not self.expected_to_work


@dataclass
class Stage:
    """Colour on a terminal, plain text elsewhere."""

    console: Console = field(default_factory=lambda: _console())
    attempts: list[Attempt] = field(default_factory=list)
    _act: str = ""
    _started: float = field(default_factory=time.monotonic)

    def act(self, title: str, about: str) -> None:
        self._act = title
        self.console.print(f"\n[bold]{title}[/bold]  {about}")

    @contextmanager
    def step(self, what: str) -> Iterator[Callable[[str], None]]:
        """Say what is being done; the yielded function adds what came of it."""
        notes: list[str] = []
        started = time.monotonic()
        with self.console.status(what) if self.console.is_terminal else _quiet():
            yield notes.append
        self.console.print(f"  [green]✓[/green] {what} [dim]({time.monotonic() - started:.1f} s)[/dim]")
        for note in notes:
            self.console.print(f"      {note}", style="dim", markup=False)

    def attack(self, name: str, run: Callable[[], Outcome], *, works: bool = False) -> None:
        """Try an attack. One that ends in a way nobody foresaw counts as not stopped."""
        try:
            outcome = run()
        except StrongroomError as error:
            outcome = Outcome(False, f"ended unexpectedly: {error.message}")
        attempt = Attempt(self._act, name, works, outcome)
        self.attempts.append(attempt)
        colour = "green" if attempt.as_it_should else "bold red"
        word = "stopped" if outcome.stopped else "WORKS"
        self.console.print(f"  [{colour}]{word:7}[/{colour}] {name}")
        self.console.print(f"          {outcome.by}", style="dim", markup=False)
        if outcome.record:
            self.console.print(f"          log: {outcome.record}", style="dim", markup=False)

    def finish(self) -> int:
        """Print the table; return the exit code: 1 if any attempt ended as it should not."""
        table = Table(title="Before and after", box=None, header_style="bold", pad_edge=False)
        for column in ("", "attempt", "outcome", "by"):
            table.add_column(column)
        for attempt in self.attempts:
            colour = "green" if attempt.as_it_should else "bold red"
            table.add_row(
                attempt.act,
                attempt.name,
                f"[{colour}]{'stopped' if attempt.outcome.stopped else 'WORKS'}[/{colour}]",
                attempt.outcome.by.replace("[", "\\["),
            )
        self.console.print()
        self.console.print(table)
        wrong = [attempt for attempt in self.attempts if not attempt.as_it_should]
        stopped = sum(attempt.outcome.stopped for attempt in self.attempts if not attempt.expected_to_work)
        against = sum(not attempt.expected_to_work for attempt in self.attempts)
        took = time.monotonic() - self._started
        self.console.print(f"\n{stopped} of {against} attacks on Strongroom stopped, in {took:.0f} s")
        for attempt in wrong:
            self.console.print(
                f"NOT AS IT SHOULD BE: {attempt.act}: {attempt.name}", style="bold red", markup=False
            )
        return 1 if wrong else 0


def _console() -> Console:
    """On a terminal as wide as it is; elsewhere wide enough for a line of the table."""
    console = Console(highlight=False, soft_wrap=True)
    return console if console.is_terminal else Console(highlight=False, soft_wrap=True, width=PLAIN_WIDTH)


@contextmanager
def _quiet() -> Iterator[None]:
    yield

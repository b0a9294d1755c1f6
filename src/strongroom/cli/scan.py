"""scan: what a file or folder holds; needs no home and loads nothing."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from strongroom import __version__
from strongroom.cli.desk import Desk, command, printable
from strongroom.errors import InvalidError, OutageError, RejectedError
from strongroom.scan.report_json import report_to_json
from strongroom.scan.sarif import report_to_sarif
from strongroom.scan.upload import Report, Verdict
from strongroom.sdk.scanning import Scanned, scan_path
from strongroom.values import Severity

_LEVELS = ("low", "medium", "high", "critical")
_NEVER = "never"


def add_to(app: typer.Typer) -> None:
    """Add this file's commands."""
    command(app, "scan", home=False)(scan)


def scan(
    desk: Desk,
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Files or folders.")],
    sarif: Annotated[
        Path | None, typer.Option(help="Also write SARIF 2.1.0, for code hosts; '-' is stdout.")
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Also write a page for reviewers.")] = None,
    fail_on: Annotated[
        str, typer.Option(help=f"Least severity that fails: {', '.join(_LEVELS)}; or {_NEVER}.")
    ] = "high",
    jobs: Annotated[int | None, typer.Option(min=1, help="Processes.  [default: one a core]")] = None,
    follow_links: Annotated[
        bool, typer.Option("--follow-links", help="Scan what symbolic links to files point to.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only the exit code, and errors.")] = False,
) -> None:
    """Scan models and what lies beside them. Exit code 4: something was refused."""
    if fail_on not in (*_LEVELS, _NEVER):
        raise InvalidError(
            f"--fail-on: {fail_on!r} is not a severity", hint=f"one of {', '.join((*_LEVELS, _NEVER))}"
        )
    scanned = [(path, _scan_one(desk, path, jobs, follow_links)) for path in paths]
    report = _join(scanned)
    if sarif is not None:
        _write(sarif, orjson.dumps(report_to_sarif(report, __version__), option=orjson.OPT_INDENT_2))
    if html is not None:
        from strongroom.scan.report_page import report_to_html

        _write(html, report_to_html(report, ", ".join(map(str, paths)), __version__).encode())
    if desk.json_output:
        desk.print_json(report_to_json(report))
    elif not quiet and sarif != Path("-"):
        _show(desk, report, [folder for _, each in scanned for folder in each.skipped])
    if _is_failed(report, fail_on):
        raise typer.Exit(RejectedError.exit_code)


def _scan_one(desk: Desk, path: Path, jobs: int | None, follow_links: bool) -> Scanned:
    with Progress(
        TextColumn("scanning {task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[current]}"),
        console=desk.notes,
        transient=True,
        disable=desk.json_output or not desk.notes.is_terminal,
    ) as bar:
        bar.stop()  # its thread would forbid forking; see `begin`

        def begin(files: int, _size_bytes: int) -> Callable[[str], None]:
            task = bar.add_task(printable(str(path)), total=files, current="")
            bar.start()
            return lambda done: bar.update(task, advance=1, current=printable(done)[-40:])

        return scan_path(path, jobs=jobs, follow_links=follow_links, start=begin)


def _join(scanned: list[tuple[Path, Scanned]]) -> Report:
    """One report over several paths; with more than one, files are named under the path as it was given."""
    if len(scanned) == 1:
        return scanned[0][1].report
    return Report.join([(str(path), each.report) for path, each in scanned])


def _write(path: Path, data: bytes) -> None:
    if path == Path("-"):
        sys.stdout.write(data.decode() + "\n")
        return
    try:
        path.write_bytes(data)
    except OSError as error:
        raise OutageError(f"{path}: {(error.strerror or 'cannot be written').lower()}") from None


def _show(desk: Desk, report: Report, skipped: list[str]) -> None:
    for match in report.matches:
        rule = match.rule
        desk.show(None, f"{rule.severity.value.upper():8}  {match.place}")
        desk.show(None, f"          {match.message}  [{rule.id}]", f"          fix: {match.fix or rule.fix}")
    if report.dropped:
        desk.note(f"{report.dropped} more findings were not kept")
    for folder in skipped:
        desk.note(f"{folder}: not scanned, it belongs to version control")
    desk.show(None, _summary(report))


def _summary(report: Report) -> str:
    counts: dict[Any, int] = {}
    for match in report.matches:
        counts[match.rule.severity] = counts.get(match.rule.severity, 0) + 1
    shown = ", ".join(f"{counts[level]} {level}" for level in reversed(Severity) if level in counts)
    files = f"{len(report.files)} file{'' if len(report.files) == 1 else 's'}"
    word = {
        Verdict.ACCEPTED: "accepted",
        Verdict.DOUBTFUL: "doubtful: a reviewer should look",
        Verdict.REFUSED: "REFUSED",
    }[report.verdict]
    return f"{files}: {word}" + (f" ({shown})" if shown else "")


def _is_failed(report: Report, fail_on: str) -> bool:
    if fail_on == _NEVER:
        return False
    least = _LEVELS.index(fail_on)
    return any(_LEVELS.index(str(match.rule.severity)) >= least for match in report.matches)

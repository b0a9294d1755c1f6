"""scan PATH, which needs no home and loads nothing; scan list, show and report on what is in quarantine."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from typer.core import TyperGroup

from strongroom import __version__
from strongroom.cli.desk import Desk, DryRun, command, printable
from strongroom.errors import InvalidError, OutageError, RejectedError
from strongroom.scan.opinions import Opinion
from strongroom.scan.report_json import match_to_json, report_to_json, rule_to_json
from strongroom.scan.rule import RULES_VERSION
from strongroom.scan.sarif import report_to_sarif
from strongroom.scan.upload import Report, Verdict
from strongroom.sdk.scanning import Scanned, scan_path, second_opinions
from strongroom.values import Severity

if TYPE_CHECKING:
    from strongroom.flows.rescan import Rescanned
    from strongroom.trust.standing import QuarantineRecord

_LEVELS = ("low", "medium", "high", "critical")
_NEVER = "never"
_DEFAULT = "files"
Ticket = Annotated[str, typer.Argument(metavar="TICKET", help="From `strongroom scan list`.")]


class _ScanGroup(TyperGroup):
    """``scan PATH`` is ``scan files PATH``; a file that is called as a command is reached as ``./list``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = [_DEFAULT, *args]
        return super().parse_args(ctx, args)


def add_to(app: typer.Typer) -> None:
    """Add this file's commands."""
    group = typer.Typer(
        cls=_ScanGroup,
        no_args_is_help=True,
        help="What is hidden in model files, and what is in quarantine. `scan PATH` is `scan files PATH`.",
    )
    command(group, _DEFAULT)(scan)
    command(group, "list")(list_quarantined)
    command(group, "show")(show)
    command(group, "report")(report_on)
    command(group, "resubmit")(resubmit)
    command(group, "rules", home=False)(rules)
    app.add_typer(group, name="scan")
    command(app, "waive")(waive)
    command(app, "rescan")(rescan)


def scan(
    desk: Desk,
    paths: Annotated[list[Path] | None, typer.Argument(metavar="PATH...", help="Files or folders.")] = None,
    store: Annotated[
        bool, typer.Option("--store", help="Scan what the home keeps instead, as `strongroom rescan` does.")
    ] = False,
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
    second_opinion: Annotated[
        bool,
        typer.Option(
            "--second-opinion", help="Also ask fickling and modelaudit; what they say decides nothing."
        ),
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only the exit code, and errors.")] = False,
) -> None:
    """Scan models and what lies beside them. Exit code 4: something was refused."""
    if fail_on not in (*_LEVELS, _NEVER):
        raise InvalidError(
            f"--fail-on: {fail_on!r} is not a severity", hint=f"one of {', '.join((*_LEVELS, _NEVER))}"
        )
    if store == bool(paths):
        raise InvalidError("scan: needs either paths or --store", hint="strongroom scan --help")
    if store:
        return _rescan_all(desk, [], outdated=False, fail_on=fail_on)
    scanned = [(path, _scan_one(desk, path, jobs, follow_links)) for path in paths or ()]
    report = _join(scanned)
    opinions = [one for path, each in scanned for one in _ask_others(path, each, wanted=second_opinion)]
    if sarif is not None:
        _write(sarif, orjson.dumps(report_to_sarif(report, __version__), option=orjson.OPT_INDENT_2))
    if html is not None:
        from strongroom.scan.report_page import report_to_html

        _write(html, report_to_html(report, ", ".join(map(str, paths or ())), __version__).encode())
    if desk.json_output:
        told = {"second_opinions": [one.to_json() for one in opinions]} if second_opinion else {}
        desk.print_json({**report_to_json(report), **told})
    elif not quiet and sarif != Path("-"):
        _show(desk, report, [folder for _, each in scanned for folder in each.skipped])
        _show_opinions(desk, opinions)
    if _is_failed(report, fail_on):
        raise typer.Exit(RejectedError.exit_code)
    return None


def list_quarantined(desk: Desk) -> None:
    """Uploads that were refused or doubted, as far as you may read them."""
    kept = desk.open().quarantined()
    if desk.json_output:
        desk.print_json([_kept_to_json(one) for one in kept])
        return
    desk.table(
        ["ticket", "model", "by", "kept", "digest"],
        [
            [
                one.ticket,
                str(one.model),
                one.publisher,
                f"{one.kept_at:%Y-%m-%d %H:%M}",
                str(one.manifest)[:19],
            ]
            for one in kept
        ],
        "nothing is in quarantine that you may see",
    )


def show(desk: Desk, ticket: Ticket) -> None:
    """What was found in an upload that is in quarantine, and how to go on."""
    kept = desk.open().show_quarantined(ticket)
    report = kept.report
    lines = [
        f"{'ticket':13} {kept.record.ticket}",
        f"{'model':13} {kept.record.model}",
        f"{'handed over':13} by {kept.record.publisher} at {kept.record.kept_at:%Y-%m-%d %H:%M:%S}",
        f"{'owner':13} {kept.owner}",
        f"{'digest':13} {kept.record.manifest}",
        f"{'verdict':13} {report['verdict']}, by rules {report['rules']}",
    ]
    for found in report["findings"]:
        pass_by = (
            f"strongroom waive {ticket} {found['id']} --reason WHY" if found["waivable"] else "no waiver"
        )
        lines += [
            "",
            f"{found['severity'].upper():8}  {found['where']}",
            f"          {found['message']}  [{found['rule']}]",
            f"          why: {found['why']}",
            f"          fix: {found['fix']}",
            f"          {pass_by}",
        ]
    desk.show({**_kept_to_json(kept.record), "owner": kept.owner, "report": report}, *lines)


def report_on(
    desk: Desk,
    ticket: Ticket,
    html: Annotated[Path, typer.Option(help="Write a page for reviewers; '-' is stdout.")],
) -> None:
    """Write the report on an upload in quarantine as one page."""
    from strongroom.scan.report_page import stored_report_to_html

    kept = desk.open().show_quarantined(ticket)
    facts = {
        "Model": str(kept.record.model),
        "Handed over by": kept.record.publisher,
        "At": f"{kept.record.kept_at:%Y-%m-%d %H:%M} UTC",
        "Owner": kept.owner,
        "Digest": str(kept.record.manifest),
        "Ticket": kept.record.ticket,
    }
    page = stored_report_to_html(kept.report, str(kept.record.model), __version__, facts)
    _write(html, page.encode())
    if html != Path("-"):
        desk.show({"ticket": ticket, "page": str(html)}, f"{html}  written")


def resubmit(
    desk: Desk,
    ticket: Ticket,
    owner: Annotated[str | None, typer.Option(help="Who answers for it.  [default: as it was]")] = None,
    dry_run: DryRun = False,
) -> None:
    """Publish what is in quarantine, as it was handed over, now that its findings are waived."""
    from strongroom.cli.models import show_published

    room = desk.open()
    room.unlock()
    with desk.progress(f"sealing {ticket}", None) as progress:
        made = room.publish_quarantined(ticket, owner=owner, progress=progress, dry_run=dry_run)
    show_published(desk, made, dry_run=dry_run)


def rules(desk: Desk) -> None:
    """Every rule with its severity, what it is for, and whether it may be waived."""
    from strongroom.scan.catalogue import RULES  # all scanners, which other commands do not need

    known = sorted(RULES.values(), key=lambda rule: rule.id)
    if desk.json_output:
        desk.print_json({"version": RULES_VERSION, "rules": [rule_to_json(rule) for rule in known]})
        return
    desk.table(
        ["rule", "severity", "waivable", "title"],
        [[each.id, str(each.severity), "yes" if each.waivable else "no", each.title] for each in known],
        "no rules",
    )


def waive(
    desk: Desk,
    ticket: Ticket,
    finding: Annotated[str, typer.Argument(metavar="FINDING", help="Its id, from `strongroom scan show`.")],
    reason: Annotated[str, typer.Option(help="Why it may pass; stands in the log.")],
    duration: Annotated[str, typer.Option("--for", help="How long: 8h, 30d; a year at most.")] = "90d",
    dry_run: DryRun = False,
) -> None:
    """Let one finding pass, in these bytes only. Not in what one handed over oneself."""
    from strongroom.cli.people import parse_duration

    lasts = parse_duration(duration)
    index = desk.open().waive(ticket, finding, reason, lasts=lasts, dry_run=dry_run)
    outcome = "would be waived" if dry_run else f"waived, log record {index}"
    desk.show(
        {"ticket": ticket, "finding": finding, "log_index": None if dry_run else index, "dry_run": dry_run},
        f"{ticket}  {finding} {outcome}",
        *([] if dry_run else [f"next     strongroom scan resubmit {ticket}"]),
    )


def rescan(
    desk: Desk,
    models: Annotated[list[str] | None, typer.Argument(metavar="MODEL...", help="family@version")] = None,
    outdated: Annotated[
        bool, typer.Option("--outdated", help="Only what other rules than today's judged.")
    ] = False,
) -> None:
    """Judge published versions again, by today's rules; exit 4 if one would be refused now."""
    _rescan_all(desk, models or [], outdated=outdated, fail_on="medium")


def _rescan_all(desk: Desk, models: list[str], *, outdated: bool, fail_on: str) -> None:
    from strongroom.sdk import running

    room = desk.open()
    room.unlock()
    chosen = models or [str(model) for model in room.versions_to_rescan(outdated=outdated)]
    serving = {model for one in running.find_running(room.home) for model in one.models}
    done = [room.rescan(model) for model in chosen]
    if desk.json_output:
        desk.print_json([_rescanned_to_json(one, serving) for one in done])
    else:
        for one in done:
            _show_rescanned(desk, one, serving)
        if not done:
            desk.note("nothing to scan again")
    if any(_is_failed(one.report, fail_on) or not one.is_sound for one in done):
        raise typer.Exit(RejectedError.exit_code)


def _show_rescanned(desk: Desk, one: "Rescanned", serving: set[str]) -> None:
    model = str(one.record.model)
    found = (*one.report.matches, *one.packages)
    where = ", which is BEING SERVED" if model in serving and not one.is_sound else ""
    desk.show(None, f"{model}  {one.report.verdict}{where}")
    for match in found:
        desk.show(None, f"  {match.rule.severity.value.upper():8}  {match.place}: {match.message}")
    if not one.is_sound:
        desk.show(None, f"  next      strongroom revoke {model} --reason WHY")


def _rescanned_to_json(one: "Rescanned", serving: set[str]) -> dict[str, Any]:
    return {
        "model": str(one.record.model),
        "digest": str(one.record.manifest),
        "serving": str(one.record.model) in serving,
        "judged_by": one.judged_by,
        "sound": one.is_sound,
        "report": report_to_json(one.report),
        "packages": [match_to_json(each) for each in one.packages],
    }


def _kept_to_json(one: "QuarantineRecord") -> dict[str, Any]:
    return {
        "ticket": one.ticket,
        "model": str(one.model),
        "publisher": one.publisher,
        "kept_at": one.kept_at.isoformat(),
        "digest": str(one.manifest),
        "log_index": one.log_index,
    }


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


def _ask_others(path: Path, scanned: Scanned, *, wanted: bool) -> list[Opinion]:
    return second_opinions(path, scanned.report) if wanted else []


def _show_opinions(desk: Desk, opinions: list[Opinion]) -> None:
    for one in opinions:
        desk.show(None, f"second opinion, not deciding: {one.tool} on {one.path}: {one.says}")
        for words in one.words:
            desk.show(None, f"          {words}")


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

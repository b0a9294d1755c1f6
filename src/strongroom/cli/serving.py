"""serve, predict and receipt: a model's answers."""

import os
import ssl
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from strongroom.cli.desk import Desk, command
from strongroom.errors import InvalidError
from strongroom.sdk import running
from strongroom.sdk.home import read_json, verify_receipt
from strongroom.serve.supervisor.supervise import Notices, Supervisor
from strongroom.trust.receipt import ReceiptFacts
from strongroom.wiring import JOURNALS, TRUST_ROOT


def add_to(app: typer.Typer) -> None:
    """Add this file's commands."""
    command(app, "serve")(serve)
    command(app, "predict")(predict)
    receipt = typer.Typer(no_args_is_help=True, help="Proof of what was answered, checked offline.")
    command(receipt, "verify")(verify)
    command(receipt, "complete")(complete)
    app.add_typer(receipt, name="receipt")


def serve(
    desk: Desk,
    models: Annotated[list[str], typer.Argument(metavar="MODEL", help="Families, or family@version.")],
    host: Annotated[str | None, typer.Option(help="Address to listen on.  [default: settings]")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.  [default: settings]")
    ] = None,
) -> None:
    """Serve approved models over TLS 1.3 to clients with certificates, until interrupted."""
    room = desk.open()
    vault = room.unlock()
    given = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    settings = room.settings.model_copy(update={"serve": room.settings.serve.model_copy(update=given)})
    with running.Announcement(room.home) as announcement:

        def ready(bound_host: str, bound_port: int) -> None:
            name = settings.serve.names[0] if settings.serve.names else bound_host
            announcement.say(
                running.Running(
                    pid=os.getpid(),
                    name=name,
                    port=bound_port,
                    models=[str(served.model) for served in supervisor.served()],
                    sandbox=supervisor.sandbox(),
                    tls=ssl.OPENSSL_VERSION,
                )
            )
            _tell_ready(desk, room.acting, name, bound_port, supervisor)

        supervisor = Supervisor(
            vault,
            settings,
            room.acting,
            str(room.home / JOURNALS),
            models,
            Notices(ready, lambda text: _note(desk, text)),
        )
        supervisor.run()
    _note(desk, "stopped")


def predict(
    desk: Desk,
    model: Annotated[str, typer.Argument(help="Family, or family@version.")],
    input_file: Annotated[
        Path, typer.Option("--input", help="JSON: a list of rows (objects by input name, or plain lists).")
    ],
    url: Annotated[str | None, typer.Option(help="Where.  [default: what this home serves]")] = None,
    receipt: Annotated[
        Path | None, typer.Option(help="Write the signed receipt with request and answer here.")
    ] = None,
) -> None:
    """Call a served model as the acting identity."""
    rows = read_json(input_file)
    if not isinstance(rows, list):
        raise InvalidError(f"{input_file}: is not a list of rows")
    if receipt is not None and receipt.exists():
        raise InvalidError(f"{receipt}: exists already")
    answer = desk.open().predict(model, rows, url=url, receipt=receipt is not None)
    if receipt is not None:
        _write_json(receipt, answer.evidence)
    if desk.json_output:
        desk.print_json(
            {
                "model": f"{answer.model}@{answer.version}",
                "outputs": answer.outputs,
                "record": answer.record,
                "receipt": str(receipt) if receipt is not None else None,
            }
        )
        return
    names = list(answer.outputs)
    desk.table(
        ["row", *names],
        [[str(number), *(_cell(row[name]) for name in names)] for number, row in enumerate(answer.rows())],
        "no rows in the answer",
    )
    desk.note(f"{answer.model}@{answer.version}, record {answer.record}")
    if receipt is not None:
        desk.note(f"receipt written; check it: strongroom receipt verify {receipt}")


def verify(
    desk: Desk,
    path: Annotated[Path, typer.Argument(metavar="RECEIPT", help="As `predict --receipt` wrote it.")],
    trust: Annotated[
        Path | None, typer.Option(help="trust.json of the home that served.  [default: this home's]")
    ] = None,
) -> None:
    """Check offline, with public keys only, who was answered what by which model."""
    root = trust or (desk.open().home / TRUST_ROOT)
    facts = verify_receipt(path, root)
    context = facts.context
    desk.show(
        _facts_to_json(facts),
        "receipt  verified: this request got this answer",
        f"model    {context.get('model')}  {context.get('digest')}",
        f"caller   {context.get('who')}",
        f"time     {facts.at.isoformat()}",
        f"rule     {context.get('rule')}",
        f"record   {facts.journal}-{facts.batch}"
        + (
            f", in the log as of record {facts.log_index}"
            if facts.log_index is not None
            else ", not folded yet"
        ),
    )


def complete(
    desk: Desk,
    path: Annotated[Path, typer.Argument(metavar="RECEIPT", help="As `predict --receipt` wrote it.")],
) -> None:
    """Add to a receipt the proof that the log holds it, once its batch is folded; rewrites the file."""
    completed = desk.open().complete_receipt(read_json(path))
    fresh = path.with_name(f"{path.name}.{os.getpid()}.new")
    _write_json(fresh, completed)
    try:
        fresh.replace(path)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        raise InvalidError(f"{path}: {(error.strerror or 'cannot be written').lower()}") from None
    desk.show({"receipt": str(path), "complete": True}, f"{path}  complete: it proves its place in the log")


def _tell_ready(desk: Desk, acting: str, name: str, port: int, supervisor: Supervisor) -> None:
    url = f"https://{name}:{port}"
    models = [str(served.model) for served in supervisor.served()]
    family = supervisor.served()[0].family
    if desk.json_output:
        # One line, so that whoever started us can wait for it.
        typer.echo(orjson.dumps({"ready": True, "url": url, "models": models, "pid": os.getpid()}))
        return
    missing = [f"{layer}: {state}" for layer, state in supervisor.sandbox().items() if state != "on"]
    desk.show(
        None,
        f"serving  {', '.join(models)} at {url}",
        *[f"sandbox  {line}" for line in missing],
        f"call it  strongroom predict {family} --input rows.json",
        f"or       strongroom identity export {acting} --to ./{acting}",
        f"         curl --cacert {acting}/ca.pem --cert {acting}/{acting}.pem --key {acting}/{acting}.key \\",
        f"              {url}/v2/models/{family}",
        "stop     Ctrl-C",
    )


def _note(desk: Desk, text: str) -> None:
    """Say it if anyone listens: a reader that is gone must not end the service, as rich would have it."""
    with suppress(OSError, SystemExit):
        desk.note(text)


def _facts_to_json(facts: ReceiptFacts) -> dict[str, Any]:
    return {
        "verified": True,
        "context": dict(facts.context),
        "time": facts.at.isoformat(),
        "rows": facts.rows,
        "status": facts.status,
        "journal": facts.journal,
        "batch": facts.batch,
        "log_index": facts.log_index,
        "log_size": facts.log_size,
    }


def _write_json(path: Path, value: Any) -> None:
    """Write a new file for this user only: it holds a request and its answer. A link is never followed."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
            file.write(orjson.dumps(value, option=orjson.OPT_INDENT_2) + b"\n")
    except OSError as error:
        raise InvalidError(f"{path}: {(error.strerror or 'cannot be written').lower()}") from None


def _cell(value: Any) -> str:
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, float):
        return f"{value:.6g}"
    return value if isinstance(value, str) else orjson.dumps(value).decode()

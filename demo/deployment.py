"""After: the same model kept by Strongroom, with real files, identities, certificates and processes."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from demo.stage import Stage
from strongroom import Client, Strongroom
from strongroom.errors import OutageError

PASSPHRASE = "a demonstration is not a secret"  # noqa: S105 - of a home that is deleted again
PUBLISHER, REVIEWER, CALLER, STRANGER = "alice", "bob", "carol", "mallory"
START_TIMEOUT_S = 60
HOST = "127.0.0.1"


@dataclass
class Deployment:
    """One home with four people, and what is served from it."""

    home: Path
    models: Path
    """Folder with fraud.onnx, tumour.onnx and their example rows."""
    exports: Path
    port: int = 0

    def as_(self, identity: str) -> Strongroom:
        return Strongroom(self.home, acting=identity, passphrase=PASSPHRASE)

    def rows(self, model: str) -> list[object]:
        return json.loads((self.models / f"{model}-rows.json").read_text())

    def client(self, identity: str) -> Client:
        folder = self.exports / identity
        return Client(
            f"https://{HOST}:{self.port}",
            ca=folder / "ca.pem",
            certificate=folder / f"{identity}.pem",
            key=folder / f"{identity}.key",
        )

    def newest_record(self) -> str:
        """The newest record of the log, as the auditor reads it."""
        *_, last = self.as_(PUBLISHER).log()
        event = last.event
        what = f"{event.actor} {event.action} {event.subject}: {event.decision}"
        return f"record {last.index}, {what}, {event.rule or event.reason}"

    def newest_request(self) -> str:
        """The newest record of the gateway's journal."""
        *_, last = self.as_(PUBLISHER).requests()
        context = last.context
        return (
            f"request {last.id[:8]}…{last.id[32:]}, {context.get('who') or 'unknown caller'} "
            f"{context.get('action')} {context.get('model') or ''}: {last.status} {context.get('decision')}"
            f" {context.get('rule')}"
        )


def establish(stage: Stage, folder: Path, models: Path) -> Deployment:
    """init, identities, publish, approve: each step as a person would take it."""
    deployment = Deployment(folder / "home", models, folder / "exports")
    stage.act("set up", "init, publish, approve by a second person")
    with stage.step("strongroom init") as note:
        alice = Strongroom.init(deployment.home, passphrase=PASSPHRASE, founder=PUBLISHER)
        note(f"keystore, certificate authority, signing key and log in {deployment.home.name}/")
    with stage.step("identity add: a reviewer, a caller, and a stranger without any role"):
        alice.add_identity(REVIEWER, roles=("reviewer",))
        alice.add_identity(CALLER)
        for family in ("fraud", "tumour"):
            alice.grant(CALLER, "consumer", family, duration=timedelta(hours=8), reason="demonstration")
        alice.add_identity(STRANGER)
    with stage.step("publish fraud@1.0.0, fraud@1.1.0 and tumour@1.0.0: sealed, inspected, signed") as note:
        for file, model in (
            ("fraud.onnx", "fraud@1.0.0"),
            ("fraud-1.1.onnx", "fraud@1.1.0"),
            ("tumour.onnx", "tumour@1.0.0"),
        ):
            made = alice.publish(models / file, model, owner="risk-team")
            note(f"{made.model}  {made.digest}")
    with stage.step("approve by the second person"):
        bob = deployment.as_(REVIEWER)
        for model in ("fraud@1.0.0", "fraud@1.1.0", "tumour@1.0.0"):
            bob.approve(model, "scores checked")
    for identity in (CALLER, STRANGER):
        alice.export_identity(identity, deployment.exports / identity)
    return deployment


@contextmanager
def serving(deployment: Deployment, *models: str) -> Iterator[None]:
    """Run ``strongroom serve`` as its own process; interrupted and waited for at the end."""
    reading, writing = os.pipe()
    os.write(writing, PASSPHRASE.encode() + b"\n")
    os.close(writing)
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "strongroom", "serve", *models),
            *("--home", str(deployment.home), "--host", HOST, "--port", "0"),
            *("--passphrase-fd", str(reading), "--json"),
        ],
        pass_fds=[reading],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(reading)
    try:
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        line = process.stdout.readline()
        if not line or "ready" not in line:
            process.wait(START_TIMEOUT_S)
            raise OutageError(
                f"serve: did not start: {line}{process.stderr.read() if process.stderr else ''}"
            )
        deployment.port = int(json.loads(line)["url"].rpartition(":")[2])
        yield
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(START_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()

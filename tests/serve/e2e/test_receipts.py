"""Receipts over the wire: inline, verified offline, completed once folded; the record is there first (I4)."""

import copy
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from strongroom import Strongroom
from strongroom.errors import InvalidError, RejectedError
from strongroom.sdk.home import verify_receipt
from tests.serve.e2e.deployment import ADMIN, CALLER, LINEAR, Deployment, Server, ask
from tests.serve.e2e.processes import wait_until


@pytest.fixture(scope="module")
def evidence(served: Server) -> dict[str, Any]:
    with served.client() as client:
        answer = client.predict("linear", [[1, 2, 3, 4]], receipt=True)
    assert answer.evidence is not None
    return answer.evidence


def test_receipt_proves_who_was_answered_what_by_which_model(
    served: Server, evidence: dict[str, Any]
) -> None:
    facts = verify_receipt(evidence, served.deployment.home / "trust.json")
    assert facts.status == 200
    assert facts.rows == 1
    assert facts.context["who"] == CALLER
    assert facts.context["model"] == "linear@1.1.0"
    assert facts.context["digest"] == str(
        served.deployment.as_(ADMIN).show("linear@1.1.0").statement.manifest_digest
    )


def test_receipt_verifies_by_command_with_nothing_but_the_trust_root(
    served: Server, evidence: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "receipt.json"
    trust = tmp_path / "trust.json"
    path.write_text(json.dumps(evidence))
    trust.write_bytes((served.deployment.home / "trust.json").read_bytes())
    command = [sys.executable, "-m", "strongroom", "receipt", "verify", str(path), "--trust", str(trust)]
    nowhere = {"HOME": str(tmp_path), "PATH": ""}
    done = subprocess.run([*command, "--json"], env=nowhere, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["context"]["who"] == CALLER
    changed = copy.deepcopy(evidence)
    changed["request"]["path"] = "/v2/models/other/infer"
    path.write_text(json.dumps(changed))
    assert subprocess.run(command, env=nowhere, capture_output=True, timeout=60).returncode == 4


@pytest.mark.parametrize(
    "change",
    [
        lambda one: one["request"].update(nonce="0" * 32),
        lambda one: one["request"].update(method="GET"),
        lambda one: one["request"].update(body="e30="),
        lambda one: one["answer"].update(body="e30="),
        lambda one: one["answer"].update(status=503),
        lambda one: one.update(receipt=one["receipt"][:-8] + "AAAAAAAA"),
        lambda one: one.update(receipt=""),
        lambda one: one.update(more=1),
    ],
    ids=["nonce", "method", "request", "answer", "status", "signature", "no receipt", "unknown name"],
)
def test_receipt_for_anything_else_is_rejected(
    served: Server, evidence: dict[str, Any], change: Callable[[dict[str, Any]], None]
) -> None:
    changed = copy.deepcopy(evidence)
    change(changed)
    with pytest.raises(RejectedError):
        verify_receipt(changed, served.deployment.home / "trust.json")


def test_receipt_of_another_home_is_rejected(
    evidence: dict[str, Any], tmp_path: Path, deployment: Deployment
) -> None:
    other = Strongroom.init(tmp_path / "other", passphrase="quite another passphrase", founder=ADMIN)
    with pytest.raises(RejectedError):
        verify_receipt(evidence, other.home / "trust.json")


def test_record_is_in_the_journal_before_the_client_has_its_answer(served: Server) -> None:
    connection = served.connect()
    reader = served.deployment.as_(ADMIN)
    for _ in range(5):
        status, _, headers = ask(connection, "linear", LINEAR)
        record = headers["Strongroom-Record"]
        found = [one for one in reader.requests() if one.id == record]
        assert (status, len(found)) == (200, 1)
        assert found[0].context["who"] == CALLER
    connection.close()


def test_denials_are_recorded_too(served: Server) -> None:
    connection = served.connect("mallory")
    status, _, headers = ask(connection, "linear", LINEAR)
    connection.close()
    assert status == 404
    (found,) = [
        one for one in served.deployment.as_(ADMIN).requests() if one.id == headers["Strongroom-Record"]
    ]
    assert (found.context["who"], found.context["decision"]) == ("mallory", "deny")


def test_receipt_is_completed_once_its_batch_is_folded(
    deployment: Deployment, serve: Callable[..., Server]
) -> None:
    deployment.set("[log]\nfold_interval_s = 2.0")
    server = serve("linear")
    with server.client() as client:
        evidence = client.predict("linear", [[1, 2, 3, 4]], receipt=True).evidence
    assert evidence is not None
    keeper = deployment.as_(ADMIN)

    def completed() -> dict[str, Any] | None:
        try:
            return keeper.complete_receipt(evidence)
        except InvalidError:
            return None

    whole = wait_until(completed, 20, "the batch is folded")
    facts = verify_receipt(whole, deployment.home / "trust.json")
    assert facts.log_index is not None
    assert facts.log_size is not None
    assert keeper.verify_log().size == facts.log_size
    assert server.stop() == 0
    # Still so when the gateway's journal has been set aside.
    again = verify_receipt(keeper.complete_receipt(evidence), deployment.home / "trust.json")
    assert again.log_index == facts.log_index


def test_receipt_is_completed_after_the_gateway_stopped(
    deployment: Deployment, serve: Callable[..., Server]
) -> None:
    server = serve("linear")
    with server.client() as client:
        evidence = client.predict("linear", [[1, 2, 3, 4]], receipt=True).evidence
    assert evidence is not None
    with pytest.raises(InvalidError, match="not in the log yet"):
        deployment.as_(ADMIN).complete_receipt(evidence)
    assert server.stop() == 0
    whole = deployment.as_(ADMIN).complete_receipt(evidence)
    assert verify_receipt(whole, deployment.home / "trust.json").log_index is not None

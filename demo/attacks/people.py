"""Attacks of insiders: people with a role who reach for more."""

from collections.abc import Callable

from demo.deployment import CALLER, PUBLISHER, REVIEWER, STRANGER, Deployment
from demo.stage import Outcome, Stage
from strongroom.errors import StrongroomError
from strongroom.flows.release import release
from strongroom.values import ModelId

CANDIDATE = "fraud@2.0.0"


def play(stage: Stage, deployment: Deployment) -> None:
    stage.act("insiders", "people of this home who reach for more than their role")
    alice, bob = deployment.as_(PUBLISHER), deployment.as_(REVIEWER)
    alice.publish(deployment.models / "fraud.onnx", CANDIDATE, owner="risk-team")

    def refused(name: str, act: Callable[[], object]) -> None:
        stage.attack(name, lambda: _try(deployment, act))

    refused("approve one's own upload", lambda: alice.approve(CANDIDATE))
    refused(
        "grant oneself the reviewer's role",
        lambda: alice.grant(PUBLISHER, "reviewer", reason="I would like to"),
    )
    refused(
        "upload as the reviewer",
        lambda: bob.publish(deployment.models / "tumour.onnx", "tumour@3.0.0", owner="risk-team"),
    )
    refused(
        "overwrite a published version",
        lambda: alice.publish(deployment.models / "tumour.onnx", "fraud@1.0.0", owner="risk-team"),
    )
    refused(
        "revoke a model without a role", lambda: deployment.as_(STRANGER).revoke("fraud@1.0.0", "because")
    )
    refused("read the log as a caller", lambda: list(deployment.as_(CALLER).log()))
    refused("serve a version that nobody approved", lambda: _release(deployment))


def _try(deployment: Deployment, act: Callable[[], object]) -> Outcome:
    try:
        act()
    except StrongroomError as error:
        return Outcome(True, error.message, deployment.newest_record())
    return Outcome(False, "it was done")


def _release(deployment: Deployment) -> None:
    release(deployment.as_(PUBLISHER).unlock(), PUBLISHER, ModelId.parse(CANDIDATE)).close()

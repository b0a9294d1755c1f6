"""Keys rotated and versions encrypted anew under a live gateway: no request fails, every load succeeds."""

import os
import signal
import threading
import time
from collections.abc import Callable
from datetime import timedelta

import pytest

from strongroom.flows.release import release
from strongroom.sdk import rotation
from strongroom.values import ModelId
from strongroom.wiring import open_home
from tests.faults.load import Load, require_all_recorded, wait_for_answers
from tests.serve.e2e.deployment import ADMIN, CALLER, PASSPHRASE, Deployment, Server
from tests.serve.e2e.processes import wait_until

pytestmark = pytest.mark.slow

FAMILY = "linear"
ELSEWHERE = "file:kek/linear.b"
LOAD_SECONDS = 40.0


def _rotations(deployment: Deployment) -> list[Callable[[], object]]:
    room = deployment.as_(ADMIN)
    return [
        lambda: rotation.rotate_key(room, FAMILY),
        lambda: rotation.rotate_key(room, FAMILY, reencrypt=True),
        lambda: rotation.rotate_signing(room),
        lambda: rotation.rotate_key(room, FAMILY, to=ELSEWHERE),
        lambda: rotation.rotate_identity(room, CALLER, overlap=timedelta(hours=1)),
        lambda: rotation.rotate_key(room, FAMILY, to="file:kek/linear", reencrypt=True),
    ]


def test_no_request_fails_while_everything_is_rotated(
    deployment: Deployment, serve: Callable[..., Server]
) -> None:
    server = serve(FAMILY)
    with Load(server, threads=2) as load:
        wait_for_answers(load, 50)
        for rotate in _rotations(deployment):
            rotate()
            wait_for_answers(load, 20)
    assert {one.status for one in load.received} == {200}
    assert load.unexpected == []
    assert server.stop() == 0
    require_all_recorded(deployment, load.received)


def test_every_load_during_rotations_succeeds(deployment: Deployment, serve: Callable[..., Server]) -> None:
    """Workers are killed and come back, and versions are released, while keys change under them."""
    server = serve(FAMILY, hasty=True)
    loader = open_home(deployment.home, PASSPHRASE)
    stop, failures, loads = threading.Event(), list[str](), list[int]()

    def keep_loading() -> None:
        while not stop.is_set():
            for version in ("linear@1.0.0", "linear@1.1.0"):
                try:
                    release(loader, ADMIN, ModelId.parse(version)).close()
                    loads.append(1)
                except Exception as error:
                    failures.append(repr(error))

    thread = threading.Thread(target=keep_loading)
    thread.start()
    restarts = 0
    try:
        end = time.monotonic() + LOAD_SECONDS
        rotations = _rotations(deployment)
        while time.monotonic() < end or restarts < len(rotations):
            worker = wait_until(lambda: server.workers, what="a worker")[0]
            os.kill(worker, signal.SIGKILL)
            rotations[restarts % len(rotations)]()
            restarts += 1
            wait_until(lambda gone=worker: set(server.workers) - {gone}, what="another worker")  # type: ignore[misc]
    finally:
        stop.set()
        thread.join(60)
    wait_until(server.is_ready, what="readiness")
    assert failures == []
    assert len(loads) > restarts
    refused = [one.event for one in deployment.as_(ADMIN).log() if one.event.decision != "allow"]
    assert [event for event in refused if event.action == "serve"] == []

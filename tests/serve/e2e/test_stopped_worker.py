"""A worker that is stopped, not ended: it answers nothing, holds its model, and still must go."""

import os
import signal
from collections.abc import Callable

import pytest

from strongroom.errors import OutageError
from tests.serve.e2e.deployment import Deployment, Server
from tests.serve.e2e.processes import is_alive, wait_until


def test_a_stopped_worker_is_killed_and_replaced(
    deployment: Deployment, serve: Callable[..., Server]
) -> None:
    deployment.set("[serve]\ndeadline_s = 1.5")
    server = serve("linear")
    with server.client() as client:
        row = [[1.0, 2.0, 3.0, 4.0]]
        before = client.predict("linear", row).outputs
        stopped = server.workers
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        with pytest.raises(OutageError):
            client.predict("linear", row)
        wait_until(lambda: not any(map(is_alive, stopped)), what="the stopped worker's end")
        wait_until(lambda: client.is_ready("linear"), what="another worker")
        assert client.predict("linear", row).outputs == before

"""Thousands of requests and dozens of restarts leave descriptors and memory as they were."""

import os
from collections.abc import Callable

import pytest

from tests.faults.load import Load, require_all_recorded, wait_for_answers
from tests.serve.e2e.deployment import LINEAR, Deployment, Server, ask
from tests.serve.e2e.processes import descriptors, resident_bytes, wait_until

pytestmark = pytest.mark.slow
Serve = Callable[..., Server]
REQUESTS = 2_000
RESTARTS = 20
SPARE_DESCRIPTORS = 6
"""The catalog's pool may open another connection; a leak of one a restart would be far more."""
SPARE_BYTES = 24 * 2**20
"""Allocators keep some; a leak of one model or of one request's state each would be far more."""


def test_requests_and_worker_restarts_leak_nothing(deployment: Deployment, serve: Serve) -> None:
    server = serve("linear", hasty=True)
    with Load(server) as load:
        wait_for_answers(load, REQUESTS // 2)
    restart_worker(server)
    ask_once(server)
    before = count(server)
    with Load(server) as more:
        wait_for_answers(more, REQUESTS)
    for _ in range(RESTARTS):
        restart_worker(server)
        ask_once(server)
    wait_until(lambda: settled(before, count(server)), 20, f"as before: {before}; now {count(server)}")
    for pid, (held, size) in count(server).items():
        assert size < before[pid][1] + SPARE_BYTES, f"{pid} grew from {before[pid][1]} with {held}"
    assert server.stop() == 0
    require_all_recorded(deployment, load.received + more.received)


def test_gateway_restarts_leak_nothing_in_supervisor_and_worker(deployment: Deployment, serve: Serve) -> None:
    server = serve("linear", hasty=True)
    restart_gateway(server)
    pids = (server.pid, *server.workers)
    before = {pid: len(descriptors(pid)) for pid in pids}
    for _ in range(RESTARTS):
        restart_gateway(server)
    wait_until(
        lambda: all(len(descriptors(pid)) <= held for pid, held in before.items()),
        20,
        f"as before: {before}; now { ({pid: descriptors(pid) for pid in pids}) }",
    )


def count(server: Server) -> dict[int, tuple[list[str], int]]:
    """Descriptors and resident bytes of supervisor and gateway."""
    return {pid: (sorted(descriptors(pid)), resident_bytes(pid)) for pid in (server.pid, server.gateway)}


def settled(before: dict[int, tuple[list[str], int]], now: dict[int, tuple[list[str], int]]) -> bool:
    return before.keys() == now.keys() and all(
        len(held) <= len(before[pid][0]) + SPARE_DESCRIPTORS for pid, (held, _) in now.items()
    )


def restart_worker(server: Server) -> None:
    old = server.workers
    for pid in old:
        os.kill(pid, 9)
    wait_until(lambda: set(server.workers) - set(old), 40, "another worker")
    ask_once(server)


def restart_gateway(server: Server) -> None:
    old = server.gateway
    os.kill(old, 9)
    wait_until(lambda: [pid for pid in server.gateways if pid != old], 40, "another gateway")
    ask_once(server)


def ask_once(server: Server) -> None:
    connection = server.connect(timeout_s=40)
    wait_until(lambda: ask(connection, "linear", LINEAR)[0] == 200, 40, "answers")
    connection.close()

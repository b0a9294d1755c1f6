"""``kill -9`` at random instants under load: every answer has its record, every restart is clean."""

import os
import random
import signal
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.faults.load import Load, require_all_recorded, wait_for_answers
from tests.serve.e2e.deployment import HOST, LINEAR, Deployment, Server, ask, slowly
from tests.serve.e2e.processes import wait_until
from tests.serve.e2e.slow_model import TURNS_A_SECOND

pytestmark = pytest.mark.slow
Serve = Callable[..., Server]
KILLS = 200
"""Of workers and gateways; many fall on a process that is just starting."""
SUPERVISOR_KILLS = 10
SEED = 20_261


def kill(pid: int) -> bool:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def test_workers_and_gateways_die_again_and_again(deployment: Deployment, serve: Serve) -> None:
    deployment.set("[log]\nfold_interval_s = 1.0")
    server = serve("linear", hasty=True)
    chance = random.Random(SEED)
    killed = {"worker": 0, "gateway": 0}
    with Load(server) as load:
        wait_for_answers(load, 10)
        end = time.monotonic() + 150
        while sum(killed.values()) < KILLS and time.monotonic() < end:
            if chance.random() < 0.25:
                victims, kind = server.gateways, "gateway"
            else:
                victims, kind = server.workers, "worker"
            if victims and kill(chance.choice(victims)):
                killed[kind] += 1
            time.sleep(chance.expovariate(1 / 0.2))
            if chance.random() < 0.04:
                # Now and then all is well for a moment.
                wait_for_answers(load, 20)
        assert server.process.poll() is None, server.notes.read_text()
        wait_for_answers(load, 100)
    assert load.unexpected == []
    assert killed["worker"] > 30
    assert killed["gateway"] > 10
    assert server.stop() == 0
    assert server.leftovers() == []
    require_all_recorded(deployment, load.received)


def test_supervisors_die_again_and_again(deployment: Deployment, serve: Serve) -> None:
    """Each successor starts at once, while what the dead one left behind may still be draining."""
    deployment.set("[log]\nfold_interval_s = 0.2")
    server = serve("linear")
    chance = random.Random(SEED)
    family: set[int] = set()
    with Load(server, threads=2) as load:
        for _ in range(SUPERVISOR_KILLS):
            wait_for_answers(load, chance.randrange(1, 300))
            time.sleep(chance.random() / 2)
            server.kill()
            family.update(server.family())
            server = load.server = serve("linear")
        wait_for_answers(load, 20)
    assert load.unexpected == []
    assert server.stop() == 0
    wait_until(lambda: not server.leftovers(family), 20, "no process of a killed supervisor is left")
    require_all_recorded(deployment, load.received)


def test_supervisor_killed_while_it_starts(deployment: Deployment, serve: Serve) -> None:
    chance = random.Random(SEED)
    for _ in range(8):
        server = serve("linear", wait=False)
        time.sleep(0.3 + chance.random() * 3)
        server.kill()
        wait_until(lambda server=server: not server.leftovers(), 20, "nothing is left")  # type: ignore[misc]
    server = serve("linear")
    with Load(server, threads=1) as load:
        wait_for_answers(load, 5)
    assert server.stop() == 0
    require_all_recorded(deployment, load.received)


def test_orphans_end_by_themselves(deployment: Deployment, serve: Serve) -> None:
    """No worker outlives its supervisor; the gateway answers what it has, with a record, and goes."""
    server = serve("linear", "slow")
    connection = server.connect()
    found: list[Any] = []
    asking = threading.Thread(
        target=lambda: found.append(ask(connection, "slow", slowly(5 * TURNS_A_SECOND)))
    )
    asking.start()
    time.sleep(0.5)
    workers = server.workers
    server.kill()
    successor = serve("linear", port=0)
    asking.join(30)
    wait_until(lambda: not server.leftovers(), 20, "every process is gone")
    assert len(workers) >= 2
    (status, _, headers) = found[0]
    assert status == 503
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((HOST, server.port), 5)
    with Load(successor, threads=1) as load:
        wait_for_answers(load, 3)
    assert successor.stop() == 0
    # The successor had folded what there was, while this one was still to be written.
    journal, batch, _ = headers["Strongroom-Record"].split("-")
    folds = [
        (one.event.detail or {})["last"]
        for one in deployment.as_("alice").log()
        if str(one.event.action) == "fold" and one.event.subject == journal
    ]
    assert int(batch) <= max(folds, default=-1)


def test_restart_on_the_same_port(deployment: Deployment, serve: Serve) -> None:
    """As a service manager does it: killed, and started again with the same command at once."""
    server = serve("linear")
    port = server.port
    server.kill()
    successor = serve("linear", port=port)
    assert successor.port == port
    connection = successor.connect()
    assert wait_until(lambda: ask(connection, "linear", LINEAR)[0] == 200, 20)

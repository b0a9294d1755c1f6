"""What changes while a server runs: rights, certificates, workers, the gateway, and the end."""

import http.client
import json
import os
import signal
import socket
import ssl
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from strongroom.errors import DeniedError, OutageError
from strongroom.trust.certificates import public_key_of
from tests.serve.e2e.deployment import (
    ADMIN,
    CALLER,
    HOST,
    LINEAR,
    STRANGER,
    Deployment,
    Server,
    ask,
    slowly,
)
from tests.serve.e2e.processes import is_alive, wait_until
from tests.serve.e2e.slow_model import TURNS_A_SECOND

Serve = Callable[..., Server]
EFFECT_S = 5.0
"""What is withdrawn must be withdrawn everywhere within this."""


def becomes(connection: http.client.HTTPSConnection, model: str, status: int, within_s: float) -> None:
    """Ask again and again until the status is another one; before it must be 200, or 503 in between."""
    end = time.monotonic() + within_s
    while True:
        asked_at = time.monotonic()
        found = ask(connection, model, LINEAR)[0]
        if found == status:
            return
        assert found in (200, 503)
        assert asked_at < end, f"still {found} after {within_s} s"
        time.sleep(0.05)


class TestRightsEndOnOpenConnections:
    def test_revoked_model(self, deployment: Deployment, serve: Serve) -> None:
        server = serve("linear", "several")
        connection = server.connect()
        assert ask(connection, "linear", LINEAR)[0] == 200
        deployment.as_(ADMIN).revoke("linear@1.1.0", "leaked")
        becomes(connection, "linear", 404, EFFECT_S)
        assert ask(connection, "linear@1.1.0", LINEAR)[0] == 404
        # Its worker, and with it the plaintext, is gone; the other model is not touched.
        wait_until(lambda: len(server.workers) <= 2, 10, "the revoked model's worker is gone")
        with server.client() as client:
            assert client.is_ready()
            assert client.is_ready("several")

    def test_retired_model(self, deployment: Deployment, serve: Serve) -> None:
        server = serve("linear")
        connection = server.connect()
        assert ask(connection, "linear", LINEAR)[0] == 200
        deployment.as_(ADMIN).retire("linear@1.1.0", "replaced")
        becomes(connection, "linear", 404, EFFECT_S)

    def test_revoked_identity(self, deployment: Deployment, serve: Serve) -> None:
        server = serve("linear")
        connection = server.connect()
        assert ask(connection, "linear", LINEAR)[0] == 200
        deployment.as_(ADMIN).revoke_identity(CALLER, "left")
        becomes(connection, "linear", 401, EFFECT_S)
        with pytest.raises((DeniedError, OutageError)), server.client() as client:
            client.predict("linear", [[1, 2, 3, 4]])

    def test_ended_grant(self, deployment: Deployment, serve: Serve) -> None:
        server = serve("linear")
        connection = server.connect()
        assert ask(connection, "linear", LINEAR)[0] == 200
        admin = deployment.as_(ADMIN)
        for record in admin.grants(CALLER):
            admin.revoke_grant(record.grant.id, "no longer needed")
        becomes(connection, "linear", 404, EFFECT_S)

    def test_grant_ends_on_time(self, deployment: Deployment, serve: Serve) -> None:
        server = serve("linear")
        admin = deployment.as_(ADMIN)
        admin.grant(STRANGER, "consumer", "linear", duration=timedelta(seconds=6), reason="a moment")
        (record,) = admin.grants(STRANGER)
        connection = server.connect(STRANGER)
        while ask(connection, "linear", LINEAR)[0] != 200:
            time.sleep(0.05)
        last_allowed = first_denied = None
        while first_denied is None:
            asked = datetime.now(UTC)
            status = ask(connection, "linear", LINEAR)[0]
            if status == 200:
                last_allowed = asked
            else:
                first_denied = datetime.now(UTC)
            time.sleep(0.01)
        assert last_allowed is not None
        # Asked before its end, denied not before its end: with no allowance for a push from the supervisor.
        assert last_allowed < record.grant.end <= first_denied
        assert first_denied - record.grant.end < timedelta(seconds=1)


class TestRightsBegin:
    def test_new_identity_works_without_a_restart(self, deployment: Deployment, serve: Serve) -> None:
        server = serve("linear")
        before = server.gateway
        admin = deployment.as_(ADMIN)
        admin.add_identity("dora")
        admin.grant("dora", "consumer", "linear", duration=timedelta(hours=1), reason="new")
        connection = server.connect("dora")
        end = time.monotonic() + EFFECT_S
        while ask(connection, "linear", LINEAR)[0] != 200:
            assert time.monotonic() < end
            time.sleep(0.05)
            if connection.sock is None:
                connection = server.connect("dora")
        assert server.gateway == before

    def test_grant_works_on_a_connection_that_was_denied(self, deployment: Deployment, serve: Serve) -> None:
        server = serve("linear")
        connection = server.connect(STRANGER)
        assert ask(connection, "linear", LINEAR)[0] == 404
        deployment.as_(ADMIN).grant(STRANGER, "consumer", "linear", duration=timedelta(hours=1), reason="new")
        end = time.monotonic() + EFFECT_S
        while ask(connection, "linear", LINEAR)[0] != 200:
            assert time.monotonic() < end
            time.sleep(0.05)

    def test_renewed_certificate_works_beside_the_old_one(self, deployment: Deployment, serve: Serve) -> None:
        server = serve("linear")
        old = server.connect()
        deployment.as_(ADMIN).renew_identity(CALLER)
        target = deployment.folder / "exports" / CALLER
        for file in target.iterdir():
            file.unlink()
        target.rmdir()
        new = server.connect()
        end = time.monotonic() + EFFECT_S
        while ask(new, "linear", LINEAR)[0] != 200:
            assert time.monotonic() < end
            time.sleep(0.05)
            if new.sock is None:
                new = server.connect()
        assert ask(old, "linear", LINEAR)[0] == 200


class TestWorkers:
    def test_killed_worker_is_replaced_and_connections_stay(self, serve: Serve) -> None:
        server = serve("linear")
        gateway, connection = server.gateway, server.connect()
        assert ask(connection, "linear", LINEAR)[0] == 200
        for pid in server.workers:
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: ask(connection, "linear", LINEAR)[0] == 200, 30, "answers again")
        assert server.gateway == gateway
        assert "worker" in server.notes.read_text()

    def test_request_in_flight_at_a_workers_death_gets_503(self, serve: Serve) -> None:
        server = serve("slow", "linear")
        slow, fast = server.connect(), server.connect()
        found: list[Any] = []
        asking = threading.Thread(target=lambda: found.append(ask(slow, "slow", slowly(5 * TURNS_A_SECOND))))
        asking.start()
        busy = wait_until(lambda: _busiest(server.workers), 10, "a worker computes")
        os.kill(busy, signal.SIGKILL)
        asking.join(30)
        status, answer, headers = found[0]
        assert status == 503
        assert "Strongroom-Record" in headers
        assert "slow" not in json.dumps(answer)
        assert ask(fast, "linear", LINEAR)[0] == 200
        wait_until(lambda: ask(slow, "slow", slowly(10))[0] == 200, 30, "the next worker answers")

    def test_worker_that_computes_past_its_deadline_is_replaced(
        self, deployment: Deployment, serve: Serve
    ) -> None:
        deployment.set("[serve]\ndeadline_s = 1.5")
        server = serve("slow", "linear")
        before = set(server.workers)
        slow, fast = server.connect(), server.connect()
        started = time.monotonic()
        status, _, _ = ask(slow, "slow", slowly(2**24))
        assert status == 503
        assert time.monotonic() - started < 5
        assert ask(fast, "linear", LINEAR)[0] == 200
        wait_until(lambda: set(server.workers) - before, 30, "another worker")
        wait_until(lambda: ask(slow, "slow", slowly(10))[0] == 200, 30, "the next worker answers")


class TestGateway:
    def test_killed_gateway_is_replaced_on_the_same_port(self, deployment: Deployment, serve: Serve) -> None:
        server = serve("linear")
        gateway, workers = server.gateway, server.workers
        connection = server.connect()
        _, _, headers = ask(connection, "linear", LINEAR)
        os.kill(gateway, signal.SIGKILL)
        # The port is never closed: whoever connects meanwhile waits in the backlog.
        later = server.connect(timeout_s=30)
        assert wait_until(lambda: ask(later, "linear", LINEAR)[0] in (200, 503), 30)
        wait_until(lambda: ask(later, "linear", LINEAR)[0] == 200, 30, "answers again")
        assert server.gateway != gateway
        assert server.workers == workers
        with pytest.raises((OSError, http.client.HTTPException)):
            ask(connection, "linear", LINEAR)
        # What the dead gateway had answered is in the log.
        assert server.stop() == 0
        records = {one.id for one in deployment.as_(ADMIN).requests()}
        assert headers["Strongroom-Record"] in records
        deployment.as_(ADMIN).verify_log()

    def test_gateway_that_hangs_is_replaced(self, serve: Serve, deployment: Deployment) -> None:
        server = serve("linear")
        gateway = server.gateway
        os.kill(gateway, signal.SIGSTOP)
        wait_until(lambda: not is_alive(gateway), 40, "the supervisor has ended the hanging gateway")
        connection = server.connect()
        wait_until(lambda: ask(connection, "linear", LINEAR)[0] == 200, 30, "answers again")

    def test_server_certificate_is_renewed_on_a_live_listener(
        self, deployment: Deployment, serve: Serve
    ) -> None:
        deployment.set("[serve]\nserver_certificate_hours = 1")
        server = serve("linear", renewing=True)
        gateway = server.gateway
        connection = server.connect()
        first = _server_certificate(server)
        wait_until(lambda: _server_certificate(server) != first, 20, "another certificate")
        later = public_key_of(_server_certificate(server))
        assert later != public_key_of(first), "who took the key of one has not that of the next"
        assert ask(connection, "linear", LINEAR)[0] == 200
        fresh = server.connect()
        assert ask(fresh, "linear", LINEAR)[0] == 200
        assert server.gateway == gateway


class TestSnapshotsAge:
    def test_stopped_supervisor_means_503_until_it_goes_on(
        self, deployment: Deployment, serve: Serve
    ) -> None:
        deployment.set("[serve]\nsnapshot_max_age_s = 2.5")
        server = serve("linear")
        connection = server.connect()
        assert ask(connection, "linear", LINEAR)[0] == 200
        os.kill(server.pid, signal.SIGSTOP)
        stopped = time.monotonic()
        try:
            becomes(connection, "linear", 503, 4)
            assert time.monotonic() - stopped > 1
            assert not server.is_ready()
            # Those who are not let in learn no more than before.
            with pytest.raises(OutageError), server.client(STRANGER) as client:
                client.predict("linear", [[1, 2, 3, 4]])
        finally:
            os.kill(server.pid, signal.SIGCONT)
        wait_until(lambda: ask(connection, "linear", LINEAR)[0] == 200, 10, "answers again")
        assert server.is_ready()


class TestTheEnd:
    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_drain_answers_what_is_in_flight(
        self, serve: Serve, deployment: Deployment, number: signal.Signals
    ) -> None:
        server = serve("slow", "linear")
        slow = server.connect()
        idle = server.connect()
        found: list[Any] = []
        asking = threading.Thread(target=lambda: found.append(ask(slow, "slow", slowly(2 * TURNS_A_SECOND))))
        asking.start()
        wait_until(lambda: _busiest(server.workers), 10, "a worker computes")
        server.family()
        server.process.send_signal(number)
        # No new connection is taken once the drain has begun, and idle ones are closed.
        wait_until(lambda: _is_closed(idle), 5, "the idle connection is closed")
        asking.join(30)
        status, answer, headers = found[0]
        assert status == 200
        assert answer["outputs"][0]["data"] == [2.0 * TURNS_A_SECOND]
        assert server.process.wait(30) == 0
        assert server.leftovers() == []
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((HOST, server.port), 5)
        records = {one.id: one.status for one in deployment.as_(ADMIN).requests()}
        assert records[headers["Strongroom-Record"]] == 200
        deployment.as_(ADMIN).verify_log()

    def test_drain_is_bounded(self, serve: Serve, deployment: Deployment) -> None:
        deployment.set("[serve]\ndrain_timeout_s = 1.0\ndeadline_s = 60.0")
        server = serve("slow")
        slow = server.connect()
        asking = threading.Thread(target=lambda: _swallow(lambda: ask(slow, "slow", slowly(2**24))))
        asking.start()
        wait_until(lambda: _busiest(server.workers), 10, "a worker computes")
        started = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - started < 8
        assert server.leftovers() == []
        asking.join(30)

    def test_start_and_stop_are_recorded(self, serve: Serve, deployment: Deployment) -> None:
        server = serve("linear")
        assert server.stop() == 0
        reasons = [
            one.event.reason for one in deployment.as_(ADMIN).log() if str(one.event.action) == "serve"
        ]
        assert reasons[-1] == "stop"
        assert "start" in reasons

    def test_operator_who_lost_the_right_meanwhile_can_still_stop(
        self, serve: Serve, deployment: Deployment
    ) -> None:
        deployment.as_(ADMIN).add_identity("oscar", roles=("operator",))
        server = serve("linear", identity="oscar")
        (held,) = deployment.as_(ADMIN).grants("oscar")
        deployment.as_(ADMIN).revoke_grant(held.grant.id, "left the team")
        time.sleep(1.5)
        assert server.stop() == 0
        actions = [(str(one.event.action), one.event.reason) for one in deployment.as_(ADMIN).log()]
        assert ("serve", "stop") in actions[-3:]


class TestStatus:
    def test_status_and_list_show_what_runs_and_no_longer(self, serve: Serve, deployment: Deployment) -> None:
        server = serve("linear")
        (one,) = deployment.as_(ADMIN).status()["serving"]
        assert (one["pid"], one["port"], one["models"]) == (server.pid, server.port, ["linear@1.1.0"])
        assert one["sandbox"]["seccomp"] == "on"
        assert server.stop() == 0
        assert deployment.as_(ADMIN).status()["serving"] == []

    def test_after_kill_9_status_shows_nothing(self, serve: Serve, deployment: Deployment) -> None:
        server = serve("linear")
        assert len(deployment.as_(ADMIN).status()["serving"]) == 1
        server.kill()
        assert deployment.as_(ADMIN).status()["serving"] == []
        wait_until(lambda: not server.leftovers(), 15, "every process is gone")

    def test_two_servers_of_one_home(self, serve: Serve, deployment: Deployment) -> None:
        """The one folds and closes journals while the other still writes its own: nothing may be lost."""
        deployment.set("[log]\nfold_interval_s = 0.5")
        first = serve("linear")
        connection = first.connect()
        records = [ask(connection, "linear", LINEAR)[2]["Strongroom-Record"]]
        second = serve("several")
        with second.client() as client:
            client.predict("several", [{"left": [1, 2], "right": [3, 4]}])
        for _ in range(5):
            records.append(ask(connection, "linear", LINEAR)[2]["Strongroom-Record"])
            time.sleep(0.3)
        keeper = deployment.as_(ADMIN)
        assert {tuple(one["models"]) for one in keeper.status()["serving"]} == {
            ("linear@1.1.0",),
            ("several@1.0.0",),
        }
        assert second.stop() == 0
        assert first.stop() == 0
        folded = _folded(keeper)
        for record in records:
            journal, batch, _ = record.split("-")
            assert int(batch) <= folded.get(journal, -1), "an answer's record was never folded"
        keeper.verify_log()

    def test_predict_finds_the_server_of_the_model(self, serve: Serve, deployment: Deployment) -> None:
        serve("linear")
        serve("several")
        caller = deployment.as_(CALLER)
        assert caller.predict("linear", [[1, 2, 3, 4]]).model == "linear"
        assert caller.predict("several", [{"left": [1, 2], "right": [3, 4]}]).model == "several"


class TestNotices:
    def test_nobody_reads_what_the_supervisor_says(self, deployment: Deployment, serve: Serve) -> None:
        """A log collector that died must not take the service with it."""
        server = serve("linear", deaf=True)
        connection = server.connect()
        for pid in server.workers:
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: ask(connection, "linear", LINEAR)[0] == 200, 30, "answers again")
        assert server.stop() == 0


def _folded(keeper: Any) -> dict[str, int]:
    """The last batch of each journal that the log vouches for."""
    found: dict[str, int] = {}
    for one in keeper.log():
        if str(one.event.action) == "fold" and one.event.decision == "allow":
            found[one.event.subject] = one.event.detail["last"]
    return found


def _busiest(pids: list[int]) -> int | None:
    """The process that is computing right now, by the processor time it gains."""
    before = {pid: _ticks(pid) for pid in pids}
    time.sleep(0.3)
    gained = {pid: _ticks(pid) - ticks for pid, ticks in before.items()}
    pid = max(gained, key=lambda one: gained[one])
    return pid if gained[pid] >= 5 else None


def _ticks(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return 0
    return int(fields[11]) + int(fields[12])


def _server_certificate(server: Server) -> bytes:
    context = ssl.create_default_context(cafile=server.deployment.home / "ca.pem")
    with (
        socket.create_connection((HOST, server.port), 10) as plain,
        context.wrap_socket(plain, server_hostname=HOST) as secured,
    ):
        return secured.getpeercert(True) or b""


def _is_closed(connection: http.client.HTTPSConnection) -> bool:
    connection.sock.settimeout(0.1)
    try:
        return connection.sock.recv(1) == b""
    except TimeoutError:
        return False
    except OSError:
        return True


def _swallow(act: Callable[[], Any]) -> None:
    try:
        act()
    except (OSError, http.client.HTTPException, ValueError):
        return

"""Revoking on a live gateway: what is in flight, what comes next, worker and memory, and who may go on."""

import fcntl
import json
import os
import signal
import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from strongroom.errors import RejectedError
from strongroom.sdk import revocation
from strongroom.serve.supervisor.tls import ServerIdentity
from tests.serve.e2e.deployment import ADMIN, CALLER, LINEAR, REVIEWER, Deployment, Server, ask, slowly
from tests.serve.e2e.processes import is_alive, wait_until
from tests.serve.e2e.slow_model import TURNS_A_SECOND

Serve = Callable[..., Server]
EFFECT_S = 5.0
OPERATOR = "oscar"


def becomes(server: Server, model: str, status: int, within_s: float = EFFECT_S) -> float:
    """Ask on one connection until it says so; returns how long that took."""
    connection = server.connect()
    began = time.monotonic()
    try:
        while True:
            asked_at = time.monotonic()
            found = ask(connection, model, LINEAR)[0]
            if found == status:
                return time.monotonic() - began
            assert found in (200, 503)
            assert asked_at - began < within_s, f"still {found}: {server.notes.read_text()[-500:]}"
            time.sleep(0.05)
    finally:
        connection.close()


def operate(deployment: Deployment, *, duration: timedelta = timedelta(days=1)) -> str:
    """Somebody who serves and does nothing else; returns the id of the grant that lets them."""
    admin = deployment.as_(ADMIN)
    admin.add_identity(OPERATOR)
    return admin.grant(OPERATOR, "operator", "*", duration=duration, reason="serves").id


def test_a_revoked_version_is_gone_with_its_memory(deployment: Deployment, serve: Serve) -> None:
    server = serve("linear")
    workers = server.workers
    assert becomes(server, "linear", 200) < EFFECT_S
    deployment.as_(ADMIN).revoke("linear@1.1.0", "leaked")
    assert becomes(server, "linear", 404) < EFFECT_S
    wait_until(lambda: not any(map(is_alive, workers)), 5, "the worker is gone")
    # The model lies in the worker's own memory only, which the kernel took back with the process.
    assert server.workers == []
    found = revocation.find_list(deployment.as_(ADMIN))
    assert found is not None
    assert found.listed.models == {"linear@1.1.0"}
    # Not by a restart either, whichever way it is asked for.
    server.stop()
    again = Server.start(deployment, "linear@1.1.0", wait=False)
    assert again.process.wait(60) != 0
    assert "is revoked" in again.last_words() or "not approved" in again.last_words()


def test_what_is_in_flight_ends_and_nothing_hangs(deployment: Deployment, serve: Serve) -> None:
    server = serve("slow")
    outcome: list[Any] = []
    connection = server.connect()

    def wait_for_it() -> None:
        outcome.append(ask(connection, "slow", slowly(TURNS_A_SECOND * 60))[0])

    asking = threading.Thread(target=wait_for_it)
    asking.start()
    time.sleep(0.5)
    workers = server.workers
    began = time.monotonic()
    deployment.as_(ADMIN).revoke("slow", "all of them")
    asking.join(EFFECT_S + 2)
    assert outcome in ([200], [503])
    assert time.monotonic() - began < EFFECT_S + 2
    wait_until(lambda: not any(map(is_alive, workers)), 5, "the worker is gone")


def test_a_compromised_signing_key_takes_its_versions_along(deployment: Deployment, serve: Serve) -> None:
    server = serve("linear", "several")
    index = deployment.as_(ADMIN).revoke_key("signing", "the build host was taken over", compromised=True)
    assert index > 0
    assert becomes(server, "linear", 404) < EFFECT_S
    wait_until(lambda: not server.workers, 5, "both workers are gone")


def test_shredding_ends_a_running_model_and_leaves_its_sibling(deployment: Deployment, serve: Serve) -> None:
    server = serve("linear@1.0.0", "linear@1.1.0")
    admin, other = deployment.as_(ADMIN), deployment.as_(REVIEWER)
    admin.grant(REVIEWER, "admin", "*", duration=timedelta(hours=1), reason="the second person")
    revocation.request_shred(admin, "linear@1.1.0", "the contract has ended")
    assert revocation.shred(other, "linear@1.1.0").keys == 1
    assert becomes(server, "linear@1.1.0", 404) < EFFECT_S
    assert becomes(server, "linear@1.0.0", 200) < EFFECT_S
    # The one that stays was wrapped anew: its worker may die, and is there again.
    left = wait_until(lambda: server.workers, 5, "one worker is left")
    for pid in left:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    wait_until(lambda: set(server.workers) - set(left), 20, "the worker is back")
    assert becomes(server, "linear@1.0.0", 200, 20) < 20


def test_whoever_serves_loses_the_right_and_gets_it_back(deployment: Deployment, serve: Serve) -> None:
    grant = operate(deployment)
    server = serve("linear", identity=OPERATOR)
    workers = server.workers
    admin = deployment.as_(ADMIN)
    admin.revoke_grant(grant, "not their turn")
    assert becomes(server, "linear", 404) < EFFECT_S
    wait_until(lambda: not any(map(is_alive, workers)), 5, "the worker is gone")
    denied = [
        one.event for one in admin.log() if one.event.action == "serve" and one.event.decision == "deny"
    ]
    assert [one.actor for one in denied] == [OPERATOR]
    admin.grant(OPERATOR, "operator", "linear", duration=timedelta(hours=1), reason="their turn")
    connection = server.connect()

    def answers() -> bool:
        return ask(connection, "linear", LINEAR)[0] == 200

    wait_until(answers, 20, "served again")


@pytest.mark.slow
def test_a_grant_of_whoever_serves_that_ends_by_itself(deployment: Deployment, serve: Serve) -> None:
    operate(deployment, duration=timedelta(seconds=20))
    server = serve("linear", identity=OPERATOR)
    assert becomes(server, "linear", 404, 30) < 30
    wait_until(lambda: not server.workers, 5, "the worker is gone")


@pytest.mark.slow
def test_serving_ends_when_who_serves_is_revoked(deployment: Deployment, serve: Serve) -> None:
    operate(deployment)
    server = serve("linear", identity=OPERATOR)
    workers = server.workers
    deployment.as_(ADMIN).revoke_identity(OPERATOR, "left")
    wait_until(lambda: not any(map(is_alive, workers)), EFFECT_S, "the workers are gone")
    assert server.process.wait(30) == 3
    assert "is revoked" in server.last_words()


@pytest.mark.slow
def test_a_host_that_cannot_issue_the_list_anew_stops_at_its_age(
    deployment: Deployment, serve: Serve
) -> None:
    """Its log can be read and not written, as a copy that stands still: it looks as if all were well."""
    deployment.set("[revocation]\nmax_age_s = 10")
    server = serve("linear")
    workers = server.workers
    assert becomes(server, "linear", 200) < EFFECT_S
    lock = os.open(deployment.home / "locks" / "control", os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        wait_until(lambda: not any(map(is_alive, workers)), 30, "the workers are gone")
        connection = server.connect()
        assert ask(connection, "linear", LINEAR)[0] == 503
    finally:
        os.close(lock)
    connection = server.connect()
    wait_until(lambda: ask(connection, "linear", LINEAR)[0] == 200, 30, "served again")


@pytest.mark.slow
def test_an_older_log_with_the_newer_store_serves_nothing(deployment: Deployment, tmp_path: Path) -> None:
    older = deployment.copy(tmp_path / "older")
    deployment.as_(ADMIN).revoke("linear@1.1.0", "leaked")
    for name in ("revocations.json", "revocations.crl"):
        target = older.home / "blobs" / "@home" / name
        target.parent.mkdir(exist_ok=True)
        target.write_bytes((deployment.home / "blobs" / "@home" / name).read_bytes())
    server = Server.start(older, "linear", wait=False)
    assert server.process.wait(60) == 4
    assert "rolled back" in server.last_words()
    with pytest.raises(RejectedError, match="rolled back"):
        revocation.find_list(older.as_(ADMIN))


def test_the_list_and_the_crl_can_be_taken_elsewhere(deployment: Deployment, tmp_path: Path) -> None:
    """A stock TLS server refuses who was revoked, and lets in who was not."""
    admin = deployment.as_(ADMIN)
    folders = {name: deployment.export(name) for name in (CALLER, "mallory")}
    admin.revoke_identity("mallory", "left")
    listed, crl = revocation.export_list(admin, tmp_path)
    assert json.loads(listed.read_bytes())["payloadType"].startswith("application/vnd.strongroom.revocations")
    certificate = ServerIdentity(admin.unlock(), ["localhost"], 24).descriptor(admin.now())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"/proc/self/fd/{certificate}")
    os.close(certificate)
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
    context.load_verify_locations(folders[CALLER] / "ca.pem")
    context.load_verify_locations(crl)
    told: dict[str, bool] = {}
    for name, folder in folders.items():
        ours, theirs = socket.socketpair()
        theirs.settimeout(10)

        def accept(end: socket.socket, name: str = name) -> None:
            try:
                with context.wrap_socket(end, server_side=True) as tls:
                    tls.sendall(b"in")
                told[name] = True
            except ssl.SSLError as error:
                told[name] = False
                assert "revoked" in str(error)

        server = threading.Thread(target=accept, args=(ours,))
        server.start()
        client = ssl.create_default_context(cafile=folder / "ca.pem")
        client.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
        with suppress(OSError), client.wrap_socket(theirs, server_hostname="localhost") as tls:
            tls.recv(2)
        server.join(10)
    assert told == {CALLER: True, "mallory": False}

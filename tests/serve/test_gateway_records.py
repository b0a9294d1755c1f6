"""Records: nothing leaves without one, whatever happens to the disk or the process (I4)."""

import base64
import os
import resource
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from strongroom.errors import RejectedError
from strongroom.serve.frames import Batch
from strongroom.trust.journal import answer_hash, request_hash
from strongroom.trust.receipt import ReceivedAnswer, SentRequest, verify_receipt
from strongroom.trust.signatures import PublicKey
from tests.serve.gateway_harness import (
    FRAUD,
    LOG_ORIGIN,
    Harness,
    Outputs,
    Response,
    build_request,
    infer_body,
    running,
    score,
)
from tests.serve.test_gateway_access import eventually

INFER = "/v2/models/fraud/infer"


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Harness]:
    with running(tmp_path) as harness:
        yield harness.serve()


def place(response: Response) -> tuple[str, int, int]:
    journal, batch, index = response.headers["strongroom-record"].split("-")
    return journal, int(batch), int(index)


def test_an_answer_has_its_record(gateway: Harness) -> None:
    body = infer_body([[1, 2, 3], [4, 5, 6]])
    with gateway.client(gateway.alice) as client:
        response = client.ask("POST", INFER, body, strongroom_nonce="n-1")
    (record,) = gateway.records()
    (context,) = gateway.contexts()
    assert place(response) == (gateway.journal, 0, 0)
    assert record.rows == 2
    assert record.status == 200
    assert record.request == request_hash(b"POST", INFER.encode(), b"n-1", body)
    assert record.answer == answer_hash(200, response.body)
    assert abs(record.time_us / 1e6 - time.time()) < 60
    assert context | {"rule": "", "policy": ""} == {
        "who": "alice",
        "serial": gateway.alice.serial,
        "origin": "127.0.0.1",
        "action": "predict",
        "model": FRAUD,
        "digest": gateway.models[0]["digest"],
        "policy": "",
        "rule": "",
        "decision": "allow",
        "status": 200,
    }
    assert context["rule"] == "consumer-predicts"
    assert context["policy"].startswith("sha256:")


def test_refusals_have_records_too(gateway: Harness) -> None:
    with gateway.client() as client:
        client.infer([[1, 2, 3]])
    with gateway.client(gateway.bob) as client:
        client.infer([[1, 2, 3]])
        client.ask("POST", INFER.replace("fraud", "nothing"), b"{}")
    with gateway.client(gateway.alice) as client:
        client.ask("POST", INFER, b"{}")
        client.ask("GET", "/nowhere")
        client.send(b"BROKEN\r\n\r\n")
        client.receive()
    found = [
        (context["who"], context["decision"], context["status"], context["model"])
        for context in gateway.contexts()
    ]
    assert found == [
        ("", "deny", 401, ""),
        ("bob", "deny", 404, FRAUD),
        ("bob", "deny", 404, ""),
        ("alice", "invalid", 400, FRAUD),
        ("alice", "deny", 404, ""),
        ("alice", "invalid", 400, ""),
    ]


def test_liveness_leaves_no_record(gateway: Harness) -> None:
    with gateway.client() as client:
        assert "strongroom-record" not in client.ask("GET", "/livez").headers
    assert gateway.records() == []


def test_names_that_callers_make_up_do_not_fill_the_journal(gateway: Harness) -> None:
    with gateway.client(gateway.alice) as client:
        for number in range(50):
            client.ask("GET", f"/v2/models/made-up-{number}")
    assert len({record.context for record in gateway.records()}) == 1


def test_an_inline_receipt_proves_the_answer_offline(gateway: Harness) -> None:
    body = infer_body([[1, 2, 3]])
    with gateway.client(gateway.alice) as client:
        client.infer([[9, 9, 9]])
        response = client.ask("POST", INFER, body, strongroom_receipt="inline", strongroom_nonce="abc")
    text = response.headers["strongroom-receipt"]
    receipt = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    key = PublicKey.from_pem(gateway.log_key.public_pem)
    sent = SentRequest(b"POST", INFER.encode(), b"abc", body)
    received = ReceivedAnswer(200, response.body)
    facts = verify_receipt(receipt, key, LOG_ORIGIN, request=sent, answer=received, expected={"model": FRAUD})
    assert facts.context["who"] == "alice"
    assert (facts.journal, facts.batch) == place(response)[:2]
    replayed = sent._replace(nonce=b"abd")
    with pytest.raises(RejectedError, match="another request"):
        verify_receipt(receipt, key, LOG_ORIGIN, request=replayed, answer=received)


def test_no_receipt_unless_asked_for(gateway: Harness) -> None:
    with gateway.client(gateway.alice) as client:
        assert "strongroom-receipt" not in client.infer([[1, 2, 3]]).headers


@pytest.mark.parametrize("nonce", ["", "a b", "a" * 129, "naïve"])
def test_a_nonce_that_could_confuse_the_hash_is_refused(gateway: Harness, nonce: str) -> None:
    with gateway.client(gateway.alice) as client:
        assert client.infer([[1, 2, 3]], strongroom_nonce=nonce).status == 400


def test_every_answer_received_before_kill_9_is_in_the_journal(gateway: Harness) -> None:
    seen: list[tuple[int, int, bytes]] = []

    def ask() -> None:
        with gateway.client(gateway.alice) as client:
            try:
                while True:
                    response = client.infer([[len(seen), 0, 0]])
                    _, batch, index = place(response)
                    seen.append((batch, index, answer_hash(response.status, response.body)))
            except (EOFError, OSError):
                return

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(1.0)
    os.kill(gateway.process.pid, signal.SIGKILL)
    for thread in threads:
        thread.join()
    assert len(seen) > 10
    positions = {(batch, index): answer for batch, index, answer in seen}
    recorded = {
        (number, index): record.answer
        for number, batch in enumerate(gateway.batches())
        for index, record in enumerate(batch.records)
    }
    assert positions.items() <= recorded.items()


def limit_file_size(harness: Harness, size_bytes: int) -> None:
    """Make writes to the journal fail as on a full disk."""
    resource.prlimit(harness.process.pid, resource.RLIMIT_FSIZE, (size_bytes, resource.RLIM_INFINITY))


def test_a_full_disk_stops_answers_and_an_emptied_one_lets_them_go_on(gateway: Harness) -> None:
    with gateway.client(gateway.alice) as client:
        assert client.infer([[1, 2, 3]]).status == 200
        size = (gateway.journals / f"{gateway.journal}.journal").stat().st_size
        limit_file_size(gateway, size + 100)
        response = client.infer([[1, 2, 3]])
        assert response.status == 503
        assert "outputs" not in response.body.decode()
        assert "strongroom-record" not in response.headers
        assert "cannot be written" in gateway.wait_for("journal-failed")["message"]
        assert client.ask("GET", "/v2").status == 503
        assert client.ask("GET", "/livez").status == 200
        limit_file_size(gateway, resource.RLIM_INFINITY)
        assert eventually(lambda: client.infer([[1, 2, 3]]).status, 200) == 200
    records = gateway.records()
    assert [record.status for record in records] == [200, 200]


def test_relaxed_durability_records_as_well(tmp_path: Path) -> None:
    with running(tmp_path, durability="insecure-relaxed") as harness:
        harness.serve()
        with harness.client(harness.alice) as client:
            assert client.infer([[1, 2, 3]]).status == 200
        assert len(harness.records()) == 1


def test_a_caller_who_leaves_while_waiting_is_recorded_and_costs_the_worker_nothing(tmp_path: Path) -> None:
    with running(tmp_path, max_batches=1) as harness:
        opened = threading.Event()

        def held(batch: Batch) -> Outputs:
            opened.wait(10)
            return score(batch)

        harness.serve(held)
        with harness.client(harness.alice) as first, harness.client(harness.alice) as second:
            request = build_request("POST", INFER, infer_body([[1, 2, 3]]))
            first.send(request)
            time.sleep(0.3)
            second.send(request)
            time.sleep(0.3)
            second.socket.close()
            time.sleep(0.3)
            opened.set()
            assert first.receive().status == 200
            assert first.ask("GET", "/v2").status == 200
        assert [context["decision"] for context in harness.contexts()] == ["allow", "abandoned", "allow"]
        assert harness.workers[0].batches == [1]

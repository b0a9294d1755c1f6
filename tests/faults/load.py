"""Clients that keep asking whatever happens to the server, and remember every answer they received."""

import http.client
import json
import random
import threading
import time
from dataclasses import dataclass, field
from typing import NamedTuple

from strongroom.trust.journal import answer_hash
from tests.serve.e2e.deployment import ADMIN, LINEAR, Deployment, Server


class Received(NamedTuple):
    record: str
    status: int
    answer: bytes
    """Its hash, as a record holds it."""


@dataclass
class Load:
    """Threads that ask ``linear``; ``server`` may be replaced while they run."""

    server: Server
    threads: int = 3
    received: list[Received] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    _running: list[threading.Thread] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> "Load":
        self._running = [
            threading.Thread(target=self._ask, args=(number,), daemon=True) for number in range(self.threads)
        ]
        for thread in self._running:
            thread.start()
        return self

    def __exit__(self, *details: object) -> None:
        self._stop.set()
        for thread in self._running:
            thread.join(40)

    def answered(self) -> int:
        return sum(1 for one in self.received if one.status == 200)

    def _ask(self, number: int) -> None:
        chance = random.Random(number)
        while not self._stop.is_set():
            try:
                connection = self.server.connect(timeout_s=20)
            except OSError:
                self._stop.wait(0.02)
                continue
            try:
                for _ in range(chance.randrange(1, 200)):
                    if self._stop.is_set():
                        break
                    self._once(connection, chance)
            except (OSError, http.client.HTTPException):
                continue  # the gateway died: nothing was received
            finally:
                connection.close()

    def _once(self, connection: http.client.HTTPSConnection, chance: random.Random) -> None:
        # Never the same twice: what is in flight at the death of several workers is quarantined.
        inputs = [{**LINEAR[0], "data": [chance.random() for _ in range(4)]}]
        connection.request("POST", "/v2/models/linear/infer", json.dumps({"inputs": inputs}))
        response = connection.getresponse()
        body = response.read()
        record = response.headers.get("Strongroom-Record")
        if response.status not in (200, 503):
            self.unexpected.append(f"{response.status} {body[:200]!r}")
        if record is not None:
            self.received.append(Received(record, response.status, answer_hash(response.status, body)))
        elif response.status != 503:
            self.unexpected.append(f"{response.status} without a record")
        if response.status == 503:
            time.sleep(0.02)


def require_all_recorded(deployment: Deployment, received: list[Received]) -> None:
    """Every answer that anyone received is in a journal that verifies and that the log vouches for (I4)."""
    keeper = deployment.as_(ADMIN)
    records = {one.id: (one.status, one.answer) for one in keeper.requests()}
    for one in received:
        assert records.get(one.record) == (one.status, one.answer), f"{one.record} is not what was recorded"
    folded: dict[str, int] = {}
    for entry in keeper.log():
        if str(entry.event.action) == "fold" and entry.event.decision == "allow":
            folded[entry.event.subject] = (entry.event.detail or {})["last"]
    for one in received:
        journal, batch, _ = one.record.split("-")
        assert int(batch) <= folded.get(journal, -1), f"{one.record} was never folded"
    assert keeper.verify_log().predictions >= len(received)


def wait_for_answers(load: Load, more: int, timeout_s: float = 60.0) -> None:
    """Return when ``more`` predictions were answered since; an assertion error when they are not in time."""
    wanted = load.answered() + more
    end = time.monotonic() + timeout_s
    while load.answered() < wanted:
        assert time.monotonic() < end, (
            f"no answers for {timeout_s:g} s; {load.server.notes.read_text()[-2000:]}"
        )
        time.sleep(0.02)

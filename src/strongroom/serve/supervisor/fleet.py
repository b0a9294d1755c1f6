"""The workers: one a served model, started again beside the loop when one dies.

All starts share one thread that lives as long as the fleet: a child's parent-death signal follows the thread
that started it (prctl(2), PR_SET_PDEATHSIG), so a thread that ends would take its worker along.
"""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from strongroom.errors import RejectedError, StrongroomError
from strongroom.flows.release import release
from strongroom.flows.serving import Served
from strongroom.flows.vault import Vault
from strongroom.serve.supervisor.worker import Worker, start_worker
from strongroom.settings import Settings

RESTART_DELAYS_S = (0.0, 0.5, 2.0, 5.0, 15.0)
"""Waits before restarts in a row; the last repeats."""
HEALTHY_AFTER_S = 30.0
MAX_REJECTIONS = 3
"""A model whose bytes were refused this often in a row is not tried again until the supervisor restarts."""


@dataclass
class Slot:
    """What should run for one model, and what does."""

    served: Served
    worker: Worker | None = None
    starting: Future[Worker] | None = None
    failures: int = 0
    rejections: int = 0
    next_start: float = 0.0
    started_at: float = 0.0
    withdrawn: bool = False
    suspended: bool = False
    """Not to run for now: its right to be served is lost, or nobody knows whether it still is there."""


class Fleet:
    """Owns the slots. All methods are for the supervisor's own thread."""

    def __init__(self, vault: Vault, settings: Settings, actor: str) -> None:
        self._vault = vault
        self._settings = settings
        self._actor = actor
        self._starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="starter")
        self.slots: dict[str, Slot] = {}

    def add(self, served: Served) -> None:
        """Release and load a model, waiting for it. Raises StrongroomError if that fails."""
        slot = Slot(served)
        slot.worker = self._starter.submit(self._start, served).result()
        slot.started_at = time.monotonic()
        self.slots[str(served.model)] = slot

    def lose(self, model: str) -> bool:
        """The worker of ``model`` is dead or stuck: kill what is left and plan the next start.

        False if there is none, as when a gateway says so twice, or of a model that nobody serves.
        """
        slot = self.slots.get(model)
        if slot is None or slot.worker is None:
            return False
        slot.worker.child.kill()
        slot.worker = None
        if time.monotonic() - slot.started_at > HEALTHY_AFTER_S:
            slot.failures = 0
        self._plan(slot)
        return True

    def withdraw(self, model: str) -> None:
        """Stop serving a model for good."""
        slot = self.slots[model]
        slot.withdrawn = True
        if slot.worker is not None:
            slot.worker.child.kill()
            slot.worker = None

    def suspend(self, model: str) -> None:
        """End the worker of a model, and with it the plaintext, until `resume`."""
        slot = self.slots[model]
        slot.suspended = True
        if slot.worker is not None:
            slot.worker.child.kill()
            slot.worker = None

    def resume(self, model: str) -> None:
        """Release and load a suspended model again, with every check, as soon as `look_after` is called."""
        slot = self.slots[model]
        slot.suspended = False
        slot.failures = slot.rejections = 0
        slot.next_start = 0.0

    def look_after(self, on_ready: Callable[[Worker], None], on_failure: Callable[[str, str], None]) -> None:
        """Notice deaths, take in finished starts, begin due ones."""
        for model, slot in self.slots.items():
            if slot.worker is not None and not slot.worker.child.is_alive():
                self.lose(model)
            if slot.starting is not None and slot.starting.done():
                self._take_in(slot, slot.starting, on_ready, on_failure)
            if self._is_due(slot):
                slot.starting = self._starter.submit(self._start, slot.served)

    def stop(self) -> None:
        """Kill every worker, also one that is just being started."""
        for slot in self.slots.values():
            slot.withdrawn = True
        self._starter.shutdown(wait=True, cancel_futures=True)
        for slot in self.slots.values():
            if slot.starting is not None and slot.starting.done() and not slot.starting.cancelled():
                self._take_in(slot, slot.starting, lambda worker: None, lambda model, why: None)
            if slot.worker is not None:
                slot.worker.child.kill()
                slot.worker = None

    def _is_due(self, slot: Slot) -> bool:
        return (
            slot.worker is None
            and slot.starting is None
            and not slot.withdrawn
            and not slot.suspended
            and slot.rejections < MAX_REJECTIONS
            and time.monotonic() >= slot.next_start
        )

    def _start(self, served: Served) -> Worker:
        released = release(self._vault, self._actor, served.model)
        if str(released.statement.manifest_digest) != served.digest:
            released.close()
            raise RejectedError(f"{served.model}: released bytes are not those chosen for serving")
        return start_worker(
            released,
            list(self._settings.sandbox.require),
            self._settings.serve.threads,
            self._settings.serve.load_timeout_s,
        )

    def _take_in(
        self,
        slot: Slot,
        start: Future[Worker],
        on_ready: Callable[[Worker], None],
        on_failure: Callable[[str, str], None],
    ) -> None:
        slot.starting = None
        try:
            worker = start.result()
        except StrongroomError as error:
            slot.rejections += isinstance(error, RejectedError)
            self._plan(slot)
            on_failure(str(slot.served.model), error.message)
            return
        if slot.withdrawn or slot.suspended:
            worker.child.kill()
            return
        slot.worker, slot.started_at, slot.rejections = worker, time.monotonic(), 0
        on_ready(worker)

    def _plan(self, slot: Slot) -> None:
        delay_s = RESTART_DELAYS_S[min(slot.failures, len(RESTART_DELAYS_S) - 1)]
        slot.failures += 1
        slot.next_start = time.monotonic() + delay_s

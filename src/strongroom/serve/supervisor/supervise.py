"""The supervisor's loop: keep a gateway and the workers alive, and tell the gateway what holds now."""

import os
import selectors
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from strongroom.errors import DeniedError, OutageError, RejectedError, StrongroomError, shorten
from strongroom.flows.journal import Folding
from strongroom.flows.revocations import Lookout
from strongroom.flows.rotate_policy import record_overdue
from strongroom.flows.serving import Served, record_start, record_stop, record_suspension, still_served
from strongroom.flows.vault import Replayed, Vault, judge, moment, read_authority
from strongroom.serve.supervisor.fleet import RESTART_DELAYS_S, Fleet, Slot
from strongroom.serve.supervisor.gateway import Doors, Gateway
from strongroom.serve.supervisor.tls import ServerIdentity
from strongroom.serve.supervisor.watching import WatchThread
from strongroom.serve.supervisor.worker import Worker
from strongroom.serve.worker.layers import ON
from strongroom.settings import Settings
from strongroom.trust.authority import Authority
from strongroom.trust.policy import policy_version
from strongroom.values import Action, format_time

TICK_S = 0.25
SNAPSHOT_INTERVAL_S = 1.0
OVERDUE_INTERVAL_S = 3600.0
SILENCE_S = 20.0
"""A gateway that says nothing for so long hangs; it sends its statistics far more often."""
LATE_S = 2.0
"""A turn of the loop that took longer says nothing about the gateway: this process was held up itself."""
BACKLOG = 1024


@dataclass(frozen=True, slots=True)
class Notices:
    """Whom the supervisor tells what, as it happens."""

    ready: Callable[[str, int], None] = lambda host, port: None
    event: Callable[[str], None] = lambda text: None


@dataclass(frozen=True, slots=True)
class Fate:
    """What is to become of a served model: gone for good, kept back by the rule that denies it, or served."""

    withdrawn: bool = False
    rule: str = ""

    @property
    def served(self) -> bool:
        return not self.withdrawn and not self.rule


@dataclass
class Supervisor:
    """Serves ``models`` (``family`` or ``family@version``) until told to stop."""

    vault: Vault
    settings: Settings
    actor: str
    journals: str
    """Folder of the gateways' journals."""
    models: list[str]
    notices: Notices = field(default_factory=Notices)

    def run(self) -> None:
        """Serve until SIGTERM, SIGINT or `stop`, then drain and clean up.

        Raises:
            StrongroomError: a model could not be released or loaded, or the port not be opened.
        """
        self._wake_read, self._wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._wake_read, selectors.EVENT_READ)
        self._stopping = False
        self._gateway: Gateway | None = None
        self._announced = False
        self._gateway_failures = 0
        self._next_gateway = self._next_snapshot = 0.0
        self._next_overdue = 0.0
        self._next_fold = time.monotonic() + self.settings.log.fold_interval_s
        self._number = 0
        self._folding = Folding(self.vault, self.actor)
        # The fleet releases models in a thread of its own and so reads the log for itself.
        self._lookout = Lookout(self.vault, self.actor, self.settings.revocation.max_age_s)
        self._halted = ""
        self._ended: DeniedError | None = None
        self._fleet = Fleet(replace(self.vault, replayed=Replayed()), self.settings, self.actor)
        handlers = {
            number: signal.signal(number, self._on_signal) for number in (signal.SIGTERM, signal.SIGINT)
        }
        try:
            self._serve()
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
            self._fleet.stop()
            self._selector.close()
            os.close(self._wake_read)
            os.close(self._wake_write)

    def stop(self) -> None:
        """Ask `run` to drain and return; safe from a signal handler or another thread."""
        self._stopping = True
        os.write(self._wake_write, b"\0")

    def _on_signal(self, number: int, frame: object) -> None:
        self.stop()

    def _serve(self) -> None:
        # (1) what an earlier run left in its journals belongs in the log first
        self._folding.fold()
        # (2) nothing is loaded without knowing what is revoked; every model is loaded before the port opens
        self._lookout.begin()
        authority = read_authority(self.vault)
        for name in self.models:
            self._fleet.add(Served.choose(self.vault, authority, name))
        serve = self.settings.serve
        self._tls = ServerIdentity(self.vault, serve.names, serve.server_certificate_hours)
        # (3) the listener and the journals' folder outlive every gateway
        with _listen(serve.host, serve.port) as listener:
            folder = os.open(self.journals, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                self._doors = Doors(listener.fileno(), folder)
                self._address = listener.getsockname()[:2]
                record_start(self.vault, self.actor, self.served(), self.settings.insecure_choices())
                watch = self._watch()
                try:
                    self._loop()
                finally:
                    watch.stop()
                record_stop(self.vault, self.actor, self.served())
                if self._ended is not None:
                    raise self._ended
            finally:
                if self._gateway is not None:
                    self._gateway.child.kill()
                os.close(folder)

    def _loop(self) -> None:
        self._turned_at = time.monotonic()
        while not self._stopping:
            self._keep_gateway()
            heard = False
            for key, _ in self._selector.select(TICK_S):
                if key.fd == self._wake_read:
                    os.read(self._wake_read, 4096)
                elif self._gateway is not None:
                    self._guarded(lambda gateway: gateway.hear(self._on_message))
                    heard = True
            self._require_lively(heard)
            self._fleet.look_after(self._on_worker, self._on_worker_failure)
            now = time.monotonic()
            if now >= self._next_snapshot:
                self._push_snapshot()
            if now >= self._next_overdue:
                self._note_overdue()
            if now >= self._next_fold:
                self._next_fold = now + self.settings.log.fold_interval_s
                self._fold()
        if self._gateway is not None:
            self._selector.unregister(self._gateway.child.channel)
            self._gateway.drain(self.settings.serve.drain_timeout_s + 1)
            self._gateway = None
        self._fold()

    def _watch(self) -> WatchThread:
        models = tuple(one.model for one in self.served())
        watch = WatchThread(self.vault, self.actor, self.settings.watch, lambda: models, self.notices.event)
        if self.settings.watch.in_serve:
            watch.start()
        return watch

    # -- the gateway -----------------------------------------------------------------------------------

    def _keep_gateway(self) -> None:
        if self._gateway is not None or time.monotonic() < self._next_gateway:
            return
        try:
            certificate = self._tls.descriptor(self.vault.clock.now())
            try:
                gateway = Gateway(self.vault, self.settings, self.actor, self._doors, certificate)
            finally:
                os.close(certificate)
        except StrongroomError as error:
            if not self._announced:
                raise
            self._plan_gateway(f"gateway: {error.message}")
            return
        self._gateway = gateway
        self._heard_at = time.monotonic()
        self._selector.register(gateway.child.channel, selectors.EVENT_READ)
        self._push_snapshot()
        for slot in self._fleet.slots.values():
            if slot.worker is not None:
                self._on_worker(slot.worker)

    def _guarded(self, act: Callable[[Gateway], None]) -> None:
        """Do something with the gateway; if it turns out to be gone, plan the next one."""
        gateway = self._gateway
        if gateway is None:
            return
        try:
            act(gateway)
        except OutageError as error:
            self._end_gateway(gateway, error)

    def _end_gateway(self, gateway: Gateway, why: OutageError) -> None:
        """Make sure that it is gone, and plan the next one; before anybody was served, give up instead."""
        self._selector.unregister(gateway.child.channel)
        gateway.child.kill()
        self._gateway = None
        if not self._announced:
            raise why
        self._plan_gateway(why.message)

    def _require_lively(self, heard: bool) -> None:
        """End a gateway that hangs: nobody could tell it of a revocation, and nobody is answered."""
        now = time.monotonic()
        if heard or now - self._turned_at > LATE_S:
            self._heard_at = now
        self._turned_at = now
        if self._gateway is not None and now - self._heard_at > SILENCE_S:
            self._end_gateway(self._gateway, OutageError("gateway: says nothing any more"))

    def _plan_gateway(self, why: str) -> None:
        delay_s = RESTART_DELAYS_S[min(self._gateway_failures, len(RESTART_DELAYS_S) - 1)]
        self._gateway_failures += 1
        self._next_gateway = time.monotonic() + delay_s
        self.notices.event(f"{why}; starting another in {delay_s:g} s")

    def _on_message(self, message: dict[str, Any]) -> None:
        match message.get("kind"):
            case "ready":
                self._gateway_failures = 0
                if not self._announced:
                    self._announced = True
                    self.notices.ready(self._address[0], self._address[1])
            case "worker-lost" | "worker-stuck" as kind:
                model = str(message.get("model"))
                if self._fleet.lose(model):
                    self.notices.event(f"worker {model}: {kind}")
            case "failed":
                raise OutageError(f"gateway: {shorten(message.get('message', ''), 300)}")
            case "refused":
                # It would never be told again, and so might serve without a worker for good.
                raise OutageError(f"gateway: refused {shorten(message.get('message', ''), 300)}")
            case "locked":
                layers = message.get("layers")
                for name, state in layers.items() if isinstance(layers, dict) else ():
                    if state != ON:
                        self.notices.event(f"gateway: {shorten(name)} is {shorten(state)}")
            case "journal-failed":
                self.notices.event(f"gateway: {shorten(message.get('message', ''), 300)}")

    # -- the workers -----------------------------------------------------------------------------------

    def _on_worker(self, worker: Worker) -> None:
        def attach(gateway: Gateway) -> None:
            try:
                channel = worker.open_channel()
            except OutageError:
                return  # the worker just died; the fleet will notice and start another
            with channel:
                gateway.attach(worker, channel)

        self._guarded(attach)

    def _on_worker_failure(self, model: str, why: str) -> None:
        self.notices.event(f"worker {model}: {why}")

    def sandbox(self) -> dict[str, str]:
        """The layers of the first worker's sandbox: ``on``, or why not."""
        return next((slot.worker.layers for slot in self._fleet.slots.values() if slot.worker), {})

    def served(self) -> list[Served]:
        """What is served now."""
        slots = self._fleet.slots.values()
        return [slot.served for slot in slots if not slot.withdrawn and not slot.suspended]

    # -- what holds now --------------------------------------------------------------------------------

    def _push_snapshot(self) -> None:
        """Tell the gateway what the log says now. If the log cannot be read, its last word grows too old."""
        self._next_snapshot = time.monotonic() + SNAPSHOT_INTERVAL_S
        authority = self._look()
        if authority is None:
            return
        now = moment(self.vault, authority)
        if authority.identities[self.actor].revoked:
            self._end(f"{self.actor}: is revoked; nothing is served in that name any more")
            return
        judged = [(slot, self._judge(authority, slot, now)) for slot in self._fleet.slots.values()]
        self._resume([slot for slot, fate in judged if fate.served and slot.suspended])
        self._renew_certificate()
        self._number += 1
        snapshot = {
            "kind": "snapshot",
            "number": self._number,
            "time": format_time(now),
            "max_age_s": self.settings.serve.snapshot_max_age_s,
            "policy_version": policy_version(),
            "models": [slot.served.to_snapshot() for slot, fate in judged if fate.served],
            **authority.to_snapshot(now),
        }
        # The gateway hears of it first, so that callers learn that a model is gone and not that it failed.
        self._guarded(lambda gateway: gateway.tell(snapshot))
        for slot, fate in judged:
            self._carry_out(slot, fate)

    def _look(self) -> Authority | None:
        """Return what the log says, if it and the revocation list may be believed; else nothing is served."""
        try:
            authority = read_authority(self.vault)
        except StrongroomError as error:
            self.notices.event(error.message)
            if self._lookout.is_stale():
                self._halt("revocation list: is too old, and the log cannot be read")
            return None
        try:
            self._lookout.look()
        except RejectedError as error:
            self._halt(error.message)
            return None
        except StrongroomError as error:
            self.notices.event(f"revocation list: not issued anew: {error.message}")
        if self._lookout.is_stale():
            self._halt("revocation list: is too old, and cannot be issued anew")
            return None
        self._halted = ""
        return authority

    def _judge(self, authority: Authority, slot: Slot, now: datetime) -> Fate:
        model = str(slot.served.model)
        if slot.withdrawn or not still_served(authority, slot.served):
            return Fate(withdrawn=True)
        decision = judge(authority, self.actor, Action.SERVE, model, now)
        return Fate(rule="" if decision.allowed else decision.rule)

    def _carry_out(self, slot: Slot, fate: Fate) -> None:
        model = str(slot.served.model)
        if fate.withdrawn and not slot.withdrawn:
            self._fleet.withdraw(model)
            self.notices.event(f"{model}: withdrawn, no longer served")
        elif fate.rule and not slot.suspended:
            self._fleet.suspend(model)
            self.notices.event(f"{model}: {self.actor} may not serve it any more: {fate.rule}")
            try:
                record_suspension(self.vault, self.actor, slot.served, fate.rule)
            except StrongroomError as error:
                self.notices.event(f"{model}: its end is not recorded: {error.message}")

    def _resume(self, slots: list[Slot]) -> None:
        for slot in slots:
            self._fleet.resume(str(slot.served.model))
            self.notices.event(f"{slot.served.model}: served again")

    def _halt(self, why: str) -> None:
        """Nobody knows what is revoked: end every worker; the gateway's last word grows too old by itself."""
        for slot in self._fleet.slots.values():
            if not slot.withdrawn and not slot.suspended:
                self._fleet.suspend(str(slot.served.model))
        if why != self._halted:
            self._halted = why
            self.notices.event(f"{why}; nothing is served")

    def _end(self, why: str) -> None:
        """For good: whoever this serves as is no more."""
        self._halt(why)
        if self._ended is None:
            self._ended = DeniedError(why, hint="serve as another identity: strongroom serve --identity NAME")
            self.stop()

    def _renew_certificate(self) -> None:
        """Replace the server certificate in time; it is tried every second until it succeeds."""
        now = self.vault.clock.now()
        if not self._tls.is_due(now):
            return
        try:
            certificate = self._tls.descriptor(now)
        except StrongroomError as error:
            self.notices.event(error.message)
            return
        self._guarded(lambda gateway: gateway.renew(certificate))
        os.close(certificate)

    def _note_overdue(self) -> None:
        """A rotation that nobody makes is in the log even where nobody runs `doctor`."""
        self._next_overdue = time.monotonic() + OVERDUE_INTERVAL_S
        try:
            overdue = record_overdue(self.vault, self.actor, self.settings.keys.rotation.policy)
        except StrongroomError as error:
            self.notices.event(f"rotation: not recorded as overdue: {error.message}")
            return
        for age in overdue:
            self.notices.event(f"{age.name}: rotation was due {age.due:%Y-%m-%d}")

    def _fold(self) -> None:
        try:
            self._folding.fold()
        except StrongroomError as error:
            self.notices.event(f"journals: not folded: {error.message}")


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise OutageError(
            f"{host}:{port}: cannot listen: {error.strerror}", hint="choose another with --port"
        ) from None

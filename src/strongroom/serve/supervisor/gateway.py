"""The gateway as the supervisor sees it: started, told what holds, heard, started again."""

import os
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from strongroom.errors import OutageError, RejectedError
from strongroom.flows.journal import certify_journal
from strongroom.flows.vault import Vault
from strongroom.serve import control
from strongroom.serve.supervisor.child import Child
from strongroom.serve.supervisor.worker import Worker
from strongroom.settings import Settings

GATEWAY_MODULE = "strongroom.serve.gateway"
START_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Doors:
    """The descriptors that a gateway works with; the supervisor keeps them across restarts."""

    listener: int
    journals: int


class Gateway:
    """One gateway process. Every method raises OutageError when it is gone."""

    def __init__(self, vault: Vault, settings: Settings, actor: str, doors: Doors, certificate: int) -> None:
        """Start the process, certify its journal key in the log, and hand it its descriptors."""
        self.started_at = time.monotonic()
        self.child = Child.start("gateway", GATEWAY_MODULE)
        try:
            hello = self.child.expect("hello", START_TIMEOUT_S)
            journal, public_pem = hello.get("journal"), hello.get("public_pem")
            if not isinstance(journal, str) or not isinstance(public_pem, str):
                raise RejectedError("gateway: said hello without a journal")
            note = certify_journal(vault, actor, journal, public_pem)
            self.journal = journal
            self.child.tell(
                {
                    "kind": "start",
                    "limits": limits(settings),
                    "trusted_ca_pem": vault.trust_root.ca_pem.decode(),
                    "trust_domain": vault.trust_root.trust_domain,
                    "server_name": "strongroom",
                    "journal_note": note,
                    "log_origin": vault.trust_root.log_origin,
                },
                [doors.listener, doors.journals, certificate],
            )
        except BaseException:
            self.child.kill()
            raise

    def tell(self, message: dict[str, Any]) -> None:
        self.child.tell(message)

    def attach(self, worker: Worker, channel: socket.socket) -> None:
        """Give the gateway one end of a data channel to ``worker``."""
        self.child.tell(
            {"kind": "worker", "model": worker.model, "digest": worker.digest}, [channel.fileno()]
        )

    def renew(self, certificate: int) -> None:
        self.child.tell({"kind": "tls"}, [certificate])

    def hear(self, on_message: Callable[[dict[str, Any]], None]) -> None:
        """Take in one message. Raises OutageError when the gateway has closed its end, or talks nonsense.

        It faces the network, so what it says is taken for a stranger's words.
        """
        try:
            received = control.receive(self.child.channel)
        except OSError as error:
            raise OutageError(f"gateway: {error.strerror}") from None
        except RejectedError as error:
            raise OutageError(f"gateway: {error.message}") from None
        if received is None:
            raise OutageError("gateway: closed its control channel")
        message, descriptors = received
        for descriptor in descriptors:
            os.close(descriptor)
        on_message(message)

    def drain(self, timeout_s: float) -> None:
        """Let requests in flight finish, then end the process."""
        with suppress(OutageError, subprocess.TimeoutExpired):
            self.child.tell({"kind": "drain"})
            self.child.process.wait(timeout_s)
        self.child.kill()


def limits(settings: Settings) -> dict[str, Any]:
    """The gateway's limits by the names of `serve.gateway` (docs/formats/wire-frames.md)."""
    serve = settings.serve
    names = (
        "max_connections",
        "max_connections_per_principal",
        "max_body_bytes",
        "max_rows",
        "queue_limit",
        "deadline_s",
        "header_timeout_s",
        "body_timeout_s",
        "idle_timeout_s",
        "handshake_timeout_s",
        "drain_timeout_s",
    )
    return {name: getattr(serve, name) for name in names} | {"durability": settings.log.durability}

"""A child process and the control channel to it."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from strongroom.errors import OutageError, RejectedError, shorten
from strongroom.serve import control

SEND_TIMEOUT_S = 5.0
"""A child that takes no message for so long counts as gone: the supervisor must not hang with it."""
_QUIET_ENVIRONMENT = {"LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin", "PYTHONHASHSEED": "random"}


@dataclass
class Child:
    """Started from this interpreter with an empty environment, one descriptor and no terminal input."""

    name: str
    process: subprocess.Popen[bytes]
    channel: socket.socket

    @classmethod
    def start(cls, name: str, module: str, arguments: Sequence[str] = ()) -> "Child":
        ours, theirs = control.pair()
        try:
            process = subprocess.Popen(
                [sys.executable, "-I", "-m", module, "--control-fd", str(theirs.fileno()), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env=_QUIET_ENVIRONMENT,
                cwd="/",
                start_new_session=True,
            )
        except OSError as error:
            ours.close()
            raise OutageError(f"{name}: cannot be started: {error.strerror}") from None
        finally:
            theirs.close()
        ours.settimeout(SEND_TIMEOUT_S)
        return cls(name, process, ours)

    @property
    def pid(self) -> int:
        return self.process.pid

    def is_alive(self) -> bool:
        return self.process.poll() is None

    def tell(self, message: dict[str, Any], descriptors: Sequence[int] = ()) -> None:
        """Raises OutageError if the child is gone."""
        control.send(self.channel, message, descriptors)

    def expect(self, kind: str, timeout_s: float) -> dict[str, Any]:
        """Wait for the message of that kind.

        Raises:
            RejectedError: the child says that it failed, or says something else.
            OutageError: it died or said nothing in time; it is killed.
        """
        self.channel.settimeout(timeout_s)
        try:
            received = control.receive(self.channel)
        except TimeoutError:
            self.kill()
            raise OutageError(f"{self.name}: silent for {timeout_s:g} s while starting, killed") from None
        except OSError as error:
            self.kill()
            raise OutageError(f"{self.name}: {error.strerror}") from None
        self.channel.settimeout(SEND_TIMEOUT_S)
        if received is None:
            self.kill()
            raise OutageError(f"{self.name}: ended while starting, status {self.process.returncode}")
        message, descriptors = received
        for descriptor in descriptors:
            os.close(descriptor)
        if message.get("kind") == "failed":
            self.kill()
            why = f"{self.name}: {shorten(message.get('message', ''), 300)}"
            raise (OutageError if message.get("family") == OutageError.family else RejectedError)(why)
        if message.get("kind") != kind:
            self.kill()
            raise RejectedError(f"{self.name}: said {shorten(message.get('kind'))} instead of {kind}")
        return message

    def kill(self) -> None:
        """End the child and everything in its session; returns when it is gone."""
        if self.is_alive():
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except ProcessLookupError:
                self.process.kill()
        self.process.wait()
        self.channel.close()

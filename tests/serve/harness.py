"""Starts workers as the supervisor does, and stops them as it does: by the clock, from outside."""

import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from strongroom.serve import control, frames

Array = np.ndarray[Any, Any]
REPOSITORY = Path(__file__).resolve().parents[2]
TIMEOUT_S = 60.0


def memfd(content: bytes) -> int:
    descriptor = os.memfd_create("model", os.MFD_CLOEXEC)
    os.write(descriptor, content)
    return descriptor


class Worker:
    """A worker process with its control channel and one gateway channel."""

    def __init__(
        self,
        command: Sequence[str] = ("-m", "strongroom.serve.worker"),
        *,
        env: dict[str, str] | None = None,
        pass_fds: Sequence[int] = (),
    ) -> None:
        self.control, theirs = control.pair()
        self.control.settimeout(TIMEOUT_S)
        self.process = subprocess.Popen(
            [sys.executable, "-I", *command, "--control-fd", str(theirs.fileno())],
            env=env or {},
            pass_fds=[theirs.fileno(), *pass_fds],
            cwd="/",
            stdout=subprocess.DEVNULL,
        )
        theirs.close()
        self.channel: socket.socket | None = None
        self._reader = frames.FrameReader()

    def receive(self) -> dict[str, Any] | None:
        received = control.receive(self.control)
        if received is None:
            return None
        for descriptor in received[1]:
            os.close(descriptor)
        return received[0]

    def load(self, entries: dict[str, bytes], main: str, **options: Any) -> dict[str, Any] | None:
        descriptors = [memfd(content) for content in entries.values()]
        message = {"kind": "load", "model": "m@1.0.0", "main": main, "entries": list(entries), **options}
        control.send(self.control, message, descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        return self.receive()

    def open_channel(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        ours.settimeout(TIMEOUT_S)
        control.send(self.control, {"kind": "channel"}, [theirs.fileno()])
        theirs.close()
        self.channel = self.channel or ours
        return ours

    def ask(self, number: int, inputs: dict[str, Array], timeout_s: float = TIMEOUT_S) -> frames.Frame | None:
        """Send one batch; return the answer, or None when the worker closed. TimeoutError as the watchdog."""
        channel = self.channel or self.open_channel()
        channel.settimeout(timeout_s)
        try:
            for part in frames.encode_batch(number, int(timeout_s * 1000), list(inputs.items())):
                channel.sendall(part)
            while True:
                data = channel.recv(2**20)
                if not data:
                    return None
                for frame in self._reader.feed(data):
                    return frame
        except (ConnectionError, BrokenPipeError):
            return None

    def close(self) -> int:
        """Hang up and wait; kill what does not end by itself."""
        for end in (self.control, self.channel):
            if end is not None:
                end.close()
        try:
            return self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

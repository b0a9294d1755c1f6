"""Answers batches: one frame in, one frame out, until the supervisor hangs up.

Only read, write and poll on descriptors that exist: nothing here needs a call that the locks forbid. A
batch that fails costs that batch; a gateway that breaks the frame rules costs its channel.
"""

import os
import select
import socket
from collections.abc import Sequence

from strongroom.errors import OutageError, RejectedError, StrongroomError
from strongroom.ports import LoadedModel
from strongroom.serve import control
from strongroom.serve.frames import (
    MAX_ANSWER_BYTES,
    MAX_FRAME_BYTES,
    Batch,
    FrameParser,
    Octets,
    encode_answer,
    encode_failure,
)

MAX_CHANNELS = 64
_BUFFER_BYTES = 256 * 2**10
"""Kept per channel; a larger frame gets a buffer of its own for as long as it lasts."""
_MAX_GATHER = 256


def serve(channel: socket.socket, model: LoadedModel, max_frame_bytes: int = MAX_FRAME_BYTES) -> None:
    """Serve until the control channel is closed. Channels arrive over it (docs/formats/wire-frames.md)."""
    poll = select.poll()
    poll.register(channel, select.POLLIN)
    control_fd = channel.fileno()
    channels: dict[int, Channel] = {}
    while True:
        for descriptor, _ in poll.poll():
            if descriptor != control_fd:
                if not channels[descriptor].answer():
                    poll.unregister(descriptor)
                    channels.pop(descriptor).close()
                continue
            received = control.receive(channel)
            if received is None:
                return
            for added in _accept(*received, len(channels)):
                channels[added] = Channel(added, model, max_frame_bytes)
                poll.register(added, select.POLLIN)


def _accept(message: dict[str, object], descriptors: list[int], count: int) -> list[int]:
    """Return the new gateway channel; close what comes with any other message."""
    if message.get("kind") == "channel" and len(descriptors) == 1 and count < MAX_CHANNELS:
        return descriptors
    for descriptor in descriptors:
        os.close(descriptor)
    return []


class Channel:
    """One gateway's end: its receive buffer and its answers."""

    def __init__(self, descriptor: int, model: LoadedModel, max_frame_bytes: int) -> None:
        self._descriptor = descriptor
        self._model = model
        self._max_answer = min(max_frame_bytes, MAX_ANSWER_BYTES)
        self._parser = FrameParser(max_frame_bytes)
        self._home = memoryview(bytearray(_BUFFER_BYTES))
        self._whole = [self._home]
        self._buffer = self._home
        self._filled = 0

    def answer(self) -> bool:
        """Read once and answer every frame that is whole now; False when the channel is to be closed."""
        into = [self._buffer[self._filled :]] if self._filled else self._whole
        try:
            count = os.readv(self._descriptor, into)
            if count == 0:
                return False
            self._filled += count
            self._answer_frames()
        except (OSError, RejectedError, MemoryError):
            return False
        return True

    def close(self) -> None:
        os.close(self._descriptor)

    def _answer_frames(self) -> None:
        start = 0
        while size := self._parser.size(self._buffer[start : self._filled]):
            end = start + size
            if end > self._filled:
                break
            frame = self._parser.parse(self._buffer[start:end])
            if not isinstance(frame, Batch):
                raise RejectedError("frame: a worker takes batches only")
            self._send(self._run(frame))
            start = end
        if start == self._filled and self._buffer is self._home:
            self._filled = 0
        else:
            self._keep(start, size)

    def _keep(self, start: int, size: int) -> None:
        """Move what is left to the front, into a larger buffer if the frame that began there needs one."""
        left = self._filled - start
        if start == 0 and size <= len(self._buffer):
            return
        target = self._home if size <= len(self._home) else memoryview(bytearray(size))
        # A copy in between: source and target may overlap.
        target[:left] = bytes(self._buffer[start : self._filled])
        self._buffer, self._filled = target, left
        self._whole = [target]

    def _run(self, batch: Batch) -> list[Octets]:
        number = batch.number
        try:
            parts = encode_answer(number, list(self._model.run(batch.inputs).items()))
        except StrongroomError as error:
            return encode_failure(number, error.family, error.message)
        except MemoryError:
            return encode_failure(number, OutageError.family, "worker: out of memory")
        except Exception:
            # Whatever the engine said may describe the model; the caller learns that it failed.
            return encode_failure(number, "error", "worker: the engine failed")
        if sum(map(len, parts)) > self._max_answer:
            return encode_failure(number, "error", "worker: the answer is too large")
        return parts

    def _send(self, parts: list[Octets]) -> None:
        sent = os.writev(self._descriptor, parts[:_MAX_GATHER])
        if len(parts) == 1 and sent == len(parts[0]):
            return
        self._send_rest(parts, sent)

    def _send_rest(self, parts: Sequence[Octets], sent: int) -> None:
        left = [memoryview(part) for part in parts]
        while True:
            while left and sent >= len(left[0]):
                sent -= len(left.pop(0))
            if not left:
                return
            left[0] = left[0][sent:]
            sent = os.writev(self._descriptor, left[:_MAX_GATHER])

"""The link to one model's worker: a bounded queue, batches by tick, answers taken apart again."""

import asyncio
import socket
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple

import numpy as np

from strongroom.errors import InvalidError, RejectedError
from strongroom.guard.schema import Schema, TensorSpec
from strongroom.guard.tensors import NUMPY, Array, require_values
from strongroom.serve.frames import MAX_ANSWER_BYTES, MAX_STRINGS, Answer, Failure, FrameReader, encode_batch
from strongroom.serve.gateway.exchange import ABANDONED, Exchange
from strongroom.serve.gateway.limits import Limits
from strongroom.serve.gateway.oip import InferRequest, ModelProtocol, Renderer, WholeRenderer
from strongroom.serve.gateway.replies import BINARY, JSON
from strongroom.serve.gateway.snapshot import ServedModel

READ_BYTES = 2**18
MAX_SUSPECTS = 4096
MAX_JOINED_BYTES = 32 * 2**20
"""Of requests that go to the worker in one batch; the largest that comes alone fits into a frame by far."""
_STRING_BYTES = MAX_JOINED_BYTES // MAX_STRINGS

_NO_WORKER = "model: not ready"
_OVERLOADED = "model: too many requests are waiting"
_TOO_MANY = "request: too many of yours are waiting"
_TOO_LATE = "model: no answer within the deadline"
_BROKE = "model: failed on this request"
_REFUSED = "model: refuses this input"
_QUARANTINED = "model: this input is quarantined"

Octets = bytes | bytearray | memoryview


@dataclass(slots=True)
class Flight:
    """A batch that a worker has."""

    exchanges: list[Exchange]
    starts: list[int]
    """Where each exchange's rows begin; one more at the end."""
    sent_at_s: float


class Suspect(NamedTuple):
    """An input that was with workers when they died."""

    crashes: int
    since_s: float


@dataclass(slots=True)
class Outcomes:
    """Whom the link tells what."""

    settle: Callable[[Exchange], None]
    """An exchange has its answer; call it once each."""
    lost: Callable[[str], None]
    stuck: Callable[[str], None]
    fault: Callable[[Exception], None]
    """Something here that should not happen did."""


class Link:
    """Owned by the gateway's loop. Survives its workers: `attach` resumes with the next one."""

    def __init__(
        self, model: ServedModel, limits: Limits, loop: asyncio.AbstractEventLoop, outcomes: Outcomes
    ) -> None:
        self.model = model
        self.protocol = ModelProtocol(model.name, model.version, model.schema, limits.max_rows)
        self._schema = model.schema
        self._is_fixed = all(-1 not in spec.shape[1:] for spec in model.schema.inputs)
        """Whether rows of all requests have the same shape."""
        self._limits = limits
        self._loop = loop
        self._outcomes = outcomes
        self._socket: socket.socket | None = None
        self._reader = FrameReader(min(limits.max_frame_bytes, MAX_ANSWER_BYTES))
        self._outbox: deque[memoryview] = deque()
        self._queue: deque[Exchange] = deque()
        self._flights: OrderedDict[int, Flight] = OrderedDict()
        self._held: Counter[str] = Counter()
        """By principal, requests that were taken and are not settled."""
        self._number = 0
        self._suspects: OrderedDict[bytes, Suspect] = OrderedDict()

    @property
    def is_ready(self) -> bool:
        return self._socket is not None

    @property
    def is_busy(self) -> bool:
        return bool(self._queue or self._flights)

    # -- a worker comes and goes -----------------------------------------------------------------------

    def attach(self, descriptor: int) -> None:
        """Take over the data channel to a fresh worker."""
        if self._socket is not None:
            self._detach()
        channel = socket.socket(fileno=descriptor)
        channel.setblocking(False)
        self._socket = channel
        self._reader = FrameReader(min(self._limits.max_frame_bytes, MAX_ANSWER_BYTES))
        self._loop.add_reader(channel, self._on_readable)

    def close(self) -> None:
        """Let go of the worker; whoever still waits is told to come back."""
        if self._socket is not None:
            self._detach()

    def _detach(self) -> None:
        channel, self._socket = self._socket, None
        if channel is not None:
            self._loop.remove_reader(channel)
            if self._outbox:
                self._loop.remove_writer(channel)
            channel.close()
        self._outbox.clear()
        waiting = [one for flight in self._flights.values() for one in flight.exchanges]
        waiting += self._queue
        self._flights.clear()
        self._queue.clear()
        for exchange in waiting:
            if not exchange.status:
                exchange.refuse(503, _NO_WORKER)
                self._settle(exchange)

    def _lose(self) -> None:
        self._suspect()
        self._detach()
        self._outcomes.lost(self.model.key)

    # -- requests --------------------------------------------------------------------------------------

    def offer(self, exchange: Exchange) -> None:
        """Queue a parsed request for `pump`, or refuse it if it cannot be taken now."""
        if self._socket is None:
            exchange.refuse(503, _NO_WORKER)
        elif len(self._queue) >= self._limits.queue_limit:
            exchange.refuse(503, _OVERLOADED)
        elif self._held[exchange.principal] >= self._limits.queue_limit_per_principal:
            exchange.refuse(429, _TOO_MANY)
        elif self._suspects and self._crashes(exchange) >= self._limits.max_crashes:
            exchange.refuse(400, _QUARANTINED)
        else:
            self._queue.append(exchange)
            self._held[exchange.principal] += 1

    def _settle(self, exchange: Exchange) -> None:
        self._held[exchange.principal] -= 1
        if not self._held[exchange.principal]:
            del self._held[exchange.principal]
        self._outcomes.settle(exchange)

    def pump(self) -> None:
        """Send as many batches as the worker may have; what waits longer joins the next one."""
        while self._queue and self._socket is not None and len(self._flights) < self._limits.max_batches:
            group = self._next_group()
            if not group:
                continue
            try:
                self._send(group)
            except Exception as error:
                self._outcomes.fault(error)
                self._drop(group)

    def sweep(self, now_s: float) -> None:
        """Give up on what is too late; a worker that is silent for a whole deadline is stuck."""
        while self._queue and self._queue[0].status:
            self._queue.popleft()
        for exchange in self._queue:
            self._expire(exchange, now_s)
        if any(exchange.status for exchange in self._queue):
            self._queue = deque(exchange for exchange in self._queue if not exchange.status)
        for flight in self._flights.values():
            for exchange in flight.exchanges:
                self._expire(exchange, now_s)
        oldest = next(iter(self._flights.values()), None)
        if oldest is not None and now_s - oldest.sent_at_s > self._limits.deadline_s:
            self._suspect()
            self._detach()
            self._outcomes.stuck(self.model.key)

    def _expire(self, exchange: Exchange, now_s: float) -> None:
        if not exchange.status and now_s > exchange.deadline_s:
            exchange.refuse(503, _TOO_LATE)
            self._settle(exchange)

    def _drop(self, group: list[Exchange]) -> None:
        """These could not be sent, whyever: they are told, and nobody else is held up."""
        for exchange in group:
            if not exchange.status:
                exchange.refuse(503, _BROKE)
                self._settle(exchange)

    def _next_group(self) -> list[Exchange]:
        """Take from the queue what can go in one batch, in order."""
        group: list[Exchange] = []
        rows = size_bytes = 0
        shape = None
        while self._queue:
            exchange = self._queue[0]
            if exchange.status or exchange.connection.is_lost:
                self._queue.popleft()
                if not exchange.status:
                    exchange.finish(ABANDONED, b"")
                    self._settle(exchange)
                continue
            request = _request(exchange)
            trailing = None if self._is_fixed else [array.shape[1:] for array in request.inputs]
            alone = exchange.alone or not self._schema.by_rows or self._is_suspect(exchange)
            length = _size_bytes(exchange)
            too_many = rows + request.rows > self._limits.max_rows or size_bytes + length > MAX_JOINED_BYTES
            if group and (alone or too_many or trailing != shape):
                break
            group.append(self._queue.popleft())
            rows += request.rows
            size_bytes += length
            shape = trailing
            if alone:
                exchange.alone = True
                break
        return group

    def _send(self, group: list[Exchange]) -> None:
        requests = [_request(exchange) for exchange in group]
        arrays = _join(requests)
        try:
            self._require_values(arrays)
        except InvalidError as error:
            self._sort_out(group, error)
            return
        starts = [0]
        for request in requests:
            starts.append(starts[-1] + request.rows)
        now_s = self._loop.time()
        self._number += 1
        inputs = [(spec.name, array) for spec, array in zip(self._schema.inputs, arrays, strict=True)]
        # The worker's own deadline is the operator's, never a caller's: who asks for a microsecond must not
        # get the worker killed by its watchdog.
        buffers = encode_batch(self._number, int(self._limits.deadline_s * 1000), inputs)
        self._flights[self._number] = Flight(group, starts, now_s)
        self._write(buffers)

    def _require_values(self, arrays: list[Array]) -> None:
        for spec, array in zip(self._schema.inputs, arrays, strict=True):
            require_values(spec, array)

    def _sort_out(self, group: list[Exchange], error: InvalidError) -> None:
        """A joint check failed: settle those at fault, put the others back in front."""
        good = []
        for exchange in group:
            if len(group) > 1:
                try:
                    self._require_values(_request(exchange).inputs)
                except InvalidError as own:
                    error = own
                else:
                    good.append(exchange)
                    continue
            exchange.refuse(400, error.message)
            self._settle(exchange)
        self._queue.extendleft(reversed(good))

    # -- the channel -----------------------------------------------------------------------------------

    def _write(self, buffers: list[Octets]) -> None:
        channel = self._socket
        if channel is None:
            return
        if not self._outbox:
            try:
                sent = channel.sendmsg(buffers)
            except BlockingIOError:
                sent = 0
            except OSError:
                self._lose()
                return
            if sent == sum(map(len, buffers)):
                return
            self._loop.add_writer(channel, self._on_writable)
        else:
            sent = 0
        for buffer in buffers:
            view = memoryview(buffer)
            if sent >= len(view):
                sent -= len(view)
                continue
            self._outbox.append(view[sent:])
            sent = 0

    def _on_writable(self) -> None:
        channel = self._socket
        if channel is None:
            return
        try:
            while self._outbox:
                view = self._outbox[0]
                sent = channel.send(view)
                if sent == len(view):
                    self._outbox.popleft()
                else:
                    self._outbox[0] = view[sent:]
        except BlockingIOError:
            return
        except OSError:
            self._lose()
            return
        self._loop.remove_writer(channel)

    def _on_readable(self) -> None:
        channel = self._socket
        if channel is None:
            return
        try:
            data = channel.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._lose()
            return
        try:
            for frame in self._reader.feed(data):
                self._on_frame(frame)
        except RejectedError:
            self._lose()
            return
        self.pump()

    def _on_frame(self, frame: object) -> None:
        if not isinstance(frame, Answer | Failure):
            raise RejectedError("worker: sent something that is no answer")
        flight = self._flights.pop(frame.number, None)
        if flight is None:
            raise RejectedError("worker: answers what it was not asked")
        try:
            if isinstance(frame, Failure):
                self._fail(flight, frame)
            else:
                self._answer(flight, frame)
        except Exception as error:
            self._outcomes.fault(error)
            self._drop(flight.exchanges)

    # -- answers ---------------------------------------------------------------------------------------

    def _answer(self, flight: Flight, frame: Answer) -> None:
        rows = flight.starts[-1] if self._schema.by_rows else None
        if not _are_outputs(self._schema.outputs, frame.outputs, rows):
            self._fail(flight, Failure(frame.number, "error", ""))
            return
        renderer = (Renderer if self._schema.by_rows else WholeRenderer)(frame.outputs)
        for position, exchange in enumerate(flight.exchanges):
            if exchange.status:
                continue
            start, stop = flight.starts[position], flight.starts[position + 1]
            try:
                body, json_length = self.protocol.build(_request(exchange), renderer, start, stop)
            except InvalidError as error:
                exchange.refuse(400, error.message)
            else:
                if json_length is None:
                    exchange.finish(200, body, JSON)
                else:
                    exchange.finish(200, body, BINARY, f"inference-header-content-length: {json_length}\r\n")
            self._settle(exchange)
        if self._suspects:
            self._clear(flight)

    def _fail(self, flight: Flight, failure: Failure) -> None:
        """One bad request must not fail its neighbours: each is tried once more, alone."""
        if len(flight.exchanges) > 1:
            again = [exchange for exchange in flight.exchanges if not exchange.status]
            for exchange in again:
                exchange.alone = True
            self._queue.extendleft(reversed(again))
            return
        for exchange in flight.exchanges:
            if exchange.status:
                continue
            if failure.family == "invalid":
                exchange.refuse(400, _REFUSED)
            else:
                exchange.refuse(503, _BROKE)
            self._settle(exchange)

    # -- inputs that kill workers ----------------------------------------------------------------------

    def _suspect(self) -> None:
        """The worker died or hung: what it was computing is the oldest batch."""
        oldest = next(iter(self._flights.values()), None)
        for exchange in oldest.exchanges if oldest else ():
            key = _fingerprint(exchange)
            earlier = self._suspects.pop(key, None)
            self._suspects[key] = Suspect(earlier.crashes + 1 if earlier else 1, self._loop.time())
        while len(self._suspects) > MAX_SUSPECTS:
            self._suspects.popitem(last=False)

    def _crashes(self, exchange: Exchange) -> int:
        suspect = self._suspects.get(_fingerprint(exchange))
        if suspect is None:
            return 0
        if self._loop.time() - suspect.since_s > self._limits.quarantine_s:
            return min(suspect.crashes, self._limits.max_crashes - 1)
        return suspect.crashes

    def _is_suspect(self, exchange: Exchange) -> bool:
        return bool(self._suspects) and self._crashes(exchange) > 0

    def _clear(self, flight: Flight) -> None:
        """What was answered did not kill the worker."""
        for exchange in flight.exchanges:
            self._suspects.pop(_fingerprint(exchange), None)


def _request(exchange: Exchange) -> InferRequest:
    request = exchange.request
    if request is None:
        raise RuntimeError("an exchange was queued before it was parsed")
    return request


def _size_bytes(exchange: Exchange) -> int:
    """Return what a request weighs in a batch: its bytes; MAX_STRINGS strings weigh as much as may be."""
    arrays = _request(exchange).inputs
    strings = sum(array.size for array in arrays if array.dtype.hasobject)
    return max(len(exchange.body), sum(array.nbytes for array in arrays), strings * _STRING_BYTES)


def _fingerprint(exchange: Exchange) -> bytes:
    return sha256(exchange.body).digest()


def _join(requests: list[InferRequest]) -> list[Array]:
    if len(requests) == 1:
        return requests[0].inputs
    return [np.concatenate(parts) for parts in zip(*(request.inputs for request in requests), strict=True)]


def _are_outputs(specs: tuple[TensorSpec, ...], outputs: dict[str, Array], rows: int | None) -> bool:
    """Whether a worker answered with what the schema promises; it is not trusted to."""
    return len(outputs) == len(specs) and all(
        spec.name in outputs and _is_output(spec, outputs[spec.name], rows) for spec in specs
    )


def _is_output(spec: TensorSpec, array: Array, rows: int | None) -> bool:
    if array.dtype != NUMPY[spec.dtype] or array.ndim != len(spec.shape):
        return False
    if rows is not None and array.shape[0] != rows:
        return False
    return all(wanted in (-1, extent) for wanted, extent in zip(spec.shape, array.shape, strict=True))


def describe(schema: Schema) -> dict[str, object]:
    """The tensors of a model as its metadata shows them."""
    return {
        kind: [{"name": spec.name, "datatype": spec.dtype, "shape": list(spec.shape)} for spec in specs]
        for kind, specs in (("inputs", schema.inputs), ("outputs", schema.outputs))
    }

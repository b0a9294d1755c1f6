"""One TLS connection: bytes in, requests out, answers back in order; no coroutine and no timer of its own.

Every state has a deadline that the gateway's sweep enforces, so that a caller who stops halfway holds nothing
for long.
"""

import asyncio
from collections import deque
from enum import Enum, auto
from typing import TYPE_CHECKING, cast

from strongroom.serve.gateway.chunks import ChunkReader
from strongroom.serve.gateway.exchange import Exchange
from strongroom.serve.gateway.heads import CHUNKED, Head, HeadError, parse_head, require_plausible
from strongroom.serve.gateway.replies import CONTINUE
from strongroom.trust.certificates import PeerIdentity

if TYPE_CHECKING:
    from strongroom.serve.gateway.gateway import Gateway

_HEAD_END = b"\r\n\r\n"
_UNRESERVED_BYTES = 64 * 2**10
"""Bodies up to this size are not counted against the total of buffered bodies."""

_GRACE_S = 5.0


class State(Enum):
    """What the connection waits for."""

    HEAD = auto()
    BODY = auto()
    CHUNKS = auto()
    LINGER = auto()
    """Nothing more is read but to let the last answer arrive."""
    CLOSED = auto()


class Connection(asyncio.Protocol):
    """Feeds whole requests to the gateway and writes its answers in the order of the requests."""

    __slots__ = (
        "_body",
        "_chunks",
        "_gateway",
        "_head",
        "_last_head",
        "_last_parsed",
        "_left",
        "_partial",
        "_paused_reading",
        "_pending",
        "_reserved",
        "_since_s",
        "_state",
        "_stuck_since_s",
        "_waiting_since_s",
        "origin",
        "peer",
        "transport",
    )

    def __init__(self, gateway: "Gateway") -> None:
        self._gateway = gateway
        self.transport: asyncio.Transport | None = None
        self.peer: PeerIdentity | None = None
        self.origin = ""
        self._state = State.HEAD
        self._since_s = self._gateway.now_s
        self._partial = b""
        self._head: Head | None = None
        self._last_head = b""
        self._last_parsed: Head | None = None
        self._body = bytearray()
        self._left = 0
        self._chunks: ChunkReader | None = None
        self._pending: deque[Exchange] = deque()
        self._reserved = 0
        self._paused_reading = False
        self._stuck_since_s = 0.0
        self._waiting_since_s = 0.0

    # -- from the transport ----------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(high=self._gateway.limits.max_write_bytes)
        self._since_s = self._gateway.now_s
        self._gateway.welcome(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._state = State.CLOSED
        self.transport = None
        self._partial = b""
        self._body.clear()
        self._chunks = None
        self._release()
        self._gateway.farewell(self)

    def eof_received(self) -> bool:
        return False

    def pause_writing(self) -> None:
        self._stuck_since_s = self._gateway.now_s
        self._pause()

    def resume_writing(self) -> None:
        self._stuck_since_s = 0.0
        self._resume()

    def data_received(self, data: bytes) -> None:
        if self._state is State.LINGER or self._state is State.CLOSED:
            return
        if self._paused_reading:
            self._partial += data
            if len(self._partial) > self._gateway.limits.max_head_bytes + self._gateway.limits.max_body_bytes:
                self.abort()
            return
        self._consume(data)

    # -- for the gateway -------------------------------------------------------------------------------

    @property
    def is_lost(self) -> bool:
        return self.transport is None

    @property
    def is_idle(self) -> bool:
        return not self._pending and self._state is State.HEAD and not self._partial

    def flush(self) -> None:
        """Write the answers that are ready, in order."""
        pending = self._pending
        ready: list[bytes] = []
        last: Exchange | None = None
        while pending and pending[0].reply is not None:
            exchange = pending.popleft()
            ready.append(cast(bytes, exchange.reply))
            if not exchange.keep_alive:
                last = exchange
                pending.clear()
        if self.transport is None or not ready:
            return
        if not self._partial:
            self._since_s = self._gateway.now_s
        self._waiting_since_s = self._gateway.now_s
        self.transport.write(ready[0] if len(ready) == 1 else b"".join(ready))
        if last is not None:
            self._end(last)
        elif self._paused_reading and not self._stuck_since_s:
            self._resume()

    def turn_away(self, status: int, message: str) -> None:
        """Answer before anything is asked, and close."""
        self._refuse(status, message)

    def close_if_idle(self) -> None:
        if self.is_idle:
            self.close()

    def close(self) -> None:
        self._state = State.CLOSED
        if self.transport is not None:
            self.transport.close()

    def abort(self) -> None:
        self._state = State.CLOSED
        if self.transport is not None:
            self.transport.abort()

    def sweep(self, now_s: float) -> None:
        """Enforce the deadline of whatever this connection waits for."""
        limits = self._gateway.limits
        waited_s = now_s - self._since_s
        if self._stuck_since_s and now_s - self._stuck_since_s > limits.write_timeout_s:
            self._gateway.count("slow_readers")
            self.abort()
        elif self._pending and now_s - self._waiting_since_s > limits.deadline_s + _GRACE_S:
            # Every request is settled by its deadline; whatever went wrong, its caller is not left hanging.
            self._gateway.count("forgotten")
            self.abort()
        elif self._state is State.LINGER:
            if not self._pending and waited_s > limits.linger_s:
                self.close()
        elif self._state is State.CLOSED:
            if waited_s > limits.idle_timeout_s:
                self.abort()
        elif not self._paused_reading:
            self._sweep_reading(waited_s)

    def _sweep_reading(self, waited_s: float) -> None:
        limits = self._gateway.limits
        if self._state is not State.HEAD:
            if waited_s > limits.body_timeout_s:
                self._time_out("request: body took too long")
        elif self._partial:
            if waited_s > limits.header_timeout_s:
                self._time_out("request: head took too long")
        elif not self._pending and waited_s > limits.idle_timeout_s:
            self.close()

    # -- taking requests apart -------------------------------------------------------------------------

    def _consume(self, data: bytes) -> None:
        try:
            while data:
                if len(self._pending) >= self._gateway.limits.max_pipeline:
                    self._partial = data
                    self._pause()
                    return
                if self._state is State.HEAD:
                    rest = self._take_head(data)
                elif self._state is State.BODY:
                    rest = self._take_body(data)
                elif self._state is State.CHUNKS:
                    rest = self._take_chunks(data)
                else:
                    return
                if rest is None:
                    return
                data = rest
        except HeadError as error:
            self._refuse(error.status, error.message)

    def _take_head(self, data: bytes) -> bytes | None:
        looked_at = len(self._partial)
        if looked_at:
            data, self._partial = self._partial + data, b""
        limits = self._gateway.limits
        end = data.find(_HEAD_END, max(0, looked_at - len(_HEAD_END)), limits.max_head_bytes)
        if end < 0:
            if len(data) >= limits.max_head_bytes:
                raise HeadError(431, "request: head is too large")
            # Only what is new: a head that comes byte by byte must not cost its length squared.
            require_plausible(data, max(0, looked_at - 1))
            self._partial = data
            if not looked_at:
                self._since_s = self._gateway.now_s
            return None
        end += len(_HEAD_END)
        raw = data[:end]
        if raw == self._last_head and self._last_parsed is not None:
            head = self._last_parsed
        else:
            head = self._last_parsed = parse_head(raw, limits.max_headers)
            self._last_head = raw
        if not head.length:
            self._arrive(head, b"")
            return data[end:]
        return self._begin_body(head, data, end)

    def _begin_body(self, head: Head, data: bytes, at: int) -> bytes | None:
        limits = self._gateway.limits
        json_length = head.length if head.json_length is None else head.json_length
        most = limits.max_body_bytes if head.json_length is not None else limits.max_json_bytes
        if head.length > limits.max_body_bytes:
            raise HeadError(413, f"request: body is larger than {limits.max_body_bytes} bytes")
        if json_length > limits.max_json_bytes:
            raise HeadError(
                413, f"request: JSON is larger than {limits.max_json_bytes} bytes; send binary data"
            )
        if head.length != CHUNKED and len(data) - at >= head.length:
            end = at + head.length
            self._arrive(head, data[at:end])
            return data[end:]
        if self.peer is None or not self._gateway.is_known(self.peer):
            # Nobody we know: not one byte of a body is kept for them.
            raise HeadError(401, "request: needs a client certificate")
        self._head = head
        self._since_s = self._gateway.now_s
        if head.length == CHUNKED:
            self._chunks = ChunkReader(min(most, limits.max_body_bytes))
            self._state = State.CHUNKS
        else:
            self._reserve(head.length)
            self._left = head.length
            self._state = State.BODY
        rest = data[at:]
        if head.expects_continue and not rest and not self._pending and self.transport is not None:
            self.transport.write(CONTINUE)
        return rest

    def _take_body(self, data: bytes) -> bytes | None:
        if len(data) < self._left:
            self._body += data
            self._left -= len(data)
            return None
        self._body += data[: self._left]
        rest = data[self._left :]
        body = bytes(self._body)
        self._body.clear()
        self._state = State.HEAD
        self._arrive(cast(Head, self._head), body)
        return rest

    def _take_chunks(self, data: bytes) -> bytes | None:
        chunks = cast(ChunkReader, self._chunks)
        rest = chunks.feed(data)
        self._reserve(chunks.size)
        if rest is None:
            return None
        self._chunks = None
        self._state = State.HEAD
        self._arrive(cast(Head, self._head), chunks.body())
        return rest

    def _arrive(self, head: Head, body: bytes) -> None:
        exchange = Exchange(self, head, body, keep_alive=head.keep_alive)
        exchange.reserved_bytes, self._reserved = self._reserved, 0
        if not head.keep_alive:
            self._state = State.LINGER
        self._enqueue(exchange)

    def _enqueue(self, exchange: Exchange) -> None:
        if not self._pending:
            self._waiting_since_s = self._gateway.now_s
        self._pending.append(exchange)
        self._gateway.arrive(exchange)

    # -- ending ----------------------------------------------------------------------------------------

    def _refuse(self, status: int, message: str) -> None:
        """Answer what cannot be read, after everything before it; nothing behind it is read."""
        self._state = State.LINGER
        self._since_s = self._gateway.now_s
        self._partial = b""
        self._body.clear()
        self._chunks = None
        self._head = None
        exchange = Exchange(self, None, b"", keep_alive=False)
        exchange.refuse(status, message)
        self._enqueue(exchange)

    def _time_out(self, message: str) -> None:
        self._gateway.count("timeouts")
        self._refuse(408, message)

    def _end(self, last: Exchange) -> None:
        """The last answer is written. Let a caller who may still be sending read it before the cut."""
        self._partial = b""
        if last.head is not None:
            self.close()
            return
        self._state = State.LINGER
        self._since_s = self._gateway.now_s

    # -- holding back ----------------------------------------------------------------------------------

    def _pause(self) -> None:
        if not self._paused_reading and self.transport is not None and not self.transport.is_closing():
            self._paused_reading = True
            self.transport.pause_reading()

    def _resume(self) -> None:
        if not self._paused_reading or len(self._pending) >= self._gateway.limits.max_pipeline:
            return
        self._paused_reading = False
        if self.transport is not None and not self.transport.is_closing():
            self.transport.resume_reading()
        data, self._partial = self._partial, b""
        if data:
            self._consume(data)

    def _reserve(self, size: int) -> None:
        """Count a body that is being received; raises HeadError when all bodies together are too much."""
        if size <= _UNRESERVED_BYTES or size <= self._reserved:
            return
        if self.peer is None or not self._gateway.reserve(self.peer.principal, size - self._reserved):
            raise HeadError(503, "server: too much is being received at once")
        self._reserved = size

    def _release(self) -> None:
        if self._reserved and self.peer is not None:
            self._gateway.give_back(self.peer.principal, self._reserved)
            self._reserved = 0

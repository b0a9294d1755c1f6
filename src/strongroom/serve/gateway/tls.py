"""TLS over a plain transport: OpenSSL decides, its alerts reach the peer, and refusals can be told apart.

asyncio and uvloop drop the alert of a failed handshake and say no more than that it failed. Here the record
layer is the same OpenSSL behind two memory BIOs, and whatever it wants sent, alerts included, is sent.
"""

import asyncio
import ssl
from collections.abc import Callable
from contextlib import suppress
from enum import Enum, auto
from typing import Any, cast

MAX_HANDSHAKE_BYTES = 128 * 2**10
"""From a client before its handshake is done; OpenSSL allows 100 KiB of certificate chain."""
LINGER_S = 1.0
"""How long a refused peer may go on sending, unheard, before it is cut off."""
MAX_BARREN_BYTES = 32 * 2**10
"""From a client in a row without a byte for the app: two of the largest records. Key updates cost us far more
than their sender, and OpenSSL counts neither them nor records of nothing but padding."""
_READ_BYTES = 256 * 2**10
_UNKNOWN = "TLS_FAILED"


class Phase(Enum):
    """How far a connection has come."""

    HANDSHAKE = auto()
    OPEN = auto()
    CLOSED = auto()
    REFUSED = auto()
    """The app never heard of it."""


class TlsTransport(asyncio.Protocol):
    """A protocol below and the transport of ``app`` above."""

    __slots__ = (
        "_app",
        "_app_paused",
        "_barren_bytes",
        "_incoming",
        "_lower",
        "_on_refused",
        "_on_settled",
        "_outgoing",
        "_phase",
        "_session",
        "_timer",
        "_unproven_bytes",
    )

    def __init__(
        self,
        context: ssl.SSLContext,
        app: asyncio.Protocol,
        *,
        on_settled: Callable[["TlsTransport"], None],
        on_refused: Callable[[str], None],
    ) -> None:
        """``on_settled``: the handshake is done, or the refused peer gone. ``on_refused``: why it failed."""
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._session = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._app = app
        self._on_settled = on_settled
        self._on_refused = on_refused
        self._phase = Phase.HANDSHAKE
        self._app_paused = False
        self._unproven_bytes = 0
        self._barren_bytes = 0
        self._lower: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None

    def give_up_after(self, loop: asyncio.AbstractEventLoop, timeout_s: float) -> None:
        """End the connection if its handshake takes longer."""
        if self._phase is Phase.HANDSHAKE:
            self._timer = loop.call_later(timeout_s, self._refuse, "HANDSHAKE_TIMEOUT")

    def crowd_out(self) -> None:
        """End a handshake at once, to make room; one that was refused need not linger either."""
        self._refuse("CROWDED_OUT")
        self.abort()

    # -- from the plain transport ----------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._lower = cast(asyncio.Transport, transport)
        if self._phase is not Phase.HANDSHAKE:
            self._lower.abort()  # it was given up before it began

    def data_received(self, data: bytes) -> None:
        if self._phase is Phase.HANDSHAKE:
            self._incoming.write(data)
            self._unproven_bytes += len(data)
            self._shake_hands()
            self._deliver()
        elif len(data) <= MAX_BARREN_BYTES:
            self._take(data)
        else:
            for start in range(0, len(data), MAX_BARREN_BYTES):
                self._take(data[start : start + MAX_BARREN_BYTES])

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._lower = None
        if self._phase is Phase.HANDSHAKE:
            self._refuse("HANDSHAKE_ABANDONED")
        elif self._phase is Phase.REFUSED:
            self._settle()
        else:
            self._phase = Phase.CLOSED
            self._app.connection_lost(exc)

    def pause_writing(self) -> None:
        if self._phase is Phase.OPEN:
            self._app.pause_writing()

    def resume_writing(self) -> None:
        if self._phase is Phase.OPEN:
            self._app.resume_writing()

    # -- for the app: the part of asyncio.Transport that it uses ---------------------------------------

    def write(self, data: bytes) -> None:
        if self._phase is Phase.OPEN and data:
            try:
                self._session.write(data)
            except ssl.SSLError:
                self._break_off()
            self._flush()

    def close(self) -> None:
        """Say goodbye (close_notify), send what waits, and end."""
        if self._phase is Phase.OPEN:
            self._phase = Phase.CLOSED
            with suppress(ssl.SSLError, ValueError):
                self._session.unwrap()  # writes our close_notify; the peer's is not waited for
            self._flush()
        if self._lower is not None:
            self._lower.close()

    def abort(self) -> None:
        if self._lower is not None:
            self._lower.abort()

    def is_closing(self) -> bool:
        return self._lower is None or self._lower.is_closing()

    def pause_reading(self) -> None:
        self._app_paused = True
        if self._lower is not None and not self._lower.is_closing():
            self._lower.pause_reading()

    def resume_reading(self) -> None:
        self._app_paused = False
        if self._lower is not None and not self._lower.is_closing():
            self._lower.resume_reading()
            asyncio.get_running_loop().call_soon(self._deliver)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        if self._lower is not None:
            self._lower.set_write_buffer_limits(high, low)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        if name == "ssl_object":
            return self._session
        return self._lower.get_extra_info(name, default) if self._lower is not None else default

    # -- the record layer ------------------------------------------------------------------------------

    def _shake_hands(self) -> None:
        try:
            self._session.do_handshake()
        except ssl.SSLWantReadError:
            if self._unproven_bytes > MAX_HANDSHAKE_BYTES:
                self._refuse("HANDSHAKE_TOO_LARGE")
            self._flush()
            return
        except ssl.SSLError as error:
            self._flush()  # the alert that says why
            self._refuse(_reason(error), linger=True)
            return
        self._flush()
        self._phase = Phase.OPEN
        self._settle()
        self._app.connection_made(cast(asyncio.BaseTransport, self))

    def _take(self, data: bytes) -> None:
        """Decrypt, a bounded piece at a time: what brings the app nothing must end before it costs much."""
        if self._phase is not Phase.OPEN:
            return
        self._incoming.write(data)
        self._barren_bytes += len(data)
        self._deliver()
        if self._barren_bytes > MAX_BARREN_BYTES and not self._app_paused:
            self._break_off()

    def _break_off(self) -> None:
        """End a session that can go on no more; what the app still says is not heard."""
        self._phase = Phase.CLOSED
        if self._lower is not None:
            self._lower.close()

    def _deliver(self) -> None:
        """Hand over whatever is complete, until the app wants a pause."""
        session, incoming = self._session, self._incoming
        try:
            while self._phase is Phase.OPEN and not self._app_paused:
                data = session.read(_READ_BYTES)
                if not data:
                    self.close()
                    return
                self._barren_bytes = 0
                self._app.data_received(data)
                if not incoming.pending and not session.pending():
                    break
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self.close()
            return
        except ssl.SSLError:
            self._flush()  # the alert that says why
            self._break_off()
            return
        if self._outgoing.pending:  # an answer to a key update
            self._flush()

    def _flush(self) -> None:
        if self._outgoing.pending and self._lower is not None and not self._lower.is_closing():
            self._lower.write(self._outgoing.read())

    def _refuse(self, reason: str, *, linger: bool = False) -> None:
        """End a handshake. ``linger``: closing with unread bytes would reset the connection, alert too."""
        if self._phase is not Phase.HANDSHAKE:
            return
        self._phase = Phase.REFUSED
        self._on_refused(reason)
        if self._lower is None:
            self._settle()
            return
        if linger and not self._lower.is_closing():
            self._lower.write_eof()
            asyncio.get_running_loop().call_later(LINGER_S, self._lower.close)
        else:
            self._lower.close()

    def _settle(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._on_settled(self)


def _reason(error: ssl.SSLError) -> str:
    """Return OpenSSL's own words, of a fixed set; for a certificate, what is wrong with it."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    return error.reason or _UNKNOWN

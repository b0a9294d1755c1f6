"""Accepting connections: TLS 1.3 with optional client certificates, bounded before a handshake begins."""

import asyncio
import errno
import socket
import ssl

from strongroom.errors import InvalidError
from strongroom.serve.gateway.connection import Connection
from strongroom.serve.gateway.gateway import Gateway
from strongroom.serve.gateway.tls import TlsTransport

MAX_ACCEPTS = 64
"""Taken from the backlog in one go, so that callers already here are served in between."""
_OUT_OF_DESCRIPTORS_PAUSE_S = 0.1


def build_context(trusted_ca_pem: str, certificate: int) -> ssl.SSLContext:
    """Return the TLS settings; ``certificate`` is a descriptor of certificate and key as PEM.

    A client without a certificate may shake hands, and is told apart before any route but liveness and
    readiness. A certificate that is expired, of another CA or not for clients fails the handshake itself.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_OPTIONAL
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    # A resumed session would skip the client certificate's check; each connection shakes hands in full.
    context.num_tickets = 0
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_verify_locations(cadata=trusted_ca_pem)
        context.load_cert_chain(f"/proc/self/fd/{certificate}")
    except (ssl.SSLError, OSError):
        raise InvalidError("tls: certificate, key or trusted CA cannot be read") from None
    return context


class Listener:
    """Takes connections from a listening socket that the supervisor keeps."""

    def __init__(self, loop: asyncio.AbstractEventLoop, gateway: Gateway, context: ssl.SSLContext) -> None:
        self.context = context
        """Replaced when the certificate is renewed; open connections keep theirs."""
        self._loop = loop
        self._gateway = gateway
        self._socket: socket.socket | None = None
        self._handshakes: dict[TlsTransport, None] = {}
        """In the order in which they began."""
        self._attaching: set[asyncio.Task[None]] = set()

    def start(self, descriptor: int) -> None:
        self._socket = socket.socket(fileno=descriptor)
        self._socket.setblocking(False)
        self._loop.add_reader(self._socket, self._accept)

    def stop(self) -> None:
        """Take no more; the socket itself stays open in the supervisor."""
        if self._socket is not None:
            self._loop.remove_reader(self._socket)
            self._socket.close()
            self._socket = None

    def _accept(self) -> None:
        limits = self._gateway.limits
        for _ in range(MAX_ACCEPTS):
            if self._socket is None:
                return
            try:
                connection, _ = self._socket.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    self._rest()
                return
            handshakes = len(self._handshakes)
            crowded = handshakes + len(self._gateway.connections) >= limits.max_connections
            if crowded and not handshakes:
                self._gateway.count("connections_refused")
                connection.close()
                continue
            if crowded or handshakes >= limits.max_handshakes:
                # The oldest gives way: an honest caller is done within two round trips, one who only holds
                # places is not, so it cannot keep others out by being many.
                self._gateway.count("handshakes_crowded_out")
                oldest = next(iter(self._handshakes))
                self._settle(oldest)
                oldest.crowd_out()
            self._begin(connection)

    def _begin(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        session = TlsTransport(
            self.context,
            Connection(self._gateway),
            on_settled=self._settle,
            on_refused=self._gateway.refuse_handshake,
        )
        self._handshakes[session] = None
        session.give_up_after(self._loop, self._gateway.limits.handshake_timeout_s)
        attached = self._loop.create_task(self._attach(session, connection))
        self._attaching.add(attached)
        attached.add_done_callback(self._attaching.discard)

    async def _attach(self, session: TlsTransport, connection: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(lambda: session, connection)
        except OSError:
            self._settle(session)
            connection.close()

    def _settle(self, session: TlsTransport) -> None:
        self._handshakes.pop(session, None)

    def _rest(self) -> None:
        """Out of descriptors: leave the backlog alone for a moment instead of spinning on it."""
        if self._socket is not None:
            self._loop.remove_reader(self._socket)
            self._loop.call_later(_OUT_OF_DESCRIPTORS_PAUSE_S, self._resume)

    def _resume(self) -> None:
        if self._socket is not None:
            self._loop.add_reader(self._socket, self._accept)

"""The heart of the gateway: who may ask what, a batch a tick, a record before every answer.

All requests that complete in one turn of the event loop are decided together, all answers that are ready
leave together behind one durable journal batch. Nothing here is a coroutine.
"""

import asyncio
import sys
import traceback
from base64 import urlsafe_b64encode
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import Any

import orjson

from strongroom import __version__, canonical
from strongroom.errors import InvalidError, RejectedError
from strongroom.serve.gateway.book import Book
from strongroom.serve.gateway.commits import Commits
from strongroom.serve.gateway.connection import Connection
from strongroom.serve.gateway.exchange import Exchange
from strongroom.serve.gateway.limits import Limits
from strongroom.serve.gateway.link import Link, Outcomes, describe
from strongroom.serve.gateway.moment import Moment, age_s
from strongroom.serve.gateway.replies import build_reply, error_body
from strongroom.serve.gateway.room import Room
from strongroom.serve.gateway.routes import Kind, Match, find_route
from strongroom.serve.gateway.snapshot import ServedModel, Snapshot
from strongroom.trust.certificates import PeerIdentity, principal_of
from strongroom.trust.journal import Batch, Record, answer_hash, request_hash
from strongroom.trust.receipt_form import Receipt

MAX_ORIGINS = 16_384
"""Different addresses of unknown callers that are written down; a journal's contexts are bounded."""
MAX_TICK_RECORDS = 4096
REFUSALS_INTERVAL_S = 1.0
MAX_REFUSAL_REASONS = 64

NOT_FOUND = error_body("not found, or not yours to use")
"""One answer for what does not exist and for what the caller may not know to exist (I11)."""
UNKNOWN_CALLER = error_body("request: needs a valid client certificate")
UNAVAILABLE = "server: not ready"

_FACTS = ("who", "serial", "origin", "action", "model", "digest", "policy", "rule", "decision")
"""The names in a record's context (docs/http-api.md)."""
_NO_HASH = bytes(32)
_WITHOUT_RECEIPT = frozenset({401, 404})
"""A record names the model that was asked for; who may not know that it exists is not shown it (I11)."""
_NAMES = {
    200: "allow",
    400: "invalid",
    401: "deny",
    404: "deny",
    429: "shed",
    499: "abandoned",
    503: "outage",
}


class Gateway:
    """State shared by all connections of one process."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        limits: Limits,
        book: Book,
        trust_domain: str,
        certificate: bytes,
        name: str,
        tell: Callable[[dict[str, Any]], None],
    ) -> None:
        """``certificate``: the note about the journal's key that goes into receipts; ``name``: ours."""
        self.limits = limits
        self.connections: set[Connection] = set()
        self.draining = False
        self.now_s = age_s()
        """The time of this tick, or of the last sweep: good enough for every deadline of a connection."""
        self._loop = loop
        self._book = book
        self._trust_domain = trust_domain
        self._certificate = certificate
        self._description = orjson.dumps(
            {"name": name, "version": __version__, "extensions": ["binary_tensor_data"]}
        )
        self._tell = tell
        self._moment = Moment()
        self._snapshot: Snapshot | None = None
        self._links: dict[str, Link] = {}
        self._arrived: list[Exchange] = []
        self._settled: list[Exchange] = []
        self._scheduled = False
        self._journal_failed = False
        self._commits = Commits(loop, book, self._on_journal_failure)
        each_bytes = max(limits.max_buffered_bytes_per_principal, limits.max_body_bytes)
        self._room = Room(limits.max_buffered_bytes, each_bytes)
        self._uninvited: dict[Connection, None] = {}
        """Connections without a certificate that holds, or beyond their caller's limit; the oldest first."""
        self._principals: Counter[str] = Counter()
        self._counts: Counter[str] = Counter()
        self._statuses: Counter[int] = Counter()
        self._refused: Counter[str] = Counter()
        self._refused_written_s = 0.0
        self._origins: set[str] = set()
        self._contexts: dict[tuple[str, ...], bytes] = {}
        self._outcomes = Outcomes(self._settle, self._on_lost, self._on_stuck, self.fault)

    # -- from connections ------------------------------------------------------------------------------

    def welcome(self, connection: Connection) -> None:
        """A TLS handshake is done: read the certificate, once."""
        self.connections.add(connection)
        transport = connection.transport
        if transport is None:
            return
        address = transport.get_extra_info("peername")
        connection.origin = str(address[0]) if address else ""
        session = transport.get_extra_info("ssl_object")
        der = session.getpeercert(True) if session else None
        try:
            peer = principal_of(der, self._trust_domain) if der is not None else None
        except RejectedError:
            self.count("certificates_rejected")
            peer = None
        if peer is None or not self.is_known(peer):
            self._make_way(connection)
        if peer is None:
            return
        connection.peer = peer
        self._principals[peer.principal] += 1
        if self._principals[peer.principal] > self.limits.max_connections_per_principal:
            # At once and not when it asks: one who never asks would hold the place of another.
            self._make_way(connection)
            connection.turn_away(429, "request: too many connections")

    def _make_way(self, connection: Connection) -> None:
        """Whoever has no right to a place shares few, and the newest has one: probes get through a crowd."""
        self._uninvited[connection] = None
        places = min(self.limits.max_unknown_connections, max(1, self.limits.max_connections // 4))
        if len(self._uninvited) > places:
            self.count("crowded_out")
            oldest = next(iter(self._uninvited))
            del self._uninvited[oldest]
            oldest.abort()

    def is_known(self, peer: PeerIdentity) -> bool:
        """Whether the certificate is one of an identity that is not revoked, as far as we were told."""
        snapshot = self._snapshot
        return snapshot is None or snapshot.owner(peer.serial) == peer.principal

    def farewell(self, connection: Connection) -> None:
        self.connections.discard(connection)
        self._uninvited.pop(connection, None)
        if connection.peer is not None:
            name = connection.peer.principal
            self._principals[name] -= 1
            if not self._principals[name]:
                del self._principals[name]

    def reserve(self, principal: str, size_bytes: int) -> bool:
        """Count bytes of a request body; False if there is no room."""
        if self._room.take(principal, size_bytes):
            return True
        self.count("bodies_refused")
        return False

    def give_back(self, principal: str, size_bytes: int) -> None:
        self._room.give_back(principal, size_bytes)

    def refuse_handshake(self, reason: str) -> None:
        """Note a handshake that failed; `sweep` writes them down, counted by reason (I4)."""
        self.count("handshakes_failed")
        self._refused[reason] += 1

    def count(self, what: str) -> None:
        self._counts[what] += 1

    def arrive(self, exchange: Exchange) -> None:
        """Take a whole request; it is decided with all others of this tick."""
        self._arrived.append(exchange)
        self._schedule()

    # -- from the supervisor ---------------------------------------------------------------------------

    def take_snapshot(self, message: dict[str, Any]) -> None:
        """Replace what is known. An older or malformed snapshot is refused; the last one then grows old."""
        at_s = age_s()
        known = self._snapshot
        if known is not None and message.get("number", 0) <= known.number:
            raise InvalidError("snapshot: is older than the one in force")
        fresh = known.renewed(message, at_s) if known is not None else None
        if fresh is None:
            fresh = Snapshot(message, at_s)
        self._snapshot = fresh
        self._moment.require_at_least(fresh.time)
        self._serve(fresh)

    def take_worker(self, model: str, digest: str, descriptor: int) -> None:
        """Use a fresh worker for ``model``; takes over the descriptor."""
        link = self._links.get(model)
        if link is None or link.model.digest != digest:
            raise InvalidError("worker: is for a model that is not served")
        link.attach(descriptor)

    def _serve(self, snapshot: Snapshot) -> None:
        wanted = {model.key: model for model in snapshot.models.values()}
        for name in list(self._links):
            known = wanted.get(name)
            if known is None or known.digest != self._links[name].model.digest:
                self._links.pop(name).close()
        for name, model in wanted.items():
            if name not in self._links:
                self._links[name] = Link(model, self.limits, self._loop, self._outcomes)

    # -- state -----------------------------------------------------------------------------------------

    @property
    def is_ready(self) -> bool:
        """Whether every model could be answered for right now."""
        snapshot = self._snapshot
        return (
            snapshot is not None
            and snapshot.is_fresh(age_s())
            and not self._journal_failed
            and self._commits.waited_s < self.limits.deadline_s
            and not self.draining
            and all(link.is_ready for link in self._links.values())
        )

    @property
    def is_busy(self) -> bool:
        waiting = self._arrived or self._settled or self._commits.is_busy
        return bool(waiting) or any(link.is_busy for link in self._links.values())

    def close(self) -> None:
        """Wait for what is on its way to the disk."""
        self._commits.close()

    @property
    def is_lost(self) -> bool:
        """Whether this process can record nothing any more and another must take over."""
        return self._book.is_lost

    def sweep(self) -> None:
        """Enforce all deadlines; called a few times a second."""
        now_s = self.now_s = age_s()
        if self._journal_failed and self._book.has_room:
            self._journal_failed = False
        for connection in list(self.connections):
            connection.sweep(now_s)
        for link in list(self._links.values()):
            link.sweep(self._loop.time())
        due = now_s - self._refused_written_s >= REFUSALS_INTERVAL_S
        if self._refused and due and not self._commits.is_busy:
            self._refused_written_s = now_s
            self._record_refusals()

    def _record_refusals(self) -> None:
        """One record a reason, its rows how many handshakes: a flood of them cannot flood the journal."""
        at_us = int(self._moment.now().timestamp() * 1_000_000)
        written = dict(self._refused.most_common(MAX_REFUSAL_REASONS))
        records = []
        for reason, times in written.items():
            known = {"action": "handshake", "decision": "deny", "rule": reason}
            facts = dict.fromkeys(_FACTS, "") | known
            records.append(Record(canonical.encode(facts), at_us, times, 0, _NO_HASH, _NO_HASH))

        def done(batch: Batch | None) -> None:
            if batch is not None:
                self._journal_failed = False
                self._refused.subtract(written)
                self._refused += Counter()  # drops the reasons that are down to nothing
            self._release_settled()

        self._commits.begin(records, done)

    def stats(self) -> dict[str, Any]:
        """Counters since the start, for the supervisor; no names of callers."""
        return {
            "kind": "stats",
            "connections": len(self.connections),
            "buffered_bytes": self._room.taken_bytes,
            "counts": dict(self._counts),
            "statuses": {str(status): count for status, count in self._statuses.items()},
        }

    # -- one tick --------------------------------------------------------------------------------------

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._tick)

    def _tick(self) -> None:
        self._scheduled = False
        arrived, self._arrived = self._arrived, []
        self.now_s = age_s()
        if arrived:
            now = self._moment.now()
            for exchange in arrived:
                self._admit(exchange, now)
            for link in list(self._links.values()):
                link.pump()
        self._release_settled()

    def _settle(self, exchange: Exchange) -> None:
        self._settled.append(exchange)
        self._schedule()

    def _admit(self, exchange: Exchange, now: datetime) -> None:
        """Decide one request: it is settled here, or on its way to a worker."""
        try:
            self._decide(exchange, now)
        except Exception as error:
            # A bug of ours must not leave its caller waiting.
            self.fault(error)
            exchange.refuse(503, UNAVAILABLE)
        if not exchange.recorded:
            self._reply([exchange], None)
        elif exchange.status:
            self._settle(exchange)

    def fault(self, error: Exception) -> None:
        """Tell where a bug of ours is, not what it said: that could be anything, even what a caller sent."""
        self.count("faults")
        frame = traceback.extract_tb(error.__traceback__)[-1]
        sys.stderr.write(f"gateway: fault: {type(error).__name__} in {frame.name}:{frame.lineno}\n")

    def _decide(self, exchange: Exchange, now: datetime) -> None:
        head = exchange.head
        if self.draining:
            exchange.keep_alive = False
        match = find_route(head.method, head.target) if head is not None else None
        if match is not None and match.route.public:
            self._answer_health(exchange, match.route.kind)
            return
        snapshot = self._snapshot
        if head is None:
            # Refused already; who sent it belongs in the record.
            if exchange.connection.peer is not None:
                exchange.principal, exchange.serial, _ = exchange.connection.peer
            return
        if exchange.connection.peer is None:
            self._turn_away(exchange)
            return
        if snapshot is None or not snapshot.is_fresh(self.now_s):
            exchange.refuse(503, UNAVAILABLE)
            return
        exchange.policy = snapshot.policy_version
        if not self._identify(exchange, snapshot, now):
            return
        if match is None:
            exchange.finish(404, NOT_FOUND)
        elif match.route.action is None:
            exchange.finish(200, self._description)
        else:
            self._authorize(exchange, match, snapshot, now)

    def _identify(self, exchange: Exchange, snapshot: Snapshot, now: datetime) -> bool:
        """Say who asks. Serial and end are compared for every request, not only at the handshake."""
        peer = exchange.connection.peer
        if peer is None or now >= peer.not_after or snapshot.owner(peer.serial) != peer.principal:
            self._turn_away(exchange)
            return False
        exchange.principal = peer.principal
        exchange.serial = peer.serial
        return True

    def _turn_away(self, exchange: Exchange) -> None:
        """Each unknown caller's question costs it a handshake, so that asking does not come cheap."""
        exchange.finish(401, UNKNOWN_CALLER)
        exchange.keep_alive = False

    def _authorize(self, exchange: Exchange, match: Match, snapshot: Snapshot, now: datetime) -> None:
        route, name, version = match
        action = route.action
        if action is None:
            raise RuntimeError("a route without an action has nothing to authorize")
        model = snapshot.find_model(name, version)
        # What does not exist is decided like what does, so that both take the same time.
        resource = model.key if model is not None else name
        decision = snapshot.decide(exchange.principal, action, resource, now, asked=f"{name}@{version}")
        exchange.action = action.value
        exchange.rule = decision.rule
        exchange.model = model
        if model is None or not decision.allowed:
            exchange.finish(404, NOT_FOUND)
            return
        link = self._links[model.key]
        if route.kind is Kind.MODEL:
            exchange.finish(200, _describe(model))
        elif route.kind is Kind.MODEL_READY:
            if link.is_ready:
                exchange.finish(200, b'{"ready":true}')
            else:
                exchange.refuse(503, "model: not ready")
        else:
            self._queue(exchange, link)

    def _queue(self, exchange: Exchange, link: Link) -> None:
        head = exchange.head
        try:
            request = link.protocol.parse(exchange.body, head.json_length if head else None)
        except InvalidError as error:
            exchange.refuse(400, error.message)
            return
        limit_s = self.limits.deadline_s
        exchange.request = request
        exchange.deadline_s = self._loop.time() + min(limit_s, request.timeout_s or limit_s)
        link.offer(exchange)

    def _answer_health(self, exchange: Exchange, kind: Kind) -> None:
        exchange.recorded = False
        if kind is Kind.LIVE or self.is_ready:
            exchange.finish(200, b"")
        else:
            exchange.finish(503, b"")

    # -- records ---------------------------------------------------------------------------------------

    def _release_settled(self) -> None:
        """Record what is settled, then answer it; while one batch is on its way to the disk, more gathers."""
        if self._commits.is_busy or not self._settled:
            return
        settled = self._settled[:MAX_TICK_RECORDS]
        del self._settled[:MAX_TICK_RECORDS]
        if self._settled:
            self._schedule()
        at_us = int(self._moment.now().timestamp() * 1_000_000)

        def done(batch: Batch | None) -> None:
            if batch is not None:
                self._journal_failed = False
            self._reply(settled, batch)
            self._release_settled()

        self._commits.begin([self._build_record(exchange, at_us) for exchange in settled], done)

    def _on_journal_failure(self, message: str) -> None:
        if not self._journal_failed:
            self._tell({"kind": "journal-failed", "message": message})
        self._journal_failed = True

    def _reply(self, settled: list[Exchange], batch: Batch | None) -> None:
        """Answer; without a batch, what had to be recorded is not answered but with 503."""
        prefix = f"strongroom-record: {self._book.name}-{batch.head.number}-" if batch is not None else ""
        index = 0
        touched: dict[Connection, None] = {}
        for exchange in settled:
            self._statuses[exchange.status] += 1
            if exchange.reserved_bytes and exchange.connection.peer is not None:
                self.give_back(exchange.connection.peer.principal, exchange.reserved_bytes)
            extra = exchange.extra
            if not exchange.recorded:
                pass
            elif batch is None:
                exchange.refuse(503, UNAVAILABLE)
                extra = ""
            else:
                extra = f"{extra}{prefix}{index}\r\n"
                inline = exchange.head is not None and exchange.head.inline_receipt
                if inline and exchange.status not in _WITHOUT_RECEIPT:
                    extra += self._receipt(batch, index)
                index += 1
            exchange.reply = build_reply(
                exchange.status, exchange.answer, exchange.content_type, extra, keep_alive=exchange.keep_alive
            )
            if exchange.head is not None and exchange.head.method == "HEAD":
                exchange.reply = exchange.reply.removesuffix(exchange.answer)
            touched[exchange.connection] = None
        for connection in touched:
            try:
                connection.flush()
            except Exception as error:
                # One connection's trouble must not keep the others' answers back.
                self.fault(error)
                connection.abort()
            if self.draining:
                connection.close_if_idle()

    def _build_record(self, exchange: Exchange, at_us: int) -> Record:
        head = exchange.head
        request = request_hash(*head.hashed, exchange.body) if head is not None else _NO_HASH
        rows = exchange.request.rows if exchange.request is not None else 0
        return Record(
            self._context(exchange),
            at_us,
            rows,
            exchange.status,
            request,
            answer_hash(exchange.status, exchange.answer),
        )

    def _context(self, exchange: Exchange) -> bytes:
        """Say who asked what and who decided: canonical JSON, the same bytes for the same facts."""
        model = exchange.model
        facts = (
            exchange.principal,
            exchange.serial,
            self._origin(exchange),
            exchange.action,
            model.key if model is not None else "",
            model.digest if model is not None else "",
            exchange.policy,
            exchange.rule,
            _NAMES.get(exchange.status, "invalid"),
        )
        known = self._contexts.get(facts)
        if known is None:
            if len(self._contexts) >= MAX_ORIGINS:
                self._contexts.clear()
            known = self._contexts[facts] = canonical.encode(dict(zip(_FACTS, facts, strict=True)))
        return known

    def _origin(self, exchange: Exchange) -> str:
        """Return the caller's address; unknown callers share one word once there are very many of them."""
        origin = exchange.connection.origin
        if exchange.principal or origin in self._origins:
            return origin
        if len(self._origins) >= MAX_ORIGINS:
            return "many"
        self._origins.add(origin)
        return origin

    def _receipt(self, batch: Batch, index: int) -> str:
        data = Receipt.of(batch, index, self._certificate).to_bytes()
        return f"strongroom-receipt: {urlsafe_b64encode(data).decode().rstrip('=')}\r\n"

    # -- workers ---------------------------------------------------------------------------------------

    def _on_lost(self, model: str) -> None:
        self.count("workers_lost")
        self._tell({"kind": "worker-lost", "model": model})

    def _on_stuck(self, model: str) -> None:
        self.count("workers_stuck")
        self._tell({"kind": "worker-stuck", "model": model})


def _describe(model: ServedModel) -> bytes:
    return orjson.dumps(
        {
            "name": model.name,
            "versions": [model.version],
            "platform": model.schema.platform,
            **describe(model.schema),
        }
    )

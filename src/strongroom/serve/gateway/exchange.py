"""One request on its way to an answer and a record."""

from typing import TYPE_CHECKING

from strongroom.serve.gateway.heads import Head
from strongroom.serve.gateway.oip import InferRequest
from strongroom.serve.gateway.replies import JSON, error_body
from strongroom.serve.gateway.snapshot import ServedModel

if TYPE_CHECKING:
    from strongroom.serve.gateway.connection import Connection

ABANDONED = 499
"""The status in the record of a request whose caller left before it was sent to a worker."""


class Exchange:
    """Mutable on purpose: created by a connection, decided by the gateway, answered by a worker."""

    __slots__ = (
        "action",
        "alone",
        "answer",
        "body",
        "connection",
        "content_type",
        "deadline_s",
        "extra",
        "head",
        "keep_alive",
        "model",
        "policy",
        "principal",
        "recorded",
        "reply",
        "request",
        "reserved_bytes",
        "resource",
        "rule",
        "serial",
        "status",
    )

    def __init__(self, connection: "Connection", head: Head | None, body: bytes, *, keep_alive: bool) -> None:
        self.connection = connection
        self.head = head
        """None for a head that was refused."""
        self.body = body
        self.keep_alive = keep_alive
        self.deadline_s = 0.0
        self.principal = ""
        self.serial = ""
        self.action = ""
        self.resource = ""
        self.rule = ""
        self.policy = ""
        self.model: ServedModel | None = None
        self.request: InferRequest | None = None
        self.alone = False
        """To be sent in a batch of its own."""
        self.reserved_bytes = 0
        """Of the body, counted in the gateway's total until the answer is recorded."""
        self.recorded = True
        """False for liveness and readiness, which decide nothing."""
        self.status = 0
        self.answer = b""
        self.content_type = JSON
        self.extra = ""
        self.reply: bytes | None = None

    def finish(self, status: int, answer: bytes, content_type: str = JSON, extra: str = "") -> None:
        """Settle the answer; it leaves once its record is durable."""
        self.status = status
        self.answer = answer
        self.content_type = content_type
        self.extra = extra

    def refuse(self, status: int, message: str) -> None:
        self.finish(status, error_body(message))

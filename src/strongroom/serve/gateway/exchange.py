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
    """Mutable on purpose: created by a connection, decided by the gateway, answered by a worker.

    What most requests leave as it is are defaults of the class, for one of these is made for every request.
    """

    deadline_s: float = 0.0
    principal: str = ""
    serial: str = ""
    action: str = ""
    rule: str = ""
    policy: str = ""
    model: ServedModel | None = None
    request: InferRequest | None = None
    alone: bool = False
    """To be sent in a batch of its own."""
    reserved_bytes: int = 0
    """Of the body, counted in the gateway's total until the answer is recorded."""
    recorded: bool = True
    """False for liveness and readiness, which decide nothing."""
    status: int = 0
    answer: bytes = b""
    content_type: str = JSON
    extra: str = ""
    reply: bytes | None = None

    def __init__(self, connection: "Connection", head: Head | None, body: bytes, *, keep_alive: bool) -> None:
        self.connection = connection
        self.head = head
        """None for a head that was refused."""
        self.body = body
        self.keep_alive = keep_alive

    def finish(self, status: int, answer: bytes, content_type: str = JSON, extra: str = "") -> None:
        """Settle the answer; it leaves once its record is durable."""
        self.status = status
        self.answer = answer
        self.content_type = content_type
        self.extra = extra

    def refuse(self, status: int, message: str) -> None:
        self.finish(status, error_body(message))

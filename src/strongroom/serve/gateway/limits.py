"""Every bound of the gateway in one frozen value; it arrives in the supervisor's ``start`` message."""

from dataclasses import dataclass, fields
from typing import Self

from strongroom.errors import InvalidError, shorten


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes in bytes, times in seconds. Defaults are for one machine with a few hundred callers."""

    max_connections: int = 1024
    """Open connections, those still shaking hands included; more are closed unheard."""
    max_connections_per_principal: int = 256
    max_unknown_connections: int = 128
    """Of callers without a certificate that holds; for one more, the oldest is closed."""
    max_handshakes: int = 256
    """Connections at once that have not finished their TLS handshake; for one more, the oldest is closed."""
    max_head_bytes: int = 16 * 2**10
    max_headers: int = 64
    max_body_bytes: int = 16 * 2**20
    max_json_bytes: int = 4 * 2**20
    """Of the JSON in a body: reading it keeps everybody else waiting, reading binary tensors does not."""
    max_buffered_bytes: int = 256 * 2**20
    """Of all request bodies that are being received or answered."""
    max_buffered_bytes_per_principal: int = 64 * 2**20
    """Of these; one body as large as may be always fits."""
    max_pipeline: int = 16
    """Requests of one connection being answered; the rest waits unread."""
    max_write_bytes: int = 2**20
    """Answers of one connection waiting for a slow reader before it is not read from any more."""
    max_rows: int = 4096
    """Of one request, and of one batch to a worker."""
    queue_limit: int = 1024
    """Requests waiting for one worker; more are told to come back."""
    queue_limit_per_principal: int = 256
    """Requests of one caller with one worker or waiting for it; more are told to come back."""
    max_batches: int = 2
    """Sent to one worker and not yet answered: one it computes, one that waits for it."""
    max_frame_bytes: int = 256 * 2**20
    max_crashes: int = 2
    """A request that was with a worker this often when it died is refused."""
    quarantine_s: float = 600.0
    """For how long; then it gets one more trial, alone: it may have been in bad company only."""
    deadline_s: float = 10.0
    """From the last byte of a request to its answer; also when a silent worker counts as stuck."""
    header_timeout_s: float = 5.0
    body_timeout_s: float = 15.0
    idle_timeout_s: float = 60.0
    handshake_timeout_s: float = 5.0
    write_timeout_s: float = 10.0
    linger_s: float = 1.0
    """How long a refused caller may go on sending before it is cut off; without it the refusal gets lost."""
    drain_timeout_s: float = 10.0

    @classmethod
    def parse(cls, value: object) -> Self:
        """Return the limits of a ``start`` message; what it leaves out keeps its default.

        Raises:
            InvalidError: an unknown name, or a value that is not a positive number of its type.
        """
        if not isinstance(value, dict):
            raise InvalidError("limits: not an object")
        types = {field.name: field.type for field in fields(cls)}
        for name, limit in value.items():
            if name not in types:
                raise InvalidError(f"limits: unknown name {shorten(name)}")
            number = type(limit) is int or (type(limit) is float and types[name] is float)
            if not number or not 0 < limit < 2**40:
                raise InvalidError(f"limits: {name} is not a positive number")
        return cls(**value)

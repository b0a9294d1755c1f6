"""Requests to a custody over HTTPS: JSON both ways, one deadline over all tries, bounded answers."""

import random
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson
import urllib3

from strongroom.adapters.keys.address import require_address
from strongroom.errors import InvalidError, OutageError

MAX_ANSWER_BYTES = 4 * 2**20
MAX_TRIES = 4
_CONNECT_TIMEOUT_S = 4.0
_PIECE_BYTES = 2**16
_FIRST_PAUSE_S = 0.1
_MAX_PAUSE_S = 2.0
_AGAIN = frozenset({408, 412, 425, 429, 472, 473, 500, 502, 503, 504})
"""Throttled, or not now. 412, 472, 473: a Vault node that lags behind or stands by."""
_NOTHING_DONE = frozenset({412, 425, 429, 472, 473, 503})
"""Of these: nothing was done, so a request that must not be done twice may be sent again."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Any status but the ones that mean "not now"; the body as it came is never shown."""

    status: int
    body: dict[str, Any]

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300


class Wire:
    """One service at one address. Safe to call from several threads."""

    def __init__(
        self, service: str, address: str, *, deadline_s: float, ca_bundle: Path | None = None
    ) -> None:
        """``service`` names it in errors.

        Raises:
            InvalidError: the address is not https (or http to this machine), or the CA bundle cannot be read.
        """
        self._service = service
        self._base = require_address(service, address)
        self._deadline_s = deadline_s
        self._pool = urllib3.PoolManager(
            num_pools=1, maxsize=8, retries=False, ssl_context=_context(service, ca_bundle)
        )

    def __repr__(self) -> str:
        return f"Wire({self._service}, {self._base})"

    @property
    def host(self) -> str:
        return urlsplit(self._base).hostname or ""

    def call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        repeatable: bool = True,
    ) -> Answer:
        """Send, and send again while the service is not there or throttles.

        ``repeatable`` False: not again once it may have been done.

        Raises:
            OutageError: no answer within the deadline, or one that cannot be read.
        """
        deadline = time.monotonic() + self._deadline_s
        why = "no answer"
        for attempt in range(MAX_TRIES):
            pause: float | None = None
            try:
                status, data, pause = self._once(method, path, body, headers, deadline)
                if status not in _AGAIN:
                    return Answer(status, self._parsed(data, status))
                why, harmless = f"status {status}", status in _NOTHING_DONE
            except (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError):
                why, harmless = "cannot be reached", True
            except urllib3.exceptions.SSLError:
                raise OutageError(
                    f"{self._service}: {self.host} shows no certificate that holds",
                    hint="see its ca_bundle setting",
                ) from None
            except (urllib3.exceptions.HTTPError, OSError) as error:
                why, harmless = type(error).__name__, False
            wait = min(pause or _FIRST_PAUSE_S * 2**attempt * random.uniform(1, 2), _MAX_PAUSE_S)  # noqa: S311
            if not (repeatable or harmless) or time.monotonic() + wait > deadline:
                break
            time.sleep(wait)
        raise OutageError(f"{self._service}: {self.host} does not answer ({why})", hint="try again later")

    def _once(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        headers: Mapping[str, str] | None,
        deadline: float,
    ) -> tuple[int, bytes, float | None]:
        left = max(0.05, deadline - time.monotonic())
        sent = {"Accept": "application/json", "User-Agent": "strongroom", **(headers or {})}
        if body is not None:
            sent["Content-Type"] = "application/json"
        answer = self._pool.request(
            method,
            self._base + path,
            body=None if body is None else orjson.dumps(body),
            headers=sent,
            timeout=urllib3.Timeout(connect=min(_CONNECT_TIMEOUT_S, left), read=left),
            redirect=False,
            preload_content=False,
        )
        try:
            data = bytearray()
            while piece := answer.read(_PIECE_BYTES):
                data += piece
                if len(data) > MAX_ANSWER_BYTES:
                    raise OutageError(
                        f"{self._service}: {self.host} answers with more than {MAX_ANSWER_BYTES} bytes"
                    )
                if time.monotonic() > deadline:
                    raise OutageError(f"{self._service}: {self.host} answers too slowly")
        except BaseException:
            answer.close()
            raise
        answer.release_conn()
        after = answer.headers.get("Retry-After", "")
        return answer.status, bytes(data), float(after) if after.isdecimal() and len(after) < 6 else None

    def _parsed(self, data: bytes, status: int) -> dict[str, Any]:
        if 300 <= status < 400:
            raise OutageError(
                f"{self._service}: {self.host} sends us to another address", hint="give that address itself"
            )
        try:
            value = orjson.loads(data) if data.strip() else {}
        except orjson.JSONDecodeError:
            value = None
        if isinstance(value, dict):
            return value
        if status >= 400:
            return {}
        raise OutageError(f"{self._service}: {self.host} answers with something else than JSON")


def _context(service: str, ca_bundle: Path | None) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=None if ca_bundle is None else str(ca_bundle))
    except (OSError, ssl.SSLError):
        raise InvalidError(f"{service}: {ca_bundle} holds no certificates that can be read") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def require_text(service: str, value: object) -> str:
    """A field that the service must have sent. Raises OutageError: it is missing or something else."""
    if not isinstance(value, str):
        raise OutageError(f"{service}: its answer lacks a field, or has another than the API describes")
    return value


def require_number(service: str, value: object) -> int:
    """A field that the service must have sent. Raises OutageError: it is missing or something else."""
    if isinstance(value, str) and value.isdecimal() and len(value) < 16:
        return int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise OutageError(f"{service}: its answer lacks a field, or has another than the API describes")
    return value

"""Requests over verified TLS: bounded in bytes and time, no secret sent on to another host.

http is spoken with this very machine only, for a mirror or a stand-in that listens there.
"""

import base64
import http.client
import ipaddress
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import IO, Any
from urllib.parse import SplitResult, urlsplit

from strongroom.adapters.sources.pinned import Write
from strongroom.errors import DeniedError, InvalidError, OutageError, RejectedError, StrongroomError, shorten

TIMEOUT_S = 30.0
"""Without a byte."""
MAX_DURATION_S = 6 * 3600.0
MAX_ANSWER_BYTES = 32 * 2**20
MAX_REDIRECTS = 5
MAX_URL_CHARS = 8192
"""Of where we are sent: storage services sign their addresses."""
_PIECE_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Message
    body: bytes


@dataclass(frozen=True, slots=True)
class Web:
    """How a place is spoken with. ``ca_bundle``: PEM file of the authorities to believe, not the usual."""

    what: str
    """For messages: ``git``, ``hf`` or ``oci``."""
    ca_bundle: Path | None = None

    def get(
        self,
        url: str,
        headers: Mapping[str, str] | None = None,
        secret: str = "",
        *,
        body: bytes | None = None,
        limit: int = MAX_ANSWER_BYTES,
        expected: tuple[int, ...] = (200,),
    ) -> Answer:
        """Return the answer, of at most ``limit`` bytes.

        ``secret``: an Authorization header, for this host only. ``expected``: statuses that are answers too.

        Raises as `stream` does.
        """
        pieces: list[bytes] = []
        left = limit

        def write(piece: bytes) -> None:
            nonlocal left
            left -= len(piece)
            if left < 0:
                raise RejectedError(f"{self.what}: {_name(url)}: answers with more than {limit} bytes")
            pieces.append(piece)

        status, found = self.stream(url, write, headers, secret, body=body, expected=expected)
        return Answer(status, found, b"".join(pieces))

    def stream(
        self,
        url: str,
        write: Write,
        headers: Mapping[str, str] | None = None,
        secret: str = "",
        *,
        body: bytes | None = None,
        expected: tuple[int, ...] = (200,),
    ) -> tuple[int, Message]:
        """Give the answer's body to ``write`` as it comes; return status and headers.

        Raises:
            InvalidError: the address is not one that may be asked, or nothing is there.
            DeniedError: the server wants a token, or another.
            RejectedError: it shows no certificate that holds, or sends us where we do not go.
            OutageError: it does not answer, not in time, or not with what was asked for.
        """
        address = require_address(self.what, url)
        said = {"User-Agent": "strongroom", **(headers or {})}
        request = urllib.request.Request(url, data=body, headers=said)  # noqa: S310 - checked above
        if secret:
            request.add_unredirected_header("Authorization", secret)
        opener = self._opener(address)
        try:
            with opener.open(request, timeout=TIMEOUT_S) as answer:
                return self._read(answer, write, url, expected)
        except urllib.error.HTTPError as error:
            with error:
                if error.code in expected:
                    return self._read(error, write, url, expected)
                raise self._refusal(error.code, url) from None
        except StrongroomError:
            raise
        except (urllib.error.URLError, http.client.HTTPException, OSError, ValueError) as error:
            raise self._failure(error, url) from None

    def _opener(self, address: SplitResult) -> urllib.request.OpenerDirector:
        try:
            context = ssl.create_default_context(cafile=self.ca_bundle)
        except OSError as error:
            raise InvalidError(f"{self.ca_bundle}: holds no certificates: {shorten(error)}") from None
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        handlers: list[Any] = [urllib.request.HTTPSHandler(context=context), _Redirects(self.what)]
        if _is_own(address.hostname or ""):
            handlers.append(urllib.request.ProxyHandler({}))
        return urllib.request.build_opener(*handlers)

    def _read(self, answer: Any, write: Write, url: str, expected: tuple[int, ...]) -> tuple[int, Message]:
        status = int(answer.status)
        if status not in expected:
            raise self._refusal(status, url)
        if answer.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise RejectedError(f"{self.what}: {_name(url)}: answers packed, which was not asked for")
        end, size = time.monotonic() + MAX_DURATION_S, 0
        said = answer.headers.get("Content-Length", "")
        while piece := answer.read(_PIECE_BYTES):
            if time.monotonic() > end:
                raise OutageError(f"{self.what}: {_name(url)}: took longer than {MAX_DURATION_S:.0f} s")
            size += len(piece)
            write(piece)
        if said.isdecimal() and int(said) != size:
            raise OutageError(f"{self.what}: {_name(url)}: the answer was cut off", hint="try again")
        return status, answer.headers

    def _refusal(self, status: int, url: str) -> StrongroomError:
        text = f"{self.what}: {_name(url)}: the server answered {status}"
        if status in (401, 403):
            return DeniedError(text, hint="it wants a token, or another: docs/provenance.md")
        return InvalidError(text) if status in (400, 404, 410, 422) else OutageError(text)

    def _failure(self, error: Exception, url: str) -> StrongroomError:
        reason = getattr(error, "reason", error)
        if isinstance(reason, StrongroomError):
            return reason
        if isinstance(reason, ssl.SSLCertVerificationError):
            why = shorten(reason.verify_message)
            return RejectedError(f"{self.what}: {_name(url)}: shows no certificate that holds: {why}")
        return OutageError(f"{self.what}: {_name(url)}: does not answer: {shorten(reason)}")


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows only to where we would go ourselves; the secret goes along to the same host and no other."""

    max_redirections = MAX_REDIRECTS

    def __init__(self, what: str) -> None:
        self._what = what

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        before = urlsplit(req.full_url)
        target = require_address(self._what, newurl, limit=MAX_URL_CHARS)
        if _is_near(target.hostname or "") and not _is_own(before.hostname or ""):
            raise RejectedError(f"{self._what}: {_name(req.full_url)}: sends us to this machine")
        if req.get_method() != "GET":
            raise RejectedError(f"{self._what}: {_name(req.full_url)}: sends a question elsewhere")
        kept = {name: value for name, value in req.headers.items() if name.lower() != "authorization"}
        made = urllib.request.Request(newurl, headers=kept)  # noqa: S310 - checked above
        secret = req.unredirected_hdrs.get("Authorization")
        if secret and _origin(before) == _origin(target):
            made.add_unredirected_header("Authorization", secret)
        return made


def require_address(what: str, url: str, limit: int = MAX_URL_CHARS) -> SplitResult:
    """Return the parts of an address that may be asked: https, or http on this machine."""
    try:
        address = urlsplit(url)
        host, _ = address.hostname or "", address.port
    except ValueError:
        raise InvalidError(f"{what}: the address cannot be read") from None
    if len(url) > limit or not url.isascii() or not url.isprintable() or " " in url or not host:
        raise InvalidError(f"{what}: the address cannot be read")
    if address.username is not None or address.password is not None:
        raise InvalidError(f"{what}: the address holds a user or password")
    if address.scheme == "https" or (address.scheme == "http" and _is_own(host)):
        return address
    raise RejectedError(f"{what}: {shorten(host)}: is not spoken with over TLS", hint="use https")


def is_own_address(url: str) -> bool:
    """Whether ``url`` names this very machine."""
    return _is_own(urlsplit(url).hostname or "")


def build_basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def _is_own(host: str) -> bool:
    found = _find_ip(host)
    return host == "localhost" if found is None else found.is_loopback


def _is_near(host: str) -> bool:
    """This machine, or what answers it only: such as the metadata service of a cloud."""
    found = _find_ip(host)
    if found is None:
        return host == "localhost" or host.endswith(".localhost")
    return found.is_loopback or found.is_unspecified or found.is_link_local


def _find_ip(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        found = ipaddress.ip_address(host)
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


def _origin(address: SplitResult) -> tuple[str, str, int | None]:
    default = {"https": 443, "http": 80}.get(address.scheme)
    return (address.scheme, address.hostname or "", address.port or default)


def _name(url: str) -> str:
    """For messages: without the query, which may be signed."""
    address = urlsplit(url)
    return shorten(f"{address.hostname or ''}{address.path}").strip("'")

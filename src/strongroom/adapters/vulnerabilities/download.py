"""An OSV database from a server: over verified TLS, bounded in size and time, never from another host."""

import http.client
import ipaddress
import ssl
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import IO
from urllib.parse import SplitResult, urlsplit, urlunsplit

from strongroom.adapters.vulnerabilities.sources import MAX_FILE_BYTES, FileSource
from strongroom.errors import InvalidError, OutageError, RejectedError, shorten

TIMEOUT_S = 30.0
"""Without a byte."""
MAX_DURATION_S = 15 * 60.0
MAX_URL_CHARS = 2048
MAX_REDIRECTS = 5
_PIECE_BYTES = 2**20


def is_url(text: str) -> bool:
    """Whether ``text`` is meant as an address rather than as a path."""
    return "://" in text[:16]


def download(
    url: str, folder: Path, expected: str | None = None, *, insecure_http: bool = False
) -> FileSource:
    """Return what was fetched, in a file of ``folder`` without a name, which is gone when it is closed.

    ``insecure_http``: permit http to this very machine, for a mirror that listens there.

    Raises:
        InvalidError: the address is not one that may be fetched from.
        RejectedError: the server shows no certificate that holds, answers with more than MAX_FILE_BYTES, or
            sends us to another host.
        OutageError: it does not answer, not in time, or not with what was asked for.
    """
    address = _require_address(url, insecure_http=insecure_http)
    name = urlunsplit((address.scheme, _host(address), address.path, "", ""))
    opener = urllib.request.build_opener(
        urllib.request.HTTPSHandler(context=_build_context()), _SameHost(address)
    )
    request = urllib.request.Request(url, headers={"User-Agent": "strongroom"})  # noqa: S310 - checked above
    file = _temporary(folder)
    try:
        with opener.open(request, timeout=TIMEOUT_S) as answer:
            _copy(answer, file, name)
    except urllib.error.HTTPError as error:
        file.close()
        raise OutageError(f"osv: {name}: the server answered {error.code}") from None
    except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
        file.close()
        raise _failure(error, name) from None
    except BaseException:
        file.close()
        raise
    return FileSource(file, name, expected)


class _SameHost(urllib.request.HTTPRedirectHandler):
    """Follows a redirect only to the same scheme, host and port."""

    max_redirections = MAX_REDIRECTS

    def __init__(self, address: SplitResult) -> None:
        self._address = address

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: object, newurl: str
    ) -> urllib.request.Request | None:
        target = urlsplit(newurl)
        if (target.scheme, _host(target)) != (self._address.scheme, _host(self._address)):
            raise RejectedError(
                f"osv: the server sends us to {shorten(_host(target))}",
                hint="give that address itself, if it is to be believed",
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]


def _require_address(url: str, *, insecure_http: bool) -> SplitResult:
    try:
        address = urlsplit(url)
        host = address.hostname or ""
        _ = address.port
    except ValueError:
        raise InvalidError("osv: the address cannot be read") from None
    if len(url) > MAX_URL_CHARS or not url.isascii() or not url.isprintable() or not host:
        raise InvalidError("osv: the address cannot be read")
    if address.username is not None or address.password is not None:
        raise InvalidError("osv: the address holds a user or password", hint="import from a file instead")
    if address.scheme == "https":
        return address
    if address.scheme == "http" and _is_own(host):
        if insecure_http:
            return address
        raise InvalidError("osv: http is not protected", hint="for a mirror on this machine: --insecure-http")
    raise InvalidError(f"osv: {shorten(address.scheme)} addresses are not fetched from", hint="use https")


def _is_own(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _host(address: SplitResult) -> str:
    host = address.hostname or ""
    host = f"[{host}]" if ":" in host else host
    default = {"https": 443, "http": 80}.get(address.scheme)
    return host if address.port in (None, default) else f"{host}:{address.port}"


def _build_context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _temporary(folder: Path) -> IO[bytes]:
    try:
        return tempfile.TemporaryFile(dir=folder)
    except OSError as error:
        raise OutageError(f"osv: {(error.strerror or 'no place for a file').lower()}") from None


def _copy(answer: http.client.HTTPResponse, file: IO[bytes], name: str) -> None:
    end = time.monotonic() + MAX_DURATION_S
    said = answer.headers.get("Content-Length", "")
    size = 0
    while piece := answer.read1(_PIECE_BYTES):
        size += len(piece)
        if size > MAX_FILE_BYTES:
            raise RejectedError(f"osv: {name}: larger than {MAX_FILE_BYTES} bytes")
        if time.monotonic() > end:
            raise OutageError(f"osv: {name}: took longer than {MAX_DURATION_S:.0f} s")
        file.write(piece)
    if said.isdecimal() and int(said) != size:
        raise OutageError(f"osv: {name}: the answer was cut off")


def _failure(error: Exception, name: str) -> RejectedError | OutageError:
    reason = getattr(error, "reason", error)
    if isinstance(reason, ssl.SSLCertVerificationError):
        return RejectedError(
            f"osv: {name}: shows no certificate that holds: {shorten(reason.verify_message)}"
        )
    return OutageError(f"osv: {name}: does not answer: {shorten(reason)}")

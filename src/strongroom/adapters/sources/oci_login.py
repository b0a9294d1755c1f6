"""A registry, and who we are to it: credentials from the Docker configuration, tokens for one repository.

https://distribution.github.io/distribution/spec/auth/token/. Credential helpers are programs: not started.
"""

import base64
import binascii
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import orjson

from strongroom.adapters.sources.pinned import Write
from strongroom.adapters.sources.web import MAX_ANSWER_BYTES, Answer, Web, build_basic, is_own_address
from strongroom.errors import DeniedError, InvalidError, OutageError, RejectedError, shorten
from strongroom.values import Digest

MAX_CONFIG_BYTES = 2**20
MAX_TOKEN_BYTES = 2**20
DOCKER_HUB = "docker.io"
_HUB_SERVER = "registry-1.docker.io"
_HUB_NAMES = ("https://index.docker.io/v1/", DOCKER_HUB, _HUB_SERVER, "index.docker.io")
_PARAMETER = re.compile(r'([a-z]{1,32})="([^"\\]{0,1024})"')
_UNAUTHORIZED = 401


@dataclass
class Registry:
    """One repository of a registry. Not for several threads."""

    web: Web
    host: str
    repository: str
    basic: str = ""
    """Authorization header made of user and password, or empty."""
    _secret: str = field(default="", init=False)

    @property
    def base(self) -> str:
        host = _HUB_SERVER if self.host == DOCKER_HUB else self.host
        scheme = "http" if is_own_address(f"//{host}") else "https"
        return f"{scheme}://{host}/v2/{self.repository}"

    def get(self, path: str, accepted: tuple[str, ...] = (), limit: int = MAX_ANSWER_BYTES) -> Answer:
        """Return a small answer, after logging in if it is asked for."""
        url, headers = f"{self.base}/{path}", {"Accept": ", ".join(accepted)} if accepted else {}
        answer = self.web.get(url, headers, self._secret, limit=limit, expected=(200, _UNAUTHORIZED))
        if answer.status == _UNAUTHORIZED:
            self._log_in(answer.headers.get("WWW-Authenticate", ""))
            answer = self.web.get(url, headers, self._secret, limit=limit)
        return answer

    def blob(self, digest: Digest, write: Write) -> None:
        """Give a blob to ``write``, unchecked. Its token may have ended since the manifest was read."""
        url = f"{self.base}/blobs/{digest}"
        try:
            self.web.stream(url, write, None, self._secret)
        except DeniedError:  # before its first byte
            again = self.web.get(f"{self.base}/tags/list?n=1", expected=(200, 404, _UNAUTHORIZED))
            if again.status != _UNAUTHORIZED:
                raise
            self._log_in(again.headers.get("WWW-Authenticate", ""))
            self.web.stream(url, write, None, self._secret)

    def _log_in(self, challenge: str) -> None:
        scheme, _, rest = challenge.partition(" ")
        if scheme.lower() == "basic":
            self._secret = self._require_basic()
            return
        said = dict(_PARAMETER.findall(rest)) if scheme.lower() == "bearer" else {}
        realm = said.get("realm", "")
        if not realm:
            raise DeniedError(f"oci: {self.host}: wants to know who we are in a way that is not known")
        if is_own_address(realm) and not is_own_address(self.base):
            raise RejectedError(f"oci: {self.host}: sends us to this machine for a token")
        query = {"service": said.get("service", ""), "scope": f"repository:{self.repository}:pull"}
        url = f"{realm}{'&' if '?' in realm else '?'}{urlencode(query)}"
        answer = self.web.get(url, {"Accept": "application/json"}, self.basic, limit=MAX_TOKEN_BYTES)
        self._secret = f"Bearer {_token(self.host, answer.body)}"

    def _require_basic(self) -> str:
        if not self.basic:
            raise DeniedError(f"oci: {self.host}: wants a user and password", hint="docs/provenance.md")
        return self.basic


def _token(host: str, body: bytes) -> str:
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        value = None
    token = (value.get("token") or value.get("access_token")) if isinstance(value, dict) else None
    if not isinstance(token, str) or not token.isascii() or not token.isprintable() or " " in token:
        raise OutageError(f"oci: {host}: gives out no token")
    return token


def find_login(config: Path | None, host: str) -> str:
    """Return the Authorization header that a Docker configuration holds for ``host``; empty if none.

    Raises InvalidError: the file cannot be read, or says that a program knows.
    """
    if config is None or not config.exists():
        return ""
    value = _read(config)
    names = (host, f"https://{host}", *(_HUB_NAMES if host == DOCKER_HUB else ()))
    auths = value.get("auths")
    known = auths if isinstance(auths, dict) else {}
    entries = [known[name] for name in names if isinstance(known.get(name), dict)]
    found = next((entry for entry in entries if entry.get("auth")), None)
    if found is None:
        helpers = value.get("credHelpers") or {}
        if isinstance(helpers, dict) and any(name in helpers for name in names):
            raise InvalidError(
                f"oci: {config.name}: a credential helper knows {shorten(host)}, and none is started",
                hint="point [sources] docker_config to a file that holds the login itself",
            )
        return ""
    try:
        user, colon, password = base64.b64decode(str(found["auth"]), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise InvalidError(f"oci: {config.name}: the login of {shorten(host)} cannot be read") from None
    if not colon:
        raise InvalidError(f"oci: {config.name}: the login of {shorten(host)} cannot be read")
    return build_basic(user, password)


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_CONFIG_BYTES + 1)
        value = orjson.loads(data[:MAX_CONFIG_BYTES])
    except (OSError, orjson.JSONDecodeError):
        raise InvalidError(f"{path}: cannot be read as a Docker configuration") from None
    if not isinstance(value, dict):
        raise InvalidError(f"{path}: is no Docker configuration")
    return value

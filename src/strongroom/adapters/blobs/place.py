"""A bucket of some cloud: its address, and what the settings say of how to reach it and what it must be."""

import re
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from strongroom.errors import InvalidError, shorten

MAX_PREFIX_CHARS = 256
"""With the longest name of an object it stays below the 1024 bytes that every cloud permits for a key."""
_ADDRESS = re.compile(r"(s3|gs|az)://([a-z0-9][a-z0-9._-]{1,220}[a-z0-9])(?:/([A-Za-z0-9._@/-]*))?", re.ASCII)
_SEGMENT = re.compile(r"[A-Za-z0-9@_-][A-Za-z0-9._@-]*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Place:
    """Where objects lie; the opt-outs are named in docs/settings.md."""

    scheme: str
    bucket: str
    prefix: str = ""
    endpoint: str | None = None
    ca_bundle: Path | None = None
    deadline_s: float = 60.0
    """For one request with all its retries."""
    may_be_public: bool = False
    may_be_unencrypted: bool = False
    may_overwrite: bool = False
    may_use_http: bool = False

    @property
    def name(self) -> str:
        """For people: the address, which holds no secret."""
        return f"{self.scheme}://{self.bucket}" + (f"/{self.prefix}" if self.prefix else "")

    def key(self, name: str) -> str:
        """The full key of an object, as the cloud's own calls want it."""
        return f"{self.prefix}/{name}" if self.prefix else name

    def require_secure(self, url: str) -> str:
        """Return the URL that requests go to.

        Raises:
            InvalidError: it is no URL, or what is sent there could be read and changed on the way.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.password:
            raise InvalidError(f"{self.name}: endpoint {shorten(url)} is not an http or https address")
        if parts.scheme == "http" and not self.may_use_http and not _is_here(parts.hostname):
            raise InvalidError(
                f"{self.name}: endpoint {shorten(url)} is not encrypted on the way",
                hint=f"use https, or set insecure-http = true in [store.{self.scheme}]",
            )
        return url


def parse_address(text: str) -> tuple[str, str, str]:
    """Return scheme, bucket and prefix of ``s3://bucket/prefix``. Raises InvalidError."""
    found = _ADDRESS.fullmatch(text)
    prefix = (found.group(3) or "").strip("/") if found else ""
    fits = len(prefix) <= MAX_PREFIX_CHARS and all(
        map(_SEGMENT.fullmatch, prefix.split("/") if prefix else [])
    )
    if found is None or not fits:
        raise InvalidError(
            f"store.blobs: {shorten(text)} is not an address of a store",
            hint="file:blobs, s3://bucket/prefix, gs://bucket/prefix or az://container/prefix",
        )
    return found.group(1), found.group(2), prefix


def _is_here(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False

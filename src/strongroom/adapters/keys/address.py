"""The address of a custody's service: https, or http to this very machine, and nothing else in it."""

from ipaddress import ip_address
from urllib.parse import urlsplit

from strongroom.errors import InvalidError, shorten

MAX_ADDRESS_CHARS = 512


def require_address(service: str, address: str) -> str:
    """Return it without a slash at the end. Raises InvalidError, which shows no user or password in it."""
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise InvalidError(f"{service}: its address cannot be read", hint="such as https://host") from None
    clean = address.isascii() and address.isprintable() and len(address) <= MAX_ADDRESS_CHARS
    if parts.username or parts.password or parts.query or parts.fragment or parts.path.strip("/"):
        clean = False
    if not clean or not host:
        raise InvalidError(f"{service}: its address is more or less than https://host or https://host:port")
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_own(host)):
        raise InvalidError(f"{service}: {shorten(host)} must be asked over https")
    return address.rstrip("/")


def _is_own(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"

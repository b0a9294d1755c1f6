"""Addresses of places elsewhere: ``git+https://…@commit``, ``git:folder@commit``, ``hf:…``, ``oci:…``."""

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from strongroom.errors import InvalidError, shorten
from strongroom.trust.provenance import GIT, HUGGING_FACE, MAX_ADDRESS_CHARS, OCI

_KINDS = {"git": GIT, "git+https": GIT, "git+http": GIT, "hf": HUGGING_FACE, "oci": OCI}
_COMMIT = re.compile(r"[0-9a-f]{40}", re.ASCII)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)
_REFERENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/+-]{0,250}", re.ASCII)
_HF_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}(/[A-Za-z0-9][A-Za-z0-9._-]{0,95})?", re.ASCII)
_OCI_HOST = re.compile(
    r"[a-z0-9]([a-z0-9.-]{0,252}[a-z0-9])?(:[0-9]{1,5})?|\[[0-9a-f:]{2,39}\](:[0-9]{1,5})?", re.ASCII
)
# distribution-spec 1.1, "Pulling manifests": <name>.
_OCI_NAME = re.compile(r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*", re.ASCII)
_HINTS = {
    GIT: "for instance git+https://host/org/repo@<40 hex digits>#model.onnx",
    HUGGING_FACE: "for instance hf:org/name@<40 hex digits>",
    OCI: "for instance oci:registry/repo@sha256:<64 hex digits>",
}


@dataclass(frozen=True, slots=True)
class Address:
    """Where, and at which commit, digest, branch or tag of it. Only the first two pin anything."""

    kind: str
    place: str
    """URL or path of a repository, ``org/name``, or ``registry/repository``."""
    reference: str
    path: str = ""
    """File or folder in it; empty is all of it."""
    is_local: bool = False

    @property
    def is_pinned(self) -> bool:
        return (_DIGEST if self.kind == OCI else _COMMIT).fullmatch(self.reference) is not None


def is_address(text: str) -> bool:
    """Whether ``text`` is meant as such an address rather than as a path."""
    return text.partition(":")[0] in _KINDS


def parse_address(text: str) -> Address:
    """Raises InvalidError: it says no place, no commit or digest, or holds a user, password or query."""
    scheme, _, rest = text.partition(":")
    kind = _KINDS.get(scheme)
    if kind is None:
        raise InvalidError(f"{shorten(text)}: is no address", hint=" or ".join(_HINTS.values()))
    if len(text) > MAX_ADDRESS_CHARS or not text.isprintable():
        raise InvalidError(f"{shorten(text)}: is too long, or not printable")
    whole, _, path = rest.partition("#")
    place, reference = _split(kind, whole)
    path = path.strip("/")
    if any(part in ("", ".", "..") for part in path.split("/")) and path:
        raise InvalidError(f"{shorten(path)}: is no path inside")
    if scheme in ("git+https", "git+http"):
        place = require_url(f"{scheme[4:]}:{place}")
    _require_place(kind, scheme, place)
    return Address(kind, place, reference, path, is_local=scheme == "git")


def _split(kind: str, whole: str) -> tuple[str, str]:
    place, at, reference = whole.rpartition("@")
    if kind == OCI and not at:
        place, at, reference = whole.rpartition(":")
    if not at or not place or (_REFERENCE.fullmatch(reference) is None and not _DIGEST.fullmatch(reference)):
        raise InvalidError(f"{shorten(whole)}: does not say which commit or digest", hint=_HINTS[kind])
    return place, reference


def _require_place(kind: str, scheme: str, place: str) -> None:
    good = True
    if kind == HUGGING_FACE:
        good = _HF_NAME.fullmatch(place) is not None and ".." not in place and "--" not in place
    elif kind == OCI:
        host, _, name = place.partition("/")
        good = _OCI_HOST.fullmatch(host) is not None and _OCI_NAME.fullmatch(name) is not None
    elif scheme == "git":
        good = not place.startswith("-") and "\0" not in place
    if not good:
        raise InvalidError(f"{shorten(place)}: is no place of that kind", hint=_HINTS[kind])


def require_url(url: str) -> str:
    """Return ``url`` if it is one of a host, without user, password, query or fragment."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise InvalidError(f"{shorten(url)}: is no address") from None
    if not host or parts.scheme not in ("https", "http") or not url.isascii():
        raise InvalidError(f"{shorten(url)}: is no address")
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise InvalidError(
            f"{shorten(host)}: the address holds a user, password or query",
            hint="tokens are in files: docs/provenance.md",
        )
    return url.rstrip("/")

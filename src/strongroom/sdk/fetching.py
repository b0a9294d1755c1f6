"""Open what is to be published, wherever it is: a path, or an address that pins what is there."""

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from strongroom.adapters.sources.address import Address, is_address, parse_address
from strongroom.adapters.sources.git import GitServer, open_local, open_remote
from strongroom.adapters.sources.huggingface import Hub, open_hub
from strongroom.adapters.sources.local import LocalSource
from strongroom.adapters.sources.oci import open_registry
from strongroom.adapters.sources.oci_login import Registry, find_login
from strongroom.adapters.sources.pinned import PinnedSource
from strongroom.adapters.sources.web import Web, build_basic, require_address
from strongroom.errors import InvalidError
from strongroom.settings import SourceSettings
from strongroom.trust.provenance import GIT, HUGGING_FACE

MAX_TOKEN_BYTES = 8192
_GIT_USER = "x-access-token"
"""Forges take a token as the password of any user, or of this one."""


def open_source(
    given: str | Path, only: Sequence[str], settings: SourceSettings, home: Path
) -> LocalSource | PinnedSource:
    """Return what ``given`` names; the caller closes it.

    Raises:
        InvalidError: nothing is there, a branch or a tag, or ``only`` with a path.
        DeniedError, RejectedError, OutageError: as the place is, see `adapters.sources`.
    """
    text = str(given)
    if isinstance(given, Path) or not is_address(text):
        if only:
            raise InvalidError(
                "publish: --only is for what is fetched", hint="hand over a folder with these files"
            )
        return LocalSource(Path(given))
    address = parse_address(text)
    bundle = _path(settings.ca_bundle, home)
    if address.kind == GIT:
        if address.is_local:
            return open_local(address, only)
        return open_remote(address, only, GitServer(Web("git", bundle), _git_secret(address, settings, home)))
    if address.kind == HUGGING_FACE:
        require_address("hf", settings.hf_endpoint)
        endpoint = settings.hf_endpoint.rstrip("/")
        return open_hub(address, only, Hub(Web("hf", bundle), endpoint, _hub_token(settings, home)))
    host, _, repository = address.place.partition("/")
    login = find_login(_docker_config(settings, home), host)
    return open_registry(address, only, Registry(Web("oci", bundle), host, repository, login))


def _git_secret(address: Address, settings: SourceSettings, home: Path) -> str:
    file = _path(settings.git_token_files.get(urlsplit(address.place).netloc), home)
    return build_basic(_GIT_USER, _read_token(file)) if file is not None else ""


def _hub_token(settings: SourceSettings, home: Path) -> str:
    if settings.hf_token_file is None and os.environ.get("HF_TOKEN"):
        return _require_token(os.environ["HF_TOKEN"], "$HF_TOKEN")
    file = _path(settings.hf_token_file or os.environ.get("HF_TOKEN_PATH"), home)
    return _read_token(file) if file is not None else ""


def _docker_config(settings: SourceSettings, home: Path) -> Path:
    given = _path(settings.docker_config, home)
    if given is not None:
        return given
    return Path(os.environ.get("DOCKER_CONFIG") or "~/.docker").expanduser() / "config.json"


def _read_token(file: Path) -> str:
    """Return the first line of a file that only this user can read."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise InvalidError(f"{file}: {(error.strerror or 'cannot be read').lower()}") from None
    with os.fdopen(descriptor, "rb") as opened:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_mode & 0o077:
            raise InvalidError(f"{file}: is open to others, or no plain file", hint=f"chmod 600 {file}")
        data = opened.read(MAX_TOKEN_BYTES)
    return _require_token(data.decode(errors="replace").partition("\n")[0].strip(), str(file))


def _require_token(token: str, where: str) -> str:
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise InvalidError(f"{where}: holds no token")
    return token


def _path(text: str | None, home: Path) -> Path | None:
    return home / Path(text).expanduser() if text else None

"""A model at one commit of a repository of the Hugging Face Hub, by the hub's HTTP interface.

https://huggingface.co/docs/hub/api: ``/api/models/{name}/revision/{revision}`` says what commit a name is,
``/api/models/{name}/tree/{commit}`` lists files with git id and, of LFS files, SHA-256;
``/{name}/resolve/{commit}/{path}`` gives one out.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

import orjson

from strongroom.adapters.sources.address import Address
from strongroom.adapters.sources.pinned import (
    MAX_FILES,
    Fetch,
    PinnedFile,
    PinnedSource,
    Promise,
    Write,
    choose,
)
from strongroom.adapters.sources.web import Answer, Web
from strongroom.errors import InvalidError, OutageError, RejectedError, StrongroomError, shorten
from strongroom.trust.provenance import HUGGING_FACE, Provenance
from strongroom.values import Digest

ENDPOINT = "https://huggingface.co"
MAX_PAGES = 100
_COMMIT = re.compile(r"[0-9a-f]{40}", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_NEXT = re.compile(r'<([^<>]{1,4096})>; *rel="next"')


@dataclass(frozen=True, slots=True)
class Hub:
    """The hub, or a mirror of it, and how it is spoken with."""

    web: Web
    endpoint: str = ENDPOINT
    token: str = ""

    @property
    def secret(self) -> str:
        return f"Bearer {self.token}" if self.token else ""

    def ask(self, url: str) -> tuple[Any, Answer]:
        """Return the JSON that the hub answers with."""
        answer = self.web.get(url, {"Accept": "application/json"}, self.secret)
        try:
            return orjson.loads(answer.body), answer
        except orjson.JSONDecodeError:
            raise OutageError("hf: the hub does not answer with JSON") from None


def open_hub(address: Address, only: Sequence[str], hub: Hub) -> PinnedSource:
    """Return the files at one commit, each checked against what the hub lists for it.

    Raises:
        InvalidError: a branch or a tag, or nothing is there.
        RejectedError: the hub answers for another commit, or lists what may not be.
    """
    if not address.is_pinned:
        raise _moving(address, hub)
    if _commit_of(hub, address) != address.reference:
        raise RejectedError(f"hf: {address.place}: the hub answers for another commit")
    promises = _list(hub, address)
    chosen = choose(list(promises), address.path, only)
    if len(chosen) > MAX_FILES:
        raise RejectedError(f"hf: {address.place}: more than {MAX_FILES} files", hint="choose with --only")
    files = []
    for path, name in chosen.items():
        known = promises[path]
        promise = Promise(name, known.size, sha256=known.sha256, blob=known.blob)
        files.append(PinnedFile(promise, _fetch(hub, address, path)))
    count = sum(promises[path].sha256 is not None for path in chosen)
    place = f"{hub.endpoint}/{address.place}"
    facts = {"lfs_files": str(count)}
    return PinnedSource(
        files, Provenance(HUGGING_FACE, place, address.reference, address.path, tuple(only), facts)
    )


def _commit_of(hub: Hub, address: Address) -> str:
    revision = quote(address.reference, safe="")
    value, _ = hub.ask(f"{hub.endpoint}/api/models/{address.place}/revision/{revision}")
    match value:
        case {"sha": str(commit)} if _COMMIT.fullmatch(commit):
            return commit
        case _:
            raise OutageError("hf: the hub does not answer as it should")


def _moving(address: Address, hub: Hub) -> InvalidError:
    try:
        now = _commit_of(hub, address)
        hint = f"it is now hf:{address.place}@{now}{f'#{address.path}' if address.path else ''}"
    except StrongroomError:
        hint = "name a commit of 40 hex digits"
    return InvalidError(f"{shorten(address.reference)}: is a branch or a tag, which can move", hint=hint)


def _list(hub: Hub, address: Address) -> dict[str, Promise]:
    """Return what the hub promises of every file, by path."""
    url = f"{hub.endpoint}/api/models/{address.place}/tree/{address.reference}?recursive=true&expand=false"
    promises: dict[str, Promise] = {}
    for _ in range(MAX_PAGES):
        value, answer = hub.ask(url)
        if not isinstance(value, list):
            raise OutageError("hf: the hub does not answer as it should")
        for entry in value:
            promise = _parse(entry)
            if promise is None:
                continue
            if promise.path in promises or len(promises) == 16 * MAX_FILES:
                raise RejectedError(f"hf: {address.place}: lists a file twice, or too many")
            promises[promise.path] = promise
        following = _NEXT.search(answer.headers.get("Link", ""))
        if following is None:
            return promises
        url = _require_same_host(hub, urljoin(url, following[1]))
    raise RejectedError(f"hf: {address.place}: lists more than {MAX_PAGES} pages")


def _parse(entry: Any) -> Promise | None:
    """Return what is promised of one file; None for a folder."""
    match entry:
        case {"type": "directory"}:
            return None
        case {"type": "file", "path": str(path), "lfs": {"oid": str(oid), "size": int(size)}}:
            oid = oid.removeprefix("sha256:")
            if _SHA256.fullmatch(oid):
                return Promise(path, size, sha256=Digest(bytes.fromhex(oid)))
        case {"type": "file", "path": str(path), "oid": str(oid), "size": int(size)} if not entry.get("lfs"):
            if _COMMIT.fullmatch(oid):
                return Promise(path, size, blob=oid)
    raise RejectedError("hf: the hub lists what is neither file nor folder, or without its digest")


def _fetch(hub: Hub, address: Address, path: str) -> Fetch:
    url = f"{hub.endpoint}/{address.place}/resolve/{address.reference}/{quote(path)}"

    def fetch(write: Write) -> None:
        hub.web.stream(url, write, None, hub.secret)

    return fetch


def _require_same_host(hub: Hub, url: str) -> str:
    """Pages are asked for with the token, so only of the hub itself."""
    if urlsplit(url)[:2] != urlsplit(hub.endpoint)[:2]:
        raise RejectedError("hf: the hub sends us elsewhere for the next page")
    return url

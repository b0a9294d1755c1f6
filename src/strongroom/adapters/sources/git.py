"""A model as it stands in a commit of a git repository, on this machine or on a server."""

import hashlib
import os
import re
import shutil
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from strongroom.adapters.sources import lfs
from strongroom.adapters.sources.address import Address
from strongroom.adapters.sources.git_objects import (
    EXECUTABLE,
    PLAIN,
    GitObjects,
    TreeEntry,
    find_commit,
    read_tree_of,
)
from strongroom.adapters.sources.git_process import build_environment, make_repository, run
from strongroom.adapters.sources.pinned import (
    MAX_FILE_BYTES,
    MAX_FILES,
    Fetch,
    PinnedFile,
    PinnedSource,
    Promise,
    Write,
    choose,
)
from strongroom.adapters.sources.scratch import Scratch
from strongroom.adapters.sources.web import Web, is_own_address
from strongroom.errors import InvalidError, OutageError, RejectedError, shorten
from strongroom.trust.provenance import GIT, Provenance

MAX_FETCH_BYTES = 4 * 2**30
FETCH_DEADLINE_S = 3600.0
ASK_DEADLINE_S = 60.0
MAX_REFS_BYTES = 64 * 2**20
_FILES = (PLAIN, EXECUTABLE, "100664")
_LINE = re.compile(rb"([0-9a-f]{40})\t(refs/(?:heads|tags)/[!-~]{1,250})\n?")


@dataclass(frozen=True, slots=True)
class GitServer:
    """How a server is spoken with."""

    web: Web
    secret: str = ""
    """Authorization header for this host, or empty."""

    def environment(self, url: str) -> dict[str, str]:
        config = {}
        if self.web.ca_bundle is not None:
            config["http.sslCAInfo"] = str(self.web.ca_bundle)
        if self.secret:
            config[f"http.{_origin(url)}/.extraHeader"] = f"Authorization: {self.secret}"
        return build_environment(urlsplit(url).scheme, config)


def open_remote(address: Address, only: Sequence[str], server: GitServer) -> PinnedSource:
    """Fetch one commit into memory, and its LFS files as they are read.

    Raises:
        InvalidError: a branch or a tag, or nothing is there.
        RejectedError: it is larger than may be, or not what the commit says.
        OutageError: the server does not answer, or there is no room in memory.
    """
    url = _require_transport(address.place)
    if not address.is_pinned:
        raise _moving(address, lambda: _ask_remote(url, address.reference, server))
    scratch = Scratch(memory=True)
    try:
        make_repository(scratch.path)
        room = min(MAX_FETCH_BYTES, shutil.disk_usage(scratch.path).free // 2)
        fetched = run(
            scratch.path,
            ["fetch", "--quiet", "--no-tags", "--depth=1", "--no-write-fetch-head", url, address.reference],
            server.environment(url),
            deadline_s=FETCH_DEADLINE_S,
            max_folder_bytes=room,
        )
        if fetched is None:
            raise InvalidError(
                f"{url}: gives out no commit {address.reference}",
                hint="check address and token, or clone it and publish git:FOLDER@COMMIT",
            )
        return _open(
            address,
            only,
            scratch,
            None,
            lambda pointer: lfs.download(server.web, url, server.secret, pointer),
        )
    except BaseException:
        scratch.close()
        raise


def open_local(address: Address, only: Sequence[str]) -> PinnedSource:
    """Read one commit of a repository on this machine, and its LFS files from beside it.

    Raises:
        InvalidError: no repository, a branch or a tag, or something is missing there.
        RejectedError: it is not what the commit says.
    """
    folder = _find_repository(Path(address.place))
    scratch = Scratch(memory=False)  # holds no object, only the names of places
    try:
        make_repository(scratch.path)
        if not address.is_pinned:
            raise _moving(address, lambda: _find_local(folder, scratch.path, address.reference))
        stored = folder / "lfs" / "objects"

        def resolve(pointer: lfs.Pointer) -> Fetch:
            return lambda write: lfs.read_stored(stored, pointer, write)

        place = Address(GIT, f"file://{Path(address.place).resolve()}", address.reference, address.path, True)
        return _open(place, only, scratch, folder / "objects", resolve)
    except BaseException:
        scratch.close()
        raise


def _open(
    address: Address,
    only: Sequence[str],
    scratch: Scratch,
    elsewhere: Path | None,
    resolve: Callable[[lfs.Pointer], Fetch],
) -> PinnedSource:
    objects = GitObjects(scratch.path, elsewhere)

    def close() -> None:
        objects.close()
        scratch.close()

    try:
        commit, entries = read_tree_of(objects, address.reference)
        by_path = {entry.path: entry for entry in entries}
        chosen = choose(list(by_path), address.path, only)
        if len(chosen) > MAX_FILES:
            raise RejectedError(f"git: more than {MAX_FILES} files", hint="name a folder, or use --only")
        files, pointers = [], 0
        for path, name in chosen.items():
            file, is_pointer = _file(objects, by_path[path], name, resolve)
            files.append(file)
            pointers += is_pointer
        facts = {"commit_sha256": hashlib.sha256(commit).hexdigest(), "lfs_files": str(pointers)}
        provenance = Provenance(GIT, address.place, address.reference, address.path, tuple(only), facts)
        return PinnedSource(files, provenance, close)
    except BaseException:
        objects.close()
        raise


def _file(
    objects: GitObjects, entry: TreeEntry, name: str, resolve: Callable[[lfs.Pointer], Fetch]
) -> tuple[PinnedFile, bool]:
    if entry.mode not in _FILES:
        raise RejectedError(
            f"git: {shorten(entry.path)}: is a symbolic link or a submodule", hint="choose files with --only"
        )
    found = objects.find(entry.object)
    if found is None or found[0] != "blob":
        raise InvalidError(f"git: {shorten(entry.path)}: its content is not there", hint="run: git fetch")
    size = found[1]
    if size > MAX_FILE_BYTES:
        raise RejectedError(f"git: {shorten(entry.path)}: is larger than {MAX_FILE_BYTES} bytes")
    if size <= lfs.MAX_POINTER_BYTES:
        pointer = lfs.find_pointer(objects.read(entry.object, "blob", size))
        if pointer is not None:
            return PinnedFile(Promise(name, pointer.size, sha256=pointer.sha256), resolve(pointer)), True

    def fetch(write: Write) -> None:
        objects.stream_blob(entry.object, size, write)

    return PinnedFile(Promise(name, size, blob=entry.object), fetch), False


def _moving(address: Address, ask: Callable[[], str | None]) -> InvalidError:
    """A branch or a tag: whoever owns the place can move it, so it says nothing of what is meant."""
    try:
        now = ask()
    except (OutageError, RejectedError, InvalidError):
        now = None
    start = "git+" if not address.is_local else "git:"
    path = f"#{address.path}" if address.path else ""
    return InvalidError(
        f"{shorten(address.reference)}: is a branch or a tag, which can move",
        hint=f"it is now {start}{address.place}@{now}{path}" if now else "name a commit of 40 hex digits",
    )


def _ask_remote(url: str, reference: str, server: GitServer) -> str | None:
    scratch = Scratch(memory=False)
    try:
        make_repository(scratch.path)
        printed = run(
            scratch.path,
            ["ls-remote", "--heads", "--tags", url],
            server.environment(url),
            deadline_s=ASK_DEADLINE_S,
        )
    finally:
        scratch.close()
    found = {match[2].decode(): match[1].decode() for match in _LINE.finditer(printed or b"")}
    names = (f"refs/heads/{reference}", f"refs/tags/{reference}^{{}}", f"refs/tags/{reference}")
    return next((found[name] for name in names if name in found), None)


def _find_local(folder: Path, scratch: Path, reference: str) -> str | None:
    """What the repository's own files say; git is not asked, since it would read its settings."""
    if ".." in reference:
        return None
    names = (f"refs/heads/{reference}", f"refs/tags/{reference}")
    found = next((value for name in names if (value := _read_line(folder / name))), None)
    if found is None:
        packed = _read_bounded(folder / "packed-refs", MAX_REFS_BYTES).decode(errors="replace").splitlines()
        known = {name: value for value, _, name in (line.partition(" ") for line in packed)}
        found = next((known[name] for name in names if name in known), None)
    if found is None or re.fullmatch(r"[0-9a-f]{40}", found) is None:
        return None
    objects = GitObjects(scratch, folder / "objects")
    try:
        return find_commit(objects, found)
    finally:
        objects.close()


def _find_repository(place: Path) -> Path:
    """Return the folder that holds ``objects`` of the repository at ``place``, worktrees included."""
    inner = place / ".git"
    if inner.is_file():
        named = _read_line(inner)
        inner = place / named.removeprefix("gitdir: ") if named.startswith("gitdir: ") else inner
    folder = inner if inner.is_dir() else place
    common = _read_line(folder / "commondir")
    folder = (folder / common).resolve() if common else folder.resolve()
    if not (folder / "objects").is_dir() or not (folder / "HEAD").exists():
        raise InvalidError(f"{shorten(place)}: no git repository here")
    return folder


def _read_line(path: Path) -> str:
    """Return the first line of a small file, or nothing."""
    return _read_bounded(path, 4096).decode(errors="replace").partition("\n")[0].strip()


def _read_bounded(path: Path, limit: int) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return b""
    with os.fdopen(descriptor, "rb") as file:
        return file.read(limit) if stat.S_ISREG(os.fstat(descriptor).st_mode) else b""


def _require_transport(url: str) -> str:
    if urlsplit(url).scheme == "https" or is_own_address(url):
        return url
    raise InvalidError(f"git: {shorten(url)}: is not fetched over TLS", hint="use git+https://")


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"

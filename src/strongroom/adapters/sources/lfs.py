"""Git LFS: the pointer that stands in a commit, and the file that it names by its SHA-256.

https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md and docs/api/batch.md. What the repository's own
`.lfsconfig` says of where files are is not followed: whoever can commit could send us anywhere.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from strongroom.adapters.sources.pinned import Write
from strongroom.adapters.sources.web import Web
from strongroom.errors import InvalidError, OutageError, RejectedError, shorten
from strongroom.values import Digest

MAX_POINTER_BYTES = 1024
_POINTER = re.compile(
    rb"version https://git-lfs\.github\.com/spec/v1\n"
    rb"oid sha256:([0-9a-f]{64})\nsize (0|[1-9][0-9]{0,14})\n"
)
_FIRST_LINE = b"version https://git-lfs"
_MEDIA_TYPE = "application/vnd.git-lfs+json"
_PIECE_BYTES = 2**20
MAX_HEADERS = 16


@dataclass(frozen=True, slots=True)
class Pointer:
    sha256: Digest
    size: int


def find_pointer(content: bytes) -> Pointer | None:
    """Return the pointer that a small file is; None for any other file.

    Raises:
        RejectedError: it begins like one, and is none: an extension of LFS, or somebody's trick.
    """
    if not content.startswith(_FIRST_LINE):
        return None
    match = _POINTER.fullmatch(content)
    if match is None:
        raise RejectedError("lfs: a file begins like a pointer and is none that is known")
    return Pointer(Digest(bytes.fromhex(match[1].decode())), int(match[2]))


def read_stored(folder: Path, pointer: Pointer, write: Write) -> None:
    """Read the file from the ``lfs/objects`` of a repository; the reader compares size and digest."""
    name = pointer.sha256.hex
    try:
        with (folder / name[:2] / name[2:4] / name).open("rb") as file:
            while piece := file.read(_PIECE_BYTES):
                write(piece)
    except FileNotFoundError:
        raise InvalidError(f"lfs: {name} is not there", hint="run in the repository: git lfs fetch") from None
    except OSError as error:
        raise OutageError(f"lfs: {name}: {error.strerror}") from None


def download(web: Web, repository: str, secret: str, pointer: Pointer) -> Callable[[Write], None]:
    """Return what fetches the file from the LFS server of ``repository``, as its URL implies it."""
    base = repository if repository.endswith(".git") else f"{repository}.git"

    def fetch(write: Write) -> None:
        wanted = {"oid": pointer.sha256.hex, "size": pointer.size}
        question = {
            "operation": "download",
            "transfers": ["basic"],
            "hash_algo": "sha256",
            "objects": [wanted],
        }
        answer = web.get(
            f"{base}/info/lfs/objects/batch",
            {"Accept": _MEDIA_TYPE, "Content-Type": _MEDIA_TYPE},
            secret,
            body=orjson.dumps(question),
            limit=2**20,
        )
        href, headers = _parse(answer.body, pointer)
        given = headers.pop("authorization", "")
        web.stream(href, write, headers, given)

    return fetch


def _parse(body: bytes, pointer: Pointer) -> tuple[str, dict[str, str]]:
    try:
        value: Any = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise OutageError("lfs: the server does not answer with JSON") from None
    match value:
        case {"objects": [{"oid": str(oid), "actions": {"download": {"href": str(href), **more}}}]}:
            headers: Any = more.get("header") or {}
        case {"objects": [{"error": {"message": message}}]}:
            raise InvalidError(f"lfs: {pointer.sha256.hex}: {shorten(message)}")
        case _:
            raise OutageError("lfs: the server does not answer as it should")
    good = isinstance(headers, dict) and len(headers) <= MAX_HEADERS
    if not good or oid != pointer.sha256.hex or not all(_is_header(*each) for each in headers.items()):
        raise RejectedError("lfs: the server answers with something else than was asked for")
    return href, {name.lower(): text for name, text in headers.items()}


def _is_header(name: object, text: object) -> bool:
    known = isinstance(name, str) and isinstance(text, str) and name.isascii() and text.isascii()
    return (
        known and str(name).replace("-", "").isalnum() and str(text).isprintable() and len(str(text)) < 8192
    )

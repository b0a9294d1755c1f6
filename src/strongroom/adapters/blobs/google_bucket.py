"""Writing to Google Cloud Storage: conditional, under the key asked for, in a session that outlives a crash.

The service itself says how much has arrived: https://cloud.google.com/storage/docs/resumable-uploads.
"""

import base64
import json
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from hashlib import md5
from secrets import token_hex
from typing import Any, TypeVar

from requests import Response

from strongroom.adapters.blobs.bucket import Notes, Posture, Source, part_size, read_part
from strongroom.adapters.blobs.google_client import GoogleClients, require_good
from strongroom.adapters.blobs.names import taken
from strongroom.adapters.blobs.patience import SilentError, insist
from strongroom.adapters.blobs.place import Place
from strongroom.errors import OutageError

_Answer = TypeVar("_Answer")

_EVERYBODY = frozenset({"allUsers", "allAuthenticatedUsers"})
_MARK = "strongroom-write"
"""Metadata that tells our own write, whose answer was lost, from another's."""
_INCOMPLETE = 308
_REFUSED = 412
_GONE = frozenset({404, 410})


class _EndedError(OutageError):
    """A session is no more: what it held must be sent anew."""


class GoogleBucket:
    """A `Bucket` of Google Cloud Storage. ``kms_key`` is the key of every object written."""

    def __init__(self, place: Place, kms_key: str | None) -> None:
        self._clients = GoogleClients(place)
        self._place = place
        self._key = {"kmsKeyName": kms_key} if kms_key else {}

    @property
    def place(self) -> Place:
        return self._place

    @property
    def objects(self) -> Any:
        return self._clients.objects

    def posture(self) -> Posture:
        """Google encrypts every bucket at rest; access lists count unless access is by policy alone."""
        path = f"/storage/v1/b/{self._place.bucket}"
        found = self._look(path, {"projection": "full"})
        if found is None:
            return Posture(None, True, "its properties may not be read")
        configuration = found.get("iamConfiguration", {})
        if configuration.get("publicAccessPrevention") == "enforced":
            return Posture(False, True)
        if not configuration.get("uniformBucketLevelAccess", {}).get("enabled"):
            lists = [*found.get("acl", []), *found.get("defaultObjectAcl", [])]
            if any(entry.get("entity") in _EVERYBODY for entry in lists):
                return Posture(True, True, "by its access list")
        policy = self._look(f"{path}/iam", {})
        if policy is None:
            return Posture(None, True, "its policy may not be read")
        members = {member for binding in policy.get("bindings", []) for member in binding.get("members", [])}
        is_public = bool(members & _EVERYBODY)
        return Posture(is_public, True, "by its policy" if is_public else "")

    def put(self, name: str, data: bytes, mark: str, *, only_new: bool) -> None:
        boundary = token_hex(16)
        description = self._describe(name, mark, md5(data, usedforsecurity=False).digest())
        body = b"".join(
            (
                f"--{boundary}\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n".encode(),
                json.dumps(description).encode(),
                f"\r\n--{boundary}\r\nContent-Type: application/octet-stream\r\n\r\n".encode(),
                data,
                f"\r\n--{boundary}--\r\n".encode(),
            )
        )
        answer = self._clients.ask(
            "POST",
            f"/upload/storage/v1/b/{self._place.bucket}/o",
            params={"uploadType": "multipart", **self._condition(only_new), **self._key},
            data=body,
            headers={"Content-Type": f"multipart/related; boundary={boundary}"},
        )
        self._require_written(name, mark, answer)

    def delete(self, name: str) -> None:
        answer = self._clients.ask("DELETE", self._clients.object_path(name))
        if answer.status_code != 404 or "bucket" in answer.text[:200]:
            require_good(self._place, answer)

    def send(self, name: str, source: Source, notes: Notes) -> None:
        # (1) the session begun earlier, or a new one
        state = notes.load()
        if state is not None and state.get("size") != source.size:
            self.abandon(name, notes)
            state = None
        offset = 0
        try:
            if state is not None:
                offset = self._insist(partial(self._arrived, name, state, source.size))
        except _EndedError:
            state = None
        if state is None:
            state = self._begin(name, source, notes)
        # (2) what has not arrived yet; the last piece makes the object visible, if the name is still free
        step = part_size(source.size)
        while offset < source.size:
            data = read_part(source, offset, step)
            offset = self._insist(partial(self._send_piece, name, state, offset, data, source.size))
        notes.clear()

    def abandon(self, name: str, notes: Notes) -> None:
        """A session that is not gone on with ends by itself within a week; what it holds is not visible."""
        state = notes.load()
        if state is not None:
            with suppress(OutageError):
                self._clients.ask("DELETE", str(state.get("session")), headers={"Content-Length": "0"})
        notes.clear()

    def _begin(self, name: str, source: Source, notes: Notes) -> dict[str, Any]:
        mark = token_hex(16)
        description = self._describe(name, mark, _digest(source))

        def ask() -> str:
            answer = self._clients.ask(
                "POST",
                f"/upload/storage/v1/b/{self._place.bucket}/o",
                params={"uploadType": "resumable", **self._condition(True), **self._key},
                json=description,
                headers={"X-Upload-Content-Length": str(source.size)},
            )
            if answer.status_code == _REFUSED:
                raise taken(name)
            require_good(self._place, answer)
            return str(answer.headers["Location"])

        state = {"session": self._insist(ask), "mark": mark, "size": source.size}
        notes.save(state)
        return state

    def _arrived(self, name: str, state: dict[str, Any], size: int) -> int:
        answer = self._clients.ask(
            "PUT", str(state["session"]), headers={"Content-Range": f"bytes */{size}", "Content-Length": "0"}
        )
        return self._progress(name, state, answer, size)

    def _send_piece(self, name: str, state: dict[str, Any], offset: int, data: bytes, size: int) -> int:
        end = offset + len(data) - 1
        answer = self._clients.ask(
            "PUT", str(state["session"]), data=data, headers={"Content-Range": f"bytes {offset}-{end}/{size}"}
        )
        if answer.status_code == 503:
            return self._arrived(name, state, size)
        return self._progress(name, state, answer, size)

    def _progress(self, name: str, state: dict[str, Any], answer: Response, size: int) -> int:
        """Return how many bytes have arrived, all once the object is whole and ours."""
        if answer.status_code == _INCOMPLETE:
            last = answer.headers.get("Range", "").rpartition("-")[2]
            return int(last) + 1 if last.isdigit() else 0
        if answer.status_code in _GONE:
            # Ended by itself, or an answer was lost: then the object is ours.
            if not self._is_ours(name, str(state["mark"])):
                raise _EndedError(f"{self._place.name}: the upload of {name} ended", hint="try again")
            return size
        self._require_written(name, str(state["mark"]), answer)
        return size

    def _require_written(self, name: str, mark: str, answer: Response) -> None:
        if answer.status_code == _REFUSED:
            if not self._is_ours(name, mark):
                raise taken(name)
            return
        require_good(self._place, answer)

    def _is_ours(self, name: str, mark: str) -> bool:
        answer = self._clients.ask("GET", self._clients.object_path(name))
        if answer.status_code == 404:
            return False
        found = require_good(self._place, answer)
        return bool(found.get("metadata", {}).get(_MARK) == mark)

    def _look(self, path: str, params: dict[str, str]) -> dict[str, Any] | None:
        """Return the answer, None if we may not know."""
        try:
            return require_good(self._place, self._clients.ask("GET", path, params=params))
        except SilentError:
            raise
        except OutageError as error:
            if "no such bucket" in error.message or "no credentials" in error.message:
                raise
            return None

    def _describe(self, name: str, mark: str, digest: bytes) -> dict[str, Any]:
        """The MD5 is what the service checks the bytes against on arrival; nothing else rests on it."""
        return {
            "name": self._place.key(name),
            "md5Hash": base64.b64encode(digest).decode(),
            "metadata": {_MARK: mark},
        }

    def _condition(self, only_new: bool) -> dict[str, str]:
        return {"ifGenerationMatch": "0"} if only_new else {}

    def _insist(self, ask: Callable[[], _Answer]) -> _Answer:
        return insist(ask, self._place.name, self._place.deadline_s)


def _digest(source: Source) -> bytes:
    digest, step = md5(usedforsecurity=False), part_size(source.size)
    for offset in range(0, source.size, step):
        digest.update(read_part(source, offset, step))
    return digest.digest()

"""Writing to S3: conditional, encrypted as asked, checked by SHA-256, in parts that outlive a crash.

Conditional writes: https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
"""

import base64
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from hashlib import sha256
from secrets import token_hex
from threading import Lock
from typing import Any, TypeVar

from botocore.exceptions import ClientError

from strongroom.adapters.blobs import s3_posture
from strongroom.adapters.blobs.bucket import (
    SENDING_THREADS,
    Notes,
    Posture,
    Source,
    part_size,
    read_part,
)
from strongroom.adapters.blobs.names import taken
from strongroom.adapters.blobs.patience import insist
from strongroom.adapters.blobs.place import Place
from strongroom.adapters.blobs.s3_client import S3Clients, code_of, refusals
from strongroom.errors import InvalidError, OutageError, RejectedError

_Answer = TypeVar("_Answer")

_EXISTS = frozenset({"PreconditionFailed", "412"})
_GONE = "NoSuchUpload"
_NOTE_EACH = 256
_NOTE_EVERY_S = 2.0
_MARK = "strongroom-write"
"""Metadata that tells our own write, whose answer was lost, from another's."""


class S3Bucket:
    """A `Bucket` of S3, or of what speaks it. ``sse`` and ``kms_key`` are asked for with every object."""

    def __init__(self, place: Place, region: str | None, sse: str | None, kms_key: str | None) -> None:
        if kms_key and sse not in ("aws:kms", "aws:kms:dsse"):
            raise InvalidError('store.s3.kms_key_id: needs sse = "aws:kms"')
        clients = S3Clients(place, region)
        self._client = clients.client
        self._objects = clients.objects
        self._place = place
        self._sse = sse
        self._encryption: dict[str, str] = {"ServerSideEncryption": sse} if sse else {}
        if kms_key:
            self._encryption["SSEKMSKeyId"] = kms_key

    @property
    def place(self) -> Place:
        return self._place

    @property
    def objects(self) -> Any:
        return self._objects

    def posture(self) -> Posture:
        return s3_posture.look(self._client, self._place, self._sse)

    def put(self, name: str, data: bytes, mark: str, *, only_new: bool) -> None:
        with refusals(self._place):
            try:
                self._require_free(name, only_new)
                answer = self._client.put_object(
                    **self._at(name),
                    **(self._condition() if only_new else {}),
                    **self._encryption,
                    Body=data,
                    ChecksumSHA256=_checksum(data),
                    Metadata={_MARK: mark},
                )
            except ClientError as error:
                if code_of(error) not in _EXISTS:
                    raise
                if not self._is_ours(name, mark):
                    raise taken(name) from None
                return
        if not self._is_encrypted(answer):
            with refusals(self._place):
                self._client.delete_object(**self._at(name))
            raise self._unencrypted(name)

    def delete(self, name: str) -> None:
        with refusals(self._place):
            self._client.delete_object(**self._at(name))

    def send(self, name: str, source: Source, notes: Notes) -> None:
        # (1) the upload begun earlier, or a new one
        state = self._resume(name, source, notes)
        if state is None:
            state = self._begin(name, source, notes)
        elif self._is_ours(name, str(state["mark"])):
            notes.clear()
            return
        # (2) what has not arrived yet
        self._send_parts(name, source, state, notes)
        # (3) whole at once, and only if nobody else was faster
        try:
            self._insist(lambda: self._complete(name, state))
        except InvalidError:
            self.abandon(name, notes)
            raise
        notes.clear()

    def abandon(self, name: str, notes: Notes) -> None:
        state = notes.load()
        if state is not None:
            with suppress(OutageError, ClientError), refusals(self._place):
                self._client.abort_multipart_upload(**self._at(name), UploadId=str(state.get("upload")))
        notes.clear()

    def _begin(self, name: str, source: Source, notes: Notes) -> dict[str, Any]:
        mark = token_hex(16)

        def ask() -> Any:
            with refusals(self._place):
                return self._client.create_multipart_upload(
                    **self._at(name), **self._encryption, ChecksumAlgorithm="SHA256", Metadata={_MARK: mark}
                )

        answer = self._insist(ask)
        state = {"upload": answer["UploadId"], "mark": mark, "size": source.size, "parts": {}}
        notes.save(state)
        if not self._is_encrypted(answer):
            self.abandon(name, notes)
            raise self._unencrypted(name)
        return state

    def _resume(self, name: str, source: Source, notes: Notes) -> dict[str, Any] | None:
        """Return what is noted, less the parts that the store does not have as they were sent."""
        state = notes.load()
        if state is None or state.get("size") != source.size:
            self.abandon(name, notes)
            return None
        try:
            arrived = self._insist(lambda: self._list_parts(name, str(state["upload"])))
        except InvalidError:
            if self._is_ours(name, str(state["mark"])):
                return state
            notes.clear()
            return None
        sent = dict(state["parts"])
        state["parts"] = {
            number: part for number, part in sent.items() if arrived.get(number) == part["etag"]
        }
        return state

    def _list_parts(self, name: str, upload: str) -> dict[str, str]:
        """Raises InvalidError: there is no such upload any more."""
        found: dict[str, str] = {}
        marker = 0
        while True:
            with refusals(self._place):
                try:
                    page = self._client.list_parts(**self._at(name), UploadId=upload, PartNumberMarker=marker)
                except ClientError as error:
                    if code_of(error) == _GONE:
                        raise InvalidError(f"blob {name}: its upload is gone") from None
                    raise
            found.update({str(part["PartNumber"]): part["ETag"] for part in page.get("Parts", [])})
            if not page.get("IsTruncated"):
                return found
            marker = page["NextPartNumberMarker"]

    def _send_parts(self, name: str, source: Source, state: dict[str, Any], notes: Notes) -> None:
        step = part_size(source.size)
        missing = [
            number for number in range(1, -(-source.size // step) + 1) if str(number) not in state["parts"]
        ]
        lock = Lock()

        noted_at = 0.0

        def send(number: int) -> None:
            nonlocal noted_at
            data = read_part(source, (number - 1) * step, step)
            part = self._insist(lambda: self._send_part(name, str(state["upload"]), number, data))
            with lock:
                state["parts"][str(number)] = part
                # A part that is not noted is sent again, so that notes need not cost as much as parts.
                if len(state["parts"]) < _NOTE_EACH or time.monotonic() - noted_at > _NOTE_EVERY_S:
                    notes.save(state)
                    noted_at = time.monotonic()

        with ThreadPoolExecutor(SENDING_THREADS, thread_name_prefix="blob-parts") as pool:
            futures = [pool.submit(send, number) for number in missing]
            try:
                for future in futures:
                    future.result()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _send_part(self, name: str, upload: str, number: int, data: bytes) -> dict[str, str]:
        checksum = _checksum(data)
        with refusals(self._place):
            answer = self._client.upload_part(
                **self._at(name), UploadId=upload, PartNumber=number, Body=data, ChecksumSHA256=checksum
            )
        return {"etag": answer["ETag"], "sha256": checksum}

    def _complete(self, name: str, state: dict[str, Any]) -> None:
        parts = [
            {"PartNumber": int(number), "ETag": part["etag"], "ChecksumSHA256": part["sha256"]}
            for number, part in sorted(state["parts"].items(), key=lambda item: int(item[0]))
        ]
        with refusals(self._place):
            try:
                self._require_free(name, only_new=True)
                self._client.complete_multipart_upload(
                    **self._at(name),
                    **self._condition(),
                    UploadId=state["upload"],
                    MultipartUpload={"Parts": parts},
                )
            except ClientError as error:
                # An answer may have been lost: then the upload is gone, and the object is ours.
                if code_of(error) not in _EXISTS | {_GONE}:
                    raise
                if not self._is_ours(name, state["mark"]):
                    raise taken(name) from None

    def _is_ours(self, name: str, mark: str) -> bool:
        found = self._insist(lambda: self._find(name))
        return found is not None and bool(found.get("Metadata", {}).get(_MARK) == mark)

    def _require_free(self, name: str, only_new: bool) -> None:
        """The best that can be done with a store which does not know conditions."""
        if only_new and self._place.may_overwrite and self._find(name) is not None:
            raise taken(name)

    def _find(self, name: str) -> Any:
        with refusals(self._place):
            try:
                return self._client.head_object(**self._at(name))
            except ClientError as error:
                if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") == 404:
                    return None
                raise

    def _is_encrypted(self, answer: dict[str, Any]) -> bool:
        return self._sse is None or answer.get("ServerSideEncryption") == self._sse

    def _unencrypted(self, name: str) -> RejectedError:
        return RejectedError(
            f"{self._place.name}: did not encrypt {name} with {self._sse} as asked",
            hint="the store does not know this encryption; correct sse in [store.s3]",
        )

    def _condition(self) -> dict[str, str]:
        return {} if self._place.may_overwrite else {"IfNoneMatch": "*"}

    def _at(self, name: str) -> dict[str, str]:
        return {"Bucket": self._place.bucket, "Key": self._place.key(name)}

    def _insist(self, ask: Callable[[], _Answer]) -> _Answer:
        return insist(ask, self._place.name, self._place.deadline_s)


def _checksum(data: bytes) -> str:
    return base64.b64encode(sha256(data).digest()).decode()

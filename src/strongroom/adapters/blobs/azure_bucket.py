"""Writing to Azure Blob Storage: conditional, in the encryption scope asked for, in blocks that stay.

A block's name holds the digest of its bytes, so that after a crash the service says which arrived.
Blocks that are never committed are not visible, and gone after a week.
https://learn.microsoft.com/en-us/rest/api/storageservices/put-block-list
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from secrets import token_hex
from typing import Any, TypeVar

from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.storage.blob import BlobBlock

from strongroom.adapters.blobs.azure_client import AzureClients, code_of, refusals
from strongroom.adapters.blobs.bucket import (
    SENDING_THREADS,
    Notes,
    Posture,
    Source,
    part_size,
    read_part,
)
from strongroom.adapters.blobs.names import taken
from strongroom.adapters.blobs.patience import SilentError, insist
from strongroom.adapters.blobs.place import Place
from strongroom.errors import OutageError

_Answer = TypeVar("_Answer")

_MARK = "strongroomwrite"
"""Metadata that tells our own write, whose answer was lost, from another's. Azure permits no hyphen."""
_BLOCKS_GONE = "InvalidBlockList"


class AzureBucket:
    """A `Bucket` of Azure. ``scope`` is the encryption scope of every object, and so its key."""

    def __init__(self, place: Place, account: str | None, scope: str | None) -> None:
        clients = AzureClients(place, account)
        self._container = clients.container
        self._objects = clients.objects
        self._place = place
        self._encryption = {"encryption_scope": scope} if scope else {}

    @property
    def place(self) -> Place:
        return self._place

    @property
    def objects(self) -> Any:
        return self._objects

    def posture(self) -> Posture:
        """Azure encrypts every account at rest; public access is a property of the container."""
        try:
            with refusals(self._place):
                found = self._container.get_container_properties()
        except SilentError:
            raise
        except OutageError as error:
            if "no such bucket" in error.message:
                raise
            return Posture(None, True, "its properties may not be read")
        access = found.public_access
        return Posture(bool(access), True, f"its public access is {access}" if access else "")

    def put(self, name: str, data: bytes, mark: str, *, only_new: bool) -> None:
        with refusals(self._place):
            try:
                self._blob(name).upload_blob(
                    data,
                    overwrite=not only_new,
                    metadata={_MARK: mark},
                    validate_content=True,
                    **self._encryption,
                )
            except ResourceExistsError:
                if not self._is_ours(name, mark):
                    raise taken(name) from None

    def delete(self, name: str) -> None:
        with refusals(self._place):
            try:
                self._blob(name).delete_blob()
            except ResourceNotFoundError as error:
                if code_of(error) == "ContainerNotFound":
                    raise

    def send(self, name: str, source: Source, notes: Notes) -> None:
        state = notes.load() or {"mark": token_hex(16)}
        notes.save(state)
        mark = str(state["mark"])
        step = part_size(source.size)
        arrived = self._insist(lambda: self._arrived(name))

        def send(number: int) -> str:
            data = read_part(source, number * step, step)
            block = f"{number:06d}-{sha256(data).hexdigest()[:40]}"
            if block not in arrived:
                self._insist(lambda: self._send_block(name, block, data))
            return block

        with ThreadPoolExecutor(SENDING_THREADS, thread_name_prefix="blob-blocks") as pool:
            futures = [pool.submit(send, number) for number in range(-(-source.size // step))]
            try:
                blocks = [future.result() for future in futures]
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        self._insist(lambda: self._commit(name, blocks, mark))
        notes.clear()

    def abandon(self, name: str, notes: Notes) -> None:
        """Nothing to pay for stays: uncommitted blocks go by themselves."""
        notes.clear()

    def _arrived(self, name: str) -> set[str]:
        with refusals(self._place):
            try:
                _, uncommitted = self._blob(name).get_block_list("all")
            except ResourceNotFoundError as error:
                if code_of(error) == "ContainerNotFound":
                    raise
                return set()
        return {block.id for block in uncommitted}

    def _send_block(self, name: str, block: str, data: bytes) -> None:
        with refusals(self._place):
            self._blob(name).stage_block(block, data, validate_content=True, **self._encryption)

    def _commit(self, name: str, blocks: list[str], mark: str) -> None:
        with refusals(self._place):
            try:
                self._blob(name).commit_block_list(
                    [BlobBlock(block) for block in blocks],
                    metadata={_MARK: mark},
                    match_condition=MatchConditions.IfMissing,
                    **self._encryption,
                )
            except HttpResponseError as error:
                # An answer may have been lost: then the blocks are committed, and the object is ours.
                if not isinstance(error, ResourceExistsError) and code_of(error) != _BLOCKS_GONE:
                    raise
                if not self._is_ours(name, mark):
                    raise taken(name) from None

    def _is_ours(self, name: str, mark: str) -> bool:
        try:
            found = self._blob(name).get_blob_properties()
        except ResourceNotFoundError:
            return False
        return bool((found.metadata or {}).get(_MARK) == mark)

    def _blob(self, name: str) -> Any:
        return self._container.get_blob_client(self._place.key(name))

    def _insist(self, ask: Callable[[], _Answer]) -> _Answer:
        return insist(ask, self._place.name, self._place.deadline_s)

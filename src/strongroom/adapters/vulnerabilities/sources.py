"""OSV records from a file or folder: an ecosystem's archive, JSON files, one record, or JSON lines."""

import hashlib
import json
import os
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from strongroom.errors import InvalidError, OutageError, RejectedError, shorten

MAX_FILE_BYTES = 2**30
MAX_RECORD_BYTES = 8 * 2**20
MAX_RECORDS = 1_000_000
MAX_UNPACKED_BYTES = 8 * 2**30
MAX_DIRECTORY_BYTES = 128 * 2**20
"""Of an archive: the table of its members, which is read into memory."""
_OPEN = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_ZIP = b"PK\x03\x04"
_END, _END64 = b"PK\x05\x06", b"PK\x06\x06"
_MAX_END_BYTES = 2**16 + 128
_ENCRYPTED = 0x1
_HASH_PIECE_BYTES = 2**20
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)


class FileSource:
    """`AdvisorySource` over one open file; ``expected`` is the SHA-256 that it must have."""

    def __init__(self, file: IO[bytes], name: str, expected: str | None = None) -> None:
        if expected is not None and _SHA256.fullmatch(expected) is None:
            raise InvalidError("osv: the digest is not 64 hexadecimal digits")
        self.name = name
        self._file = file
        self._expected = expected
        self._sha256 = ""

    @property
    def sha256(self) -> str:
        return self._sha256

    def records(self) -> Iterator[bytes]:
        """The digest is compared before anything is parsed."""
        size = self._file.seek(0, os.SEEK_END)
        if size > MAX_FILE_BYTES:
            raise RejectedError(f"osv: {self.name}: larger than {MAX_FILE_BYTES} bytes")
        self._sha256 = _hash(self._file)
        if self._expected is not None and self._sha256 != self._expected:
            raise RejectedError(f"osv: {self.name}: has another digest than the one given")
        self._file.seek(0)
        if self._file.read(4) == _ZIP:
            return _from_zip(self._file, size, self.name)
        self._file.seek(0)
        return _from_json(self._file, size, self.name)

    def close(self) -> None:
        self._file.close()


class FolderSource:
    """`AdvisorySource` over the ``.json`` files directly in a folder, by name."""

    def __init__(self, folder: Path, expected: str | None = None) -> None:
        if expected is not None:
            raise InvalidError("osv: a digest is for a file, not for a folder")
        self.name = folder.name
        self._folder = folder
        self._hash = hashlib.sha256()

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def records(self) -> Iterator[bytes]:
        for path in _listed(self._folder):
            data = _read_small(path)
            self._hash.update(b"%d %d " % (len(path.name.encode()), len(data)) + path.name.encode() + data)
            yield data

    def close(self) -> None:
        """Nothing is held."""


def open_source(path: Path, expected: str | None = None) -> FileSource | FolderSource:
    """Return what reads ``path``. Raises InvalidError: it is not there, or neither file nor folder."""
    try:
        if path.is_dir():
            return FolderSource(path, expected)
        descriptor = os.open(path, _OPEN)
    except OSError as error:
        raise InvalidError(f"{path}: {(error.strerror or 'cannot be read').lower()}") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise InvalidError(f"{path}: is not a plain file")
    return FileSource(os.fdopen(descriptor, "rb"), path.name, expected)


def _hash(file: IO[bytes]) -> str:
    file.seek(0)
    digest = hashlib.sha256()
    while piece := file.read(_HASH_PIECE_BYTES):
        digest.update(piece)
    return digest.hexdigest()


def _from_zip(file: IO[bytes], size: int, name: str) -> Iterator[bytes]:
    """Members that are no ``.json`` are refused: an archive of an OSV database holds nothing else."""
    _require_small_directory(file, size, name)
    try:
        archive = zipfile.ZipFile(file)
    except (zipfile.BadZipFile, ValueError, NotImplementedError, struct.error, OverflowError):
        raise RejectedError(f"osv: {name}: is a broken archive") from None
    members = [member for member in archive.infolist() if not member.is_dir()]
    _require_members(members, name)
    return (_read_member(archive, member, name) for member in members)


def _require_small_directory(file: IO[bytes], size: int, name: str) -> None:
    start = max(0, size - _MAX_END_BYTES)
    file.seek(start)
    tail = file.read(_MAX_END_BYTES)
    at = tail.rfind(_END)
    if at < 0 or len(tail) < at + 22:
        raise RejectedError(f"osv: {name}: is a broken archive")
    directory = struct.unpack_from("<I", tail, at + 12)[0]
    if directory == 0xFFFFFFFF:
        at = tail.rfind(_END64)
        directory = struct.unpack_from("<Q", tail, at + 40)[0] if 0 <= at <= len(tail) - 56 else 2**64
    if directory > MAX_DIRECTORY_BYTES:
        raise RejectedError(f"osv: {name}: names more than {MAX_DIRECTORY_BYTES} bytes of members")


def _require_members(members: list[zipfile.ZipInfo], name: str) -> None:
    if len(members) > MAX_RECORDS:
        raise RejectedError(f"osv: {name}: holds more than {MAX_RECORDS} members")
    if len({member.filename for member in members}) != len(members):
        raise RejectedError(f"osv: {name}: names a member twice")
    if sum(member.file_size for member in members) > MAX_UNPACKED_BYTES:
        raise RejectedError(f"osv: {name}: unpacks to more than {MAX_UNPACKED_BYTES} bytes")
    for member in members:
        what = f"osv: {name}: member {shorten(member.filename)}"
        if not member.filename.endswith(".json"):
            raise RejectedError(f"{what}: is not an OSV record")
        if member.flag_bits & _ENCRYPTED or member.compress_type not in (
            zipfile.ZIP_STORED,
            zipfile.ZIP_DEFLATED,
        ):
            raise RejectedError(f"{what}: is packed in a way that is not read")
        if member.file_size > MAX_RECORD_BYTES:
            raise RejectedError(f"{what}: larger than {MAX_RECORD_BYTES} bytes")


def _read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, name: str) -> bytes:
    """`zipfile` compares size and checksum at the end, which is why one byte more is asked for."""
    try:
        with archive.open(member) as file:
            data = file.read(member.file_size + 1)
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError, OSError):
        raise RejectedError(f"osv: {name}: member {shorten(member.filename)}: is broken") from None
    if len(data) != member.file_size:
        raise RejectedError(f"osv: {name}: member {shorten(member.filename)}: has another size than it says")
    return data


def _from_json(file: IO[bytes], size: int, name: str) -> Iterator[bytes]:
    """One record; a list of them; or one a line."""
    if size <= MAX_RECORD_BYTES:
        whole = file.read(MAX_RECORD_BYTES + 1)
        try:
            value = json.loads(whole)
        except (ValueError, RecursionError):
            value = None
        if isinstance(value, dict):
            return iter([whole])
        if isinstance(value, list):
            return iter([json.dumps(one).encode() for one in value])
        file.seek(0)
    return _from_lines(file, name)


def _from_lines(file: IO[bytes], name: str) -> Iterator[bytes]:
    while line := file.readline(MAX_RECORD_BYTES + 1):
        if len(line) > MAX_RECORD_BYTES:
            raise RejectedError(f"osv: {name}: has a line longer than {MAX_RECORD_BYTES} bytes")
        if line.strip():
            yield line


def _listed(folder: Path) -> list[Path]:
    try:
        found = sorted(path for path in folder.iterdir() if path.name.endswith(".json"))
    except OSError as error:
        raise OutageError(f"osv: {folder.name}: {(error.strerror or 'cannot be read').lower()}") from None
    if len(found) > MAX_RECORDS:
        raise RejectedError(f"osv: {folder.name}: holds more than {MAX_RECORDS} files")
    return found


def _read_small(path: Path) -> bytes:
    try:
        descriptor = os.open(path, _OPEN | os.O_NOFOLLOW)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise RejectedError(f"osv: {shorten(path.name)}: is not a plain file")
            data = file.read(MAX_RECORD_BYTES + 1)
    except OSError as error:
        raise OutageError(
            f"osv: {shorten(path.name)}: {(error.strerror or 'cannot be read').lower()}"
        ) from None
    if len(data) > MAX_RECORD_BYTES:
        raise RejectedError(f"osv: {shorten(path.name)}: larger than {MAX_RECORD_BYTES} bytes")
    return data

"""Plaintext in sealed memfds: memory with a descriptor, on no file system, unchangeable once filled."""

import errno
import fcntl
import os

from strongroom.adapters.memory.room import find_available_bytes
from strongroom.errors import InvalidError, OutageError, RejectedError, shorten
from strongroom.ports import Memory

MAX_MEMORY_BYTES = 2**40
_MFD_NOEXEC_SEAL = 0x0008
"""Linux 6.3: never executable, and sealed so. Older kernels answer EINVAL."""
_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
_MAX_NAME_CHARS = 64


class MemfdProvider:
    """Allocates memfds. The name shows in /proc only and means nothing."""

    def allocate(self, name: str, size_bytes: int) -> Memory:
        """Return memory of exactly ``size_bytes``.

        Raises:
            OutageError: the machine or the control group has not that much left.
        """
        room = find_available_bytes()
        if room is not None and size_bytes > room:
            raise OutageError(f"memory {shorten(name)}: {size_bytes} bytes wanted, {room} are left")
        return Memfd(name, size_bytes)


class Memfd:
    """One memfd; writable until `seal`. Not inherited by children: hand it over with SCM_RIGHTS."""

    def __init__(self, name: str, size_bytes: int) -> None:
        if not 0 <= size_bytes <= MAX_MEMORY_BYTES:
            raise InvalidError(f"memory: the size is not within 0 and {MAX_MEMORY_BYTES}")
        self._size = size_bytes
        self._label = "".join(c if c.isascii() and c.isalnum() else "-" for c in name[:_MAX_NAME_CHARS])
        self._fd = -1
        try:
            self._fd = _create(self._label)
            # Pages come with the writes, in the threads that write: taking them all here first
            # (posix_fallocate) made a load a quarter slower.
            os.ftruncate(self._fd, size_bytes)
        except OSError as error:
            self.close()
            raise OutageError(f"memory {shorten(name)}: {size_bytes} bytes: {error.strerror}") from None

    @property
    def fd(self) -> int:
        if self._fd < 0:
            raise InvalidError(f"memory {self._label}: is closed")
        return self._fd

    def write_at(self, offset: int, data: bytes | bytearray | memoryview) -> None:
        """Write all of ``data`` within the size. Thread-safe for disjoint ranges."""
        view = memoryview(data)
        if offset < 0 or offset + len(view) > self._size:
            raise InvalidError(f"memory {self._label}: a write outside its {self._size} bytes")
        descriptor = self.fd
        try:
            while view:
                written = os.pwrite(descriptor, view, offset)
                view, offset = view[written:], offset + written
        except OSError as error:
            if error.errno == errno.EPERM:
                raise InvalidError(f"memory {self._label}: is sealed") from None
            raise OutageError(f"memory {self._label}: {error.strerror}") from None

    def seal(self) -> None:
        """Forbid every later write, growth, shrinkage and change of seals; the kernel keeps it so.

        Raises:
            RejectedError: the kernel did not seal it, so what was verified could still be changed.
        """
        try:
            os.fchmod(self.fd, 0o444)
            fcntl.fcntl(self.fd, fcntl.F_ADD_SEALS, _SEALS)
        except OSError as error:
            raise RejectedError(f"memory {self._label}: cannot be sealed: {error.strerror}") from None
        require_sealed(self.fd)

    def close(self) -> None:
        """Give the descriptor back; the memory goes when the last one is closed."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def require_sealed(descriptor: int) -> None:
    """Refuse a descriptor that is not a memfd under all seals."""
    try:
        seals = fcntl.fcntl(descriptor, fcntl.F_GET_SEALS)
    except OSError:
        raise RejectedError("memory: not a memfd") from None
    if seals & _SEALS != _SEALS:
        raise RejectedError("memory: the memfd is not sealed")


def _create(label: str) -> int:
    flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
    try:
        return os.memfd_create(label, flags | _MFD_NOEXEC_SEAL)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return os.memfd_create(label, flags)

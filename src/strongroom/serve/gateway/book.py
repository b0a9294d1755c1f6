"""The gateway's journal on disk: a batch is written and durable before one of its answers leaves (I4)."""

import contextlib
import fcntl
import os
import secrets

from strongroom.errors import OutageError
from strongroom.trust.journal import Batch, JournalSigner, JournalWriter, Record

SEED_BYTES = 32
JOURNAL_ID_BYTES = 16
ROOM_BYTES = 2**20
SUFFIX = ".journal"


class Book:
    """One journal, made for this process; its key never leaves it. Open it before the first `commit`."""

    def __init__(self, *, durable: bool = True) -> None:
        signer = JournalSigner(secrets.token_bytes(SEED_BYTES))
        self.public_pem = signer.public_pem.decode()
        self._writer = JournalWriter(secrets.token_bytes(JOURNAL_ID_BYTES), signer)
        self.name = self._writer.journal.hex()
        self.durable = durable
        self._file = -1
        self._size = 0
        self._lost = ""

    @property
    def is_lost(self) -> bool:
        """Whether no batch can be written any more, whatever happens to the disk."""
        return bool(self._lost)

    @property
    def has_room(self) -> bool:
        """Whether writing could work again after it failed."""
        if self._lost:
            return False
        try:
            disk = os.fstatvfs(self._file)
        except OSError:
            return False
        return disk.f_bavail * disk.f_frsize >= ROOM_BYTES and not disk.f_flag & os.ST_RDONLY

    def open(self, folder: int) -> None:
        """Create the file in the folder that the descriptor names. Raises OutageError.

        It is locked before it has its name: whoever finds it unlocked knows that its gateway is gone.
        """
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        draft = f".{self.name}.draft"
        try:
            self._file = os.open(draft, flags, 0o600, dir_fd=folder)
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._append(self._writer.header)
            os.rename(draft, f"{self.name}{SUFFIX}", src_dir_fd=folder, dst_dir_fd=folder)
            os.fsync(folder)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.unlink(draft, dir_fd=folder)
            raise OutageError(f"journal: cannot be opened: {error.strerror}") from None

    def encode(self, records: list[Record]) -> Batch:
        """Return the next batch, signed. Raises OutageError if nothing can be recorded; see `is_lost`."""
        if self.is_lost:
            raise OutageError(self._lost)
        try:
            return self._writer.encode(records)
        except OutageError as error:
            self._lost = error.message
            raise

    def commit(self, batch: Batch) -> None:
        """Append a batch; it is on the disk on return unless the journal is a relaxed one.

        The one method that waits for the disk, and that another thread may call, one batch at a time.

        Raises:
            OutageError: nothing was recorded, so nothing may be answered. If `is_lost`, for good.
        """
        try:
            if os.fstat(self._file).st_nlink == 0:
                self._lost = "journal: was removed from its folder"
                raise OutageError(self._lost)
            self._append(batch.data)
        except OSError as error:
            raise OutageError(f"journal: cannot be written: {error.strerror}") from None
        except BaseException:
            self._lost = "journal: lost"  # nobody knows what is in the file now
            raise

    def accept(self, batch: Batch) -> None:
        """Take a committed batch as written: the next one follows it."""
        self._writer.accept(batch)

    def close(self) -> None:
        """Make everything durable, whatever the setting."""
        if self._file >= 0:
            with contextlib.suppress(OSError):
                os.fdatasync(self._file)
            os.close(self._file)
            self._file = -1

    def _append(self, data: bytes) -> None:
        """Write all of ``data`` or cut the file back to what it was."""
        try:
            left = memoryview(data)
            while left:
                left = left[os.write(self._file, left) :]
        except OSError:
            self._cut()
            raise
        if self.durable:
            try:
                os.fdatasync(self._file)
            except OSError:
                # What a failed sync leaves in the page cache cannot be trusted, nor a second sync believed.
                self._lost = "journal: lost"
                self._cut()
                raise
        self._size += len(data)

    def _cut(self) -> None:
        try:
            os.ftruncate(self._file, self._size)
        except OSError:
            self._lost = "journal: lost"

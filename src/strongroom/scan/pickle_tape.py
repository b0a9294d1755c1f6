"""Reads a pickle from front to back through a window, so that its size does not matter."""

from strongroom.artifact.protobuf import ReadAt
from strongroom.errors import RejectedError

WINDOW_BYTES = 2**18
MAX_LINE_BYTES = 2**20
"""Of a text line of protocols 0 and 1; longer strings are rewritten by any newer one."""


class Tape:
    """``window[at]`` is the next byte, and ``base + at`` where it is in the file."""

    __slots__ = ("_read_at", "at", "base", "size_bytes", "window")

    def __init__(self, read_at: ReadAt, size_bytes: int) -> None:
        self._read_at, self.size_bytes = read_at, size_bytes
        self.window, self.base, self.at = b"", 0, 0

    @property
    def position(self) -> int:
        return self.base + self.at

    @property
    def remaining_bytes(self) -> int:
        return self.size_bytes - self.base - self.at

    def refill(self) -> None:
        """Move the window to where reading is."""
        self.base += self.at
        self.at = 0
        self.window = self._read_at(self.base, min(WINDOW_BYTES, self.size_bytes - self.base))

    def take(self, count: int) -> bytes:
        """Return the next bytes. ``count`` is bounded by the caller. Raises RejectedError at the end."""
        end = self.at + count
        if end > len(self.window):
            if count > self.remaining_bytes:
                raise RejectedError("the pickle ends in the middle of an instruction")
            if count > WINDOW_BYTES:
                data = self._read_at(self.position, count)
                self.skip(count)
                return data
            self.refill()
            end = count
        data = self.window[self.at : end]
        self.at = end
        return data

    def skip(self, count: int) -> None:
        if count > self.remaining_bytes:
            raise RejectedError("the pickle ends in the middle of a string or an array")
        self.at += count
        if self.at > len(self.window):
            self.window, self.base, self.at = b"", self.base + self.at, 0

    def line(self) -> bytes:
        """Return what is before the next line feed, and step over both."""
        end = self.window.find(b"\n", self.at)
        if end < 0:
            self.refill()
            end = self.window.find(b"\n")
        if end < 0:
            line, mark, _ = self._read_at(self.base, MAX_LINE_BYTES).partition(b"\n")
            if not mark:
                raise RejectedError("a line of the pickle does not end")
            self.skip(len(line) + 1)
            return line
        line = self.window[self.at : end]
        self.at = end + 1
        return line

    def look(self, offset: int, count: int) -> bytes:
        """Return bytes from anywhere."""
        return self._read_at(offset, max(0, min(count, self.size_bytes - offset)))

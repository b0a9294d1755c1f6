"""Room for request bodies: so many bytes for all callers together, and no caller may take it all."""

from collections import Counter


class Room:
    """Bytes taken and given back, in all and by caller."""

    __slots__ = ("_by_caller", "_max", "_max_each", "taken_bytes")

    def __init__(self, max_bytes: int, max_each_bytes: int) -> None:
        self._max = max_bytes
        self._max_each = max_each_bytes
        self._by_caller: Counter[str] = Counter()
        self.taken_bytes = 0

    def take(self, caller: str, size_bytes: int) -> bool:
        """Return False, and take nothing, if there is no room for so much more."""
        if self.taken_bytes + size_bytes > self._max or self._by_caller[caller] + size_bytes > self._max_each:
            return False
        self._by_caller[caller] += size_bytes
        self.taken_bytes += size_bytes
        return True

    def give_back(self, caller: str, size_bytes: int) -> None:
        """Give back what was taken."""
        self.taken_bytes -= size_bytes
        self._by_caller[caller] -= size_bytes
        if not self._by_caller[caller]:
            del self._by_caller[caller]

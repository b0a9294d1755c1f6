"""Where something was found: a file, the containers entered, a byte, a name inside."""

from dataclasses import dataclass, replace
from typing import Self

from strongroom.errors import shorten

MAX_NAME_CHARS = 200


@dataclass(frozen=True, slots=True)
class Place:
    """Untrusted names as they are; `__str__` makes them printable."""

    path: str
    """Of the file, relative to what is scanned."""
    members: tuple[str, ...] = ()
    """Containers entered, outermost first: the member's name in each."""
    offset: int | None = None
    """Byte within the innermost member, or the file."""
    name: str = ""
    """Node, tensor, metadata key or JSON path; most specific first is not needed, one is enough."""

    def enter(self, member: str) -> Self:
        """Return the place of a member of this container."""
        return replace(self, members=(*self.members, member[:MAX_NAME_CHARS]), offset=None, name="")

    def sibling(self, path: str) -> Self:
        """Return the place of another file of the same upload, or of the same archive."""
        if not self.members:
            return replace(self, path=path, offset=None, name="")
        return replace(self, members=(*self.members[:-1], path[:MAX_NAME_CHARS]), offset=None, name="")

    def at(self, offset: int) -> Self:
        return replace(self, offset=offset)

    def named(self, name: str) -> Self:
        return replace(self, name=name[:MAX_NAME_CHARS])

    def __str__(self) -> str:
        parts = [" ! ".join(_plain(part) for part in (self.path, *self.members))]
        if self.offset is not None:
            parts.append(f"byte {self.offset}")
        if self.name:
            parts.append(_plain(self.name))
        return ", ".join(parts)


def _plain(text: str) -> str:
    return text if text.isascii() and text.isprintable() else shorten(text, MAX_NAME_CHARS)

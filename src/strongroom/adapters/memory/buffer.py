"""The in-memory twin: ordinary memory of this process behind the same contract, without a descriptor."""

from strongroom.errors import InvalidError
from strongroom.ports import Memory


class BufferProvider:
    """Allocates `Buffer`s and remembers them, so that tests can look at what was released."""

    def __init__(self) -> None:
        self.allocated: dict[str, Buffer] = {}

    def allocate(self, name: str, size_bytes: int) -> Memory:
        if size_bytes < 0:
            raise InvalidError("memory: a negative size")
        self.allocated[name] = Buffer(size_bytes)
        return self.allocated[name]


class Buffer:
    """A bytearray that can be sealed. Its `fd` cannot be handed to a worker."""

    def __init__(self, size_bytes: int) -> None:
        self.content = bytearray(size_bytes)
        self.is_sealed = False
        self.is_closed = False

    @property
    def fd(self) -> int:
        raise InvalidError("memory: an in-memory buffer has no descriptor")

    def write_at(self, offset: int, data: bytes | bytearray | memoryview) -> None:
        if self.is_sealed or self.is_closed:
            raise InvalidError(f"memory: is {'closed' if self.is_closed else 'sealed'}")
        view = memoryview(data)
        if offset < 0 or offset + len(view) > len(self.content):
            raise InvalidError(f"memory: a write outside its {len(self.content)} bytes")
        self.content[offset : offset + len(view)] = view

    def seal(self) -> None:
        if self.is_closed:
            raise InvalidError("memory: is closed")
        self.is_sealed = True

    def close(self) -> None:
        self.content = bytearray()
        self.is_closed = True

"""PyTorch files from before 1.6: five pickles, then storages (torch/serialization.py, `_legacy_save`)."""

from typing import TYPE_CHECKING

from strongroom.errors import RejectedError, shorten
from strongroom.scan.pickle_values import Dict, Global, List, Made, Tuple, Value
from strongroom.scan.torch_calls import MAX_ELEMENTS, Storage

if TYPE_CHECKING:
    from strongroom.scan.pickles import PickleReader

MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001

_HEADER_BYTES = 8


class Storages:
    """The storages that the persistent ids of a checkpoint name, and what each must hold."""

    def __init__(self, *, is_legacy: bool) -> None:
        self._is_legacy = is_legacy
        self.size_bytes: dict[str, tuple[int, int]] = {}
        """Count and size of the elements, by key."""

    def persist(self, pid: object) -> object:
        """Return the storage, or in old files the class, that a persistent id stands for."""
        items = pid.items if isinstance(pid, Tuple) else []
        if len(items) == 4 and items[0] == "module" and self._is_legacy:
            return self._module(items)
        if len(items) != (6 if self._is_legacy else 5) or items[0] != "storage":
            raise RejectedError("has a persistent id that is none of a storage")
        kind, key, location, count = items[1:5]
        item_bytes = (
            ITEM_BYTES.get(kind.name) if isinstance(kind, Global) and kind.allowed is not None else None
        )
        if item_bytes is None or not isinstance(kind, Global) or not kind.module.startswith("torch"):
            raise RejectedError("has a storage of a type that is unknown")
        if not isinstance(key, str) or not isinstance(location, str) or not isinstance(count, int):
            raise RejectedError("has a persistent id that is not written out")
        if not 0 <= count <= MAX_ELEMENTS or (self._is_legacy and not _is_view(items[5])):
            raise RejectedError("has a storage of a size that cannot be")
        known = self.size_bytes.setdefault(key, (count, item_bytes))
        if known != (count, item_bytes):
            raise RejectedError(f"has the storage {shorten(key)} in two sizes")
        view = items[5] if self._is_legacy else None
        shown = view.items[2] if isinstance(view, Tuple) and isinstance(view.items[2], int) else count
        return Made(kind, Storage(key, shown, item_bytes))

    @staticmethod
    def _module(items: list[object]) -> Value:
        """("module", class, source file, source): the source is only compared, never run."""
        if not isinstance(items[1], Global):
            raise RejectedError("has a persistent id that is not written out")
        return items[1]


def _is_view(view: object) -> bool:
    """(key, offset, count) of a storage that is part of another, or nothing."""
    return view is None or (isinstance(view, Tuple) and len(view.items) == 3)


ITEM_BYTES = {
    "DoubleStorage": 8, "FloatStorage": 4, "HalfStorage": 2, "BFloat16Storage": 2, "LongStorage": 8,
    "IntStorage": 4,
    "ShortStorage": 2, "CharStorage": 1, "ByteStorage": 1, "BoolStorage": 1, "ComplexDoubleStorage": 16,
    "ComplexFloatStorage": 8, "QUInt8Storage": 1, "QInt8Storage": 1, "QInt32Storage": 4, "QUInt4x2Storage": 1,
    "QUInt2x4Storage": 1, "UntypedStorage": 1,
}  # fmt: skip


def read_streams(reader: "PickleReader") -> None:
    """Read what follows the magic number, to the end of the file.

    Raises:
        RejectedError: it is not what `torch.save` wrote.
    """
    if reader.read() != PROTOCOL:
        raise RejectedError("an old PyTorch file of an unknown protocol")
    if not isinstance(reader.read(), Dict):
        raise RejectedError("an old PyTorch file that does not say on what system it was written")
    storages = Storages(is_legacy=True)
    reader.judge.persist_in = storages.persist
    reader.read()
    reader.judge.persist_in = None
    listed = reader.read()
    keys = listed.words if isinstance(listed, List) and len(listed.words) == listed.size else None
    if keys is None or len(set(keys)) != len(keys) or set(keys) != set(storages.size_bytes):
        raise RejectedError("an old PyTorch file whose list of storages is not that of its tensors")
    for key in keys:
        count, item_bytes = storages.size_bytes[key]
        if int.from_bytes(reader.tape.take(_HEADER_BYTES), "little") != count:
            raise RejectedError(f"the storage {shorten(key)} is not as long as its tensors say")
        reader.tape.skip(count * item_bytes)
    if reader.tape.remaining_bytes:
        raise RejectedError("something follows the last storage")

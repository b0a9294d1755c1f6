"""Read the structure of HDF5 files: every group, dataset and attribute, and nothing beyond its bounds.

HDF5 can point into other files and load code to read data. Both are reported, never followed. Structures
that models do not use are refused. https://docs.hdfgroup.org/hdf5/v1_14/_f_m_t3.html
"""

from dataclasses import dataclass, field

from strongroom.artifact import hdf5_headers as header
from strongroom.artifact.hdf5_attributes import Attribute, read_attribute
from strongroom.artifact.hdf5_bytes import UNDEFINED, Cursor, Hdf5Bytes
from strongroom.artifact.hdf5_groups import Child, LinkKind, read_children, read_dense
from strongroom.artifact.hdf5_headers import Message, read_header, shared_address
from strongroom.artifact.hdf5_heaps import GlobalHeaps
from strongroom.artifact.hdf5_layout import Storage, parse_filters, parse_layout
from strongroom.artifact.hdf5_types import ElementType, Extent, parse_extent, parse_type
from strongroom.artifact.protobuf import ReadAt
from strongroom.errors import RejectedError, shorten

MAX_OBJECTS = 200_000
MAX_DEPTH = 64
MAX_PATH_CHARS = 4096
MAX_EXPANSION = 256
"""How many times a file its datasets may be, beyond FREE_BYTES: the same as bombs of other formats."""
FREE_BYTES = 256 * 2**20

_MAGIC = b"\x89HDF\r\n\x1a\n"
_ATTRIBUTE_RECORDS = 8


@dataclass(frozen=True, slots=True)
class Dataset:
    element: ElementType
    extent: Extent
    storage: Storage
    filters: tuple[int, ...]
    is_external: bool
    """Its elements lie in other files."""

    @property
    def size_bytes(self) -> int:
        return self.extent.count * self.element.size_bytes


@dataclass(frozen=True, slots=True)
class Hdf5Object:
    """A group, a dataset or a named type."""

    path: str
    attributes: tuple[Attribute, ...]
    dataset: Dataset | None


@dataclass(frozen=True, slots=True)
class ForeignLink:
    """A name in a group that stands for something outside the file, or that only a program can follow."""

    path: str
    target: str


@dataclass(slots=True)
class Hdf5File:
    """What a file holds. Objects with several names are listed once, by the first."""

    heaps: GlobalHeaps
    bytes: Hdf5Bytes
    objects: list[Hdf5Object] = field(default_factory=list)
    foreign_links: list[ForeignLink] = field(default_factory=list)


def read_hdf5(read_at: ReadAt, size_bytes: int) -> Hdf5File:
    """Return what a file holds, without reading its datasets.

    Raises:
        RejectedError: cut, bytes before or behind it, structures of a kind that no model has, cycles, sizes
            that overflow or expand to a bomb.
    """
    file = Hdf5Bytes(read_at, size_bytes)
    found = Hdf5File(GlobalHeaps(file), file)
    root, symbols = _read_superblock(file)
    _Walk(found).walk(Child("", LinkKind.HARD, root, cached=symbols))
    return found


def _read_superblock(file: Hdf5Bytes) -> tuple[int, tuple[int, int] | None]:
    """Return the address of the root group, and its tree and heap if they are given there as well."""
    head = Cursor(file.read(0, min(file.size_bytes, 112)), "the superblock")
    head.require(_MAGIC)
    version = head.number(1)
    if version in (0, 1):
        head.require(b"\0\0\0\0")
        head.require(b"\x08\x08")
        head.take(9 + (4 if version == 1 else 0))
        addresses = [head.number(8) for _ in range(4)]
        base, end, driver = addresses[0], addresses[2], addresses[3]
        head.take(8)
        root, cached = head.number(8), head.number(4)
        head.take(4)
        _require_whole(file, base, end, driver)
        return root, _cached_symbols(cached, head.take(16))
    if version not in (2, 3):
        raise RejectedError(f"HDF5 superblock version {version} is not known")
    head.require(b"\x08\x08")
    head.take(1)
    base, extension, end, root = (head.number(8) for _ in range(4))
    file.require_checksum(head.data[:48], "the superblock")
    _require_whole(file, base, end, UNDEFINED)
    if extension != UNDEFINED:
        for message in read_header(file, extension):
            if message.kind not in (header.TREE_SIZES, header.FILE_SPACE):
                raise RejectedError("the file is spread over several, or shares messages; no model does")
    return root, None


def _require_whole(file: Hdf5Bytes, base: int, end: int, driver: int) -> None:
    if base:
        raise RejectedError("the file has bytes before its beginning")
    if driver != UNDEFINED:
        raise RejectedError("the file is spread over several")
    if end != file.size_bytes:
        raise RejectedError("the file is cut, or has bytes behind its end")


def _cached_symbols(kind: int, scratch: bytes) -> tuple[int, int] | None:
    return (
        (int.from_bytes(scratch[:8], "little"), int.from_bytes(scratch[8:], "little")) if kind == 1 else None
    )


class _Walk:
    """Goes through all groups. An object is read once; a group that holds itself is refused."""

    def __init__(self, found: Hdf5File) -> None:
        self._found, self._file = found, found.bytes
        self._seen: set[int] = set()
        self._size_bytes = 0

    def walk(self, root: Child) -> None:
        open_groups: list[int] = []
        waiting: list[tuple[int, str, Child]] = [(0, "/", root)]
        while waiting:
            depth, path, child = waiting.pop()
            del open_groups[depth:]
            if child.kind is not LinkKind.HARD:
                self._note_link(path, child)
                continue
            if child.address in open_groups:
                raise RejectedError(f"group {shorten(path)} holds itself")
            if child.address in self._seen:
                continue
            self._seen.add(child.address)
            if len(self._seen) > MAX_OBJECTS or depth > MAX_DEPTH or len(path) > MAX_PATH_CHARS:
                raise RejectedError("more objects, or deeper ones, than any model has")
            children = self._read_object(path, child)
            open_groups.append(child.address)
            prefix = "/" if path == "/" else f"{path}/"
            waiting.extend((depth + 1, prefix + below.name, below) for below in reversed(children))

    def _note_link(self, path: str, child: Child) -> None:
        if child.kind is LinkKind.FOREIGN:
            self._found.foreign_links.append(ForeignLink(path, child.target))

    def _read_object(self, path: str, child: Child) -> list[Child]:
        messages = read_header(self._file, child.address)
        one = {message.kind: message for message in messages}
        attributes = self._attributes(messages, one.get(header.ATTRIBUTE_INFO))
        is_group = header.SYMBOLS in one or header.LINK_INFO in one or header.LINK in one
        if is_group == (header.TYPE in one) or (header.SYMBOLS in one and header.LINK_INFO in one):
            raise RejectedError(f"object {shorten(path)} is not one of group, dataset and type")
        dataset = self._dataset(path, one) if header.LAYOUT in one else None
        if header.EXTERNAL in one and dataset is None:
            raise RejectedError(f"object {shorten(path)} has external files without data")
        self._found.objects.append(Hdf5Object(path, attributes, dataset))
        return read_children(self._file, messages, child.cached) if is_group else []

    def _attributes(self, messages: list[Message], info: Message | None) -> tuple[Attribute, ...]:
        stored = [message.data for message in messages if message.kind == header.ATTRIBUTE]
        if info is not None:
            cursor = Cursor(info.data, "attribute information")
            cursor.require(b"\0")
            flags = cursor.number(1)
            cursor.take(2 if flags & 1 else 0)
            heap, names = cursor.number(8), cursor.number(8)
            order = cursor.number(8) if flags & 2 else UNDEFINED
            if heap != UNDEFINED:
                stored += read_dense(self._file, heap, (names, order), _ATTRIBUTE_RECORDS)
        attributes = tuple(read_attribute(data, self._type_at) for data in stored)
        if len({attribute.name for attribute in attributes}) != len(attributes):
            raise RejectedError("an attribute is given twice")
        return attributes

    def _type_at(self, message: Message) -> ElementType:
        """The type that a message holds, or that of the named type it points to."""
        if message.is_shared:
            held = [m for m in read_header(self._file, shared_address(message)) if m.kind == header.TYPE]
            if len(held) != 1 or held[0].is_shared:
                raise RejectedError("a named type is malformed")
            message = held[0]
        return parse_type(Cursor(message.data, "a type"))

    def _dataset(self, path: str, one: dict[int, Message]) -> Dataset:
        if header.TYPE not in one or header.EXTENT not in one:
            raise RejectedError(f"dataset {shorten(path)} has no type or no dimensions")
        element = self._type_at(one[header.TYPE])
        extent = parse_extent(Cursor(one[header.EXTENT].data, "a dataspace"))
        is_external = header.EXTERNAL in one
        filters = parse_filters(one[header.FILTERS].data) if header.FILTERS in one else ()
        storage = Storage()
        if not is_external:
            storage = parse_layout(self._file, one[header.LAYOUT].data, element, extent)
        dataset = Dataset(element, extent, storage, filters, is_external)
        self._size_bytes += dataset.size_bytes
        if self._size_bytes > FREE_BYTES + MAX_EXPANSION * self._file.size_bytes:
            raise RejectedError(f"dataset {shorten(path)} is a bomb: far larger than the file")
        return dataset

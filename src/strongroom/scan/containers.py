"""Archives and compressed files: strict directories, bounded unpacking, each member judged as a file."""

from collections.abc import Container, Iterable, Iterator, Mapping

from strongroom.artifact.compression import unpack
from strongroom.artifact.formats import Format, detect_format, identify
from strongroom.artifact.tars import read_tar
from strongroom.artifact.zips import (
    ZipMember,
    is_packed,
    open_member,
    part_of,
    read_directory,
    read_zip,
    reader_of,
)
from strongroom.errors import RejectedError
from strongroom.scan.scan import MAX_DEPTH, MAX_MEMBER_BYTES, Content, Scan, Source
from strongroom.scan.unread import DISGUISED, MALFORMED, UNKNOWN

_PACKED_EXTENSIONS = frozenset({"gz", "bz2", "xz", "lzma", "zst", "lz4", "z", "zlib"})
_PACKED_TARS = frozenset({"tgz", "tbz", "tbz2", "txz", "tzst"})


def scan_zip(scan: Scan, content: Content) -> None:
    """An archive that no framework wrote: each member is judged, its comment is text."""
    directory = read_directory(content.read_at, content.size_bytes)
    scan.text(directory.comment, content.place.named("comment"))
    _judge_together(scan, content, _ZipEntries(scan, content, directory.members))


def scan_npz(scan: Scan, content: Content) -> None:
    """An archive of NumPy arrays, and of nothing else."""
    members = read_zip(content.read_at, content.size_bytes)
    for member in members:
        if member.is_folder or not member.name.endswith(".npy"):
            raise RejectedError("holds more than arrays")
    descend_members(scan, content, members)


def scan_tar(scan: Scan, content: Content) -> None:
    listing = read_tar(content.read_at, content.size_bytes)
    for comment in listing.comments:
        scan.text(comment, content.place.named("comment"))
    entries: dict[str, Source] = {
        member.name: (part_of(content.read_at, member.offset, member.size_bytes), member.size_bytes)
        for member in listing.members
        if not member.is_folder
    }
    _judge_together(scan, content, entries)


def scan_compressed(scan: Scan, content: Content) -> None:
    data = unpack(content.read_at, content.size_bytes, MAX_MEMBER_BYTES, scan.spend)
    place = content.place.enter(_name_inside(content))
    judge_member(scan, Content(reader_of(data), len(data), place))


def descend_members(
    scan: Scan, content: Content, members: Iterable[ZipMember], skip: Container[str] = ()
) -> None:
    """Judge the files of an archive, whatever else the caller knows of it; all but those named in ``skip``.

    What is wrong with one member is reported, and the others are judged all the same.
    """
    for member in members:
        if member.is_folder or member.name in skip:
            continue
        place = content.place.enter(member.name)
        try:
            if is_packed(member):
                scan.spend(member.size_bytes)
            read_at, size_bytes = open_member(content.read_at, member, MAX_MEMBER_BYTES)
        except RejectedError as error:
            scan.add(MALFORMED, place, error.message, error.hint or "")
        else:
            judge_member(scan, Content(read_at, size_bytes, place))


class _ZipEntries(Mapping[str, Source]):
    """The files of an archive, unpacked when they are looked at; the one before is forgotten."""

    def __init__(self, scan: Scan, content: Content, members: Iterable[ZipMember]) -> None:
        self._scan = scan
        self._read_at = content.read_at
        self._members = {member.name: member for member in members if not member.is_folder}
        self._open: tuple[str, Source] | None = None

    def __getitem__(self, name: str) -> Source:
        member = self._members[name]
        if self._open is None or self._open[0] != name:
            if is_packed(member):
                self._scan.spend(member.size_bytes)
            self._open = name, open_member(self._read_at, member, MAX_MEMBER_BYTES)
        return self._open[1]

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)

    def __contains__(self, name: object) -> bool:
        return name in self._members


def _judge_together(scan: Scan, content: Content, entries: Mapping[str, Source]) -> None:
    """Judge the files of an archive as those of an upload: one may hold the weights of another."""
    unknown: list[str] = []
    with scan.within(entries) as claimed:
        for name in entries:
            place = content.place.enter(name)
            try:
                read_at, size_bytes = entries[name]
            except RejectedError as error:
                scan.add(MALFORMED, place, error.message, error.hint or "")
                continue
            if judge_member(scan, Content(read_at, size_bytes, place), waits=True) is Format.UNKNOWN:
                unknown.append(name)
        for name in unknown:
            if name not in claimed:
                scan.add(
                    UNKNOWN, content.place.enter(name), "is of no known format and no model here refers to it"
                )


def judge_member(scan: Scan, content: Content, *, waits: bool = False) -> Format:
    """Judge a member by what it is, and report one that is not what its name says; return what it is.

    ``waits``: what is of no known format is left to the caller, as another member may claim it.

    Raises:
        RejectedError: nested deeper than MAX_DEPTH.
    """
    if len(content.place.members) > MAX_DEPTH:
        raise RejectedError(f"containers nested deeper than {MAX_DEPTH}")
    scan.text(content.place.members[-1], content.place)
    try:
        found = detect_format(content.read_at, content.size_bytes, content.name)
    except RejectedError as error:
        scan.add(DISGUISED, content.place, error.message, error.hint or "")
        found = identify(content.read_at, content.size_bytes)
    if found is not Format.UNKNOWN or not waits:
        scan.judge(scan, content, found)
    return found


def _name_inside(content: Content) -> str:
    """The name that unpacking tools give to what they unpack."""
    stem = content.name.rpartition(".")[0]
    if content.extension in _PACKED_TARS:
        return f"{stem}.tar"
    return stem if content.extension in _PACKED_EXTENSIONS else content.name

"""The archive that PyTorch writes programs into: a folder of members, storages among them.

Written by caffe2/serialize/inline_container.cc; in it all lies in one folder whose name is free.
"""

import re

from strongroom.artifact.zips import ZipMember, is_packed, open_member, read_zip
from strongroom.errors import RejectedError, shorten
from strongroom.scan.place import Place
from strongroom.scan.rule import Rule
from strongroom.scan.scan import Content, Scan
from strongroom.scan.torch_legacy import Storages

MAX_MEMBER_BYTES = 256 * 2**20
"""Of a packed member; PyTorch stores all as they are."""
MAX_NOTE_BYTES = 256

_TRACED = "traced_inputs"
NOTES = {
    "version": re.compile(rb"[0-9]{1,3}(?:\.[0-9]{1,3})?\n?"),
    "byteorder": re.compile(rb"little|big"),
    ".data/serialization_id": re.compile(rb"[0-9]{1,64}"),
    ".data/version": re.compile(rb"[0-9]{1,3}\n?"),
    ".format_version": re.compile(rb"[0-9]{1,3}"),
    ".storage_alignment": re.compile(rb"[0-9]{1,6}"),
    "archive_format": re.compile(rb"pt2"),
    "archive_version": re.compile(rb"[0-9]{1,3}"),
}
"""Members of a few letters that say how the archive was written."""


class Archive:
    """The files of an archive by their names within its folder."""

    def __init__(self, scan: Scan, content: Content, sign: str) -> None:
        """Read the directory; ``sign`` is a member that tells the folder.

        Raises:
            RejectedError: not an archive of one truth, or there is not exactly one folder.
        """
        self._scan = scan
        self._content = content
        members = [member for member in read_zip(content.read_at, content.size_bytes) if not member.is_folder]
        self._root = _root_of(members, sign)
        self.files = {
            member.name.removeprefix(self._root): member
            for member in members
            if member.name.startswith(self._root)
        }
        self.strays = [member for member in members if not member.name.startswith(self._root)]

    def open(self, inner: str, limit: int = MAX_MEMBER_BYTES) -> Content:
        """Return a member to be read; its checksum holds."""
        return self._open(self.files[inner], limit)

    def place(self, inner: str) -> Place:
        return self._content.place.enter(self.files[inner].name)

    def descend(self, inner: str, rule: Rule) -> None:
        """Judge a member as what it is; ``rule`` says what it means that it cannot be opened."""
        try:
            self._scan.descend(self.open(inner))
        except RejectedError as error:
            self._scan.add(rule, self.place(inner), error.message)

    def refuse(self, inner: str, rule: Rule, message: str) -> None:
        """Report a member that does not belong here, and judge it as what it is too."""
        self._scan.add(rule, self.place(inner), message)
        self.descend(inner, rule)

    def refuse_strays(self, rule: Rule) -> None:
        for member in self.strays:
            place = self._content.place.enter(member.name)
            self._scan.add(rule, place, f"{shorten(member.name)} lies outside the archive's folder")

    def judge_note(self, inner: str, rule: Rule) -> None:
        """Check a member of a few letters."""
        note = self.open(inner, MAX_NOTE_BYTES)
        if NOTES[inner].fullmatch(note.read(MAX_NOTE_BYTES)) is None:
            self._scan.add(rule, self.place(inner), f"{inner} does not say what it is for")

    def judge_storages(self, folder: str, storages: Storages, rule: Rule, *, is_read: bool) -> set[str]:
        """Check that a folder of storages holds those that a pickle names; return their names."""
        prefix = f"{folder}/"
        # What a function was traced with is told in shape only, from 1.8 on.
        spare = 0 if folder == _TRACED else -1
        present = {
            name.removeprefix(prefix): name
            for name in self.files
            if name.startswith(prefix) and name.count("/") == prefix.count("/")
        }
        for key, inner in present.items():
            self.open(inner)
            stated = storages.size_bytes.get(key)
            if stated is None and is_read:
                self._scan.add(rule, self.place(inner), "no tensor names these bytes")
            elif stated is not None and self.files[inner].size_bytes not in (stated[0] * stated[1], spare):
                self._scan.add(
                    rule,
                    self.place(inner),
                    f"its tensors say {stated[0] * stated[1]} bytes, and it has others",
                )
        for key in storages.size_bytes.keys() - present.keys():
            if storages.size_bytes[key][0]:
                place = self._content.place.named(f"{prefix}{key}")
                self._scan.add(rule, place, "the bytes of a tensor are missing")
        return set(present.values())

    def _open(self, member: ZipMember, limit: int) -> Content:
        if is_packed(member):
            self._scan.spend(member.size_bytes)
        read_at, size_bytes = open_member(self._content.read_at, member, limit)
        return Content(read_at, size_bytes, self._content.place.enter(member.name))


def _root_of(members: list[ZipMember], sign: str) -> str:
    """Return the folder that holds ``sign``, with its slash; empty if it lies in none."""
    roots = [
        member.name.removesuffix(sign)
        for member in members
        if member.name == sign or (member.name.endswith(f"/{sign}") and _is_top(member.name, sign))
    ]
    if len(roots) != 1:
        raise RejectedError(f"an archive of PyTorch without exactly one {sign}")
    return roots[0]


def _is_top(name: str, sign: str) -> bool:
    return name.removesuffix(sign).count("/") == 1

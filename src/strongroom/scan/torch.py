"""PyTorch checkpoints: zip and legacy, the pickle and the storages that it names."""

import re

from strongroom.artifact.zips import ZipMember, is_packed, open_member, read_zip
from strongroom.errors import RejectedError, shorten
from strongroom.scan.pickles import PickleReader, judge_inside, scan_pickle
from strongroom.scan.place import Place
from strongroom.scan.rule import Rule
from strongroom.scan.scan import Content, Scan
from strongroom.scan.torch_legacy import Storages
from strongroom.values import Severity

MEMBER = Rule(
    "torch-member-unknown",
    Severity.HIGH,
    "Something that no checkpoint holds",
    "The archive holds more than tensors and the pickle that names them. Code and other files travel in "
    "checkpoints this way, past scanners that look at the pickle only.",
    "Save the checkpoint again with torch.save, and keep other files beside it, not in it.",
    atlas=("AML.T0010.003", "AML.T0011.000"),
)
STORAGE = Rule(
    "torch-storage-mismatch",
    Severity.HIGH,
    "Tensors and their bytes do not agree",
    "The bytes of a tensor are missing, or more or fewer than it says; a loader would read memory that is "
    "not "
    "the model's, or hide what is left over.",
    "Save the checkpoint again with torch.save.",
    atlas=("AML.T0011.000",),
)
RULES = (MEMBER, STORAGE)

MAX_PICKLE_BYTES = 256 * 2**20
MAX_NOTE_BYTES = 256

# torch/serialization.py, `_save`, and caffe2/serialize/inline_container.cc.
_NOTES = {
    "version": re.compile(rb"[0-9]{1,3}\n?"),
    "byteorder": re.compile(rb"little|big"),
    ".data/serialization_id": re.compile(rb"[0-9]{1,64}"),
    ".format_version": re.compile(rb"[0-9]{1,3}"),
    ".storage_alignment": re.compile(rb"[0-9]{1,6}"),
}
_STORAGE = re.compile(r"data/([0-9]{1,9})", re.ASCII)


def scan_torch(scan: Scan, content: Content) -> None:
    """Judge a checkpoint: an archive since PyTorch 1.6, a row of pickles before."""
    if content.read_at(0, 2) != b"PK":
        scan_pickle(scan, content)
        return
    members = {member.name: member for member in read_zip(content.read_at, content.size_bytes)}
    files = {name: member for name, member in members.items() if not member.is_folder}
    root = _root_of(files)
    storages = Storages(is_legacy=False)
    is_read = _judge_pickle(scan, content, files.pop(f"{root}/data.pkl"), storages)
    present: dict[str, ZipMember] = {}
    for name, member in files.items():
        inner = name.removeprefix(f"{root}/")
        found = _STORAGE.fullmatch(inner) if inner != name else None
        if found is not None:
            present[found[1]] = member
        else:
            _judge_note(scan, content, member, inner)
    for key, member in present.items():
        _judge_storage(scan, content, key, member, storages, is_read=is_read)
    for key in storages.size_bytes.keys() - present.keys():
        if storages.size_bytes[key][0]:
            scan.add(STORAGE, content.place.named(f"storage {key}"), "its bytes are missing")


def _root_of(files: dict[str, ZipMember]) -> str:
    """Return the folder that all of a checkpoint lies in; its name is free."""
    roots = [
        name.removesuffix("/data.pkl")
        for name in files
        if name.count("/") == 1 and name.endswith("/data.pkl")
    ]
    if len(roots) != 1:
        raise RejectedError("a checkpoint without exactly one data.pkl in a folder of its own")
    return roots[0]


def _judge_pickle(scan: Scan, content: Content, member: ZipMember, storages: Storages) -> bool:
    """Judge data.pkl; say whether it was read to its end."""
    inner = _open(scan, content, member, MAX_PICKLE_BYTES)
    reader = PickleReader(scan, inner, storages.persist)
    is_read = False
    try:
        reader.read()
        if reader.tape.remaining_bytes:
            raise RejectedError("something follows the pickle")
        is_read = True
    except RejectedError as error:
        reader.judge.broke(reader.at, error.message)
    finally:
        reader.judge.report()
    judge_inside(scan, inner, reader.judge)
    return is_read


def _open(scan: Scan, content: Content, member: ZipMember, limit: int) -> Content:
    if is_packed(member):
        scan.spend(member.size_bytes)
    read_at, size_bytes = open_member(content.read_at, member, limit)
    return Content(read_at, size_bytes, content.place.enter(member.name))


def _judge_note(scan: Scan, content: Content, member: ZipMember, inner: str) -> None:
    place = content.place.enter(member.name)
    expected = _NOTES.get(inner)
    if expected is None:
        scan.add(MEMBER, place, f"holds {shorten(member.name)}, which torch.save does not write")
        _judge_stray(scan, content, member, place)
        return
    note = _open(scan, content, member, MAX_NOTE_BYTES)
    if expected.fullmatch(note.read(MAX_NOTE_BYTES)) is None:
        scan.add(MEMBER, place, f"{inner} does not say what it is for")


def _judge_stray(scan: Scan, content: Content, member: ZipMember, place: Place) -> None:
    """Say what it is, too."""
    try:
        scan.descend(_open(scan, content, member, MAX_PICKLE_BYTES))
    except RejectedError as error:
        scan.add(MEMBER, place, error.message)


def _judge_storage(
    scan: Scan, content: Content, key: str, member: ZipMember, storages: Storages, *, is_read: bool
) -> None:
    place = content.place.enter(member.name)
    _open(scan, content, member, MAX_PICKLE_BYTES)
    stated = storages.size_bytes.get(key)
    if stated is None:
        if is_read:
            scan.add(STORAGE, place, "no tensor names these bytes")
    elif member.size_bytes != stated[0] * stated[1]:
        scan.add(
            STORAGE, place, f"holds {member.size_bytes} bytes, and its tensors say {stated[0] * stated[1]}"
        )

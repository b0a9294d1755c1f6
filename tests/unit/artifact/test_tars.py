import io
import tarfile
from collections.abc import Callable

import pytest

from strongroom.artifact import tars
from strongroom.artifact.tars import read_tar
from strongroom.errors import RejectedError
from tests.unit.artifact.objects import Octets


def read(content: bytes) -> dict[str, bytes]:
    octets = Octets(content)
    listing = read_tar(octets.read_at, len(content))
    return {
        member.name: octets.read_at(member.offset, member.size_bytes)
        for member in listing.members
        if not member.is_folder
    }


def build(*names: str, kind: int = tarfile.PAX_FORMAT, **fields: object) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=kind) as file:
        for name in names:
            info = tarfile.TarInfo(name)
            for field, value in fields.items():
                setattr(info, field, value)
            is_plain = info.isreg()
            info.size = 5 if is_plain else 0
            file.addfile(info, io.BytesIO(b"hello") if is_plain else None)
    return out.getvalue()


def checked(content: bytes, at: int = 0) -> bytes:
    """The content with a right checksum for the header at ``at``."""
    block = bytearray(content)
    block[at + 148 : at + 156] = b" " * 8
    block[at + 148 : at + 156] = b"%06o\0 " % sum(block[at : at + 512])
    return bytes(block)


def altered(at: int, data: bytes, content: bytes = b"") -> bytes:
    content = content or build("a")
    return checked(content[:at] + data + content[at + len(data) :])


LONG = "folder/" * 20 + "file.bin"


@pytest.mark.parametrize("kind", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("name", ["a", "./a", "folder/b.bin", "ä", LONG])
def test_what_writers_write_is_read(kind: int, name: str) -> None:
    assert read(build(name, kind=kind)) == {name.removeprefix("./"): b"hello"}


def test_folders_and_the_folder_itself_are_no_files() -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as file:
        for name in (".", "./d"):
            info = tarfile.TarInfo(name)
            info.type = tarfile.DIRTYPE
            file.addfile(info)
        file.addfile(tarfile.TarInfo("./d/a"))
    assert read(out.getvalue()) == {"d/a": b""}


def test_times_and_comments_in_extended_headers_are_harmless() -> None:
    content = build("a", mtime=1.5, pax_headers={"comment": "made by hand"})
    assert read(content) == {"a": b"hello"}
    assert read_tar(Octets(content).read_at, len(content)).comments == ("made by hand",)


ATTACKS: dict[str, Callable[[], bytes]] = {
    "climbing": lambda: build("../a"),
    "climbing within": lambda: build("x/../../a"),
    "absolute": lambda: build("/etc/passwd"),
    "backslashes": lambda: build("..\\a"),
    "control characters": lambda: build("a\nb"),
    "two of one name": lambda: build("a", "a"),
    "two of one name in other case": lambda: build("a", "A"),
    "two of one name, spelled differently": lambda: build("a", "./a"),
    "a file and a folder of one name": lambda: build("a", "a/b"),
    "symbolic link": lambda: build("a", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
    "hard link": lambda: build("a", type=tarfile.LNKTYPE, linkname="/etc/passwd"),
    "device": lambda: build("a", type=tarfile.CHRTYPE),
    "pipe": lambda: build("a", type=tarfile.FIFOTYPE),
    "sparse": lambda: build("a", type=tarfile.GNUTYPE_SPARSE),
    "contiguous": lambda: build("a", type=tarfile.CONTTYPE),
    "unknown kind": lambda: altered(156, b"Z"),
    "a file with the target of a link": lambda: altered(157, b"/etc/passwd"),
    "a file that is named as a folder": lambda: altered(1, b"/"),
    "a folder with content": lambda: altered(156, b"5"),
    "wrong checksum": lambda: build("a")[:10] + b"x" + build("a")[11:],
    "bytes behind the name": lambda: altered(2, b"evil"),
    "bytes behind the data": lambda: altered(512 + 5, b"evil"),
    "bytes in the header": lambda: altered(505, b"evil"),
    "unknown magic": lambda: altered(257, b"USTAR"),
    "negative size": lambda: altered(124, b"\xff" * 12),
    "size in base 256 that octal digits could hold": lambda: altered(124, b"\x80" + bytes(10) + b"\x05"),
    "huge size": lambda: altered(124, b"\x80\x00\x00\x00\x7f" + b"\xff" * 7),
    "size with letters": lambda: altered(124, b"0000000000z"),
    "bytes behind the end": lambda: build("a")[:-1] + b"x",
    "an archive behind the end": lambda: build("a") + build("b"),
    "no end": lambda: build("a")[:1024],
    "half an end": lambda: build("a")[:1536],
    "cut": lambda: build("a")[:700],
    "extended header changes the name": lambda: build("a", pax_headers={"path": "evil"}),
    "extended header changes the size": lambda: build("a", pax_headers={"size": "1"}),
    "extended header makes it sparse": lambda: build("a", pax_headers={"GNU.sparse.name": "x"}),
    "extended header makes it a link": lambda: build("a", pax_headers={"linkpath": "/etc/passwd"}),
    "extended header names a code page": lambda: build("a", pax_headers={"hdrcharset": "BINARY"}),
    "extended header for all": lambda: with_header(b"g", b"20 path=/etc/passwd\n"),
    "extended header malformed": lambda: with_header(b"x", b"99 path=a\n"),
    "extended header given twice": lambda: with_header(b"x", b"9 uid=10\n9 uid=10\n"),
    "extended header at great length": lambda: with_header(b"x", b"70000 comment=" + b"x" * 70000),
    "two extended headers": lambda: with_header(b"x", b"9 uid=10\n", with_header(b"x", b"9 uid=10\n")),
    "extended header without a member": lambda: with_header(b"x", b"9 uid=10\n", build()),
    "long name of another member": lambda: with_header(b"L", b"evil" * 50),
    "long name of a short one": lambda: with_header(b"L", b"a.pkl\0"),
}


def with_header(kind: bytes, data: bytes, rest: bytes = b"") -> bytes:
    header = bytearray(build("h")[:512])
    header[156:157] = kind
    header[124:136] = b"%011o\0" % len(data)
    return checked(bytes(header)) + data + bytes(-len(data) % 512) + (rest or build("a"))


@pytest.mark.parametrize("attack", ATTACKS)
def test_two_truths_are_refused(attack: str) -> None:
    with pytest.raises(RejectedError):
        read(ATTACKS[attack]())


def test_a_harmless_extended_header_is_none_of_the_attacks() -> None:
    assert read(with_header(b"x", b"9 uid=10\n")) == {"a": b"hello"}
    assert read(with_header(b"g", b"14 comment=hi\n")) == {"a": b"hello"}


def test_headers_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tars, "MAX_HEADERS", 1)
    with pytest.raises(RejectedError, match="more than 1 headers"):
        read(build("a", "b"))


def test_comments_are_counted() -> None:
    content = build("a")
    for _ in range(20):
        content = with_header(b"g", b"14 comment=hi\n", content)
    with pytest.raises(RejectedError, match="comments"):
        read(content)

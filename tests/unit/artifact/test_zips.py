import io
import json
import struct
import zipfile
import zlib
from dataclasses import replace

import numpy as np
import pytest

from strongroom.artifact import zips
from strongroom.artifact.compression import RATIO_FREE_BYTES
from strongroom.artifact.zips import ZipMember, open_member, read_directory, read_zip
from strongroom.errors import RejectedError
from tests.unit.artifact.archives import (
    DEFLATED,
    DESCRIPTOR,
    ENCRYPTED,
    UTF8,
    Member,
    build,
    build_zip64,
    deflate,
)
from tests.unit.artifact.objects import Octets

A = Member()
B = Member(b"b.txt", b"other" * 100, DEFLATED)
LATER = Member(b"c.txt", b"later" * 50, DEFLATED, DESCRIPTOR)


def read(content: bytes) -> tuple[ZipMember, ...]:
    return read_zip(Octets(content).read_at, len(content))


def open_all(content: bytes, limit: int = 2**20) -> dict[str, bytes]:
    read_at = Octets(content).read_at
    opened = {}
    for member in read(content):
        member_at, size = open_member(read_at, member, limit)
        opened[member.name] = member_at(0, size + 10)
    return opened


def zip64(*values: int) -> bytes:
    return struct.pack(f"<2H{len(values)}Q", 1, 8 * len(values), *values)


WIDE = A.lying(local_size=2**32 - 1, local_packed=2**32 - 1)


@pytest.mark.parametrize(
    "content",
    [
        build(),
        build(A),
        build(A, B, LATER),
        build(LATER, A),
        build_zip64(A, LATER),
        build(replace(WIDE, extra=zip64(5, 5), central_extra=b"")),
        build(replace(A, flags=DESCRIPTOR, descriptor=struct.pack("<LQQ", zlib.crc32(A.data), 5, 5))),
        build(replace(A, extra=b"FB\x03\x00ZZZ", central_extra=b"")),
        build(replace(A, name="ä.txt".encode(), flags=UTF8)),
        build(Member(b"d/", b"", attributes=0o040755 << 16 | 0x10), Member(b"d/a", b"x")),
        build(replace(A, attributes=0o100644 << 16)),
    ],
)
def test_what_writers_write_is_read(content: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(content)) as other:
        expected = {name: other.read(name) for name in other.namelist() if not name.endswith("/")}
    assert {n: d for n, d in open_all(content).items() if d or n in expected} == expected


def test_archives_of_numpy_and_python_are_read() -> None:
    out = io.BytesIO()
    np.savez_compressed(out, a=np.arange(100), b=np.zeros(3))
    assert open_all(out.getvalue()).keys() == {"a.npy", "b.npy"}
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("ü/x.json", json.dumps({"a": 1}))
        file.mkdir("empty")
        with file.open("wide", "w", force_zip64=True) as wide:
            wide.write(b"z" * 5000)
    assert open_all(out.getvalue())["wide"] == b"z" * 5000


ATTACKS: dict[str, bytes] = {
    "junk in front": build(A, before=b"MZ junk"),
    "junk in front, offsets shifted": b"#!/bin/sh\n" + build(A),
    "junk between": build(replace(A, junk_behind=b"junk"), B),
    "hidden member between": build(replace(A, junk_behind=B.local()), B.lying()),
    "junk before the directory": build(A, gap=b"junk"),
    "hidden member before the directory": build(A, gap=B.local()),
    "junk behind the end": build(A, tail=b"junk"),
    "a second end record": build(A, tail=build()[-22:]),
    "a second archive behind": build(A) + build(B),
    "a comment": build(A, comment=b"hi"),
    "no end record": build(A)[:-22],
    "cut": build(A)[:-1],
    "member in the directory only": build(A, count=2, here=2),
    "fewer members than the directory has": build(A, B, count=1, here=1),
    "spread over disks": build(A, disk=1),
    "another count here": build(A, B, here=1),
    "a directory elsewhere": build(A, offset=0),
    "two of one name": build(A, A),
    "two of one name in other case": build(A, replace(A, name=b"A.TXT")),
    "two of one name, composed differently": build(
        replace(A, name="e\u0301".encode(), flags=UTF8), replace(A, name="\xe9".encode(), flags=UTF8)
    ),
    "a file and a folder of one name": build(Member(b"a"), Member(b"a/b")),
    "a file and a folder entry of one name": build(Member(b"a"), Member(b"a/", b"")),
    "overlapping": build(A, B.lying(central_offset=0)),
    "the same data twice": build(A, replace(A, name=b"b.txt").lying(central_offset=0)),
    "local name differs": build(A.lying(local_name=b"b.txt")),
    "local method differs": build(B.lying(local_method=0)),
    "local flags differ": build(A.lying(local_flags=UTF8)),
    "local crc differs": build(A.lying(local_crc=1)),
    "local size differs": build(A.lying(local_size=4)),
    "local packed size differs": build(B.lying(local_packed=4)),
    "directory size differs": build(A.lying(central_size=4)),
    "encrypted": build(replace(A, flags=ENCRYPTED)),
    "encrypted in the local header": build(A.lying(local_flags=ENCRYPTED)),
    "strongly encrypted": build(replace(A, flags=1 << 6)),
    "masked headers": build(replace(A, flags=1 << 13)),
    "bzip2": build(replace(A, method=12, packed=A.data)),
    "lzma": build(replace(A, method=14, packed=A.data)),
    "unknown method": build(replace(A, method=99, packed=A.data)),
    "climbing": build(replace(A, name=b"../a")),
    "climbing within": build(replace(A, name=b"x/../../a")),
    "absolute": build(replace(A, name=b"/etc/passwd")),
    "drive": build(replace(A, name=b"C:/a")),
    "backslashes": build(replace(A, name=b"..\\a")),
    "NUL in the name": build(replace(A, name=b"a.txt\x00.pkl")),
    "line break in the name": build(replace(A, name=b"a\nb")),
    "no name": build(replace(A, name=b"")),
    "name too long": build(replace(A, name=b"a" * 2000)),
    "name not UTF-8": build(replace(A, name=b"\xff", flags=UTF8)),
    "name of an unknown code page": build(replace(A, name=b"\xe4.txt")),
    "another name in Unicode": build(replace(A, extra=b"up\x08\x00\x01\x00\x00\x00\x00evi")),
    "symbolic link": build(replace(A, attributes=0o120777 << 16)),
    "device": build(replace(A, attributes=0o020600 << 16)),
    "folder with content": build(Member(b"d/", b"x")),
    "folder by its attribute only": build(replace(A, attributes=0x10)),
    "unknown extra field": build(replace(A, extra=b"\x99\x99\x01\x00x")),
    "broken extra field": build(replace(A, extra=b"UT\xff\xffx")),
    "payload in padding": build(replace(A, extra=b"FB\x04\x00evil")),
    "zip64 field that is not asked for": build(replace(A, extra=zip64(5))),
    "zip64 field missing": build(WIDE),
    "zip64 field says another size": build(replace(WIDE, extra=zip64(4, 5), central_extra=b"")),
    "descriptor says another size": build(
        replace(A, flags=DESCRIPTOR, descriptor=struct.pack("<3L", zlib.crc32(A.data), 5, 4))
    ),
    "descriptor missing": build(replace(A, flags=DESCRIPTOR, descriptor=b"")),
    "junk behind the descriptor": build(replace(LATER, junk_behind=b"x")),
    "descriptor without its flag": build(replace(A, junk_behind=b"PK\x07\x08" + bytes(12))),
    "member comment": build(A.lying(central_comment=b"PK")),
    "newer version": build(A.lying(central_version=63)),
    "another disk": build(A.lying(central_disk=1)),
    "zip64 count differs": build_zip64(A, count=2, here=2),
    "zip64 offset differs": build_zip64(A, offset=1),
    "zip64 record elsewhere": build_zip64(A, locator_at=0),
    "zip64 record with more in it": build_zip64(A, bytes=60),
    "more members than bytes": build(count=60_000, here=60_000),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_two_truths_are_refused(attack: str) -> None:
    with pytest.raises(RejectedError):
        read(ATTACKS[attack])


@pytest.mark.parametrize(
    ("attack", "member"),
    [
        ("stored data altered", A.lying(local_crc=7, central_crc=7)),
        ("deflated data altered", B.lying(local_crc=7, central_crc=7)),
        ("unpacks to more", B.lying(local_size=20, central_size=20)),
        ("unpacks to less", B.lying(local_size=2000, central_size=2000)),
        ("bytes behind the stream", replace(B, packed=deflate(B.data) + b"junk")),
        ("stream cut", replace(B, packed=deflate(B.data)[:-1])),
        ("no stream", replace(B, packed=b"\xff" * 20)),
    ],
)
def test_data_that_is_not_what_the_headers_say_is_refused(attack: str, member: Member) -> None:
    content = build(member)
    assert len(read(content)) == 1
    with pytest.raises(RejectedError, match="member"):
        open_all(content)


def test_a_bomb_is_refused_by_its_headers() -> None:
    content = build(Member(b"a", bytes(RATIO_FREE_BYTES + 1), DEFLATED))
    with pytest.raises(RejectedError, match="bomb"):
        read(content)


def test_a_small_array_of_zeros_is_no_bomb() -> None:
    assert open_all(build(Member(b"a", bytes(10**6), DEFLATED)), 10**6) == {"a": bytes(10**6)}


def test_what_is_larger_than_the_limit_is_not_unpacked() -> None:
    with pytest.raises(RejectedError, match="more than 400"):
        open_all(build(B), limit=400)


def test_stored_members_are_read_in_place_and_end_where_they_end() -> None:
    content = build(A, B)
    read_at, size = open_member(Octets(content).read_at, read(content)[0], 1)
    assert (size, read_at(1, 3), read_at(4, 100), read_at(5, 1)) == (5, b"ell", b"o", b"")


def test_a_comment_is_returned_where_it_is_allowed() -> None:
    content = build(A, comment="für später".encode())
    assert read_directory(Octets(content).read_at, len(content)).comment == "für später"
    for comment in (b"\xff", b"PK\x05\x06" + bytes(18), b"x" * 5000):
        with pytest.raises(RejectedError):
            read_directory(Octets(build(A, comment=comment)).read_at, len(build(A, comment=comment)))


def test_an_archive_within_an_archive_is_no_second_truth() -> None:
    assert open_all(build(A, Member(b"in.zip", build(B)))).keys() == {"a.txt", "in.zip"}


def test_counts_are_bounded_before_anything_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zips, "MAX_MEMBERS", 1)
    with pytest.raises(RejectedError, match="out of bounds"):
        read(build(A, B))


@pytest.mark.parametrize("size", range(0, 160, 7))
def test_every_cut_is_refused(size: int) -> None:
    content = build_zip64(A, LATER)
    with pytest.raises(RejectedError):
        read(content[: len(content) - 1 - size])


def test_every_altered_byte_of_structure_is_refused_or_harmless() -> None:
    """Times, owners and the like may change; what is read may not."""
    content = build(A, LATER)
    whole = open_all(content)
    for at in range(len(content)):
        altered = content[:at] + bytes([content[at] ^ 0x5A]) + content[at + 1 :]
        try:
            assert set(open_all(altered).values()) == set(whole.values())
        except RejectedError:
            continue


def _as_old_python_writes(packed_again: int) -> bytes:
    """Python before 3.11.4 with ``force_zip64``: both sizes in the local header, and again behind it."""
    content = b"hello world"
    sizes = struct.pack("<3L", zlib.crc32(content), len(content), len(content))
    again = struct.pack("<2H2Q", 1, 16, len(content), packed_again)
    local = (
        b"PK\x03\x04" + struct.pack("<3HL", 20, 0, 0, 0x210000) + sizes + struct.pack("<2H", 5, len(again))
    )
    local += b"a.txt" + again + content
    central = b"PK\x01\x02" + struct.pack("<4HL", 0x0314, 20, 0, 0, 0x210000) + sizes
    central += struct.pack("<5H2L", 5, 0, 0, 0, 0, 0o100600 << 16, 0) + b"a.txt"
    end = b"PK\x05\x06" + struct.pack("<4H2LH", 0, 0, 1, 1, len(central), len(local), 0)
    return local + central + end


def test_sizes_said_twice_must_be_the_same() -> None:
    data = _as_old_python_writes(11)
    (member,) = read_zip(Octets(data).read_at, len(data))
    assert (member.name, member.size_bytes) == ("a.txt", 11)
    lying = _as_old_python_writes(12)
    with pytest.raises(RejectedError, match="zip64"):
        read_zip(Octets(lying).read_at, len(lying))

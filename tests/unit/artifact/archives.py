"""ZIP archives built field by field, so that each field can lie."""

import struct
import zlib
from dataclasses import dataclass, field, replace
from typing import Any

STORED, DEFLATED = 0, 8
UTF8, DESCRIPTOR, ENCRYPTED = 1 << 11, 1 << 3, 1


def deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


@dataclass(frozen=True)
class Member:
    """One member; what is None is the truth. Lies are told in the header that they are named after."""

    name: bytes = b"a.txt"
    data: bytes = b"hello"
    method: int = STORED
    flags: int = 0
    attributes: int = 0
    extra: bytes = b""
    central_extra: bytes | None = None
    packed: bytes | None = None
    junk_behind: bytes = b""
    descriptor: bytes | None = None
    lies: dict[str, Any] = field(default_factory=dict)

    @property
    def body(self) -> bytes:
        if self.packed is not None:
            return self.packed
        return self.data if self.method == STORED else deflate(self.data)

    def said(self, header: str, what: str, truth: Any) -> Any:
        return self.lies.get(f"{header}_{what}", truth)

    def local(self) -> bytes:
        name = self.said("local", "name", self.name)
        later = bool(self.flags & DESCRIPTOR)
        crc, size, packed = (0, 0, 0) if later else (zlib.crc32(self.data), len(self.data), len(self.body))
        head = struct.pack(
            "<4s5H3L2H",
            b"PK\x03\x04",
            20,
            self.said("local", "flags", self.flags),
            self.said("local", "method", self.method),
            0,
            0,
            self.said("local", "crc", crc),
            self.said("local", "packed", packed),
            self.said("local", "size", size),
            len(name),
            len(self.extra),
        )
        descriptor = struct.pack(
            "<4s3L", b"PK\x07\x08", zlib.crc32(self.data), len(self.body), len(self.data)
        )
        end = b"" if not later else descriptor if self.descriptor is None else self.descriptor
        return head + name + self.extra + self.body + end + self.junk_behind

    def central(self, offset: int) -> bytes:
        extra = self.extra if self.central_extra is None else self.central_extra
        comment = self.said("central", "comment", b"")
        head = struct.pack(
            "<4s6H3L5H2L",
            b"PK\x01\x02",
            self.said("central", "system", 20 | 3 << 8),
            self.said("central", "version", 20),
            self.said("central", "flags", self.flags),
            self.said("central", "method", self.method),
            0,
            0,
            self.said("central", "crc", zlib.crc32(self.data)),
            self.said("central", "packed", len(self.body)),
            self.said("central", "size", len(self.data)),
            len(self.name),
            len(extra),
            len(comment),
            self.said("central", "disk", 0),
            0,
            self.attributes,
            self.said("central", "offset", offset),
        )
        return head + self.name + extra + comment

    def lying(self, **lies: Any) -> "Member":
        return replace(self, lies={**self.lies, **lies})


def build(
    *members: Member,
    before: bytes = b"",
    gap: bytes = b"",
    comment: bytes = b"",
    tail: bytes = b"",
    **end: int,
) -> bytes:
    """Return an archive; ``end`` overrides fields of the end record."""
    out, directory = before, b""
    for member in members:
        directory += member.central(len(out))
        out += member.local()
    out += gap
    said = {
        "disk": 0, "first": 0, "here": len(members), "count": len(members),
        "size": len(directory), "offset": len(out), "comment": len(comment),
    } | end  # fmt: skip
    return out + directory + struct.pack("<4s4H2LH", b"PK\x05\x06", *said.values()) + comment + tail


def build_zip64(*members: Member, locator_at: int | None = None, **end: int) -> bytes:
    """Return an archive as PyTorch ends it: with both end records."""
    plain = build(*members)
    directory_at, count = int.from_bytes(plain[-6:-2], "little"), len(members)
    size = len(plain) - 22 - directory_at
    said = {"bytes": 44, "disk": 0, "here": count, "count": count, "size": size, "offset": directory_at} | end
    record = struct.pack(
        "<4sQ2H2L4Q", b"PK\x06\x06", said["bytes"], 45, 45, said["disk"], 0,
        said["here"], said["count"], said["size"], said["offset"],
    )  # fmt: skip
    at = len(plain) - 22 if locator_at is None else locator_at
    return plain[:-22] + record + struct.pack("<4sLQL", b"PK\x06\x07", 0, at, 1) + plain[-22:]

"""Read pictures by structure, from the first byte to the last: what readers see is all that there is."""

import re
import zlib
from collections.abc import Iterator

from strongroom.artifact.compression import read_pieces
from strongroom.artifact.protobuf import ReadAt
from strongroom.errors import RejectedError, shorten

MAX_IMAGE_BYTES = 64 * 2**20
MAX_BLOCKS = 2**16
MAX_TEXT_BYTES = 2**20
"""Of one comment, unpacked."""

_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_CHUNKS = frozenset(
    b"IHDR PLTE IDAT IEND tRNS gAMA cHRM sRGB iCCP tEXt zTXt iTXt bKGD pHYs sBIT hIST tIME sPLT eXIf acTL"
    b" fcTL fdAT cICP mDCV mDCv cLLI cLLi iDOT".split()
)
_WEBP_CHUNKS = frozenset([b"VP8 ", b"VP8L", b"VP8X", b"ANIM", b"ANMF", b"ALPH", b"ICCP", b"EXIF", b"XMP "])
_JPEG_MARK = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_JPEG_SOI, _JPEG_EOI, _JPEG_SOS = 0xD8, 0xD9, 0xDA
_JPEG_SEGMENTS = frozenset({*range(0xC0, 0xD0), *range(0xDA, 0xF0), 0xFE}) - {_JPEG_EOI}
_WORDS = re.compile(rb"[\x20-\x7e\t\r\n]{6,}")


def read_image(read_at: ReadAt, size_bytes: int) -> list[str]:
    """Return the text that a PNG, JPEG, GIF or WebP picture carries.

    Raises:
        RejectedError: cut, malformed, with parts that are not known, or with bytes behind its end.
    """
    if size_bytes > MAX_IMAGE_BYTES:
        raise RejectedError(f"a picture of more than {MAX_IMAGE_BYTES} bytes")
    data = b"".join(read_pieces(read_at, 0, size_bytes))
    if data.startswith(_PNG):
        return list(_read_png(data))
    if data.startswith(b"\xff\xd8\xff"):
        return list(_read_jpeg(data))
    if data.startswith((b"GIF87a", b"GIF89a")):
        return list(_read_gif(data))
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return list(_read_webp(data))
    raise RejectedError("is no picture of a known kind")


def _words(data: bytes) -> str:
    return "\n".join(match.decode() for match in _WORDS.findall(data))


def _read_png(data: bytes) -> Iterator[str]:
    """W3C PNG, third edition, section 5."""
    at, kind = len(_PNG), b""
    for _ in range(MAX_BLOCKS):
        size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        body, check = data[at + 8 : at + 8 + size], data[at + 8 + size : at + 12 + size]
        if len(check) != 4 or kind not in _PNG_CHUNKS or (at == len(_PNG)) != (kind == b"IHDR"):
            raise RejectedError(f"the picture is cut, or has a part {shorten(kind)} that is not known")
        if int.from_bytes(check, "big") != zlib.crc32(kind + body):
            raise RejectedError("the picture has a part with a wrong checksum")
        at += 12 + size
        if kind in (b"tEXt", b"zTXt", b"iTXt", b"eXIf"):
            yield _png_text(kind, body)
        if kind == b"IEND":
            break
    _require_end(data, at, kind == b"IEND" and not body)


def _png_text(kind: bytes, body: bytes) -> str:
    keyword, _, rest = body.partition(b"\x00")
    if kind == b"eXIf":
        return _words(body)
    is_packed = kind == b"zTXt" or (kind == b"iTXt" and rest[:1] == b"\x01")
    if kind == b"iTXt":
        keyword, rest = (
            keyword + b" " + b" ".join(rest[2:].split(b"\x00", 2)[:2]),
            rest[2:].split(b"\x00", 2)[-1],
        )
    elif is_packed:
        rest = rest[1:]
    if is_packed:
        unpacker = zlib.decompressobj()
        try:
            rest = unpacker.decompress(rest, MAX_TEXT_BYTES)
        except zlib.error:
            raise RejectedError("the picture has a comment that does not unpack") from None
        if not unpacker.eof or unpacker.unused_data:
            raise RejectedError("the picture has a comment that is too long, or hides bytes")
    return (keyword + b": " + rest).decode(errors="replace")


def _read_jpeg(data: bytes) -> Iterator[str]:
    """ITU T.81, annex B."""
    at = 2
    for _ in range(MAX_BLOCKS):
        while data[at : at + 2] == b"\xff\xff":
            at += 1  # fill bytes, B.1.1.2
        if data[at : at + 1] != b"\xff" or at + 2 > len(data):
            break
        kind = data[at + 1]
        if kind == _JPEG_EOI:
            _require_end(data, at + 2, True)
            return
        size = int.from_bytes(data[at + 2 : at + 4], "big")
        end = at + 2 + size
        if kind not in _JPEG_SEGMENTS or size < 2 or end > len(data):
            break
        if kind >= 0xE0:
            yield _words(data[at + 4 : end])
        at = end
        if kind == _JPEG_SOS:
            match = _JPEG_MARK.search(data, at)
            if match is None:
                break
            at = match.start()
    raise RejectedError("the picture is cut or malformed")


def _read_gif(data: bytes) -> Iterator[str]:
    """GIF89a specification, sections 15 to 27."""
    at = 13 + _gif_colors(data[10:11])
    for _ in range(MAX_BLOCKS):
        kind = data[at : at + 1]
        if kind == b"\x3b":
            _require_end(data, at + 1, True)
            return
        if kind == b"\x2c":
            at, _ = _gif_blocks(data, at + 11 + _gif_colors(data[at + 9 : at + 10]))
        elif kind == b"\x21" and data[at + 1 : at + 2] in (b"\x01", b"\xf9", b"\xfe", b"\xff"):
            label = data[at + 1]
            at, body = _gif_blocks(data, at + 2)
            if label in (0x01, 0xFE, 0xFF):
                yield _words(body)
        else:
            break
    raise RejectedError("the picture is cut or malformed")


def _gif_colors(flags: bytes) -> int:
    return 3 * 2 ** ((flags[0] & 7) + 1) if flags and flags[0] & 0x80 else 0


def _gif_blocks(data: bytes, at: int) -> tuple[int, bytes]:
    start = at
    while size := data[at : at + 1]:
        at += 1 + size[0]
        if not size[0]:
            return at, data[start:at]
    raise RejectedError("the picture is cut")


def _read_webp(data: bytes) -> Iterator[str]:
    """RFC 9649, section 2."""
    _require_end(data, 8 + int.from_bytes(data[4:8], "little"), True)
    at = 12
    for _ in range(MAX_BLOCKS):
        if at == len(data):
            return
        kind, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        if kind not in _WEBP_CHUNKS:
            raise RejectedError(f"the picture is cut, or has a part {shorten(kind)} that is not known")
        if kind in (b"EXIF", b"XMP "):
            yield _words(data[at + 8 : at + 8 + size])
        at += 8 + size + size % 2
    raise RejectedError("the picture has too many parts, or is cut")


def _require_end(data: bytes, at: int, is_whole: bool) -> None:
    if not is_whole or at > len(data):
        raise RejectedError("the picture is cut")
    if at != len(data):
        raise RejectedError("the picture has bytes behind its end")

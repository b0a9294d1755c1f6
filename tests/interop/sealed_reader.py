"""A second reader of sealed/1, written from docs/formats/sealed-1.md and sharing no code with the first.

It holds the whole file in memory and checks one thing after the other, in the order of that page.
"""

import hashlib
import hmac
import re
import unicodedata

import blake3
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

MODEL_ID = re.compile(
    r"[a-z][a-z0-9-]{1,62}@(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})"
    r"(-(0|[1-9]\d{0,8}|\d*[a-zA-Z-][0-9a-zA-Z-]*)(\.(0|[1-9]\d{0,8}|\d*[a-zA-Z-][0-9a-zA-Z-]*))*)?",
    re.ASCII,
)


class RefusedError(Exception):
    """The object is not what the statement says."""


def need(holds: bool, what: str) -> None:
    if not holds:
        raise RefusedError(what)


def open_sealed(data: bytes, dek: bytes, model: str, entry: dict[str, object]) -> bytes:
    """Return the plaintext; ``entry`` has path, size, sha256, commitment and root (hexadecimal) as signed."""
    header = data[:4096]
    need(len(header) == 4096, "header is cut")
    need(header[:16] == b"strongroom-seal" + b"\x01", "magic")
    size = int.from_bytes(header[16:24], "big")
    need(size <= 1 << 40, "size limit")
    need(int.from_bytes(header[24:28], "big") == 1 << 20, "chunk size")
    need(header[28:32] == bytes(4), "zero field")
    salt, commitment = header[32:64], header[64:96]
    n = int.from_bytes(header[96:98], "big")
    need(1 <= n <= 128, "model length")
    m = int.from_bytes(header[98 + n : 100 + n], "big")
    need(1 <= m <= 1024, "path length")
    try:
        named_model = header[98 : 98 + n].decode("utf-8")
        named_path = header[100 + n : 100 + n + m].decode("utf-8")
    except UnicodeDecodeError:
        raise RefusedError("names are not UTF-8") from None
    need(not any(header[100 + n + m :]), "padding")
    need(MODEL_ID.fullmatch(named_model) is not None, "model id")
    check_path(named_path)

    need(named_model == model, "another model")
    need(named_path == entry["path"], "another path")
    need(size == entry["size"], "another size")
    need(commitment.hex() == entry["commitment"], "another commitment")

    chunks = max(1, -(-size // (1 << 20)))
    need(len(data) == 4096 + size + 16 * chunks, "object size")

    blank = header[:64] + bytes(32) + header[96:]
    derived = HKDF(
        algorithm=hashes.SHA512(), length=64, salt=salt, info=b"strongroom/sealed/1\x00" + blank
    ).derive(dek)
    need(hmac.compare_digest(derived[32:], commitment), "commitment")

    cipher, bound = AESGCM(derived[:32]), hashlib.sha256(header).digest()
    plain, root = bytearray(), blake3.blake3(header)
    for i in range(chunks):
        chunk = data[4096 + i * 1048592 : 4096 + (i + 1) * 1048592]
        root.update(blake3.blake3(chunk).digest())
        aad = bound + i.to_bytes(8, "big") + (b"\x01" if i == chunks - 1 else b"\x00")
        try:
            plain += cipher.decrypt(i.to_bytes(12, "big"), chunk, aad)
        except InvalidTag:
            raise RefusedError(f"tag of chunk {i}") from None
    need(root.hexdigest() == entry["root"], "root")
    need(hashlib.sha256(plain).hexdigest() == entry["sha256"], "plaintext digest")
    return bytes(plain)


def check_path(path: str) -> None:
    need(unicodedata.normalize("NFC", path) == path, "path is not NFC")
    segments = path.split("/")
    need(len(segments) <= 32, "path is too deep")
    for segment in segments:
        need(segment not in ("", ".", ".."), "path segment")
        need(segment == segment.strip() and not segment.endswith("."), "blank or dot in path")
    for character in path:
        need(character not in '\\:*?"<>|', "path character")
        category = unicodedata.category(character)
        need(category[0] != "C" and category not in ("Zl", "Zp"), "control character in path")

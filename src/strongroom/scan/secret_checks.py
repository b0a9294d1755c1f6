"""Whether something shaped like a credential is one: placeholders, checksums, what decodes to what."""

import json
import re
from base64 import urlsafe_b64decode
from binascii import Error, crc32
from collections.abc import Callable
from itertools import pairwise

Check = Callable[[bytes], bool]

_CHECKSUM_CHARS = 6
_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_MAX_JSON_CHARS = 16_384
_BRACKETS = re.compile(rb"[\[{]")
_MAX_BRACKETS = 200
"""Of a token's header or claims; real ones have a handful, and more could exhaust a recursive parser."""
_MAX_SHARE_OF_ONE_CHAR = 0.4
_MAX_SHARE_IN_SEQUENCE = 0.5
_LONG = 16
_MAX_JUDGED_CHARS = 120
_LOGIN = re.compile(rb"[\x20-\x39\x3b-\x7e]{1,100}:([\x21-\x7e]{3,200})")

_FILLERS = re.compile(
    rb"example|placeholder|your|xxxx|change_?me|redacted|insert|replace|\.\.\.|\*\*\*|\$\{|\{\{|<[a-z]|%s|%\(",
    re.IGNORECASE,
)
"""What stands where a credential is to be put. None is likely by chance in 40 random characters."""

_PUBLISHED = (
    b"Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq",  # Azurite, the storage emulator
    b"SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c",  # the token that jwt.io opens with
)

_NO_PASSWORDS = frozenset(
    b"password passwd passwort pass pwd passw0rd secret changeme change_me example user username root guest "
    b"test postgres mysql none null nil true false undefined empty optional required "
    b"string str bytes hidden masked redacted removed private token apikey api_key "
    b"mypassword my_password yourpassword passphrase pass123 password1 secret123 "
    b"foo bar foobar tiger".split()
)


def is_filler(value: bytes) -> bool:
    """Whether this is a placeholder or a published example, by its words, repetition or alphabet order."""
    value = value[:_MAX_JUDGED_CHARS]
    if len(value) < 2 or _FILLERS.search(value) or any(known in value for known in _PUBLISHED):
        return True
    distinct = len(set(value))
    if distinct < (6 if len(value) >= _LONG else 3):
        return True
    if len(value) >= _LONG and max(map(value.count, set(value))) > _MAX_SHARE_OF_ONE_CHAR * len(value):
        return True
    steps = sum(right - left == 1 for left, right in pairwise(value))
    return steps > _MAX_SHARE_IN_SEQUENCE * (len(value) - 1)


def is_mixed(value: bytes) -> bool:
    """Whether lower case, upper case and digits all occur: random letters, not a word or a path."""
    return value.lower() != value and value.upper() != value and any(48 <= char <= 57 for char in value)


def has_letter_and_digit(value: bytes) -> bool:
    return value.lower() != value.upper() and any(48 <= char <= 57 for char in value)


def has_crc32(token: bytes) -> bool:
    """Whether the last six characters are the CRC-32 of what follows the prefix, in base 62.

    Tokens of GitHub and npm (github.blog, "Behind GitHub's new authentication token formats", 2021).
    """
    body = token.rpartition(b"_")[2]
    value = crc32(body[:-_CHECKSUM_CHARS])
    digits = ""
    for _ in range(_CHECKSUM_CHARS):
        value, digit = divmod(value, 62)
        digits = _BASE62[digit] + digits
    return len(body) > _CHECKSUM_CHARS and digits.encode() == body[-_CHECKSUM_CHARS:]


def is_real(token: bytes) -> bool:
    return not is_filler(token)


def is_checksummed_or_real(token: bytes) -> bool:
    """A right checksum is proof. A wrong one is none of the opposite: one letter may have been retyped."""
    return has_crc32(token) or is_real(token)


def is_jwt(token: bytes) -> bool:
    """Whether header and claims are JSON objects and the header names an algorithm (RFC 7519 3)."""
    header, claims, _ = token.split(b".", 2)
    found = _parse_object(header)
    if found is None or _parse_object(claims) is None:
        return False
    return ("alg" in found or "typ" in found) and not any(known in token for known in _PUBLISHED)


def is_json_in_base64(token: bytes) -> bool:
    return _parse_object(token) is not None


def is_login(encoded: bytes) -> bool:
    """Whether base64 of ``user:password``, and the password is not a placeholder."""
    found = _LOGIN.fullmatch(decode_base64(encoded))
    return found is not None and is_password(found[1])


def is_password(value: bytes) -> bool:
    """Whether this may be a real password: neither a placeholder nor the name of a variable."""
    plain = value.strip(b"\"'")
    if len(plain) < 3 or plain.lower() in _NO_PASSWORDS or plain[0] in b"$%{<(" or _FILLERS.search(plain):
        return False
    return len(set(plain)) >= 3


def decode_base64(text: bytes) -> bytes:
    """Standard or URL-safe, padded or not; empty if it is neither."""
    bare = text.rstrip(b"=").translate(bytes.maketrans(b"+/", b"-_"))
    try:
        return urlsafe_b64decode(bare + b"=" * (-len(bare) % 4))
    except (Error, ValueError):
        return b""


def _parse_object(part: bytes) -> dict[str, object] | None:
    text = decode_base64(part)
    if len(text) > _MAX_JSON_CHARS or len(_BRACKETS.findall(text)) > _MAX_BRACKETS:
        return None
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None

"""Files inside the strings of a configuration: pickles, archives and programs in base64."""

import re
from base64 import b64decode
from binascii import Error

from strongroom.scan.place import Place
from strongroom.scan.scan import Scan

MAX_CHARS = 32 * 2**20
_MIN_CHARS = 20
_STARTS = re.compile(r"\s*(gA[I-X]|H4sI|UEsDB|f0VMR|TVqQ)", re.ASCII)
"""Base64 of how pickles (protocol 2 to 5), gzip, ZIP, ELF and Windows programs begin."""
_BASE64 = re.compile(r"(?:data:[\w/.+;=-]{0,100},)?([A-Za-z0-9+/\s]+={0,2})", re.ASCII)


def scan_encoded(scan: Scan, text: str, place: Place) -> None:
    """Judge the file that a string is in base64, if it is one."""
    start = _STARTS.match(text, text.find(",") + 1 if text.startswith("data:") else 0)
    if start is None or not _MIN_CHARS <= len(text) <= MAX_CHARS:
        return
    found = _BASE64.fullmatch(text.rstrip())
    if found is None:
        return
    try:
        data = b64decode("".join(found[1].split()))
    except (Error, ValueError):
        return
    if start[1].startswith("gA") and not data.rstrip().endswith(b"."):
        return
    scan.spend(len(data))
    scan.descend_bytes(data, place.enter(place.name or "base64"))

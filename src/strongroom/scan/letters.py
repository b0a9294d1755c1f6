"""Letters that make text look like something else than what programs read."""

import re

from strongroom.scan.place import Place
from strongroom.scan.rule import Rule
from strongroom.scan.scan import Scan
from strongroom.values import Severity

DIRECTION = Rule(
    "text-reordered",
    Severity.MEDIUM,
    "Text is shown in another order",
    "Invisible marks make the file look different from what programs read (CVE-2021-42574, Trojan Source).",
    "Remove the marks U+202A to U+202E and U+2066 to U+2069.",
    atlas=("AML.T0074",),
)
INVISIBLE = Rule(
    "text-invisible-letters",
    Severity.LOW,
    "Invisible letters",
    "Letters of no width, or from the range of tags, carry text that no reviewer sees and a language model "
    "may obey.",
    "Remove them.",
    atlas=("AML.T0051",),
)
NAME = Rule(
    "file-name-misleads",
    Severity.MEDIUM,
    "File name is not what it looks like",
    "The name holds letters that are invisible or turn the order of those after them.",
    "Rename the file.",
    atlas=("AML.T0074",),
)
RULES = (DIRECTION, INVISIBLE, NAME)

_TURNING = re.compile("[\u202a-\u202e\u2066-\u2069]")
_INVISIBLE = re.compile("[\u200b\u2060-\u2064\ufeff\U000e0000-\U000e007f]")


def scan_letters(scan: Scan, text: str, place: Place, *, is_prose: bool = False) -> None:
    """Report marks of direction, and letters that nobody sees; names of people may need such in prose."""
    turned = _TURNING.search(text)
    if turned is not None and not is_prose:
        line = text.count("\n", 0, turned.start()) + 1
        scan.add(DIRECTION, place.named(f"line {line}"), f"holds U+{ord(turned.group()):04X}")
    count = len(_INVISIBLE.findall(text.removeprefix("\ufeff")))
    if count:
        scan.add(INVISIBLE, place, f"holds {count} invisible letters")


def scan_name(scan: Scan, name: str, place: Place) -> None:
    if _TURNING.search(name) or _INVISIBLE.search(name):
        scan.add(NAME, place, "the name holds letters that are not seen")

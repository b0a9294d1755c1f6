"""Write pickles opcode by opcode, and say what a scan of them refuses."""

from pathlib import Path

from strongroom.artifact.formats import Format
from strongroom.scan.place import Place
from strongroom.scan.scan import Content, Match, Scan
from strongroom.scan.upload import judge
from tests.unit.scan.looking import REFUSING, source

VECTORS = Path(__file__).parents[2] / "vectors"
PICKLES = VECTORS / "pickles"
ARTIFACTS = VECTORS / "artifacts"

NUMPY_1 = b"cnumpy\ndtype\n(S'f8'\nI00\nI01\ntR(I3\nS'<'\nNNNI-1\nI-1\nI0\ntb"
"""A dtype of eight bytes, with its state."""


def matches(data: bytes, found: Format = Format.PICKLE, texts: list[str] | None = None) -> list[Match]:
    """Return what a scan of a pickle finds; the texts that were looked through go to ``texts``."""

    def keep(_: Scan, text: str, __: Place) -> None:
        if texts is not None:
            texts.append(text)

    scan = Scan({}, judge, keep)
    judge(scan, Content(*source(data), Place("model.pkl")), found)
    return scan.matches


def refusals(data: bytes, found: Format = Format.PICKLE) -> list[Match]:
    return [match for match in matches(data, found) if match.rule.severity in REFUSING]


def refused_by(data: bytes, found: Format = Format.PICKLE) -> set[str]:
    """Return the rules that refuse a pickle."""
    return {match.rule.id for match in refusals(data, found)}


def text(value: str) -> bytes:
    """SHORT_BINUNICODE."""
    data = value.encode()
    return b"\x8c" + bytes([len(data)]) + data


def imported(module: str, name: str) -> bytes:
    """STACK_GLOBAL."""
    return text(module) + text(name) + b"\x93"

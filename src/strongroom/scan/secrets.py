"""Credentials in text: anchored patterns of the known kinds, also inside base64 and gzip; always redacted."""

from strongroom.scan.place import Place
from strongroom.scan.scan import Scan


def judge_text(scan: Scan, text: str, place: Place) -> None:
    """Look at text that was extracted from a model or lies beside it."""

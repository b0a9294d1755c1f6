"""Text beside a model: configurations, code references, notebooks, tokenizers, templates."""

from strongroom.errors import RejectedError
from strongroom.scan.scan import Content, Scan


def scan_json(scan: Scan, content: Content) -> None:
    raise RejectedError("is not scanned yet")


def scan_text(scan: Scan, content: Content) -> None:
    raise RejectedError("is not scanned yet")


def scan_notebook(scan: Scan, content: Content) -> None:
    raise RejectedError("is not scanned yet")


def scan_empty(scan: Scan, content: Content) -> None:
    raise RejectedError("is not scanned yet")

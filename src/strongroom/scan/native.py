"""Programs and libraries, which have no place beside weights."""

from strongroom.errors import RejectedError
from strongroom.scan.scan import Content, Scan


def scan_program(scan: Scan, content: Content) -> None:
    raise RejectedError("is not scanned yet")

"""skops archives: types by exact allow-list."""

from strongroom.errors import RejectedError
from strongroom.scan.scan import Content, Scan


def scan_skops(scan: Scan, content: Content) -> None:
    raise RejectedError("is not scanned yet")

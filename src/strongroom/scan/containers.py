"""Archives and compressed files: strict directories, bounded unpacking, each member judged."""

from strongroom.errors import RejectedError
from strongroom.scan.scan import Content, Scan


def scan_zip(scan: Scan, content: Content) -> None:
    raise RejectedError("is not scanned yet")


def scan_tar(scan: Scan, content: Content) -> None:
    raise RejectedError("is not scanned yet")


def scan_compressed(scan: Scan, content: Content) -> None:
    raise RejectedError("is not scanned yet")


def scan_npz(scan: Scan, content: Content) -> None:
    raise RejectedError("is not scanned yet")

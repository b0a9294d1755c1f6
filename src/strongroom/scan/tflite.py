"""TFLite."""

from strongroom.errors import RejectedError
from strongroom.scan.scan import Content, Scan


def scan_tflite(scan: Scan, content: Content) -> None:
    raise RejectedError("is not scanned yet")

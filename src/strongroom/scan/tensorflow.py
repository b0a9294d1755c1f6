"""SavedModel graphs and TFLite: operators by exact allow-list."""

from strongroom.errors import RejectedError
from strongroom.scan.scan import Content, Scan


def scan_saved_model(scan: Scan, content: Content) -> None:
    raise RejectedError("is not scanned yet")


def scan_tflite(scan: Scan, content: Content) -> None:
    raise RejectedError("is not scanned yet")

"""TorchScript archives and exported programs: PyTorch containers that carry a program of their own."""

from strongroom.errors import RejectedError
from strongroom.scan.scan import Content, Scan


def scan_torchscript(scan: Scan, content: Content) -> None:
    raise RejectedError("is not scanned yet")


def scan_exported_program(scan: Scan, content: Content) -> None:
    raise RejectedError("is not scanned yet")

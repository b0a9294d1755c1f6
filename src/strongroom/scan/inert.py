"""ONNX, safetensors, GGUF: structure, metadata and templates."""

from strongroom.errors import RejectedError
from strongroom.scan.scan import Content, Scan


def scan_onnx(scan: Scan, content: Content) -> None:
    raise RejectedError("is not scanned yet")


def scan_safetensors(scan: Scan, content: Content) -> None:
    raise RejectedError("is not scanned yet")


def scan_gguf(scan: Scan, content: Content) -> None:
    raise RejectedError("is not scanned yet")

"""PMML and OpenVINO IR: XML without entities."""

from strongroom.errors import RejectedError
from strongroom.scan.scan import Content, Scan


def scan_pmml(scan: Scan, content: Content) -> None:
    raise RejectedError("is not scanned yet")


def scan_openvino(scan: Scan, content: Content) -> None:
    raise RejectedError("is not scanned yet")


def scan_xml(scan: Scan, content: Content) -> None:
    raise RejectedError("is not scanned yet")

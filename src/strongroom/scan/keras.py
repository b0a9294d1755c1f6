"""Keras v3 archives and HDF5 files: layers and registered objects at any depth."""

from strongroom.errors import RejectedError
from strongroom.scan.scan import Content, Scan


def scan_keras(scan: Scan, content: Content) -> None:
    raise RejectedError("is not scanned yet")


def scan_hdf5(scan: Scan, content: Content) -> None:
    raise RejectedError("is not scanned yet")

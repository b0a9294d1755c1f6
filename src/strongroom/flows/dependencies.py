"""What a version is said to need: the publisher's list, and what it was tried on; part of its statement."""

from typing import Any

from strongroom.flows.vault import Vault
from strongroom.scan.bill import OWN_PACKAGE

_ENGINES = {
    "onnx": (
        "onnxruntime",
        "onnxruntime-gpu",
        "onnxruntime-openvino",
        "onnxruntime-directml",
    ),
}
"""Packages that open a format; whichever of them is installed first in this order is in use."""


def declare(vault: Vault, listed: dict[str, Any] | None, model_format: str) -> dict[str, Any]:
    """Return the ``dependencies`` of a statement: ``listed`` as given, and the runtime as it is here."""
    declared = dict(listed or {})
    if vault.packages is None:
        return declared
    installed = vault.packages.versions()
    engine = [name for name in _ENGINES.get(model_format, ()) if name in installed][:1]
    names = [*engine, *([OWN_PACKAGE] if OWN_PACKAGE in installed else [])]
    if names:
        declared["runtime"] = [{"name": name, "version": installed[name]} for name in names]
    return declared

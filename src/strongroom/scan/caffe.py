"""Caffe's description of a network, which is text: layers in Python are imported by name and run."""

import re

from strongroom.errors import shorten
from strongroom.scan.place import Place
from strongroom.scan.rule import Rule
from strongroom.scan.scan import Scan
from strongroom.values import Severity

PYTHON_LAYER = Rule(
    "caffe-python-layer",
    Severity.CRITICAL,
    "Layer in Python",
    "Caffe imports the module that the layer names and runs it as soon as the network is made.",
    "Replace the layer by one of Caffe's own, or export the network to ONNX where it was trained.",
    atlas=("AML.T0010.003", "AML.T0011.000"),
)
RULES = (PYTHON_LAYER,)

_LAYER = re.compile(r"\bpython_param\s{0,64}:?\s{0,64}[{<]|\btype\s{0,64}:\s{0,64}[\"']Python[\"']")
_MODULE = re.compile(r"\bmodule\s{0,64}:\s{0,64}[\"']([^\"'\n]{1,200})")
_NETWORK = re.compile(r"\blayers?\s{0,64}:?\s{0,64}[{<]")


def scan_network(scan: Scan, text: str, place: Place) -> None:
    """Report layers in Python, in whatever text is a network by its words."""
    if _NETWORK.search(text) is None:
        return
    found = _LAYER.search(text)
    if found is not None:
        module = _MODULE.search(text)
        named = f" of module {shorten(module[1])}" if module is not None else ""
        scan.add(PYTHON_LAYER, place.at(len(text[: found.start()].encode())), f"a layer in Python{named}")

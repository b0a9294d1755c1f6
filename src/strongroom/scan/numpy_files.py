"""NumPy arrays: inert dtypes, honest shapes, no pickled objects."""

from strongroom.artifact.arrays import read_array_header
from strongroom.artifact.zips import part_of
from strongroom.errors import RejectedError
from strongroom.scan.rule import Rule
from strongroom.scan.scan import Content, Scan
from strongroom.values import Severity

OBJECTS = Rule(
    "numpy-objects",
    Severity.HIGH,
    "Array of Python objects",
    "Such an array is not numbers but a pickle, a program that runs when the array is loaded.",
    "Save arrays of numbers or fixed-length strings only: convert with arr.astype(float) or arr.astype('U'),"
    " or keep lists and dictionaries in JSON.",
    atlas=("AML.T0011.000", "AML.T0018.002"),
)
RULES = (OBJECTS,)


def scan_numpy(scan: Scan, content: Content) -> None:
    header = read_array_header(content.read_at, content.size_bytes)
    scan.text(header.text, content.place.named("header"))
    rest_bytes = content.size_bytes - header.data_at
    if header.has_objects:
        scan.add(OBJECTS, content.place, "is an array of Python objects, stored as a pickle")
        read_at = part_of(content.read_at, header.data_at, rest_bytes)
        scan.descend(Content(read_at, rest_bytes, content.place.enter("objects")))
    elif header.data_bytes != rest_bytes:
        raise RejectedError(f"the array says {header.data_bytes} bytes and the file holds {rest_bytes}")

"""HDF5 files: nothing outside of them, no pickles, and configurations of Keras in their attributes."""

from strongroom.artifact.formats import Format, identify
from strongroom.artifact.hdf5 import Dataset, Hdf5File, Hdf5Object, read_hdf5
from strongroom.artifact.hdf5_attributes import Attribute, read_values
from strongroom.artifact.hdf5_bytes import UNDEFINED
from strongroom.artifact.hdf5_layout import KNOWN_FILTERS
from strongroom.artifact.hdf5_types import Kind
from strongroom.errors import RejectedError, shorten
from strongroom.scan import keras_rules as rules
from strongroom.scan.keras_config import judge_keras_config
from strongroom.scan.place import Place
from strongroom.scan.scan import Content, Scan
from strongroom.scan.strict_json import parse_json

MAX_TEXT_BYTES = 32 * 2**20
"""Looked at as text in one file."""
MAX_DATASET_TEXT_BYTES = 2**20
_CONFIGURATIONS = frozenset({"model_config", "training_config"})
_PYTABLES = "PYTABLES_FORMAT_VERSION"
_TEXT_KINDS = frozenset({Kind.STRING, Kind.SEQUENCE, Kind.OPAQUE})


def scan_hdf5(scan: Scan, content: Content) -> None:
    """Look at a file's structure, its attributes, and texts that it stores as data."""
    file = read_hdf5(content.read_at, content.size_bytes)
    for link in file.foreign_links:
        place = content.place.named(link.path)
        scan.add(rules.OUTSIDE, place, f"is a link to {link.target}")
    is_pytables = any(a.name == _PYTABLES for thing in file.objects[:1] for a in thing.attributes)
    _Hdf5Scan(scan, content, file, is_pytables).run()


class _Hdf5Scan:
    def __init__(self, scan: Scan, content: Content, file: Hdf5File, is_pytables: bool) -> None:
        self._scan, self._content, self._file = scan, content, file
        self._is_pytables = is_pytables
        self._text_left = MAX_TEXT_BYTES

    def run(self) -> None:
        for thing in self._file.objects:
            place = self._content.place.named(thing.path)
            for attribute in thing.attributes:
                self._attribute(thing, attribute)
            if thing.dataset is not None:
                self._dataset(thing.dataset, place)
        self._text("\n".join(thing.path for thing in self._file.objects), self._content.place.named("names"))

    def _text(self, text: str, place: Place) -> None:
        self._text_left -= len(text)
        if self._text_left < 0:
            raise RejectedError(f"holds more than {MAX_TEXT_BYTES} bytes of text")
        if text:
            self._scan.text(text, place)

    def _attribute(self, thing: Hdf5Object, attribute: Attribute) -> None:
        place = self._content.place.named(f"{thing.path}@{attribute.name}")
        values = list(attribute.values(self._file.heaps))
        for value in values:
            self._pickle(value, place)
        if attribute.name == "PSEUDOATOM" and b"object" in values:
            self._scan.add(rules.PYTHON_OBJECT, place, "an array of pickled Python objects")
        if attribute.name in _CONFIGURATIONS:
            self._configuration(attribute, values, place)
        elif len(values) == 1 and values[0].lstrip()[:1] == b"{":
            self._maybe_configuration(values[0], place)
        self._text("\n".join(value.decode("utf-8", "replace") for value in values), place)

    def _configuration(self, attribute: Attribute, values: list[bytes], place: Place) -> None:
        if len(values) != 1:
            raise RejectedError(f"attribute {attribute.name} is not one text")
        judge_keras_config(self._scan, parse_json(values[0], attribute.name), place)

    def _maybe_configuration(self, value: bytes, place: Place) -> None:
        if b"class_name" in value or b"\\u00" in value:
            judge_keras_config(self._scan, parse_json(value, f"attribute {shorten(place.name)}"), place)

    def _pickle(self, value: bytes, place: Place) -> None:
        """PyTables unpickles any text that ends like a pickle; one line of plain text is none."""
        if not value.endswith(b".") or (value.isascii() and b"\n" not in value and value[:1] != b"\x80"):
            return
        content = _content(value, place.enter("pickle"))
        if self._is_pytables or identify(content.read_at, len(value)) is Format.PICKLE:
            self._scan.judge(self._scan, content, Format.PICKLE)

    def _dataset(self, dataset: Dataset, place: Place) -> None:
        if dataset.is_external:
            self._scan.add(rules.OUTSIDE, place, "its data lies in other files")
        if dataset.storage.is_virtual:
            self._scan.add(rules.OUTSIDE, place, "is put together from datasets of other files")
        for number in dataset.filters:
            if number not in KNOWN_FILTERS:
                self._scan.add(rules.FILTER, place, f"is packed by filter {number}")
        storage, size = dataset.storage, dataset.size_bytes
        if dataset.element.kind not in _TEXT_KINDS or not 0 < size <= MAX_DATASET_TEXT_BYTES:
            return
        if storage.inline or storage.address != UNDEFINED:
            data = storage.inline or self._content.read_at(storage.address, size)
            values = read_values(dataset.element, dataset.extent.count, data, self._file.heaps)
            self._text("\n".join(value.decode("utf-8", "replace") for value in values), place)


def _content(data: bytes, place: Place) -> Content:
    return Content(lambda offset, size: data[offset : offset + size], len(data), place)

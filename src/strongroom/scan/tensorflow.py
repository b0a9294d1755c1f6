"""SavedModel graphs and TFLite: operators by exact allow-list, siblings by what the model says of them."""

import re

from strongroom.artifact.protobuf import ReadAt
from strongroom.artifact.saved_model import check_fingerprint, read_keras_metadata, read_saved_model
from strongroom.artifact.tensor_bundle import STRING, BundleEntry, parse_texts, read_bundle, require_covered
from strongroom.errors import RejectedError, shorten
from strongroom.scan import tensorflow_rules as rules
from strongroom.scan.keras_config import judge_keras_config
from strongroom.scan.place import Place
from strongroom.scan.scan import Content, Scan
from strongroom.scan.strict_json import parse_json
from strongroom.scan.tensorflow_graph import judge_graph
from strongroom.scan.tflite import scan_tflite

__all__ = ["RULES", "scan_saved_model", "scan_tflite"]

RULES = rules.RULES
MAX_TEXT_TENSOR_BYTES = 2**20
MAX_TEXT_TENSOR_ELEMENTS = 65_536

_LEADS_OUT = re.compile(r"(?:^|[/\\])\.\.(?:[/\\]|$)|^[/\\~]|[:\x00]")
_VARIABLES = "variables/variables"
_OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"


def scan_saved_model(scan: Scan, content: Content) -> None:
    """Look at ``saved_model.pb`` and at the files beside it that have no structure of their own."""
    model = read_saved_model(content.read_at, content.size_bytes)
    for graph in model.graphs:
        judge_graph(scan, graph, content.place)
        for _, filename in graph.assets:
            if not filename or _LEADS_OUT.search(filename):
                scan.add(rules.ASSET, content.place, f"asset {shorten(filename)}")
        for metadata in graph.metadata:
            _judge_metadata(scan, metadata, content.place)
    scan.text("\n".join(model.texts), content.place)
    if not content.place.members:
        _Siblings(scan, content).look()


def _judge_metadata(scan: Scan, metadata: str, place: Place) -> None:
    scan.text(metadata, place)
    if metadata:
        parsed = parse_json(metadata.encode(), "what Keras noted down")
        judge_keras_config(scan, parsed, place, custom=rules.CUSTOM_CLASS)


class _Siblings:
    """The other files of the folder: looked at here, because alone nothing can tell what they are."""

    def __init__(self, scan: Scan, content: Content) -> None:
        self._scan = scan
        self._place = content.place
        folder, slash, _ = content.path.rpartition("/")
        self._folder = folder + slash

    def look(self) -> None:
        self._keras_metadata()
        self._fingerprint()
        self._variables()

    def _find(self, name: str) -> tuple[ReadAt, int, Place] | None:
        path = self._folder + name
        if path not in self._scan.entries:
            return None
        read_at, size_bytes = self._scan.entries[path]
        return read_at, size_bytes, self._place.sibling(path)

    def _claim(self, place: Place) -> None:
        self._scan.claim(place.members[-1] if place.members else place.path)

    def _keras_metadata(self) -> None:
        found = self._find("keras_metadata.pb")
        if found is None:
            return
        read_at, size_bytes, place = found
        for number, metadata in enumerate(read_keras_metadata(read_at, size_bytes)):
            _judge_metadata(self._scan, metadata, place.named(f"object {number}"))
        self._claim(place)

    def _fingerprint(self) -> None:
        found = self._find("fingerprint.pb")
        if found is not None:
            check_fingerprint(found[0], found[1])
            self._claim(found[2])

    def _variables(self) -> None:
        found = self._find(_VARIABLES + ".index")
        if found is None:
            return
        bundle = read_bundle(found[0], found[1])
        by_shard: dict[int, list[BundleEntry]] = {shard: [] for shard in range(bundle.shards)}
        for entry in bundle.entries:
            if entry.shard not in by_shard:
                raise RejectedError(f"variable {shorten(entry.key)} lies in a data file that there is not")
            by_shard[entry.shard].append(entry)
        for shard, entries in by_shard.items():
            self._shard(f"{_VARIABLES}.data-{shard:05d}-of-{bundle.shards:05d}", entries)
        self._claim(found[2])

    def _shard(self, name: str, entries: list[BundleEntry]) -> None:
        found = self._find(name)
        if found is None:
            raise RejectedError(f"{name} is missing")
        read_at, size_bytes, place = found
        require_covered([entry for entry in entries if entry.size_bytes], size_bytes)
        for entry in entries:
            small = entry.elements <= MAX_TEXT_TENSOR_ELEMENTS and entry.size_bytes <= MAX_TEXT_TENSOR_BYTES
            if entry.dtype == STRING and small and entry.key != _OBJECT_GRAPH:
                self._texts(entry, read_at(entry.offset, entry.size_bytes), place.named(entry.key))
        self._claim(place)

    def _texts(self, entry: BundleEntry, data: bytes, place: Place) -> None:
        for value in parse_texts(data, entry.elements):
            if value.lstrip()[:1] == b"{" and b"class_name" in value:
                _judge_metadata(self._scan, value.decode("utf-8", "replace"), place)
            else:
                self._scan.text(value.decode("utf-8", "replace"), place)

"""Models that XGBoost keeps inside its pickles: configuration and model, each judged as what it is."""

import json

from strongroom.artifact.ubjson import read_ubjson_stream
from strongroom.errors import RejectedError
from strongroom.scan.place import Place
from strongroom.scan.scan import Scan

MAX_JSON_BYTES = 64 * 2**20
"""Of a snapshot in JSON, as XGBoost 1 wrote it."""

# src/learner.cc, `LearnerIO::Save`: an object of two members, in the order of their names.
_CONFIG = b"L\x00\x00\x00\x00\x00\x00\x00\x06Config"
_MODEL = b"L\x00\x00\x00\x00\x00\x00\x00\x05Model"
_OLD = b"CONFIG-offset:"


def scan_snapshot(scan: Scan, data: bytes, place: Place) -> None:
    """Judge the buffer of a pickled booster.

    Raises:
        RejectedError: it is no such snapshot.
    """
    if data.startswith(b"{" + _CONFIG):
        _scan_binary(scan, data, place)
    elif data.startswith(b'{"'):
        _scan_json(scan, data, place)
    elif data.startswith((_OLD, b"binf")):
        raise RejectedError(
            "an XGBoost model in the binary format of old versions",
            hint="load it with the version that wrote it, and save it with save_model('model.json')",
        )
    else:
        raise RejectedError("what is kept as an XGBoost model is none")


def _scan_binary(scan: Scan, data: bytes, place: Place) -> None:
    start = 1 + len(_CONFIG)
    middle = data.find(_MODEL + b"{", start)
    if middle < 0 or not data.endswith(b"}"):
        raise RejectedError("what is kept as an XGBoost model has no model")
    config = memoryview(data)[start:middle]
    read_ubjson_stream(
        lambda offset, size: bytes(config[offset : offset + size]),
        len(config),
        frozenset(),
        lambda path, item: None,
    )
    scan.text(bytes(config).decode("latin-1"), place)
    scan.descend_bytes(data[middle + len(_MODEL) : -1], place)


def _scan_json(scan: Scan, data: bytes, place: Place) -> None:
    if len(data) > MAX_JSON_BYTES:
        raise RejectedError(f"an XGBoost model of more than {MAX_JSON_BYTES} bytes in JSON")
    try:
        snapshot = json.loads(data, object_pairs_hook=_distinct)
    except (ValueError, RecursionError):
        raise RejectedError("what is kept as an XGBoost model is not JSON") from None
    if set(snapshot) != {"Config", "Model"}:
        raise RejectedError("what is kept as an XGBoost model has no model")
    scan.text(json.dumps(snapshot["Config"]), place)
    scan.descend_bytes(json.dumps(snapshot["Model"]).encode(), place)


def _distinct(pairs: list[tuple[str, object]]) -> dict[str, object]:
    named = dict(pairs)
    if len(named) != len(pairs):
        raise RejectedError("JSON with a name given twice")
    return named

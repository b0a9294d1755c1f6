"""Convert a model file of this machine, with no home: from code-like formats to ONNX, in a sandbox."""

import io
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from strongroom.adapters.clock import SystemClock
from strongroom.adapters.sources.local import LocalSource
from strongroom.adapters.sources.memory import MemorySource
from strongroom.errors import InvalidError, OutageError, shorten
from strongroom.flows.convert import DEFAULT_NAME, Conversion, convert
from strongroom.guard.schema import Schema, TensorSpec
from strongroom.guard.tensors import NUMPY
from strongroom.ports import ConversionWish, Converter
from strongroom.settings import Settings

SEED = 20_260_401
ROWS = 256
MAX_ROWS = 65_536
MEMORY_BYTES = 4 * 2**30
MIN_MEMORY_BYTES = 2**28
MAX_MEMORY_BYTES = 2**40
TIMEOUT_S = 300.0
MAX_TIMEOUT_S = 86_400.0
MAX_CONVERTED_BYTES = 2**31
MAX_INPUTS_BYTES = 2**28
MAX_SCHEMA_BYTES = 2**22
MAX_MODULE_BYTES = 2**20
_FEATURES = re.compile(r"([1-9][0-9]{0,5})(-features)?", re.ASCII)
_DEFAULT_SPREAD = 1.0

Array = np.ndarray[Any, Any]


def convert_file(
    path: str | Path,
    *,
    name: str = DEFAULT_NAME,
    inputs: str | Path | None = None,
    rows: int = ROWS,
    seed: int = SEED,
    max_error: float | None = None,
    memory_bytes: int = MEMORY_BYTES,
    timeout_s: float = TIMEOUT_S,
    module: str | None = None,
    required_layers: Sequence[str] | None = None,
    told: Callable[[str], None] | None = None,
) -> Conversion:
    """Return what ``path`` becomes; nothing is written.

    ``inputs``: a number of features, a .npz or .npy of rows, or a schema (docs/formats/schema.md);
    default: rows made up from what the model learned. ``name``: of the converted file in its record.
    ``module``: ``FILE.py:CLASS`` that a PyTorch state dictionary belongs to; it runs in the sandbox only.

    Raises:
        RejectedError: the scan refuses the original, it is hostile in the sandbox, or what comes out differs.
        InvalidError: nothing here converts it.
        OutageError: this host has no sandbox.
    """
    features, given = _read_inputs(inputs, rows, seed)
    code, entry = _read_module(module)
    wish = ConversionWish(
        rows=_within("rows", rows, 1, MAX_ROWS),
        seed=_within("seed", seed, 0, 2**40),
        features=features,
        max_error=None if max_error is None else float(_within("max error", max_error, 0.0, 1e6)),
        memory_bytes=_within("memory", memory_bytes, MIN_MEMORY_BYTES, MAX_MEMORY_BYTES),
        timeout_s=float(_within("timeout", timeout_s, 1.0, MAX_TIMEOUT_S)),
        max_bytes=MAX_CONVERTED_BYTES,
        module=code,
        entry=entry,
    )
    layers = required_layers if required_layers is not None else Settings().sandbox.require
    converter = _find_converter(layers)
    source = LocalSource(Path(path))
    try:
        return convert(source, converter, wish, SystemClock().now(), name=name, inputs=given, told=told)
    finally:
        source.close()


def to_source(conversion: Conversion) -> MemorySource:
    """Return the converted model as something to publish, without writing it anywhere."""
    return MemorySource(conversion.record.converted.name, conversion.content)


def evidence_path(target: Path) -> Path:
    """Where the record of a converted model goes."""
    return target.with_suffix(".conversion.json")


def write_conversion(conversion: Conversion, target: str | Path, *, replace: bool = False) -> Path:
    """Write the model and beside it its record; returns where the record is.

    Raises:
        InvalidError: one of them exists, or cannot be written.
    """
    model = Path(target)
    evidence = evidence_path(model)
    for path in (model, evidence):
        if path.exists() and not replace:
            raise InvalidError(f"{path}: exists already", hint="write somewhere else, or use --force")
    try:
        evidence.write_bytes(conversion.evidence)
        model.write_bytes(conversion.content)
    except OSError as error:
        raise InvalidError(
            f"{error.filename or model}: {(error.strerror or 'cannot be written').lower()}"
        ) from None
    return evidence


def _find_converter(layers: Sequence[str]) -> Converter:
    try:
        from strongroom.serve.supervisor.conversion import SandboxConverter
    except ImportError as error:
        raise OutageError(
            f"convert: {shorten(error.name)} is not installed", hint="pip install 'strongroom[serve,convert]'"
        ) from None
    if sys.platform != "linux":
        raise OutageError("convert: needs Linux, whose kernel gives the sandbox")
    return SandboxConverter(layers)


def _within(name: str, value: Any, least: Any, most: Any) -> Any:
    if not least <= value <= most:
        raise InvalidError(f"{name}: {value} is not within {least} and {most}")
    return value


def _read_inputs(inputs: str | Path | None, rows: int, seed: int) -> tuple[int | None, bytes | None]:
    """Return a number of features, or rows as .npz."""
    if inputs is None:
        return None, None
    count = _FEATURES.fullmatch(str(inputs))
    if count is not None:
        return int(count[1]), None
    path = Path(inputs)
    if path.suffix == ".json":
        return None, _draw(_read_file(path, MAX_SCHEMA_BYTES), rows, seed)
    if path.suffix not in (".npz", ".npy"):
        raise InvalidError(
            f"inputs: {shorten(inputs)} is not a number of features, an .npz, an .npy or a .json schema"
        )
    return None, _read_file(path, MAX_INPUTS_BYTES)


def _read_module(module: str | None) -> tuple[bytes | None, str | None]:
    """Return the source and the name of the class that ``model.py:Net`` means; it is not run here."""
    if module is None:
        return None, None
    path, colon, entry = module.rpartition(":")
    if not colon or not path or not entry.isidentifier():
        raise InvalidError(f"module: {shorten(module)} is not FILE.py:CLASS")
    return _read_file(Path(path), MAX_MODULE_BYTES), entry


def _read_file(path: Path, limit: int) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise InvalidError(f"{path}: {(error.strerror or 'cannot be read').lower()}") from None
    if len(data) > limit:
        raise InvalidError(f"{path}: larger than {limit} bytes")
    return data


def _draw(schema: bytes, rows: int, seed: int) -> bytes:
    """Return rows within what a schema allows, as .npz."""
    try:
        value = orjson.loads(schema)
    except orjson.JSONDecodeError:
        raise InvalidError("inputs: the schema is not JSON") from None
    random = np.random.default_rng(seed)
    file = io.BytesIO()
    drawn = {spec.name: _draw_tensor(spec, rows, random) for spec in Schema.parse(value).inputs}
    np.savez(file, **drawn)  # type: ignore[arg-type]  # names are data, not options
    return file.getvalue()


def _draw_tensor(spec: TensorSpec, rows: int, random: np.random.Generator) -> Array:
    shape = (rows, *(max(extent, 1) for extent in spec.shape[1:]))
    if spec.categories is not None:
        known = [item.decode() if isinstance(item, bytes) else item for item in sorted(spec.categories)]
        return random.choice(np.asarray(known), shape)
    if spec.dtype == "BYTES":
        return np.full(shape, "text")
    low, high = np.asarray(spec.minimum or 0.0), np.asarray(spec.maximum or 0.0)
    if spec.minimum and spec.maximum:
        drawn = random.uniform(low, high, shape)
    elif spec.minimum:
        drawn = low + np.abs(random.standard_normal(shape))
    elif spec.maximum:
        drawn = high - np.abs(random.standard_normal(shape))
    else:
        drawn = random.standard_normal(shape)
    return (np.floor(drawn) if NUMPY[spec.dtype].kind in "iub" else drawn).astype(NUMPY[spec.dtype])

"""Models of Keras, .keras and HDF5, as ONNX: rebuilt from layers on an exact list, run by torch, exported.

Nothing of the file is unpickled, imported or looked up: the configuration is judged before Keras sees it, the
weights are read out of memory.
"""

import contextlib
import io
import re
from collections.abc import Mapping
from importlib import metadata
from typing import Any

import h5py
import keras
import numpy as np
import torch
from keras.src.legacy.saving import legacy_h5_format, saving_utils
from keras.src.saving import saving_lib, serialization_lib

from strongroom.artifact.formats import Format, identify
from strongroom.artifact.zips import open_member, read_zip, reader_of
from strongroom.errors import InvalidError, RejectedError, StrongroomError, shorten
from strongroom.scan.strict_json import parse_json
from strongroom.serve.converter import traced
from strongroom.serve.converter.keras_allowed import require_allowed
from strongroom.serve.converter.tensors import Original, Slot, draw, parse_given
from strongroom.serve.converter.traced import Loaded, first_line, quiet
from strongroom.serve.converter.wish import Wish

MAX_CONFIG_BYTES = 2**25
MAX_WEIGHTS_BYTES = 2**32
MAX_PARAMETERS = 2**30
_LIBRARIES = ("keras", "h5py", "torch", "onnx", "onnxruntime", "numpy")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}", re.ASCII)
_CONFIG, _WEIGHTS, _ASSETS = "config.json", "model.weights.h5", "assets/"

Array = np.ndarray[Any, Any]
_versions: dict[str, str] = {}


class _Called(torch.nn.Module):  # type: ignore[misc]  # torch comes with an extra
    """Takes its inputs one by one, as exporters want them, and answers as in serving."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, *inputs: Any) -> Any:
        return self.model(inputs[0] if len(inputs) == 1 else list(inputs), training=False)


def warm_up() -> None:
    """Do everything once, so that nothing is imported when it can no longer be."""
    traced.prepare()
    for name in _LIBRARIES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            _versions[name] = metadata.version(name)
    from strongroom.serve.converter.keras_rehearsal import originals

    request = {"rows": 4, "seed": 1, "features": None, "max_error": None, "entry": None}
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()), quiet():
        for original in originals():
            with contextlib.suppress(StrongroomError):
                convert(original, {}, request)


def convert(
    content: bytes, given: Mapping[str, bytes], request: dict[str, Any]
) -> tuple[bytes, dict[str, Any]]:
    """Return the ONNX model, and what is to be known of it as a JSON object.

    Raises:
        RejectedError: the original is hostile or malformed, or the converted model answers otherwise.
        InvalidError: it cannot be converted here; the message says what stands in the way.
    """
    wish = Wish.parse(request)
    if "module" in given:
        raise InvalidError("original: is no state that a module belongs to", hint="leave --module out")
    found = identify(lambda offset, size: content[offset : offset + size], len(content))
    if found not in (Format.KERAS, Format.HDF5):
        raise InvalidError(
            f"original: is {found}, which is not converted", hint="docs/convert.md lists what is"
        )
    model = _load(content, found)
    slots = _slots(model)
    fixed = _fixed_rows(model)
    rows = given.get("inputs")
    inputs = parse_given(slots, rows, fixed) if rows is not None else draw(slots, wish, fixed)
    called = _Called(model).eval()
    told = Original(found, f"Keras {type(model).__name__} {model.name[:60]}", _versions, fixed)
    return traced.convert_loaded(Loaded(called, called, told, by_shapes=True), inputs, wish)


def _load(content: bytes, found: Format) -> Any:
    try:
        with quiet():
            model = _read_archive(content) if found is Format.KERAS else _read_hdf5(content)
            if not getattr(model, "inputs", None):
                raise InvalidError(
                    "original: does not say what it takes", hint="save it after it was called once"
                )
            if model.count_params() > MAX_PARAMETERS:
                raise RejectedError(f"original: more than {MAX_PARAMETERS} parameters")
            return model
    except (StrongroomError, MemoryError):
        raise
    except Exception as error:
        if "alloc" in str(error):
            raise MemoryError from None
        raise RejectedError(f"original: Keras refuses it: {shorten(first_line(error), 200)}") from None


def _read_archive(content: bytes) -> Any:
    members = {member.name: member for member in read_zip(reader_of(content), len(content))}
    if any(name.startswith(_ASSETS) and name != _ASSETS for name in members):
        raise InvalidError("original: has layers that keep files of their own, which are not converted")
    config = require_allowed(parse_json(_member(content, members, _CONFIG, MAX_CONFIG_BYTES), _CONFIG))
    with serialization_lib.ObjectSharingScope():
        model = serialization_lib.deserialize_keras_object(config, safe_mode=True)
    weights = saving_lib.H5IOStore(
        io.BytesIO(_member(content, members, _WEIGHTS, MAX_WEIGHTS_BYTES)), mode="r"
    )
    failed: set[Any] = set()
    with contextlib.closing(weights):
        saving_lib._load_state(  # noqa: SLF001 - what load_model does, without its file
            model,
            weights_store=weights,
            assets_store=None,
            inner_path="",
            visited_saveables=set(),
            failed_saveables=failed,
            error_msgs={},
        )
    if failed:
        raise RejectedError("original: its weights are not those of its layers")
    return model


def _member(content: bytes, members: Mapping[str, Any], name: str, limit: int) -> bytes:
    if name not in members:
        raise RejectedError(f"original: a Keras archive without {name}")
    read_at, size = open_member(reader_of(content), members[name], limit)
    return read_at(0, size)


def _read_hdf5(content: bytes) -> Any:
    with h5py.File(io.BytesIO(content), "r") as file:
        config = file.attrs.get("model_config")
        if config is None or "model_weights" not in file:
            raise InvalidError(
                "original: holds weights only", hint="save the whole model: model.save('model.keras')"
            )
        text = config if isinstance(config, bytes) else str(config).encode()
        if len(text) > MAX_CONFIG_BYTES:
            raise RejectedError(f"original: a configuration of more than {MAX_CONFIG_BYTES} bytes")
        allowed = require_allowed(parse_json(text, "model_config"))
        legacy = legacy_h5_format.saving_options.keras_option_scope(use_legacy_config=True)
        with legacy, serialization_lib.SafeModeScope(True):
            model = saving_utils.model_from_config(allowed)
            legacy_h5_format.load_weights_from_hdf5_group(file["model_weights"], model)
        return model


def _slots(model: Any) -> list[Slot]:
    words = {
        id(layer.input): int(layer.input_dim)
        for layer in _layers(model)
        if isinstance(layer, keras.layers.Embedding) and layer._inbound_nodes  # noqa: SLF001 - no other way
    }
    least = min(words.values(), default=None)
    return [
        Slot(
            name=name,
            dtype=np.dtype(keras.backend.standardize_dtype(tensor.dtype)),
            shape=tuple(tensor.shape[1:]),
            below=words.get(id(tensor), least if _is_whole(tensor) else None),
        )
        for name, tensor in zip(_names(model.inputs), model.inputs, strict=True)
    ]


def _names(inputs: list[Any]) -> list[str]:
    """What several inputs are called by who made them, where that is a plain name."""
    if len(inputs) == 1:
        return ["input"]
    names = [str(tensor.name) for tensor in inputs]
    if len(set(names)) == len(names) and all(_NAME.fullmatch(name) for name in names):
        return names
    return [f"input_{index}" for index in range(len(inputs))]


def _is_whole(tensor: Any) -> bool:
    return "int" in str(tensor.dtype)


def _layers(model: Any) -> list[Any]:
    return [layer for layer in model._flatten_layers() if layer is not model]  # noqa: SLF001 - no other way


def _fixed_rows(model: Any) -> int | None:
    rows = {tensor.shape[0] for tensor in model.inputs} - {None}
    return int(min(rows)) if rows else None

"""PyTorch: TorchScript, exported programs, and states of a class whose source is given, as ONNX.

The class is code of the user's own. It runs in here only, and its digest stands in the record.
"""

import contextlib
import hashlib
import io
import warnings
from collections.abc import Iterator, Mapping
from importlib import metadata
from typing import Any

import numpy as np
import torch

from strongroom.artifact.formats import Format, identify
from strongroom.errors import InvalidError, RejectedError, StrongroomError, shorten
from strongroom.serve.converter import traced
from strongroom.serve.converter.tensors import HINT, Original
from strongroom.serve.converter.traced import Loaded, first_line, quiet
from strongroom.serve.converter.wish import Wish, read_arrays

_STATES = ("state_dict", "model_state_dict", "model", "module", "net")
"""Where a checkpoint keeps what belongs to the model."""
_LIBRARIES = ("torch", "onnx", "onnxruntime", "onnxscript", "numpy")

Array = np.ndarray[Any, Any]
_versions: dict[str, str] = {}


def warm_up() -> None:
    """Do everything once, so that nothing is imported when it can no longer be."""
    traced.prepare()
    for name in _LIBRARIES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            _versions[name] = metadata.version(name)
    request = {"rows": 4, "seed": 1, "features": 3, "max_error": None, "entry": "Net"}
    source = (
        b"import torch\nclass Net(torch.nn.Module):\n"
        b"    def __init__(self):\n        super().__init__()\n        self.inner = torch.nn.Linear(3, 2)\n"
        b"    def forward(self, x):\n        return torch.relu(self.inner(x))\n"
    )
    with warnings.catch_warnings(), contextlib.suppress(Exception):
        warnings.simplefilter("ignore")
        model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.ReLU()).eval()
        for original, given in _rehearsals(model, source):
            with contextlib.suppress(StrongroomError):
                convert(original, given, request)


def _rehearsals(model: Any, source: bytes) -> Iterator[tuple[bytes, dict[str, bytes]]]:
    file = io.BytesIO()
    torch.jit.save(torch.jit.script(model), file)
    yield file.getvalue(), {}
    file = io.BytesIO()
    torch.save({f"inner.{name[2:]}": value for name, value in model.state_dict().items()}, file)
    yield file.getvalue(), {"module": source}
    file = io.BytesIO()
    rows = torch.export.Dim("rows")
    torch.export.save(torch.export.export(model, (torch.zeros(3, 3),), dynamic_shapes=({0: rows},)), file)
    yield file.getvalue(), {}


def convert(
    content: bytes, given: Mapping[str, bytes], request: dict[str, Any]
) -> tuple[bytes, dict[str, Any]]:
    """Return the ONNX model, and what is to be known of it. Raises as `conversion.convert` does."""
    wish = Wish.parse(request)
    loaded = _load(content, given.get("module"), wish)
    inputs = _inputs(loaded, given.get("inputs"), wish)
    return traced.convert_loaded(loaded, inputs, wish)


def _loaded(model: Any, exported: Any, found: Format, name: str, **told: Any) -> Loaded:
    return Loaded(model, exported, Original(found, name, _versions, **told))


def _load(content: bytes, module: bytes | None, wish: Wish) -> Loaded:
    found = identify(lambda offset, size: content[offset : offset + size], len(content))
    try:
        with quiet():
            match found:
                case Format.TORCHSCRIPT:
                    script = torch.jit.load(io.BytesIO(content), map_location="cpu").eval()
                    return _loaded(script, script, found, f"TorchScript {script.original_name}")
                case Format.EXPORTED_PROGRAM:
                    program = torch.export.load(io.BytesIO(content))
                    return _loaded(
                        program.module(), program, found, "ExportedProgram", fixed_rows=_fixed_rows(program)
                    )
                case Format.TORCH:
                    return _load_state(content, module, wish)
    except (StrongroomError, MemoryError):
        raise
    except Exception as error:
        raise RejectedError(f"original: torch refuses it: {shorten(first_line(error), 200)}") from None
    raise InvalidError(f"original: is {found}, which is not converted", hint="docs/convert.md lists what is")


def _load_state(content: bytes, module: bytes | None, wish: Wish) -> Loaded:
    if module is None or wish.entry is None:
        raise InvalidError(
            "original: is weights without the code that they belong to",
            hint="say which class: --module model.py:Net; or save the model with torch.export.save",
        )
    state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    for name in _STATES:
        if isinstance(state, dict) and isinstance(state.get(name), dict):
            state = state[name]
    space: dict[str, Any] = {"__name__": "module"}
    try:
        exec(compile(module, "module.py", "exec", dont_inherit=True), space)  # noqa: S102 - locked in
        model = space[wish.entry]()
    except Exception as error:
        raise InvalidError(
            f"module: {shorten(wish.entry, 60)}() fails: {type(error).__name__}: {shorten(error, 200)}",
            hint="it must import nothing but torch and be made without arguments",
        ) from None
    try:
        model.load_state_dict(state)
    except Exception as error:
        raise InvalidError(
            f"module: the weights are not its own: {shorten(first_line(error), 200)}"
        ) from None
    digest = hashlib.sha256(module).hexdigest()
    model = model.eval()
    return _loaded(model, model, Format.TORCH, f"module {wish.entry[:60]}", module=digest)


def _inputs(loaded: Loaded, given: bytes | None, wish: Wish) -> dict[str, Array]:
    """The reference inputs, by name and in order."""
    if given is not None:
        arrays = read_arrays(given)
        if any(array.dtype.kind not in "fiub" or array.ndim == 0 for array in arrays.values()):
            raise InvalidError("inputs: torch takes numbers only")
        named = [name or "input" for name in arrays] if len(arrays) > 1 else ["input"]
        return {
            name: np.ascontiguousarray(array.astype(np.float32) if array.dtype.kind == "f" else array)
            for name, array in zip(named, arrays.values(), strict=True)
        }
    random = np.random.default_rng(wish.seed)
    shape = (wish.features,) if wish.features is not None else _shape(loaded)
    rows = loaded.original.fixed_rows or wish.rows
    return {"input": random.standard_normal((rows, *shape)).astype(np.float32)}


def _fixed_rows(program: Any) -> int | None:
    """How many rows an exported program takes, if it was exported for so many and no other number."""
    examples = program.example_inputs
    if program.range_constraints or not examples or not examples[0]:
        return None
    return int(examples[0][0].shape[0])


def _shape(loaded: Loaded) -> tuple[int, ...]:
    """What follows the rows: from the example of an exported program, or the first linear layer."""
    examples = getattr(loaded.exported, "example_inputs", None)
    if examples and len(examples[0]) == 1 and isinstance(examples[0][0], torch.Tensor):
        return tuple(examples[0][0].shape[1:])
    first = next((value for value in loaded.model.parameters() if value.ndim > 1), None)
    if first is not None and first.ndim == 2:
        return (int(first.shape[1]),)
    raise InvalidError("original: does not say what it takes", hint=HINT)

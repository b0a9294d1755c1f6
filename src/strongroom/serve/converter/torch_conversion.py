"""PyTorch: TorchScript, exported programs, and states of a class whose source is given, as ONNX.

The class is code of the user's own. It runs in here only, and its digest stands in the record.
"""

import contextlib
import hashlib
import io
import linecache
import logging
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Any

import numpy as np
import torch

from strongroom import __version__
from strongroom.artifact.formats import Format, identify
from strongroom.errors import InvalidError, RejectedError, StrongroomError, shorten
from strongroom.serve.converter import graph
from strongroom.serve.converter.comparing import Difference
from strongroom.serve.converter.engine import run_onnx
from strongroom.serve.converter.wish import MAX_RELATIVE_ERROR, Wish, read_arrays

OPSET = 18
EXPORT_ROWS = 2
"""Exported with so many, compared with all: rows that are not free show at once."""
_STATES = ("state_dict", "model_state_dict", "model", "module", "net")
"""Where a checkpoint keeps what belongs to the model."""
_LIBRARIES = ("torch", "onnx", "onnxruntime", "onnxscript", "numpy")

Array = np.ndarray[Any, Any]
_versions: dict[str, str] = {}


@dataclass(frozen=True)
class _Loaded:
    """A module that can be asked, and what is exported in its place."""

    model: Any
    exported: Any
    format: Format
    name: str
    module: str | None = None


def warm_up() -> None:
    """Do everything once, so that nothing is imported when it can no longer be."""
    torch.set_num_threads(1)
    logging.disable(logging.CRITICAL)
    # What writes machine code as it goes: memory that is both written and run is refused here.
    torch.backends.mkldnn.set_flags(False)
    torch.backends.nnpack.set_flags(False)
    torch._C._jit_set_texpr_fuser_enabled(False)  # noqa: SLF001
    keep_sources(("torch.onnx", "onnxscript"))
    read_arrays(_example())
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


def keep_sources(packages: Sequence[str]) -> None:
    """Hold the source of every module in memory: exporters read their own functions' source when they run."""
    for name, module in list(sys.modules.items()):
        path = getattr(module, "__file__", None)
        if name.startswith(tuple(packages)) and path and path.endswith(".py"):
            linecache.getlines(path)
    # It would look whether the files have changed, not see them, and forget them.
    linecache.checkcache = lambda filename=None: None


def _example() -> bytes:
    file = io.BytesIO()
    np.savez(file, rows=np.zeros((2, 3), np.float32))
    return file.getvalue()


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
    expected = _ask(loaded, inputs)
    proto = _export(loaded, inputs)
    names = [value.name for value in proto.graph.input]
    if len(names) != len(inputs):
        raise InvalidError(f"converted: takes {len(names)} inputs, {len(inputs)} were given")
    answered = run_onnx(proto, dict(zip(names, inputs.values(), strict=True)))
    difference = _compare(list(answered.values()), expected, wish)
    _rename(proto, list(inputs), len(expected))
    if _fixed_rows(loaded) is None:
        graph.free_rows(proto)
    facts = _facts(loaded, inputs, proto, difference, wish)
    return graph.finish(proto, __version__), facts


def _load(content: bytes, module: bytes | None, wish: Wish) -> _Loaded:
    found = identify(lambda offset, size: content[offset : offset + size], len(content))
    try:
        with _quiet():
            match found:
                case Format.TORCHSCRIPT:
                    script = torch.jit.load(io.BytesIO(content), map_location="cpu").eval()
                    return _Loaded(script, script, found, f"TorchScript {script.original_name}")
                case Format.EXPORTED_PROGRAM:
                    program = torch.export.load(io.BytesIO(content))
                    return _Loaded(program.module(), program, found, "ExportedProgram")
                case Format.TORCH:
                    return _load_state(content, module, wish)
    except (StrongroomError, MemoryError):
        raise
    except Exception as error:
        raise RejectedError(f"original: torch refuses it: {shorten(_first_line(error), 200)}") from None
    raise InvalidError(f"original: is {found}, which is not converted", hint="docs/convert.md lists what is")


def _load_state(content: bytes, module: bytes | None, wish: Wish) -> _Loaded:
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
            f"module: the weights are not its own: {shorten(_first_line(error), 200)}"
        ) from None
    digest = hashlib.sha256(module).hexdigest()
    model = model.eval()
    return _Loaded(model, model, Format.TORCH, f"module {wish.entry[:60]}", digest)


def _inputs(loaded: _Loaded, given: bytes | None, wish: Wish) -> dict[str, Array]:
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
    rows = _fixed_rows(loaded) or wish.rows
    return {"input": random.standard_normal((rows, *shape)).astype(np.float32)}


def _fixed_rows(loaded: _Loaded) -> int | None:
    """How many rows an exported program takes, if it was exported for so many and no other number."""
    if loaded.format is not Format.EXPORTED_PROGRAM or loaded.exported.range_constraints:
        return None
    examples = loaded.exported.example_inputs
    return int(examples[0][0].shape[0]) if examples and examples[0] else None


def _shape(loaded: _Loaded) -> tuple[int, ...]:
    """What follows the rows: from the example of an exported program, or the first linear layer."""
    examples = getattr(loaded.exported, "example_inputs", None)
    if examples and len(examples[0]) == 1 and isinstance(examples[0][0], torch.Tensor):
        return tuple(examples[0][0].shape[1:])
    first = next((value for value in loaded.model.parameters() if value.ndim > 1), None)
    if first is not None and first.ndim == 2:
        return (int(first.shape[1]),)
    raise InvalidError(
        "original: does not say what it takes", hint="give rows that it does take with --inputs rows.npz"
    )


def _ask(loaded: _Loaded, inputs: dict[str, Array]) -> list[Array]:
    try:
        with _quiet(), torch.no_grad():
            answer = loaded.model(*(torch.from_numpy(array) for array in inputs.values()))
    except MemoryError:
        raise
    except Exception as error:
        raise InvalidError(
            f"original: does not answer the reference inputs: {shorten(_first_line(error), 200)}",
            hint="give rows that it does take with --inputs rows.npz",
        ) from None
    return [value.detach().numpy() for value in _tensors(answer)]


def _tensors(answer: Any) -> list[Any]:
    if isinstance(answer, torch.Tensor):
        return [answer]
    if isinstance(answer, dict):
        answer = list(answer.values())
    if isinstance(answer, list | tuple):
        return [tensor for part in answer for tensor in _tensors(part)]
    raise InvalidError(f"original: answers with {shorten(type(answer).__name__, 60)}, which is no tensor")


def _export(loaded: _Loaded, inputs: dict[str, Array]) -> Any:
    names = list(inputs)
    rows = tuple(torch.from_numpy(array[:EXPORT_ROWS]) for array in inputs.values())
    try:
        with _quiet():
            if loaded.format is Format.EXPORTED_PROGRAM:
                return torch.onnx.export(
                    loaded.exported, dynamo=True, opset_version=OPSET, verbose=False
                ).model_proto
            file = io.BytesIO()
            free = {name: {0: "rows"} for name in names}
            torch.onnx.export(
                loaded.exported,
                rows,
                file,
                input_names=names,
                dynamic_axes=free,
                opset_version=OPSET,
                dynamo=False,
            )
    except MemoryError:
        raise
    except Exception as error:
        raise InvalidError(
            f"original: torch cannot export it: {type(error).__name__}: {shorten(_first_line(error), 200)}"
        ) from None
    import onnx

    return onnx.load_from_string(file.getvalue())


def _compare(answered: Sequence[Array], expected: Sequence[Array], wish: Wish) -> Difference:
    if [array.shape for array in answered] != [array.shape for array in expected]:
        raise RejectedError("converted: answers in other shapes than the original, or for other rows")
    found = [Difference.of(one, other) for one, other in zip(answered, expected, strict=True)]
    worst = max(found, key=lambda one: one.relative)
    bound = wish.max_error if wish.max_error is not None else MAX_RELATIVE_ERROR
    if not worst.relative <= bound:
        raise RejectedError(
            f"converted: differs from the original: relative error {worst.relative:.2e} is above "
            f"{bound:.0e}, worst in row {worst.worst_row}",
            hint="give rows that the model will see with --inputs, or accept more with --max-error",
        )
    return worst


def _rename(proto: Any, inputs: list[str], outputs: int) -> None:
    for value, name in zip(list(proto.graph.input), inputs, strict=True):
        graph.rename(proto, value.name, name)
    names = ["output"] if outputs == 1 else [f"output_{index}" for index in range(outputs)]
    for old, name in zip(graph.outputs(proto), names, strict=True):
        graph.rename(proto, old, name)


def _facts(
    loaded: _Loaded, inputs: dict[str, Array], proto: Any, difference: Difference, wish: Wish
) -> dict[str, Any]:
    digest = hashlib.sha256()
    for name, array in inputs.items():
        digest.update(name.encode() + b"\n" + array.tobytes() + b"\n")
    bound = wish.max_error if wish.max_error is not None else MAX_RELATIVE_ERROR
    return {
        "format": str(loaded.format),
        "estimator": loaded.name[:200],
        "task": "transformation",
        "features": sum(int(np.prod(array.shape[1:])) for array in inputs.values()),
        "number": "FP32",
        "outputs": graph.outputs(proto),
        "left_out": [],
        "rows": len(next(iter(inputs.values()))),
        "seed": wish.seed,
        "inputs": digest.hexdigest(),
        "label": None,
        "absolute": f"{difference.absolute:.3e}",
        "relative": f"{difference.relative:.3e}",
        "bound": f"{bound:.3e}",
        "probes": {},
        "versions": dict(_versions),
        "opsets": {entry.domain or "ai.onnx": entry.version for entry in proto.opset_import},
        "globals": [],
        "globals_count": 0,
        "notes": ["takes a fixed number of rows"] if _fixed_rows(loaded) is not None else [],
        "module": loaded.module,
    }


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield

"""PyTorch modules as ONNX: asked, exported, and compared with what onnxruntime makes of the result."""

import contextlib
import io
import linecache
import logging
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from strongroom.artifact.formats import Format
from strongroom.errors import InvalidError, shorten
from strongroom.serve.converter import tensors
from strongroom.serve.converter.tensors import OPSET, Original
from strongroom.serve.converter.wish import Wish, example_arrays, read_arrays

EXPORT_ROWS = 2
"""Exported with so many, compared with all: rows that are not free show at once."""

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Loaded:
    """A module that can be asked, and what is exported in its place."""

    model: Any
    """Called with a tensor for each input."""
    exported: Any
    original: Original
    by_shapes: bool = False
    """Exported with sizes as symbols; otherwise as it was traced."""


def prepare() -> None:
    """Set torch up for the locks: one thread, nothing that writes machine code, sources at hand."""
    torch.set_num_threads(1)
    logging.disable(logging.CRITICAL)
    # What writes machine code as it goes: memory that is both written and run is refused here.
    torch.backends.mkldnn.set_flags(False)
    torch.backends.nnpack.set_flags(False)
    torch._C._jit_set_texpr_fuser_enabled(False)  # noqa: SLF001
    _start_no_monitor()
    keep_sources(("torch.onnx", "onnxscript"))
    read_arrays(example_arrays())


def _start_no_monitor() -> None:
    """The exporter's progress bars start a thread, and Landlock is for processes of one thread."""
    with contextlib.suppress(ImportError):
        from tqdm import tqdm

        tqdm.monitor_interval = 0


def keep_sources(packages: Sequence[str]) -> None:
    """Hold the source of every module in memory: exporters read their own functions' source when they run."""
    for name, module in list(sys.modules.items()):
        path = getattr(module, "__file__", None)
        if name.startswith(tuple(packages)) and path and path.endswith(".py"):
            linecache.getlines(path)
    # It would look whether the files have changed, not see them, and forget them.
    linecache.checkcache = lambda filename=None: None


def convert_loaded(loaded: Loaded, inputs: Mapping[str, Array], wish: Wish) -> tuple[bytes, dict[str, Any]]:
    """Ask, export, ask the export, compare. Raises as `conversion.convert` does."""
    fixed = loaded.original.fixed_rows
    expected = tensors.in_batches(lambda batch: _ask(loaded, batch), inputs, fixed)
    proto = _export(loaded, inputs)
    difference = tensors.measure(proto, inputs, expected, wish, fixed)
    return tensors.finish(loaded.original, proto, inputs, difference, wish)


def _ask(loaded: Loaded, inputs: Mapping[str, Array]) -> list[Array]:
    try:
        with quiet(), torch.no_grad():
            answer = loaded.model(*(torch.from_numpy(array) for array in inputs.values()))
    except MemoryError:
        raise
    except Exception as error:
        raise InvalidError(
            f"original: does not answer the reference inputs: {shorten(first_line(error), 200)}",
            hint=tensors.HINT,
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


def _export(loaded: Loaded, inputs: Mapping[str, Array]) -> Any:
    fixed = loaded.original.fixed_rows
    rows = tuple(torch.from_numpy(array[: fixed or EXPORT_ROWS]) for array in inputs.values())
    try:
        with quiet():
            if loaded.by_shapes or loaded.original.format is Format.EXPORTED_PROGRAM:
                program = _program(loaded, rows) if loaded.by_shapes else loaded.exported
                return torch.onnx.export(program, dynamo=True, opset_version=OPSET, verbose=False).model_proto
            file = io.BytesIO()
            torch.onnx.export(
                loaded.exported,
                rows,
                file,
                input_names=list(inputs),
                dynamic_axes={} if fixed else {name: {0: "rows"} for name in inputs},
                opset_version=OPSET,
                dynamo=False,
            )
    except MemoryError:
        raise
    except Exception as error:
        raise InvalidError(
            f"original: torch cannot export it: {type(error).__name__}: {shorten(first_line(error), 200)}"
        ) from None
    import onnx

    return onnx.load_from_string(file.getvalue())


def _program(loaded: Loaded, rows: tuple[Any, ...]) -> Any:
    free = None if loaded.original.fixed_rows else tuple({0: torch.export.Dim.AUTO} for _ in rows)
    shapes = None if free is None else {"inputs": free}
    return torch.export.export(loaded.exported, rows, dynamic_shapes=shapes, strict=False)


def first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield

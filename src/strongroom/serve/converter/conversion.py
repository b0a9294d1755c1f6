"""One conversion: read the original, ask it, export it, ask the export, compare."""

import contextlib
import hashlib
from collections.abc import Mapping
from importlib import metadata
from typing import Any

import numpy as np

from strongroom import __version__
from strongroom.errors import InvalidError, RejectedError, StrongroomError
from strongroom.serve.converter import allowed, answers, exporting, graph, layout, sampling
from strongroom.serve.converter.layout import Kind, Layout
from strongroom.serve.converter.measuring import Asked, Measured, ask, differing, measure
from strongroom.serve.converter.originals import Original, read_original
from strongroom.serve.converter.probes import Probe, probe
from strongroom.serve.converter.sampling import Sample
from strongroom.serve.converter.wish import Wish, read_arrays

MAX_TOLD_GLOBALS = 256
_LIBRARIES = (
    *("scikit-learn", "skl2onnx", "onnx", "onnxruntime", "numpy", "scipy"),
    *("xgboost", "xgboost-cpu", "lightgbm", "skops", "joblib", "pandas"),
)

Array = np.ndarray[Any, Any]
_versions: dict[str, str] = {}


def warm_up() -> None:
    """Do everything once, so that nothing is imported when it can no longer be."""
    allowed.is_allowed("builtins", "set")
    allowed.import_listed()
    exporting.register()
    graph.set_bools_as_integers()
    for name in _LIBRARIES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            _versions[name] = metadata.version(name)
    from strongroom.serve.converter.rehearsal import rehearse

    rehearse(convert)


def convert(
    content: bytes, given: Mapping[str, bytes], request: dict[str, Any]
) -> tuple[bytes, dict[str, Any]]:
    """Return the ONNX model, and what is to be known of it as a JSON object.

    Raises:
        RejectedError: the original is hostile or malformed, or the converted model answers otherwise.
        InvalidError: it cannot be converted here; the message says what stands in the way.
    """
    wish = Wish.parse(request)
    rows = given.get("inputs")
    if "module" in given:
        raise InvalidError("original: is no state that a module belongs to", hint="leave --module out")
    original = read_original(content)
    model = original.model
    takes = layout.find_layout(model, wish.features)
    task = answers.find_task(model)
    sample = (
        sampling.parse_given(takes, read_arrays(rows))
        if rows is not None
        else sampling.draw(model, takes, wish.rows, wish.seed)
    )
    asked = ask(model, task, sample)
    measured = _best(model, takes, sample, asked, wish)
    excess = measured.excess(wish)
    if excess is not None:
        raise RejectedError(
            f"converted: differs from the original: {excess}",
            hint="give rows that the model will see with --inputs, or accept more with --max-error",
        )
    probes = (
        probe(model, sample, lambda changed: differing(model, measured, changed, wish))
        if rows is None
        else ()
    )
    onnx = graph.finish(measured.proto, __version__)
    return onnx, _facts(original, takes, asked, sample, measured, wish, probes)


def _best(model: Any, takes: Layout, sample: Sample, asked: Asked, wish: Wish) -> Measured:
    """Export with float32 inputs, and with float64 where that is not near enough."""
    best: Measured | None = None
    failed: StrongroomError | None = None
    for number in (np.float32, np.float64):
        if best is not None and (best.excess(wish) is None or not _has_numbers(takes)):
            break
        try:
            measured = measure(model, takes, sample, asked, number, wish)
        except InvalidError as error:
            failed = failed or error
            continue
        if best is None or measured.excess(wish) is None:
            best = measured
    if best is None:
        raise failed or InvalidError("original: cannot be converted")
    return best


def _has_numbers(takes: Layout) -> bool:
    return any(column.kind is Kind.NUMBER for column in takes.columns)


def _facts(
    original: Original,
    takes: Layout,
    asked: Asked,
    sample: Sample,
    measured: Measured,
    wish: Wish,
    probes: tuple[Probe, ...],
) -> dict[str, Any]:
    named = sorted(original.named)
    agreement, difference = measured.agreement, measured.difference
    return {
        "format": str(original.format),
        "estimator": _describe(original.model),
        "task": str(asked.task),
        "features": len(takes.columns),
        "number": "FP64" if measured.number is np.float64 else "FP32",
        "outputs": measured.outputs,
        "left_out": measured.left_out,
        "rows": sample.rows,
        "seed": wish.seed,
        "inputs": hashlib.sha256(sample.to_bytes()).hexdigest(),
        "label": None
        if agreement is None
        else {"rows": agreement.rows, "agreed": agreement.agreed, "ties": agreement.ties},
        "absolute": None if difference is None else f"{difference.absolute:.3e}",
        "relative": None if difference is None else f"{difference.relative:.3e}",
        "bound": f"{measured.bound(wish):.3e}",
        "probes": {one.name: {"rows": one.rows, "differing": one.differing} for one in probes},
        "versions": dict(_versions),
        "opsets": {entry.domain or "ai.onnx": entry.version for entry in measured.proto.opset_import},
        "globals": named[:MAX_TOLD_GLOBALS],
        "globals_count": len(named),
        "notes": list(original.notes),
        "module": None,
    }


def _describe(model: Any) -> str:
    parts = [type(step).__name__ for step in layout.steps(layout.unwrap(model))]
    return " > ".join(parts)[:200]

"""The one door for models: what may be published, what can be served, and what a reviewer should know."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from strongroom.artifact.formats import Format, detect_format
from strongroom.artifact.gguf import read_gguf
from strongroom.artifact.manifest import require_path, require_paths
from strongroom.artifact.onnx import OnnxModel, read_onnx
from strongroom.artifact.onnx_values import ExternalData
from strongroom.artifact.protobuf import ReadAt
from strongroom.artifact.safetensors import read_safetensors
from strongroom.artifact.tensors import Kind, TensorSpec
from strongroom.artifact.unserved import UNSERVED, read_needs, weights_of
from strongroom.errors import RejectedError, shorten
from strongroom.values import Finding, Severity

_MODELS = (Format.ONNX, Format.SAFETENSORS, Format.GGUF, *UNSERVED)
_COMPANIONS = frozenset({Format.JSON, Format.TEXT, Format.EMPTY})
_CODE = frozenset({"py", "pyc", "sh", "bat", "ps1", "so", "dll", "dylib", "jar", "ipynb"})
_ENGINE_SETTINGS = "ort_config"
"""Metadata that onnxruntime may take as session options."""
_EXTERNAL_REFUSED = frozenset(Format) - {Format.UNKNOWN, *_COMPANIONS}
_FIXES = {
    Format.PICKLE: "it runs code when it is loaded; make ONNX of it: strongroom convert",
    Format.TORCH: "its pickle runs code; make ONNX of it: strongroom convert, or torch.onnx.export",
    Format.KERAS: "it can contain code (Lambda layers); make ONNX of it: strongroom convert, or tf2onnx",
    Format.HDF5: "it can contain code (Lambda layers); make ONNX of it: strongroom convert, or tf2onnx",
    Format.TENSORFLOW: "its graphs can read and write files; make ONNX of it: strongroom convert, or tf2onnx",
    Format.NUMPY: "it may hold pickled objects; save the arrays as safetensors",
    Format.NPZ: "it may hold pickled objects; save the arrays as safetensors",
    Format.ORT: "it is compiled for one engine; publish the ONNX model that it was made from",
    Format.COMPRESSED: "unpack it and publish what is inside",
    Format.ZIP: "unpack it and publish what is inside",
    Format.TAR: "unpack it and publish what is inside",
    Format.TORCHSCRIPT: "it is a program; export the model with torch.onnx.export",
    Format.EXPORTED_PROGRAM: "it is a program; export the model with torch.onnx.export",
    Format.SKOPS: "it names code to be loaded; export the model to ONNX with skl2onnx",
    Format.PMML: "export the model to ONNX from the framework that trained it",
    Format.NOTEBOOK: "a model folder holds no programs; leave it out",
}

Source = tuple[ReadAt, int]
"""Reads a file anywhere, and its size."""


@dataclass(frozen=True, slots=True)
class Inspection:
    """What is known of a model after every byte that has structure was looked at."""

    format: Format
    main: str
    """Entry that an engine opens."""
    servable: bool
    """Whether this release can serve it: ONNX whose inputs and outputs have a form on the wire."""
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    opsets: dict[str, int]
    operators: tuple[str, ...]
    dependencies: dict[str, Any]
    """What a runtime needs: format, versions, operators. Part of the signed bill of materials."""
    findings: tuple[Finding, ...]

    def summary(self) -> dict[str, Any]:
        """The form for the signed statement: canonical JSON, small."""
        return {
            "findings": [
                {
                    "message": each.message,
                    "rule": each.rule,
                    "severity": str(each.severity),
                    "where": each.where,
                }
                for each in self.findings
            ],
            "format": str(self.format),
            "operators": list(self.operators),
            "requires": self.dependencies,
            "servable": self.servable,
        }


def inspect(entries: Mapping[str, Source]) -> Inspection:
    """Inspect all files of one model.

    Raises:
        RejectedError: a file is not what it says, not of an inert format, malformed, refers to what is not
            there, or is not part of the model; says why and what to do.
    """
    paths = require_paths(entries)
    formats = {path: detect_format(*entries[path], path) for path in paths}
    _refuse_active(formats)
    kinds = sorted({found for found in formats.values() if found in _MODELS})
    if len(kinds) > 1:
        raise RejectedError(f"model: holds {' and '.join(kinds)} files", hint="publish one model at a time")
    if not kinds:
        raise _nothing_to_publish(formats)
    mains = [path for path in paths if formats[path] == kinds[0]]
    match kinds[0]:
        case Format.ONNX:
            return _inspect_onnx(entries, formats, mains)
        case Format.SAFETENSORS:
            return _inspect_safetensors(entries, formats, mains)
        case Format.GGUF:
            return _inspect_gguf(entries, formats, mains)
        case found:
            return _inspect_unserved(entries, formats, mains, found)


def _refuse_active(formats: Mapping[str, Format]) -> None:
    for path, found in formats.items():
        if found in _FIXES or found is Format.EXECUTABLE:
            fix = _FIXES.get(found, "a model folder holds no programs")
            raise RejectedError(f"entry {shorten(path)}: is {found}, which is not an inert format", hint=fix)
        if path.rpartition(".")[2].lower() in _CODE:
            raise RejectedError(
                f"entry {shorten(path)}: is program code",
                hint="a model folder holds no programs; leave it out",
            )


def _nothing_to_publish(formats: Mapping[str, Format]) -> RejectedError:
    path, found = next(iter(formats.items()))
    return RejectedError(
        f"entry {shorten(path)}: is {found}, and no file here is an inert model",
        hint="export the model to ONNX",
    )


def _inspect_onnx(
    entries: Mapping[str, Source], formats: Mapping[str, Format], mains: list[str]
) -> Inspection:
    if len(mains) > 1:
        raise RejectedError(
            f"model: holds {len(mains)} ONNX models, {shorten(mains[0])} first",
            hint="publish each on its own",
        )
    main = mains[0]
    model = read_onnx(*entries[main], main)
    if _ENGINE_SETTINGS in model.metadata:
        raise RejectedError(
            f"entry {shorten(main)}: carries settings for the engine ({_ENGINE_SETTINGS})",
            hint="remove this key from the model's metadata",
        )
    used = _require_external(model.external, entries, main)
    for path in used:
        if formats[path] in _EXTERNAL_REFUSED:
            raise RejectedError(f"entry {shorten(path)}: is {formats[path]} where weights belong")
    _require_companions(formats, used | {main})
    findings = [*_unservable(model), *_class_scores(model)]
    return Inspection(
        Format.ONNX,
        main,
        not any(finding.rule == "onnx-not-servable" for finding in findings),
        model.inputs,
        model.outputs,
        {domain or "ai.onnx": version for domain, version in model.opsets.items()},
        tuple(sorted(f"{domain or 'ai.onnx'}:{name}" for domain, name in model.operators)),
        _onnx_dependencies(model),
        tuple(findings),
    )


def _require_external(external: Iterable[ExternalData], entries: Mapping[str, Source], main: str) -> set[str]:
    """Return the entries that hold the model's external data, all of it within their bounds."""
    folder = main.rpartition("/")[0]
    used: set[str] = set()
    for data in external:
        where = f"entry {shorten(main)}: tensor {shorten(data.tensor)}"
        try:
            location = require_path(data.location)
        except RejectedError:
            raise RejectedError(
                f"{where}: external data outside the model: {shorten(data.location)}"
            ) from None
        path = f"{folder}/{location}" if folder else location
        if path not in entries or path == main:
            raise RejectedError(
                f"{where}: its data is in {shorten(path)}, which is not part of the model",
                hint="publish the folder that holds the model and its external data",
            )
        if data.offset + data.size_bytes > entries[path][1]:
            raise RejectedError(f"{where}: its data reaches beyond the end of {shorten(path)}")
        used.add(path)
    return used


def _require_companions(formats: Mapping[str, Format], used: set[str]) -> None:
    for path, found in formats.items():
        if path not in used and found not in _COMPANIONS:
            raise RejectedError(
                f"entry {shorten(path)}: is {found} and the model does not refer to it", hint="leave it out"
            )


def _unservable(model: OnnxModel) -> list[Finding]:
    values = [("input", spec) for spec in model.inputs] + [("output", spec) for spec in model.outputs]
    if not model.inputs or not model.outputs:
        return [_finding("onnx-not-servable", "model", "has no input or no output")]
    return [
        _finding(
            "onnx-not-servable",
            f"{what} {shorten(spec.name)}",
            f"is {shorten(spec.detail)}, which no request or answer can hold",
            "export the model with plain tensors",
        )
        for what, spec in values
        if spec.kind is Kind.OTHER or (what == "input" and spec.kind is not Kind.TENSOR)
    ]


def _class_scores(model: OnnxModel) -> list[Finding]:
    return [
        _finding(
            "onnx-class-scores",
            f"output {shorten(spec.name)}",
            f"is {spec.detail}; it is served as a matrix, columns by ascending class, and costs time per row",
            "export with options={'zipmap': False}",
        )
        for spec in model.outputs
        if spec.kind is Kind.CLASS_SCORES
    ]


def _onnx_dependencies(model: OnnxModel) -> dict[str, Any]:
    operators: dict[str, list[str]] = {}
    for domain, name in sorted(model.operators):
        operators.setdefault(domain or "ai.onnx", []).append(name)
    return {
        "ir_version": model.ir_version,
        "opsets": {domain or "ai.onnx": version for domain, version in model.opsets.items()},
        "operators": operators,
        "producer": model.producer[:128],
    }


def _inspect_safetensors(
    entries: Mapping[str, Source], formats: Mapping[str, Format], mains: list[str]
) -> Inspection:
    tensors = sum(read_safetensors(*entries[path], path) for path in mains)
    _require_companions(formats, set(mains))
    return _weights(Format.SAFETENSORS, mains[0], {"files": len(mains), "tensors": tensors}, [])


def _inspect_gguf(
    entries: Mapping[str, Source], formats: Mapping[str, Format], mains: list[str]
) -> Inspection:
    models = [(path, read_gguf(*entries[path], path)) for path in mains]
    _require_companions(formats, set(mains))
    findings = [
        _finding(
            "gguf-template",
            shorten(path),
            f"{shorten(key)} is a template that loaders run as a program",
            "review it, and load the model with a loader that runs templates in a sandbox",
        )
        for path, model in models
        for key in model.templates
    ]
    architecture = models[0][1].architecture[:64]
    tensors = sum(model.tensors for _, model in models)
    needs = {"architecture": architecture, "files": len(mains), "tensors": tensors}
    return _weights(Format.GGUF, mains[0], needs, findings)


def _inspect_unserved(
    entries: Mapping[str, Source], formats: Mapping[str, Format], mains: list[str], found: Format
) -> Inspection:
    if len(mains) > 1:
        raise RejectedError(
            f"model: holds {len(mains)} {found} models, {shorten(mains[0])} first",
            hint="publish each on its own",
        )
    main = mains[0]
    needs = read_needs(found, *entries[main], main)
    _require_companions(formats, {main, *weights_of(found, main)})
    finding = _finding(
        "model-not-served",
        shorten(main),
        f"is {found}: kept, signed and released, but not served by this release",
        "to serve it, make ONNX of it: strongroom convert",
    )
    return _weights(found, main, needs, [finding])


def _weights(found: Format, main: str, needs: dict[str, Any], findings: list[Finding]) -> Inspection:
    """Weights without a graph: kept and released, not served by this release."""
    return Inspection(found, main, False, (), (), {}, (), needs, tuple(findings))


def _finding(rule: str, where: str, message: str, fix: str = "") -> Finding:
    return Finding(rule, Severity.LOW if rule != "gguf-template" else Severity.MEDIUM, where, message, fix)

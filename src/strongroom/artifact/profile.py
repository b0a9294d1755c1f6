"""What can be compared between two versions of a model: tensors, operators, metadata; never a weight."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from strongroom.artifact.formats import Format
from strongroom.artifact.gguf import read_gguf
from strongroom.artifact.inspect import Source
from strongroom.artifact.onnx import read_onnx
from strongroom.artifact.protobuf import ReadAt
from strongroom.artifact.safetensors import read_forms, read_header
from strongroom.values import Digest

MAX_SHOWN_CHARS = 200


@dataclass(frozen=True, slots=True)
class Profile:
    """Name -> what it is, in words; equal words are no change."""

    tensors: dict[str, str] = field(default_factory=dict)
    operators: dict[str, str] = field(default_factory=dict)
    """How often each stands in the model."""
    metadata: dict[str, str] = field(default_factory=dict)


_Parts = tuple[dict[str, str], dict[str, str], dict[str, str]]


def build_profile(kind: str, entries: Mapping[str, Source], mains: tuple[str, ...]) -> Profile:
    """Return the profile of a model of the format ``kind``; ``mains``: its files of that format.

    Raises:
        RejectedError: a file cannot be read any more.
    """
    profile = Profile()
    for path in mains:
        prefix = f"{path}: " if len(mains) > 1 else ""
        tensors, operators, metadata = _read(kind, path, *entries[path])
        profile.tensors.update({prefix + name: form for name, form in tensors.items()})
        profile.operators.update({prefix + name: form for name, form in operators.items()})
        profile.metadata.update({prefix + name: _shown(text) for name, text in metadata.items()})
    return profile


def _read(kind: str, path: str, read_at: ReadAt, size_bytes: int) -> _Parts:
    match kind:
        case Format.ONNX:
            model = read_onnx(read_at, size_bytes, path)
            counts = {
                f"{domain or 'ai.onnx'}:{name}": f"{count} times"
                for (domain, name), count in model.operators.items()
            }
            opsets = {f"opset {domain or 'ai.onnx'}": str(number) for domain, number in model.opsets.items()}
            return model.forms, {**counts, **opsets}, {**model.metadata, "producer": model.producer}
        case Format.SAFETENSORS:
            forms = read_forms(read_at, size_bytes, path)
            return forms, {}, read_header(read_at, size_bytes, path)[1]
        case Format.GGUF:
            weights = read_gguf(read_at, size_bytes, path)
            return weights.forms, {"architecture": weights.architecture}, weights.texts
        case _:
            return {}, {}, {}


def _shown(text: str) -> str:
    """Long text by its digest, so that a change in it is seen."""
    if len(text) <= MAX_SHOWN_CHARS:
        return text
    return f"{len(text)} characters, {Digest.of(text.encode('utf-8', 'surrogatepass'))}"

"""What a model is made of and needs: the values that a bill of materials is written from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from strongroom.scan.dependencies import Dependency


@dataclass(frozen=True, slots=True)
class BillFile:
    path: str
    size_bytes: int
    sha256: str
    """Hexadecimal."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """What a model was tried on when it was published, and is served with."""

    name: str
    version: str


@dataclass(frozen=True, slots=True)
class Bill:
    """All of it stands in the signed statement, or in the log; nothing is looked up elsewhere."""

    family: str
    version: str
    manifest: str
    """Digest of names, sizes and digests of all files: ``sha256:…``."""
    statement: str
    """Digest of the signed statement: ``sha256:…``."""
    owner: str
    publisher: str
    created_at: datetime
    format: str
    main: str
    files: tuple[BillFile, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    requires: Mapping[str, Any]
    """What the inspection read from the artifact: opsets, operators, IR version, producer, architecture."""
    dependencies: tuple[Dependency, ...]
    runtime: tuple[Runtime, ...]

    @property
    def model(self) -> str:
        return f"{self.family}@{self.version}"

    @property
    def opsets(self) -> dict[str, int]:
        found = self.requires.get("opsets")
        return {str(name): version for name, version in found.items()} if isinstance(found, dict) else {}

    @property
    def operators(self) -> tuple[str, ...]:
        """``domain:name``, in order."""
        found = self.requires.get("operators")
        if not isinstance(found, dict):
            return ()
        return tuple(sorted(f"{domain}:{name}" for domain, names in found.items() for name in names))

    @property
    def engine(self) -> Runtime | None:
        """The one that opens the model's file."""
        return next((one for one in self.runtime if one.name != OWN_PACKAGE), None)


OWN_PACKAGE = "strongroom"


def describe_tensors(tensors: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return ``name: dtype[shape]`` for each input or output of a schema."""
    return tuple(f"{one['name']}: {one['dtype']}{_shape(one['shape'])}" for one in tensors)


def find_task(operators: Sequence[str]) -> str | None:
    """Return what the operators say the model does, where they say so by their name."""
    names = {operator.rpartition(":")[2] for operator in operators}
    if any(name.endswith("Classifier") for name in names):
        return "classification"
    return "regression" if any(name.endswith("Regressor") for name in names) else None


def find_architecture(operators: Sequence[str], requires: Mapping[str, Any]) -> str | None:
    """Return the family of architectures as far as operators, or the file itself, tell it."""
    named = requires.get("architecture")
    if isinstance(named, str) and named:
        return named
    names = {operator.rpartition(":")[2] for operator in operators}
    return next((family for family, marks in _ARCHITECTURES if names & marks), None)


_ARCHITECTURES = (
    (
        "transformer network",
        frozenset({"Attention", "MultiHeadAttention", "GroupQueryAttention", "RotaryEmbedding"}),
    ),
    ("tree ensemble", frozenset({"TreeEnsembleClassifier", "TreeEnsembleRegressor", "TreeEnsemble"})),
    ("support vector machine", frozenset({"SVMClassifier", "SVMRegressor"})),
    ("recurrent neural network", frozenset({"LSTM", "GRU", "RNN"})),
    ("convolutional neural network", frozenset({"Conv", "ConvTranspose", "ConvInteger", "QLinearConv"})),
    ("linear model", frozenset({"LinearClassifier", "LinearRegressor"})),
)


def _shape(shape: Sequence[Any]) -> str:
    return "[" + ",".join(str(one) for one in shape) + "]"

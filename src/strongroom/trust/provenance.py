"""Where a version came from, as its signed statement binds it (docs/provenance.md).

A place that cannot change: a git object, a commit on a hub, a digest in a registry. Never a branch or a tag.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from strongroom.errors import InvalidError, shorten

GIT, HUGGING_FACE, OCI = "git", "huggingface", "oci"
MAX_ADDRESS_CHARS = 2048
MAX_PATH_CHARS = 1024
MAX_PATTERNS = 64
MAX_FACT_CHARS = 256
_COMMIT = re.compile(r"[0-9a-f]{40}", re.ASCII)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)
_REVISION = {GIT: _COMMIT, HUGGING_FACE: _COMMIT, OCI: _DIGEST}
_FACTS = {
    GIT: frozenset({"commit_sha256", "lfs_files"}),
    HUGGING_FACE: frozenset({"lfs_files"}),
    OCI: frozenset({"artifact_type"}),
}
_FIELDS = frozenset({"kind", "repository", "revision", "path", "only", "facts"})


@dataclass(frozen=True, slots=True)
class Provenance:
    """Who took the files from there says so; the home's signature keeps it from being changed later."""

    kind: str
    repository: str
    """Address without user, password or query."""
    revision: str
    """Commit, 40 hexadecimal digits, or ``sha256:`` and 64."""
    path: str = ""
    """File or folder in it; empty is all of it."""
    only: tuple[str, ...] = ()
    """Patterns of which each file matches one; none is no choice."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """What else was seen there, by names that belong to the kind."""

    def __post_init__(self) -> None:
        if self.kind not in _REVISION:
            raise InvalidError(f"provenance: {shorten(self.kind)} is no kind of place")
        if _REVISION[self.kind].fullmatch(self.revision) is None:
            raise InvalidError(f"provenance: {shorten(self.revision)} does not pin what is there")
        _require_text(self.repository, MAX_ADDRESS_CHARS)
        if not self.repository:
            raise InvalidError("provenance: has no repository")
        _require_text(self.path, MAX_PATH_CHARS)
        if len(self.only) > MAX_PATTERNS or self.facts.keys() - _FACTS[self.kind]:
            raise InvalidError("provenance: too many patterns, or an unknown fact")
        for text in (*self.only, *self.facts.values()):
            _require_text(text, MAX_FACT_CHARS)

    def __str__(self) -> str:
        path = f"#{self.path}" if self.path else ""
        return f"{self.kind} {self.repository}@{self.revision}{path}"

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "repository": self.repository,
            "revision": self.revision,
            "path": self.path,
            "only": list(self.only),
            "facts": dict(self.facts),
        }

    @classmethod
    def from_json(cls, value: object) -> Self:
        """Return the provenance. Raises InvalidError for a missing, unknown or ill-typed field."""
        match value:
            case {
                "kind": str(kind),
                "repository": str(repository),
                "revision": str(revision),
                "path": str(path),
                "only": list(only),
                "facts": dict(facts),
            } if isinstance(value, dict) and value.keys() == _FIELDS:
                if not all(isinstance(each, str) for each in (*only, *facts.values())):
                    raise InvalidError("provenance: a pattern or a fact is not a string")
                return cls(kind, repository, revision, path, tuple(only), facts)
            case _:
                raise InvalidError("provenance: fields missing, unknown or of another kind")


def _require_text(text: str, limit: int) -> None:
    if len(text) > limit or not text.isprintable():
        raise InvalidError(f"provenance: {shorten(text)} is out of bounds")

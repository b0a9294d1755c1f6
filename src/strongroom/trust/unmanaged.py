"""A version that is not here: what a spreadsheet says of it, as it stands in the log (docs/inventory.md).

Nothing of it is believed: it is listed so that nobody forgets it, and cannot be approved, released or served.
"""

from dataclasses import dataclass
from typing import Any, Self

from strongroom.errors import InvalidError, shorten
from strongroom.values import Digest, ModelId

MAX_ENTRIES = 256
"""Of one record of the log."""
MAX_CHARS = {"owner": 128, "format": 64, "location": 1024, "dependencies": 2048, "note": 500}
_FIELDS = frozenset({"model", "digest", *MAX_CHARS})


@dataclass(frozen=True, slots=True)
class Unmanaged:
    """One row. All but ``model`` and ``owner`` may be empty; ``owner`` need not be an identity."""

    model: ModelId
    owner: str
    format: str = ""
    location: str = ""
    digest: str = ""
    """Empty, or ``sha256:`` and 64 hexadecimal digits: of the file, or of the manifest."""
    dependencies: str = ""
    note: str = ""

    def __post_init__(self) -> None:
        if not self.owner:
            raise InvalidError(
                f"{self.model}: has no owner", hint="name the person or team that answers for it"
            )
        if self.digest:
            Digest.parse(self.digest)
        for name, limit in MAX_CHARS.items():
            text = getattr(self, name)
            if len(text) > limit or not text.isprintable():
                raise InvalidError(
                    f"{self.model}: {name} is longer than {limit} characters, or not printable"
                )

    def to_json(self) -> dict[str, Any]:
        texts = {name: getattr(self, name) for name in MAX_CHARS}
        return {"model": str(self.model), "digest": self.digest, **texts}

    @classmethod
    def from_json(cls, value: object) -> Self:
        """Return the entry. Raises InvalidError for a missing, unknown or ill-typed field."""
        if not isinstance(value, dict) or value.keys() != _FIELDS:
            raise InvalidError("unmanaged: fields missing or unknown")
        if not all(isinstance(text, str) for text in value.values()):
            raise InvalidError("unmanaged: a field is not a string")
        model = ModelId.parse(value["model"])
        if str(model) != value["model"]:
            raise InvalidError(f"unmanaged: {shorten(value['model'])} is not how that version is spelled")
        return cls(model=model, **{name: value[name] for name in _FIELDS - {"model"}})

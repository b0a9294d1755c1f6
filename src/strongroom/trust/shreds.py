"""A model's keys being destroyed for good: asked for by one person, confirmed by another, then proven."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self

from strongroom.errors import RejectedError
from strongroom.values import ModelId, parse_family

REQUEST_LASTS = timedelta(days=7)
"""How long a second person may confirm."""


@dataclass(frozen=True, slots=True)
class Target:
    """What is shredded: one version, or a family with all that was ever handed over under its name."""

    family: str
    model: ModelId | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises InvalidError: neither a version nor a family."""
        if "@" in text:
            model = ModelId.parse(text)
            return cls(model.family, model)
        return cls(parse_family(text))

    def __str__(self) -> str:
        return str(self.model) if self.model is not None else self.family

    def includes(self, model: ModelId) -> bool:
        return model == self.model if self.model is not None else model.family == self.family


@dataclass(frozen=True, slots=True)
class Shred:
    """How far it has come. Once confirmed it is never taken back; ``doomed`` says what is to be destroyed."""

    target: Target
    requested_by: str
    requested_at: datetime
    reason: str
    confirmed_by: str | None = None
    confirmed_at: datetime | None = None
    doomed: tuple[tuple[str, int], ...] = ()
    """Each key-encryption key, and the newest of its versions that must go with all before it."""
    done_at: datetime | None = None
    log_index: int = -1
    """Of the newest record about it."""

    @property
    def confirmed(self) -> bool:
        return self.confirmed_at is not None

    @property
    def pending(self) -> bool:
        """Whether it was confirmed and is not proven yet."""
        return self.confirmed_at is not None and self.done_at is None

    def is_open(self, at: datetime) -> bool:
        """Whether it waits for a second person."""
        return not self.confirmed and at < self.requested_at + REQUEST_LASTS

    def require_open(self, at: datetime) -> None:
        """Raises RejectedError: confirmed already, or asked for too long ago."""
        if self.confirmed:
            raise RejectedError(f"{self.target} was confirmed already")
        if not self.is_open(at):
            raise RejectedError(f"{self.target} was asked for more than {REQUEST_LASTS.days} days ago")

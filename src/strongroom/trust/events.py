"""One record of the log: who did what to which thing, what was decided and by which rule.

The canonical JSON of an event is the leaf that goes into the Merkle tree (docs/formats/log.md).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Self

from strongroom import canonical
from strongroom.errors import InvalidError, shorten
from strongroom.values import format_time, parse_principal, parse_time

FORMAT = 1
MAX_EVENT_BYTES = 65535
"""A leaf's length is a u16 in a C2SP tlog-tiles entry bundle."""
MAX_TEXT_CHARS = 500

_FIELDS = frozenset({"v", "time", "actor", "action", "subject", "decision", "rule", "reason", "detail"})
_ACTION = re.compile(r"[a-z][a-z-]{0,31}", re.ASCII)
_RULE = re.compile(r"[A-Za-z0-9._/:-]{0,128}", re.ASCII)
_JSON_ESCAPED = "\n\r\t"


class Outcome(StrEnum):
    """What was decided. Only ``allow`` events change what anybody may do."""

    ALLOW = "allow"
    DENY = "deny"
    REJECT = "reject"
    OUTAGE = "outage"


_OUTCOMES = frozenset(outcome.value for outcome in Outcome)


@dataclass(frozen=True, slots=True)
class Event:
    """One decision, recorded before it takes effect (I4).

    ``subject``, ``reason`` and the strings of ``detail`` may be untrusted, for a denial must always be
    recordable: characters that a terminal or a line reader would act on are replaced by their backslash
    escapes, and ``subject`` and ``reason`` are cut at MAX_TEXT_CHARS.
    """

    time: datetime
    actor: str
    action: str
    subject: str
    decision: str
    """One of `Outcome`."""
    rule: str = ""
    reason: str = ""
    detail: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        parse_principal(self.actor)
        if _ACTION.fullmatch(self.action) is None:
            raise InvalidError(f"event: {shorten(self.action)} is not an action")
        if _RULE.fullmatch(self.rule) is None:
            raise InvalidError(f"event: {shorten(self.rule)} is not a rule name")
        if self.decision not in _OUTCOMES:
            raise InvalidError(f"event: {shorten(self.decision)} is not a decision")
        if self.time.tzinfo is None:
            raise InvalidError("event: time has no time zone")
        set_field = object.__setattr__
        set_field(self, "time", self.time.astimezone(UTC))
        set_field(self, "action", str(self.action))
        set_field(self, "decision", Outcome(self.decision))
        set_field(self, "subject", _cut(_escape(self.subject, keep="")))
        set_field(self, "reason", _cut(_escape(self.reason, keep="")))
        set_field(self, "detail", _escape_strings(dict(self.detail or {}), canonical.MAX_DEPTH))

    def to_bytes(self) -> bytes:
        """Return the leaf. Raises InvalidError if it is too long or has no canonical form."""
        leaf = canonical.encode(
            {
                "v": FORMAT,
                "time": format_time(self.time),
                "actor": self.actor,
                "action": self.action,
                "subject": self.subject,
                "decision": str(self.decision),
                "rule": self.rule,
                "reason": self.reason,
                "detail": self.detail,
            }
        )
        if len(leaf) > MAX_EVENT_BYTES:
            raise InvalidError(f"event: {len(leaf)} bytes, more than {MAX_EVENT_BYTES}")
        return leaf

    @classmethod
    def parse(cls, leaf: bytes) -> Self:
        """Return the event whose leaf is exactly ``leaf``; any other spelling is refused.

        Raises:
            InvalidError: too long, not canonical, a field missing, unknown or of the wrong kind.
        """
        if len(leaf) > MAX_EVENT_BYTES:
            raise InvalidError(f"event: {len(leaf)} bytes, more than {MAX_EVENT_BYTES}")
        value = canonical.decode(leaf)
        if not isinstance(value, dict) or value.keys() != _FIELDS:
            raise InvalidError("event: fields missing or unknown")
        if type(value["v"]) is not int or value["v"] != FORMAT:
            raise InvalidError(f"event: version {shorten(value['v'])} is not {FORMAT}")
        detail = value["detail"]
        texts = {name: value[name] for name in _FIELDS - {"v", "detail"}}
        if not isinstance(detail, dict) or not all(isinstance(text, str) for text in texts.values()):
            raise InvalidError("event: a field is of the wrong kind")
        event = cls(
            parse_time(texts["time"]),
            texts["actor"],
            texts["action"],
            texts["subject"],
            texts["decision"],
            texts["rule"],
            texts["reason"],
            detail,
        )
        if (event.subject, event.reason, event.detail) != (texts["subject"], texts["reason"], detail):
            raise InvalidError("event: holds characters that are never written")
        return event


def _cut(text: str) -> str:
    return text if len(text) <= MAX_TEXT_CHARS else text[: MAX_TEXT_CHARS - 1] + "…"


def _escape(text: str, keep: str) -> str:
    """Return ``text`` with every unprintable character, but those of ``keep``, as a backslash escape."""
    if text.isprintable():
        return text
    return "".join(
        char
        if char.isprintable() or char in keep
        else char.encode("ascii", "backslashreplace").decode()
        if ord(char) > 0x7F
        else f"\\x{ord(char):02x}"
        for char in text
    )


def _escape_strings(value: Any, depth: int) -> Any:
    """Escape the strings of ``value``; line ends stay (a PEM has them), for JSON itself escapes those."""
    if depth < 0:
        raise InvalidError(f"event: detail is nested deeper than {canonical.MAX_DEPTH}")
    match value:
        case str():
            return _escape(str(value), keep=_JSON_ESCAPED)
        case Mapping():
            return {key: _escape_strings(item, depth - 1) for key, item in value.items()}
        case list() | tuple():
            return [_escape_strings(item, depth - 1) for item in value]
        case _:
            return value

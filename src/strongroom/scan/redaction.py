"""Take credentials out of text that is to be shown: messages, places, values in reports."""

import re
from dataclasses import replace

from strongroom.scan.place import Place
from strongroom.scan.secret_search import search_text

MAX_ROUNDS = 4
"""Each takes out what the one before made readable."""
MIN_CREDENTIAL_CHARS = 7

_CUT = re.compile(
    r"(?<![A-Za-z0-9])((?:sk|rk|hf|gh[pousr]|github|glpat|npm|pypi|xox[a-z]|xapp|AKIA|ASIA|AIza|GOCSPX|ya29|"
    r"dapi|gsk|r8|hvs|eyJ|dop|shpat|SG|dckr|pcsk|nvapi|ATATT3|ATBB|lin|figd|ntn|PMAK|NRAK|glsa|sntrys|rubygems)"
    r"[A-Za-z0-9_.-]{0,400})(?=…)"
)
"""A token that whoever wrote the message has cut short: no longer of the length of its kind."""


def redact(text: str) -> str:
    """Return the text with every credential that `scan.secrets` would report redacted."""
    if len(text) < MIN_CREDENTIAL_CHARS:
        return text
    for _ in range(MAX_ROUNDS):
        hits = search_text(text).hits
        if not hits:
            return _CUT.sub(_shorten, text)
        spans = {hit.span: f"[{hit.redacted}, redacted]" for hit in hits if hit.span is not None}
        if spans:
            text = _replace(text, spans)
        else:  # readable only without its escapes: nothing says which of the text's characters those are
            return f"[{len(text)} characters with a credential in them, redacted]"
    return f"[{len(text)} characters with credentials in them, redacted]"


def redact_place(place: Place) -> Place:
    """Return the place with its names redacted: a metadata key or a file can be named after a credential."""
    if len(place.path) + len(place.name) + sum(map(len, place.members)) < MIN_CREDENTIAL_CHARS:
        return place
    return replace(
        place,
        path=redact(place.path),
        members=tuple(redact(member) for member in place.members),
        name=redact(place.name),
    )


def _shorten(match: re.Match[str]) -> str:
    return match[1][:4]


def _replace(text: str, spans: dict[tuple[int, int], str]) -> str:
    parts: list[str] = []
    position = 0
    for (start, end), shown in sorted(spans.items()):
        if start >= position:
            parts += [text[position:start], shown]
        elif end > position:
            parts[-1] = "[redacted]"
        position = max(position, end)
    return "".join((*parts, text[position:]))

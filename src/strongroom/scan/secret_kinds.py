"""What a kind of credential is: how it begins, what it consists of, what proves it, who issued it."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from strongroom.scan.rule import Rule
from strongroom.scan.secret_checks import Check, is_real
from strongroom.values import Severity

TECHNIQUES = ("AML.T0055",)
"""MITRE ATLAS: unsecured credentials."""

_WHY = (
    "Whoever gets this file gets what the credential opens. Model files are copied to many hands and kept "
    "for years, so it has to count as known to others already."
)
_FIX = "Revoke or rotate it at {issuer} first; then remove it from the file and export the model again."

ENDS = r"(?![A-Za-z0-9_-])"
"""What follows a token: nothing that could be more of it. In base64 of anything nothing ends by chance."""
HEX = "[0-9a-fA-F]"
WORD = "[A-Za-z0-9]"
DASHED = "[A-Za-z0-9_-]"
UUID = f"{HEX}{{8}}-{HEX}{{4}}-{HEX}{{4}}-{HEX}{{4}}-{HEX}{{12}}"


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of credential and the rule that reports it."""

    rule: Rule
    pattern: re.Pattern[bytes]
    """Bounded everywhere, so that one attempt has a fixed cost. Group 1, if any, is the secret itself."""
    starts: tuple[str, ...] = ()
    """One of these literals comes first, at the start of a run of token characters or of a part of one."""
    needle: str = ""
    """Otherwise: a literal that lies in every one, ``back`` characters after its start."""
    back: int = 0
    check: Check = is_real
    near: bytes = b""
    """What has to lie close by."""

    def secret_of(self, match: re.Match[bytes]) -> tuple[int, int] | None:
        """Return where the secret lies, if the match is one."""
        start, end = match.span(1 if self.pattern.groups else 0)
        return (start, end) if self.check(match.string[start:end]) else None


def build_rule(name: str, title: str, issuer: str, severity: Severity = Severity.HIGH) -> Rule:
    return Rule(
        f"secret-{name}",
        severity,
        title,
        _WHY,
        _FIX.format(issuer=issuer),
        atlas=TECHNIQUES,
        aisvs=(),  # it has no requirement on credentials within models
        waivable=True,
    )


def starting(
    name: str,
    title: str,
    issuer: str,
    starts: str,
    rest: str,
    check: Check = is_real,
    ends: str = ENDS,
    *,
    not_in_base64: bool = False,
) -> Kind:
    """A kind that begins with one of the words of ``starts`` and goes on as ``rest``.

    ``not_in_base64``: its beginning is so short that base64 of anything has it after a ``/`` or ``+``.
    """
    words = tuple(starts.split())
    begins = "(?<![+/])" if not_in_base64 else ""
    anchored = begins + "(?:" + "|".join(re.escape(word) for word in words) + ")" + rest + ends
    return Kind(build_rule(name, title, issuer), re.compile(anchored.encode()), starts=words, check=check)


def around(
    name: str,
    title: str,
    issuer: str,
    needle: str,
    pattern: str,
    back: int = 0,
    check: Check = is_real,
    near: bytes = b"",
) -> Kind:
    """A kind that contains ``needle``, exactly ``back`` characters after its beginning."""
    compiled = re.compile(pattern.encode(), re.IGNORECASE)
    return Kind(build_rule(name, title, issuer), compiled, needle=needle, back=back, check=check, near=near)


@dataclass(frozen=True, slots=True)
class NamedKind:
    """A credential without a mark of its own, known by the name of the service close before it."""

    rule: Rule
    service: re.Pattern[bytes]
    """On lower-case text."""
    pattern: re.Pattern[bytes]
    """Of the whole value."""
    lengths: range
    check: Callable[[bytes], bool] = is_real


def named(name: str, title: str, issuer: str, service: str, value: str, lengths: range | int) -> NamedKind:
    """A kind known by ``service``; ``lengths`` of the value let most texts be skipped unread."""
    span = range(lengths, lengths + 1) if isinstance(lengths, int) else lengths
    return NamedKind(
        build_rule(name, title, issuer), re.compile(service.encode()), re.compile(value.encode()), span
    )

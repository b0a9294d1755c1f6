"""Find credentials in text: cheap literals first, the patterns of the kinds only where those are."""

import re
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from string import ascii_letters, digits

from strongroom.scan.rule import Rule
from strongroom.scan.secret_decoding import Decoder, find_runs, unescape
from strongroom.scan.secret_kinds import Kind
from strongroom.scan.secret_phrases import (
    ASSIGNED,
    CONNECTION,
    DATABASE_PASSWORD,
    INFIXES,
    NOT_A_CREDENTIAL,
    PASSWORD,
    PASSWORD_ASSIGNMENT,
    PASSWORD_NEEDLES,
    PHRASES,
    SERVICES,
    TOKEN_ASSIGNED,
    TOKEN_STEMS,
    is_assigned_password,
    is_assigned_token,
)
from strongroom.scan.secret_tokens import TOKENS

MAX_DEPTH = 3
"""Encodings within encodings: base64 of base64 in an escaped string."""
MAX_READ_TWICE_BYTES = 65_536
"""A text up to this long is searched as it is and with its escapes undone; a longer one only without them."""
MAX_HITS = 200
"""Of one text; what more there is would not be read."""

_SHOWN_CHARS = 4
_MIN_SHOWN_OF_CHARS = 20
_WINDOW_CHARS = 72
"""Before a value, in which its name is looked for."""
_AROUND_CHARS = 3000
_CONNECTION_CHARS = 200


@dataclass(frozen=True, slots=True)
class Hit:
    """A credential that was found."""

    rule: Rule
    secret: bytes
    """Never to be shown or kept; `redacted` is."""
    span: tuple[int, int] | None
    """Of the text: the secret, or what it is encoded in. None: only in the text with its escapes undone."""
    via: tuple[str, ...] = ()
    """The encodings it lies in, outermost first."""

    @property
    def redacted(self) -> str:
        """The first characters, which are the prefix of its kind, and the length."""
        chars = len(self.secret)
        is_token = self.rule not in _UNMARKED and chars >= _MIN_SHOWN_OF_CHARS
        shown = self.secret[:_SHOWN_CHARS].decode("ascii", "replace") if is_token else ""
        return f"{shown}… ({chars} characters)"


@dataclass(slots=True)
class Search:
    """Looks through one text and all that is encoded in it."""

    hits: list[Hit] = field(default_factory=list)
    attempts: int = 0
    """Patterns tried: the measure of work, each has a fixed bound."""
    _decoder: Decoder = field(default_factory=Decoder)
    _found: set[tuple[str, bytes]] = field(default_factory=set)
    _spans: set[tuple[int, int] | None] = field(default_factory=set)
    _decoded: set[int] = field(default_factory=set)

    @property
    def is_complete(self) -> bool:
        """Whether everything encoded in the text could be decoded within the bounds."""
        return self._decoder.is_complete

    def look(
        self, data: bytes, depth: int = 0, via: tuple[str, ...] = (), outer: tuple[int, int] | None = None
    ) -> None:
        """Add the hits of a text and of what it contains, MAX_DEPTH encodings deep."""
        plain = unescape(data)
        if plain != data:
            self._look_once(plain, depth, via, outer, is_original=False)
        if plain == data or len(data) <= MAX_READ_TWICE_BYTES or _LOSSY.search(data):
            self._look_once(data, depth, via, outer, is_original=True)

    def _look_once(
        self,
        data: bytes,
        depth: int,
        via: tuple[str, ...],
        outer: tuple[int, int] | None,
        *,
        is_original: bool,
    ) -> None:
        runs = find_runs(data)
        has_span = outer is None and depth == 0 and is_original
        for rule, start, end in self._find(data, runs):
            self._hit(rule, data[start:end], (start, end) if has_span else outer, via)
        if depth == MAX_DEPTH:
            return
        for part in self._decoder.decode(data, runs):
            if len(self.hits) >= MAX_HITS:
                return
            key = hash(part.data)
            if key in self._decoded:
                continue
            self._decoded.add(key)
            inside = (part.start, part.end) if has_span else outer
            if part.is_text:
                self.look(part.data, depth + 1, (*via, part.how), inside)
            else:
                for rule, start, end in self._find_tokens(part.data, find_runs(part.data)):
                    self._hit(rule, part.data[start:end], inside, (*via, part.how))

    def _hit(self, rule: Rule, secret: bytes, span: tuple[int, int] | None, via: tuple[str, ...]) -> None:
        if len(self.hits) >= MAX_HITS:
            return
        if (rule.id, secret) not in self._found:
            self._found.add((rule.id, secret))
            self.hits.append(Hit(rule, secret, span, via))
        elif span is not None and span not in self._spans:
            self.hits.append(Hit(rule, secret, span, via))
        self._spans.add(span)

    def _find(self, data: bytes, runs: "array[int]") -> Iterator[tuple[Rule, int, int]]:
        lower = data.lower()
        spans: list[tuple[int, int]] = []
        for found in self._find_tokens(data, runs):
            spans.append(found[1:])
            yield found
        rest = (self._phrases(data, lower), self._all_named(data, lower, runs), self._passwords(data, lower))
        for found in chain.from_iterable(rest):
            if not any(found[1] < end and start < found[2] for start, end in spans):
                spans.append(found[1:])
                yield found
            if len(spans) > MAX_HITS:
                return

    def _find_tokens(self, data: bytes, runs: "array[int]") -> Iterator[tuple[Rule, int, int]]:
        for start, end in zip(runs[::2], runs[1::2], strict=True):
            yield from self._tokens(data, start, end)

    def _all_named(self, data: bytes, lower: bytes, runs: "array[int]") -> Iterator[tuple[Rule, int, int]]:
        for start, end in zip(runs[::2], runs[1::2], strict=True):
            yield from self._named(data, lower, start, end)

    def _tokens(self, data: bytes, start: int, end: int) -> Iterator[tuple[Rule, int, int]]:
        done = start
        if _START.match(data, start, end) is not None:
            for kind, match in self._matches(data, start):
                done = max(done, match.end())
                yield from _proven(kind, match)
        for begin in _INNER_START.finditer(data, start, end):
            if begin.end() >= done:  # what lies within a match is a part of it, whether it proved or not
                for kind, match in self._matches(data, begin.end()):
                    done = max(done, match.end())
                    yield from _proven(kind, match)
        for needle, kind in _INFIXES:
            position = data.find(needle, start, end)
            while position >= 0:
                yield from self._try_kind(kind, data, position)
                position = data.find(needle, position + len(needle), end)

    def _matches(self, data: bytes, position: int) -> Iterator[tuple[Kind, re.Match[bytes]]]:
        for kind in _BY_START.get(data[position : position + 2], ()):
            self.attempts += 1
            match = kind.pattern.match(data, position)
            if match is not None:
                yield kind, match

    def _try_kind(self, kind: Kind, data: bytes, position: int) -> Iterator[tuple[Rule, int, int]]:
        self.attempts += 1
        match = kind.pattern.match(data, position - kind.back) if position >= kind.back else None
        if match is not None and _is_near(kind, data, position):
            yield from _proven(kind, match)

    def _phrases(self, data: bytes, lower: bytes) -> Iterator[tuple[Rule, int, int]]:
        for needle, kinds in _NEEDLES.items():
            position = lower.find(needle)
            while position >= 0:
                for kind in kinds:
                    yield from self._try_kind(kind, data, position)
                position = lower.find(needle, position + len(needle))

    def _named(self, data: bytes, lower: bytes, start: int, end: int) -> Iterator[tuple[Rule, int, int]]:
        value, begin, finish = _value(data, start, end)
        if not _MIN_VALUE_CHARS <= len(value) <= _MAX_VALUE_CHARS or _NAME.fullmatch(value):
            return
        self.attempts += 1
        before = lower[max(0, begin - _WINDOW_CHARS) : begin]
        before = before[before.rfind(b"\n") + 1 :]
        if not before or before.endswith(_DIGEST_LABELS):
            return
        for kind in _SERVICES_BY_LENGTH.get(len(value), ()):
            name = kind.service.search(before)
            if name is None or not kind.pattern.fullmatch(value) or not kind.check(value):
                continue
            if NOT_A_CREDENTIAL.search(before, name.end()) is None:
                yield kind.rule, begin, finish
                return
        is_assigned = before.rstrip(b" \t\"'`\\")[-1:] in _ASSIGNERS and TOKEN_STEMS.search(before)
        if is_assigned and is_assigned_token(value) and TOKEN_ASSIGNED.search(before):
            yield ASSIGNED, begin, finish

    def _passwords(self, data: bytes, lower: bytes) -> Iterator[tuple[Rule, int, int]]:
        for needle in PASSWORD_NEEDLES:
            position = lower.find(needle)
            while position >= 0:
                self.attempts += 1
                match = PASSWORD_ASSIGNMENT.match(data, position)
                after = position + len(needle)
                if match is not None and not data[max(0, position - 1) : position].isalpha():
                    group = 1 if match[1] is not None else 2
                    follows = b'"' if group == 1 else data[match.end() : match.end() + 1]
                    if is_assigned_password(match[group], follows):
                        near = lower[max(0, position - _CONNECTION_CHARS) : position]
                        yield (DATABASE_PASSWORD if CONNECTION.search(near) else PASSWORD), *match.span(group)
                    after = match.end()
                position = lower.find(needle, after)


def search_text(text: str, name: str = "") -> Search:
    """Look through a text; ``name`` is what it is the value of, as short values are known by their names."""
    search = Search()
    data = text.encode("ascii", "replace")
    search.look(data)
    if name and len(data) <= _MAX_VALUE_CHARS and b"\n" not in data and not search.hits:
        label = re.sub(rb"[^A-Za-z0-9_.-]", b" ", name.encode("ascii", "replace"))[-_WINDOW_CHARS // 2 :]
        search.look(label + b'="' + data + b'"')
    return search


def _proven(kind: Kind, match: re.Match[bytes]) -> Iterator[tuple[Rule, int, int]]:
    secret = kind.secret_of(match)
    if secret is not None:
        yield kind.rule, *secret


def _is_near(kind: Kind, data: bytes, position: int) -> bool:
    return not kind.near or kind.near in data[max(0, position - _AROUND_CHARS) : position + _AROUND_CHARS]


def _value(data: bytes, start: int, end: int) -> tuple[bytes, int, int]:
    """The part of a run after its last inner ``=``, without punctuation at its end."""
    finish = end
    if end - start > _MAX_VALUE_CHARS + _WINDOW_CHARS:
        return b"", start, start
    while finish > start and data[finish - 1] in b".,~":
        finish -= 1
    run = data[start:finish]
    begin = start + run.rstrip(b"=").rfind(b"=") + 1
    return data[begin:finish], begin, finish


def _build_starts(words: set[str]) -> str:
    """One expression for many literals that reads each character once: nested by common beginnings."""
    if "" in words:
        return ""
    by_first: dict[str, set[str]] = {}
    for word in words:
        by_first.setdefault(word[0], set()).add(word[1:])
    branches = [re.escape(first) + _build_starts(rest) for first, rest in sorted(by_first.items())]
    return branches[0] if len(branches) == 1 else "(?:" + "|".join(branches) + ")"


def _by_start() -> dict[bytes, tuple[Kind, ...]]:
    """The kinds to try by the first two characters."""
    found: dict[bytes, list[Kind]] = {}
    for kind in TOKENS:
        pairs = {word[:2] if len(word) > 1 else word + after for word in kind.starts for after in _WORD_CHARS}
        for pair in pairs:
            found.setdefault(pair.encode(), []).append(kind)
    return {pair: tuple(kinds) for pair, kinds in found.items()}


_WORD_CHARS = ascii_letters + digits + "_-"
_ALL_STARTS = _build_starts({word for kind in TOKENS for word in kind.starts})
_START = re.compile(_ALL_STARTS.encode())
_INNER_START = re.compile(f"[._~+/=-](?={_ALL_STARTS})".encode())
_BY_START = _by_start()
_NEEDLES: dict[bytes, list[Kind]] = {}
for _kind in PHRASES:
    _NEEDLES.setdefault(_kind.needle.encode(), []).append(_kind)
_INFIXES = tuple((kind.needle.encode(), kind) for kind in INFIXES)
_NAME = re.compile(rb"[a-z_./~-]+|[A-Z_./~-]+")
_DIGEST_LABELS = (
    b"sha256:",
    b"sha256-",
    b"sha512-",
    b"sha384-",
    b"sha1-",
    b"sha1:",
    b"md5:",
    b"sha256=",
    b"commit/",
)
_ASSIGNERS = (b"=", b":", b">", b"s")
_LOSSY = re.compile(rb"\0|%(?:2[027fF]|3[cCeE]|5[cC])[^\s@/]{0,64}@")
"""What cannot be undone without loss: zeros between two texts, what a password in a URL may not contain."""
_MIN_VALUE_CHARS = 16
_MAX_VALUE_CHARS = 200
_SERVICES_BY_LENGTH = {
    chars: tuple(kind for kind in SERVICES if chars in kind.lengths) for chars in range(_MAX_VALUE_CHARS + 1)
}
_UNMARKED = frozenset((ASSIGNED, PASSWORD, DATABASE_PASSWORD, *(kind.rule for kind in (*PHRASES, *INFIXES))))
"""Rules whose secrets begin with themselves and not with a public prefix."""

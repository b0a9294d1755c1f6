"""Tell whether bytes would run as a pickle, which needs no magic, no name and no end.

A pickle is a program for a small stack machine. What begins with instructions that hold together is one,
whatever else it is: text, weights, the front of an archive. Nothing is executed here; only the height of the
stack and the numbers of the memo are followed. Instructions: CPython, Lib/pickletools.py.
"""

import re
from dataclasses import dataclass, field

from strongroom.artifact.protobuf import ReadAt

MAX_STEPS = 10_000
"""Followed; what still holds together after so many is a pickle."""
MAX_LINE_BYTES = 2**24
"""Searched for the ends of lines, over all of them."""

_WINDOW_BYTES = 2**16
_ENOUGH_STEPS = 16
"""Instructions behind the mark of protocol 2 and later that weights do not begin with by chance."""
_NEWEST_PROTOCOL = 5

_LINE, _NUMBER, _QUOTED, _MEMO, _TWO_LINES = "line", "number", "quoted", "memo", "two lines"
_GLOBAL_NAMES = re.compile(rb"[\w.\x80-\xff]+", re.ASCII)

_Argument = int | str
_ARGUMENTS: dict[int, _Argument] = {
    **dict.fromkeys(b"IFL", _NUMBER),
    ord("S"): _QUOTED,
    **dict.fromkeys(b"VP", _LINE),
    **dict.fromkeys(b"gp", _MEMO),
    **dict.fromkeys(b"ci", _TWO_LINES),
    **dict.fromkeys(b"Khq\x80\x82", 1),
    **dict.fromkeys(b"M\x83", 2),
    **dict.fromkeys(b"Jjr\x84", 4),
    **dict.fromkeys(b"G\x95", 8),
    **dict.fromkeys(b"UC\x8a\x8c", -1),
    **dict.fromkeys(b"TXB\x8b", -4),
    **dict.fromkeys(b"\x8d\x8e\x96", -8),
}
"""Bytes of the argument; negative: so many bytes say how many follow."""

_EFFECTS: dict[int, tuple[int, int]] = {
    **dict.fromkeys(b"FILJKMNPSTUVXBCG})]gcjh\x82\x83\x84\x88\x89\x8a\x8b\x8c\x8d\x8e\x8f\x96\x97", (0, 1)),
    **dict.fromkeys(b"\x80\x95", (0, 0)),
    **dict.fromkeys(b"Qpqr\x85\x94\x98", (1, 1)),
    ord("2"): (1, 2),
    **dict.fromkeys(b"Rab\x81\x86\x93", (2, 1)),
    **dict.fromkeys(b"s\x87\x92", (3, 1)),
}
"""Taken from the stack and put back. Those that reach down to a mark are not here."""
_TO_MARK: dict[int, tuple[int, int]] = {
    **dict.fromkeys(b"dlti\x91", (0, 1)),
    ord("o"): (0, 1),
    ord("1"): (0, 0),
    **dict.fromkeys(b"eu\x90", (1, 1)),
}
_MARK, _POP, _STOP, _PROTOCOL = b"(0.\x80"
_NAMING = frozenset(b"ci\x82\x83\x84\x93")
_CALLING = frozenset(b"Rbio\x81\x92")
_PUTS, _GETS, _MEMOIZE = frozenset(b"pqr"), frozenset(b"ghj"), 0x94


def is_pickle(read_at: ReadAt, size_bytes: int) -> bool:
    """Return whether the content is a pickle, whole or broken, alone or with bytes behind it."""
    walk = _Walk(_Window(read_at, size_bytes))
    while walk.steps < MAX_STEPS and not walk.calls and walk.step():
        if walk.has_mark and walk.steps >= _ENOUGH_STEPS:
            return True
    if walk.calls or walk.is_open or walk.ends_whole or walk.steps >= MAX_STEPS:
        return True
    return walk.has_mark and (walk.names or walk.stops)


def runs_as_pickle(read_at: ReadAt, size_bytes: int) -> bool:
    """Return whether a pickle reader that is handed this file calls something by name.

    An archive begins with P, which asks for an object that only the program knows that wrote the pickle, and
    here by a name that none has: readers stop there, though a checkpoint lies behind it as it is.
    """
    if read_at(0, 4) == b"PK\x03\x04":
        return False
    walk = _Walk(_Window(read_at, size_bytes))
    while walk.steps < MAX_STEPS and not walk.calls and walk.step():
        pass
    return walk.calls or walk.steps >= MAX_STEPS


class _Window:
    """A file read forwards."""

    def __init__(self, read_at: ReadAt, size_bytes: int) -> None:
        self.size_bytes = size_bytes
        self.at = 0
        self._read_at = read_at
        self._start, self._data = 0, b""
        self._line_bytes_left = MAX_LINE_BYTES

    def take(self, size: int) -> bytes:
        """Small pieces; fewer bytes only at the end of the file."""
        offset = self.at - self._start
        if not 0 <= offset <= len(self._data) - size:
            self._start, self._data, offset = self.at, self._read_at(self.at, _WINDOW_BYTES), 0
        self.at += size
        return self._data[offset : offset + size]

    def line(self) -> bytes | None:
        """The line without its end, cut where it is long; nothing if it has none that can be found."""
        piece = self.take(0) or self._data[self.at - self._start :]
        end = piece.find(b"\n")
        if end >= 0:
            self.at += end + 1
            return piece[:end]
        first = b""
        while self._line_bytes_left > 0 and self.at < self.size_bytes:
            piece = self._read_at(self.at, _WINDOW_BYTES)
            if not piece:
                return None
            self._line_bytes_left -= len(piece)
            first = first or piece
            end = piece.find(b"\n")
            self.at += len(piece) if end < 0 else end + 1
            if end >= 0:
                return first[:end] if piece is first else first + piece[:end]
        return None

    @property
    def is_exhausted(self) -> bool:
        return self._line_bytes_left <= 0


@dataclass(slots=True)
class _Walk:
    """What was seen so far, and the machine as far as it is followed."""

    window: _Window
    steps: int = 0
    has_mark: bool = False
    """Begins as protocol 2 and later do."""
    names: bool = False
    calls: bool = False
    stops: bool = False
    ends_whole: bool = False
    is_open: bool = False
    """More was left than is looked at."""
    _height: int = 0
    _marks: list[int] = field(default_factory=list)
    _memo: set[int] = field(default_factory=set)

    def step(self) -> bool:
        """Follow one instruction; False where no reader would go on."""
        at = self.window.at
        code = self.window.take(1)
        if not code or not self._run(code[0], at):
            self.is_open = self.window.is_exhausted
            return False
        self.steps += 1
        return True

    def _run(self, code: int, at: int) -> bool:
        if code == _STOP:
            return self._stop()
        if not self._skip_argument(code, at):
            return False
        if code == _MARK:
            self._marks.append(self._height)
        elif code == _POP:
            return self._pop()
        elif code in _TO_MARK:
            if not self._marks:
                return False
            height, (takes, gives) = self._marks.pop(), _TO_MARK[code]
            if (code == ord("o") and self._height == height) or not self._move(height, takes, gives):
                return False
        elif code not in _EFFECTS or not self._move(self._height, *_EFFECTS[code]):
            return False
        if code == _MEMOIZE:
            self._memo.add(len(self._memo))
        self.calls = self.calls or (code in _CALLING and (self.names or code == ord("i")))
        self.names = self.names or code in _NAMING
        return True

    def _stop(self) -> bool:
        if self._height <= (self._marks[-1] if self._marks else 0):
            return False
        self.stops = True
        self.ends_whole = self.window.at == self.window.size_bytes
        self._height = 0
        self._marks.clear()
        self._memo.clear()  # the next reader begins anew
        return not self.ends_whole

    def _pop(self) -> bool:
        if self._marks and self._marks[-1] == self._height:
            self._marks.pop()
            return True
        self._height -= 1
        return self._height >= 0

    def _move(self, height: int, takes: int, gives: int) -> bool:
        floor = self._marks[-1] if self._marks else 0
        if height - takes < floor:
            return False
        self._height = height - takes + gives
        return True

    def _skip_argument(self, code: int, at: int) -> bool:
        kind = _ARGUMENTS.get(code, 0)
        if isinstance(kind, str):
            return self._skip_lines(code, kind)
        if not kind:
            return True
        data = self.window.take(abs(kind))
        if len(data) != abs(kind):
            return False
        value = int.from_bytes(data, "little")
        if kind < 0:
            self.window.at += value
            return self.window.at <= self.window.size_bytes
        if code == _PROTOCOL:
            self.has_mark = self.has_mark or at == 0
            return value <= _NEWEST_PROTOCOL
        return self._remember(code, value)

    def _skip_lines(self, code: int, kind: str) -> bool:
        line = self.window.line()
        if line is None:
            return False
        match kind:
            case "number":
                return _is_number(line.strip())
            case "quoted":
                text = line.strip()
                return len(text) > 1 and text[:1] == text[-1:] and text[:1] in b"'\""
            case "memo":
                number = _integer(line)
                return number is not None and self._remember(code, number)
            case "two lines":
                name = self.window.line()
                return name is not None and all(map(_GLOBAL_NAMES.fullmatch, (line, name)))
            case _:
                return True

    def _remember(self, code: int, number: int) -> bool:
        if code in _PUTS:
            self._memo.add(number)
        return code not in _GETS or number in self._memo


def _integer(text: bytes) -> int | None:
    try:
        return int(text)
    except ValueError:
        return None


def _is_number(text: bytes) -> bool:
    """As I, L and F read it, or a little more generously."""
    try:
        float(text)
    except ValueError:
        try:
            int(text.removesuffix(b"L"), 0)
        except ValueError:
            return False
    return True

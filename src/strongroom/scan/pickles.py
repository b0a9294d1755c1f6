"""Pickles and joblib files: every name and call, by symbolic execution against exact allow-lists."""

from contextlib import suppress

from strongroom.artifact.formats import Format
from strongroom.errors import RejectedError
from strongroom.scan import boosters, pickle_rules, torch_legacy
from strongroom.scan.pickle_graph import DeepError, require_bounded
from strongroom.scan.pickle_judge import Persist, PickleJudge
from strongroom.scan.pickle_machine import Budget, Machine
from strongroom.scan.pickle_tape import Tape
from strongroom.scan.pickle_values import Long
from strongroom.scan.place import Place
from strongroom.scan.scan import Content, Scan

RULES = pickle_rules.RULES

MAX_STREAMS = 1000
"""Pickles written one after the other into a file."""
MAX_OBJECT_ARRAYS = 20
"""Arrays of objects within arrays of objects, each a pickle of its own."""
MAX_INSIDE_BYTES = 256 * 2**20


class PickleReader:
    """Reads the streams of one file in order, with one judge and one budget for all."""

    def __init__(self, scan: Scan, content: Content, persist: Persist | None = None) -> None:
        self.tape = Tape(content.read_at, content.size_bytes)
        self.judge = PickleJudge(scan, content.place, self.tape, persist, self._nested)
        self._budget = Budget()
        self._depth = 0
        self._machine: Machine | None = None

    @property
    def at(self) -> int:
        """Byte of the opcode that ran last."""
        return self._machine.at if self._machine is not None else 0

    def read(self) -> object:
        """Return what the next stream leaves. Raises RejectedError where it breaks."""
        machine = self._machine = Machine(self.tape, self.judge, self._budget)
        try:
            value = machine.run()
        except DeepError as error:
            self.judge.bomb(machine.at, error.message)
            raise
        try:
            require_bounded(machine.nodes)
        except RejectedError as error:
            self.judge.bomb(machine.at, error.message)
        return value

    def _nested(self) -> None:
        outer = self._machine
        if outer is not None:
            outer.end_frame()
            outer.settle()
        if self._depth >= MAX_OBJECT_ARRAYS:
            raise RejectedError("arrays of objects within arrays of objects, too deep")
        self._depth += 1
        self.read()
        self._depth -= 1
        self._machine = outer
        if outer is not None:
            outer.resume()


def scan_pickle(scan: Scan, content: Content) -> None:
    """Judge a file that begins with a pickle: streams of it, with joblib's arrays, or an old PyTorch file."""
    reader = PickleReader(scan, content)
    judge = reader.judge
    try:
        value = reader.read()
        if value == torch_legacy.MAGIC:
            torch_legacy.read_streams(reader)
        else:
            _read_further(reader)
    except DeepError:
        pass  # reported where it was met
    except RejectedError as error:
        judge.broke(reader.at, error.message)
    finally:
        judge.report()
    judge_inside(scan, content, judge)
    if any(not array.is_padded for array in judge.arrays):
        _read_as_plain(scan, content)


def _read_further(reader: PickleReader) -> None:
    streams = 1
    while reader.tape.remaining_bytes:
        streams += 1
        if streams > MAX_STREAMS:
            raise RejectedError(f"more than {MAX_STREAMS} pickles in one file")
        reader.read()


def judge_inside(scan: Scan, content: Content, judge: PickleJudge) -> None:
    """Judge strings of bytes that allowed calls read as a format of their own; note pickles among others."""
    for kind, value, offset in judge.inside:
        data = _bytes_of(content, value)
        place = content.place.at(offset).enter(f"{kind} model")
        if kind == "xgboost":
            boosters.scan_snapshot(scan, data, place)
            continue
        found = scan.descend_bytes(data, place)
        if found not in _KINDS_INSIDE[kind]:
            raise RejectedError(f"what is kept as a model of {kind} is {found}")
    for where, size_bytes in judge.suspects:
        names = _find_harmful(scan, content, where, size_bytes)
        if names:
            scan.add(pickle_rules.INSIDE, content.place.at(where), f"a string that is a pickle: {names[0]}")


_KINDS_INSIDE = {
    "lightgbm": frozenset({Format.LIGHTGBM}),
    "torch": frozenset({Format.TORCH, Format.PICKLE}),
}


def _bytes_of(content: Content, value: object) -> bytes:
    if isinstance(value, Long):
        if value.size_bytes > MAX_INSIDE_BYTES:
            raise RejectedError(f"a model of more than {MAX_INSIDE_BYTES} bytes inside a pickle")
        try:
            return value.decode(content.read_at(value.offset, value.size_bytes))
        except ValueError:
            raise RejectedError("a model inside a pickle that is written in a broken way") from None
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    raise RejectedError("a model inside a pickle that is not written out")


def _find_harmful(scan: Scan, content: Content, where: int, size_bytes: int) -> list[str]:
    """Return what a string would do if it were loaded."""
    data = content.read_at(where, size_bytes)
    part = Content(lambda offset, size: data[offset : offset + size], size_bytes, Place(""))
    silent = Scan({}, scan.judge, lambda scan, text, place: None)
    reader = PickleReader(silent, part)
    with suppress(RejectedError):
        reader.read()
    return reader.judge.harmful()


def _read_as_plain(scan: Scan, content: Content) -> None:
    """Report what a reader that does not know joblib would run: it takes an array's bytes for opcodes."""
    silent = Scan({}, scan.judge, lambda scan, text, place: None)
    reader = PickleReader(silent, content)
    reader.judge.skips_arrays = False
    with suppress(RejectedError):
        reader.read()
    for message in reader.judge.harmful():
        scan.add(pickle_rules.MALFORMED, content.place, f"read without joblib, the file {message}")

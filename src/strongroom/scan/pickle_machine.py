"""Runs a pickle on stand-ins for objects: every opcode of protocols 0 to 5, nothing imported or called.

The semantics are those of Lib/pickle.py and Modules/_pickle.c; where the two differ, or a pickler of
Python never writes such a thing, the pickle is refused.
"""

import codecs
import struct
from collections.abc import Callable
from typing import Protocol

from strongroom.errors import RejectedError
from strongroom.scan.pickle_graph import MAX_NESTING, DeepError
from strongroom.scan.pickle_tape import Tape
from strongroom.scan.pickle_values import (
    MAX_LITERAL_BYTES,
    Dict,
    Global,
    List,
    Long,
    Made,
    Mark,
    Node,
    Set,
    Tuple,
    Value,
)

MAX_OPCODES = 10_000_000
MAX_NODES = 2_000_000
"""Containers and objects; a forest of 10,000 trees has 250,000."""
MAX_MARKS = 4096
"""Open at once. Picklers nest 1000 deep at most (the recursion limit of Python)."""
MAX_HELD_BYTES = 256 * 2**20
"""Of short strings; the longer ones are not kept."""
MAX_NUMBER_CHARS = 4300
"""Of a decimal number; Python itself reads no more (sys.int_info.default_max_str_digits)."""
MEMO_SLACK = 1024
"""A memo index may be this much larger than the number of opcodes; C allocates an array that long."""

HIGHEST_PROTOCOL = 5


class Budget:
    """What is left of the bounds, over all streams of a file."""

    __slots__ = ("held_bytes", "nodes", "opcodes")

    def __init__(self) -> None:
        self.opcodes, self.nodes, self.held_bytes = MAX_OPCODES, MAX_NODES, MAX_HELD_BYTES


class Judge(Protocol):
    """Says what names, calls and states come to. Raises nothing for what is merely forbidden.

    ``broke`` is for what no pickler writes and readers may yet get past: it refuses, and reading goes on.
    """

    def find(self, module: str, name: str, offset: int) -> Global: ...

    def call(
        self, callee: object, args: object, named: object, offset: int
    ) -> Made | bytes | Long | Global: ...

    def make(self, callee: object, args: object, named: object, offset: int) -> Made: ...

    def build(self, target: object, state: object, offset: int) -> object: ...

    def change(self, target: object, how: str, offset: int) -> None: ...

    def hold(self, values: list[Value], offset: int) -> None: ...

    def persist(self, pid: object, offset: int) -> object: ...

    def extend(self, code: int, offset: int) -> object: ...

    def broke(self, offset: int, message: str) -> None: ...

    def text(self, value: str | Long | bytes, offset: int) -> None: ...


class Machine:
    """One stream of a pickle, from its first opcode to STOP."""

    __slots__ = (
        "_at", "_budget", "_done", "_frame_end", "_judge", "_limit", "_memo", "_meta", "_ops", "_result",
        "_settled",
        "_stack", "_stored", "_tape", "nodes", "protocol",
    )  # fmt: skip

    def __init__(self, tape: Tape, judge: Judge, budget: Budget) -> None:
        self._tape, self._judge, self._budget = tape, judge, budget
        self._stack: list[object] = []
        self._meta: list[list[object]] = []
        self._memo: list[object] = []
        self._stored = 0
        self._at = tape.position
        self._frame_end = 0
        self._ops = self._settled = self._limit = 0
        self._done = False
        self._result: object = None
        self.protocol = 0
        self.nodes: list[Node] = []
        """All that hold others, in the order of their making."""

    @property
    def at(self) -> int:
        """Byte of the opcode that runs, or ran last."""
        return self._at

    def run(self) -> object:
        """Return the value that the stream leaves.

        Raises:
            RejectedError: it is not a pickle from its first to its last byte, or it exceeds a bound.
        """
        tape, handlers = self._tape, _HANDLERS
        self.resume()
        try:
            while not self._done:
                if tape.at >= len(tape.window):
                    tape.refill()
                    if not tape.window:
                        raise RejectedError("the pickle ends without a STOP")
                self._at = tape.base + tape.at
                handler = handlers[tape.window[tape.at]]
                if handler is None:
                    raise RejectedError(f"byte {tape.window[tape.at]:#04x} is no instruction of a pickle")
                tape.at += 1
                self._ops += 1
                if self._ops > self._limit:
                    raise RejectedError(f"more than {MAX_OPCODES} instructions")
                handler(self)
        except IndexError:
            raise RejectedError("an instruction takes more than there is on the stack") from None
        finally:
            self.settle()
        if self._stack or self._meta:
            raise RejectedError("something is left on the stack, which no pickler does")
        return self._result

    def settle(self) -> None:
        """Take what ran so far from the budget, before another machine runs on it."""
        self._budget.opcodes -= self._ops - self._settled
        self._settled = self._ops

    def resume(self) -> None:
        self._limit = self._ops + self._budget.opcodes

    # stack -----------------------------------------------------------------------------------------

    def _pop_mark(self) -> list[object]:
        items = self._stack
        self._stack = self._meta.pop()
        return items

    def _new(self, node: Node) -> None:
        self._budget.nodes -= 1
        if self._budget.nodes < 0:
            raise RejectedError(f"more than {MAX_NODES} containers and objects")
        self.nodes.append(node)

    def _push_new(self, node: Node) -> None:
        self._new(node)
        self._stack.append(node)

    def _keep(self, node: Node, values: list[object]) -> None:
        kids = node.hold(values)
        if kids:
            if node.height > MAX_NESTING:
                raise DeepError
            self._judge.hold(kids, self._at)

    def mark(self) -> None:
        if len(self._meta) >= MAX_MARKS:
            raise RejectedError(f"more than {MAX_MARKS} containers open at once")
        self._meta.append(self._stack)
        self._stack = []

    def pop(self) -> None:
        if self._stack:
            self._stack.pop()
        else:
            self._pop_mark()

    def pop_mark(self) -> None:
        self._pop_mark()

    def dup(self) -> None:
        self._stack.append(self._stack[-1])

    def stop(self) -> None:
        value = self._stack.pop()
        if isinstance(value, Value):
            self._judge.hold([value], self._at)
        self.end_frame()
        self._result = value
        self._done = True

    # framing ---------------------------------------------------------------------------------------

    def proto(self) -> None:
        version = self._tape.take(1)[0]
        if version > HIGHEST_PROTOCOL:
            raise RejectedError(f"protocol {version} is unknown")
        if self._ops != 1:
            self._judge.broke(self._at, "the protocol is declared in the middle of the pickle")
        self.protocol = version

    def frame(self) -> None:
        self.end_frame()
        size_bytes = int.from_bytes(self._tape.take(8), "little")
        if size_bytes > self._tape.remaining_bytes:
            self._judge.broke(self._at, "a frame is longer than the file")
        self._frame_end = self._tape.position + size_bytes

    def end_frame(self) -> None:
        """Report a frame that does not end here: readers with and without frames would go different ways."""
        if max(self._at, self._tape.position) < self._frame_end:
            self._judge.broke(self._at, "a frame does not end where its content does")

    # constants -------------------------------------------------------------------------------------

    def _string(self, size_bytes: int, is_text: bool) -> None:
        tape = self._tape
        if size_bytes > MAX_LITERAL_BYTES:
            value: str | bytes | Long = Long(tape.position, size_bytes, "utf-8" if is_text else "")
            tape.skip(size_bytes)
        else:
            self._budget.held_bytes -= size_bytes
            if self._budget.held_bytes < 0:
                raise RejectedError(f"more than {MAX_HELD_BYTES} bytes of short strings")
            data = tape.take(size_bytes)
            try:
                value = str(data, "utf-8", "surrogatepass") if is_text else data
            except UnicodeDecodeError:
                raise RejectedError("text that is not UTF-8") from None
        self._stack.append(value)
        if size_bytes > 7:  # shorter than any secret
            self._judge.text(value, self._at)

    def _line_text(self, line: bytes, text: str, written: str) -> None:
        """A string of protocol 0: text, whatever Python 2 thought of it."""
        self._budget.held_bytes -= len(text)
        if self._budget.held_bytes < 0:
            raise RejectedError(f"more than {MAX_HELD_BYTES} bytes of short strings")
        value: str | Long = text
        if len(text) > MAX_LITERAL_BYTES:
            quote = written == "escape"  # and the line feed, which is not part of it
            value = Long(self._tape.position - len(line) - 1 + quote, len(line) - 2 * quote, written)
        self._stack.append(value)
        if len(text) > 7:
            self._judge.text(value, self._at)

    def none(self) -> None:
        self._stack.append(None)

    def true(self) -> None:
        self._stack.append(True)

    def false(self) -> None:
        self._stack.append(False)

    def int_line(self) -> None:
        line = self._tape.line()
        if line in (b"00", b"01"):
            self._stack.append(line == b"01")
        else:
            self._stack.append(_number(line))

    def long_line(self) -> None:
        line = self._tape.line()
        self._stack.append(_number(line[:-1] if line.endswith(b"L") else line))

    def binint(self) -> None:
        self._stack.append(int.from_bytes(self._tape.take(4), "little", signed=True))

    def binint1(self) -> None:
        self._stack.append(self._tape.take(1)[0])

    def binint2(self) -> None:
        self._stack.append(int.from_bytes(self._tape.take(2), "little"))

    def long1(self) -> None:
        self._stack.append(int.from_bytes(self._tape.take(self._tape.take(1)[0]), "little", signed=True))

    def long4(self) -> None:
        size_bytes = self._size(4, signed=True)
        if size_bytes > MAX_LITERAL_BYTES:
            raise RejectedError(f"a number of {size_bytes} bytes")
        self._stack.append(int.from_bytes(self._tape.take(size_bytes), "little", signed=True))

    def float_line(self) -> None:
        line = self._tape.line()
        try:
            self._stack.append(float(line[:64]))
        except ValueError:
            raise RejectedError("a number that is none") from None

    def binfloat(self) -> None:
        self._stack.append(struct.unpack(">d", self._tape.take(8))[0])

    def _size(self, width: int, *, signed: bool = False) -> int:
        size_bytes = int.from_bytes(self._tape.take(width), "little", signed=signed)
        if not 0 <= size_bytes <= self._tape.remaining_bytes:
            raise RejectedError("a string is longer than the file")
        return size_bytes

    def string_line(self) -> None:
        line = self._tape.line()
        if len(line) < 2 or line[:1] not in b"'\"" or line[-1:] != line[:1]:
            raise RejectedError("a string without its quotes")
        try:
            text = codecs.escape_decode(line[1:-1])[0].decode("latin-1")
        except ValueError:
            raise RejectedError("a string with a broken escape") from None
        self._line_text(line, text, "escape")

    def unicode_line(self) -> None:
        line = self._tape.line()
        try:
            text = str(line, "raw-unicode-escape")
        except UnicodeDecodeError:
            raise RejectedError("text with a broken escape") from None
        self._line_text(line, text, "raw-unicode-escape")

    def short_binstring(self) -> None:
        self._old_string(self._tape.take(1)[0])

    def binstring(self) -> None:
        self._old_string(self._size(4, signed=True))

    def _old_string(self, size_bytes: int) -> None:
        """A string of Python 2, which may become text or bytes: text it is where names are made of it."""
        if size_bytes > MAX_LITERAL_BYTES:
            self._string(size_bytes, False)
            return
        self._string(size_bytes, False)
        data = self._stack[-1]
        if isinstance(data, bytes):
            self._stack[-1] = data.decode("latin-1")

    def short_binunicode(self) -> None:
        self._string(self._tape.take(1)[0], True)

    def binunicode(self) -> None:
        self._string(self._size(4), True)

    def binunicode8(self) -> None:
        self._string(self._size(8), True)

    def short_binbytes(self) -> None:
        self._string(self._tape.take(1)[0], False)

    def binbytes(self) -> None:
        self._string(self._size(4), False)

    def binbytes8(self) -> None:
        self._string(self._size(8), False)

    # memo ------------------------------------------------------------------------------------------

    def _put(self, index: int) -> None:
        if not 0 <= index <= self._ops + MEMO_SLACK:
            self._judge.broke(self._at, "a memo index beyond what can have been stored")
            return
        memo, value = self._memo, self._stack[-1]
        if index >= len(memo):
            memo += [Mark] * (index - len(memo) + 1)
        self._stored += memo[index] is Mark
        memo[index] = value

    def _get(self, index: int) -> None:
        value = self._memo[index] if 0 <= index < len(self._memo) else Mark
        if value is Mark:
            raise RejectedError("refers to something that was not stored")
        self._stack.append(value)

    def put_line(self) -> None:
        self._put(_number(self._tape.line()))

    def binput(self) -> None:
        self._put(self._tape.take(1)[0])

    def long_binput(self) -> None:
        self._put(int.from_bytes(self._tape.take(4), "little"))

    def memoize(self) -> None:
        self._put(self._stored)

    def get_line(self) -> None:
        self._get(_number(self._tape.line()))

    def binget(self) -> None:
        self._get(self._tape.take(1)[0])

    def long_binget(self) -> None:
        self._get(int.from_bytes(self._tape.take(4), "little"))

    # containers ------------------------------------------------------------------------------------

    def _tuple_of(self, items: list[object]) -> Tuple:
        made = Tuple(items)
        self._new(made)
        self._keep(made, items)
        return made

    def empty_tuple(self) -> None:
        self._stack.append(self._tuple_of([]))

    def tuple1(self) -> None:
        self._stack[-1] = self._tuple_of(self._stack[-1:])

    def tuple2(self) -> None:
        self._take_tuple(2)

    def tuple3(self) -> None:
        self._take_tuple(3)

    def _take_tuple(self, count: int) -> None:
        stack = self._stack
        if len(stack) < count:
            raise IndexError
        items = stack[-count:]
        del stack[-count:]
        stack.append(self._tuple_of(items))

    def tuple_(self) -> None:
        items = self._pop_mark()
        self._stack.append(self._tuple_of(items))

    def empty_list(self) -> None:
        self._push_new(List())

    def list_(self) -> None:
        items = self._pop_mark()
        self._push_new(made := List())
        self._extend(made, items)

    def append(self) -> None:
        value = self._stack.pop()
        self._extend(self._stack[-1], [value])

    def appends(self) -> None:
        items = self._pop_mark()
        self._extend(self._stack[-1], items)

    def _extend(self, target: object, items: list[object]) -> None:
        if isinstance(target, List):
            target.extend(items)
        else:
            self._judge.change(target, "appends to", self._at)
        if isinstance(target, Node):
            self._keep(target, items)

    def empty_dict(self) -> None:
        self._push_new(Dict())

    def dict_(self) -> None:
        items = self._pop_mark()
        self._push_new(made := Dict())
        self._update(made, items)

    def setitem(self) -> None:
        value, key = self._stack.pop(), self._stack.pop()
        self._update(self._stack[-1], [key, value])

    def setitems(self) -> None:
        items = self._pop_mark()
        self._update(self._stack[-1], items)

    def _update(self, target: object, items: list[object]) -> None:
        if len(items) % 2:
            raise RejectedError("a key without a value")
        if isinstance(target, Dict):
            for at in range(0, len(items), 2):
                target.set(items[at], items[at + 1])
        else:
            self._judge.change(target, "sets items of", self._at)
        if isinstance(target, Node):
            self._keep(target, items)

    def empty_set(self) -> None:
        self._push_new(Set())

    def additems(self) -> None:
        items = self._pop_mark()
        target = self._stack[-1]
        if not isinstance(target, Set):
            self._judge.change(target, "adds items to", self._at)
        if isinstance(target, Node):
            self._keep(target, items)

    def frozenset_(self) -> None:
        items = self._pop_mark()
        self._push_new(made := Set())
        self._keep(made, items)

    # names and calls -------------------------------------------------------------------------------

    def _names(self) -> tuple[str, str]:
        try:
            return str(self._tape.line(), "utf-8"), str(self._tape.line(), "utf-8")
        except UnicodeDecodeError:
            raise RejectedError("a name that is not UTF-8") from None

    def global_(self) -> None:
        self._stack.append(self._judge.find(*self._names(), self._at))

    def stack_global(self) -> None:
        name, module = self._stack.pop(), self._stack.pop()
        if not isinstance(module, str) or not isinstance(name, str):
            self._judge.broke(self._at, "imports something under a name that is not written in the pickle")
            self._push_new(Made(None))
            return
        self._stack.append(self._judge.find(module, name, self._at))

    def _called(self, made: object) -> None:
        if isinstance(made, Node):
            self._new(made)
        self._stack.append(made)

    def reduce(self) -> None:
        args, callee = self._stack.pop(), self._stack.pop()
        self._called(self._judge.call(callee, args, None, self._at))

    def inst(self) -> None:
        module, name = self._names()
        callee = self._judge.find(module, name, self._at)
        items = self._pop_mark()
        self._called(self._judge.call(callee, self._tuple_of(items), None, self._at))

    def obj(self) -> None:
        items = self._pop_mark()
        callee = items.pop(0)
        self._called(self._judge.call(callee, self._tuple_of(items), None, self._at))

    def newobj(self) -> None:
        args, callee = self._stack.pop(), self._stack.pop()
        self._called(self._judge.make(callee, args, None, self._at))

    def newobj_ex(self) -> None:
        named, args, callee = self._stack.pop(), self._stack.pop(), self._stack.pop()
        self._called(self._judge.make(callee, args, named, self._at))

    def build(self) -> None:
        state = self._stack.pop()
        target = self._stack[-1]
        if isinstance(state, Value):
            self._judge.hold([state], self._at)
            if isinstance(target, Node):
                target.hold([state])
        self._stack[-1] = self._judge.build(target, state, self._at)

    def _persist(self, pid: object) -> None:
        made = self._judge.persist(pid, self._at)
        if isinstance(made, Node):
            self._new(made)
        self._stack.append(made)

    def persid(self) -> None:
        self._persist(self._tape.line())

    def binpersid(self) -> None:
        self._persist(self._stack.pop())

    def _extension(self, width: int) -> None:
        code = int.from_bytes(self._tape.take(width), "little", signed=width == 4)
        self._stack.append(self._judge.extend(code, self._at))

    def ext1(self) -> None:
        self._extension(1)

    def ext2(self) -> None:
        self._extension(2)

    def ext4(self) -> None:
        self._extension(4)

    def buffer(self) -> None:
        raise RejectedError("refers to a buffer outside of the file")


def _number(text: bytes) -> int:
    """Return a decimal number as Python reads it, short enough that reading it takes no time."""
    if len(text) > MAX_NUMBER_CHARS:
        raise RejectedError("a number of too many digits")
    try:
        return int(text)
    except ValueError:
        raise RejectedError("a number that is none") from None


Handler = Callable[[Machine], None]

# Lib/pickletools.py, `opcodes`.
_BY_CODE: dict[bytes, Handler] = {
    b"I": Machine.int_line, b"J": Machine.binint, b"K": Machine.binint1, b"M": Machine.binint2,
    b"L": Machine.long_line, b"\x8a": Machine.long1, b"\x8b": Machine.long4, b"S": Machine.string_line,
    b"T": Machine.binstring, b"U": Machine.short_binstring, b"B": Machine.binbytes,
    b"C": Machine.short_binbytes, b"\x8e": Machine.binbytes8, b"\x96": Machine.binbytes8,
    b"\x97": Machine.buffer, b"\x98": Machine.buffer, b"N": Machine.none, b"\x88": Machine.true,
    b"\x89": Machine.false, b"V": Machine.unicode_line, b"\x8c": Machine.short_binunicode,
    b"X": Machine.binunicode, b"\x8d": Machine.binunicode8, b"F": Machine.float_line,
    b"G": Machine.binfloat, b"]": Machine.empty_list, b"a": Machine.append, b"e": Machine.appends,
    b"l": Machine.list_, b")": Machine.empty_tuple, b"t": Machine.tuple_, b"\x85": Machine.tuple1,
    b"\x86": Machine.tuple2, b"\x87": Machine.tuple3, b"}": Machine.empty_dict, b"d": Machine.dict_,
    b"s": Machine.setitem, b"u": Machine.setitems, b"\x8f": Machine.empty_set, b"\x90": Machine.additems,
    b"\x91": Machine.frozenset_, b"0": Machine.pop, b"2": Machine.dup, b"(": Machine.mark,
    b"1": Machine.pop_mark, b"g": Machine.get_line, b"h": Machine.binget, b"j": Machine.long_binget,
    b"p": Machine.put_line, b"q": Machine.binput, b"r": Machine.long_binput, b"\x94": Machine.memoize,
    b"\x82": Machine.ext1, b"\x83": Machine.ext2, b"\x84": Machine.ext4, b"c": Machine.global_,
    b"\x93": Machine.stack_global, b"R": Machine.reduce, b"b": Machine.build, b"i": Machine.inst,
    b"o": Machine.obj, b"\x81": Machine.newobj, b"\x92": Machine.newobj_ex, b"\x80": Machine.proto,
    b".": Machine.stop, b"\x95": Machine.frame, b"P": Machine.persid, b"Q": Machine.binpersid,
}  # fmt: skip
_HANDLERS: list[Handler | None] = [_BY_CODE.get(bytes([code])) for code in range(256)]

"""Judges what a pickle does, step by step: names by the exact list, calls and states by their checks."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from strongroom.errors import RejectedError, shorten
from strongroom.scan import pickle_rules as rules
from strongroom.scan.pickle_arrays import ArrayFact, JoblibArray, count_of, fact_dtype, read_shape
from strongroom.scan.pickle_calls import check_call, check_state
from strongroom.scan.pickle_globals import Allowed, Use, find_allowed, modern
from strongroom.scan.pickle_patterns import Call, Data, fact_of
from strongroom.scan.pickle_tape import Tape
from strongroom.scan.pickle_values import Dict, Global, List, Long, Made, Node, Set, Tuple, Value
from strongroom.scan.place import Place
from strongroom.scan.rule import Rule
from strongroom.scan.scan import Scan

MAX_TEXT_BYTES = 16 * 2**20
"""Of the strings of one file that are searched for secrets."""
MAX_REPORTED = 50
"""Different findings of one pickle."""

MAX_NAME_CHARS = 1000
_TEXT_BATCH = 64 * 2**10
_TOKEN = re.compile(r"[A-Za-z0-9+/_=.-]{24,}")
_PRINTABLE = re.compile(rb"[\t\n\r\x20-\x7e]+")

Persist = Callable[[object], "object"]
"""Returns what a persistent id stands for. Raises RejectedError."""


@dataclass(slots=True)
class _Found:
    rule: Rule
    offset: int
    message: str
    called: str = ""


@dataclass(slots=True)
class PickleJudge:
    """Collects what one pickle does. `report` gives it to the scan, also after the pickle broke."""

    scan: Scan
    place: Place
    tape: Tape
    persist_in: Persist | None = None
    nested: Callable[[], None] | None = None
    """Reads a further stream at the tape's place: an array of objects that joblib wrote."""
    inside: list[tuple[str, object, int]] = field(default_factory=list)
    """Strings of bytes that allowed calls read as something of their own, for the caller to judge."""
    suspects: list[tuple[int, int]] = field(default_factory=list)
    """Strings of bytes that may be pickles: where and how long."""
    arrays: list[JoblibArray] = field(default_factory=list)
    """Arrays that joblib wrote between the opcodes."""
    skips_arrays: bool = True
    _names: dict[tuple[str, str], Global] = field(default_factory=dict)
    _found: dict[tuple[str, ...], _Found] = field(default_factory=dict)
    _texts: list[tuple[int, str | Long | bytes]] = field(default_factory=list)
    _text_bytes: int = 0
    _text_total: int = 0

    # what the machine asks ---------------------------------------------------------------------------

    def find(self, module: str, name: str, offset: int) -> Global:
        known = self._names.get((module, name))
        if known is None:
            if len(module) + len(name) > MAX_NAME_CHARS:
                raise RejectedError("imports something under a name that is longer than any")
            today = modern(module, name)
            known = self._names[(module, name)] = Global(*today, find_allowed(*today))
        if known.allowed is None:
            self._refuse_name(known, offset)
        return known

    def call(self, callee: object, args: object, named: object, offset: int) -> Made | bytes | Long | Global:
        if not isinstance(callee, Global):
            if not (isinstance(callee, Made) and callee.maker is None):
                self._add(rules.CALL, offset, f"calls {_kind(callee)}", "kind")
            return Made(None)
        if callee.allowed is None:
            self._called(callee, args)
            return self._made(None, args)
        if not isinstance(args, Tuple):
            self._add(rules.CALL, offset, f"calls {_shown(callee)} with arguments that are not written out")
            return self._made(None, args)
        call = Call(callee, args.items)
        why_not = self._check(callee.allowed, call) if named is None else "with named arguments"
        if why_not:
            self._add(rules.CALL, offset, f"calls {_shown(callee)}{_arguments(args)} {why_not}", str(callee))
            return self._made(None, args)
        if call.constant is not None:
            self._forget_text(args.items[0] if args.items else None)
            return call.constant
        if call.inside is not None:
            self.inside.append((*call.inside, offset))
        return self._made(call.maker or callee, args, call.fact)

    def make(self, callee: object, args: object, named: object, offset: int) -> Made:
        is_class = isinstance(callee, Global) and callee.allowed is not None and callee.allowed.is_class
        if isinstance(callee, Global) and callee.allowed is not None and not is_class:
            self._add(
                rules.CALL, offset, f"makes an instance of {_shown(callee)}, which is no class", str(callee)
            )
            return self._made(None, args)
        if isinstance(named, Dict) and not named.kids and not named.entries:
            named = None
        made = self.call(callee, args, named, offset)
        return made if isinstance(made, Made) else self._made(None, args)

    def build(self, target: object, state: object, offset: int) -> object:
        if not isinstance(target, Made):
            self._add(rules.STATE, offset, f"sets attributes of {_kind(target)}", "kind")
            return target
        if target.maker is None or target.maker.allowed is None:
            return target
        why_not = check_state(target, state)
        if why_not:
            maker = _shown(target.maker)
            self._add(rules.STATE, offset, f"sets the state of {maker} {why_not}", maker)
            return target
        target.state = state
        self._read_inside(target, state, offset)
        if target.maker.allowed.check == "joblib-array" and self.skips_arrays:
            return self._step_over(state)
        return target

    def change(self, target: object, how: str, offset: int) -> None:
        if isinstance(target, Made):
            allowed = target.maker.allowed if target.maker is not None else None
            if allowed is None:
                return
            if allowed.sets_items if how == "sets items of" else allowed.appends:
                return
        self._add(rules.STATE, offset, f"{how} {_kind(target)}", "change")

    def hold(self, values: list[Value], offset: int) -> None:
        for value in values:
            if not isinstance(value, Global) or value.allowed is None:
                continue
            if value.allowed.use is Use.CALL and value.allowed.check != "bit-generator":
                shown = _shown(value)
                self._add(rules.CALL, offset, f"keeps the function {shown}, which is only ever called", shown)

    def persist(self, pid: object, offset: int) -> object:
        if self.persist_in is None:
            self._add(
                rules.PERSISTENT, offset, "has a persistent id, which only the program that loads it knows"
            )
            return Made(None)
        try:
            return self.persist_in(pid)
        except RejectedError as error:
            self._add(rules.PERSISTENT, offset, error.message)
            return Made(None)

    def extend(self, code: int, offset: int) -> object:
        self._add(rules.EXTENSION, offset, f"imports number {code} of the extension registry")
        return Made(None)

    def text(self, value: str | Long | bytes, offset: int) -> None:
        if isinstance(value, bytes) or (isinstance(value, Long) and not value.is_text):
            self._suspect(value, offset)
            if isinstance(value, Long) or _PRINTABLE.fullmatch(value) is None:
                return
        if self._text_bytes > _TEXT_BATCH:
            self._flush_texts()
        self._texts.append((offset, value))
        self._text_bytes += value.size_bytes if isinstance(value, Long) else len(value)

    # what the caller asks ----------------------------------------------------------------------------

    def broke(self, offset: int, message: str) -> None:
        """Report that the pickle cannot be read from here on."""
        self._add(rules.MALFORMED, offset, message)

    def bomb(self, offset: int, message: str) -> None:
        self._add(rules.BOMB, offset, message)

    @property
    def is_clean(self) -> bool:
        return not self._found

    def report(self) -> None:
        self._flush_texts()
        if self._text_total > MAX_TEXT_BYTES:
            self.scan.add(rules.UNREAD, self.place, f"{self._text_total} bytes of text")
        for found in self._found.values():
            self.scan.add(found.rule, self.place.at(found.offset), found.message + found.called)

    def harmful(self) -> list[str]:
        """Return the forbidden names that were found, for a pickle that is only data."""
        return [found.message for found in self._found.values() if found.rule in _HARMFUL]

    # inner -------------------------------------------------------------------------------------------

    def _add(self, rule: Rule, offset: int, message: str, key: str = "") -> None:
        name = (rule.id, key or message)
        if name not in self._found and len(self._found) < MAX_REPORTED:
            self._found[name] = _Found(rule, offset, message)

    def _refuse_name(self, name: Global, offset: int) -> None:
        rule = rules.rule_for(name.module, name.name)
        self._add(rule, offset, f"imports {_shown(name)}", f"{name.module} {name.name}")

    def _called(self, callee: Global, args: object) -> None:
        key = (rules.rule_for(callee.module, callee.name).id, f"{callee.module} {callee.name}")
        found = self._found.get(key)
        if found is not None and not found.called:
            found.called = f" and calls it on loading: {callee.name[:60]}{_arguments(args)}"
            if not callee.name.isprintable():
                found.called = " and calls it on loading"

    def _made(self, maker: Global | None, args: object, fact: object = None) -> Made:
        made = Made(maker, fact)
        made.hold([args])
        if maker is not None and maker.allowed is not None and maker.allowed.check == "tuple":
            made.state = args
        return made

    def _check(self, allowed: Allowed, call: Call) -> str:
        use = allowed.use
        if use in (Use.MAKE, Use.CALL):
            return check_call(call, allowed.check)
        if use is Use.TUPLE:
            return ""
        if use is Use.ENUM:
            return check_call(call, "const")
        if use is Use.HOLD:
            return "which is never called on loading"
        return "with arguments" if call.args else ""

    def _step_over(self, state: object) -> Made:
        """Step over the bytes of an array that joblib wrote after its wrapper."""
        array = _joblib_array(state)
        if array is None:
            raise RejectedError("an array of joblib whose type or shape is not written out")
        self.arrays.append(array)
        tape = self.tape
        if array.dtype.holds_objects:
            if self.nested is None:
                raise RejectedError("arrays of objects within arrays of objects")
            self.nested()
            return self._array()
        if array.is_padded:
            padding = tape.take(tape.take(1)[0])
            if len(padding) > MAX_PADDING or padding.strip(b"\xff"):
                raise RejectedError("something is hidden in the padding of an array")
        tape.skip(array.count * array.dtype.size_bytes)
        return self._array()

    def _array(self) -> Made:
        return Made(Global("numpy", "ndarray", find_allowed("numpy", "ndarray")), ArrayFact())

    def _read_inside(self, target: Made, state: object, offset: int) -> None:
        check = (
            target.maker.allowed.check
            if target.maker is not None and target.maker.allowed is not None
            else ""
        )
        if check not in ("xgboost-booster", "lightgbm-booster") or not isinstance(state, Dict):
            return
        for name in ("handle", "_handle"):
            handle = state.entries.get(name)
            if isinstance(data := fact_of(handle), Data):
                handle = data.value
            if handle is not None:
                self._forget_text(handle)
                self.inside.append((check.partition("-")[0], handle, offset))

    def _suspect(self, value: bytes | Long, offset: int) -> None:
        if len(self.suspects) >= MAX_SUSPECTS:
            return
        if isinstance(value, Long):
            where, size, head = value.offset, value.size_bytes, self.tape.look(value.offset, 2)
        else:
            where, size, head = self.tape.position - len(value), len(value), value[:2]
        is_headed = size <= MAX_SUSPECT_BYTES and head[:1] == b"\x80" and head[1:2] in b"\x02\x03\x04\x05"
        if is_headed and self.tape.look(where + size - 1, 1) == b".":
            self.suspects.append((where, size))

    def _forget_text(self, value: object) -> None:
        """Numbers that an old protocol wrote as text are no text."""
        if self._texts and self._texts[-1][1] is value:
            self._texts.pop()

    def _flush_texts(self) -> None:
        texts, self._texts, self._text_bytes = self._texts, [], 0
        lines = []
        for _, value in texts:
            room = MAX_TEXT_BYTES - self._text_total
            if isinstance(value, Long):
                self._text_total += value.size_bytes
                lines.append(
                    self.tape.look(value.offset, min(value.size_bytes, max(0, room))).decode(
                        "utf-8", "replace"
                    )
                )
            else:
                self._text_total += len(value)
                if room > 0:
                    lines.append(value if isinstance(value, str) else value.decode("ascii"))
        if lines:
            text = "\n".join(lines)
            self.scan.text(text.encode("utf-8", "replace").decode(), self.place.at(texts[0][0]))


MAX_PADDING = 255
MAX_SUSPECTS = 32
MAX_SUSPECT_BYTES = 2**20
_HARMFUL = (rules.EXECUTES, rules.CODE_OBJECT, rules.NOT_ALLOWED, rules.BOMB)


def _joblib_array(state: object) -> JoblibArray | None:
    """Read the state of joblib.numpy_pickle.NumpyArrayWrapper, as far as the bytes depend on it."""
    if not isinstance(state, Dict):
        return None
    dtype, shape = fact_dtype(state.entries.get("dtype")), read_shape(state.entries.get("shape"))
    alignment = state.entries.get("numpy_array_alignment_bytes")
    if dtype is None or shape is None or not (alignment is None or isinstance(alignment, int)):
        return None
    return JoblibArray(dtype, count_of(shape), alignment is not None)


def _shown(name: Global) -> str:
    text = str(name)
    return text if text.isascii() and text.isprintable() and len(text) <= 120 else shorten(text)


def _kind(value: object) -> str:
    if isinstance(value, Global):
        return _shown(value)
    if isinstance(value, Made):
        return f"what {_shown(value.maker)} made" if value.maker is not None else "what a refused call made"
    if isinstance(value, Tuple | List | Dict | Set):
        return f"a {type(value).__name__.lower()}"
    return "a constant" if not isinstance(value, Node) else "a value"


def _arguments(args: object) -> str:
    """Return literal arguments as they would be written, cut short, without what looks like a secret."""
    if not isinstance(args, Tuple):
        return "(…)"
    return f"({', '.join(_literal(item) for item in args.items[:4])}{', …' if len(args.items) > 4 else ''})"


def _literal(value: object) -> str:
    if isinstance(value, str | bytes):
        text = value if isinstance(value, str) else value.decode("latin-1")
        return shorten(_TOKEN.sub(lambda match: f"{match[0][:4]}…", text), 80)
    if value is None or isinstance(value, bool | float) or (isinstance(value, int) and abs(value) < 2**64):
        return repr(value)
    if isinstance(value, Tuple | List):
        return "(…)" if isinstance(value, Tuple) else "[…]"
    return _shown(value) if isinstance(value, Global) else "…"

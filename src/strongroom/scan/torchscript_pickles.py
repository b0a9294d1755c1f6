"""Judge the pickles of a TorchScript archive: tensors, plain values, objects of the program's own classes."""

from typing import Any

from strongroom.errors import RejectedError
from strongroom.scan.pickle_globals import Allowed, Use
from strongroom.scan.pickle_judge import Persist, PickleJudge
from strongroom.scan.pickle_values import Global, List, Long, Made, Tuple
from strongroom.scan.pickles import PickleReader
from strongroom.scan.scan import Content, Scan
from strongroom.scan.torch_operators import CLASSES
from strongroom.scan.torchscript_code import Program

_HELPERS = frozenset(
    {
        "build_boollist",
        "build_doublelist",
        "build_intlist",
        "build_tensor_from_id",
        "build_tensorlist",
        "restore_type_tag",
    }
)
"""Functions of torch/jit/_pickle.py, which return their first argument."""
_HELPERS_AT = "torch.jit._pickle"
_BUILTIN = "torch.classes."
_OWN = "__torch__"

_OBJECT = Allowed(Use.TUPLE)
"""An object of the program: made from any values, then given any state."""
_HELPER = Allowed(Use.LIST)


class TorchScriptReader(PickleReader):
    """Reads one pickle of an archive; its classes are those of the program beside it."""

    def __init__(self, scan: Scan, content: Content, program: Program, persist: Persist | None) -> None:
        super().__init__(scan, content, persist)
        self.judge = _Judge(scan, content.place, self.tape, persist, self._nested)
        self.judge.program = program

    def read_all(self) -> tuple[object, bool]:
        """Return the value of the pickle, and whether it was read to its end; faults are reported."""
        try:
            value = self.read()
            if self.tape.remaining_bytes:
                raise RejectedError("something follows the pickle")
        except RejectedError as error:
            self.judge.broke(self.at, error.message)
            return None, False
        finally:
            self.judge.report()
        return value, True


class _Judge(PickleJudge):
    program: Program

    def find(self, module: str, name: str, offset: int) -> Global:
        if module == _HELPERS_AT and name in _HELPERS:
            return Global(module, name, _HELPER)
        full = f"{module}.{name}"
        if full.startswith(f"{_OWN}.") and self._is_known(full):
            return Global(module, name, _OBJECT)
        return super().find(module, name, offset)

    def call(self, callee: object, args: object, named: object, offset: int) -> Made | bytes | Long | Global:
        if isinstance(callee, Global) and callee.allowed is _HELPER:
            items = args.items if isinstance(args, Tuple) else []
            if named is None and 1 <= len(items) <= 2 and all(isinstance(tag, str) for tag in items[1:]):
                made = Made(callee)
                made.hold([items[0]])
                return made
        return super().call(callee, args, named, offset)

    def _is_known(self, full: str) -> bool:
        inner = full.removeprefix(f"{_OWN}.")
        if inner.startswith(_BUILTIN):
            return inner.removeprefix(_BUILTIN) in CLASSES
        return full in self.program.names


def find_strings(value: object) -> list[str]:
    """Return the short strings of a value of tuples and lists."""
    found: list[str] = []
    waiting: list[Any] = [value]
    seen: set[int] = set()
    while waiting:
        each = waiting.pop()
        if isinstance(each, str):
            found.append(each)
        elif isinstance(each, Tuple) and id(each) not in seen:
            seen.add(id(each))
            waiting.extend(each.items)
        elif isinstance(each, List) and id(each) not in seen:
            seen.add(id(each))
            found += each.words
            waiting.extend(each.kids)
    return found

"""Judge the program of a TorchScript archive: known syntax, and calls of known operators or of itself only.

The program is written in a subset of Python (torch/csrc/jit/serialization/python_print.cpp) and parsed with
`ast`, never run. PyTorch has a lexer of its own, so only text that both read alike is accepted.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from strongroom.errors import RejectedError, shorten
from strongroom.scan.torch_operators import CLASSES, is_allowed, is_aten

MAX_SOURCE_BYTES = 16 * 2**20
"""Of one file."""
MAX_NODES = 4_000_000
"""Of one file."""
MAX_REPORTED = 50
"""Of one file."""

_PLAIN = re.compile(r"[\n\x20-\x7e]*")
_SYNTAX: tuple[type[ast.AST], ...] = (
    ast.Module, ast.ClassDef, ast.FunctionDef, ast.arguments, ast.arg, ast.Assign, ast.AnnAssign,
    ast.AugAssign, ast.Expr, ast.Return, ast.If, ast.For, ast.While, ast.Pass, ast.Break, ast.Continue,
    ast.With, ast.withitem, ast.Assert, ast.Name, ast.Attribute, ast.Subscript, ast.Slice, ast.Constant,
    ast.Tuple, ast.List, ast.Dict, ast.Call, ast.keyword, ast.Compare, ast.BoolOp, ast.BinOp, ast.UnaryOp,
    ast.IfExp, ast.Starred, ast.expr_context, ast.boolop, ast.operator, ast.unaryop, ast.cmpop,
)  # fmt: skip
_BUILTIN_NAMES = """
    abs all annotate any awaitable awaitable_nowait awaitable_wait bin bool chr complex dict divmod enumerate
    float fork getattr hasattr hash hex int isinstance len list max min oct ord pow print range rangelist
    reversed round sorted str sum super tuple unchecked_cast uninitialized zip
"""
_BUILTINS = frozenset(_BUILTIN_NAMES.split())
"""Names of torch/csrc/jit/frontend that stand for operators, and `import_source.cpp`."""
_BASES = frozenset({"Module", "NamedTuple", "Enum", "Interface", "ModuleInterface", "object"})
_METHOD_NAMES = """
    bias bit_rate dilation groups output_padding padding run stride transpose unpack version weight
    __getstate__ __setstate__
"""
_CLASS_METHODS = frozenset(_METHOD_NAMES.split())
"""Of the classes that PyTorch registers for packed weights."""
_NEVER = frozenset({"from_file", "save", "_reshape_alias", "_reshape_alias_copy"})
"""Operators left out on purpose: a method of the program may not lend its name to them."""
_VALUES = frozenset({"device", "dtype", "layout", "memory_format", "Tensor"})
"""Of ``torch.``, beside operators."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that this program may not say, and where."""

    line: int
    message: str
    is_call: bool = False
    """Whether it calls something that is not known, rather than being written in an unknown way."""


@dataclass(slots=True)
class Program:
    """All files of one archive, which may call each other."""

    trees: dict[str, ast.Module] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)
    """Qualified names of classes and functions: ``__torch__.torch.nn.modules.linear.Linear``."""
    methods: set[str] = field(default_factory=set)
    values: dict[str, set[str]] = field(default_factory=dict)
    """By file: arguments and what is assigned, which may be functions of the program."""
    classes: set[str] = field(default_factory=set)
    """Classes of PyTorch itself that it names: ``quantized.LinearPackedParamsBase``."""

    def add(self, path: str, source: str) -> None:
        """Parse a file; ``path`` is within the folder ``code``.

        Raises:
            RejectedError: it is not what both lexers read alike, or too large.
        """
        if _PLAIN.fullmatch(source) is None:
            raise RejectedError("a program with other characters than printable ASCII")
        try:
            tree = ast.parse(source)
        except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
            raise RejectedError(f"a program that cannot be read: {shorten(error)}") from None
        self.trees[path] = tree
        module = path.removesuffix(".py").replace("/", ".")
        for part in tree.body:
            if isinstance(part, ast.ClassDef | ast.FunctionDef):
                self.names.add(f"{module}.{part.name}")
            if isinstance(part, ast.ClassDef):
                self.methods |= {inner.name for inner in part.body if isinstance(inner, ast.FunctionDef)}
        self.values[path] = {
            node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and _is_set(node)
        }
        self.values[path] |= {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}

    def judge(self, path: str) -> list[Fault]:
        """Return what is wrong with a file that was added, once all were."""
        faults: list[Fault] = []
        for count, (node, is_part) in enumerate(_walk(self.trees[path])):
            if count > MAX_NODES:
                raise RejectedError(f"a program of more than {MAX_NODES} parts")
            message, is_call = self._fault(node, path, is_part=is_part)
            if message:
                faults.append(Fault(getattr(node, "lineno", 0), message, is_call))
            if len(faults) >= MAX_REPORTED:
                break
        return faults

    def _fault(self, node: ast.AST, path: str, *, is_part: bool) -> tuple[str, bool]:
        """Return what is wrong, and whether it is about a call."""
        if not isinstance(node, _SYNTAX):
            return f"has {type(node).__name__}, which no TorchScript is written with", False
        match node:
            case ast.Constant(value=value):
                is_known = value is Ellipsis or isinstance(value, str | int | float | complex | None)
                return ("" if is_known else "has bytes, which TorchScript does not know"), False
            case ast.ClassDef():
                return _class_fault(node), False
            case ast.FunctionDef():
                return _function_fault(node), False
            case ast.Call():
                return self._call_fault(node, path), True
            case ast.Attribute() if not is_part:
                return self._reference_fault(node), True
            case ast.Name(id=name) if name in _ROOTS and not is_part:
                return f"uses {name} as a value", True
            case _:
                return "", False

    def _call_fault(self, node: ast.Call, path: str) -> str:
        callee = node.func
        if isinstance(callee, ast.Name):
            is_known = callee.id in _BUILTINS or callee.id in self.values[path]
            return "" if is_known else f"calls {shorten(callee.id)}, which is not known"
        if not isinstance(callee, ast.Attribute):
            return "calls what it computes"
        if _root(callee) in _ROOTS:
            return self._reference_fault(callee)
        name = callee.attr
        if name not in _NEVER and (name in self.methods or name in _CLASS_METHODS or is_aten(name)):
            return ""
        return f"calls the method {shorten(name)}, which is neither its own nor a harmless one of PyTorch"

    def _reference_fault(self, node: ast.Attribute) -> str:
        """Judge a dotted name that begins with one of the roots; attributes of other values are data."""
        parts = _dotted(node)
        if not parts or parts[0] not in _ROOTS:
            return ""
        shown = shorten(".".join(parts))
        match parts:
            case ["torch", name] if is_aten(name) or name in _VALUES:
                return ""
            case ["ops", namespace, name] if is_allowed(namespace, name):
                return ""
            case ["CONSTANTS", _]:
                return ""
            case ["__torch__", "torch", "classes", namespace, name]:
                self.classes.add(f"{namespace}.{name}")
                return (
                    "" if f"{namespace}.{name}" in CLASSES else f"uses the class {shown}, which is not known"
                )
            case ["__torch__", *_] if self._is_own(parts):
                return ""
        return f"uses {shown}, which is not an operator that is known to be harmless"

    def _is_own(self, parts: list[str]) -> bool:
        """A name of the program, or an attribute of one: a member of an enumeration, a method of a class."""
        full = ".".join(parts)
        return full in self.names or ".".join(parts[:-1]) in self.names


_ROOTS = frozenset({"torch", "ops", "__torch__", "CONSTANTS"})


def _walk(tree: ast.Module) -> Iterator[tuple[ast.AST, bool]]:
    """Yield every part, and whether it is what a call calls or what a dotted name begins with."""
    waiting: list[tuple[ast.AST, bool]] = [(tree, False)]
    while waiting:
        node, is_part = waiting.pop()
        yield node, is_part
        for child in ast.iter_child_nodes(node):
            is_callee = isinstance(node, ast.Call) and child is node.func
            is_inner = isinstance(node, ast.Attribute) and _root(child) in _ROOTS
            waiting.append((child, (is_callee and isinstance(child, ast.Attribute)) or is_inner))


def _root(node: ast.AST) -> str:
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def _dotted(node: ast.expr) -> list[str]:
    """Return the parts of a dotted name; nothing for an attribute of a value."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return [node.id, *reversed(parts)] if isinstance(node, ast.Name) else []


def _is_set(node: ast.Name) -> bool:
    return isinstance(node.ctx, ast.Store)


def _function_fault(node: ast.FunctionDef) -> str:
    if node.name in _NEVER:
        return f"defines {node.name}, which is the name of an operator that is left out"
    return "has a decorator" if node.decorator_list else ""


def _class_fault(node: ast.ClassDef) -> str:
    bases = [base.id for base in node.bases if isinstance(base, ast.Name)]
    if node.decorator_list or node.keywords or len(bases) != len(node.bases) or not _BASES.issuperset(bases):
        return f"has the class {shorten(node.name)} of an unknown kind"
    return ""

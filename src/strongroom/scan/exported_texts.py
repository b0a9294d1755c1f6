"""Texts of an exported program that PyTorch runs: sizes, guards, shapes of arguments, names, operators.

On loading, `torch/_export/serde/serialize.py` gives sizes to sympy, which evaluates them; guards and names go
into the source of a function; the containers of arguments are looked up by module and name; operators are
attributes of the module torch. Each is accepted only in the form in which PyTorch writes it.
"""

import ast
import json
import re
from collections.abc import Mapping
from typing import Any

from strongroom.errors import RejectedError, shorten
from strongroom.scan.torch_operators import is_allowed

MAX_TEXT_CHARS = 16_384
MAX_SPEC_CHARS = 2**20
MAX_NODES = 4096
MAX_POWERS = 4
MAX_POWER = 8
MAX_PRECISION = 1024
"""Bits of a number."""
MAX_SPEC_DEPTH = 64

NAME = re.compile(r"(?:[A-Za-z_]\w{0,1023})?", re.ASCII)
"""Of a value: becomes a variable."""
PATH = re.compile(r"[\w.$:/ -]{0,4096}", re.ASCII)
"""Of a parameter or module: is looked up, never written into code."""

_SYMBOLIC_NAMES = """
    Symbol Integer Rational Float Add Mul Pow Mod Max Min Eq Ne Lt Le Gt Ge And Or Not Equality
    Unequality LessThan StrictLessThan GreaterThan StrictGreaterThan FloorDiv ModularIndexing CleanDiv
    CeilToInt FloorToInt CeilDiv TruncToInt TruncToFloat RoundToInt RoundDecimal IntTrueDiv FloatTrueDiv
    PythonMod ToFloat Where Identity PowByNatural FloatPow LShift RShift Piecewise ITE ceiling floor Abs
    sqrt IsNonOverlappingAndDenseIndicator BitwiseFn_bitwise_and BitwiseFn_bitwise_or OpaqueUnaryFn_sqrt
    OpaqueUnaryFn_exp OpaqueUnaryFn_log OpaqueUnaryFn_log2 OpaqueUnaryFn_cos OpaqueUnaryFn_sin
    OpaqueUnaryFn_tanh
"""
_SYMBOLIC = frozenset(_SYMBOLIC_NAMES.split())
"""Of sympy and torch.utils._sympy.functions."""
_VALUES = re.compile(r"(?:[su]|zf?|zuf|f)\d{1,9}|true|false|int_oo|oo", re.ASCII)
_NUMBER = re.compile(r"-?[0-9.]{1,64}(?:e[-+]?[0-9]{1,4})?", re.ASCII)
_POWERS = frozenset({"FloatPow", "LShift", "Pow", "PowByNatural"})
_KEY = re.compile(r"[\w.]{0,256}", re.ASCII)
_GUARD_METHODS = frozenset({"size", "stride", "storage_offset", "dim", "numel", "item"})
_GUARD_FUNCTIONS = frozenset({"max", "min", "abs", "int", "float", "round", "len", "isinstance"})
_GUARD_NAMES = frozenset({"L", "None", "True", "False", "int", "float", "bool", "str"})
_PLAIN_SYNTAX = (
    ast.Expression, ast.Constant, ast.Name, ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.Tuple,
    ast.operator, ast.unaryop, ast.boolop, ast.cmpop, ast.expr_context, ast.IfExp,
)  # fmt: skip
_SPEC_TYPES = frozenset(
    {
        None,
        "builtins.dict",
        "builtins.list",
        "builtins.tuple",
        "collections.OrderedDict",
        "collections.defaultdict",
        "collections.deque",
        "builtins.slice",
        "torch.Size",
    }
)
_RETURN_TYPE = re.compile(r"torch\.return_types\.[a-z_]{1,64}", re.ASCII)
_FACTORIES = frozenset({"dict", "float", "int", "list", "set", "str", "tuple"})
_OPERATOR = re.compile(r"torch\.ops\.(\w{1,64})\.(\w{1,128})(?:\.\w{1,128})?", re.ASCII)
_HIGHER_ORDER = frozenset(
    {
        "associative_scan",
        "cond",
        "flex_attention",
        "map_impl",
        "scan",
        "while_loop",
        "wrap_with_autocast",
        "wrap_with_set_grad_enabled",
    }
)
_OPERATOR_NAMES = """
    _operator.add _operator.and_ _operator.eq _operator.floordiv _operator.ge _operator.getitem
    _operator.gt _operator.le _operator.lt _operator.mod _operator.mul _operator.ne _operator.neg
    _operator.not_ _operator.or_ _operator.pos _operator.pow _operator.sub _operator.truediv
    _operator.lshift _operator.rshift math.ceil math.floor math.trunc math.sqrt torch.sym_float
    torch.sym_int torch.sym_ite torch.sym_max torch.sym_min torch.sym_not torch.sym_sqrt torch.sym_sum
    torch._sym_sqrt torch._sym_log2
"""
_PYTHON_OPERATORS = frozenset(_OPERATOR_NAMES.split())


def operator_fault(target: str) -> str:
    """Return why an operator may not be called; empty for a harmless one."""
    found = _OPERATOR.fullmatch(target)
    if target in _PYTHON_OPERATORS:
        return ""
    if found is not None and (is_allowed(found[1], found[2]) or _is_higher_order(found)):
        return ""
    return f"calls {shorten(target)}, which is not an operator that is known to be harmless"


def _is_higher_order(found: re.Match[str]) -> bool:
    return found[1] == "higher_order" and found[2] in _HIGHER_ORDER


def size_fault(text: str) -> str:
    """Judge the text of a size, which sympy evaluates."""
    tree = _parse(text)
    if tree is None:
        return f"has the size {shorten(text)}"
    powers = 0
    for node in ast.walk(tree):
        powers += _is_power(node)
        if not _is_size_part(node) or powers > MAX_POWERS:
            return f"has the size {shorten(text)}"
    return ""


def _is_power(node: ast.AST) -> bool:
    return isinstance(node, ast.Pow) or (isinstance(node, ast.Name) and "Pow" in node.id)


def _is_size_part(node: ast.AST) -> bool:
    match node:
        case ast.Call(func=ast.Name(id=name), args=args, keywords=keywords):
            is_small = name not in _POWERS or (len(args) == 2 and _is_small(args[1]))
            return name in _SYMBOLIC and is_small and all(map(_is_option, keywords))
        case ast.Name(id=name):
            return name in _SYMBOLIC or _VALUES.fullmatch(name) is not None
        case ast.Constant(value=value):
            return isinstance(value, int | float | bool) or _is_symbol(value)
        case ast.BinOp(op=ast.Pow() | ast.LShift(), right=right):
            return _is_small(right)
        case ast.keyword():
            return True
        case _:
            return isinstance(node, _PLAIN_SYNTAX)


def _is_small(node: ast.expr) -> bool:
    """An exponent that sympy does not work out for hours: a small number, or a symbol."""
    match node:
        case ast.Call(func=ast.Name(id="Integer"), args=[ast.Constant(value=value)]):
            return isinstance(value, int) and value <= MAX_POWER
        case ast.Constant(value=value):
            return isinstance(value, int) and value <= MAX_POWER
        case ast.Call(func=ast.Name(id="Symbol")):
            return True
        case ast.Name(id=name):
            return _VALUES.fullmatch(name) is not None
        case _:
            return False


def _is_option(keyword: ast.keyword) -> bool:
    """``positive=True``, ``precision=53``."""
    value = keyword.value.value if isinstance(keyword.value, ast.Constant) else ""
    return isinstance(value, int) and value <= MAX_PRECISION


def _is_symbol(value: object) -> bool:
    """The name of a symbol, or a number written as text."""
    return isinstance(value, str) and (NAME.fullmatch(value) or _NUMBER.fullmatch(value)) is not None


def guard_fault(text: str) -> str:
    """Judge a guard, which becomes the source of a function."""
    tree = _parse(text)
    if tree is not None and all(_is_guard_part(node) for node in ast.walk(tree)):
        return ""
    return f"has the guard {shorten(text)}"


def _is_guard_part(node: ast.AST) -> bool:
    match node:
        case ast.Call(func=ast.Attribute(attr=name), keywords=[]):
            return name in _GUARD_METHODS
        case ast.Call(func=ast.Name(id=name), keywords=[]):
            return name in _GUARD_FUNCTIONS
        case ast.Call():
            return False
        case ast.Attribute(attr=name):
            return name in _GUARD_METHODS
        case ast.Name(id=name):
            return name in _GUARD_NAMES or name in _GUARD_FUNCTIONS
        case ast.Constant(value=value):
            return isinstance(value, int | float | bool | None) or _is_key(value)
        case ast.Subscript() | ast.Slice():
            return True
        case _:
            return isinstance(node, _PLAIN_SYNTAX) and not isinstance(node, ast.Pow)


def _is_key(value: object) -> bool:
    """A word; what has quotes of its own would end the text that the guard is put into."""
    return isinstance(value, str) and _KEY.fullmatch(value) is not None


def _parse(text: str) -> ast.Expression | None:
    """Parse one expression of one line; nothing for what is none, or too large."""
    if len(text) > MAX_TEXT_CHARS or not text.isascii() or not text.isprintable():
        return None
    try:
        tree = ast.parse(text, mode="eval")
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return None
    return tree if sum(1 for _ in ast.walk(tree)) <= MAX_NODES else None


def spec_fault(text: str, *, is_input: bool) -> str:
    """Judge how arguments or results are nested (torch/utils/_pytree.py): types are looked up by name."""
    if len(text) > MAX_SPEC_CHARS:
        return "describes its arguments at too great a length"
    try:
        value = json.loads(text)
        if not isinstance(value, list) or len(value) != 2 or value[0] != 1:
            raise RejectedError("describes its arguments in an unknown form")
        _require_spec(value[1], 0)
        if is_input:
            _require_arguments(value[1])
    except RejectedError as error:
        return error.message
    except (ValueError, RecursionError):
        return "describes its arguments in what is not JSON"
    return ""


def _require_spec(spec: Any, depth: int) -> None:
    if not isinstance(spec, dict) or spec.keys() != {"type", "context", "children_spec"}:
        raise RejectedError("describes its arguments in an unknown form")
    kind, context, children = spec["type"], spec["context"], spec["children_spec"]
    if depth > MAX_SPEC_DEPTH or not isinstance(children, list):
        raise RejectedError("describes its arguments in an unknown form")
    is_known = kind in _SPEC_TYPES if kind is None or isinstance(kind, str) else False
    if not is_known and not (isinstance(kind, str) and _RETURN_TYPE.fullmatch(kind)):
        raise RejectedError(f"has arguments or results of the type {shorten(kind)}, which is not known")
    _require_context(json.loads(context) if isinstance(context, str) else context, 0)
    for child in children:
        _require_spec(child, depth + 1)


def _require_context(context: Any, depth: int) -> None:
    """Keys of dictionaries; a default dictionary names its factory by module, which is imported."""
    if depth > MAX_SPEC_DEPTH:
        raise RejectedError("describes its arguments in an unknown form")
    if isinstance(context, dict):
        module = context.get("default_factory_module", "builtins")
        name = context.get("default_factory_name", "list")
        if module != "builtins" or not isinstance(name, str) or name not in _FACTORIES:
            raise RejectedError(f"imports {shorten(f'{module}.{name}')} to make an argument")
        if not context.keys() <= {"default_factory_module", "default_factory_name", "dict_context"}:
            raise RejectedError(f"imports what {shorten(context)} names to make an argument")
        _require_context(context.get("dict_context"), depth + 1)
    elif isinstance(context, list):
        for each in context:
            _require_context(each, depth + 1)


def _require_arguments(spec: Mapping[str, Any]) -> None:
    """Names of keyword arguments become parameters of a function."""
    children = spec["children_spec"]
    if spec["type"] != "builtins.tuple" or len(children) != 2 or children[1]["type"] != "builtins.dict":
        return
    context = children[1]["context"]
    names = json.loads(context) if isinstance(context, str) else context
    if not isinstance(names, list) or not all(
        isinstance(name, str) and NAME.fullmatch(name) for name in names
    ):
        raise RejectedError(f"has arguments of the names {shorten(context)}")

"""How much work a template makes for one request, counted from its literals."""

from collections.abc import Iterator

from jinja2 import nodes

MAX_STEPS = 1_000_000
"""What loops over literal ranges and calls of macros multiply to."""
MAX_NUMBER = 100_000
"""Of a literal range, width or repetition."""

_WIDE = frozenset(
    {"zfill", "ljust", "rjust", "center", "range", "indent", "wordwrap", "batch", "slice", "round"}
)


def find_excess(template: nodes.Template, parts: list[nodes.Node]) -> Iterator[tuple[int, str]]:
    """Yield (line, what is too much)."""
    macros = {}
    for node in parts:
        match node:
            case nodes.Pow() | nodes.Mul() | nodes.Mod():
                yield from _arithmetic(node)
            case nodes.Call() | nodes.Filter():
                yield from _wide(node)
            case nodes.Assign() if _doubles(node):
                yield node.lineno, "doubles a variable"
            case nodes.Macro():
                macros[node.name] = node
                if node.name in _certain_calls(node.body):
                    yield node.lineno, f"the macro {node.name[:40]} calls itself without end"
    if _Count(macros).steps(template.body) > MAX_STEPS:
        yield 1, f"makes more than {MAX_STEPS} steps"


def _arithmetic(node: nodes.Node) -> Iterator[tuple[int, str]]:
    if isinstance(node, nodes.Pow):
        yield node.lineno, "takes powers"
    elif isinstance(node, nodes.Mul):
        numbers = [_number(side) for side in (node.left, node.right)]
        if any(abs(number) > MAX_NUMBER for number in numbers if number is not None):
            yield node.lineno, f"repeats more than {MAX_NUMBER} times"
    elif isinstance(node, nodes.Mod) and isinstance(node.left, nodes.Const) and _pads(str(node.left.value)):
        yield node.lineno, f"formats wider than {MAX_NUMBER}"


def _pads(text: str) -> bool:
    digits = ""
    for letter in text + " ":
        digits = digits + letter if letter.isdigit() else ""
        if len(digits) > 5 and "%" in text:
            return True
    return False


def _wide(node: nodes.Node) -> Iterator[tuple[int, str]]:
    match node:
        case nodes.Filter(name="format", node=nodes.Const(value=text)) if _pads(str(text)):
            yield node.lineno, f"formats wider than {MAX_NUMBER}"
        case nodes.Filter(name=name) | nodes.Call(node=nodes.Name(name=name) | nodes.Getattr(attr=name)):
            given = [*node.args, *(keyword.value for keyword in node.kwargs)] if name in _WIDE else []
            numbers = [number for number in map(_number, given) if number is not None]
            if any(abs(number) > MAX_NUMBER for number in numbers):
                yield node.lineno, f"{name} goes to more than {MAX_NUMBER}"


def _number(node: nodes.Node) -> float | None:
    """Return the number that literals make, or None; what is too large is infinite."""
    match node:
        case nodes.Const(value=bool()):
            return None
        case nodes.Const(value=int() | float() as number):
            return float(number) if abs(number) < 1e300 else float("inf")
        case nodes.Neg(node=inner) | nodes.Pos(node=inner):
            return _number(inner)
        case nodes.Pow() | nodes.Mul() | nodes.Add() | nodes.Sub():
            left, right = _number(node.left), _number(node.right)
            if left is None or right is None:
                return None
            if isinstance(node, nodes.Pow):
                return float("inf")
            return abs(left) * abs(right) if isinstance(node, nodes.Mul) else abs(left) + abs(right)
    return None


def _doubles(node: nodes.Assign) -> bool:
    """Whether a variable becomes something that holds its old self twice."""
    wanted = _spelling(node.target)
    if not wanted or not isinstance(node.node, nodes.BinExpr | nodes.Concat | nodes.List | nodes.Tuple):
        return False
    if isinstance(node.node, nodes.Sub | nodes.Mod | nodes.Div | nodes.FloorDiv | nodes.And | nodes.Or):
        return False
    return sum(spelling == wanted for spelling in _operands(node.node)) > 1


def _operands(node: nodes.Node) -> Iterator[str]:
    match node:
        case nodes.Concat(nodes=parts) | nodes.List(items=parts) | nodes.Tuple(items=parts):
            pass
        case nodes.Add() | nodes.Mul():
            parts = [node.left, node.right]
        case nodes.Filter(node=inner) if inner is not None and node.name in (
            "string",
            "list",
            "safe",
            "trim",
        ):
            parts = [inner]
        case _:
            yield _spelling(node)
            return
    for part in parts:
        yield from _operands(part)


def _spelling(node: nodes.Node) -> str:
    match node:
        case nodes.Name(name=name):
            return str(name)
        case nodes.NSRef(name=name, attr=attr) | nodes.Getattr(node=nodes.Name(name=name), attr=attr):
            return f"{name}.{attr}"
    return ""


def _certain_calls(body: list[nodes.Node]) -> set[str]:
    """Names that are called whatever the data is."""
    called = set()
    pending: list[nodes.Node] = list(body)
    while pending:
        node = pending.pop()
        if isinstance(node, nodes.If | nodes.For | nodes.CondExpr | nodes.And | nodes.Or | nodes.Macro):
            continue
        if isinstance(node, nodes.Call) and isinstance(node.node, nodes.Name):
            called.add(node.node.name)
        pending += node.iter_child_nodes()
    return called


class _Count:
    """Counts steps: a loop over a literal range as often as it turns, one over data once."""

    def __init__(self, macros: dict[str, nodes.Macro]) -> None:
        self._macros = macros
        self._known: dict[str, float] = {}

    def steps(self, body: list[nodes.Node]) -> float:
        return sum(self._of(node) for node in body)

    def _of(self, node: nodes.Node) -> float:
        if isinstance(node, nodes.Macro):
            return 1
        inside = 1 + sum(self._of(child) for child in node.iter_child_nodes())
        if isinstance(node, nodes.For):
            return inside * _turns(node.iter)
        if isinstance(node, nodes.Call) and isinstance(node.node, nodes.Name):
            return inside + self._macro(node.node.name)
        return inside

    def _macro(self, name: str) -> float:
        """A macro within itself counts once: how deep it goes is up to the data."""
        if name not in self._macros:
            return 0
        if name not in self._known:
            self._known[name] = 1
            self._known[name] = self.steps(self._macros[name].body)
        return self._known[name]


def _turns(node: nodes.Node) -> float:
    match node:
        case nodes.Call(node=nodes.Name(name="range"), args=args):
            numbers = [_number(each) for each in args[:2]]
            return max([1.0, *(abs(number) for number in numbers if number is not None)])
        case nodes.List(items=items) | nodes.Tuple(items=items):
            return max(1.0, len(items))
        case nodes.Mul():
            return max(1.0, *(_number(side) or 1.0 for side in (node.left, node.right)))
        case nodes.Filter(node=inner) if inner is not None:
            return _turns(inner)
    return 1.0

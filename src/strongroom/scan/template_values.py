"""Where the strings of a template come from, so far as that decides what an index may reach.

In Jinja ``x[name]`` falls back to the attribute ``name`` of ``x``. So an index must be a number, a literal
that is looked at, or part of the data; not text that the template puts together: it may spell ``__class__``.
"""

from dataclasses import dataclass

from jinja2 import nodes

from strongroom.scan.template_names import LAZY

_ROUNDS = 6
"""Assignments are followed this many times over; longer chains of variables are taken as computed."""
_MAX_TEXTS = 256


@dataclass(frozen=True, slots=True)
class Value:
    """What an expression may be. Flags of several possibilities are joined."""

    texts: frozenset[str] = frozenset()
    """Literals it may be."""
    items: frozenset[str] = frozenset()
    """Literals that its items may be."""
    computed: bool = False
    """May be text that was put together from pieces which can spell anything."""
    lazy: bool = False
    """May be a generator, a view or a method, whose printed form holds letters that nobody wrote."""
    space: bool = False
    """May be a namespace object."""

    def __or__(self, other: "Value") -> "Value":
        texts, items = self.texts | other.texts, self.items | other.items
        crowded = len(texts) > _MAX_TEXTS or len(items) > _MAX_TEXTS
        return Value(
            frozenset() if crowded else texts,
            frozenset() if crowded else items,
            self.computed or other.computed or crowded,
            self.lazy or other.lazy,
            self.space or other.space,
        )

    @property
    def item(self) -> "Value":
        """What an item of this may be; of a literal that is one letter, of which an underscore is telling."""
        telling = self.computed or any("_" in text for text in self.texts)
        return Value(self.items, self.items, telling, False, self.space)


DATA = Value()
"""Numbers, and what the caller hands to the template: messages, tools, flags."""
_COMPUTED = Value(computed=True)
Names = dict[str, Value]
"""What each variable may be; attributes of namespaces under ``.name``."""
_Macros = dict[str, nodes.Macro]


def trace_names(parts: list[nodes.Node]) -> Names:
    """Return what each variable of a template may be, wherever it is set; ``parts`` are all its nodes."""
    names: Names = {}
    macros = {part.name: part for part in parts if isinstance(part, nodes.Macro)}
    setting = (nodes.Assign, nodes.AssignBlock, nodes.For, nodes.With, nodes.Call, nodes.Macro)
    statements = [part for part in parts if isinstance(part, setting)]
    for _ in range(_ROUNDS):
        before = dict(names)
        for node in statements:
            _follow(names, macros, node)
        if names == before:
            return names
    return {name: value if value == before.get(name) else value | _COMPUTED for name, value in names.items()}


def _follow(names: Names, macros: _Macros, node: nodes.Node) -> None:
    match node:
        case nodes.Assign():
            _set(names, node.target, value_of(names, node.node))
        case nodes.AssignBlock():
            _set(names, node.target, _COMPUTED)
        case nodes.For():
            _set(names, node.target, value_of(names, node.iter).item)
        case nodes.With():
            for target, value in zip(node.targets, node.values, strict=False):
                _set(names, target, value_of(names, value))
        case nodes.Macro():
            _fill(names, node.args[len(node.args) - len(node.defaults) :], node.defaults)
        case nodes.Call(node=nodes.Name(name=called)):
            prefix = "." if called == "namespace" else ""
            for keyword in node.kwargs:
                _join(names, prefix + keyword.key, value_of(names, keyword.value))
            if called in macros:
                _fill(names, macros[called].args, node.args)


def _fill(names: Names, parameters: list[nodes.Name], values: list[nodes.Expr]) -> None:
    for parameter, value in zip(parameters, values, strict=False):
        _join(names, parameter.name, value_of(names, value))


def _set(names: Names, target: nodes.Node, value: Value) -> None:
    match target:
        case nodes.Name(name=name):
            _join(names, name, value)
        case nodes.NSRef(attr=name):
            _join(names, f".{name}", value)
        case nodes.Tuple(items=targets):
            for each in targets:
                _set(names, each, value | value.item)


def _join(names: Names, name: str, value: Value) -> None:
    names[name] = names.get(name, DATA) | value


def value_of(names: Names, node: nodes.Node | None) -> Value:
    """Return what an expression may be."""
    match node:
        case nodes.Const(value=str() as text):
            return Value(frozenset({text}))
        case nodes.Name(name=name):
            return names.get(name, DATA)
        case nodes.Getattr(node=of, attr=name) | nodes.Getitem(node=of, arg=nodes.Const(value=str() as name)):
            return names.get(f".{name}", DATA) | value_of(names, of).item | Value(lazy="_" in name)
        case nodes.Getitem(arg=nodes.Slice()):
            return _cut(value_of(names, node.node))
        case nodes.Getitem(node=of):
            return value_of(names, of).item
        case nodes.CondExpr():
            return value_of(names, node.expr1) | value_of(names, node.expr2)
        case nodes.And() | nodes.Or():
            return value_of(names, node.left) | value_of(names, node.right)
        case nodes.Filter():
            return _filtered(names, node)
        case nodes.Call():
            return _called(names, node)
    return _of_parts(names, node)


def _of_parts(names: Names, node: nodes.Node | None) -> Value:
    match node:
        case nodes.List() | nodes.Tuple():
            inside = _any(names, node.items)
            return Value(frozenset(), inside.texts | inside.items, inside.computed, inside.lazy, inside.space)
        case nodes.Dict():
            inside = _any(names, [part for pair in node.items for part in (pair.key, pair.value)])
            return Value(frozenset(), inside.texts | inside.items, inside.computed, inside.lazy, inside.space)
        case nodes.Mod() | nodes.Add() | nodes.Mul():
            left, right = value_of(names, node.left), value_of(names, node.right)
            is_text = bool(left.texts or (right.texts and not isinstance(node, nodes.Mod)))
            telling = any("_" in text for text in left.items | right.items)
            return Value(
                frozenset(), left.items | right.items, is_text or telling or left.computed or right.computed
            )
        case nodes.Concat():
            return _COMPUTED
    return DATA


def _any(names: Names, parts: list[nodes.Expr]) -> Value:
    value = DATA
    for part in parts:
        value |= value_of(names, part)
    return value


def _cut(value: Value) -> Value:
    """A part of text may begin where the literal did not."""
    return Value(frozenset(), value.items, value.item.computed, value.lazy)


def _put_together(names: Names, parts: list[nodes.Expr]) -> Value:
    """Text from pieces can spell an internal only with an underscore from somewhere."""
    inside = _any(names, parts)
    telling = any("_" in text for text in inside.texts | inside.items)
    return Value(frozenset(), inside.items, inside.computed or inside.lazy or inside.space or telling)


_KEEPING = frozenset({"default", "d", "first", "last", "list", "sort", "safe", "dictsort", "random"})
_COUNTING = frozenset({"length", "count", "int", "float", "abs", "round", "sum", "wordcount"})
_DECODING = frozenset({"format", "striptags"})


def _given(node: nodes.Filter | nodes.Call) -> list[nodes.Expr]:
    return [*node.args, *(keyword.value for keyword in node.kwargs)]


def _filtered(names: Names, node: nodes.Filter) -> Value:
    of, given = value_of(names, node.node), _any(names, _given(node))
    if node.name in _COUNTING:
        return DATA
    if node.name in _DECODING:
        return _COMPUTED
    if node.name in LAZY:
        items = of.items | given.texts | given.items
        changed = node.name == "map" and any("_" in text for text in of.items | given.texts)
        return Value(frozenset(), items, of.item.computed or given.computed or changed, True)
    if node.name in _KEEPING:
        inside = of | of.item | given
        return Value(inside.texts, inside.items, inside.computed, inside.lazy and node.name != "list")
    if node.name in ("reverse", "items"):
        return Value(of.texts, of.items, of.item.computed, True)
    parts = [node.node] if node.node is not None else []
    return _put_together(names, [*parts, *_given(node)])


_VIEWS = frozenset({"items", "keys", "values"})
_GIVING = frozenset({"get", "items", "keys", "values", "pop", "setdefault", "copy"})


def _called(names: Names, node: nodes.Call) -> Value:
    match node.node:
        case nodes.Name(name="namespace"):
            return Value(space=True)
        case nodes.Name(name="range" | "len" | "int" | "float" | "abs"):
            return DATA
        case nodes.Name(name="dict"):
            keys = frozenset(keyword.key for keyword in node.kwargs)
            return Value(frozenset(), keys) | Value(
                items=_any(names, [each.value for each in node.kwargs]).texts
            )
        case nodes.Getattr(node=of, attr="format"):
            return _COMPUTED
        case nodes.Getattr(node=of, attr=name) if name in _GIVING:
            given = value_of(names, of).item | _any(names, node.args[1:])
            return given | Value(items=given.texts, lazy=name in _VIEWS)
        case nodes.Getattr(node=of):
            return _put_together(names, [of, *_given(node)])
    return _COMPUTED  # a macro gives what it prints

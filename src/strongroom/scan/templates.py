"""Chat templates: programs in Jinja that loaders run over every message. Judged by what they may name."""

from dataclasses import dataclass, field

from jinja2 import Environment, TemplateError, nodes
from jinja2.ext import Extension
from jinja2.parser import Parser

from strongroom.errors import shorten
from strongroom.scan import template_names as known
from strongroom.scan.place import Place
from strongroom.scan.rule import Rule
from strongroom.scan.scan import Scan
from strongroom.scan.template_text import scan_template_text
from strongroom.scan.template_values import Names, trace_names, value_of
from strongroom.scan.template_work import find_excess
from strongroom.values import Severity

MAX_TEMPLATE_CHARS = 2**16
"""The longest templates in use have some 40,000 characters."""

MAX_TEMPLATE_DEPTH = 120
"""Those in use have less than 40 levels."""

_FIX = "Take the chat template of the original publisher, or write one that only lays out messages."
REACHES_PYTHON = Rule(
    "template-reaches-python",
    Severity.CRITICAL,
    "Template reaches into Python",
    "A chat template is a small program that runs whenever the model is asked. This one names the internals "
    "of Python, which is how a template gets from laying out text to running commands on the server.",
    _FIX,
    atlas=("AML.T0010.003", "AML.T0011.000", "AML.T0050"),
    aisvs=("6.1.2",),
)
LOADS_FILES = Rule(
    "template-loads-files",
    Severity.CRITICAL,
    "Template loads other files",
    "A chat template has all it needs in itself. One that includes or imports reads files of the server.",
    _FIX,
    atlas=("AML.T0010.003", "AML.T0011.000"),
    aisvs=("6.1.2",),
)
NOT_ALLOWED = Rule(
    "template-name-not-allowed",
    Severity.HIGH,
    "Template calls what is not known",
    "Templates call a few dozen functions and filters that only handle text. This one calls another, which a "
    "server may have bound to anything.",
    "Use the filters and functions of Jinja that docs/formats-accepted.md lists.",
    atlas=("AML.T0011.000",),
    aisvs=("6.1.2",),
)
COMPUTED = Rule(
    "template-computed-name",
    Severity.HIGH,
    "Template computes the name it reads",
    "The name of what is read is put together while the template runs. That is how a forbidden name is kept "
    "from a scanner: `x['__cl' ~ 'ass__']` is `x.__class__`.",
    "Write out the names that the template reads.",
    atlas=("AML.T0011.000",),
    aisvs=("6.1.2",),
)
EXCESS = Rule(
    "template-unbounded-work",
    Severity.HIGH,
    "Template makes endless work",
    "It repeats, nests or doubles so much that one request keeps a server busy or fills its memory.",
    "Loop over messages and tools, not over large numbers.",
    atlas=("AML.T0029",),
)
UNREADABLE = Rule(
    "template-unreadable",
    Severity.HIGH,
    "Template cannot be read",
    "What cannot be read cannot be judged.",
    "Correct the template until Jinja2 parses it.",
    atlas=("AML.T0011.000",),
)
RULES = (REACHES_PYTHON, LOADS_FILES, NOT_ALLOWED, COMPUTED, EXCESS, UNREADABLE)


class _Generation(Extension):
    """The tag of transformers that marks what the assistant said, for training."""

    tags = {"generation"}  # noqa: RUF012  (Jinja's own form)

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        return nodes.Scope(parser.parse_statements(("name:endgeneration",), drop_needle=True), lineno=line)


_JINJA = Environment(  # noqa: S701  (nothing is rendered)
    extensions=[_Generation, "jinja2.ext.loopcontrols", "jinja2.ext.do"], cache_size=0
)


def scan_template(scan: Scan, text: str, place: Place) -> None:
    """Judge a chat template. Every kind of node, name, filter and call in it has to be a known one."""
    scan.text(text, place)
    if len(text) > MAX_TEMPLATE_CHARS:
        scan.add(UNREADABLE, place, f"has more than {MAX_TEMPLATE_CHARS} characters")
        return
    try:
        template = _JINJA.parse(text)
        parts = _flatten(template)
        _Walk(scan, place, trace_names(parts), _macros(parts)).run(template, parts)
        scan_template_text(scan, parts, place)
    except RecursionError:
        scan.add(UNREADABLE, place, "is nested too deeply")
    except (TemplateError, ValueError, OverflowError) as error:
        scan.add(UNREADABLE, place, f"is not a template: {shorten(error)}")


def _flatten(template: nodes.Template) -> list[nodes.Node]:
    """Return all nodes once, so that they are looked for once."""
    found: list[nodes.Node] = []
    level: list[nodes.Node] = [template]
    for _ in range(MAX_TEMPLATE_DEPTH):
        found += level
        level = [child for node in level for child in node.iter_child_nodes()]
        if not level:
            return found
    raise RecursionError


def scan_prompt(scan: Scan, text: str, place: Place) -> None:
    """Judge text with braces that may be a template of Jinja, or of another language with another syntax.

    What is no template of Jinja, or calls what Jinja does not know, passes: only ways out are reported.
    """
    if len(text) > MAX_TEMPLATE_CHARS:
        return
    inner = Scan(scan.entries, scan.judge, lambda *_: None)
    scan_template(inner, text, place)
    for match in inner.matches:
        if match.rule in (REACHES_PYTHON, COMPUTED, EXCESS):
            scan.add(match.rule, match.place, match.message)


def _macros(parts: list[nodes.Node]) -> frozenset[str]:
    return frozenset(part.name for part in parts if isinstance(part, nodes.Macro))


_INERT = (
    *(nodes.Template, nodes.Output, nodes.TemplateData, nodes.If, nodes.For, nodes.Assign, nodes.AssignBlock),
    *(nodes.Macro, nodes.CallBlock, nodes.FilterBlock, nodes.With, nodes.Scope, nodes.Block, nodes.ExprStmt),
    *(nodes.Break, nodes.Continue, nodes.NSRef, nodes.Name, nodes.Const, nodes.Tuple, nodes.List, nodes.Dict),
    *(nodes.Pair, nodes.Keyword, nodes.CondExpr, nodes.Filter, nodes.Test, nodes.Call, nodes.Getitem),
    *(nodes.Getattr, nodes.Slice, nodes.Concat, nodes.Compare, nodes.Operand, nodes.BinExpr, nodes.UnaryExpr),
)
_ASKING = ("defined", "undefined", "callable")
_LOADING = (nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends)


@dataclass(slots=True)
class _Walk:
    scan: Scan
    place: Place
    names: Names
    macros: frozenset[str]
    bound: set[str] = field(default_factory=set)
    """Names of the loops and parameters around, which hide what the server calls so."""
    joiners: set[str] = field(default_factory=set)

    def run(self, template: nodes.Template, parts: list[nodes.Node]) -> None:
        self.joiners = {
            part.target.name
            for part in parts
            if isinstance(part, nodes.Assign)
            and isinstance(part.target, nodes.Name)
            and isinstance(part.node, nodes.Call)
            and isinstance(part.node.node, nodes.Name)
            and part.node.node.name in ("joiner", "cycler")
        }
        self._visit(template)
        for line, excess in find_excess(template, parts):
            self.scan.add(EXCESS, self.place, f"line {line}: {excess}")

    def _visit(self, node: nodes.Node) -> None:
        if isinstance(node, _LOADING):
            self._add(LOADS_FILES, node, f"uses {type(node).__name__.lower()}")
        elif not isinstance(node, _INERT):
            self._add(NOT_ALLOWED, node, f"uses {type(node).__name__.lower()}")
        match node:
            case nodes.For():
                self._inside(node, _names_of(node.target), ("iter", "else_"))
            case nodes.Macro() | nodes.CallBlock():
                self._inside(node, {each.name for each in node.args}, ("defaults", "call"))
            case nodes.Call():
                self._call(node)
            case nodes.Test(node=nodes.Name(name=name)) if node.name in _ASKING and not name.startswith("__"):
                self._children(node, ("node",))  # whether the engine has a function is a fair question
            case _:
                self._one(node)
                self._children(node)

    def _one(self, node: nodes.Node) -> None:
        match node:
            case nodes.Name():
                self._name(node)
            case nodes.Getattr():
                self._attribute(node, node.attr)
            case nodes.Getitem():
                self._index(node)
            case nodes.Const(value=str() as text) if known.holds_python_name(text):
                self._add(REACHES_PYTHON, node, f"spells {shorten(text)}")
            case nodes.Filter():
                self._filter(node)
            case nodes.Test() if node.name not in known.TESTS:
                self._add(NOT_ALLOWED, node, f"uses the test {shorten(node.name)}")

    def _inside(self, node: nodes.Node, bound: set[str], outside: tuple[str, ...]) -> None:
        """Visit a node whose names hold within it, but not in its fields ``outside``."""
        for child in node.iter_child_nodes(only=outside):
            self._visit(child)
        before = self.bound
        self.bound = before | bound
        self._children(node, outside)
        self.bound = before

    def _children(self, node: nodes.Node, leave: tuple[str, ...] = ()) -> None:
        for child in node.iter_child_nodes(exclude=leave or None):
            self._visit(child)

    def _add(self, rule: Rule, node: nodes.Node, message: str) -> None:
        self.scan.add(rule, self.place, f"line {node.lineno}: {message}")

    def _name(self, node: nodes.Name) -> None:
        name = node.name
        if name.startswith("__") or (name in known.HOST_OBJECTS and name not in self.bound):
            self._add(REACHES_PYTHON, node, f"names {shorten(name)}")
        elif node.ctx == "load" and name not in self.bound and name in known.ONLY_CALLED | self.macros:
            self._add(NOT_ALLOWED, node, f"takes {shorten(name)} for something else than to call it")

    def _attribute(self, node: nodes.Node, name: str) -> None:
        if known.reaches_python(name):
            self._add(REACHES_PYTHON, node, f"reads the attribute {shorten(name)}")

    def _index(self, node: nodes.Getitem) -> None:
        if isinstance(node.arg, nodes.Slice) or self._is_number(node.arg):
            return
        if isinstance(node.arg, nodes.Const) and isinstance(node.arg.value, str):
            self._attribute(node, node.arg.value)
        else:
            self._reads(node, node.arg)
            base = value_of(self.names, node.node)
            if base.space or base.lazy or _is_loop(node.node):
                self._add(COMPUTED, node, "reads an object of the engine by a name it computes")

    @staticmethod
    def _is_number(node: nodes.Expr) -> bool:
        return isinstance(node, nodes.Neg | nodes.Pos | nodes.Sub | nodes.FloorDiv) or (
            isinstance(node, nodes.Const) and isinstance(node.value, int)
        )

    def _reads(self, node: nodes.Node, by: nodes.Expr) -> None:
        """Judge what an expression names that is used as an index or as the name of an attribute."""
        value = value_of(self.names, by)
        for text in sorted(value.texts):
            self._attribute(node, text)
        if value.computed:
            self._add(COMPUTED, node, "reads what it computes the name of")

    def _call(self, node: nodes.Call) -> None:
        match node.node:
            case nodes.Name(name=name):
                if name not in known.FUNCTIONS | self.macros | self.joiners | {"caller", "loop"}:
                    self._add(NOT_ALLOWED, node, f"calls {shorten(name)}")
                if name.startswith("__") or name in known.HOST_OBJECTS:
                    self._name(node.node)
            case nodes.Getattr(node=of, attr=name):
                self._attribute(node, name)
                if name == "format":
                    self._format(node, of)
                elif name not in known.METHODS and not known.reaches_python(name):
                    self._add(NOT_ALLOWED, node, f"calls the method {shorten(name)}")
                self._visit(of)
            case _:
                self._add(COMPUTED, node, "calls what it computes")
                self._visit(node.node)
        self._children(node, ("node",))

    def _format(self, node: nodes.Node, of: nodes.Expr) -> None:
        """``'{0.__class__}'.format(x)`` reads attributes; a literal without dots and brackets does not."""
        if not isinstance(of, nodes.Const) or not isinstance(of.value, str):
            self._add(COMPUTED, node, "formats with text it computes")
        elif any(letter in field for field in of.value.split("{")[1:] for letter in ".[:!"):
            self._add(REACHES_PYTHON, node, f"formats with {shorten(of.value)}")

    def _filter(self, node: nodes.Filter) -> None:
        if node.name == "attr":
            for by in node.args[:1]:
                self._reads_literally(node, by)
            return
        if node.name not in known.FILTERS:
            self._add(NOT_ALLOWED, node, f"uses the filter {shorten(node.name)}")
        at = known.ATTRIBUTE_AT.get(node.name)
        if at is not None:
            named = [keyword.value for keyword in node.kwargs if keyword.key == "attribute"]
            for by in (*named, *(node.args[at : at + 1] if at >= 0 else ())):
                self._reads_literally(node, by)
        if node.name == "map":
            self._named(node, node.args[:1], known.MAPPED)
        at = known.BY_TEST.get(node.name)
        if at is not None:
            self._named(node, node.args[at : at + 1], known.TESTS)
        if node.dyn_args is not None or node.dyn_kwargs is not None:
            self._add(COMPUTED, node, f"computes the arguments of {shorten(node.name)}")

    def _reads_literally(self, node: nodes.Node, by: nodes.Expr) -> None:
        if isinstance(by, nodes.Const) and isinstance(by.value, str | int):
            for part in str(by.value).split("."):
                self._attribute(node, part)
        else:
            self._add(COMPUTED, node, "reads what it computes the name of")

    def _named(self, node: nodes.Filter, args: list[nodes.Expr], allowed: frozenset[str]) -> None:
        for by in args:
            if not isinstance(by, nodes.Const) or by.value not in allowed:
                name = by.value if isinstance(by, nodes.Const) else "what it computes"
                self._add(NOT_ALLOWED, node, f"{shorten(node.name)} applies {shorten(name)}")


def _names_of(target: nodes.Node) -> set[str]:
    return {each.name for each in (target, *target.find_all(nodes.Name)) if isinstance(each, nodes.Name)}


def _is_loop(node: nodes.Node) -> bool:
    return isinstance(node, nodes.Name) and node.name == "loop"

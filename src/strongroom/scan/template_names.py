"""What a chat template may name: filters, tests, functions, methods. What is not listed here is refused."""

import re

FUNCTIONS = frozenset(
    {
        *("namespace", "range", "dict", "joiner", "cycler"),  # Jinja's own
        *("raise_exception", "strftime_now"),  # what transformers, vLLM and llama.cpp add
        *("len", "str", "int", "float", "bool", "list", "abs", "min", "max", "sorted", "enumerate", "zip"),
    }
)
"""Called by their bare name; they have no use but to be called. Macros of the template join them."""

METHODS = frozenset(
    {
        *("split", "rsplit", "splitlines", "partition", "rpartition", "join", "replace", "count"),
        *("strip", "lstrip", "rstrip", "removeprefix", "removesuffix", "startswith", "endswith"),
        *(
            "upper",
            "lower",
            "title",
            "capitalize",
            "casefold",
            "swapcase",
            "find",
            "rfind",
            "index",
            "rindex",
        ),
        *(
            "isdigit",
            "isdecimal",
            "isnumeric",
            "isalpha",
            "isalnum",
            "isspace",
            "isupper",
            "islower",
            "istitle",
        ),
        *("zfill", "ljust", "rjust", "center"),
        *("append", "extend", "insert", "pop", "remove", "reverse", "sort", "copy", "clear"),
        *("items", "keys", "values", "get", "update", "setdefault"),
        *("strftime", "isoformat", "is_integer"),
        *("cycle", "changed", "next", "reset"),  # of a loop, of a cycler
    }
)
"""Methods of text, lists and mappings that give nothing but more of these."""

ONLY_CALLED = frozenset(
    {"namespace", "joiner", "cycler", "raise_exception", "strftime_now", "caller", "super", "range", "dict"}
)
"""Functions of the engine are called and nothing else: as objects they lead to the engine's own globals."""

FILTERS = frozenset(
    {
        *("abs", "batch", "capitalize", "center", "count", "d", "default", "dictsort", "e", "escape"),
        *("filesizeformat", "first", "float", "forceescape", "format", "groupby", "indent", "int", "items"),
        *("join", "last", "length", "list", "lower", "map", "max", "min", "pprint", "random", "reject"),
        *("rejectattr", "replace", "reverse", "round", "safe", "select", "selectattr", "slice", "sort"),
        *(
            "string",
            "striptags",
            "sum",
            "title",
            "tojson",
            "trim",
            "truncate",
            "unique",
            "upper",
            "urlencode",
        ),
        *("urlize", "wordcount", "wordwrap", "xmlattr"),
        *("fromjson", "from_json", "to_json"),  # of other engines than Jinja's
    }
)
"""Jinja's filters but `attr`, which reads attributes and is judged by its argument."""

TESTS = frozenset(
    {
        *(
            "boolean",
            "callable",
            "defined",
            "divisibleby",
            "eq",
            "equalto",
            "escaped",
            "even",
            "false",
            "filter",
        ),
        *("float", "ge", "gt", "greaterthan", "in", "integer", "iterable", "le", "lower", "lt", "lessthan"),
        *("mapping", "ne", "none", "number", "odd", "sameas", "sequence", "string", "test", "true"),
        *("undefined", "upper", "==", "!=", ">", ">=", "<", "<="),
        *("contains", "startingwith", "endingwith"),  # of other engines than Jinja's
    }
)

ATTRIBUTE_AT = {
    "map": -1,
    "sum": 0,
    "groupby": 0,
    "selectattr": 0,
    "rejectattr": 0,
    "join": 1,
    "unique": 1,
    "min": 1,
    "max": 1,
    "sort": 2,
}
"""Filters that read an attribute of each item: which argument names it, if not ``attribute=``."""
MAPPED = FILTERS - {"map", "select", "reject", "selectattr", "rejectattr", "groupby", "format", "striptags"}
"""Filters that `map` may apply: those that do not take names in their turn."""
BY_TEST = {"select": 0, "reject": 0, "selectattr": 1, "rejectattr": 1}
"""Filters with an argument that names a test, and which."""
LAZY = frozenset({"map", "select", "reject", "selectattr", "rejectattr", "unique", "batch", "slice"})
"""Filters that give a generator, whose printed form holds letters that nobody wrote."""

HOST_OBJECTS = frozenset(
    {
        *("self", "request", "config", "session", "g", "current_app", "url_for", "get_flashed_messages"),
        *("lipsum", "handler", "environ", "os", "sys", "subprocess", "builtins", "importlib"),
    }
)
"""Names behind which web frameworks and Jinja itself keep the objects of the serving process."""

_PYTHON_ATTRIBUTE = re.compile(
    r"_.*|mro|func_\w+|im_(?:func|self|class)|(?:gi|cr|ag)_(?:frame|code|running|await|yieldfrom|origin|suspended)"
    r"|f_(?:back|builtins|code|globals|lasti|lineno|locals|trace\w*)|tb_(?:frame|next|lasti|lineno)|co_\w+",
    re.ASCII | re.DOTALL,
)
_PYTHON_NAME = re.compile(r"__[A-Za-z][A-Za-z_]{0,30}__")


def reaches_python(name: str) -> bool:
    """Whether an attribute of this name leads out of the data into Python's internals."""
    return _PYTHON_ATTRIBUTE.fullmatch(name) is not None


def holds_python_name(text: str) -> bool:
    """Whether text of an expression spells an internal of Python: ``__class__``, ``__globals__``.

    A sentence that mentions one is prose; taken apart again it is a computed name, which is refused as such.
    """
    return not any(char.isspace() for char in text) and any(
        found.group() in _INTERNALS for found in _PYTHON_NAME.finditer(text)
    )


_INTERNALS = frozenset(
    f"__{name}__"
    for name in (
        *("class", "base", "bases", "mro", "subclasses", "globals", "builtins", "builtin", "import", "init"),
        *("getattribute", "getattr", "getitem", "setattr", "dict", "code", "closure", "reduce", "reduce_ex"),
        *("loader", "spec", "self", "func", "module", "call", "new", "wrapped", "doc", "enter", "exit"),
    )
)

"""Checks of the arguments of allowed calls and of the state of allowed objects: why not, or nothing."""

import re

from strongroom.scan import pickle_numpy, torch_calls
from strongroom.scan.pickle_globals import Allowed, Use
from strongroom.scan.pickle_patterns import (
    KINDS,
    OTHER_ARGUMENTS,
    Call,
    Check,
    Data,
    StateCheck,
    check_names,
    fact_of,
    fits,
    is_global_call,
    is_made,
    is_refused,
    opens_files,
)
from strongroom.scan.pickle_values import Dict, Global, Long, Made, Tuple, is_data, is_global, is_text

MAX_PATTERN_CHARS = 1000
"""Of a regular expression: it is compiled on loading."""


def check_call(call: Call, check: str) -> str:
    """Return why the call is not allowed, or an empty text."""
    special = _CALLS.get(check)
    if special is not None:
        return special(call)
    return "" if fits(call.args, check) else OTHER_ARGUMENTS


# Python -----------------------------------------------------------------------------------------------

_BASES = {
    "builtins.object": "none", "builtins.dict": "dict", "builtins.list": "list", "builtins.tuple": "tuple",
    "builtins.set": "set|list", "builtins.str": "str", "builtins.int": "int", "builtins.float": "num",
}  # fmt: skip
_FACTORIES = ("list", "dict", "int", "float", "str", "set", "tuple", "bool")
_FRACTION = re.compile(r"-?[0-9]{1,1000}(?:/[0-9]{1,1000})?", re.ASCII)
_ATTRIBUTES = re.compile(r"[A-Za-z][A-Za-z0-9_.]*", re.ASCII)
_ENCODINGS = frozenset({"latin1", "latin-1", "utf-8", "utf8", "ascii"})


def _reconstructor(call: Call) -> str:
    """copyreg._reconstructor(cls, base, state): base.__new__(cls, state), and base.__init__ unless object."""
    if len(call.args) != 3:
        return OTHER_ARGUMENTS
    made, base, state = call.args
    kind = _BASES.get(str(base)) if isinstance(base, Global) else None
    if not KINDS["class"](made) or kind is None or not fits([state], kind):
        return OTHER_ARGUMENTS
    call.maker = made if isinstance(made, Global) else None
    return ""


def _encode(call: Call) -> str:
    if len(call.args) not in (1, 2) or not is_text(call.args[0]):
        return OTHER_ARGUMENTS
    encoding = call.args[1] if len(call.args) == 2 else "utf-8"
    if encoding not in _ENCODINGS or not isinstance(encoding, str):
        return OTHER_ARGUMENTS
    text = call.args[0]
    if isinstance(text, str):
        try:
            call.constant = text.encode(encoding)
        except UnicodeEncodeError:
            return "with text that has no such encoding"
    elif isinstance(text, Long):
        call.constant = Long(text.offset, text.size_bytes, text.written, encoding)
    return ""


def _default_dict(call: Call) -> str:
    if not call.args:
        return ""
    factory = call.args[0]
    is_factory = factory is None or is_global(factory, *(f"builtins.{name}" for name in _FACTORIES))
    is_factory = is_factory or is_global(factory, "collections.OrderedDict", "collections.Counter")
    return "" if is_factory and len(call.args) == 1 else "with a factory that is not a plain container"


def _byte_array(call: Call) -> str:
    if not fits(call.args, "bytes?,str?") or (len(call.args) == 1 and not is_data(call.args[0])):
        return OTHER_ARGUMENTS
    data = call.args[0] if call.args else b""
    if isinstance(data, Long) and data.is_text:
        data = Long(data.offset, data.size_bytes, data.written, "latin-1")
    elif isinstance(data, str):
        data = data.encode("latin-1", "replace")
    call.fact = Data(data)
    return ""


def _empty_bytes(call: Call) -> str:
    call.constant = b""
    return "" if not call.args else OTHER_ARGUMENTS


def _fraction(call: Call) -> str:
    if fits(call.args, "int,int"):
        return ""
    text = call.args[0] if len(call.args) == 1 else None
    return "" if isinstance(text, str) and _FRACTION.fullmatch(text) else OTHER_ARGUMENTS


def _attributes(call: Call) -> str:
    named = call.args and all(
        isinstance(name, str) and _ATTRIBUTES.fullmatch(name) and "._" not in name for name in call.args
    )
    return "" if named else "with names that are not plain attributes"


def _pattern(call: Call) -> str:
    if not fits(call.args, "str|bytes,int"):
        return OTHER_ARGUMENTS
    short = isinstance(call.args[0], str | bytes) and len(call.args[0]) <= MAX_PATTERN_CHARS
    return "" if short else "with a regular expression that is too long"


_ZONE = Global("zoneinfo", "ZoneInfo._unpickle", Allowed(Use.CALL, "name,bool?"))
"""A name of the database of time zones; `zoneinfo` refuses one that leads elsewhere, as the check does."""


def _enum_member(call: Call) -> str:
    """getattr(Enum, "NAME"): how Python 3.11 pickles a member of an enumeration."""
    if len(call.args) == 2:
        owner, name = call.args
        is_enum = isinstance(owner, Global) and owner.allowed is not None and owner.allowed.use is Use.ENUM
        if is_enum and isinstance(name, str) and name.isidentifier() and not name.startswith("_"):
            return ""
        if is_global_call(owner, "distribution") and name == "_entropy":
            return ""  # a discrete one of SciPy keeps its own function, made ready for arrays
        if is_global(owner, "zoneinfo.ZoneInfo") and name == "_unpickle":
            call.constant = _ZONE
            return ""
    return "for something that is not a member of an allowed enumeration"


def _none_type(call: Call) -> str:
    return "" if call.args == [None] else OTHER_ARGUMENTS


def _is_inert_function(value: object) -> bool:
    """Say whether calling this with any arguments does nothing but compute: some classes open files."""
    if not isinstance(value, Global) or value.allowed is None or opens_files(value):
        return False
    return value.allowed.use not in (Use.CALL, Use.MAKE)


def _partial(call: Call) -> str:
    if len(call.args) == 1 and (_is_inert_function(call.args[0]) or is_refused(call.args[0])):
        return ""
    return "of something that is not an allowed function"


def _vectorized_state(_: Made, state: object) -> str:
    """numpy.vectorize calls a function for each number; SciPy keeps one of its distributions' own so."""
    function = state.entries.get("pyfunc") if isinstance(state, Dict) else None
    return "" if is_global_call(function, "enum-member") else "whose function is not one of SciPy's"


def _partial_state(_: Made, state: object) -> str:
    if isinstance(state, Tuple) and len(state.items) == 4:
        function, args, named, own = state.items
        if _is_inert_function(function) and fits([args, named, own], "tuple,dict,dict|none"):
            return ""
    return "whose function is not an allowed one"


# pandas -----------------------------------------------------------------------------------------------


def _new_index(call: Call) -> str:
    """_new_Index(cls, {...}): cls.__new__(cls, **named)."""
    if fits(call.args, "class,dict") or fits(call.args, "class,dict,any"):
        owner, named = call.args[:2]
        if isinstance(named, Dict) and is_made(named.entries.get("data"), "builtins.range"):
            return "which would write out a range"
        if isinstance(owner, Global) and owner.module.startswith("pandas"):
            call.maker = owner
            return ""
    return OTHER_ARGUMENTS


# models with a library of their own --------------------------------------------------------------------


def _no_arguments(call: Call) -> str:
    return "" if not call.args else "with arguments, which would open a file"


def _booster_state(_: Made, state: object) -> str:
    """XGBoost reads the buffer, LightGBM the text; a number would be taken for an address in memory."""
    if not isinstance(state, Dict) or state.is_partial:
        return "with a state that is none of a booster"
    for name in ("handle", "_handle"):
        handle = state.entries.get(name)
        content = fact_of(handle)
        if handle is None or is_text(handle) or is_data(handle) or isinstance(content, Data):
            continue
        return "whose model is not a string"
    return ""


# scipy/stats/_distn_infrastructure.py, `parse_arg_template`: a state that __setstate__ executes.
_NAMES = r"[A-Za-z0-9_,= ]*"
_ARGUMENT_PARSERS = re.compile(
    rf"\s*def _parse_args\(self, {_NAMES}\):\n    return \({_NAMES}\), {_NAMES}\n"
    rf"\s*def _parse_args_rvs\(self, {_NAMES}, size=None\):\n"
    rf"    return self\._argcheck_rvs\({_NAMES}, size=size\)\n"
    rf"\s*def _parse_args_stats\(self, {_NAMES}, moments='mv'\):\n"
    rf"    return \({_NAMES}\), {_NAMES}, moments\n\s*",
    re.ASCII,
)


def _distribution_state(_: Made, state: object) -> str:
    template = (
        state.entries.get("_parse_arg_template") if isinstance(state, Dict) and not state.is_partial else None
    )
    return "" if is_argument_parser(template) else "whose functions are not those of SciPy"


def is_argument_parser(template: object) -> bool:
    """Say whether this is the source that SciPy gives its distributions and runs when they are loaded."""
    return isinstance(template, str) and _ARGUMENT_PARSERS.fullmatch(template) is not None


_CALLS: dict[str, Check] = {
    **pickle_numpy.CALLS,
    **torch_calls.CALLS,
    "reconstructor": _reconstructor,
    "encode": _encode,
    "ordered-dict": lambda call: "" if fits(call.args, "list|tuple|dict?") else OTHER_ARGUMENTS,
    "counter": lambda call: "" if fits(call.args, "list|tuple|dict?") else OTHER_ARGUMENTS,
    "default-dict": _default_dict,
    "deque": lambda call: "" if fits(call.args, "list|tuple?,int|none?") else OTHER_ARGUMENTS,
    "collection": lambda call: "" if fits(call.args, "list|tuple|set|dict?") else OTHER_ARGUMENTS,
    "byte-array": _byte_array,
    "empty-bytes": _empty_bytes,
    "distribution": _no_arguments,
    "fraction": _fraction,
    "attributes": _attributes,
    "pattern": _pattern,
    "enum-member": _enum_member,
    "none-type": _none_type,
    "partial": _partial,
    "new-index": _new_index,
    "xgboost-booster": _no_arguments,
    "lightgbm-booster": _no_arguments,
    "joblib-array": _no_arguments,
    "vectorize": _no_arguments,
}
_STATES: dict[str, StateCheck] = {
    **pickle_numpy.STATES,
    **torch_calls.STATES,
    "partial": _partial_state,
    "vectorize": _vectorized_state,
    "distribution": _distribution_state,
    "xgboost-booster": _booster_state,
    "lightgbm-booster": _booster_state,
}
_IGNORE_STATE = frozenset({"Bunch"})
_STATEFUL = frozenset(
    {"reconstructor", "cython", "class-of-module", "new-index", "bit-generator", "generator"}
)


def check_state(made: Made, state: object) -> str:
    """Return why this state may not be given to this object, or an empty text."""
    if made.maker is None or made.maker.allowed is None:
        return ""
    allowed = made.maker.allowed
    special = _STATES.get(allowed.check)
    if special is not None:
        return special(made, state) or check_names(state)
    if allowed.use is Use.DICT and made.maker.name not in _IGNORE_STATE:
        return "which is a dictionary that looks its attributes up among its items"
    if allowed.use in (Use.ENUM, Use.HOLD) or (allowed.use is Use.CALL and allowed.check not in _STATEFUL):
        return "which is not an object of its own"
    return check_names(state)

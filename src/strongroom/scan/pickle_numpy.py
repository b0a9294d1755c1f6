"""Calls and states of NumPy that pickles hold: arrays, types, scalars, random generators, functions."""

from strongroom.scan.pickle_arrays import (
    ArrayFact,
    Dtype,
    count_of,
    fact_dtype,
    fits_data,
    new_dtype,
    read_shape,
    state_dtype,
)
from strongroom.scan.pickle_patterns import (
    KINDS,
    OTHER_ARGUMENTS,
    Call,
    Check,
    Data,
    StateCheck,
    fact_of,
    fits,
    is_global_call,
    is_refused,
)
from strongroom.scan.pickle_values import Dict, Global, List, Made, Tuple, is_global

_ARRAYS = (
    "numpy.ndarray", "numpy.matrix", "numpy.memmap", "numpy.rec.recarray", "numpy.recarray",
    "numpy.ma.MaskedArray",
    "numpy.ma.core.MaskedArray", "numpy.matrixlib.defmatrix.matrix", "numpy.core.records.recarray",
)  # fmt: skip
MAX_EMPTY_SCALAR_BYTES = 1024
_GENERATORS = ("MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64")
_UFUNC_MODULES = frozenset(
    [
        "numpy",
        "numpy.core._multiarray_umath",
        "numpy._core._multiarray_umath",
        "scipy.special",
        "scipy.special._ufuncs",
    ]
)


def _is_empty_shape(value: object) -> bool:
    return isinstance(value, Tuple) and value.items == [0]


def _reconstruct(call: Call) -> str:
    """_reconstruct(ndarray, (0,), b"b"): an empty array that BUILD fills."""
    if len(call.args) != 3:
        return OTHER_ARGUMENTS
    kind, shape, typecode = call.args
    if not is_global(kind, *_ARRAYS) or not _is_empty_shape(shape) or typecode not in (b"b", "b"):
        return OTHER_ARGUMENTS
    call.fact = ArrayFact()
    return ""


def _reconstruct_masked(call: Call) -> str:
    if len(call.args) != 4 or not is_global(call.args[1], *_ARRAYS):
        return OTHER_ARGUMENTS
    return _reconstruct(Call(call.callee, [call.args[0], *call.args[2:]])) or _with_fact(call, ArrayFact())


def _with_fact(call: Call, fact: object) -> str:
    call.fact = fact
    return ""


def _dtype(call: Call) -> str:
    dtype = new_dtype(call.args[0]) if call.args else None
    if dtype is None and call.args and is_global(call.args[0]):
        dtype = Dtype(0)
    if dtype is None or not fits(call.args[1:], "bool?,bool?,dict?"):
        return "of a type that is not written out"
    call.fact = dtype
    return ""


def _dtype_state(made: Made, state: object) -> str:
    if not isinstance(made.fact, Dtype):
        return "that is no type"
    dtype = state_dtype(made.fact, state)
    if dtype is None:
        return "with a state that is none of a type"
    made.fact = dtype
    return ""


def _array_state(made: Made, state: object) -> str:
    """(version, shape, dtype, is Fortran, content), and mask and fill value of a masked array."""
    if (
        not isinstance(state, Tuple)
        or len(state.items) not in (4, 5, 7)
        or not isinstance(made.fact, ArrayFact)
    ):
        return "with a state that is none of an array"
    items = state.items if len(state.items) != 4 else [1, *state.items]
    shape, dtype, content = read_shape(items[1]), fact_dtype(items[2]), items[4]
    if shape is None or dtype is None:
        return "with a shape or a type that cannot be"
    made.fact.shape = shape
    if isinstance(content, List):
        if not dtype.holds_objects:
            return "with objects in place of numbers"
        return "" if content.size == count_of(shape) else "whose content is not as long as its shape says"
    if dtype.holds_objects or not fits_data(shape, dtype, content):
        return "whose content is not as long as its shape says"
    return ""


def _scalar(call: Call) -> str:
    dtype = fact_dtype(call.args[0]) if call.args else None
    if dtype is None or len(call.args) > 2:
        return OTHER_ARGUMENTS
    if dtype.holds_objects:
        return "of objects"
    if len(call.args) == 1 and dtype.size_bytes > MAX_EMPTY_SCALAR_BYTES:
        return "without content, of a type that takes much memory"
    if len(call.args) == 2 and not fits_data((), dtype, call.args[1]):
        return "whose content is not as long as its type says"
    return ""


def _from_buffer(call: Call) -> str:
    if len(call.args) not in (4, 5):
        return OTHER_ARGUMENTS
    data, dtype, shape = call.args[0], fact_dtype(call.args[1]), read_shape(call.args[2])
    if isinstance(fact := fact_of(data), Data):
        data = fact.value
    if not fits_data(shape, dtype, data) or not fits(call.args[3:], "const,tuple|list|none?"):
        return "whose content is not as long as its shape says"
    call.fact = ArrayFact(shape)
    return ""


def _bit_generator(call: Call) -> str:
    if not call.args:
        return ""
    kind = call.args[0]
    known = (
        kind in _GENERATORS
        if isinstance(kind, str)
        else isinstance(kind, Global) and kind.name in _GENERATORS
    )
    return "" if known and len(call.args) == 1 else OTHER_ARGUMENTS


def _generator(call: Call) -> str:
    if not call.args:
        return ""
    kind, *rest = call.args
    known = (
        kind in _GENERATORS
        if isinstance(kind, str)
        else is_refused(kind) or is_global_call(kind, "bit-generator")
    )
    plain = all(isinstance(value, Global) and value.name == "__bit_generator_ctor" for value in rest)
    return "" if known and plain and len(rest) <= 1 else OTHER_ARGUMENTS


def _ufunc(call: Call) -> str:
    if len(call.args) == 2:
        module, name = call.args
        if module in _UFUNC_MODULES and isinstance(name, str) and name.isidentifier() and name[0] != "_":
            return ""
    return "from a module that is not NumPy's"


def _cython(call: Call) -> str:
    """__pyx_unpickle_X(X, checksum, state): Cython's own way."""
    if len(call.args) != 3:
        return OTHER_ARGUMENTS
    kind, checksum, state = call.args
    if not isinstance(kind, Global) or kind.allowed is None or not isinstance(checksum, int):
        return OTHER_ARGUMENTS
    if not isinstance(state, Tuple | Dict) and state is not None:
        return OTHER_ARGUMENTS
    call.maker = kind
    return ""


def _class_of_module(call: Call) -> str:
    """newObj(X): X.__new__(X), in modules of scikit-learn written in Cython."""
    if len(call.args) != 1 or not KINDS["class"](call.args[0]):
        return OTHER_ARGUMENTS
    call.maker = call.args[0] if isinstance(call.args[0], Global) else None
    return ""


CALLS: dict[str, Check] = {
    "reconstruct": _reconstruct,
    "reconstruct-masked": _reconstruct_masked,
    "dtype": _dtype,
    "scalar": _scalar,
    "from-buffer": _from_buffer,
    "bit-generator": _bit_generator,
    "generator": _generator,
    "ufunc": _ufunc,
    "cython": _cython,
    "class-of-module": _class_of_module,
}
STATES: dict[str, StateCheck] = {
    "reconstruct": _array_state,
    "reconstruct-masked": _array_state,
    "dtype": _dtype_state,
}

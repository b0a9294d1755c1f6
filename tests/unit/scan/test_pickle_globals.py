"""The list of allowed names, held against what Python makes of names and against what must never be on it."""

import _compat_pickle
from pathlib import Path

import pytest

from strongroom.scan import pickle_globals
from strongroom.scan.pickle_calls import check_call
from strongroom.scan.pickle_globals import Use, find_allowed, modern
from strongroom.scan.pickle_patterns import Call
from strongroom.scan.pickle_values import Global

NAMES = pickle_globals._load()
BY_HAND = Path(__file__).parents[3] / "scripts" / "pickle_calls.list"


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


NEVER_NAMES = _words(
    "system popen exec eval compile execfile __import__ import_module open load loads fromfile tofile "
    "memmap_open genfromtxt loadtxt save savez savetxt read_pickle read_csv run call check_output Popen "
    "spawn methodcaller reduce apply_along_axis frompyfunc input breakpoint exit quit setattr "
    "delattr globals locals vars print DataSource load_library create_module deepcopy "
    "reconstruct_module map filter starmap accumulate"
)
NEVER_ROOTS = _words(
    "os posix nt subprocess sys socket shutil importlib runpy pickle marshal ctypes code pty webbrowser "
    "pip tempfile multiprocessing threading asyncio http urllib requests logging site cloudpickle dill "
    "IPython builtins_ io"
)


def test_nothing_that_runs_code_is_on_the_list() -> None:
    assert not {name for _, name in NAMES if name in NEVER_NAMES}
    assert not {module for module, _ in NAMES if module.partition(".")[0] in NEVER_ROOTS}


def test_of_the_built_in_functions_only_types_are_on_the_list() -> None:
    import builtins

    names = {name for module, name in NAMES if module == "builtins"}
    functions = {name for name in names if not isinstance(getattr(builtins, name), type)}
    assert functions == {"getattr", "Ellipsis", "NotImplemented"}


def test_names_are_plain() -> None:
    for module, name in NAMES:
        assert name.isidentifier(), (module, name)
        assert all(part.isidentifier() for part in module.split(".")), (module, name)


def test_python_translates_no_listed_name_into_another() -> None:
    """Unpickling protocol 0 to 2 renames modules and names of Python 2 (Lib/_compat_pickle.py)."""
    for module, name in NAMES:
        assert (module, name) not in _compat_pickle.NAME_MAPPING, (module, name)
        assert module not in _compat_pickle.IMPORT_MAPPING, (module, name)


@pytest.mark.parametrize("name", ["list", "object", "unicode", "long", "xrange", "eval", "getattr"])
def test_old_builtins_are_judged_by_what_python_makes_of_them(name: str) -> None:
    mapped = _compat_pickle.NAME_MAPPING.get(("__builtin__", name), ("builtins", name))
    assert modern("__builtin__", name) == mapped


def test_every_check_is_known() -> None:
    for (module, name), allowed in NAMES.items():
        if allowed.use in (Use.MAKE, Use.CALL):
            check_call(Call(Global(module, name, allowed), []), allowed.check)


def test_names_by_hand_are_in_the_list() -> None:
    for line in BY_HAND.read_text("ascii").splitlines():
        if line and not line.startswith("#"):
            module, name, use, *check = line.split(" ")
            allowed = find_allowed(module, name)
            assert allowed is not None
            assert (allowed.use, allowed.check) == (use, "".join(check)), line


def test_estimators_of_the_installed_scikit_learn_are_listed() -> None:
    from sklearn.utils import all_estimators

    missing = [
        kind.__name__ for _, kind in all_estimators() if find_allowed(kind.__module__, kind.__name__) is None
    ]
    assert not missing

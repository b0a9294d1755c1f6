"""Arbitrary and damaged pickles: nothing but findings comes out, and in no time."""

import io
import pickle
import random
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strongroom.artifact.formats import Format
from strongroom.errors import RejectedError
from strongroom.scan.pickle_machine import _BY_CODE
from strongroom.scan.pickles import PickleReader
from strongroom.scan.place import Place
from strongroom.scan.scan import Content, Scan
from strongroom.scan.upload import judge
from tests.unit.scan.looking import source
from tests.unit.scan.pickled import ARTIFACTS, PICKLES, imported, matches, refused_by, text

SEEDS = [path for path in sorted(PICKLES.glob("*.p[0-9].*")) if path.stat().st_size < 20_000]
CODES = [
    *_BY_CODE,
    b"K\x01",
    b"h\x00",
    b"q\x00",
    b"I1\n",
    b"cos\nsystem\n",
    text("os"),
    text("system"),
    b"C\x01a",
]
CODES += [imported("collections", "OrderedDict"), imported("numpy", "dtype"), imported("builtins", "getattr")]


@pytest.mark.slow
@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from(CODES), max_size=40), st.binary(max_size=8))
def test_any_row_of_opcodes_is_judged(codes: list[bytes], rest: bytes) -> None:
    matches(b"".join(codes) + rest + b".")


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_judged(data: bytes) -> None:
    matches(data)
    matches(data, Format.TORCH)
    matches(data, Format.SKOPS)


EARLIER = frozenset(
    {
        "a line of the pickle does not end",
        "refers to something that was not stored",
        "a number that is none",
    }
)
"""Why reading stops where one of the two readers of Python goes on. Such a pickle is refused all the same."""


class _Stub:
    """Stands for whatever a pickle imports, and takes whatever it does with it."""

    def __new__(cls, *_: object, **__: object) -> "_Stub":
        return object.__new__(cls)

    def __setstate__(self, _: object) -> None:
        pass

    def __setitem__(self, _: object, __: object) -> None:
        pass

    def append(self, _: object) -> None:
        pass


def _imports(data: bytes, kind: type[Any]) -> set[tuple[str, str]]:
    """Return what Python itself imports, with nothing imported."""
    names: set[tuple[str, str]] = set()

    class Recorder(kind):  # type: ignore[misc]
        def find_class(self, module: str, name: str) -> type[_Stub]:
            names.add((module, name))
            return _Stub

        def persistent_load(self, _: object) -> None:
            return None

    with suppress(Exception):
        Recorder(io.BytesIO(data)).load()
    return names


@pytest.mark.slow
@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from(CODES), max_size=40))
def test_whatever_python_imports_is_seen(codes: list[bytes]) -> None:
    data = b"".join(codes) + b"."
    reader = PickleReader(Scan({}, judge, lambda *_: None), Content(*source(data), Place("x")))
    try:
        reader.read()
    except RejectedError as error:
        if error.message in EARLIER:
            return
    seen = set(reader.judge._names)
    assert _imports(data, pickle.Unpickler) <= seen
    assert _imports(data, pickle._Unpickler) <= seen


@pytest.mark.parametrize("path", SEEDS, ids=lambda path: path.name)
def test_damaged_pickles_are_judged(path: object) -> None:
    data = path.read_bytes()  # type: ignore[attr-defined]
    chance = random.Random(path.name)  # type: ignore[attr-defined]
    for _ in range(25):
        damaged = bytearray(data)
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(damaged))
            if chance.random() < 0.5:
                damaged[at] = chance.randrange(256)
            else:
                damaged[at : at + chance.randrange(8)] = chance.randbytes(chance.randrange(8))
        matches(bytes(damaged))


@pytest.mark.parametrize("name", ["rf_plain.joblib", "sk_rf_p2.pkl", "std_misc.pkl"])
def test_cut_pickles_are_refused(name: str) -> None:
    data = (ARTIFACTS / name).read_bytes()
    for size in range(0, len(data), max(1, len(data) // 60)):
        assert refused_by(data[:size]), size

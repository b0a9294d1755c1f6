"""What would run as a pickle is told from text and weights, both ways."""

import io
import pickle
import zipfile
from collections import OrderedDict
from datetime import UTC, datetime

import pytest

from strongroom.artifact import pickle_streams
from strongroom.artifact.pickle_streams import is_pickle, runs_as_pickle
from tests.unit.artifact.objects import Octets, some_bytes

CALL = b"cos\nsystem\n(S'id'\ntR."
LEGACY_TORCH = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19." + b"\x80\x02M\xe9\x03." + some_bytes(500)


def recognised(content: bytes) -> bool:
    return is_pickle(Octets(content).read_at, len(content))


def runs(content: bytes) -> bool:
    return runs_as_pickle(Octets(content).read_at, len(content))


class Thing:
    def __reduce__(self) -> object:
        return print, ("harmless",)


OBJECTS = [None, 1, 1.5, "text", b"bytes", [1, 2], {"a": (1, 2)}, {1, 2}, OrderedDict(a=1), Thing(), 2**70]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("value", OBJECTS, ids=lambda value: type(value).__name__)
def test_what_python_writes_is_a_pickle(protocol: int, value: object) -> None:
    content = pickle.dumps(value, protocol)
    assert recognised(content)
    assert runs(content) or not isinstance(value, Thing)


@pytest.mark.parametrize(
    ("attack", "content"),
    [
        ("whole", CALL),
        ("no end", CALL[:-1]),
        ("an unknown instruction behind the call", CALL[:-1] + b"\xff\xfe\xfd"),
        ("bytes behind the end", CALL + b"\0" * 100),
        ("text behind the end", CALL + b"\nThis is a readme.\n"),
        ("no mark of a protocol", b"\x8c\x05posix\x8c\x06system\x93\x8c\x02id\x85R."),
        ("old instructions", b"(S'id'\nios\nsystem\n."),
        ("class on the stack", b"(cos\nsystem\nS'id'\no."),
        ("built", b"cos\nsystem\n}b."),
        ("made anew", b"cos\nsystem\n)\x81."),
        ("made anew with keywords", b"cos\nsystem\n)}\x92."),
        ("from the registry", b"\x82\x01)R."),
        ("behind a first pickle", b"N." + CALL),
        ("behind many pickles", b"N." * 300 + CALL),
        ("behind what is thrown away", b"S'x'\n0(1I1\n0" + CALL),
        ("behind a line of binary", b"V" + some_bytes(200).replace(b"\n", b"") + b"\n0" + CALL),
        ("behind a long line", b"V" + b"x" * 200_000 + b"\n0" + CALL),
        ("from the memo", b"cos\nsystem\np7\n0g7\n(S'id'\ntR."),
        ("from the memo of MEMOIZE", b"cos\nsystem\n\x940h\x00(S'id'\ntR."),
        ("a persistent object", b"Pid\n0" + CALL),
        ("numbers as Python reads them", b"I01\n0I0x10\n0L5L\n0F1e3\n0F nan \n0" + CALL),
        ("duplicated", b"cos\nsystem\n2(S'id'\ntR."),
    ],
)
def test_what_would_run_is_recognised(attack: str, content: bytes) -> None:
    assert recognised(content)
    assert runs(content)


@pytest.mark.parametrize(
    ("attack", "content"),
    [
        ("legacy checkpoint", LEGACY_TORCH),
        ("bytes behind the end", b"\x80\x04N." + some_bytes(50)),
        ("an import and an unknown instruction", b"\x80\x04cos\nsystem\n\xff"),
        ("many instructions and no end", b"\x80\x02" + b"]" * 100),
        ("more instructions than are followed", b"]" * 2 * pickle_streams.MAX_STEPS),
    ],
)
def test_broken_pickles_are_pickles(attack: str, content: bytes) -> None:
    assert recognised(content)


@pytest.mark.parametrize(
    "text",
    [
        "[PAD]\neval\nexec\nrm\n-rf\n",
        "cos\nsystem\n",
        "cat\ndog\nbird\n",
        "config\nfoo\nbar\n",
        "cache\nbuild\n.env\n",
        "(c) 2024 the authors\n",
        "import os\nos.system('id')\n",
        "N.B. this is a note.\n",
        "I. Introduction\n\n1. A\n",
        "Version 1.0\nSee below.\n",
        "Vx\n0cos\n",
        "}\n]\n",
        "0.1 0.2 0.3\n",
        "S'id'\n",
        "tR.",
        "",
    ],
)
def test_text_is_no_pickle(text: str) -> None:
    assert not recognised(text.encode())
    assert not runs(text.encode())


def test_real_text_is_no_pickle() -> None:
    for module in (pickle, pickle_streams, pytest):
        with open(str(module.__file__), "rb") as file:
            assert not recognised(file.read())


@pytest.mark.parametrize("seed", range(40))
def test_weights_are_no_pickles(seed: int) -> None:
    content = some_bytes(4000 + seed)[seed * 50 :]
    assert not runs(content)
    assert not recognised(content)


def test_weights_that_begin_like_a_protocol_are_no_pickle() -> None:
    assert not recognised(b"\x80\x02" + bytes(100))
    assert not recognised(b"\x80\x3f" * 100)
    assert not recognised(b"\x80\x09N.")


def test_lines_are_searched_only_so_far(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond, the benefit of the doubt is the scanner's."""
    monkeypatch.setattr(pickle_streams, "MAX_LINE_BYTES", 1000)
    touched = 0

    def read_at(offset: int, size: int) -> bytes:
        nonlocal touched
        touched += size
        return b"V" * size

    assert is_pickle(read_at, 2**40)
    assert touched < 2**18


def test_arguments_longer_than_the_file_end_the_walk() -> None:
    assert not recognised(b"\x8e" + b"\xff" * 8 + CALL)
    assert not recognised(b"T\xff\xff\xff\x7f" + CALL)


def test_a_checkpoint_in_an_archive_does_not_run_from_its_first_byte() -> None:
    """A number ten in front of the first name is the end of a line to a pickle reader."""
    checkpoint = {"epoch": 10, "at": datetime(2026, 1, 1, tzinfo=UTC)}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("ckpt/data.pkl", pickle.dumps(checkpoint, 2))
    assert not runs(buffer.getvalue())

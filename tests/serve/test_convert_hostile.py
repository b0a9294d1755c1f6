"""What a hostile original can do in the converter: nothing. Each wall is tried without the ones before it."""

import io
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest

from strongroom.errors import InvalidError, RejectedError
from strongroom.ports import ConversionWish
from strongroom.sdk.converting import convert_file
from strongroom.serve import control
from strongroom.serve.supervisor.conversion import SandboxConverter
from strongroom.serve.worker.layers import DEFAULT_REQUIRED
from tests.serve.converting import Line

GIB = 2**30
WISH = ConversionWish(32, 1, None, None, GIB, 60.0, 2**26)


class Call:
    """Pickled, it calls a function when it is loaded."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self._made = (function, arguments)

    def __reduce__(self) -> Any:
        return self._made


def system(path: Path) -> bytes:
    return pickle.dumps(Call(os.system, f"touch {path}"))


@pytest.fixture(scope="module")
def line() -> Iterator[Line]:
    with Line() as line:
        yield line


# --- the first wall: nothing is started ---------------------------------------------------------------------


def test_what_the_scan_refuses_is_never_run(tmp_path: Path) -> None:
    hostile = tmp_path / "model.pkl"
    hostile.write_bytes(system(tmp_path / "marker"))
    with pytest.raises(RejectedError, match="system"):
        convert_file(hostile)
    assert not (tmp_path / "marker").exists()


# --- the second wall, without the first: names that no model needs ------------------------------------------


def _numpy_wrapper(shape: tuple[int, ...], dtype: Any) -> bytes:
    from joblib.numpy_pickle import NumpyArrayWrapper

    wrapper = NumpyArrayWrapper(np.ndarray, shape, "C", np.dtype(dtype))
    return pickle.dumps(wrapper) + b"\0" * 64


def _nested_object_array(inner: bytes) -> bytes:
    """joblib writes an array of objects as a pickle of its own, behind the wrapper."""
    from joblib.numpy_pickle import NumpyArrayWrapper

    wrapper = pickle.dumps(NumpyArrayWrapper(np.ndarray, (1,), "C", np.dtype(object)), 2)
    return wrapper[:-1] + inner + b"."


NAMED = {
    "os.system": lambda: system(Path("/tmp/strongroom-marker")),
    "builtins.eval": lambda: pickle.dumps(Call(eval, "1")),
    "subprocess.Popen": lambda: pickle.dumps(Call(subprocess.Popen, "true")),
    "protocol 0": lambda: pickle.dumps(Call(os.system, "true"), 0),
    "behind an array of objects": lambda: _nested_object_array(pickle.dumps(Call(os.system, "true"))),
    "numpy loads a pickle": lambda: pickle.dumps(Call(np.load, "x.npy")),
    "joblib loads a pickle": lambda: pickle.dumps(Call(joblib.load, "x.pkl")),
    "dotted": lambda: b"\x80\x04\x8c\x08builtins\x8c\x0deval.__call__\x93.",
}


@pytest.mark.parametrize("attack", NAMED)
def test_a_name_that_no_model_needs_is_not_found(attack: str, line: Line) -> None:
    with pytest.raises(RejectedError, match=r"names .*, which no model needs|not a whole pickle"):
        line.convert(NAMED[attack]())


def _model() -> Any:
    from sklearn.linear_model import LogisticRegression

    rows = np.arange(40, dtype=float).reshape(20, 2)
    return LogisticRegression().fit(rows, np.arange(20) // 10)


def _bomb() -> bytes:
    file = io.BytesIO()
    joblib.dump(np.zeros(2**27), file, compress=("zlib", 9))
    return file.getvalue()


def _cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


MALFORMED = {
    "cut": lambda: _cut(pickle.dumps(_model())),
    "goes on": lambda: pickle.dumps(_model()) + b"more",
    "a second pickle behind": lambda: pickle.dumps(_model()) + system(Path("/tmp/strongroom-marker")),
    "array said to be huge": lambda: _numpy_wrapper((2**40,), float),
    "array of negative extent": lambda: _numpy_wrapper((-1,), float),
    "unpacks to a gigabyte": _bomb,
    "compressed three times over": lambda: _compressed(_compressed(_compressed(pickle.dumps(_model())))),
    "nested deeply": lambda: b"\x80\x04" + b"]" * 200_000 + b"a" * 199_999 + b".",
}


def _compressed(data: bytes) -> bytes:
    import gzip

    return gzip.compress(data)


@pytest.mark.parametrize("attack", MALFORMED)
def test_a_malformed_original_is_refused_and_the_next_one_is_not(attack: str, line: Line) -> None:
    with pytest.raises((RejectedError, InvalidError)):
        line.convert(MALFORMED[attack]())


def test_the_same_process_still_converts_what_is_honest(line: Line) -> None:
    content, facts = line.convert(pickle.dumps(_model()))
    assert facts["label"]["agreed"] == facts["label"]["rows"] > 0
    assert content


# --- the third wall, without the first two: code that runs -------------------------------------------------

_UNLISTED = """
import importlib, os, sys
from strongroom.serve.converter import allowed
def find_global(module, name):
    found = sys.modules.get(module) or importlib.import_module(module)
    return getattr(found, name)
allowed.find_global = find_global
from strongroom.serve.converter.start import run
os._exit(run(int(sys.argv[1]), "classical"))
"""


class Unlisted:
    """A converter whose list of names allows everything: what is left are the locks."""

    def __init__(self) -> None:
        self.control, theirs = control.pair()
        self.control.settimeout(120.0)
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-c", _UNLISTED, str(theirs.fileno())],
            env={},
            pass_fds=[theirs.fileno()],
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        theirs.close()
        received = control.receive(self.control)
        assert received is not None
        assert received[0]["kind"] == "locked"

    def attack(self, original: bytes, memory_bytes: int = GIB, timeout_s: float = 60.0) -> str:
        """Returns what it says, or how it died."""
        source, target = os.memfd_create("original"), os.memfd_create("converted")
        os.write(source, original)
        os.ftruncate(target, 2**20)
        request = {"rows": 8, "seed": 1, "features": None, "max_error": None, "entry": None}
        message = {"kind": "convert", "memory_bytes": memory_bytes, "request": request, "given": []}
        try:
            control.send(self.control, message, [source, target])
            self.control.settimeout(timeout_s)
            received = control.receive(self.control)
            if received is None:
                return f"died {self.process.wait(30)}"
            return f"said {received[0].get('message')}"
        except TimeoutError:
            return "silent"
        finally:
            self.process.kill()
            self.process.wait()
            self.control.close()
            os.close(source)
            os.close(target)


def _runs(code: str) -> bytes:
    return pickle.dumps(Call(exec, code))


ESCAPES = {
    "a shell": (lambda marker: system(marker), "died -31"),
    "a fork": (lambda marker: _runs("import os; os.fork()"), "died -31"),
    "a fork bomb": (lambda marker: _runs("import os\nwhile True: os.fork()"), "died -31"),
    "a socket": (lambda marker: _runs("import socket; socket.socket()"), "died -31"),
    "reading a file": (lambda marker: _runs("open('/etc/passwd').read()"), "Permission denied"),
    "listing a folder": (lambda marker: _runs("import os; os.listdir('/')"), "Permission denied"),
    "writing a file": (lambda marker: _runs(f"open({str(marker)!r}, 'w').write('x')"), "Permission denied"),
    "a thread": (
        lambda marker: _runs("import threading; threading.Thread(target=print).start()"),
        "can't start new thread",
    ),
    "memory without end": (lambda marker: _runs("x = []\nwhile True: x.append(bytearray(2**24))"), "memory"),
    "a program in memory": (lambda marker: _runs("import os; os.memfd_create('x')"), "not permitted"),
    "the environment": (
        lambda marker: _runs("import os; raise OSError(sorted(os.environ))"),
        "'[]'",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("attack", ESCAPES)
def test_code_that_runs_in_the_converter_gets_nothing(attack: str, tmp_path: Path) -> None:
    build, outcome = ESCAPES[attack]
    assert outcome in Unlisted().attack(build(tmp_path / "marker"))
    assert not (tmp_path / "marker").exists()


@pytest.mark.slow
def test_the_same_code_succeeds_without_the_locks(tmp_path: Path) -> None:
    """The control: what fails here proves nothing in the tests above."""
    code = "import pickle, sys; pickle.loads(bytes.fromhex(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", code, system(tmp_path / "marker").hex()], check=False)
    assert (tmp_path / "marker").exists()


# --- what only the supervisor can end -----------------------------------------------------------------------


def _circular_tree() -> bytes:
    """An XGBoost tree whose first node is its own child: an honest reader walks it for ever."""
    import xgboost

    rows = np.arange(40, dtype=float).reshape(20, 2)
    data = xgboost.DMatrix(rows, label=np.arange(20) // 10)
    booster = xgboost.train({"objective": "binary:logistic", "nthread": 1}, data, 1)
    model = json.loads(bytes(booster.save_raw("json")))
    tree = model["learner"]["gradient_booster"]["model"]["trees"][0]
    tree["left_children"][0] = tree["right_children"][0] = 0
    return json.dumps(model).encode()


@pytest.mark.slow
def test_a_crash_is_told_and_is_the_sandbox_s_alone() -> None:
    with pytest.raises(RejectedError, match=r"crashed the sandbox \(SIG|refuses it|not converted after"):
        SandboxConverter(DEFAULT_REQUIRED).convert("circular.json", _circular_tree(), WISH)


@pytest.mark.slow
def test_a_loop_without_end_is_ended_by_the_clock_outside() -> None:
    assert Unlisted().attack(_runs("while True: pass"), timeout_s=3) == "silent"
    wish = ConversionWish(32, 1, None, None, GIB, 0.001, 2**26)
    with pytest.raises(RejectedError, match=r"not converted after 0\.001 s") as caught:
        SandboxConverter(DEFAULT_REQUIRED).convert("slow.pkl", pickle.dumps(_model()), wish)
    assert "--timeout" in (caught.value.hint or "")


@pytest.mark.slow
def test_more_memory_than_agreed_is_refused_with_the_option_that_gives_more() -> None:
    from sklearn.neighbors import KNeighborsClassifier

    rows = np.random.default_rng(1).standard_normal((200_000, 40))
    model = KNeighborsClassifier().fit(rows, np.arange(len(rows)) % 2)
    wish = ConversionWish(256, 1, None, None, 2**28, 120.0, 2**28)
    with pytest.raises(RejectedError, match="memory") as caught:
        SandboxConverter(DEFAULT_REQUIRED).convert("large.pkl", pickle.dumps(model, 5), wish)
    assert "--memory" in (caught.value.hint or "")

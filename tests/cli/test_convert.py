"""strongroom convert as a person types it and as a program reads it, with the real sandbox."""

import os
import pickle
import re
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tests.cli.press import Shell

_ROWS = np.random.default_rng(3).standard_normal((80, 4)).astype(np.float32)
_LABELS = np.array(["bad", "good"])[(_ROWS[:, 0] > 0).astype(int)]


@pytest.fixture(scope="module")
def original() -> bytes:
    return pickle.dumps(make_pipeline(StandardScaler(), LogisticRegression()).fit(_ROWS, _LABELS))


@pytest.fixture
def room(bare: Shell, original: bytes) -> Shell:
    """A user with a model and no home."""
    (bare.root / "churn.pkl").write_bytes(original)
    return bare


def test_a_pickle_becomes_onnx_that_answers_alike_with_no_home(room: Shell, original: bytes) -> None:
    told = room.ok("convert", "churn.pkl", "-o", "churn.onnx").out
    assert re.search(
        r"^model      StandardScaler > LogisticRegression, 4 features, classification$", told, re.MULTILINE
    )
    assert re.search(r"^labels     agree in 256 of 256 rows$", told, re.MULTILINE)
    assert re.search(r"^sandbox    \d+ layers on", told, re.MULTILINE)
    assert "record     churn.conversion.json, not signed" in told
    session = onnxruntime.InferenceSession(room.root / "churn.onnx", providers=["CPUExecutionProvider"])
    label, probabilities = session.run(["label", "probabilities"], {"input": _ROWS})
    model = pickle.loads(original)
    assert label.tolist() == model.predict(_ROWS).tolist()
    assert np.abs(probabilities - model.predict_proba(_ROWS)).max() < 1e-6
    again = room("convert", "churn.pkl", "-o", "churn.onnx")
    assert (again.code, again.error) == (2, "churn.onnx: exists already")


def test_a_program_reads_one_value(room: Shell) -> None:
    np.savez(room.root / "rows.npz", X=_ROWS[:20])
    told = room.ok("convert", "churn.pkl", "-o", "churn.onnx", "--inputs", "rows.npz", "--json").json
    assert told["facts"]["rows"] == 20
    assert told["facts"]["seed"] is None
    assert told["facts"]["label"] == {"rows": 20, "agreed": 20, "ties": 0}
    assert told["signed"] is False
    assert Path(room.root / told["record"]).exists()


def test_a_hostile_pickle_is_refused_and_nothing_is_written(room: Shell) -> None:
    class Attack:
        def __reduce__(self) -> object:
            return os.system, (f"touch {room.root}/marker",)

    (room.root / "evil.pkl").write_bytes(pickle.dumps(Attack()))
    refused = room("convert", "evil.pkl", "-o", "evil.onnx")
    assert refused.code == 4
    assert "system" in refused.error
    assert not {"marker", "evil.onnx", "evil.conversion.json"} & set(os.listdir(room.root))


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["churn.pkl", "-o", "churn.bin"], "does not end in .onnx"),
        (["nothing.pkl", "-o", "churn.onnx"], "no such file"),
        (["churn.pkl", "-o", "churn.onnx", "--memory", "much"], "is not a size"),
        (["churn.pkl", "-o", "churn.onnx", "--timeout", "soon"], "is not a time"),
        (["churn.pkl", "-o", "churn.onnx", "--rows", "0"], "rows: 0 is not within"),
        (["churn.pkl", "-o", "churn.onnx", "--inputs", "rows.csv"], "is not a number of features"),
        (["model.onnx", "-o", "churn.onnx"], "is onnx already"),
    ],
    ids=["name", "missing", "memory", "timeout", "rows", "inputs", "format"],
)
def test_what_is_wrong_is_said(arguments: list[str], error: str, room: Shell) -> None:
    outcome = room("convert", *arguments)
    assert outcome.code == 2, outcome
    assert error in outcome.error


@pytest.mark.slow
def test_an_original_is_published_and_both_digests_are_signed(room: Shell) -> None:
    room.ok("init", "--identity", "ada", "--insecure-solo")
    published = room.ok("publish", "churn.pkl", "--convert", "--as", "churn@1.0.0", "--owner", "risk")
    assert "format   onnx, 1 file" in published.out
    shown = room.ok("show", "churn@1.0.0", "--json").json
    conversion = shown["inspection"]["conversion"]
    assert conversion["signed"] is True
    assert conversion["converted"]["sha256"] == f"sha256:{shown['files'][0]['sha256']}"
    assert "churn.onnx" not in os.listdir(room.root)
    assert "\tconvert\tchurn@1.0.0\t" in room.ok("log", "show").out


@pytest.mark.slow
def test_a_record_goes_with_its_own_file_only(room: Shell) -> None:
    room.ok("init", "--identity", "ada", "--insecure-solo")
    room.ok("convert", "churn.pkl", "-o", "churn.onnx", "--as", "churn@1.0.0")
    record = ("--conversion", "churn.conversion.json", "--owner", "risk")
    stranger = room("publish", "model.onnx", "--as", "churn@1.0.0", *record)
    assert (stranger.code, "of another file" in stranger.error) == (4, True)
    other = room("publish", "churn.onnx", "--as", "churn@2.0.0", *record)
    assert (other.code, "is for churn@1.0.0" in other.error) == (4, True)
    room.ok("publish", "churn.onnx", "--as", "churn@1.0.0", *record)
    assert "converted elsewhere" not in room.ok("show", "churn@1.0.0", "--json").out

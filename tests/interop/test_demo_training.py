"""The models of the demonstration: the same ones every time, exported without a change in answers."""

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from demo.train import Exported, train_fraud, train_tumour
from demo.transactions import CATEGORICAL, NUMERIC, make_transactions


@pytest.fixture(scope="module")
def fraud() -> Exported:
    return train_fraud(rows=12_000)


def test_same_seed_same_transactions() -> None:
    first, again, other = (
        make_transactions(2_000, 1),
        make_transactions(2_000, 1),
        make_transactions(2_000, 2),
    )
    for name, column in first.columns.items():
        np.testing.assert_array_equal(column, again.columns[name])
    assert not np.array_equal(first.columns["amount"], other.columns["amount"])


def test_fraud_is_rare_and_learnable(fraud: Exported) -> None:
    assert 0.005 <= fraud.positive_share <= 0.012
    assert fraud.roc_auc > 0.85
    assert fraud.pr_auc > 10 * fraud.positive_share


def test_fraud_takes_one_input_a_column(fraud: Exported) -> None:
    session = onnxruntime.InferenceSession(fraud.onnx, providers=["CPUExecutionProvider"])
    kinds = {value.name: value.type for value in session.get_inputs()}
    assert kinds == dict.fromkeys(CATEGORICAL, "tensor(string)") | dict.fromkeys(NUMERIC, "tensor(float)")


def test_a_country_never_seen_is_answered(fraud: Exported) -> None:
    session = onnxruntime.InferenceSession(fraud.onnx, providers=["CPUExecutionProvider"])
    row = {name: values[:1] for name, values in fraud.test_inputs.items()}
    row["country"] = np.array([["XX"]], dtype=object)
    assert 0 <= session.run(["probabilities"], row)[0][0, 1] <= 1


def test_written_rows_are_the_rows_tested(tmp_path: Path) -> None:
    tumour = train_tumour()
    path = tumour.write(tmp_path)
    rows = json.loads((tmp_path / "tumour-rows.json").read_text())
    assert path.read_bytes() == tumour.onnx
    assert [len(row["x"]) for row in rows] == [30] * len(rows)
    sent = np.array([row["x"] for row in rows], np.float32)
    tested = {tuple(values) for values in tumour.test_inputs["x"]}
    assert all(tuple(values) in tested for values in sent)


def test_tumour_is_nearly_always_right() -> None:
    assert train_tumour().roc_auc > 0.98

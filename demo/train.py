"""Trains the two models of the demonstration with scikit-learn and exports them to ONNX.

`python -m demo.train FOLDER [NAME...]` writes, for each model (or those named), ``<name>.onnx`` and
``<name>-rows.json``: a JSON list with one object a row, from input name to value (a number or a string where
the input holds one a row, else a list). That is the form that `strongroom predict` reads.

fraud   one input a column: 4 of strings, 9 of numbers (demo/transactions.py); a random forest
tumour  one input ``x`` FP32 [N, 30]: scikit-learn's breast-cancer measurements; a scaled linear model
"""

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from demo.transactions import CATEGORICAL, COLUMNS, NUMERIC, Transactions, make_transactions

Batch = dict[str, np.ndarray[Any, Any]]

_OPSETS = {"": 17, "ai.onnx.ml": 3}
_EXAMPLE_ROWS = 8
_MAX_DIFFERENCE = 1e-4
"""Between scikit-learn's probability (float64) and ONNX's (float32)."""
_MAX_DIFFERING_SHARE = 1e-3
"""Rows that may differ by more: a number that lies on a split goes the other way once rounded to float32."""


@dataclass(frozen=True)
class Exported:
    """A trained model as ONNX, with what was measured on rows it never saw."""

    name: str
    onnx: bytes
    test_inputs: Batch
    test_labels: np.ndarray[Any, Any]
    examples: list[dict[str, Any]]
    """Rows of the test set, half of each class, in the form of rows.json."""
    rows: int
    positive_share: float
    roc_auc: float
    pr_auc: float
    differing_share: float
    """Test rows where ONNX and scikit-learn differ by more than 1e-4."""
    seconds: float

    def write(self, folder: Path) -> Path:
        """Write ``<name>.onnx`` and ``<name>-rows.json``; return the path of the model."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.name}.onnx"
        path.write_bytes(self.onnx)
        (folder / f"{self.name}-rows.json").write_text(json.dumps(self.examples, indent=1) + "\n")
        return path


def train_fraud(rows: int = 200_000, seed: int = 20_240_229) -> Exported:
    """Train the fraud model on ``rows`` transactions, three quarters of them; the rest measures it."""
    started = time.monotonic()
    data = make_transactions(rows, seed)
    kept, tested = train_test_split(np.arange(rows), test_size=0.25, random_state=seed, stratify=data.fraud)
    encoder = ColumnTransformer(
        [
            (
                "categories",
                OneHotEncoder(handle_unknown="ignore", sparse_output=False),
                [*range(len(CATEGORICAL))],
            )
        ],
        remainder="passthrough",
    )
    forest = RandomForestClassifier(
        n_estimators=40,
        max_depth=14,
        min_samples_leaf=8,
        max_features=0.35,
        max_samples=0.5,
        n_jobs=2,
        random_state=seed,
    )
    pipeline = Pipeline([("encode", encoder), ("forest", forest)])
    table = _stack(data)
    pipeline.fit(table[kept], data.fraud[kept])
    types = [(name, StringTensorType([None, 1])) for name in CATEGORICAL]
    types += [(name, FloatTensorType([None, 1])) for name in NUMERIC]
    inputs = {name: data.columns[name][tested].reshape(-1, 1) for name in COLUMNS}
    expected = pipeline.predict_proba(table[tested])[:, 1]
    return _export("fraud", pipeline, types, inputs, data.fraud[tested], expected, rows, started)


def train_tumour(seed: int = 7) -> Exported:
    """Train the tumour model: 569 rows of 30 measurements, 0 malignant, 1 benign."""
    started = time.monotonic()
    x, y = load_breast_cancer(return_X_y=True)
    x = x.astype(np.float32)
    kept_x, tested_x, kept_y, tested_y = train_test_split(x, y, test_size=0.25, random_state=seed, stratify=y)
    pipeline = Pipeline([("scale", StandardScaler()), ("linear", LogisticRegression(max_iter=1000))])
    pipeline.fit(kept_x, kept_y)
    expected = pipeline.predict_proba(tested_x)[:, 1]
    types = [("x", FloatTensorType([None, x.shape[1]]))]
    return _export("tumour", pipeline, types, {"x": tested_x}, tested_y, expected, len(x), started)


def describe(exported: Exported) -> str:
    """Return one line: what was trained and how good it is."""
    return (
        f"{exported.name}: {exported.rows:,} rows, {exported.positive_share:.2%} positive; on unseen rows "
        f"ROC-AUC {exported.roc_auc:.3f}, PR-AUC {exported.pr_auc:.3f}; ONNX {len(exported.onnx):,} bytes, "
        f"differs from scikit-learn in {exported.differing_share:.3%} of rows; {exported.seconds:.1f} s"
    )


def _stack(data: Transactions) -> np.ndarray[Any, Any]:
    """All columns side by side, as scikit-learn wants mixed types: one array of objects."""
    return np.column_stack([data.columns[name].astype(object) for name in COLUMNS])


def _export(
    name: str,
    pipeline: Pipeline,
    types: list[tuple[str, Any]],
    inputs: Batch,
    labels: np.ndarray[Any, Any],
    expected: np.ndarray[Any, Any],
    rows: int,
    started: float,
) -> Exported:
    """Convert and compare on every test row; an export that answers otherwise than its origin is refused."""
    proto = to_onnx(pipeline, initial_types=types, options={"zipmap": False}, target_opset=_OPSETS)
    content = proto.SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    answered = session.run(["probabilities"], inputs)[0][:, 1]
    differing = float(np.mean(np.abs(answered - expected) > _MAX_DIFFERENCE))
    if differing > _MAX_DIFFERING_SHARE:
        raise RuntimeError(f"{name}: the ONNX export differs from scikit-learn in {differing:.2%} of rows")
    return Exported(
        name=name,
        onnx=content,
        test_inputs=inputs,
        test_labels=labels,
        examples=_pick_examples(inputs, labels),
        rows=rows,
        positive_share=float(np.mean(labels)),
        roc_auc=float(roc_auc_score(labels, answered)),
        pr_auc=float(average_precision_score(labels, answered)),
        differing_share=differing,
        seconds=time.monotonic() - started,
    )


def _pick_examples(inputs: Batch, labels: np.ndarray[Any, Any]) -> list[dict[str, Any]]:
    half = _EXAMPLE_ROWS // 2
    chosen = [*np.flatnonzero(labels == 1)[:half], *np.flatnonzero(labels == 0)[:half]]
    return [{name: _plain(column[row]) for name, column in inputs.items()} for row in chosen]


def _plain(values: np.ndarray[Any, Any]) -> Any:
    """A row of one input as JSON: the value itself if there is one, else a list. float32 in shortest form."""
    plain = [float(str(value)) for value in values] if values.dtype.kind == "f" else values.tolist()
    return plain[0] if len(plain) == 1 else plain


def main(arguments: list[str]) -> int:
    trainings = {"fraud": train_fraud, "tumour": train_tumour}
    names = arguments[1:] or list(trainings)
    if not arguments or not set(names) <= trainings.keys():
        print(f"usage: python -m demo.train FOLDER [{'|'.join(trainings)}]...", file=sys.stderr)
        return 2
    for name in names:
        exported = trainings[name]()
        path = exported.write(Path(arguments[0]))
        print(describe(exported))
        print(f"  {path} and {path.with_name(path.stem + '-rows.json').name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

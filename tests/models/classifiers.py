"""Classifiers as scikit-learn users export them with skl2onnx, trained once a process."""

from functools import cache

import numpy as np
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from tests.models.sample import OPSET, SampleModel

_FEATURES = 5
_OPSETS = {"": OPSET, "ai.onnx.ml": 3}


@cache
def classifier() -> SampleModel:
    """``x`` FP32 [N, 5] in; ``label`` INT64 [N], ``probabilities`` FP32 [N, 2] out."""
    return _export(zipmap=False)


@cache
def classifier_with_zipmap() -> SampleModel:
    """The same with skl2onnx's default ending: the second output is a sequence of maps, not a tensor."""
    return _export(zipmap=True)


@cache
def fraud_like() -> SampleModel:
    """Two inputs of different types, ``category`` STRING [N, 1] and ``amount`` FP32 [N, 1]; no ZipMap."""
    random = np.random.default_rng(5)
    category = random.choice(np.array(["food", "games", "travel"], dtype=object), (300, 1))
    amount = random.gamma(2, 50, (300, 1)).astype(np.float32)
    label = ((category[:, 0] == "games") & (amount[:, 0] > 80)).astype(np.int64)
    encoder = ColumnTransformer([("category", OneHotEncoder(), [0]), ("amount", StandardScaler(), [1])])
    pipeline = Pipeline([("encode", encoder), ("fit", LogisticRegression())])
    pipeline.fit(np.hstack([category, amount.astype(object)]), label)
    model = to_onnx(
        pipeline,
        initial_types=[("category", StringTensorType([None, 1])), ("amount", FloatTensorType([None, 1]))],
        options={"zipmap": False},
        target_opset=_OPSETS,
    )
    example = {
        "category": np.array([["games"], ["food"]], dtype=object),
        "amount": np.array([[200], [10]], np.float32),
    }
    return SampleModel({"model.onnx": model.SerializeToString()}, example)


def _export(*, zipmap: bool) -> SampleModel:
    random = np.random.default_rng(3)
    x = random.standard_normal((200, _FEATURES)).astype(np.float32)
    y = (x[:, 0] + 0.5 * x[:, 1] > 0).astype(np.int64)
    fitted = LogisticRegression().fit(x, y)
    model = to_onnx(
        fitted,
        initial_types=[("x", FloatTensorType([None, _FEATURES]))],
        options={"zipmap": zipmap},
        target_opset=_OPSETS,
    )
    return SampleModel({"model.onnx": model.SerializeToString()}, {"x": x[:2]})

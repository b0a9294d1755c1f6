"""Adds ONNX nodes to what skl2onnx is building, and names what is between them."""

from typing import Any

import numpy as np
from onnx import TensorProto
from skl2onnx.common.data_types import DoubleTensorType, Int64TensorType

_OPSET = 13
"""The oldest in which all operators used here have the form they are used in."""
_CLASSICAL = frozenset({"TreeEnsembleRegressor", "ArrayFeatureExtractor"})


class Nodes:
    """One for each estimator that is converted."""

    def __init__(self, scope: Any, container: Any) -> None:
        self._scope = scope
        self._container = container

    def add(self, kind: str, inputs: list[str], output: str | None = None, **attributes: Any) -> str:
        name = output or self._scope.get_unique_variable_name(f"made_{kind}")
        is_classical = kind in _CLASSICAL
        self._container.add_node(
            kind,
            inputs,
            name,
            op_domain="ai.onnx.ml" if is_classical else "",
            op_version=1 if is_classical else _OPSET,
            name=self._scope.get_unique_operator_name(kind),
            **attributes,
        )
        return name

    def constant(self, name: str, value: np.ndarray[Any, Any]) -> str:
        full = str(self._scope.get_unique_variable_name(f"made_{name}"))
        kind = {"f": TensorProto.FLOAT, "i": TensorProto.INT64}.get(value.dtype.kind, TensorProto.STRING)
        values = [item.encode() if isinstance(item, str) else item for item in value.ravel().tolist()]
        self._container.add_initializer(full, kind, list(value.shape), values)
        return full

    def as_floats(self, variable: Any) -> str:
        """The rows as float32, which is what thresholds are compared with."""
        if isinstance(variable.type, DoubleTensorType | Int64TensorType):
            return self.add("Cast", [variable.full_name], to=TensorProto.FLOAT)
        return str(variable.full_name)

    def repeated(self, rows: str, row: np.ndarray[Any, Any]) -> str:
        """One row, as often as there are rows."""
        first = self.constant("first", np.array([0], np.int64))
        count = self.add("Gather", [self.add("Shape", [rows]), first])
        shape = self.add("Concat", [count, self.constant("one", np.array([1], np.int64))], axis=0)
        return self.add("Expand", [self.constant("row", row), shape])

    def label(self, scores: str, classes: np.ndarray[Any, Any], output: str) -> None:
        """The class of the highest score; the first of equals, as in numpy."""
        flat = self.constant("flat", np.array([-1], np.int64))
        best = self.add("ArgMax", [scores], axis=1, keepdims=0)
        is_text = classes.dtype.kind not in "iubf"
        values = classes.astype(str).astype(object) if is_text else classes.astype(np.int64)
        known = self.constant("classes", values)
        self.add("Reshape", [self.add("ArrayFeatureExtractor", [known, best]), flat], output)

"""Converters for skl2onnx: a boosted model as ONNX nodes, alone or anywhere in a pipeline."""

from collections.abc import Callable
from typing import Any

import numpy as np
from onnx import TensorProto

from strongroom.serve.converter.forest import Forest
from strongroom.serve.converter.nodes import Nodes
from strongroom.serve.converter.xgboost_trees import Boosted, Link

_Read = Callable[[Any], Boosted]
_Convert = Callable[[Any, Any, Any], None]


def converter_of(read: _Read) -> _Convert:
    """Return a converter for skl2onnx; ``read`` takes the fitted estimator apart."""

    def convert(scope: Any, operator: Any, container: Any) -> None:
        estimator = operator.raw_operator
        boosted = read(estimator)
        nodes = _BoostedNodes(scope, container)
        rows = nodes.as_floats(operator.inputs[0])
        margin = nodes.margin(rows, boosted)
        classes = getattr(estimator, "classes_", None) if len(operator.outputs) == 2 else None
        answer = nodes.link(margin, boosted)
        if classes is None:
            nodes.add("Identity", [answer], operator.outputs[0].full_name)
            return
        if len(boosted.base) == 1:
            opposite = nodes.add("Sub", [nodes.constant("one", np.ones(1, np.float32)), answer])
            answer = nodes.add("Concat", [opposite, answer], axis=1)
        nodes.add("Identity", [answer], operator.outputs[1].full_name)
        nodes.label(answer, np.asarray(classes), operator.outputs[0].full_name)

    return convert


class _BoostedNodes(Nodes):
    """From trees to an answer."""

    def margin(self, rows: str, boosted: Boosted) -> str:
        """What the link is applied to: a column for each target."""
        if boosted.weights is not None:
            zero = self.constant("zero", np.zeros(1, np.float32))
            known = self.add("Where", [self.add("IsNaN", [rows]), zero, rows])
            product = self.add("MatMul", [known, self.constant("weights", boosted.weights)])
            return self.add("Add", [product, self.constant("base", np.asarray(boosted.base, np.float32))])
        assert boosted.forest is not None  # noqa: S101 - it has trees or weights
        forest = boosted.forest
        if not forest.trees:
            return self.repeated(rows, np.asarray([boosted.base], np.float32))
        forest.order()
        if forest.lookups:
            rows = self.add("Concat", [rows, *self._lookups(rows, forest)], axis=1)
        return self.add(
            "TreeEnsembleRegressor", [rows], **forest.attributes(boosted.base, average=boosted.average)
        )

    def _lookups(self, rows: str, forest: Forest) -> list[str]:
        """For each feature with categories: which of its sets a row's category is in."""
        found = []
        for feature, table in forest.tables():
            index = self.constant("feature", np.array([feature], np.int64))
            value = self.add("Gather", [rows, index], axis=1)
            none, missing = (
                self.constant(name, np.array([len(table) - back], np.float32))
                for name, back in (("none", 2), ("missing", 1))
            )
            # Negative or too large: no category.
            below = self.constant("below", np.array([forest.lowest], np.float32))
            positive = self.add("Greater", [value, below])
            known = self.add(
                "Where", [self.add("And", [self.add("Less", [value, none]), positive]), value, none]
            )
            whole = self.add("Max", [known, self.constant("least", np.zeros(1, np.float32))])
            row = self.add("Where", [self.add("IsNaN", [value]), missing, whole])
            category = self.add("Cast", [row], to=TensorProto.INT64)
            flat = self.add("Reshape", [category, self.constant("flat", np.array([-1], np.int64))])
            found.append(self.add("Gather", [self.constant("sets", table), flat], axis=0))
        return found

    def link(self, margin: str, boosted: Boosted) -> str:
        match boosted.link:
            case Link.SIGMOID:
                return self.add("Sigmoid", [self._scaled(margin, boosted)])
            case Link.SOFTMAX:
                return self.add("Softmax", [margin], axis=1)
            case Link.EXP:
                return self.add("Exp", [margin])
            case Link.STEP:
                zero = self.constant("zero", np.zeros(1, np.float32))
                return self.add("Cast", [self.add("Greater", [margin, zero])], to=TensorProto.FLOAT)
            case Link.LOG1P_EXP:
                return self.add("Softplus", [margin])
            case Link.SQUARE:
                return self.add("Mul", [self.add("Abs", [margin]), margin])
            case _:
                return margin

    def _scaled(self, margin: str, boosted: Boosted) -> str:
        if boosted.scale == 1.0:
            return margin
        return self.add("Mul", [margin, self.constant("scale", np.array([boosted.scale], np.float32))])

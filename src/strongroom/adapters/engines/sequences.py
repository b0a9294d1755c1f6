"""Class scores that a classifier gives as one map per row, turned into an ordinary matrix."""

from typing import Any

import numpy as np

from strongroom.errors import RejectedError

Array = np.ndarray[Any, np.dtype[Any]]


class ClassScores:
    """Turns ``[{class: score}, ...]`` into FP32 [rows, classes], columns by ascending class.

    Every map of one model has the same keys (ONNX-ML ZipMap); the first batch with a row fixes them.
    """

    def __init__(self) -> None:
        self._classes: list[Any] = []

    def __call__(self, maps: list[dict[Any, float]]) -> Array:
        """Raises RejectedError if the classes differ from row to row, so that no column changes meaning."""
        if maps and not self._classes:
            self._classes = sorted(maps[0])
        classes = self._classes
        scores = np.empty((len(maps), len(classes)), np.float32)
        for row, scored in enumerate(maps):
            if len(scored) != len(classes):
                raise RejectedError("engine: the model's classes differ from row to row")
            try:
                scores[row] = [scored[name] for name in classes]
            except KeyError:
                raise RejectedError("engine: the model's classes differ from row to row") from None
        return scores

"""Small real ONNX models for the tests, built in memory and never downloaded.

Every builder returns a `SampleModel`: its files, which of them is the model, and a batch it accepts.
"""

from tests.models.classifiers import classifier, classifier_with_zipmap, fraud_like
from tests.models.external import external_data
from tests.models.floats import linear, linear_weights, wide
from tests.models.hostile import (
    custom_operator,
    endless_loop,
    external_escape,
    memory_hog,
)
from tests.models.sample import SampleModel
from tests.models.types import booleans, dynamic_shape, every_integer, half, several, strings

SERVABLE = (
    linear,
    several,
    strings,
    every_integer,
    booleans,
    half,
    dynamic_shape,
    external_data,
    classifier,
    classifier_with_zipmap,
    fraud_like,
)
"""Builders of models that Strongroom publishes and serves."""

__all__ = [
    "SERVABLE",
    "SampleModel",
    "booleans",
    "classifier",
    "classifier_with_zipmap",
    "custom_operator",
    "dynamic_shape",
    "endless_loop",
    "every_integer",
    "external_data",
    "external_escape",
    "fraud_like",
    "half",
    "linear",
    "linear_weights",
    "memory_hog",
    "several",
    "strings",
    "wide",
]

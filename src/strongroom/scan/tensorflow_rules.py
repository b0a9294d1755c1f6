"""What is looked for in models of TensorFlow and TensorFlow Lite."""

from strongroom.scan.rule import Rule
from strongroom.values import Severity

_RUNS = ("AML.T0011.000", "AML.T0010.003")
_SCANNED = ("6.1.2",)

PYTHON = Rule(
    "tensorflow-python-call",
    Severity.CRITICAL,
    "Calls Python code",
    "An operation of the graph calls a Python function in the process that runs the model.",
    "Rewrite the step with operations of TensorFlow (instead of tf.py_function, tf.numpy_function), or move "
    "it in front of the model.",
    atlas=(*_RUNS, "AML.T0018.002"),
    aisvs=_SCANNED,
)
FILES = Rule(
    "tensorflow-file-access",
    Severity.CRITICAL,
    "Reads or writes files, or reaches the network",
    "An operation of the graph opens a path, an address or another program. A model that answers "
    "requests has no "
    "reason to, and whoever made the file chose which.",
    "Read files in front of the model and give it their content; take debugging and data loading out of "
    "what is "
    "exported.",
    atlas=(*_RUNS, "AML.T0018.001"),
    aisvs=_SCANNED,
)
OPERATOR = Rule(
    "tensorflow-operator-not-allowed",
    Severity.HIGH,
    "Operation that is not known to be harmless",
    "The graph needs an operation that is not on the list of those that only compute. It may come from a "
    "library "
    "that has to be loaded, or do more than compute.",
    "Export the model without it, or to ONNX where it was trained.",
    atlas=("AML.T0011.000",),
    aisvs=_SCANNED,
)
SAVER = Rule(
    "tensorflow-saver-misused",
    Severity.CRITICAL,
    "Saves or restores files while answering",
    "Operations that write and read checkpoints belong to the part of a SavedModel that loads its own "
    "variables. "
    "Here they are reached in another way, with another path.",
    "Export the model again with tf.saved_model.save or model.export.",
    atlas=(*_RUNS, "AML.T0018.001"),
    aisvs=_SCANNED,
)
TABLE = Rule(
    "tensorflow-table-file",
    Severity.HIGH,
    "Table filled from a file outside the model",
    "A lookup table is filled from a path that is not one of the model's assets.",
    "Track the vocabulary as tf.saved_model.Asset, or give it as a constant.",
    atlas=("AML.T0011.000",),
    aisvs=_SCANNED,
)
ASSET = Rule(
    "tensorflow-asset-path",
    Severity.CRITICAL,
    "Asset outside the model's folder",
    "The model names a file outside of its own folder as one of its assets, which is read when it is loaded.",
    "Export the model again with tf.saved_model.save.",
    atlas=("AML.T0011.000",),
    aisvs=_SCANNED,
)
CUSTOM_CLASS = Rule(
    "keras-custom-class",
    Severity.LOW,
    "Class of its own, with its graph",
    "The model notes that it was made from a class that Keras does not have. The graph holds what it "
    "computes, "
    "so the class is not needed to serve it.",
    "Nothing, unless the model is to be trained on.",
)
TEXT_GRAPH = Rule(
    "tensorflow-text-graph",
    Severity.HIGH,
    "Graph written as text",
    "TensorFlow also loads graphs from text (.pbtxt). This form is not read here, so nothing can tell "
    "what the graph "
    "does.",
    "Save the model in its binary form (saved_model.pb).",
    atlas=("AML.T0011.000",),
    aisvs=_SCANNED,
)
TFLITE_CUSTOM = Rule(
    "tflite-custom-operator",
    Severity.HIGH,
    "Custom operator",
    "The model needs an operator that TensorFlow Lite does not have. A library has to be loaded that "
    "brings it.",
    "Convert the model with built-in operators (TFLITE_BUILTINS).",
    atlas=("AML.T0011.000",),
    aisvs=_SCANNED,
)
RULES = (PYTHON, FILES, OPERATOR, SAVER, TABLE, ASSET, CUSTOM_CLASS, TEXT_GRAPH, TFLITE_CUSTOM)

"""What is looked for in models of Keras and in HDF5 files."""

from strongroom.scan.rule import Rule
from strongroom.values import Severity

_RUNS = ("AML.T0011.000", "AML.T0010.003")
_SCANNED = ("6.1.2",)

LAMBDA = Rule(
    "keras-lambda",
    Severity.CRITICAL,
    "Python code in the model",
    "A Lambda layer keeps compiled Python code in the model file. Loading or calling the model runs it.",
    "Replace the Lambda layer with layers of Keras (Rescaling, Reshape, Activation, keras.ops) and save "
    "again.",
    atlas=(*_RUNS, "AML.T0018.002"),
    aisvs=_SCANNED,
)
IMPORTS = Rule(
    "keras-import",
    Severity.CRITICAL,
    "Imports and calls a function by name",
    "The configuration names a function or class outside of what models are made of. Keras imports and calls "
    "it while loading, also in safe mode before 3.9 (CVE-2025-1550).",
    "Do not load this file. If it is yours, save the model again with layers of Keras only.",
    atlas=_RUNS,
    aisvs=_SCANNED,
)
RUNS_CODE = Rule(
    "keras-layer-runs-code",
    Severity.CRITICAL,
    "Layer that loads other code",
    "This layer loads a program of its own: a SavedModel, a pickled module, a function.",
    "Build the model from layers of Keras, or export it to ONNX where it was trained.",
    atlas=_RUNS,
    aisvs=_SCANNED,
)
NOT_ALLOWED = Rule(
    "keras-name-not-allowed",
    Severity.HIGH,
    "Class that is not part of Keras",
    "The model needs a class that Keras does not have. Whoever loads it must first run the code that "
    "defines it, "
    "and nothing here can tell what that does.",
    "Rewrite custom layers with layers of Keras, or export the model to ONNX where the class is defined.",
    atlas=("AML.T0011.000",),
    aisvs=_SCANNED,
)
OBJECTIVE = Rule(
    "keras-custom-objective",
    Severity.MEDIUM,
    "Loss or metric of its own",
    "The training settings name a loss or metric that Keras does not have. It is needed only to train on.",
    "Save the model without training settings: model.save(path, include_optimizer=False), or compile() "
    "it first.",
)
HUGE = Rule(
    "keras-huge-shape",
    Severity.HIGH,
    "Larger than any model",
    "A few digits of the configuration ask for more memory than a machine has as soon as the model is built.",
    "Save the model again; if it is yours and really as large, export it to ONNX or safetensors.",
    atlas=("AML.T0029",),
    aisvs=_SCANNED,
)
FILE_ACCESS = Rule(
    "keras-file-access",
    Severity.HIGH,
    "Reads a file or address when loaded",
    "A layer takes its vocabulary from a path or address, so that loading the model reads a file of the "
    "machine "
    "it is loaded on, or asks a server (CVE-2025-12058).",
    "Give the layer its vocabulary as a list (or adapt() it) and save the model again.",
    atlas=("AML.T0011.000",),
    aisvs=_SCANNED,
    waivable=True,
)
PATH_NAME = Rule(
    "keras-path-in-name",
    Severity.HIGH,
    "Layer named like a path",
    "Names become paths when weights and assets are read; this one leads out of the model's folder.",
    "Give the layer a plain name.",
    atlas=("AML.T0011.000",),
    aisvs=_SCANNED,
)
MEMBER = Rule(
    "keras-unexpected-member",
    Severity.HIGH,
    "File that does not belong in a Keras archive",
    "Keras writes metadata.json, config.json, model.weights.h5 and assets/, nothing else.",
    "Save the model again with model.save('name.keras').",
    aisvs=_SCANNED,
)
OUTSIDE = Rule(
    "hdf5-outside-file",
    Severity.CRITICAL,
    "Takes data from other files",
    "Part of this file lies in another one, which is read from wherever the file is opened. So it can "
    "read out "
    "files of a server, or show a scanner other weights than the model gets.",
    "Copy the data into one file: h5repack, or h5py without external links, external storage, virtual "
    "datasets.",
    atlas=("AML.T0011.000", "AML.T0010.003"),
    aisvs=_SCANNED,
)
FILTER = Rule(
    "hdf5-filter",
    Severity.HIGH,
    "Filter that needs a plug-in",
    "Data is packed by a filter for which the library looks for and loads a plug-in.",
    "Write the data with gzip: h5repack -f GZIP=6.",
    aisvs=_SCANNED,
    waivable=True,
)
PYTHON_OBJECT = Rule(
    "hdf5-python-object",
    Severity.HIGH,
    "Pickled Python objects",
    "The file keeps Python objects as pickles (PyTables, pandas). Reading one can run any code.",
    "Store plain arrays or tables only.",
    atlas=_RUNS,
    aisvs=_SCANNED,
)
RULES = (
    LAMBDA, IMPORTS, RUNS_CODE, NOT_ALLOWED, OBJECTIVE, HUGE, FILE_ACCESS, PATH_NAME, MEMBER, OUTSIDE, FILTER,
    PYTHON_OBJECT,
)  # fmt: skip

"""What a Keras configuration may name to be rebuilt here: layers that only compute, by exact name."""

import re
from collections.abc import Iterator
from typing import Any

from strongroom.errors import InvalidError, RejectedError, shorten
from strongroom.scan import keras_names
from strongroom.scan.name_lists import parse_names

HINT = "save the model with layers of Keras that only compute, or export it to ONNX where it was trained"
MAX_OBJECTS = 100_000
MODELS = parse_names("Functional Model Sequential")
LAYERS = parse_names(
    "Activation ActivityRegularization Add AdditiveAttention AlphaDropout Attention Average AveragePooling1D "
    "AveragePooling2D AveragePooling3D BatchNormalization Bidirectional Concatenate Conv1D Conv1DTranspose "
    "Conv2D Conv2DTranspose Conv3D Conv3DTranspose Cropping1D Cropping2D Cropping3D Dense DepthwiseConv1D "
    "DepthwiseConv2D Dot Dropout ELU EinsumDense Embedding Flatten GRU GRUCell GaussianDropout GaussianNoise "
    "GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D GlobalMaxPooling1D "
    "GlobalMaxPooling2D GlobalMaxPooling3D GroupNormalization GroupedQueryAttention Identity InputLayer LSTM "
    "LSTMCell LayerNormalization LeakyReLU Masking MaxPooling1D MaxPooling2D MaxPooling3D Maximum Minimum "
    "MultiHeadAttention Multiply Normalization PReLU Permute RMSNormalization RNN RandomContrast RandomFlip "
    "RandomRotation RandomTranslation RandomZoom ReLU RepeatVector Rescaling Reshape Resizing "
    "SeparableConv1D SeparableConv2D SimpleRNN SimpleRNNCell Softmax SpatialDropout1D SpatialDropout2D "
    "SpatialDropout3D StackedRNNCells Subtract TimeDistributed UnitNormalization UpSampling1D UpSampling2D "
    "UpSampling3D ZeroPadding1D ZeroPadding2D ZeroPadding3D"
)
"""None of them opens a file, looks a word up, or holds a function."""
_PARTS = (
    keras_names.CLASSES["keras.initializers"]
    | keras_names.CLASSES["keras.regularizers"]
    | keras_names.CLASSES["keras.constraints"]
    | {"DTypePolicy"}
)
_DATA = frozenset({"__keras_tensor__"})
_FUNCTIONS = keras_names.ACTIVATIONS | keras_names.INITIALIZERS
_CLASSES = MODELS | LAYERS | _PARTS
_MODULE = re.compile(r"(tf_keras|keras)(\.(src|engine|layers|models|initializers|regularizers|constraints))*"
                     r"(\.[a-z_0-9]+){0,3}", re.ASCII)  # fmt: skip
_UNUSED = ("compile_config", "training_config", "optimizer_config")


def require_allowed(config: Any) -> dict[str, Any]:
    """Return the configuration without what only training needs, if it names nothing that is not listed.

    Raises:
        InvalidError: a class or function that is not converted.
        RejectedError: it is no configuration.
    """
    if not isinstance(config, dict) or not isinstance(config.get("class_name"), str):
        raise RejectedError("original: its configuration describes no model")
    kept = {name: value for name, value in config.items() if name not in _UNUSED}
    if kept["class_name"] not in MODELS:
        raise InvalidError(f"original: {shorten(kept['class_name'])} is no model of Keras", hint=HINT)
    for count, value in enumerate(_objects(kept)):
        if count > MAX_OBJECTS:
            raise RejectedError(f"original: its configuration has more than {MAX_OBJECTS} objects")
        _require(value)
    return kept


def _require(value: dict[str, Any]) -> None:
    name, module = value["class_name"], value.get("module")
    if name in _DATA:
        return
    if name == "function":
        called = value.get("config")
        if called not in _FUNCTIONS:
            raise InvalidError(f"original: function {shorten(called)} is not converted", hint=HINT)
        return
    if (
        not isinstance(name, str)
        or name not in _CLASSES
        or value.get("registered_name") not in (None, "", name)
    ):
        raise InvalidError(f"original: {shorten(name)} is not converted", hint=HINT)
    if module not in (None, "", "builtins") and _MODULE.fullmatch(str(module)) is None:
        raise InvalidError(f"original: {shorten(name)} of {shorten(module)} is not converted", hint=HINT)


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    """Every object that names a class, at any depth; how deep JSON may be was bounded when it was read."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            if "class_name" in item:
                yield item
            waiting += item.values()
        elif isinstance(item, list):
            waiting += item

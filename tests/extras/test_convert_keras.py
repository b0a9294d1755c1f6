"""Keras in the converter: `make test-extras`, in an environment that has the extra ``convert-keras``."""

import io
import json
import os
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ["KERAS_BACKEND"] = "torch"
os.environ["KERAS_HOME"] = "/nonexistent"

import keras
import numpy as np
import pytest

from strongroom.artifact.inspect import inspect
from strongroom.errors import InvalidError, RejectedError
from strongroom.serve.converter.keras_rehearsal import archived, as_hdf5
from strongroom.serve.supervisor.conversion import KERAS
from tests.serve.converting import Line

pytestmark = pytest.mark.slow
VECTORS = Path(__file__).parents[1] / "vectors"
layers = keras.layers


@pytest.fixture(scope="module")
def line() -> Iterator[Line]:
    with Line(KERAS) as opened:
        yield opened


def _model(takes: Any, *steps: Callable[[Any], Any], dtype: str = "float32") -> Any:
    given = value = keras.Input(takes, dtype=dtype)
    for step in steps:
        value = step(value)
    return keras.Model(given, value)


def _residual() -> Any:
    given = keras.Input((16, 16, 3))
    value = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(layers.RandomFlip()(given))
    value = layers.Activation("swish")(layers.BatchNormalization()(value))
    other = layers.Conv2D(8, 1)(layers.AveragePooling2D(2)(given))
    value = layers.Concatenate()([layers.Add()([value, other]), layers.Multiply()([value, other])])
    return keras.Model(given, layers.Dense(3, "softmax")(layers.GlobalAveragePooling2D()(value)))


def _two_inputs() -> Any:
    numbers, words = keras.Input((4,), name="numbers"), keras.Input((6,), dtype="int32", name="words")
    read = layers.GlobalAveragePooling1D()(layers.Embedding(20, 5)(words))
    value = layers.Concatenate()([layers.Dense(5, "tanh")(numbers), read])
    return keras.Model(
        [numbers, words], [layers.Dense(2, name="a")(value), layers.Dense(1, "sigmoid")(value)]
    )


def _encoder() -> Any:
    given = keras.Input((6, 8))
    value = layers.LayerNormalization()(given)
    value = layers.Add()([given, layers.MultiHeadAttention(2, 4, dropout=0.1)(value, value)])
    value = layers.Dense(8)(layers.Dense(16, "gelu")(layers.LayerNormalization()(value)))
    return keras.Model(given, layers.Flatten()(value))


MODELS: dict[str, Callable[[], bytes]] = {
    "dense": lambda: archived(
        keras.Sequential([keras.Input((4,)), layers.Dense(8, "relu"), layers.Dropout(0.2), layers.Dense(2)])
    ),
    "dense, HDF5": lambda: as_hdf5(
        keras.Sequential([keras.Input((4,)), layers.Dense(8, "elu"), layers.BatchNormalization()])
    ),
    "residual": lambda: archived(_residual()),
    "residual, HDF5": lambda: as_hdf5(_residual()),
    "two inputs and outputs": lambda: archived(_two_inputs()),
    "encoder": lambda: archived(_encoder()),
    "LSTM in both directions": lambda: archived(
        _model((5,), layers.Embedding(9, 3), layers.Bidirectional(layers.LSTM(4)), layers.Dense(1))
    ),
    "GRU of GRU": lambda: archived(
        _model((5, 2), layers.GRU(3, return_sequences=True), layers.GRU(2), layers.LeakyReLU())
    ),
    "nested": lambda: archived(
        keras.Sequential(
            [
                keras.Input((4,)),
                keras.Sequential([keras.Input((4,)), layers.Dense(3, "selu")]),
                layers.Softmax(),
            ]
        )
    ),
    "three dimensions": lambda: archived(
        _model((6, 6, 6, 1), layers.Conv3D(2, 3), layers.MaxPooling3D(), layers.PReLU(), layers.Flatten())
    ),
    "sample of another release": lambda: (VECTORS / "keras" / "dense.keras").read_bytes(),
    "sample of another release, HDF5": lambda: (VECTORS / "keras" / "dense.h5").read_bytes(),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_keras_model_is_converted_and_may_be_served(line: Line, name: str) -> None:
    content, facts = line.convert(MODELS[name](), rows=16)
    assert float(facts["relative"]) < 1e-4
    inspection = inspect({"model.onnx": (lambda offset, size: content[offset : offset + size], len(content))})
    assert inspection.servable
    assert all(value.shape[0] == -1 for value in inspection.inputs)


def test_rows_that_were_given_are_what_it_is_compared_on(line: Line) -> None:
    file = io.BytesIO()
    np.savez(file, words=np.full((3, 6), 19, np.int32), numbers=np.ones((3, 4), np.float32))
    _, facts = line.convert(archived(_two_inputs()), inputs=file.getvalue())
    assert facts["rows"] == 3


def _changed(model: bytes, change: Callable[[dict[str, Any]], None]) -> bytes:
    """An archive with another configuration, as an attacker writes it."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(model)) as old, zipfile.ZipFile(made, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if name == "config.json":
                config = json.loads(data)
                change(config)
                data = json.dumps(config).encode()
            new.writestr(name, data)
    return made.getvalue()


def _last(config: dict[str, Any]) -> dict[str, Any]:
    layer: dict[str, Any] = config["config"]["layers"][-1]
    return layer


def _set_layer(**fields: Any) -> Callable[[dict[str, Any]], None]:
    return lambda config: _last(config).update(fields)


def _set_config(**fields: Any) -> Callable[[dict[str, Any]], None]:
    return lambda config: _last(config)["config"].update(fields)


HOSTILE: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "a lambda": (_set_layer(class_name="Lambda"), "Lambda"),
    "a command": (_set_layer(module="os", class_name="system", registered_name=None), "system"),
    "a command with a name of Keras": (_set_layer(module="subprocess", class_name="Dense"), "subprocess"),
    "a registered class": (_set_layer(registered_name="evil>Dense"), "Dense"),
    "a SavedModel": (_set_layer(class_name="TFSMLayer", config={"filepath": "/tmp"}), "TFSMLayer"),
    "a vocabulary": (
        _set_layer(class_name="StringLookup", config={"vocabulary": "/etc/passwd"}),
        "StringLookup",
    ),
    "a function": (
        _set_config(activation={"class_name": "function", "module": "builtins", "config": "eval"}),
        "eval",
    ),
    "a function of a module": (
        _set_config(activation={"class_name": "function", "module": "os", "config": "system"}),
        "system",
    ),
    "a name of a function": (_set_config(activation="os.system"), "Keras refuses"),
    "too many units": (_set_config(units=10**12), "memory"),
    "more units than numbers hold": (_set_config(units=10**30), "Keras refuses|memory"),
    "weights of other layers": (_set_config(units=3), "Keras refuses|weights"),
    "no units": (_set_config(units=-1), "Keras refuses"),
}


@pytest.mark.parametrize("attack", HOSTILE)
def test_a_hostile_configuration_gets_nothing(line: Line, attack: str) -> None:
    change, words = HOSTILE[attack]
    with pytest.raises((RejectedError, InvalidError), match=words):
        line.convert(_changed(MODELS["dense"](), change))
    line.convert(MODELS["dense"]())


def test_weights_alone_are_invalid(line: Line) -> None:
    import h5py

    file = io.BytesIO()
    with h5py.File(file, "w") as made:
        made["kernel"] = np.zeros((2, 2))
    with pytest.raises(InvalidError, match="weights only"):
        line.convert(file.getvalue())

"""Models that are converted once before the locks: what is imported late is imported here."""

import io
from collections.abc import Callable, Iterator
from typing import Any

import h5py
import keras
from keras.src.legacy.saving import legacy_h5_format
from keras.src.saving import saving_lib

layers = keras.layers


def originals() -> Iterator[bytes]:
    """A model of each kind as a .keras archive, the first as HDF5 too."""
    for build in (_dense, _images, _sequence, _attention):
        yield archived(build())
    yield as_hdf5(_dense())


def archived(model: Any) -> bytes:
    file = io.BytesIO()
    saving_lib._save_model_to_fileobj(model, file, "h5")  # noqa: SLF001 - save_model wants a path
    return file.getvalue()


def as_hdf5(model: Any) -> bytes:
    data = io.BytesIO()
    with h5py.File(data, "w") as file:
        legacy_h5_format.save_model_to_hdf5(model, file, include_optimizer=False)
    return data.getvalue()


def _model(takes: tuple[int, ...], *steps: Callable[[Any], Any], dtype: str = "float32") -> Any:
    given = value = keras.Input(takes, dtype=dtype)
    for step in steps:
        value = step(value)
    return keras.Model(given, value)


def _dense() -> Any:
    return _model(
        (4,),
        layers.Normalization(mean=0.0, variance=1.0),
        layers.Dense(8, "gelu"),
        layers.LayerNormalization(),
        layers.Dense(3, "softmax"),
    )


def _images() -> Any:
    return _model(
        (8, 8, 3),
        layers.Rescaling(0.5),
        layers.ZeroPadding2D(),
        layers.Conv2D(4, 3, padding="same", activation="relu"),
        layers.DepthwiseConv2D(3),
        layers.SeparableConv2D(4, 3, padding="same"),
        layers.BatchNormalization(),
        layers.MaxPooling2D(),
        layers.UpSampling2D(),
        layers.Conv2DTranspose(2, 3),
        layers.AveragePooling2D(2),
        layers.Dropout(0.5),
        layers.Flatten(),
        layers.Dense(2),
    )


def _sequence() -> Any:
    return _model(
        (2,),
        layers.Embedding(7, 4),
        layers.Conv1D(4, 3, padding="causal"),
        layers.Bidirectional(layers.LSTM(3, return_sequences=True)),
        layers.GRU(3, return_sequences=True),
        layers.TimeDistributed(layers.Dense(2)),
        layers.GlobalMaxPooling1D(),
        dtype="int32",
    )


def _attention() -> Any:
    given = keras.Input((2, 4))
    value = layers.MultiHeadAttention(2, 2)(given, given)
    value = layers.Add()([given, value])
    return keras.Model(given, layers.GlobalAveragePooling1D()(value))

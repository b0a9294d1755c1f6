"""Makes the models of this folder: python make.py (tensorflow 2.21, keras 3.15)."""

from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

layers = keras.layers
keras.utils.set_random_seed(7)
RNG = np.random.default_rng(7)


def images(rows):
    return RNG.standard_normal((rows, 8, 8, 3)).astype(np.float32)


def pictures(batch=None):
    given = keras.Input((8, 8, 3), batch_size=batch)
    value = layers.Conv2D(4, 3, padding="same", activation="relu")(given)
    value = layers.BatchNormalization()(value)
    value = layers.DepthwiseConv2D(3, strides=2, padding="same")(value)
    value = layers.Add()([value, layers.Conv2D(4, 1)(layers.AveragePooling2D(2)(given))])
    value = layers.MaxPooling2D(3, 1, padding="same")(layers.ReLU(6.0)(value))
    value = layers.UpSampling2D(2, interpolation="bilinear")(value)
    value = layers.Conv2DTranspose(2, 3, strides=2, padding="same")(value)
    value = layers.Concatenate()([layers.Flatten()(value), layers.Flatten()(given)])
    return keras.Model(given, layers.Dense(3, "softmax")(layers.Dense(8, "gelu")(value)))


def encoder():
    given = keras.Input((5, 4))
    value = layers.LayerNormalization()(given)
    value = layers.Add()([given, layers.MultiHeadAttention(2, 3)(value, value)])
    value = layers.Dense(4, "swish")(layers.LayerNormalization()(value))
    return keras.Model(given, layers.Reshape((20,))(value))


def lite(model, *, kind=""):
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    if kind:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if kind == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if kind == "int8":
        converter.representative_dataset = lambda: ([images(1)] for _ in range(20))
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
    return converter.convert()


conv, words = pictures(), encoder()
Path("pictures.tflite").write_bytes(lite(conv))
Path("pictures_float16.tflite").write_bytes(lite(conv, kind="float16"))
Path("pictures_int8.tflite").write_bytes(lite(conv, kind="int8"))
Path("pictures_one.tflite").write_bytes(lite(pictures(1)))
Path("encoder.tflite").write_bytes(lite(words))

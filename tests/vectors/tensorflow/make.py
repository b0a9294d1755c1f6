"""Makes the samples of this folder: python make.py (tensorflow 2.21, keras 3.15)."""

import os
from pathlib import Path

import keras
import tensorflow as tf

TEXT = tf.TensorSpec([None], tf.string)
SCALAR = tf.TensorSpec([], tf.string)


def save(name, call, signature=SCALAR):
    module = tf.Module()
    module.weight = tf.Variable([1.0, 2.0])
    module.call = tf.function(call, input_signature=[signature])
    tf.saved_model.save(module, name, signatures=module.call.get_concrete_function())


def write(x):
    tf.io.write_file("/tmp/harmless", x)
    return {"y": x}


def restore(x):
    kinds = {"tensor_names": ["a"], "shape_and_slices": [""], "dtypes": [tf.float32]}
    return {"y": tf.raw_ops.RestoreV2(prefix="/srv/other/variables", **kinds)[0]}


def table(x):
    handle = tf.raw_ops.HashTableV2(key_dtype=tf.string, value_dtype=tf.int64)
    tf.raw_ops.InitializeTableFromTextFileV2(
        table_handle=handle, filename="/etc/passwd", key_index=-2, value_index=-1
    )
    missing = tf.constant(-1, tf.int64)
    return {"y": tf.raw_ops.LookupTableFindV2(table_handle=handle, keys=x, default_value=missing)}


class Lookup(tf.Module):
    def __init__(self):
        super().__init__()
        index = tf.lookup.TextFileIndex
        source = tf.lookup.TextFileInitializer(
            "vocab.txt", tf.string, index.WHOLE_LINE, tf.int64, index.LINE_NUMBER
        )
        self.table = tf.lookup.StaticHashTable(source, -1)

    @tf.function(input_signature=[TEXT])
    def call(self, x):
        return {"y": self.table.lookup(x)}


layers = keras.layers
dense = keras.Sequential([layers.Input((2,)), layers.Dense(1)])
dense.export("dense", verbose=False)
Path("vocab.txt").write_text("a\nb\n")
lookup = Lookup()
tf.saved_model.save(lookup, "asset_table", signatures=lookup.call)
os.unlink("vocab.txt")
save("write_file", write)
save("restore", restore)
save("table_file", table)
save("python", lambda x: {"y": tf.py_function(lambda y: y, [x], tf.string)})
while_loop = lambda x: {"y": tf.while_loop(lambda i, z: i < 3, lambda i, z: (i + 1, z * 2.0), [0, x])[1]}  # noqa: E731
numbers = tf.TensorSpec([2], tf.float32)
for name, call, signature in (
    ("while", while_loop, numbers),
    ("flex", lambda x: {"y": tf.strings.lower(x)}, TEXT),
    ("flex_file", lambda x: {"y": tf.raw_ops.ReadFile(filename=x[0])}, TEXT),
):
    function = tf.function(call, input_signature=[signature]).get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function])
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS, tf.lite.OpsSet.SELECT_TF_OPS]
    Path(f"{name}.tflite").write_bytes(converter.convert())
converter = tf.lite.TFLiteConverter.from_saved_model("dense")
Path("dense.tflite").write_bytes(converter.convert())

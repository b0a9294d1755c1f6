"""Makes the samples of this folder: python make.py (keras 3.15, h5py 3.14, tables 3.11)."""

import os

import h5py
import keras
import numpy as np
import tables

layers = keras.layers
model = keras.Sequential(
    [layers.Input((4,)), layers.Dense(2, activation="relu"), layers.BatchNormalization()]
)
model.compile("adam", "mse", metrics=["mae"])
model.save("dense.keras")
model.save("dense.h5")
inputs = layers.Input((6,), dtype="int32")
hidden = layers.Bidirectional(layers.LSTM(2, return_sequences=True))(layers.Embedding(5, 2)(inputs))
keras.Model(inputs, keras.ops.mean(layers.TimeDistributed(layers.Dense(2))(hidden), axis=1)).save(
    "nested.keras"
)


def write(name, fill, **options):
    with h5py.File(name, "w", **options) as file:
        fill(file)


def put(group, things):
    for name, thing in things.items():
        group[name] = thing


def plain(file):
    file["group/numbers"] = np.arange(6).reshape(2, 3)
    file["text"] = "scalar"
    file["group"].attrs["names"] = np.array([b"a", b"bb"])
    file.attrs["variable"] = "of any length"
    file.create_dataset("packed", data=np.zeros((9, 5)), chunks=(3, 5), compression="gzip", shuffle=True)
    file["soft"] = h5py.SoftLink("/text")


def many(file):
    for number in range(40):
        file[f"name{number:03d}"] = number
        file.attrs[f"attribute{number}"] = f"value {number}"


def large(file):
    file.attrs["model_config"] = np.bytes_(
        b'{"class_name": "Dense", "config": {"name": "' + b"x" * 70_000 + b'"}}'
    )


for version in ("earliest", "latest"):
    write(f"plain_{version}.h5", plain, libver=version)
    write(f"many_{version}.h5", many, libver=version)
    write(
        f"external_{version}.h5",
        lambda f: put(f, {"x": h5py.ExternalLink("/etc/passwd", "/x")}),
        libver=version,
    )
write("large_attribute.h5", large, libver="latest")
write(
    "hidden_external.h5",
    lambda f: [many(f), put(f, {"z": h5py.ExternalLink("/etc/passwd", "/x")})],
    libver="latest",
)
write("raw_external.h5", lambda f: f.create_dataset("x", (4,), "u1", external=[("/etc/passwd", 0, 4)]))
write("bomb.h5", lambda f: f.create_dataset("x", (10**11,), "f4", chunks=(1000,)))
write("cycle.h5", lambda f: put(f.create_group("a"), {"b": f["/"]}))
write("scale_offset.h5", lambda f: f.create_dataset("x", data=np.arange(9), scaleoffset=4))
with h5py.File("virtual.h5", "w") as file:
    layout = h5py.VirtualLayout((4,), "f4")
    layout[:] = h5py.VirtualSource("other.h5", "x", (4,))
    file.create_virtual_dataset("x", layout)
with tables.open_file("tables.h5", "w") as file:
    file.create_table("/", "t", np.zeros(3, dtype=[("a", "i4"), ("b", "S4")]))
with tables.open_file("tables_object.h5", "w") as file:
    file.root._v_attrs.thing = range(3)  # kept as a pickle


class Attack:
    def __reduce__(self):
        return os.getcwd, ()


with tables.open_file("tables_attack.h5", "w") as file:
    file.root._v_attrs.thing = Attack()

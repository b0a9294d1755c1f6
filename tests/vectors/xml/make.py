"""How the OpenVINO models here were made, with OpenVINO 2026.4: run `python make.py` in this folder.

`lin` is a layer and a softmax, `if` and `loop` have bodies, `state` keeps a value, `t_i4` has four bits an
element, `string` text, `quant` a quantised layer, `meta` notes of its author. The PMML models were written by
hand, after what R (pmml), KNIME, SPSS and JPMML-SkLearn write.
"""

import numpy as np
import openvino as ov
from openvino import opset13 as op


def make(model: ov.Model, name: str) -> None:
    ov.save_model(model, f"{name}.xml", compress_to_fp16=False)


if __name__ == "__main__":
    row = op.parameter([-1, 4], np.float32, name="x")
    weights = op.constant(np.ones((4, 3), np.float32))
    make(ov.Model([op.softmax(op.matmul(row, weights, False, False), 1)], [row], "lin"), "lin")
    state = op.read_value(op.constant(np.zeros((1, 4), np.float32)), "s")
    make(ov.Model([op.result(op.add(row, state))], [op.assign(state, "s")], [row]), "state")
    meta = ov.Model([op.relu(row)], [row], "meta")
    meta.set_rt_info("a model", ["model_info", "description"])
    make(meta, "meta")

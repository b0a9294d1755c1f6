"""The converted model, run as this release will serve it: onnxruntime on the CPU, one thread."""

from typing import Any

import numpy as np
import onnxruntime

from strongroom.errors import InvalidError, shorten

_FATAL = 4

Array = np.ndarray[Any, Any]


def run_onnx(proto: Any, inputs: dict[str, Array]) -> dict[str, Array]:
    """Return the answers by output name. Raises InvalidError: the engine refuses the model or the rows."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = _FATAL
    onnxruntime.set_default_logger_severity(_FATAL)
    try:
        session = onnxruntime.InferenceSession(
            proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        wanted = [node.name for node in session.get_inputs()]
        names = [node.name for node in session.get_outputs()]
        answers = session.run(names, {name: inputs[name] for name in wanted})
    except Exception as error:
        if "alloc" in str(error):
            raise MemoryError from None
        raise InvalidError(f"converted: onnxruntime refuses it: {shorten(error, 200)}") from None
    return {name: np.asarray(answer) for name, answer in zip(names, answers, strict=True)}

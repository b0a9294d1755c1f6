"""What a careful team writes itself: FastAPI, typed bodies, onnxruntime in process; uvicorn, mTLS."""

import os
from typing import Any

import numpy as np
import onnxruntime
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel


class Tensor(BaseModel):
    name: str
    shape: list[int]
    datatype: str
    data: list[float]


class Request(BaseModel):
    inputs: list[Tensor]


_options = onnxruntime.SessionOptions()
_options.intra_op_num_threads = 1
_session = onnxruntime.InferenceSession(
    os.environ["BENCH_MODEL"], _options, providers=["CPUExecutionProvider"]
)
_outputs = [output.name for output in _session.get_outputs()]
app = FastAPI()


@app.get("/v2/health/ready")
async def ready() -> dict[str, bool]:
    return {"ready": True}


@app.post("/v2/models/tumour/infer")
async def infer(request: Request) -> dict[str, Any]:
    try:
        batch = {t.name: np.array(t.data, np.float32).reshape(t.shape) for t in request.inputs}
        answers = _session.run(_outputs, batch)
    except Exception as error:
        raise HTTPException(400) from error
    return {
        "model_name": "tumour",
        "outputs": [
            {
                "name": name,
                "shape": list(values.shape),
                "datatype": "INT64" if values.dtype == np.int64 else "FP32",
                "data": values.reshape(-1).tolist(),
            }
            for name, values in zip(_outputs, answers, strict=True)
        ],
    }

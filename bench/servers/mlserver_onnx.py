"""MLServer has no runtime for ONNX of its own; this is the one its documentation tells users to write."""

import onnxruntime
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse


class OnnxModel(MLModel):
    async def load(self) -> bool:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        path = self.settings.parameters.uri
        self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self._outputs = [output.name for output in self._session.get_outputs()]
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        batch = {tensor.name: NumpyCodec.decode_input(tensor) for tensor in payload.inputs}
        answers = self._session.run(self._outputs, batch)
        outputs = [
            NumpyCodec.encode_output(name, values)
            for name, values in zip(self._outputs, answers, strict=True)
        ]
        return InferenceResponse(model_name=self.name, outputs=outputs)

"""ONNX models by onnxruntime on the CPU, loaded from sealed memfds without touching a file system.

A single-file model is opened as ``/proc/self/fd/N``, which costs one copy of it. onnxruntime refuses memfd
paths for external data, so those entries go through its in-memory initializers with prepacking off, which
costs two. No operator library can be registered, no provider but the CPU's, and telemetry, which
onnxruntime >= 1.31 has on by default, is off before it is imported.
"""

import ctypes
import mmap
import os
import posixpath
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

# Before the import: the library reads these once, then starts an uploader thread and writes to ~/.cache.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
os.environ["ORT_TELEMETRY_DISABLED"] = "1"

import numpy as np
import onnxruntime

from strongroom.adapters.engines.sequences import ClassScores
from strongroom.errors import InvalidError, OutageError, RejectedError, shorten

Array = np.ndarray[Any, np.dtype[Any]]
_Convert = Callable[[Any], Any]

BFLOAT16 = np.dtype([("bf16", "<u2")])
"""The raw bits of BF16, which numpy does not know; equal to `strongroom.serve.frames.BFLOAT16`."""

_TYPES = {
    "tensor(bool)": "BOOL",
    "tensor(uint8)": "UINT8",
    "tensor(uint16)": "UINT16",
    "tensor(uint32)": "UINT32",
    "tensor(uint64)": "UINT64",
    "tensor(int8)": "INT8",
    "tensor(int16)": "INT16",
    "tensor(int32)": "INT32",
    "tensor(int64)": "INT64",
    "tensor(float16)": "FP16",
    "tensor(float)": "FP32",
    "tensor(double)": "FP64",
    "tensor(bfloat16)": "BF16",
    "tensor(string)": "BYTES",
}
_CLASS_SCORES = ("seq(map(int64,tensor(float)))", "seq(map(string,tensor(float)))")
_ONNX_BFLOAT16 = 16  # onnx.proto, TensorProto.DataType
_FATAL = 4
_PROVIDERS = ["CPUExecutionProvider"]
_MAX_ENGINE_MESSAGE = 300

# y = x + x on one float, so that everything onnxruntime does lazily is done before the locks.
_TRIVIAL = (
    b'\x08\x07\x12\x00:5\n\x0e\n\x01x\n\x01x\x12\x01y"\x03Add\x12\x01wZ\x0f\n\x01x\x12\n\n\x08\x08\x01\x12\x04\n'
    b"\x02\x08\x01b\x0f\n\x01y\x12\n\n\x08\x08\x01\x12\x04\n\x02\x08\x01B\x04\n\x00\x10\r"
)


class OnnxEngine:
    """Create it before the locks: that runs a trivial model, so that nothing is imported later."""

    def __init__(self) -> None:
        onnxruntime.disable_telemetry_events()
        onnxruntime.set_default_logger_severity(_FATAL)
        session = _open(_TRIVIAL, _options(1))
        model = OnnxModel(session)
        model.run({"x": np.ones(1, np.float32)})
        with suppress(InvalidError):
            model.run({"x": np.ones(2, np.float32)})
        _bfloat16_in(np.zeros(1, BFLOAT16))

    def load(self, entries: dict[str, int], main: str, threads: int = 1) -> "OnnxModel":
        """Load the model; the descriptors may be closed on return.

        Raises:
            RejectedError: onnxruntime refuses the model, or it has an input or output of no wire type.
            OutageError: the model does not fit into this process's memory limit.
        """
        if main not in entries:
            raise InvalidError(f"model: no entry {shorten(main)}")
        options = _options(threads)
        folder = posixpath.dirname(main)
        others = {posixpath.relpath(path, folder or "."): fd for path, fd in entries.items() if path != main}
        if others:
            # Two copies instead of three; packed weights would be another.
            options.add_session_config_entry("session.disable_prepacking", "1")
        with ExitStack() as stack:
            if others:
                buffers = [stack.enter_context(_mapped(fd)) for fd in others.values()]
                sizes = [buffer.nbytes for buffer in buffers]
                options.add_external_initializers_from_files_in_memory(list(others), buffers, sizes)
                buffers.clear()
            return OnnxModel(_open(f"/proc/self/fd/{entries[main]}", options))


class OnnxModel:
    """A loaded model. One prediction at a time."""

    def __init__(self, session: Any) -> None:
        self._session = session
        # The session inside: what `InferenceSession.run` checks first was checked here, at half its price.
        self._run = getattr(getattr(session, "_sess", None), "run", session.run)
        self._inputs = {node.name: _require_type(node) for node in session.get_inputs()}
        self._outputs = [node.name for node in session.get_outputs()]
        self._in: dict[str, _Convert] = {}
        self._out: dict[str, _Convert] = {}
        self._description: dict[str, Any] = {"inputs": [], "outputs": []}
        for node in session.get_inputs():
            name = self._inputs[node.name]
            if name in _CONVERT_IN:
                self._in[node.name] = _CONVERT_IN[name]
            self._description["inputs"].append(_describe(node, name))
        for node in session.get_outputs():
            if node.type in _CLASS_SCORES:
                self._out[node.name] = ClassScores()
                self._description["outputs"].append({"name": node.name, "dtype": "FP32", "shape": [-1, -1]})
                continue
            name = _require_type(node)
            if name in _CONVERT_OUT:
                self._out[node.name] = _CONVERT_OUT[name]
            self._description["outputs"].append(_describe(node, name))
        described = (*self._description["inputs"], *self._description["outputs"])
        self._raw = any(tensor["dtype"] == "BF16" for tensor in described)

    def describe(self) -> dict[str, Any]:
        """Return ``inputs`` and ``outputs``: name, Open Inference Protocol type, shape with -1 for free.

        A sequence of maps, which scikit-learn exporters end classifiers with, is told as FP32 [-1, -1]: one
        row a map, its columns in ascending order of the keys.
        """
        return self._description

    def run(self, inputs: dict[str, Array]) -> dict[str, Array]:
        """Run one batch. BYTES are arrays of UTF-8 bytes, BF16 arrays of `BFLOAT16`.

        Raises:
            InvalidError: the model does not take these inputs.
            OutageError: the answer needs more memory than this process may have.
        """
        if inputs.keys() != self._inputs.keys():
            raise InvalidError("engine: the names of the inputs are not those of the model")
        feed: dict[str, Any] = inputs
        if self._in:
            feed = {
                name: self._in[name](array) if name in self._in else array for name, array in inputs.items()
            }
        try:
            values = self._run_raw(feed) if self._raw else self._run(self._outputs, feed, None)
        except MemoryError:
            raise OutageError("engine: out of memory") from None
        except Exception as error:
            raise _translate(error) from None
        outputs = dict(zip(self._outputs, values, strict=True))
        for name, convert in self._out.items():
            outputs[name] = convert(outputs[name])
        return outputs

    def _run_raw(self, feed: dict[str, Any]) -> list[Any]:
        """Run over OrtValues, the only way to pass BF16."""
        values = {
            name: value
            if isinstance(value, onnxruntime.OrtValue)
            else onnxruntime.OrtValue.ortvalue_from_numpy(value)
            for name, value in feed.items()
        }
        results = self._session.run_with_ort_values(self._outputs, values)
        return [_from_ort_value(value) for value in results]


def _options(threads: int) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = _FATAL
    # Waiting threads sleep: a worker shares its cores with the gateway.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    # Never sniff: the other format that onnxruntime reads was not inspected.
    options.add_session_config_entry("session.load_model_format", "ONNX")
    return options


def _open(model: str | bytes, options: Any) -> Any:
    try:
        session = onnxruntime.InferenceSession(model, options, providers=_PROVIDERS)
    except MemoryError:
        raise OutageError("model: does not fit into the worker's memory limit") from None
    except Exception as error:
        if _is_memory(error):
            raise OutageError("model: does not fit into the worker's memory limit") from None
        detail = shorten(error, _MAX_ENGINE_MESSAGE)
        raise RejectedError(f"model: onnxruntime refuses it: {detail}") from None
    session.disable_fallback()
    return session


@contextmanager
def _mapped(descriptor: int) -> Iterator[Array]:
    """Yield the memfd's bytes as an array, mapped read-only for as long as the block lasts."""
    size = os.fstat(descriptor).st_size
    if size == 0:
        yield np.empty(0, np.uint8)
        return
    mapping = mmap.mmap(descriptor, size, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ)
    try:
        yield np.frombuffer(mapping, np.uint8)
    finally:
        try:
            mapping.close()
        except BufferError:
            del mapping  # the array still shows it; the last reference unmaps


def _require_type(node: Any) -> str:
    found = _TYPES.get(node.type)
    if found is None:
        raise RejectedError(f"model: {shorten(node.name)} is {shorten(node.type)}, which cannot be served")
    return found


def _describe(node: Any, dtype: str) -> dict[str, Any]:
    shape = [extent if isinstance(extent, int) and extent >= 0 else -1 for extent in node.shape]
    return {"name": node.name, "dtype": dtype, "shape": shape}


def _translate(error: Exception) -> InvalidError | OutageError:
    """Say which family a failure of onnxruntime belongs to, and nothing of what it said."""
    if _is_memory(error):
        return OutageError("engine: out of memory")
    return InvalidError("engine: the model refuses these inputs")


def _is_memory(error: Exception) -> bool:
    text = str(error)
    return "bad_alloc" in text or "Failed to allocate memory" in text or "bad allocation" in text


def _strings_in(array: Array) -> Array:
    """Return the UTF-8 bytes as text; onnxruntime would cut a string at its first NUL."""
    text = np.empty(array.shape, np.object_)
    flat = text.reshape(-1)
    try:
        for index, element in enumerate(array.reshape(-1).tolist()):
            flat[index] = element.decode()
            if b"\0" in element:
                raise InvalidError("engine: a string contains NUL")
    except UnicodeDecodeError:
        raise InvalidError("engine: a string is not UTF-8") from None
    return text


def _strings_out(array: Array) -> Array:
    encoded = np.empty(array.shape, np.object_)
    flat = encoded.reshape(-1)
    for index, element in enumerate(array.reshape(-1).tolist()):
        flat[index] = element.encode("utf-8", "surrogateescape")
    return encoded


def _bfloat16_in(array: Array) -> Any:
    bits = np.ascontiguousarray(array).view(np.uint16).reshape(array.shape)
    return onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type(bits, _ONNX_BFLOAT16)


def _from_ort_value(value: Any) -> Any:
    """Return the value as numpy; BF16, for which onnxruntime has no way out, by its address."""
    if not value.is_tensor() or value.element_type() != _ONNX_BFLOAT16:
        return value.numpy() if value.is_tensor() else value
    data = ctypes.string_at(value.data_ptr(), value.tensor_size_in_bytes())
    return np.frombuffer(data, BFLOAT16).reshape(value.shape())


_CONVERT_IN: dict[str, _Convert] = {"BYTES": _strings_in, "BF16": _bfloat16_in}
_CONVERT_OUT: dict[str, _Convert] = {"BYTES": _strings_out}

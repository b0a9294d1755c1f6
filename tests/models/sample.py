"""A model as the tests hand it around: file names to bytes, and a batch it accepts."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper

OPSET = 17
IR_VERSION = 8
"""Old enough for every onnxruntime that pyproject.toml admits."""


@dataclass(frozen=True)
class SampleModel:
    entries: dict[str, bytes]
    example: dict[str, np.ndarray[Any, Any]]
    """One input batch of two rows (where the model has rows), by input name."""
    main: str = "model.onnx"

    @property
    def onnx(self) -> bytes:
        """The bytes of the main entry."""
        return self.entries[self.main]

    def write(self, folder: Path) -> Path:
        """Write every entry under ``folder``; return the path of the main one."""
        for path, content in self.entries.items():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        return folder / self.main


def build_model(
    nodes: list[onnx.NodeProto],
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
    initializers: list[onnx.TensorProto] | None = None,
    *,
    domains: dict[str, int] | None = None,
) -> onnx.ModelProto:
    """Compose a model of one graph; ``domains`` are operator sets beyond the standard one."""
    graph = helper.make_graph(nodes, "sample", inputs, outputs, initializers or [])
    opsets = [helper.make_opsetid("", OPSET)]
    opsets += [helper.make_opsetid(domain, version) for domain, version in (domains or {}).items()]
    return helper.make_model(
        graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="strongroom-tests"
    )

"""``make.py KIND MIB FOLDER``: one model of a kind, in a process of its own, for it needs memory.

Prints the path to scan: a file, or the folder where a model is more than one.
"""

import sys
from collections.abc import Callable
from pathlib import Path

from models import checkpoint, forest, gguf, onnx_model, safetensors

KINDS: dict[str, Callable[[int, Path], Path]] = {
    "safetensors": safetensors.make,
    "onnx": onnx_model.make_single,
    "onnx-external": onnx_model.make_external,
    "gguf": gguf.make,
    "forest": forest.make,
    "checkpoint": checkpoint.make,
}


if __name__ == "__main__":
    print(KINDS[sys.argv[1]](int(sys.argv[2]), Path(sys.argv[3])))

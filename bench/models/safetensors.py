"""A safetensors file of one language model's shard: a header, then the tensors without a gap."""

import json
from pathlib import Path
from struct import pack

from models.weights import MATRIX, MATRIX_BYTES, count_matrices, write_matrix


def make(mib: int, folder: Path) -> Path:
    path = folder / "model.safetensors"
    count = count_matrices(mib)
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    for index in range(count):
        offsets = [index * MATRIX_BYTES, (index + 1) * MATRIX_BYTES]
        name = f"model.layers.{index}.mlp.up_proj.weight"
        header[name] = {"dtype": "F32", "shape": list(MATRIX), "data_offsets": offsets}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(pack("<Q", len(text)) + text)
        for index in range(count):
            write_matrix(file, index)
    return path

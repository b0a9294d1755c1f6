"""The bytes of the source as the tensors of a model, for tools that store tensors and not files."""

from pathlib import Path

import numpy as np
import torch

_TENSORS = 16


def open_tensors(source: Path) -> dict[str, torch.Tensor]:
    """Views of the file in equal parts; its pages are read when the tool reads the tensors."""
    mapped = np.memmap(source, dtype=np.uint8, mode="c")
    parts = np.split(mapped, _TENSORS)
    return {f"t{number:02}": torch.from_numpy(part) for number, part in enumerate(parts)}


class TensorModel:
    hidden_bytes = 0

    def __init__(self, tensors: dict[str, torch.Tensor]) -> None:
        self._tensors = [tensors[name] for name in sorted(tensors)]
        self._part = self._tensors[0].numel()

    def read(self, offset: int, size: int) -> bytes:
        number, start = divmod(offset, self._part)
        return self._tensors[number][start : start + size].numpy().tobytes()

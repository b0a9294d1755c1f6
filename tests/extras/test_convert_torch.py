"""PyTorch in the converter: `make test-extras`, in an environment that has the extra ``convert-torch``."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from strongroom.artifact.inspect import inspect
from strongroom.errors import InvalidError, RejectedError
from strongroom.ports import ConversionWish, Converted
from strongroom.serve.supervisor.conversion import CLASSICAL, TORCH, SandboxConverter
from strongroom.serve.worker.layers import DEFAULT_REQUIRED
from tests.serve.converting import Line

pytestmark = pytest.mark.slow

SOURCE = b"""
import torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.convolution = torch.nn.Conv2d(3, 4, 3, padding=1)
        self.norm = torch.nn.BatchNorm2d(4)
        self.last = torch.nn.Linear(4, 2)

    def forward(self, x):
        return self.last(torch.relu(self.norm(self.convolution(x))).mean((2, 3)))
"""


def _net() -> Any:
    space: dict[str, Any] = {"__name__": "net"}
    exec(SOURCE, space)  # noqa: S102 - our own, above
    return space["Net"]().eval()


def _dense() -> Any:
    return torch.nn.Sequential(
        torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Dropout(), torch.nn.Linear(8, 2)
    ).eval()


def _saved(save: Callable[..., None], *what: Any) -> bytes:
    file = io.BytesIO()
    save(*what, file)
    return file.getvalue()


def _images() -> bytes:
    file = io.BytesIO()
    np.savez(file, x=np.random.default_rng(1).standard_normal((6, 3, 8, 8)).astype(np.float32))
    return file.getvalue()


def _convert(original: bytes, *, inputs: bytes | None = None, module: bytes | None = None) -> Converted:
    wish = ConversionWish(16, 1, None, None, 4 * 2**30, 120.0, 2**28, module, "Net" if module else None)
    return SandboxConverter(DEFAULT_REQUIRED).convert("model.pt", original, wish, inputs)


def _rows_free() -> Any:
    return {0: torch.export.Dim("rows")}


CONVERTED: dict[str, Callable[[], Converted]] = {
    "TorchScript": lambda: _convert(_saved(torch.jit.save, torch.jit.script(_dense()))),
    "TorchScript, traced": lambda: _convert(
        _saved(torch.jit.save, torch.jit.trace(_net(), torch.zeros(2, 3, 8, 8))), inputs=_images()
    ),
    "exported program": lambda: _convert(
        _saved(
            torch.export.save,
            torch.export.export(_dense(), (torch.zeros(3, 4),), dynamic_shapes=(_rows_free(),)),
        )
    ),
    "exported program of convolutions": lambda: _convert(
        _saved(
            torch.export.save,
            torch.export.export(_net(), (torch.zeros(3, 3, 8, 8),), dynamic_shapes=(_rows_free(),)),
        )
    ),
    "exported program of three rows": lambda: _convert(
        _saved(torch.export.save, torch.export.export(_dense(), (torch.zeros(3, 4),)))
    ),
    "state": lambda: _convert(_saved(torch.save, _net().state_dict()), inputs=_images(), module=SOURCE),
    "state in a checkpoint": lambda: _convert(
        _saved(torch.save, {"epoch": 3, "state_dict": _net().state_dict()}), inputs=_images(), module=SOURCE
    ),
}


@pytest.mark.parametrize("name", CONVERTED)
def test_a_torch_model_is_converted_and_may_be_served(name: str) -> None:
    converted = CONVERTED[name]()
    assert float(converted.facts["relative"]) < 1e-4
    content = converted.content
    inspection = inspect({"model.onnx": (lambda offset, size: content[offset : offset + size], len(content))})
    assert inspection.servable
    assert [output.name for output in inspection.outputs] == ["output"]
    assert inspection.inputs[0].shape[0] == (3 if "three" in name else -1)
    assert (converted.facts["module"] is not None) == name.startswith("state")


def test_a_state_without_its_class_is_invalid_and_says_what_to_do() -> None:
    with pytest.raises(InvalidError, match="without the code") as caught:
        _convert(_saved(torch.save, _net().state_dict()), inputs=_images())
    assert "--module" in (caught.value.hint or "")


def test_weights_of_another_class_are_invalid() -> None:
    with pytest.raises(InvalidError, match="not its own"):
        _convert(_saved(torch.save, _dense().state_dict()), inputs=_images(), module=SOURCE)


HOSTILE = {
    "a shell": (b"import os\nos.system('touch /tmp/marker')\n", "system call"),
    "a file": (b"open('/etc/passwd').read()\n", "Permission denied"),
    "a socket": (b"import socket\nsocket.socket()\n", "system call"),
}


@pytest.mark.parametrize("attack", HOSTILE)
def test_a_hostile_class_gets_nothing(attack: str) -> None:
    code, words = HOSTILE[attack]
    with pytest.raises((RejectedError, InvalidError), match=words):
        _convert(_saved(torch.save, _net().state_dict()), inputs=_images(), module=code + SOURCE)


def test_every_lock_holds_that_holds_for_other_converters() -> None:
    """A thread that a library starts would keep Landlock from being applied."""
    with Line(TORCH) as torch_line, Line(CLASSICAL) as other:
        assert torch_line.layers["landlock"] == other.layers["landlock"]

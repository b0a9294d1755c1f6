"""How the samples here were made, with PyTorch 2.13: run `python make.py` in this folder.

TorchScript: loops and dictionaries (`loopy`), strings, slices and a named tuple (`words`), packed weights
(`quantized`), the archive for phones (`lite`), constants (`frozen`), traced inputs (`traced`). Exported
programs: free sizes (`dynamic`), branches and further files (`cond`), loops (`while`), dictionaries of
arguments (`dicts`).
"""
# ruff: noqa: UP006, UP031, UP032, UP035, UP045 -- TorchScript reads these spellings

import collections
from typing import Dict, List, NamedTuple, Optional

import torch
from torch import nn
from torch.export import Dim, export


class Loopy(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear, self.names, self.settings = nn.Linear(4, 4), ["a", "b"], {"x": 1.5}

    def forward(self, x, n: int = 3):
        for i in range(n):
            x = self.linear(x) if x.sum() > 0 else torch.relu(x) + i
        found: Dict[str, torch.Tensor] = {"y": x}
        rows: List[torch.Tensor] = [x, x]
        return torch.cat(rows), found, [name.upper() for name in self.names]

    @torch.jit.export
    def helper(self, text: str) -> Optional[int]:
        if len(text) > 3:
            raise ValueError("too long " + text)
        return None if text == "" else int(text)


class Point(NamedTuple):
    x: torch.Tensor
    y: int


class Words(nn.Module):
    def forward(self, x, count: int):
        numbers = torch.jit.annotate(List[int], [])
        numbers.append(count)
        x = x.clone()
        x[0] = 1
        while count < 10:
            count += 1
        return Point(x, 2), x[..., None], sorted(numbers), "%d" % count, "a{}b".format(count)


class Branch(nn.Module):
    def forward(self, x):
        return torch.cond(x.sum() > 0, lambda z: z.sin(), lambda z: z.cos(), (x,))


class Loop(nn.Module):
    def forward(self, x):
        start = torch.zeros((), dtype=torch.int64)
        return torch._higher_order_ops.while_loop(lambda i, a: i < 5, lambda i, a: (i + 1, a * 2), (start, x))


class Dicts(nn.Module):
    def forward(self, x: dict, *, k=1):
        return {name: value + k for name, value in x.items()}, collections.OrderedDict(a=x["p"])


def make_torchscript() -> None:
    conv = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten()).eval()
    torch.jit.script(Loopy()).save("loopy.pt")
    torch.jit.script(Words()).save("words.pt")
    torch.jit.trace(conv, torch.zeros(1, 3, 8, 8)).save("traced.pt")
    torch.jit.freeze(torch.jit.script(conv)).save("frozen.pt")
    torch.jit.script(conv)._save_for_lite_interpreter("lite.ptl")
    quantized = torch.ao.quantization.quantize_dynamic(nn.Sequential(nn.Linear(4, 4)), {nn.Linear})
    torch.jit.save(torch.jit.script(quantized), "quantized.pt", _extra_files={"labels.json": '["a"]'})


def make_exported() -> None:
    linear, row = nn.Linear(4, 2), torch.ones(3, 4)
    torch.export.save(export(linear, (row,), dynamic_shapes=({0: Dim("b", min=2, max=64)},)), "dynamic.pt2")
    torch.export.save(export(Branch(), (row,)), "cond.pt2", extra_files={"note.txt": "hello"})
    torch.export.save(export(Loop(), (row,)), "while.pt2")
    torch.export.save(export(Dicts(), ({"p": row},), {"k": 2}), "dicts.pt2")


if __name__ == "__main__":
    make_torchscript()
    make_exported()

"""The operators of PyTorch that a program in a model may call, exactly. All others are refused."""

from functools import cache
from importlib import resources

_LIST = "torch_operators.txt"

CLASSES = frozenset(
    {
        "quantized.Conv1dPackedParamsBase",
        "quantized.Conv2dPackedParamsBase",
        "quantized.Conv3dPackedParamsBase",
        "quantized.EmbeddingPackedParamsBase",
        "quantized.LinearPackedParamsBase",
        "rnn.CellParamsBase",
        "sparse.LinearPackedParamsBase",
        "xnnpack.Conv2dOpContext",
        "xnnpack.LinearOpContext",
        "xnnpack.TransposeConv2dOpContext",
    }
)
"""Classes that PyTorch itself registers for packed weights: ``torch.classes.<namespace>.<name>``."""


def is_allowed(namespace: str, name: str) -> bool:
    return name in _load().get(namespace, ())


def is_aten(name: str) -> bool:
    """Say whether this is an operator of the default namespace, which methods of tensors and strings are."""
    return is_allowed("aten", name)


@cache
def _load() -> dict[str, frozenset[str]]:
    text = resources.files("strongroom.scan").joinpath(_LIST).read_text("ascii")
    found: dict[str, frozenset[str]] = {}
    namespace = ""
    for line in text.splitlines():
        if line.startswith("["):
            namespace = line.strip("[]")
            found[namespace] = frozenset()
        elif not line.startswith("#"):
            found[namespace] |= frozenset(line.split())
    return found

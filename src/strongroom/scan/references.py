"""Names of Python objects in configurations: those that may be named, as making one does nothing else."""

import re

_NAME = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+", re.ASCII)
_DTYPES = frozenset(
    f"torch.{name}"
    for name in (
        *("float", "double", "half", "float16", "float32", "float64", "bfloat16", "complex64", "complex128"),
        *("uint8", "int8", "int16", "int32", "int64", "int", "long", "bool", "float8_e4m3fn", "float8_e5m2"),
        *("device", "dtype", "preserve_format", "channels_last", "contiguous_format"),
    )
)
_CLASSES_OF = (
    *("torch.nn.", "torch.optim.", "torch.utils.data.", "torchvision.transforms.", "torchvision.models."),
    *(
        "torchaudio.transforms.",
        "torchaudio.models.",
        "torchmetrics.",
        "pytorch_lightning.",
        "lightning.pytorch.",
    ),
    *("nemo.collections.", "nemo.core.", "nemo.lightning.", "nemo.utils.exp_manager."),
    *("megatron.core.", "monai.networks.", "monai.transforms.", "monai.losses.", "monai.inferers."),
    *("monai.metrics.", "monai.handlers.", "monai.data.", "monai.engines.", "ignite.metrics."),
    *("ldm.models.", "ldm.modules.", "ldm.util.", "ldm.lr_scheduler.", "ldm.data.", "sgm.models."),
    *("sgm.modules.", "cldm.cldm.", "taming.modules.", "taming.models.", "diffusers.", "transformers."),
    *("speechbrain.nnet.", "speechbrain.lobes.", "speechbrain.processing.", "speechbrain.decoders."),
    *("speechbrain.dataio.encoder.", "speechbrain.utils.", "speechbrain.augment.", "speechbrain.inference."),
    *("uni2ts.", "timm.models.", "timm.layers.", "audiocraft.", "encodec.", "sentence_transformers."),
    *("recipes.", "gluonts.torch.", "pytorch_forecasting.", "monai.apps.", "peft."),
)
"""Modules whose classes only hold numbers. Of their functions none may be named: `torch.hub.load` is one."""
_FUNCTIONS_OF = ("torchtune.models.", "torchtune.modules.", "torchtune.datasets.", "torchtune.training.")
_FUNCTIONS = frozenset(
    {
        *("torch.nn.functional.relu", "torch.nn.functional.gelu", "torch.nn.functional.silu"),
        *("torch.nn.functional.leaky_relu", "torch.nn.functional.elu", "torch.nn.functional.softmax"),
        *("torch.nn.functional.cross_entropy", "torch.nn.functional.mse_loss", "torch.relu", "torch.tanh"),
        *("torch.sigmoid", "torch.nn.init.xavier_uniform_", "torch.nn.init.kaiming_normal_"),
    }
)
_ACTS_WHEN_MADE = re.compile(
    r".*(?:Popen|Process|Command|Shell|Exec|Eval|Script|Download|Pickle|Loader|Connector|Runner|Launcher"
    r"|Executor|Subprocess|Server|Client).*|Lambda|LambdaCallback",
    re.ASCII,
)
"""Classes that do something on being made, or hold what is called later. `DataLoader` does not."""
_CALM = frozenset({"DataLoader"})


def is_reference(text: str) -> bool:
    """Whether text has the form of a dotted name."""
    return _NAME.fullmatch(text) is not None


def is_inert(name: str) -> bool:
    """Whether a dotted name is of a class that holds numbers, or of another thing that does nothing."""
    if name in _DTYPES or name in _FUNCTIONS:
        return True
    if any(part.startswith("_") for part in name.split(".")):
        return False
    if name.startswith(_FUNCTIONS_OF):
        return is_reference(name)
    last = name.rpartition(".")[2]
    if not name.startswith(_CLASSES_OF) or not is_reference(name):
        return False
    return last[:1].isupper() and (last in _CALM or _ACTS_WHEN_MADE.fullmatch(last) is None)


def is_plain_class(name: str) -> bool:
    """Whether this is a bare name of a class, which a library looks up among its own."""
    return re.fullmatch(r"[A-Z]\w{0,100}", name, re.ASCII) is not None

"""What is reported about PyTorch programs: TorchScript archives and exported programs."""

from strongroom.scan.rule import Rule
from strongroom.values import Severity

_WHY_CODE = (
    "TorchScript and exported programs are programs, and run when the model does. Most of what they can call "
    "computes with tensors; the rest reads and writes files, loads libraries or starts Python."
)
CALL = Rule(
    "torchscript-call-not-allowed",
    Severity.CRITICAL,
    "Program that calls what is not known",
    _WHY_CODE,
    "Build the model from operators of PyTorch itself, and export it again.",
    atlas=("AML.T0010.003", "AML.T0011.000", "AML.T0018.002"),
    aisvs=("6.1.2",),
)
SYNTAX = Rule(
    "torchscript-code",
    Severity.HIGH,
    "Program that PyTorch did not write",
    "The program is written in a way in which PyTorch writes none, so that a scanner and PyTorch may read "
    "two different programs.",
    "Save the model again with torch.jit.save.",
    atlas=("AML.T0011.000",),
)
MEMBER = Rule(
    "torchscript-member-unknown",
    Severity.HIGH,
    "Something that no such archive holds",
    "The archive holds more than the program and its tensors. Libraries, source code and other files travel "
    "in archives this way, past scanners that look at the known members only.",
    "Save the model again, and keep other files beside it, not in it.",
    atlas=("AML.T0010.003", "AML.T0011.000"),
)
STORAGE = Rule(
    "torchscript-storage-mismatch",
    Severity.HIGH,
    "Tensors and their bytes do not agree",
    "The bytes of a tensor are missing, or more or fewer than it says; a loader would read memory that is "
    "not the model's, or hide what is left over.",
    "Save the model again.",
    atlas=("AML.T0011.000",),
)
LIBRARY = Rule(
    "exported-program-library",
    Severity.CRITICAL,
    "Compiled library inside the model",
    "The archive carries machine code (AOTInductor), which runs as it is when the model is loaded.",
    "Save the exported program with torch.export.save, without compiling it.",
    atlas=("AML.T0010.003", "AML.T0011.000"),
    aisvs=("6.1.2",),
)
EXPORTED_CALL = Rule(
    "exported-program-call-not-allowed",
    Severity.CRITICAL,
    "Program that calls what is not known",
    _WHY_CODE + " An exported program names them as text, and any function within PyTorch can be named.",
    "Build the model from operators of PyTorch itself, and export it again.",
    atlas=("AML.T0010.003", "AML.T0011.000", "AML.T0018.002"),
    aisvs=("6.1.2",),
)
EXPORTED_TEXT = Rule(
    "exported-program-text-runs",
    Severity.CRITICAL,
    "Text that is run as Python",
    "Sizes, guards, names and the shapes of arguments are kept as text, which PyTorch puts into Python code "
    "or imports when it loads the program. This text is more than a size or a name.",
    "Export the model again with torch.export.export and save it with torch.export.save.",
    atlas=("AML.T0010.003", "AML.T0011.000", "AML.T0018.002"),
    aisvs=("6.1.2",),
)
RULES = (CALL, SYNTAX, MEMBER, STORAGE, LIBRARY, EXPORTED_CALL, EXPORTED_TEXT)

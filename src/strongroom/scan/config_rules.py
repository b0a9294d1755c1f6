"""The rules for configuration files beside a model."""

from strongroom.scan.rule import Rule
from strongroom.values import Severity

_CODE = ("AML.T0010.003", "AML.T0011.000")
_NO_CODE = "Use an architecture that the library itself knows, and leave the setting out."

NAMES_CODE = Rule(
    "config-names-code",
    Severity.HIGH,
    "Configuration brings its own program",
    "The library that loads this model would fetch and run a Python file which the model's author wrote. "
    "Whoever wrote it then acts as the server.",
    _NO_CODE,
    atlas=_CODE,
    aisvs=("6.1.2",),
)
TRUSTS_CODE = Rule(
    "config-trusts-code",
    Severity.HIGH,
    "Configuration switches off the guard against foreign code",
    "A setting in the model says that programs found in the model may be run. That decision is the "
    "operator's.",
    "Remove trust_remote_code and what depends on it.",
    atlas=_CODE,
    aisvs=("6.1.2",),
)
MAKES_OBJECT = Rule(
    "config-makes-object",
    Severity.CRITICAL,
    "Configuration calls a function",
    "The configuration names a Python function or class, and the library that reads it calls what it names. "
    "Named here is one that does more than hold numbers, or one that nobody here knows.",
    "Name only classes of the library's own layers, or build the model in code that is reviewed.",
    atlas=_CODE,
    aisvs=("6.1.2",),
)
UNKNOWN_OBJECT = Rule(
    "config-unknown-object",
    Severity.HIGH,
    "Configuration names an unknown class",
    "The configuration names a class of a package that is not on the list of known harmless ones; the "
    "library that reads it imports the package and makes the object.",
    _NO_CODE,
    atlas=_CODE,
    aisvs=("6.1.2",),
)
YAML_TAG = Rule(
    "yaml-tag-makes-object",
    Severity.CRITICAL,
    "YAML tag makes a Python object",
    "A tag such as !!python/object/apply tells the program that reads the file to call a function. It runs "
    "when the file is opened.",
    "Write the value plainly, without a tag.",
    atlas=_CODE,
    aisvs=("6.1.2",),
)
UNKNOWN_TAG = Rule(
    "yaml-tag-unknown",
    Severity.HIGH,
    "Unknown YAML tag",
    "What a tag does is up to the program that reads the file: include another file, read the environment, "
    "call a function. This one is not among YAML's own.",
    "Write the value plainly, without a tag.",
    atlas=_CODE,
)
READS_ENVIRONMENT = Rule(
    "config-reads-environment",
    Severity.HIGH,
    "Configuration reads the server's environment",
    "The environment of a server holds its passwords and keys. A model's configuration that takes values "
    "from there puts them where the model's author wants them.",
    "Write the value itself.",
    atlas=("AML.T0055",),
    aisvs=("6.1.2",),
)
RUNS_EXPRESSION = Rule(
    "config-runs-expression",
    Severity.HIGH,
    "Configuration holds a program's expression",
    "Some libraries evaluate such text as Python when they read the configuration.",
    "Write the value itself.",
    atlas=_CODE,
    aisvs=("6.1.2",),
)
UNKNOWN_RESOLVER = Rule(
    "config-unknown-resolver",
    Severity.MEDIUM,
    "Configuration computes a value",
    "A value is computed by a function of the program that reads it, which is not known here.",
    "Write the value itself.",
)
TWO_TRUTHS = Rule(
    "config-two-truths",
    Severity.HIGH,
    "One key, two values",
    "Some programs take the first value and some the last, so a reviewer may see one and the server use the "
    "other.",
    "Keep one of them.",
    atlas=("AML.T0074",),
)
REPEATED = Rule(
    "config-key-repeated",
    Severity.LOW,
    "A key occurs twice",
    "Both values are the same, so nothing is ambiguous; strict programs refuse the file all the same.",
    "Keep one of them.",
)
NOT_A_NUMBER = Rule(
    "config-not-a-number",
    Severity.LOW,
    "NaN or Infinity in JSON",
    "JSON has no such values; strict programs refuse the file.",
    "Write null or a number.",
)
ESCAPES_FOLDER = Rule(
    "config-path-escapes",
    Severity.HIGH,
    "Configuration names a file outside of the model",
    "The loader would read, or write, a file elsewhere on the server.",
    "Name files by their place inside the model folder.",
    atlas=("AML.T0010",),
)
INSTALLS = Rule(
    "config-installs-packages",
    Severity.HIGH,
    "Loading the model installs software",
    "The configuration lists commands or packages that are run or installed when the model is loaded or "
    "opened.",
    "List what is needed in requirements.txt, pinned, and install it beforehand.",
    atlas=("AML.T0010.001",),
)
HUGE = Rule(
    "config-huge-dimension",
    Severity.MEDIUM,
    "A dimension that no model has",
    "A loader that makes room before it reads the weights runs out of memory.",
    "State the dimension of the weights.",
    atlas=("AML.T0029",),
)
SEALED_OBJECT = Rule(
    "config-serialised-object",
    Severity.CRITICAL,
    "Serialised object in a configuration",
    "The file holds a Python object in writing (jsonpickle, LangChain or the like). Reading it makes the "
    "object, and to make it is to call what it names.",
    "Keep plain values in configurations.",
    atlas=_CODE,
    aisvs=("6.1.2",),
)
RULES = (
    NAMES_CODE,
    TRUSTS_CODE,
    MAKES_OBJECT,
    UNKNOWN_OBJECT,
    YAML_TAG,
    UNKNOWN_TAG,
    READS_ENVIRONMENT,
    RUNS_EXPRESSION,
    UNKNOWN_RESOLVER,
    TWO_TRUTHS,
    REPEATED,
    NOT_A_NUMBER,
    ESCAPES_FOLDER,
    INSTALLS,
    HUGE,
    SEALED_OBJECT,
)

"""The rules for pickles, and which of them a forbidden name falls under."""

from strongroom.scan.rule import Rule
from strongroom.values import Severity

_CONVERT = (
    "Do not load it. Ask its author for ONNX, safetensors, GGUF or skops; a model of scikit-learn, XGBoost "
    "or "
    "LightGBM that is saved again from a clean environment can go through `strongroom convert`."
)
_ATLAS = ("AML.T0010.003", "AML.T0011.000", "AML.T0018.002")

EXECUTES = Rule(
    "pickle-code-execution",
    Severity.CRITICAL,
    "Runs code when it is loaded",
    "Loading this file calls a function that can run programs, read files or open connections, with the "
    "rights "
    "of whoever loads it. No model needs that.",
    _CONVERT,
    atlas=_ATLAS,
)
CODE_OBJECT = Rule(
    "pickle-code-object",
    Severity.CRITICAL,
    "Carries compiled code",
    "The file brings a function of its own as compiled code, which nobody can read and which runs when the "
    "model is loaded or used.",
    "Put the function into a package that both sides install, or into the graph of an ONNX model; save again "
    "without cloudpickle or dill.",
    atlas=_ATLAS,
)
NOT_ALLOWED = Rule(
    "pickle-global-not-allowed",
    Severity.HIGH,
    "Refers to something that is not on the list",
    "A pickle may call anything that is installed where it is loaded. Only names that were looked at and do "
    "nothing but hold data are allowed, and this is none of them.",
    _CONVERT,
    atlas=_ATLAS,
)
CALL = Rule(
    "pickle-call-not-allowed",
    Severity.HIGH,
    "Calls something in a way that is not allowed",
    "The name is harmless as models use it, but not with these arguments or at this place, which no library "
    "writes.",
    _CONVERT,
    atlas=_ATLAS,
)
STATE = Rule(
    "pickle-state-not-allowed",
    Severity.HIGH,
    "Changes something that is no object of its own",
    "Loading would set attributes or items of a class, a function or another thing that pickles of models "
    "leave alone. That is how harmless names are turned into harmful ones.",
    _CONVERT,
    atlas=_ATLAS,
)
MALFORMED = Rule(
    "pickle-malformed",
    Severity.HIGH,
    "Broken or ambiguous pickle",
    "A pickle runs as far as it goes: what stands before a break has already happened when the error "
    "appears. "
    "Scanners give up at the break, which is why attackers put it there.",
    "Save the model again with a current version of its own library.",
    atlas=_ATLAS,
)
BOMB = Rule(
    "pickle-bomb",
    Severity.HIGH,
    "Takes memory or time out of all proportion",
    "A few bytes describe something enormous or endlessly nested; whoever loads or prints it crashes.",
    "Save the model again with a current version of its own library.",
    atlas=("AML.T0029",),
)
EXTENSION = Rule(
    "pickle-extension-registry",
    Severity.HIGH,
    "Refers to a name by a number",
    "What the number stands for depends on the computer that loads the file, so nobody can tell what it "
    "does.",
    "Save the model again without names registered in copyreg.",
    atlas=_ATLAS,
)
PERSISTENT = Rule(
    "pickle-persistent-id",
    Severity.HIGH,
    "Refers to something outside of the file",
    "What it means is up to the program that loads the file, so nobody can tell what it does.",
    "Save the model again with the save function of its own library.",
    atlas=_ATLAS,
)
SIBLINGS = Rule(
    "pickle-sibling-files",
    Severity.HIGH,
    "Arrays in other files",
    "An old way of joblib: loading opens other files by names that the pickle chooses.",
    "Load it where it was written and save it again with joblib 0.10 or newer, which writes one file.",
    atlas=_ATLAS,
)
INSIDE = Rule(
    "pickle-inside-data",
    Severity.LOW,
    "A harmful pickle as data",
    "A string in the file is itself a pickle that would run code. Nothing here loads it, but no model "
    "needs it.",
    "Ask the author why it is there.",
    atlas=("AML.T0018.002",),
)
UNREAD = Rule(
    "pickle-text-not-read",
    Severity.LOW,
    "More text than is looked through",
    "The file holds so much text that not all of it was searched for passwords and keys.",
    "Search the training code for what it puts into the model.",
)
RULES = (
    EXECUTES,
    CODE_OBJECT,
    NOT_ALLOWED,
    CALL,
    STATE,
    MALFORMED,
    BOMB,
    EXTENSION,
    PERSISTENT,
    SIBLINGS,
    INSIDE,
    UNREAD,
)


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# For the severity only: a name is refused because it is not on the list, wherever it comes from.
_EXECUTING = _words(
    "__builtin__ _aix_support _bootsubprocess _io _osx_support _pickle _posixsubprocess _pyrepl _socket "
    "_thread _winapi aiohttp ast asyncio bdb builtins cgitb cmd code codeop commands compileall "
    "concurrent cPickle cProfile ctypes distutils doctest ensurepip exceptions fileinput ftplib gc glob "
    "http httpx idlelib imaplib imp importlib inspect invoke io IPython joblib lib2to3 linecache logging "
    "mailcap modulefinder msvcrt multiprocessing nt ntpath os paramiko pathlib pdb pickle pickletools pip "
    "pipes pkg_resources pkgutil platform poplib popen2 posix posixpath profile pty pydoc pyexpat "
    "requests rlcompleter runpy sched setuptools shelve shutil signal site smtplib socket socketserver "
    "sqlite3 ssl subprocess symtable sys sysconfig tarfile telnetlib tempfile test threading timeit trace "
    "traceback turtledemo unittest urllib urllib2 urllib3 uuid venv webbrowser winreg wsgiref xmlrpc "
    "zipapp zipfile zipimport"
)
_EXECUTING_PARTS = _words(
    "_dynamo _inductor collect_env compat ctypeslib distributed distutils eval f2py fromfile fromregex "
    "genfromtxt hub "
    "io jit lib load load_library loads loadtxt memmap open package query read_pickle run save savetxt "
    "savez testing "
    "to_pickle utils"
)
"""Of NumPy, pandas and others, whose other names only compute."""
_MIXED = frozenset({"numpy", "pandas", "torch", "numba", "scipy", "sklearn", "tensorflow", "keras"})
_CODE = frozenset({"cloudpickle", "dill", "marshal", "types", "joblib.externals", "new"})
_SIBLINGS = frozenset({"NDArrayWrapper", "ZNDArrayWrapper"})


def rule_for(module: str, name: str) -> Rule:
    """Return the rule that a name which is not allowed falls under."""
    root = module.partition(".")[0]
    if root in _CODE or module.startswith("joblib.externals") or name in ("CodeType", "FunctionType"):
        return CODE_OBJECT
    if name in _SIBLINGS:
        return SIBLINGS
    if root in _MIXED and not _EXECUTING_PARTS.isdisjoint([*module.split("."), *name.split(".")]):
        return EXECUTES
    return EXECUTES if root in _EXECUTING else NOT_ALLOWED

"""Programs in writing: which files are such, and what a Python file does as soon as it is imported."""

import ast
import re

from strongroom.errors import shorten
from strongroom.scan.place import Place
from strongroom.scan.python_text import walk_python
from strongroom.scan.rule import Rule
from strongroom.scan.scan import Scan
from strongroom.values import Severity

_FIX = "Leave it out: a model folder holds weights and settings, and programs go through code review."
CODE = Rule(
    "code-beside-weights",
    Severity.HIGH,
    "Program beside the weights",
    "A file that programs or people run by habit, or that a library imports while it loads the model. It "
    "would run with the rights of whoever loads the model.",
    _FIX,
    atlas=("AML.T0010.003", "AML.T0011.000"),
    aisvs=("6.1.2",),
)
ACTS = Rule(
    "code-acts-on-the-machine",
    Severity.CRITICAL,
    "Program that acts on the machine",
    "The program starts processes, opens connections, runs text as code or touches what belongs to the "
    "system.",
    _FIX,
    atlas=("AML.T0010.003", "AML.T0011.000", "AML.T0050"),
    aisvs=("6.1.2",),
)
HABIT = Rule(
    "code-runs-by-habit",
    Severity.HIGH,
    "File that other programs obey",
    "Shells, editors, package managers and Python itself read files of this name when they find them, and do "
    "what they say.",
    _FIX,
    atlas=("AML.T0010.001", "AML.T0011.000"),
)
SETTINGS = Rule(
    "code-tool-settings",
    Severity.MEDIUM,
    "Settings of developers' tools",
    "Editors and build services take commands from such files when the folder is opened or pushed there.",
    "Leave them out.",
    atlas=("AML.T0011",),
)
RULES = (CODE, ACTS, HABIT, SETTINGS)

_EXTENSIONS = frozenset(
    {
        *("py", "pyw", "pyi", "pyx", "pxd", "ipy", "sh", "bash", "zsh", "fish", "csh", "ksh", "command"),
        *("bat", "cmd", "ps1", "psm1", "psd1", "vbs", "vbe", "wsf", "hta", "scf", "applescript", "js"),
        *("mjs", "cjs", "jsx", "ts", "tsx", "rb", "pl", "pm", "php", "lua", "tcl", "r", "jl", "awk", "c"),
        *("cc", "cpp", "cxx", "h", "hpp", "cu", "cuh", "rs", "go", "java", "kt", "scala", "swift", "cs"),
        *("m", "groovy", "gradle", "cmake", "mk", "nix", "el", "desktop", "lnk", "url", "webloc"),
        *("service", "xpi", "scpt", "asp", "aspx", "jsp", "cgi", "htaccess", "dart", "hs", "erl", "ex"),
        *("exs", "clj"),
    }
)
_NAMES = frozenset(
    {
        *("makefile", "gnumakefile", "dockerfile", "containerfile", "jenkinsfile", "vagrantfile"),
        *("rakefile", "gemfile", "justfile", "procfile", "cmakelists.txt", "sconstruct", "snakefile"),
        *("meson.build", "wscript", "configure", "build.ninja", "pkgbuild", "brewfile", "tiltfile"),
    }
)
_HABITS = frozenset(
    {
        *(".bashrc", ".bash_profile", ".profile", ".zshrc", ".zshenv", ".envrc", ".inputrc", ".vimrc"),
        *(".exrc", ".npmrc", ".yarnrc", ".yarnrc.yml", ".pypirc", "pip.conf", "pip.ini", ".condarc"),
        *(".netrc", ".pnp.cjs", ".gitconfig", ".gitmodules", ".pdbrc", ".pythonrc", ".pythonstartup"),
        *(".editrc", ".lldbinit", ".gdbinit", "authorized_keys", "crontab", "setup.cfg", "tox.ini"),
        *("noxfile", ".pre-commit-config.yaml", "autorun.inf", "pytest.ini", ".coveragerc"),
        *("pyproject.toml", ".rprofile", ".irbrc", ".sitecustomize"),
    }
)
_TOOLS = frozenset(
    {"pyproject.toml", "setup.cfg", "tox.ini", "pytest.ini", ".coveragerc", ".pre-commit-config.yaml"}
)
"""Of these only what they say is judged: nothing reads them when a model is loaded."""
_FOLDERS = frozenset({".git", ".svn", ".hg", ".devcontainer", ".ipython", ".jupyter", ".husky", ".ssh"})
_SETTINGS = frozenset({".vscode", ".idea", ".github", ".gitlab", ".circleci", ".config"})
_SHEBANG = re.compile(r"\ufeff?#!\s*/")
_SITE_LINE = re.compile(r"^import[ \t].+", re.MULTILINE)
_FILTER = re.compile(r"\b(?:filter|diff|merge)=(?!lfs\b)(\w+)")
_FILTERS_OF_GIT = frozenset({"text", "union", "binary", "ours"})
_PYTHON = frozenset({"py", "pyw", "pyi", "ipy", "pyx"})


def scan_code(scan: Scan, name: str, text: str, place: Place) -> bool:
    """Report a file that is a program or that other programs obey; returns whether it is one."""
    lowered = name.lower()
    _, dot, extension = lowered.rpartition(".")
    path = [part.lower() for part in (place.members[-1] if place.members else place.path).split("/")]
    if _FOLDERS & set(path[:-1]) and lowered != ".gitignore":
        scan.add(HABIT, place, "lies in a folder that tools take their orders from")
    if _SETTINGS & set(path[:-1]):
        scan.add(SETTINGS, place, "lies in a folder of settings")
    if lowered == ".gitattributes":
        _attributes(scan, text, place)
        return True
    if lowered in _HABITS - _TOOLS or lowered == ".env" or lowered.startswith(".env."):
        scan.add(HABIT, place, f"is {shorten(name)}")
    if dot and extension == "pth":
        _site_file(scan, text, place)
        return True
    is_code = (
        (bool(dot) and extension in _EXTENSIONS) or lowered in _NAMES or lowered.startswith("dockerfile.")
    )
    if not is_code and _SHEBANG.match(text) is None:
        return False
    scan.add(CODE, place, f"is a program ({shorten(name)})")
    if extension in _PYTHON or (_SHEBANG.match(text) and "python" in text[:80]):
        _python(scan, text, place)
    return True


def _site_file(scan: Scan, text: str, place: Place) -> None:
    """A .pth of text: Python runs its import lines at every start (docs.python.org, module site)."""
    for line in _SITE_LINE.findall(text)[:3]:
        scan.add(ACTS, place, f"has a line that Python runs at every start: {shorten(line)}")
    if _SITE_LINE.search(text) is None:
        scan.add(HABIT, place, "adds folders to where Python looks for programs")


def _attributes(scan: Scan, text: str, place: Place) -> None:
    for name in sorted(set(_FILTER.findall(text)) - _FILTERS_OF_GIT):
        scan.add(HABIT, place, f"has git run the filter {shorten(name)} over files")


_MODULES = frozenset(
    {
        *("subprocess", "socket", "ctypes", "pty", "urllib", "requests", "httpx", "aiohttp", "http"),
        *("ftplib", "paramiko", "telnetlib", "smtplib", "websocket", "websockets", "winreg"),
        *("multiprocessing", "cffi", "pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve"),
        *("runpy", "webbrowser", "pip", "asyncio", "imp", "zipimport", "code", "codeop", "commands"),
        *("popen2", "signal", "crypt", "keyring", "ptrace"),
    }
)
_CALLS = frozenset(
    {"exec", "eval", "compile", "__import__", "execfile", "breakpoint", "getattr", "globals", "vars"}
)
_METHODS = frozenset(
    {
        *("system", "popen", "spawn", "spawnl", "spawnv", "spawnve", "execv", "execve", "execl", "fork"),
        *("forkpty", "Popen", "check_output", "check_call", "import_module", "exec_module", "load_module"),
        *("urlopen", "urlretrieve", "b64decode", "decompress", "loads", "startfile", "kill", "putenv"),
        *("unlink", "rmtree", "CDLL", "LoadLibrary", "run_path", "run_module", "getenv", "environ"),
        *("load_inline", "hub"),
    }
)


def _python(scan: Scan, text: str, place: Place) -> None:
    for node in walk_python(text):
        said = _acts(node)
        if said:
            scan.add(ACTS, place.named(f"line {getattr(node, 'lineno', 0)}"), said)


def _acts(node: ast.AST) -> str:
    match node:
        case ast.Import(names=names):
            roots = {each.name.partition(".")[0] for each in names}
            return f"imports {shorten(min(roots & _MODULES))}" if roots & _MODULES else ""
        case ast.ImportFrom(module=str() as module):
            root = module.partition(".")[0]
            return f"imports {shorten(root)}" if root in _MODULES else ""
        case ast.Call(func=ast.Name(id=name)) if name in _CALLS - {"getattr", "vars"}:
            return f"calls {name}"
        case ast.Call(func=ast.Attribute(value=ast.Name(id="os" | "posix" | "nt"), attr=name)) if (
            name in _METHODS
        ):
            return f"calls os.{name}"
        case ast.Call(func=ast.Attribute(attr=name)) if name in _METHODS - {
            "loads",
            "kill",
            "decompress",
            "hub",
        }:
            return f"calls {name}"
        case ast.Attribute(attr="__builtins__" | "__globals__" | "__subclasses__" as name):
            return f"reads {name}"
    return ""

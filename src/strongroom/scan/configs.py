"""Configurations in whatever notation: what they name, switch on, read and call."""

import re
from typing import Any

from strongroom.errors import RejectedError, shorten
from strongroom.scan import config_rules as rules
from strongroom.scan.config_nodes import Node, walk
from strongroom.scan.documents import Document, Vocabulary
from strongroom.scan.encoded import scan_encoded
from strongroom.scan.place import Place
from strongroom.scan.references import is_inert, is_plain_class, is_reference
from strongroom.scan.scan import Scan
from strongroom.scan.templates import scan_prompt, scan_template

_MAX_DIMENSION = 2**32
_DIMENSIONS = frozenset(
    {
        *("hidden_size", "vocab_size", "num_hidden_layers", "intermediate_size", "num_attention_heads"),
        *("n_embd", "n_layer", "n_head", "d_model", "d_ff", "num_layers", "num_experts", "num_local_experts"),
    }
)
_CLASSES = frozenset(
    {
        *(
            "tokenizer_class",
            "processor_class",
            "feature_extractor_type",
            "image_processor_type",
            "model_type",
        ),
        *("feature_extractor_class", "image_processor_class", "video_processor_type", "slow_tokenizer_class"),
        *("architectures", "config_class", "base_model_class", "encoder_class", "decoder_class"),
    }
)
"""Settings with the bare name of one of the library's own classes."""
_KERNELS = frozenset({"attn_implementation", "_attn_implementation", "experts_implementation"})
"""Settings that may name a repository of compiled code instead."""
_REFERENCES = frozenset(
    {"_target_", "__target__", "_component_", "class_path", "_class_path_", "_fn_", "_cls_"}
)
"""Settings whose value is imported and called: Hydra, torchtune, Lightning's command line."""
_ACTIVATIONS = frozenset(
    {"activation_function", "activation_fn", "sbert_ce_default_activation_function", "act_fn", "hidden_act"}
)
_JSONPICKLE = re.compile(r"py/[a-z_+]{1,20}")
_PLAIN = re.compile(r"(?!.*--)[A-Za-z_][\w.-]{0,200}", re.ASCII)
_RESOLVER = re.compile(r"\$\{\s*([A-Za-z_][\w.]{0,60}):(?!-)")
_CALM_RESOLVERS = frozenset(
    {
        *("oc.select", "oc.deprecated", "oc.dict.keys", "oc.dict.values", "now", "hydra"),
        *("multiply", "mul", "add", "sum", "div", "divide", "int_div", "floordiv", "sub", "subtract", "pow"),
        *("len", "min", "max", "if", "not", "concat", "join", "round", "ceil", "floor", "merge"),
    }
)
_ENVIRONMENT = frozenset({"env", "oc.env", "ENV", "environ", "getenv", "secret", "vault"})
_RUNNING = frozenset(
    {"eval", "python", "exec", "shell", "cmd", "import", "oc.create", "oc.decode", "file", "script"}
)
_MONAI = re.compile(
    r"\$\s{0,8}(?:import\b|from\b|@|\[|__|[A-Za-z_]\w{0,60}(?:\.\w{1,60}){1,8}\s{0,4}\("
    r"|(?:exec|eval|open|compile|getattr|print|exit|quit|input|breakpoint|globals|vars|type|map|list|dict|lambda)\b)"
)
"""What MONAI runs as Python. `$name(...)` alone is a function of JSONata as well."""
_LOGGING_CALL = re.compile(r"\b[A-Za-z_]\w*\s{0,8}\(")
_TEMPLATES = ("chat_template", "tool_template")
_IN_TEMPLATES = re.compile(r"chat_template[.\[]")
_PROMPT = re.compile(r"template|prompt|jinja|format|instruction|message|text|content|body", re.IGNORECASE)
_LEADS_OUT = re.compile(r"__|\\[xu]|\|\s*attr|\[|~|request|config|self|lipsum|cycler|joiner|range|\*")
"""Without one of these a template leads nowhere."""
MAX_TEMPLATES_CHARS = 2**18
"""Of all templates in one file."""
_MAX_REPEATED = 20


def scan_document(scan: Scan, document: Document, place: Place) -> None:
    """Judge a parsed configuration, values hidden behind a second one of the same key included."""
    for key, value in document.shadowed[:_MAX_REPEATED]:
        scan.add(rules.TWO_TRUTHS, place.named(key), f"{shorten(key)} has two different values")
        scan_values(scan, value, place, key)
    for key in sorted(set(document.repeated))[:_MAX_REPEATED]:
        scan.add(rules.REPEATED, place.named(key), f"{shorten(key)} is there twice")
    for name in sorted(set(document.constants)):
        scan.add(rules.NOT_A_NUMBER, place, f"holds {name}")
    scan_values(scan, document.value, place)


def scan_values(scan: Scan, value: Any, place: Place, key: str = "") -> None:
    """Judge what lies at and under a value.

    Raises:
        RejectedError: holds more templates than are looked at.
    """
    templates = 0
    for node in walk(value, key, key):
        match node.value:
            case dict():
                _mapping(scan, node, place.named(node.trail))
            case str():
                _text(scan, node, place.named(node.trail))
                templates += _template(scan, node, place.named(node.trail))
                if templates > MAX_TEMPLATES_CHARS:
                    raise RejectedError(f"has templates of more than {MAX_TEMPLATES_CHARS} characters")
            case list() | Vocabulary() | None:
                pass
            case _:
                _scalar(scan, node, place.named(node.trail))
        if node.value:
            _setting(scan, node, place.named(node.trail))


def _setting(scan: Scan, node: Node, place: Place) -> None:
    """Settings whose presence alone says that code is brought along."""
    shown = shorten(node.value, 80)
    match node.key:
        case "auto_map" if not node.is_item:
            scan.add(rules.NAMES_CODE, place, f"auto_map names {shown}")
        case "custom_pipelines" | "custom_pipeline" | "custom_generate" | "custom_code" | "tool_class":
            if not node.is_item or isinstance(node.value, str):
                scan.add(rules.NAMES_CODE, place, f"{node.key} names {shown}")
        case "trust_remote_code" | "allow_remote" | "allow_custom_code" | "allow_dangerous_deserialization":
            if node.value is True or str(node.value).lower() in ("true", "1", "yes", "on"):
                scan.add(rules.TRUSTS_CODE, place, f"{node.key} is {shown}")


def _scalar(scan: Scan, node: Node, place: Place) -> None:
    if node.key in _DIMENSIONS and isinstance(node.value, int) and abs(node.value) > _MAX_DIMENSION:
        scan.add(rules.HUGE, place, f"{node.key} is {shorten(node.value, 40)}")


def _mapping(scan: Scan, node: Node, place: Place) -> None:
    keys = node.value.keys()
    for key in keys:
        if key.startswith("py/") and _JSONPICKLE.fullmatch(key):
            scan.add(rules.SEALED_OBJECT, place, f"{key} names {shorten(node.value[key], 80)}")
    if {"lc", "type", "id"} <= keys and node.value["type"] in ("constructor", "secret"):
        _langchain(scan, node.value, place)
    if node.value.get("class_name") in ("Lambda", "LambdaLayer"):
        scan.add(rules.NAMES_CODE, place, "holds a Lambda layer of Keras, which is a program")
    target = node.value.get("target")
    if isinstance(target, str) and is_reference(target) and ("params" in keys or _root(target) in _ACTING):
        _reference(scan, target, place)
    library = node.value.get("parent_library")
    if (
        isinstance(library, str)
        and library
        and not library.startswith(("transformers.models.", "diffusers.", "peft."))
    ):
        scan.add(rules.NAMES_CODE, place, f"parent_library is {shorten(library)}, which would be imported")


def _langchain(scan: Scan, value: dict[str, Any], place: Place) -> None:
    """LangChain's own form of an object: {"lc": 1, "type": "constructor", "id": [package, ..., class]}."""
    path = value["id"] if isinstance(value["id"], list) else [value["id"]]
    if value["type"] == "secret":
        scan.add(rules.READS_ENVIRONMENT, place, f"takes a secret from {shorten(path)}")
    elif not str(path[:1]).startswith("['langchain"):
        scan.add(rules.SEALED_OBJECT, place, f"makes {shorten(path)}")


def _text(scan: Scan, node: Node, place: Place) -> None:
    text = node.value
    key = node.key
    if key in _REFERENCES:
        _reference(scan, text, place)
    elif key in _CLASSES and not _PLAIN.fullmatch(text) and text:
        scan.add(rules.NAMES_CODE, place, f"{key} is {shorten(text)}, not the name of a class")
    elif key in _KERNELS and "/" in text:
        scan.add(rules.NAMES_CODE, place, f"{key} is {shorten(text)}, a repository of compiled code")
    elif key in _ACTIVATIONS and "." in text and not is_inert(text):
        scan.add(rules.UNKNOWN_OBJECT, place, f"{key} is {shorten(text)}, which would be imported")
    elif key in ("args", "kwargs") and "class" in node.parent and _LOGGING_CALL.search(text):
        scan.add(rules.RUNS_EXPRESSION, place, f"{key} is {shorten(text)}, which logging evaluates")
    if "${" in text:
        _resolvers(scan, text, place)
    if text[:1] == "$" and _MONAI.match(text):
        scan.add(rules.RUNS_EXPRESSION, place, f"is {shorten(text)}, which MONAI evaluates")
    scan_encoded(scan, text, place)


def _template(scan: Scan, node: Node, place: Place) -> int:
    """Judge text that is a template; returns how many characters were looked at."""
    text = node.value
    if node.key.endswith(_TEMPLATES) or (node.key != "name" and _IN_TEMPLATES.search(node.trail)):
        scan_template(scan, text, place)
    elif ("{{" in text or "{%" in text) and _PROMPT.search(node.key) and _LEADS_OUT.search(text):
        scan_prompt(scan, text, place)
    else:
        return 0
    return len(text)


def _reference(scan: Scan, name: str, place: Place) -> None:
    if is_inert(name) or is_plain_class(name):
        return
    rule = rules.MAKES_OBJECT if _root(name) in _ACTING else rules.UNKNOWN_OBJECT
    scan.add(rule, place, f"names {shorten(name)}")


def _root(name: str) -> str:
    return name.partition(".")[0]


_ACTING = frozenset(
    {
        *(
            "os",
            "posix",
            "nt",
            "subprocess",
            "builtins",
            "__builtin__",
            "sys",
            "runpy",
            "importlib",
            "pty",
            "shutil",
        ),
        *(
            "socket",
            "ctypes",
            "code",
            "codeop",
            "pickle",
            "cloudpickle",
            "dill",
            "joblib",
            "marshal",
            "shelve",
        ),
        *(
            "urllib",
            "requests",
            "http",
            "ftplib",
            "webbrowser",
            "commands",
            "popen2",
            "timeit",
            "cProfile",
            "pdb",
        ),
        *(
            "pip",
            "setuptools",
            "distutils",
            "multiprocessing",
            "asyncio",
            "threading",
            "tempfile",
            "pathlib",
            "io",
        ),
        *(
            "operator",
            "functools",
            "types",
            "inspect",
            "site",
            "zipimport",
            "pkgutil",
            "hydra",
            "omegaconf",
            "eval",
        ),
        *(
            "exec",
            "compile",
            "__import__",
            "open",
            "input",
            "numpy",
            "torch",
            "pandas",
            "yaml",
            "bdb",
            "trace",
        ),
    }
)
"""Packages of which a function that is not known harmless is taken for an attack."""


def _resolvers(scan: Scan, text: str, place: Place) -> None:
    for found in _RESOLVER.finditer(text):
        name = found[1]
        if name in _ENVIRONMENT:
            scan.add(
                rules.READS_ENVIRONMENT, place, f"reads {shorten(text[found.start() : found.end() + 60])}"
            )
        elif name in _RUNNING:
            scan.add(rules.RUNS_EXPRESSION, place, f"uses the resolver {shorten(name)}")
        elif name not in _CALM_RESOLVERS:
            scan.add(rules.UNKNOWN_RESOLVER, place, f"uses the resolver {shorten(name)}")

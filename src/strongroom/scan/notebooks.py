"""Notebooks: what their cells, outputs and attachments hold, and what runs as soon as they are opened."""

import ast
import re
from collections.abc import Iterator
from typing import Any

from strongroom.errors import RejectedError, shorten
from strongroom.scan.configs import scan_document
from strongroom.scan.documents import MAX_BYTES, Document, parse_json
from strongroom.scan.letters import scan_letters
from strongroom.scan.pages import scan_page
from strongroom.scan.place import Place
from strongroom.scan.python_text import walk_python
from strongroom.scan.rule import Rule
from strongroom.scan.scan import Content, Scan
from strongroom.values import Severity

FETCHES = Rule(
    "notebook-fetches-and-runs",
    Severity.HIGH,
    "Notebook runs what it fetches",
    "A cell takes a program from the network, or from text that is encoded, and runs it without anybody "
    "having seen it.",
    "Remove the cell, or keep the program in the repository where it can be read.",
    atlas=("AML.T0011", "AML.T0050"),
)
RULES = (FETCHES,)

_MAX_CELLS = 20_000
_SHELL = re.compile(
    r"(?:curl|wget|fetch|Invoke-WebRequest|iwr)\b[^\n]{0,300}\|\s{0,8}(?:sudo\s{1,8})?(?:env\s{1,8})?"
    r"(?:/\w[\w/]*/)?(?:ba|z|da|k)?sh\b"
    r"|(?:curl|wget)\b[^\n]{0,300}\|\s{0,8}(?:sudo\s{1,8})?(?:python|perl|ruby|node)[\w.]*\b"
    r"|base64\s+(?:-d|-D|--decode)\b[^\n]{0,200}\|\s{0,8}(?:ba|z|da)?sh\b"
    r"|(?:ba|z)?sh\s+-i\s*(?:>&|<)|/dev/(?:tcp|udp)/\w|\bnc(?:at)?\s{1,8}(?:-\w{1,20}\s{1,8}){0,8}-e\b"
    r"|(?:ba|z)?sh\s+(?:-c\s+)?[\"']?(?:<\(|\$\()\s*(?:curl|wget)\b",
    re.IGNORECASE,
)
_RUNS_DECODED = re.compile(
    r"\b(?:exec|eval)\s{0,8}\([^\n]{0,300}(?:b64decode|decompress|urlopen|requests\.get|fromhex|marshal\.loads)\b"
)
_BINARY = ("image/png", "image/jpeg", "image/gif", "image/webp", "application/pdf", "audio/", "video/")


def scan_notebook(scan: Scan, content: Content) -> None:
    """Judge a notebook. Ordinary cells and outputs are no findings: nothing runs them on their own."""
    try:
        text = content.read(MAX_BYTES).decode()
    except UnicodeDecodeError:
        raise RejectedError("is not text in UTF-8") from None
    document = parse_json(text)
    value = document.value
    if not isinstance(value, dict):
        raise RejectedError("is not a notebook")
    cells = list(_cells(value))
    if len(cells) > _MAX_CELLS:
        raise RejectedError(f"has more than {_MAX_CELLS} cells")
    for number, cell in enumerate(cells, 1):
        _cell(scan, cell, content.place.named(f"cell {number}"))
    rest = {key: each for key, each in value.items() if key not in ("cells", "worksheets")}
    scan_document(scan, Document(rest, document.shadowed, document.repeated), content.place)
    for name, part in _strings(value.get("metadata")):
        scan.text(part, content.place.named(name or "metadata"))


def _cells(value: dict[str, Any]) -> Iterator[Any]:
    sheets = value.get("worksheets")
    for part in (value, *(sheets if isinstance(sheets, list) else ())):
        cells = part.get("cells") if isinstance(part, dict) else None
        yield from cells if isinstance(cells, list) else ()


def _cell(scan: Scan, cell: Any, place: Place) -> None:
    if not isinstance(cell, dict):
        raise RejectedError("has a cell that is not an object")
    source = _joined(cell.get("source", cell.get("input", "")))
    scan.text(source, place)
    scan_letters(scan, source, place)
    if cell.get("cell_type") == "code":
        _code(scan, source, place)
    outputs = cell.get("outputs")
    for output in outputs if isinstance(outputs, list) else ():
        _output(scan, output, place)
    for name, text in _strings({"metadata": cell.get("metadata"), "attachments": cell.get("attachments")}):
        scan.text(text, place)
        if not name.startswith(_BINARY):
            scan_page(scan, text, place)


def _joined(value: Any) -> str:
    if isinstance(value, list):
        return "".join(part for part in value if isinstance(part, str))
    return value if isinstance(value, str) else ""


def _code(scan: Scan, source: str, place: Place) -> None:
    found = _SHELL.search(source)
    if found is not None:
        scan.add(FETCHES, place, f"runs {shorten(found.group())}")
    if source.lstrip().startswith(("%%javascript", "%%js", "%%html")):
        scan_page(scan, source, place)
    plain = "\n".join("" if line.lstrip()[:1] in ("!", "%", "?") else line for line in source.split("\n"))
    if _RUNS_DECODED.search(plain) or any(map(_runs_fetched, walk_python(plain))):
        scan.add(FETCHES, place, "runs text that was fetched or decoded as a program")


def _runs_fetched(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and _runs(node) and any(map(_is_fetched, node.args))


_RUNNING = frozenset({"exec", "eval", "system", "popen", "run_cell", "run_code"})
_FETCHING = frozenset(
    {"urlopen", "get", "post", "b64decode", "decompress", "fromhex", "unhexlify", "a85decode", "b85decode"}
)


def _runs(node: ast.Call) -> bool:
    match node.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name in _RUNNING
    return False


def _is_fetched(node: ast.AST) -> bool:
    """Whether a value comes from the network or out of an encoding; `mapping.get` alone does not count."""
    for part in ast.walk(node):
        match part:
            case ast.Call(func=ast.Attribute(value=ast.Name(id=owner), attr=name)) if name in _FETCHING:
                if name not in ("get", "post") or owner in ("requests", "httpx", "session"):
                    return True
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if name in _FETCHING - {
                "get",
                "post",
            }:
                return True
    return False


def _output(scan: Scan, output: Any, place: Place) -> None:
    for name, text in _strings(output):
        if name.startswith(_BINARY):
            continue
        scan.text(text, place)
        if name.endswith(("javascript", "html", "svg+xml", "json", "markdown")):
            scan_page(scan, text, place, is_script=name.endswith("javascript"))


def _strings(value: Any) -> Iterator[tuple[str, str]]:
    """Yield (key, text) of all strings under a value; lists of strings are the lines of one."""
    pending: list[tuple[str, Any]] = [("", value)]
    while pending:
        name, each = pending.pop()
        match each:
            case str():
                yield name, each
            case list() if all(isinstance(part, str) for part in each):
                yield name, "".join(each)
            case list():
                pending += [(name, part) for part in each]
            case dict():
                pending += [(str(key), part) for key, part in each.items()]

"""Recognise text, and the models and documents that are written as text."""

import json
import re

from strongroom.artifact.structures import File

MAX_TEXT_BYTES = 48 * 2**20
"""Larger text or JSON is not looked at, and so unknown. The largest tokenizers have 35 MB."""

MAX_JSON_VALUES = 2**22
MAX_JSON_CONTAINERS = 2**20
"""Objects and arrays. Tokenizers have half as many; JSON with more is taken for text."""

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f]")
_BLANKS = " \t\r\n"
_XGBOOST = re.compile(rb"\{\"(?:learner|Config|Model)\":\{")
_LIGHTGBM = re.compile(rb"tree\r?\nversion=")
_PROLOG_CHARS = 2**16
_MISC = re.compile(
    r"\s+|<\?.*?\?>|<!--.*?-->|<!DOCTYPE[^<>\[]*(?:\[[^\]]*\]\s*)?>", re.DOTALL | re.IGNORECASE
)
_ROOT = re.compile(r"<(?:[A-Za-z_][\w.-]*:)?([A-Za-z_][\w.-]*)")
_DECLARED = re.compile(r"<!doctype(?!\s+html\b)|<!entity", re.IGNORECASE)
_LAST_CHARS = 256
_LAST = re.compile(r"</\s*([\w.:-]+)\s*>\s*\Z|/>\s*\Z")
_PAGE_TAG = re.compile(
    "a|b|blockquote|body|br|center|code|d[dlt]|del|details|div|em|font|h[1-6]|head|hr|html|i|img|ins|kbd|li|ol|p"
    "|picture|pre|s|samp|source|span|strong|su[bp]|summary|table|t[bdhr]|tbody|thead|u|ul|video",
    re.IGNORECASE,
)
"""Markdown often begins, and even ends, with a tag of HTML."""


def text_of(file: File) -> str | None:
    """Return the whole, if it is UTF-8 without control characters and small enough to be looked at."""
    if file.size_bytes > MAX_TEXT_BYTES or _CONTROL.search(file.head.decode(errors="ignore")):
        return None
    try:
        text = file.read_at(0, file.size_bytes).decode()
    except UnicodeDecodeError:
        return None
    return None if _CONTROL.search(text) else text


def json_keys(text: str) -> set[str] | None:
    """Return the keys of an object, no keys for an array, nothing for what is not JSON.

    What lies deeper is read and forgotten, so that memory does not grow with it.
    """
    if text.lstrip(_BLANKS)[:1] not in ("{", "["):
        return None
    if text.count("[") + text.count("{") > MAX_JSON_CONTAINERS or text.count(",") > MAX_JSON_VALUES:
        return None
    try:
        value = json.loads(text, object_pairs_hook=_keep_keys)
    except (ValueError, RecursionError):
        return None
    return set(value) if isinstance(value, tuple) else set()


def _keep_keys(pairs: list[tuple[str, object]]) -> tuple[str, ...]:
    return tuple(key for key, _ in pairs)


def is_xgboost_json(file: File) -> bool:
    """A booster as XGBoost itself writes it, by how it begins: it may be too large to be parsed twice."""
    return _XGBOOST.match(file.head) is not None


def is_lightgbm(file: File) -> bool:
    return _LIGHTGBM.match(file.head) is not None


def xml_root(text: str) -> str | None:
    """Return the name of the root element without its prefix, nothing for what is no XML document.

    A page of Markdown that begins with a tag is none.
    """
    text = text.removeprefix("\ufeff")
    start = text[:_PROLOG_CHARS].lstrip(_BLANKS)
    if not start.startswith("<"):
        return None
    at = 0
    while (match := _MISC.match(start, at)) is not None:
        at = match.end()
    root = _ROOT.match(start, at)
    name = root[1] if root is not None else ""
    if start.startswith("<?xml") or _DECLARED.search(start, 0, at + 9) or name in ("PMML", "net"):
        return name
    last = _LAST.search(text[-_LAST_CHARS:])
    if root is None or last is None or _PAGE_TAG.fullmatch(name):
        return None
    return name if last[1] in (None, root[0][1:]) else None

"""Text beside a model: configurations, code references, tokenizers, templates, lists of packages."""

import json
from typing import Any

from strongroom.errors import RejectedError, shorten
from strongroom.scan.config_files import scan_by_name
from strongroom.scan.config_rules import NAMES_CODE, UNKNOWN_TAG, YAML_TAG
from strongroom.scan.configs import scan_document
from strongroom.scan.documents import (
    MAX_BYTES,
    Document,
    Vocabulary,
    parse_ini,
    parse_json,
    parse_json_lines,
    parse_toml,
)
from strongroom.scan.install_sources import is_requirements, scan_conda, scan_requirements
from strongroom.scan.letters import scan_letters, scan_name
from strongroom.scan.notebooks import scan_notebook as scan_notebook
from strongroom.scan.pages import scan_page
from strongroom.scan.references import is_inert
from strongroom.scan.scan import Content, Scan
from strongroom.scan.source_code import scan_code
from strongroom.scan.templates import scan_prompt, scan_template
from strongroom.scan.vocabularies import is_vocabulary_file, is_words, long_words, without_words
from strongroom.scan.yaml_files import YamlDocument, parse_yaml

_MAX_ALONE = 200
"""Longer strings, and those of several lines, are looked at for themselves."""


def scan_empty(scan: Scan, content: Content) -> None:
    """Nothing is in it; its name is still read by others."""
    scan_name(scan, content.name, content.place)
    scan_code(scan, content.name, "", content.place)


def scan_json(scan: Scan, content: Content) -> None:
    """Judge JSON: a configuration, a tokenizer or data."""
    text = _text(scan, content)
    if scan_code(scan, content.name, text, content.place):
        scan.text(text, content.place)
        return
    document = parse_json(text)
    _judge(scan, content, document)


def scan_text(scan: Scan, content: Content) -> None:
    """Judge text by its name, and by what every reader of it might take it for."""
    text = _text(scan, content)
    name, place = content.name, content.place
    if scan_code(scan, name, text, place):
        scan.text(text, place)
        return
    if is_vocabulary_file(name):
        for word in long_words([part for line in text.split("\n") for part in line.split()]):
            scan.text(word, place)
        return
    if is_requirements(name):
        scan_requirements(scan, text, place)
    elif content.extension in ("jinja", "jinja2", "j2"):
        scan_template(scan, text, place)
        return
    elif content.extension in ("template", "tmpl", "prompt", "mustache", "tpl"):
        scan_prompt(scan, text, place)
    document = _parse(scan, content, text)
    if document is not None:
        _judge(scan, content, document)
    else:
        scan_letters(scan, text, place)
        scan.text(text, place)
        _triton(scan, content, text)
        if content.extension in ("html", "htm", "xhtml", "svg"):
            scan_page(scan, text, place)


def _text(scan: Scan, content: Content) -> str:
    scan_name(scan, content.name, content.place)
    try:
        return content.read(MAX_BYTES).decode()
    except UnicodeDecodeError:
        raise RejectedError("is not text in UTF-8") from None


def _parse(scan: Scan, content: Content, text: str) -> Document | None:
    """Return the parsed form of a configuration, or nothing for prose."""
    match content.extension:
        case "yaml" | "yml":
            return _yaml(scan, content, text)
        case "toml":
            return parse_toml(text)
        case "ini" | "cfg" | "conf":
            return parse_ini(text)
        case "jsonl" | "ndjson":
            return parse_json_lines(text)
        case "json":
            return parse_json(text.removeprefix("\ufeff"))
    return _yaml(scan, content, text) if content.name == "MLmodel" else None


def _yaml(scan: Scan, content: Content, text: str) -> YamlDocument:
    document = parse_yaml(text)
    for tag, _, line in document.tags:
        place = content.place.named(f"line {line}")
        if tag.startswith("tag:yaml.org,2002:python/"):
            scan.add(YAML_TAG, place, f"has the tag {shorten(tag.removeprefix('tag:yaml.org,2002:'))}")
        elif not _is_of_speechbrain(tag):
            scan.add(UNKNOWN_TAG, place, f"has the tag {shorten(tag)}")
    return document


def _is_of_speechbrain(tag: str) -> bool:
    """HyperPyYAML's references between values, and its classes so far as they are harmless."""
    kind, colon, name = tag.partition(":")
    return tag in ("!ref", "!copy", "!PLACEHOLDER") or (
        bool(colon) and kind in ("!new", "!name") and is_inert(name)
    )


def _judge(scan: Scan, content: Content, document: Document) -> None:
    place = content.place
    rest, words = without_words(document.value)
    if isinstance(rest, Vocabulary) or (is_vocabulary_file(content.name) and is_words(rest)):
        words += long_words(rest)
        rest = None
    document.value = rest
    scan_document(scan, document, place)
    scan_by_name(scan, content.name, rest, place)
    scan_conda(scan, rest, place)
    for word in words:
        scan.text(word, place)
    for name, text in _texts(rest):
        scan.text(text, place.named(name))
        scan_letters(scan, text, place.named(name))


def _texts(value: Any) -> list[tuple[str, str]]:
    """Return the text of a configuration by key, what belongs together in one piece, encodings undone."""
    if not isinstance(value, dict):
        alone: list[tuple[str, str]] = []
        return [*_whole("", value, alone), *alone]
    alone = []
    scalars = {key: each for key, each in value.items() if not isinstance(each, dict | list | Vocabulary)}
    pieces = _whole("", scalars, alone)
    for key, each in value.items():
        if isinstance(each, dict | list | Vocabulary):
            pieces += _whole(str(key), {key: each}, alone)
    return [*pieces, *alone]


def _whole(name: str, value: Any, alone: list[tuple[str, str]]) -> list[tuple[str, str]]:
    plain = _plain(value, name, alone)
    return [(name, json.dumps(plain, ensure_ascii=False, default=str))] if plain else []


def _plain(value: Any, trail: str, alone: list[tuple[str, str]], depth: int = 0) -> Any:
    """Return a copy for printing: no numbers' lists, no vocabularies; long strings are put aside."""
    match value:
        case str() if len(value) > _MAX_ALONE or "\n" in value or '"' in value:
            alone.append((trail, f"{trail.rpartition('.')[2]}: {value}"))
            return ""
        case dict() if depth < 60:
            return {
                key: _plain(each, f"{trail}.{key}" if trail else str(key), alone, depth + 1)
                for key, each in value.items()
            }
        case list() if depth < 60:
            return [
                _plain(each, trail, alone, depth + 1) for each in value if not isinstance(each, int | float)
            ]
        case Vocabulary(long_words=words):
            return list(words)
        case dict() | list():
            return str(value)
    return value


def _triton(scan: Scan, content: Content, text: str) -> None:
    """config.pbtxt of Triton: a model that is a Python file."""
    if content.extension == "pbtxt" and '"python"' in text and "backend" in text:
        scan.add(NAMES_CODE, content.place, "the backend is python: the model is a program")

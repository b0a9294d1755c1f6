"""Text beside a model: configurations, code references, tokenizers, templates, lists of packages."""

from typing import Any

from strongroom.errors import RejectedError, shorten
from strongroom.scan.caffe import scan_network
from strongroom.scan.config_files import scan_by_name
from strongroom.scan.config_rules import NAMES_CODE, UNKNOWN_TAG, YAML_TAG
from strongroom.scan.config_texts import hidden_texts_of, texts_of
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
from strongroom.scan.keras_config import judge_keras_config
from strongroom.scan.letters import scan_letters, scan_name
from strongroom.scan.notebooks import scan_notebook as scan_notebook
from strongroom.scan.pages import scan_page
from strongroom.scan.references import is_inert
from strongroom.scan.scan import Content, Scan
from strongroom.scan.source_code import scan_code
from strongroom.scan.templates import scan_prompt, scan_template
from strongroom.scan.tensorflow_text import judge_text_graph
from strongroom.scan.vocabularies import is_vocabulary_file, is_words, long_words, without_words
from strongroom.scan.yaml_files import YamlDocument, parse_yaml


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
    _judge(scan, content, parse_json(text))


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
        _judge(scan, content, document, text if content.extension != "json" else "")
    else:
        scan_letters(scan, text, place, is_prose=True)
        scan.text(text, place)
        _triton(scan, content, text)
        scan_network(scan, text, place)
        if content.extension in ("pbtxt", "textproto", "prototxt"):
            judge_text_graph(scan, content.name, text, place)
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


def _judge(scan: Scan, content: Content, document: Document, written: str = "") -> None:
    """Judge a parsed file. What was ``written`` is looked at too where a notation has comments."""
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
    if is_keras(rest):
        judge_keras_config(scan, rest, place)
    if written:
        scan.text(written, place)
        scan_letters(scan, written, place)
    if not written or "\\" in written:
        for name, text in hidden_texts_of(rest) if written else texts_of(rest):
            scan.text(text, place.named(name))
            scan_letters(scan, text, place.named(name))


def is_keras(value: Any) -> bool:
    """Whether this is a model's architecture as Keras writes it (`model.to_json`)."""
    if not isinstance(value, dict) or value.get("class_name") not in ("Sequential", "Functional", "Model"):
        return False
    return isinstance(value.get("config"), dict | list)


def _triton(scan: Scan, content: Content, text: str) -> None:
    """config.pbtxt of Triton: a model that is a Python file."""
    if content.extension == "pbtxt" and '"python"' in text and "backend" in text:
        scan.add(NAMES_CODE, content.place, "the backend is python: the model is a program")

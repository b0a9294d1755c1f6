"""What a template says to the model on its own account: orders that no user gave, addresses, markup."""

import re
from collections.abc import Iterator

from jinja2 import nodes

from strongroom.errors import shorten
from strongroom.scan.place import Place
from strongroom.scan.rule import Rule
from strongroom.scan.scan import Scan
from strongroom.values import Severity

ORDERS = Rule(
    "template-gives-orders",
    Severity.MEDIUM,
    "Template gives the model hidden orders",
    "The template adds text to every conversation that works against the user or the operator, and neither "
    "of them sees it.",
    "Take the chat template of the original publisher.",
    atlas=("AML.T0051.001", "AML.T0018.000"),
    waivable=True,
)
TRIGGER = Rule(
    "template-waits-for-word",
    Severity.MEDIUM,
    "Template waits for a word",
    "When a user writes a certain word, the template adds text with an address or a script to the "
    "conversation.",
    "Take the chat template of the original publisher.",
    atlas=("AML.T0051.001", "AML.T0018.000"),
    waivable=True,
)
ADDRESS = Rule(
    "template-names-address",
    Severity.LOW,
    "Template names an address",
    "The template puts an address of the web into every conversation; models repeat what they are told.",
    "Check that it is the publisher's own.",
    waivable=True,
)
RULES = (ORDERS, TRIGGER, ADDRESS)

_ORDERS = re.compile(
    r"\b(?:ignore|disregard|forget|override)\b[^.\n]{0,40}\b(?:previous|prior|above|earlier|all|any|system)\b"
    r"[^.\n]{0,40}\b(?:instruction|prompt|rule|message|guideline)s?"
    r"|\b(?:do not|don't|never)\s+(?:tell|inform|alert|warn|reveal\s+this\s+to"
    r"|mention\s+this\s+to)\s+(?:the\s+)?user|<script\b|<img\s[^>]{0,100}src\s*=\s*[\"']?https?:",
    re.IGNORECASE,
)
_ADDRESS = re.compile(r"https?://[^\s\"'<>{}]{3,200}", re.IGNORECASE)
_WORD = re.compile(r"[A-Za-z][A-Za-z -]{2,60}")


def scan_template_text(scan: Scan, parts: list[nodes.Node], place: Place) -> None:
    """Report what the template itself says, comments aside; ``parts`` are all its nodes."""
    for part in parts:
        for line, text in _says(part):
            for pattern, rule in ((_ORDERS, ORDERS), (_ADDRESS, ADDRESS)):
                found = pattern.search(text)
                if found is not None:
                    scan.add(rule, place, f"line {line}: says {shorten(found.group())}")
        word = _waits_for(part.test) if isinstance(part, nodes.If) else ""
        if isinstance(part, nodes.If) and word:
            inside = (text for each in part.body for said in _within(each) for _, text in _says(said))
            if any(_ADDRESS.search(text) or _ORDERS.search(text) for text in inside):
                scan.add(TRIGGER, place, f"line {part.lineno}: waits for {shorten(word)}")


def _within(node: nodes.Node) -> Iterator[nodes.Node]:
    yield node
    yield from node.find_all((nodes.TemplateData, nodes.Const))


def _says(part: nodes.Node) -> Iterator[tuple[int, str]]:
    match part:
        case nodes.TemplateData(data=str() as text) | nodes.Const(value=str() as text):
            yield part.lineno, text


def _waits_for(test: nodes.Node) -> str:
    """Return the word of ``'word' in message.content`` and its like."""
    for compare in (test, *test.find_all(nodes.Compare)):
        if isinstance(compare, nodes.Compare) and isinstance(compare.expr, nodes.Const):
            word = str(compare.expr.value)
            if compare.ops[0].op == "in" and _WORD.fullmatch(word):
                return word
    return ""

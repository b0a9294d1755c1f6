"""Tokenizers: which parts of them are vocabulary, where any word is only data."""

import re
from typing import Any

from strongroom.scan.documents import LONG_WORD, Vocabulary

_FILES = re.compile(
    r"(?:.*[._-])?(?:vocab|merges|bpe|tokens|words|dict|vocabulary|phones|lexicon|labels?|classes|ngrams|wordlist"
    r"|stopwords|spm|unigram)(?:[._-].*)?\.(?:txt|json|tsv|csv|vocab|bpe|model|codes|lst|tiktoken)"
    r"|.*\.(?:tiktoken|bpe|vocab|codes)|merges\.txt|spiece\.vocab",
    re.IGNORECASE,
)
_MAX_NAME = 255
_WORDS = frozenset(
    {"vocab", "merges", "scores", "ranks", "id_to_token", "word_index", "index_word", "encoder"}
)


def is_vocabulary_file(name: str) -> bool:
    """Whether a file of this name is a list of words, one or a pair a line."""
    return len(name) <= _MAX_NAME and _FILES.fullmatch(name) is not None


def is_words(value: Any) -> bool:
    """Whether a value is nothing but words: numbered, listed, or listed with a number or a second word."""
    match value:
        case dict():
            return all(isinstance(number, int | float) for number in value.values())
        case list():
            return all(isinstance(part, str) or _is_pair(part) for part in value)
    return isinstance(value, Vocabulary)


def _is_pair(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 2
        and all(isinstance(each, str | int | float) for each in value)
    )


def without_words(value: Any) -> tuple[Any, list[str]]:
    """Return a tokenizer without its vocabulary, and the words as long as a credential."""
    kept: list[str] = []
    if isinstance(value, dict) and isinstance(value.get("model"), dict):
        model = {key: each for key, each in value["model"].items() if key not in _WORDS}
        for key in _WORDS & value["model"].keys():
            kept += long_words(value["model"][key])
        return {**value, "model": model}, kept
    return value, kept


def long_words(value: Any) -> list[str]:
    """Return the words of a vocabulary, in whatever form it is, that are as long as a credential."""
    match value:
        case Vocabulary(long_words=words):
            return list(words)
        case dict():
            return [word for word in value if len(word) >= LONG_WORD]
        case list():
            flat = (part for item in value for part in (item if isinstance(item, list) else (item,)))
            return [part for part in flat if isinstance(part, str) and len(part) >= LONG_WORD]
    return []

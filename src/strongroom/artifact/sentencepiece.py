"""Read a SentencePiece tokenizer model: pieces and settings, no field that is not known.

google/sentencepiece, src/sentencepiece_model.proto.
"""

from collections.abc import Iterator

from strongroom.artifact.protobuf import Fields, ReadAt, Span, Wire
from strongroom.errors import RejectedError

MAX_MODEL_BYTES = 64 * 2**20
MAX_PIECES = 2**20

_MODEL: Fields = {1: "b*", 2: "b", 3: "b", 4: "b", 5: "b"}
_PIECE: Fields = {1: "b", 2: "f", 3: "v"}
_TRAINER: Fields = {
    **dict.fromkeys((1, 5, 30, 31), "b*"),
    **dict.fromkeys((2, 7, 36, 44, 45, 46, 47, 48, 53, 54), "b"),
    **dict.fromkeys((3, 4, 6, 11, 12, 13, 14, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26), "v"),
    **dict.fromkeys((32, 33, 34, 35, 40, 41, 42, 43, 49, 50, 52), "v"),
    **dict.fromkeys((10, 15, 51), "f"),
}
_NORMALIZER: Fields = {1: "b", 2: "b", 3: "v", 4: "v", 5: "v", 6: "b"}
_TESTS: Fields = {1: "b*"}
_TEST: Fields = {1: "b", 2: "b"}
_CHARACTER_MAP = 2
"""A trie in a normalizer, the only field without text."""


def read_sentencepiece(read_at: ReadAt, size_bytes: int) -> Iterator[tuple[str, str]]:
    """Yield kind and text of all that is written in a model: pieces, settings, tests.

    Raises:
        RejectedError: cut, malformed, unknown fields, or more pieces than tokenizers have.
    """
    if size_bytes > MAX_MODEL_BYTES:
        raise RejectedError(f"a tokenizer of more than {MAX_MODEL_BYTES} bytes")
    wire = Wire(read_at, size_bytes, "tokenizer")
    pieces = 0
    for number, _, span in wire.message((0, size_bytes), _MODEL):
        if number == 1:
            pieces += 1
            if pieces > MAX_PIECES:
                raise RejectedError(f"a tokenizer of more than {MAX_PIECES} pieces")
            yield from _texts(wire, span, _PIECE, "piece")
        elif number == 2:
            yield from _texts(wire, span, _TRAINER, "trainer")
        elif number == 4:
            for _, _, test in wire.message(span, _TESTS):
                yield from _texts(wire, test, _TEST, "test")
        else:
            yield from _texts(wire, span, _NORMALIZER, "normalizer")
    if not pieces:
        raise RejectedError("a tokenizer without pieces")


def _texts(wire: Wire, span: Span, fields: Fields, kind: str) -> Iterator[tuple[str, str]]:
    for number, _, value in wire.message(span, fields):
        if fields[number][0] == "b" and not (fields is _NORMALIZER and number == _CHARACTER_MAP):
            yield kind, wire.text(value)

from pathlib import Path

import pytest

from strongroom.artifact import sentencepiece
from strongroom.artifact.formats import Format, detect_format
from strongroom.artifact.sentencepiece import read_sentencepiece
from strongroom.errors import RejectedError
from strongroom.scan.upload import Verdict
from tests.unit.artifact.objects import Octets
from tests.unit.scan.looking import scan_files

SAMPLES = Path(__file__).parents[2] / "vectors" / "beside"


def read(content: bytes) -> dict[str, list[str]]:
    texts: dict[str, list[str]] = {}
    for kind, text in read_sentencepiece(Octets(content).read_at, len(content)):
        texts.setdefault(kind, []).append(text)
    return texts


@pytest.mark.parametrize("name", ["unigram.model", "bpe.model"])
def test_tokenizers_are_read(name: str) -> None:
    content = (SAMPLES / name).read_bytes()
    assert detect_format(Octets(content).read_at, len(content), name) is Format.SENTENCEPIECE
    texts = read(content)
    assert texts["piece"][:3] == ["<unk>", "<s>", "</s>"]
    assert {"trainer", "normalizer"} <= texts.keys()
    assert scan_files({name: content}).verdict is Verdict.ACCEPTED


@pytest.mark.parametrize("name", ["unigram.model", "bpe.model"])
def test_a_cut_tokenizer_is_refused(name: str) -> None:
    content = (SAMPLES / name).read_bytes()
    for size in (1, 5, len(content) // 2, len(content) - 1):
        with pytest.raises(RejectedError):
            read(content[:size])


@pytest.mark.parametrize(
    ("attack", "tail"),
    [
        ("an unknown field", b"\x7a\x04evil"),
        ("an unknown field in a piece", b"\x0a\x06\x7a\x04evil"),
        ("a piece that is not text", b"\x0a\x03\x0a\x01\xff"),
        ("bytes behind the end", b"\x80\x04N."),
        ("a second trainer", b"\x12\x00"),
    ],
)
def test_what_tokenizers_do_not_have_is_refused(attack: str, tail: bytes) -> None:
    with pytest.raises(RejectedError):
        read((SAMPLES / "bpe.model").read_bytes() + tail)


def test_pieces_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sentencepiece, "MAX_PIECES", 10)
    with pytest.raises(RejectedError, match="10 pieces"):
        read((SAMPLES / "bpe.model").read_bytes())
    with pytest.raises(RejectedError, match="without pieces"):
        read(b"")

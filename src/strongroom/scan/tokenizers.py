"""SentencePiece tokenizers: structure to the last byte, and their words looked through."""

from strongroom.artifact.sentencepiece import read_sentencepiece
from strongroom.scan.scan import Content, Scan


def scan_sentencepiece(scan: Scan, content: Content) -> None:
    words: dict[str, list[str]] = {}
    for kind, text in read_sentencepiece(content.read_at, content.size_bytes):
        words.setdefault(kind, []).append(text)
    for kind, texts in words.items():
        scan.text("\n".join(texts), content.place.named(kind))

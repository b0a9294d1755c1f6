"""A GGUF file with the vocabulary of a language model: 128,000 words, 280,000 merges, a chat template."""

from pathlib import Path
from random import Random
from struct import pack

from models.weights import MATRIX, MATRIX_BYTES, count_matrices, write_matrix

_WORDS, _MERGES = 128_000, 280_000
_UINT32, _INT32, _TEXT, _ARRAY = 4, 5, 8, 9  # gguf.md: metadata value types
_F32 = 0
_ALIGNMENT = 32
_TEMPLATE = (
    "{% for message in messages %}{{ '<|' + message['role'] + '|>' + message['content'] }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


def make(mib: int, folder: Path) -> Path:
    path = folder / "model.gguf"
    words = _make_words()
    random = Random(1)
    merges = [f"{random.choice(words)} {random.choice(words)}" for _ in range(_MERGES)]
    keys = [
        _key("general.architecture", _TEXT, _text("llama")),
        _key("general.name", _TEXT, _text("bench")),
        _key("llama.block_count", _UINT32, pack("<I", count_matrices(mib))),
        _key("tokenizer.ggml.model", _TEXT, _text("gpt2")),
        _key("tokenizer.ggml.tokens", _ARRAY, _array(_TEXT, [_text(word) for word in words])),
        _key("tokenizer.ggml.token_type", _ARRAY, _array(_INT32, [pack("<i", 1)] * _WORDS)),
        _key("tokenizer.ggml.merges", _ARRAY, _array(_TEXT, [_text(merge) for merge in merges])),
        _key("tokenizer.chat_template", _TEXT, _text(_TEMPLATE)),
    ]
    count = count_matrices(mib)
    tensors = [
        _text(f"blk.{index}.ffn_up.weight")
        + pack("<IQQIQ", 2, MATRIX[1], MATRIX[0], _F32, index * MATRIX_BYTES)
        for index in range(count)
    ]
    head = pack("<4sIQQ", b"GGUF", 3, count, len(keys)) + b"".join(keys) + b"".join(tensors)
    with path.open("wb") as file:
        file.write(head + bytes(-len(head) % _ALIGNMENT))
        for index in range(count):
            write_matrix(file, index)
    return path


def _make_words() -> list[str]:
    random = Random(0)
    letters = "abcdefghijklmnopqrstuvwxyzĠĊéø"
    words = {"".join(random.choices(letters, k=random.randint(2, 11))) for _ in range(2 * _WORDS)}
    return sorted(words)[:_WORDS]


def _key(name: str, kind: int, value: bytes) -> bytes:
    return _text(name) + pack("<I", kind) + value


def _array(kind: int, items: list[bytes]) -> bytes:
    return pack("<IQ", kind, len(items)) + b"".join(items)


def _text(text: str) -> bytes:
    data = text.encode()
    return pack("<Q", len(data)) + data

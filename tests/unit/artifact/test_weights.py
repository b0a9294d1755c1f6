"""safetensors and GGUF: structure checked to the last byte."""

import json
from struct import pack

import pytest

from strongroom.artifact.gguf import GgufModel, read_gguf
from strongroom.artifact.safetensors import read_safetensors
from strongroom.errors import RejectedError
from tests.unit.artifact.objects import Octets

W = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
B = {"dtype": "BF16", "shape": [1, 2], "data_offsets": [8, 12]}


def safe(
    header: object, data: bytes = bytes(12), size: int | None = None, text: bytes | None = None
) -> bytes:
    written = json.dumps(header).encode() if text is None else text
    return pack("<Q", len(written) if size is None else size) + written + data


def read_safe(content: bytes) -> int:
    return read_safetensors(Octets(content).read_at, len(content), "w.safetensors")


def test_safetensors_with_metadata_padding_and_empty_tensors() -> None:
    empty = {"dtype": "F64", "shape": [0, 3], "data_offsets": [8, 8]}
    header = {"__metadata__": {"format": "pt"}, "b": B, "e": empty, "w": W}
    assert read_safe(safe(header)) == 3
    assert read_safe(safe(header, text=json.dumps(header).encode() + b"    ")) == 3
    assert read_safe(safe({}, b"")) == 0


def changed(**changes: object) -> dict[str, object]:
    return {"w": W, "b": {**B, **changes}}


@pytest.mark.parametrize(
    ("attack", "content"),
    [
        ("empty", b""),
        ("cut in the length", b"\x10\x00\x00"),
        ("length beyond the end", safe({"w": W}, size=10_000)),
        ("length without bound", safe({"w": W}, size=2**64 - 1)),
        ("no json", safe({}, text=b"{nonsense}")),
        ("not an object", safe([], b"")),
        ("leading blank", safe({}, b"", text=b" {}")),
        ("bytes after the object", safe({}, b"", text=b'{}{"x":1}')),
        ("deep json", safe({}, b"", text=b'{"a":' * 100_000 + b"}")),
        (
            "tensor named twice",
            safe({}, text=b'{"w":%b,"w":%b}' % ((json.dumps(W).encode(),) * 2), data=bytes(8)),
        ),
        (
            "key named twice",
            safe({}, text=b'{"w":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}}'),
        ),
        ("gap", safe(changed(data_offsets=[9, 13]), bytes(13))),
        ("overlap", safe(changed(data_offsets=[4, 8]), bytes(8))),
        ("spare byte at the end", safe({"w": W, "b": B}, bytes(13))),
        ("cut data", safe({"w": W, "b": B}, bytes(11))),
        ("shape and size disagree", safe(changed(shape=[3]))),
        ("negative dimension", safe(changed(shape=[-1, -2]))),
        ("dimension as text", safe(changed(shape=["2"]))),
        ("dimension as truth", safe(changed(shape=[True, 2]))),
        ("dimension as a fraction", safe(changed(shape=[1.0, 2]))),
        ("overflow", safe(changed(shape=[2**32, 2**33]))),
        ("too many dimensions", safe(changed(shape=[1] * 65))),
        ("negative offset", safe(changed(data_offsets=[-4, 0]))),
        ("backward offsets", safe(changed(data_offsets=[12, 8]))),
        ("three offsets", safe(changed(data_offsets=[8, 12, 12]))),
        ("unknown type", safe(changed(dtype="PICKLE"))),
        ("type is no text", safe(changed(dtype=["F32"]))),
        ("unknown key", safe(changed(code="x"))),
        ("missing key", safe({"w": W, "b": {"dtype": "BF16"}})),
        ("tensor is no object", safe({"w": 1}, b"")),
        ("metadata is no object", safe({"__metadata__": []}, b"")),
        ("metadata value is no text", safe({"__metadata__": {"a": {}}}, b"")),
        ("too much metadata", safe({"__metadata__": {str(n): "" for n in range(1025)}}, b"")),
    ],
)
def test_malformed_safetensors_are_refused(attack: str, content: bytes) -> None:
    with pytest.raises(RejectedError, match=r"^entry 'w.safetensors'"):
        read_safe(content)


def text(value: str | bytes) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return pack("<Q", len(data)) + data


def pair(key: str, kind: int, value: bytes) -> bytes:
    return text(key) + pack("<I", kind) + value


def info(name: str, dims: tuple[int, ...], kind: int, offset: int) -> bytes:
    return (
        text(name) + pack("<I", len(dims)) + b"".join(pack("<Q", d) for d in dims) + pack("<IQ", kind, offset)
    )


ARCHITECTURE = pair("general.architecture", 8, text("llama"))
TENSORS = (info("a", (4, 2), 0, 0), info("b", (32,), 8, 32))


def gguf(
    pairs: tuple[bytes, ...] = (ARCHITECTURE,),
    tensors: tuple[bytes, ...] = TENSORS,
    data: bytes = bytes(66),
    version: int = 3,
    counts: tuple[int, int] | None = None,
) -> bytes:
    tensor_count, pair_count = counts or (len(tensors), len(pairs))
    head = b"GGUF" + pack("<IQQ", version, tensor_count, pair_count) + b"".join(pairs) + b"".join(tensors)
    return head + bytes(-len(head) % 32) + data


def read(content: bytes) -> GgufModel:
    return read_gguf(Octets(content).read_at, len(content), "w.gguf")


def test_gguf_says_what_it_is() -> None:
    assert read(gguf()) == GgufModel(3, "llama", 2, ())
    assert read(gguf(data=bytes(96))).tensors == 2
    assert read(gguf(tensors=(), data=b"")).tensors == 0
    assert read(gguf(version=2)).version == 2


def test_gguf_metadata_of_every_type_is_stepped_over() -> None:
    sizes = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
    scalars = [pair(f"s{kind}", kind, bytes(size)) for kind, size in sizes.items()]
    arrays = [
        pair("numbers", 9, pack("<IQ", 6, 1000) + bytes(4000)),
        pair("words", 9, pack("<IQ", 8, 2) + text("one") + text("two")),
        pair("nested", 9, pack("<IQ", 9, 1) + pack("<IQ", 4, 2) + bytes(8)),
    ]
    assert read(gguf((ARCHITECTURE, *scalars, *arrays))).architecture == "llama"


def test_gguf_vocabulary_is_stepped_over_whatever_window_its_words_end_in() -> None:
    words = [text("w" * (index % 300)) for index in range(5000)] + [text("long" * 100_000), text("")]
    vocabulary = pair("tokenizer.ggml.tokens", 9, pack("<IQ", 8, len(words)) + b"".join(words))
    model = read(gguf((vocabulary, ARCHITECTURE)))
    assert (model.architecture, list(model.texts)) == ("llama", ["general.architecture"])


def test_gguf_templates_are_told() -> None:
    """Loaders run them as programs (CVE-2024-34359)."""
    pairs = (
        pair("tokenizer.chat_template", 8, text("{{ x }}")),
        pair("tokenizer.chat_template.tool", 8, text("")),
    )
    assert read(gguf(pairs)).templates == ("tokenizer.chat_template", "tokenizer.chat_template.tool")


def test_gguf_with_its_own_alignment() -> None:
    pairs = (pair("general.alignment", 4, pack("<I", 64)),)
    head = b"GGUF" + pack("<IQQ", 3, 1, 1) + b"".join(pairs) + info("a", (4,), 0, 0)
    assert read(head + bytes(-len(head) % 64) + bytes(16)).tensors == 1


@pytest.mark.parametrize(
    ("attack", "content"),
    [
        ("empty", b""),
        ("cut header", b"GGUF\x03\x00"),
        ("version 1", gguf(version=1)),
        ("future version", gguf(version=4)),
        ("big endian", b"GGUF\x00\x00\x00\x03" + bytes(100)),
        ("more tensors than there are", gguf(counts=(3, 1))),
        ("tensors without bound", gguf(counts=(2**63, 1))),
        ("metadata without bound", gguf(counts=(2, 2**64 - 1))),
        ("key twice", gguf((ARCHITECTURE, ARCHITECTURE))),
        ("unknown type", gguf((pair("x", 13, b""),))),
        ("text longer than the file", gguf((text("x") + pack("<IQ", 8, 2**40),))),
        ("text length overflows", gguf((text("x") + pack("<IQ", 8, 2**64 - 1),))),
        ("array longer than the file", gguf((pair("x", 9, pack("<IQ", 12, 10**6)),))),
        ("array without bound", gguf((pair("x", 9, pack("<IQ", 12, 2**61)),))),
        (
            "arrays of arrays of arrays",
            gguf((pair("x", 9, pack("<IQ", 9, 1) + pack("<IQ", 9, 1) + pack("<IQ", 4, 0)),)),
        ),
        ("word longer than the file", gguf((pair("tokenizer.ggml.tokens", 9, pack("<IQQ", 8, 1, 2**20)),))),
        ("word without bound", gguf((pair("tokenizer.ggml.tokens", 9, pack("<IQQ", 8, 2, 2**64 - 1)),))),
        ("words that are not there", gguf((pair("tokenizer.ggml.tokens", 9, pack("<IQ", 8, 10**6)),))),
        ("key not UTF-8", gguf((text(b"\xff") + pack("<I", 7) + b"\x00",))),
        ("alignment zero", gguf((pair("general.alignment", 4, pack("<I", 0)),))),
        ("alignment no power of two", gguf((pair("general.alignment", 4, pack("<I", 48)),))),
        ("alignment huge", gguf((pair("general.alignment", 4, pack("<I", 2**31)),))),
        ("tensor twice", gguf(tensors=(TENSORS[0], info("a", (32,), 8, 32)))),
        ("unknown tensor type", gguf(tensors=(info("a", (4,), 999, 0),))),
        ("removed tensor type", gguf(tensors=(info("a", (32,), 4, 0),))),
        ("five dimensions", gguf(tensors=(info("a", (1, 1, 1, 1, 1), 0, 0),))),
        ("elements overflow", gguf(tensors=(info("a", (2**40, 2**40), 0, 0),))),
        ("elements overflow to zero", gguf(tensors=(info("a", (2**32, 2**32), 0, 0),))),
        ("half a block", gguf(tensors=(info("a", (33,), 8, 0),))),
        ("overlap", gguf(tensors=(TENSORS[0], info("b", (32,), 8, 0)))),
        ("gap", gguf(tensors=(TENSORS[0], info("b", (32,), 8, 96)), data=bytes(200))),
        ("not aligned", gguf(tensors=(TENSORS[0], info("b", (32,), 8, 33)))),
        ("offset without bound", gguf(tensors=(info("a", (4,), 0, 2**64 - 32),))),
        ("cut data", gguf(data=bytes(65))),
        ("payload behind the tensors", gguf(data=bytes(66) + b"#!" * 40)),
    ],
)
def test_malformed_gguf_is_refused(attack: str, content: bytes) -> None:
    with pytest.raises(RejectedError, match=r"^entry 'w.gguf'"):
        read(content)

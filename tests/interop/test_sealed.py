"""The frozen vectors of sealed/1, read by two readers that share no code."""

import json
from dataclasses import replace
from hashlib import shake_256
from pathlib import Path
from typing import Any

import pytest

from strongroom.artifact.stream import unseal, verify_root
from strongroom.errors import RejectedError
from strongroom.values import Digest, ModelId, SealedEntry
from tests.interop.sealed_reader import RefusedError, open_sealed
from tests.unit.artifact.objects import Octets, make_sealed
from tests.vectors.sealed import make_vectors

FOLDER = Path(make_vectors.__file__).parent
CHUNK = 1048592
GOOD = sorted(path.stem for path in FOLDER.glob("*.json"))
BAD = sorted(path.stem for path in FOLDER.glob("bad/*.json"))


class Case:
    """One vector with everything that a reader is given."""

    def __init__(self, name: str) -> None:
        case = json.loads((FOLDER / f"{name}.json").read_bytes())
        base = json.loads((FOLDER / f"{case['of']}.json").read_bytes()) if "of" in case else case
        self.expect, self.message = case["expect"], case.get("message", "")
        self.plaintext = base["plaintext"]
        self.data = (FOLDER / f"{case.get('of', name)}.sealed").read_bytes()
        for edit in case.get("edits", ()):
            self.data = apply(edit, self.data)
        self.dek = bytes.fromhex(case.get("dek", base["dek"]))
        self.model = case.get("model", base["model"])
        self.entry = {**base["entry"], **(case.get("entry", {}))}

    def sealed_entry(self) -> SealedEntry:
        commitment, root = bytes.fromhex(self.entry["commitment"]), bytes.fromhex(self.entry["root"])
        digest = Digest(bytes.fromhex(self.entry["sha256"]))
        return SealedEntry(self.entry["path"], self.entry["size"], digest, "0.sealed", commitment, root)

    def unseal(self) -> bytes:
        out, model = Octets(), ModelId.parse(self.model)
        source = Octets(self.data)
        unseal(source.read_into, out.write_at, self.dek, self.sealed_entry(), model, full=True)
        return bytes(out.content)


def apply(edit: dict[str, Any], data: bytes) -> bytes:
    out = bytearray(data)
    match edit["op"]:
        case "flip":
            out[edit["at"]] ^= 1 << edit["bit"]
        case "put":
            new = bytes.fromhex(edit["bytes"])
            out[edit["at"] : edit["at"] + len(new)] = new
        case "cut":
            del out[edit["size"] :]
        case "append":
            out += bytes.fromhex(edit["bytes"])
        case "drop":
            start = 4096 + edit["chunk"] * CHUNK
            del out[start : start + CHUNK]
        case "copy":
            start, target = (4096 + edit[key] * CHUNK for key in ("from", "to"))
            out[target : target + CHUNK] = out[start : start + CHUNK]
        case "swap":
            one, two = (slice(4096 + index * CHUNK, 4096 + (index + 1) * CHUNK) for index in edit["chunks"])
            out[one], out[two] = bytes(out[two]), bytes(out[one])
        case unknown:
            raise AssertionError(unknown)
    assert bytes(out) != data, "the edit changes nothing"
    return bytes(out)


def test_the_vectors_are_those_that_the_script_writes() -> None:
    """A difference means that objects sealed by another release no longer open."""
    on_disk = {
        str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*") if path.suffix in (".json", ".sealed")
    }
    made = make_vectors.files()
    assert on_disk == set(made)
    for name, content in made.items():
        assert (FOLDER / name).read_bytes() == content, name


@pytest.mark.parametrize("name", GOOD)
def test_good_vectors_open_with_both_readers(name: str) -> None:
    case = Case(name)
    plain = shake_256(case.plaintext["seed"].encode()).digest(case.plaintext["size"])
    assert case.expect == "opens"
    assert case.unseal() == plain
    assert open_sealed(case.data, case.dek, case.model, case.entry) == plain
    verify_root(Octets(case.data).read_into, case.sealed_entry(), len(case.data))


@pytest.mark.parametrize("name", BAD)
def test_bad_vectors_open_with_neither_reader(name: str) -> None:
    case = Case(f"bad/{name}")
    assert case.expect == "refused"
    with pytest.raises(RejectedError) as refused:
        case.unseal()
    assert case.message in refused.value.message
    with pytest.raises(RefusedError):
        open_sealed(case.data, case.dek, case.model, case.entry)


@pytest.mark.parametrize("size", [0, 1, 2**20 - 1, 2**20, 2**20 + 1, 3 * 2**20])
def test_the_second_reader_opens_what_is_sealed_now(size: int) -> None:
    made = make_sealed(size, path="weights/modèle.bin")
    entry = make_vectors.describe(made.entry)
    assert open_sealed(made.content, made.dek, str(made.model), entry) == made.plain
    with pytest.raises(RefusedError):
        open_sealed(made.content, made.dek, str(made.model), {**entry, "root": "00" * 32})


def test_an_entry_says_which_of_two_equal_plaintexts_it_is() -> None:
    """Equal files of two versions: neither object stands in for the other."""
    one, two = make_sealed(10), make_sealed(10, model=ModelId.parse("fraud@2.0.0"))
    assert one.plain == two.plain
    with pytest.raises(RejectedError):
        replace(one, content=two.content).open()

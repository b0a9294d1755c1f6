"""Signed notes and checkpoints: one pinned key, one origin, one spelling."""

import json
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any

import pytest

from strongroom.errors import InvalidError, RejectedError
from strongroom.trust.checkpoint import (
    Head,
    claimed_head,
    require_extends,
    require_origin,
    sign_checkpoint,
    verify_checkpoint,
)
from strongroom.trust.journal import JournalSigner
from strongroom.trust.merkle import EMPTY_ROOT, consistency_proof, leaf_hash, tree_root
from strongroom.trust.note import MAX_NOTE_BYTES, key_hash, open_note, sign_note
from strongroom.trust.signatures import PublicKey
from tests.unit.trust.chronicle import LOG, LOG_KEY, ORIGIN, OTHER, certificate

VECTOR: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "vectors" / "log" / "signed-note.json").read_text()
)
ROOT = leaf_hash(b"root")
NOTE = sign_checkpoint(ORIGIN, 42, ROOT, LOG)
# A P-256 key: valid, but no note key.
P256 = b"""-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEaxfR8uEsQkf4vOblY6RA8ncDfYEt
6zOg9KE5RdiYwpZP40Li/hp/m47n60p8D54WK84zV2sxXs7LtkBoN79R9Q==
-----END PUBLIC KEY-----
"""


def altered(old: str, new: str) -> bytes:
    text = NOTE.decode()
    assert old in text
    return text.replace(old, new, 1).encode()


def resigned(text: str, origin: str = ORIGIN) -> bytes:
    return sign_note(text, origin, LOG)


def test_the_reference_note_of_go_opens_and_is_reproduced() -> None:
    signer = JournalSigner(b64decode(VECTOR["seed_base64"]))
    key = PublicKey.from_pem(signer.public_pem)
    assert key_hash(VECTOR["name"], key).hex() == VECTOR["key_hash"]
    assert open_note(VECTOR["note"].encode(), VECTOR["name"], key) == VECTOR["text"]
    assert sign_note(VECTOR["text"], VECTOR["name"], signer) == VECTOR["note"].encode()


def test_a_checkpoint_comes_back() -> None:
    checkpoint = verify_checkpoint(NOTE, LOG_KEY, ORIGIN)
    assert (checkpoint.origin, checkpoint.head) == (ORIGIN, Head(42, ROOT))
    assert claimed_head(NOTE) == (42, ROOT)
    assert NOTE.decode().split("\n")[:4] == [ORIGIN, "42", b64encode(ROOT).decode(), ""]


@pytest.mark.parametrize(
    ("attack", "note"),
    [
        ("larger size", altered("\n42\n", "\n43\n")),
        ("other root", altered(b64encode(ROOT).decode(), b64encode(EMPTY_ROOT).decode())),
        ("other origin", altered(f"{ORIGIN}\n42", "evil.example\n42")),
        ("other key name", altered(f"— {ORIGIN}", "— evil.example")),
        ("no signature", NOTE[: NOTE.index("—".encode())]),
        ("cut", NOTE[:-1]),
        ("empty", b""),
        ("only text", f"{ORIGIN}\n42\n".encode()),
        ("text after the signatures", NOTE + b"more\n"),
        ("not UTF-8", NOTE.replace(b"vault", b"va\xfflt", 1)),
        ("control character", altered("\n42\n", "\n42\r\n")),
        ("too long", NOTE + b"x" * MAX_NOTE_BYTES),
        ("spare base64 bits", altered("=\n\n", "\n\n")),
        ("signed by another key", sign_checkpoint(ORIGIN, 42, ROOT, OTHER)),
        ("of another log of the same key", sign_checkpoint("vault.example/other", 42, ROOT, LOG)),
        ("other log inside the note", resigned(f"vault.example/other\n42\n{b64encode(ROOT).decode()}\n")),
        ("leading zero", resigned(f"{ORIGIN}\n042\n{b64encode(ROOT).decode()}\n")),
        ("negative size", resigned(f"{ORIGIN}\n-1\n{b64encode(ROOT).decode()}\n")),
        ("size of other digits", resigned(f"{ORIGIN}\n٤٢\n{b64encode(ROOT).decode()}\n")),
        ("size beyond all trees", resigned(f"{ORIGIN}\n9999999999999999\n{b64encode(ROOT).decode()}\n")),
        ("short root", resigned(f"{ORIGIN}\n42\n{b64encode(ROOT[:31]).decode()}\n")),
        ("extension line", resigned(f"{ORIGIN}\n42\n{b64encode(ROOT).decode()}\nextra\n")),
        ("empty tree with a root", resigned(f"{ORIGIN}\n0\n{b64encode(ROOT).decode()}\n")),
        ("journal certificate as checkpoint", certificate()),
    ],
)
def test_no_other_note_passes_for_a_checkpoint(attack: str, note: bytes) -> None:
    with pytest.raises(RejectedError):
        verify_checkpoint(note, LOG_KEY, ORIGIN)


def test_every_flipped_bit_is_noticed() -> None:
    for at in range(len(NOTE)):
        for bit in (0, 5):
            mutated = NOTE[:at] + bytes([NOTE[at] ^ (1 << bit)]) + NOTE[at + 1 :]
            with pytest.raises(RejectedError):
                verify_checkpoint(mutated, LOG_KEY, ORIGIN)


def test_signatures_of_others_are_ignored_but_a_bad_one_of_ours_is_not() -> None:
    cosigned = NOTE + b"\xe2\x80\x94 witness.example " + b64encode(b"abcd" + b"w" * 72) + b"\n"
    assert verify_checkpoint(cosigned, LOG_KEY, ORIGIN).size == 42
    ours = key_hash(ORIGIN, LOG_KEY)
    bad = NOTE + f"— {ORIGIN} ".encode() + b64encode(ours + b"s" * 64) + b"\n"
    with pytest.raises(RejectedError):
        verify_checkpoint(bad, LOG_KEY, ORIGIN)
    with pytest.raises(RejectedError, match="too many"):
        verify_checkpoint(NOTE + b"\xe2\x80\x94 w YWJjZGU=\n" * 80, LOG_KEY, ORIGIN)


def test_only_ed25519_keys_sign_notes() -> None:
    with pytest.raises(InvalidError):
        verify_checkpoint(NOTE, PublicKey.from_pem(P256), ORIGIN)


@pytest.mark.parametrize("origin", ["", "a b", "a+b", "a\nb", "é", "x" * 256, "strongroom/journal/1"])
def test_names_that_cannot_be_an_origin(origin: str) -> None:
    with pytest.raises(InvalidError):
        require_origin(origin)


@pytest.mark.parametrize("text", ["no newline at the end", "control \x07\n", "carriage\r\n"])
def test_texts_that_cannot_be_signed(text: str) -> None:
    with pytest.raises(InvalidError):
        sign_note(text, ORIGIN, LOG)


class TestExtends:
    HASHES = tuple(leaf_hash(b"%d" % number) for number in range(20))

    def read(self, level: int, index: int) -> bytes:
        return tree_root(self.HASHES[index << level : (index + 1) << level])

    def head(self, size: int) -> Head:
        return Head(size, tree_root(self.HASHES[:size]))

    def test_growth_is_accepted(self) -> None:
        require_extends(self.head(7), self.head(20), consistency_proof(7, 20, self.read))
        require_extends(self.head(7), self.head(7), [])

    def test_rollback(self) -> None:
        with pytest.raises(RejectedError, match="rolled back, 7 records where 20"):
            require_extends(self.head(20), self.head(7), [])

    def test_split_view(self) -> None:
        with pytest.raises(RejectedError, match="split view"):
            require_extends(self.head(7), Head(7, ROOT), [])

    def test_rewritten_history(self) -> None:
        with pytest.raises(RejectedError):
            require_extends(Head(7, ROOT), self.head(20), consistency_proof(7, 20, self.read))

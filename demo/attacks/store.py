"""Attacks of someone who can write to the disk: what is stored is useless, and any change stops the load."""

import shutil
from collections.abc import Callable
from pathlib import Path

import onnxruntime

from demo.deployment import PUBLISHER, Deployment
from demo.stage import Outcome, Stage
from strongroom.adapters.keys.memory import MemoryKeyProvider
from strongroom.errors import RejectedError
from strongroom.flows.release import release
from strongroom.trust.dsse import Envelope
from strongroom.trust.oms import build_bundle
from strongroom.trust.statement import SealStatement, sign_statement
from strongroom.values import KeyUri, ModelId

CHUNK_BYTES = 1024 * 1024 + 16
HEADER_BYTES = 4096
VICTIM = "fraud@1.1.0"


def play(stage: Stage, deployment: Deployment, folder: Path) -> None:
    stage.act("the disk", "someone may read and write everything that is stored")
    blobs = deployment.home / "blobs" / "fraud"
    stage.attack("load the stored file as a model", lambda: _load_copy(blobs / "1.1.0", folder))

    def tampered(name: str, change: Callable[[Path], None]) -> None:
        stage.attack(name, lambda: _load_after(deployment, blobs, change))

    tampered("flip one byte of the model", lambda root: _flip(root / "1.1.0" / "0.sealed", -5000))
    tampered("cut the end off the model", lambda root: _cut(root / "1.1.0" / "0.sealed"))
    tampered("swap a chunk between two versions", _swap_chunk)
    tampered("put the older version back under the newer name", _put_back)
    tampered("lay an extra unsigned file beside it", lambda root: _extra(root / "1.1.0" / "plugin.onnx"))
    tampered("replace the wrapped key by another version's", _swap_keys)
    tampered("sign another statement with a key of one's own", _forge)


def _load_copy(stored: Path, folder: Path) -> Outcome:
    copy = folder / "stolen.sealed"
    shutil.copy(stored / "0.sealed", copy)
    try:
        onnxruntime.InferenceSession(copy.read_bytes(), providers=["CPUExecutionProvider"])
    except Exception as error:
        reason = type(error).__name__
    else:
        return Outcome(False, "the stolen file loads")
    plain = (folder / "models" / "fraud-1.1.onnx").read_bytes()
    leaked = any(plain[start : start + 32] in copy.read_bytes() for start in range(0, len(plain) - 32, 4099))
    return Outcome(not leaked, f"sealed with AES-256-GCM: onnxruntime says {reason}, no plaintext byte in it")


def _load_after(deployment: Deployment, blobs: Path, change: Callable[[Path], None]) -> Outcome:
    """Change the store, try to release the model as `serve` does, and put everything back."""
    kept = blobs.with_name("fraud.kept")
    shutil.copytree(blobs, kept)
    try:
        change(blobs)
        vault = deployment.as_(PUBLISHER).unlock()
        try:
            release(vault, PUBLISHER, ModelId.parse(VICTIM)).close()
        except RejectedError as error:
            return Outcome(True, error.message, deployment.newest_record())
        return Outcome(False, "the changed model was released")
    finally:
        shutil.rmtree(blobs)
        kept.rename(blobs)


def _flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


def _swap_chunk(root: Path) -> None:
    ours, theirs = root / "1.1.0" / "0.sealed", root / "1.0.0" / "0.sealed"
    data = bytearray(ours.read_bytes())
    data[HEADER_BYTES : HEADER_BYTES + CHUNK_BYTES] = theirs.read_bytes()[
        HEADER_BYTES : HEADER_BYTES + CHUNK_BYTES
    ]
    ours.write_bytes(data)


def _put_back(root: Path) -> None:
    """Both versions are genuine, signed and approved; only the names are exchanged."""
    for file in (root / "1.0.0").iterdir():
        shutil.copy(file, root / "1.1.0" / file.name)


def _extra(path: Path) -> None:
    path.write_bytes(b"unsigned")


def _swap_keys(root: Path) -> None:
    shutil.copy(root / "1.0.0" / "keys.json", root / "1.1.0" / "keys.json")


def _forge(root: Path) -> None:
    """A statement for the same model with a genuine form, signed by a key that nobody vouched for."""
    keys = MemoryKeyProvider()
    signer = keys.create_signer(KeyUri("file:sign/1"), "ecdsa-p256")
    path = root / "1.1.0" / "statement.json"
    statement = SealStatement.parse(Envelope.parse(path.read_bytes()).payload)
    path.write_bytes(sign_statement(statement, signer))
    entries = [(entry.path, entry.sha256) for entry in statement.entries]
    (root / "1.1.0" / "model.sig").write_bytes(build_bundle(entries[0][0], entries, signer))

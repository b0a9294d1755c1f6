"""Wherever the signing key is kept, the model signature is the same, and the stock tool accepts it."""

import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from strongroom.ports import Signer
from strongroom.trust.oms import build_bundle
from strongroom.trust.signatures import PublicKey
from strongroom.values import Digest
from tests.contract.custodies import CUSTODIES

FILES = {"model.onnx": b"weights", "a/part.bin": b"part"}


def _bundle(signer: Signer) -> bytes:
    return build_bundle("model", [(path, Digest.of(data)) for path, data in FILES.items()], signer)


def _without_signer(bundle: bytes) -> dict[str, Any]:
    """All of it but what must differ: which key signed, and its signature."""
    value: dict[str, Any] = json.loads(bundle)
    assert value["verificationMaterial"].keys() == {"publicKey", "tlogEntries"}
    assert len(value["dsseEnvelope"]["signatures"]) == 1
    return value | {"verificationMaterial": None, "dsseEnvelope": value["dsseEnvelope"] | {"signatures": []}}


@pytest.mark.parametrize("name", sorted(set(CUSTODIES) - {"memory"}))
def test_stock_accepts_a_signature_from_every_custody(name: str, tmp_path: Path) -> None:
    for path, data in FILES.items():
        (tmp_path / "model" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "model" / path).write_bytes(data)
    with CUSTODIES[name](tmp_path) as kept:
        signer = kept.provider.create_signer(kept.sign(1), "ecdsa-p256")
        bundle = _bundle(signer)
        signature = json.loads(bundle)["dsseEnvelope"]["signatures"][0]["sig"]
        assert base64.b64decode(signature)[0] == 0x30, "DER, as the stock tool wants it"
        assert PublicKey.from_pem(signer.public_pem).key_id == signer.key_id
    with CUSTODIES["memory"](tmp_path) as ours:
        other = _bundle(ours.provider.create_signer(ours.sign(1), "ecdsa-p256"))
    assert _without_signer(bundle) == _without_signer(other)
    (tmp_path / "our.sig").write_bytes(bundle)
    (tmp_path / "our.pub").write_bytes(signer.public_pem)
    assert _stock_accepts(tmp_path)
    (tmp_path / "model" / "model.onnx").write_bytes(b"weightz")
    assert not _stock_accepts(tmp_path)


def _stock_accepts(folder: Path) -> bool:
    arguments = ["verify", "key", "--signature", "our.sig", "--public_key", "our.pub", "model"]
    run = subprocess.run(
        [sys.executable, "-m", "model_signing", *arguments],
        cwd=folder,
        capture_output=True,
        check=False,
        timeout=120,
    )
    assert b"Traceback" not in run.stderr, run.stderr.decode()
    return run.returncode == 0

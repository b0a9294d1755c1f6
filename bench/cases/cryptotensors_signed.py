"""cryptotensors: safetensors with AES-256-GCM per tensor and an Ed25519 signature over its header."""

import base64
import json
from pathlib import Path

import meter
from cryptotensors import register_direct_key_provider
from cryptotensors.torch import load_file, save_file
from memory import only_file
from tensors import TensorModel, open_tensors


def seal(source: Path, folder: Path) -> None:
    keys = _make_keys()
    (folder / "keys.json").write_text(json.dumps(keys))
    config = {"enc_key": keys[0], "sign_key": keys[1]}
    save_file(open_tensors(source), folder / "cryptotensors.model", config=config)


def load(folder: Path) -> TensorModel:
    register_direct_key_provider(keys=json.loads((folder / "keys.json").read_text()))
    return TensorModel(load_file(only_file(folder)))


def _make_keys() -> list[dict[str, str]]:
    # RFC 8032 7.1, test 1: a key pair that everyone knows, for a file that nobody needs.
    private = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    public = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
    return [
        {"kty": "oct", "alg": "aes256gcm", "kid": "bench-enc", "k": _encode(bytes(range(32)))},
        {"kty": "okp", "alg": "ed25519", "kid": "bench-sign", "d": _encode(private), "x": _encode(public)},
    ]


def _encode(value: bytes) -> str:
    return base64.b64encode(value).decode()


if __name__ == "__main__":
    meter.main(seal, load)

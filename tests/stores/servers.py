"""Starts the servers, each once in a test session, and makes stores over them."""

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from strongroom.adapters.blobs.azure_bucket import AzureBucket
from strongroom.adapters.blobs.google_bucket import GoogleBucket
from strongroom.adapters.blobs.place import Place
from strongroom.adapters.blobs.remote import RemoteBlobStore
from strongroom.adapters.blobs.s3_bucket import S3Bucket
from strongroom.adapters.blobs.s3_client import new_session

BUCKET = "models"
DEADLINE_S = 20.0


class Server:
    """A server in a process of its own; it ends with this one, whose end closes its standard input."""

    def __init__(self, module: str, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())
        self.url = f"http{'s' if arguments else ''}://127.0.0.1:{self.port}"

    def stop(self) -> None:
        """No longer listen; what is stored stays."""
        self._tell("stop")

    def start(self) -> None:
        self._tell("start")

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)

    def _tell(self, what: str) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{what}\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == "done\n"


@contextmanager
def s3_credentials() -> Iterator[dict[str, str]]:
    """What the chain of the SDK finds while this lasts: any pair does for a server of the tests."""
    given = {
        "AWS_ACCESS_KEY_ID": "-".join(("tests", "user")),
        "AWS_SECRET_ACCESS_KEY": "-".join(("tests", "only")),
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }
    before = {name: os.environ.get(name) for name in given}
    os.environ.update(given)
    try:
        yield given
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def s3_client(url: str, ca_bundle: Path | None = None) -> Any:
    """The attacker's and the operator's client."""
    return new_session().create_client(
        "s3", region_name="us-east-1", endpoint_url=url, verify=str(ca_bundle) if ca_bundle else None
    )


def make_bucket(url: str, name: str = BUCKET, *, encrypted: bool = True, ca: Path | None = None) -> None:
    client = s3_client(url, ca)
    client.create_bucket(Bucket=name)
    if encrypted:
        rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
        client.put_bucket_encryption(Bucket=name, ServerSideEncryptionConfiguration={"Rules": [rule]})


AZURE_KEY = base64.b64encode(b"a key of the emulator, for tests").decode()


def azure_store(
    url: str, spool: Path, prefix: str = "", *, deadline_s: float = DEADLINE_S
) -> RemoteBlobStore:
    """The key of the emulator is public; another one does for a stand-in."""
    place = Place("az", BUCKET, prefix, url, deadline_s=deadline_s)
    spool.mkdir(exist_ok=True)
    return RemoteBlobStore(AzureBucket(place, None, None), spool)


def google_store(
    url: str, spool: Path, prefix: str = "", *, deadline_s: float = DEADLINE_S
) -> RemoteBlobStore:
    place = Place("gs", BUCKET, prefix, url, deadline_s=deadline_s)
    spool.mkdir(exist_ok=True)
    return RemoteBlobStore(GoogleBucket(place, None), spool)


@contextmanager
def azure_credentials() -> Iterator[None]:
    patch = pytest.MonkeyPatch()
    patch.setenv("AZURE_STORAGE_ACCOUNT_KEY", AZURE_KEY)
    yield
    patch.undo()


@contextmanager
def google_credentials(url: str, folder: Path) -> Iterator[None]:
    """A service account of nobody, whose tokens the stand-in gives out."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    account = {
        "type": "service_account",
        "client_email": "tests@strongroom.test",
        "private_key_id": "1",
        "private_key": pem.decode(),
        "token_uri": f"{url}/token",
    }
    path = folder / "account.json"
    path.write_text(json.dumps(account))
    patch = pytest.MonkeyPatch()
    patch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
    yield
    patch.undo()


def s3_store(
    url: str, spool: Path, prefix: str = "", *, bucket: str = BUCKET, deadline_s: float = DEADLINE_S
) -> RemoteBlobStore:
    place = Place("s3", bucket, prefix, url, deadline_s=deadline_s)
    spool.mkdir(exist_ok=True)
    return RemoteBlobStore(S3Bucket(place, None, None, None), spool)

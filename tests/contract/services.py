"""Custodies behind an API, for the contract: each over a stand-in or emulator of its service."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from uuid import uuid4

import pytest

from strongroom.adapters.keys.aws import AwsKeys
from strongroom.adapters.keys.aws_calls import KmsCalls
from strongroom.adapters.keys.azure import AzureKeys
from strongroom.adapters.keys.bearer import BearerWire
from strongroom.adapters.keys.gcp import GoogleKeys
from strongroom.adapters.keys.vault import VaultKeys
from strongroom.adapters.keys.wire import Wire
from tests.contract.standins import kms
from tests.contract.standins.cloud_kms import RING, CloudKms
from tests.contract.standins.key_vault import KeyVault
from tests.contract.standins.server import StandIn
from tests.contract.standins.transit import Transit


@contextmanager
def transit() -> Iterator[tuple[VaultKeys, StandIn, Transit]]:
    token = "hvs." + uuid4().hex
    service = Transit(token)
    with StandIn(service).running() as server:
        wire = Wire("vault", server.address, deadline_s=5.0)
        yield VaultKeys(wire, lambda: max(service.tokens), "transit"), server, service


@contextmanager
def aws_credentials() -> Iterator[str]:
    """Yield the secret; the SDK finds it in the environment, and nothing of the machine's own."""
    secret = uuid4().hex
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION"):
            patch.delenv(name, raising=False)
        patch.setenv("AWS_CONFIG_FILE", "/nonexistent")
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        patch.setenv("AWS_ACCESS_KEY_ID", "AK" + "IA" + uuid4().hex[:16].upper())
        patch.setenv("AWS_SECRET_ACCESS_KEY", secret)
        yield secret


@cache
def aws_kms() -> tuple[AwsKeys, str]:
    """One a process: boto3 takes a second to make a client."""
    with aws_credentials() as secret:
        calls = KmsCalls(region="eu-central-1", endpoint=kms.address(), ca_bundle=None, deadline_s=10.0)
        return AwsKeys(calls, deletion_days=7), secret


@contextmanager
def cloud_kms() -> Iterator[tuple[GoogleKeys, StandIn, CloudKms]]:
    service = CloudKms("ya29." + uuid4().hex)
    with StandIn(service).running() as server:
        wire = Wire("gcpkms", server.address, deadline_s=5.0)
        bearing = BearerWire("gcpkms", wire, lambda fresh: max(service.tokens))
        yield GoogleKeys(bearing, RING, hsm=False), server, service


@contextmanager
def key_vault() -> Iterator[tuple[AzureKeys, StandIn, KeyVault]]:
    service = KeyVault("ey" + uuid4().hex)
    with StandIn(service).running() as server:
        service.address = server.address
        wire = Wire("azurekv", server.address, deadline_s=5.0)
        bearing = BearerWire("azurekv", wire, lambda fresh: max(service.tokens))
        yield AzureKeys(bearing, hsm=False), server, service

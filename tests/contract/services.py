"""Custodies behind an API, for the contract: each over a stand-in or emulator of its service."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from uuid import uuid4

import pytest

from strongroom.adapters.keys.aws import AwsKeys
from strongroom.adapters.keys.aws_calls import KmsCalls
from strongroom.adapters.keys.vault import VaultKeys
from strongroom.adapters.keys.wire import Wire
from tests.contract.standins import kms
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

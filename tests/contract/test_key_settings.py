"""From the settings to a custody behind an API, and what is said where something is missing."""

import sys
from pathlib import Path
from typing import Any

import pytest

from strongroom.custodies import open_custodies
from strongroom.errors import DeniedError, InvalidError, StrongroomError
from strongroom.settings import KeySettings
from strongroom.values import KeyUri
from tests.contract import services
from tests.contract.custodies import file
from tests.contract.standins.cloud_kms import RING

URIS = [KeyUri(f"{scheme}:kek-fraud") for scheme in ("awskms", "azurekv", "gcpkms", "vault")]


def _open(folder: Path, settings: dict[str, Any]) -> Any:
    with file(folder) as kept:
        return open_custodies(kept.provider, KeySettings.model_validate(settings), folder)  # type: ignore[arg-type]


def test_vault_by_its_settings(tmp_path: Path) -> None:
    with services.transit() as (_, server, service):
        (tmp_path / "token").touch(mode=0o600)
        (tmp_path / "token").write_text(max(service.tokens) + "\n")
        keys = _open(tmp_path, {"vault": {"address": server.address, "token_file": "token"}})
        assert keys.create(KeyUri("vault:kek-fraud")).custody == "kms"
        (tmp_path / "token").write_text("revoked\n")
        with pytest.raises(DeniedError, match="no right"):
            keys.describe(KeyUri("vault:kek-fraud"))
        (tmp_path / "token").chmod(0o644)
        with pytest.raises(DeniedError, match="others may read"):
            keys.describe(KeyUri("vault:kek-fraud"))


def test_aws_by_its_settings(tmp_path: Path) -> None:
    from tests.contract.standins import kms

    with services.aws_credentials():
        keys = _open(tmp_path, {"aws": {"region": "eu-central-1", "endpoint": kms.address()}})
        with pytest.raises(InvalidError, match="no such key"):
            keys.describe(KeyUri("awskms:never/made"))


@pytest.mark.parametrize("uri", URIS)
def test_no_service_is_opened_before_a_key_of_it_is_used(tmp_path: Path, uri: KeyUri) -> None:
    keys = _open(tmp_path, {})
    keys.create(KeyUri("file:kek/fraud"))
    if not uri.startswith("awskms:"):
        with pytest.raises(InvalidError, match="is not set"):
            keys.create(uri)


@pytest.mark.parametrize(
    ("uri", "library"),
    list(zip(URIS, ("boto3", "azure.identity", "google_crc32c", "urllib3"), strict=True)),
)
def test_a_missing_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uri: KeyUri, library: str
) -> None:
    for name in list(sys.modules):
        if name.startswith("strongroom.adapters.keys.") and name.rpartition(".")[2].startswith(
            ("aws", "azure", "gcp", "vault", "wire", "bearer")
        ):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, library, None)
    settings = {
        "vault": {"address": "https://vault.example"},
        "azure": {"vault": "https://models.vault.azure.net"},
        "gcp": {"key_ring": RING},
        "aws": {"region": "eu-central-1"},
    }
    with pytest.raises(InvalidError, match="not installed") as caught:
        _open(tmp_path, settings).create(uri)
    extra = {"awskms": "aws", "azurekv": "azure", "gcpkms": "gcp", "vault": "vault"}[uri.partition(":")[0]]
    assert f"strongroom[{extra}]" in str(caught.value.hint)


@pytest.mark.parametrize(
    "settings",
    [
        {"vault": {"address": "http://vault.example:8200", "token_file": "token"}},
        {"vault": {"address": "https://vault.example", "mount": "../sys", "token_file": "token"}},
        {"vault": {"address": "https://vault.example", "ca_bundle": "none.pem", "token_file": "token"}},
        {"vault": {"address": "https://vault.example"}},
    ],
)
def test_settings_that_open_no_vault(tmp_path: Path, settings: dict[str, Any]) -> None:
    with pytest.raises(StrongroomError) as caught:
        _open(tmp_path, settings).create(KeyUri("vault:kek-fraud"))
    assert caught.value.family in ("invalid", "denied")

"""What is peculiar to AWS KMS, Azure Key Vault and Google Cloud KMS."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from azure.core.exceptions import ClientAuthenticationError, ServiceRequestError
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from strongroom.adapters.keys.aws import AwsKeys
from strongroom.adapters.keys.aws_calls import KmsCalls
from strongroom.adapters.keys.azure import AzureKeys
from strongroom.adapters.keys.azure_credentials import AzureBearer
from strongroom.adapters.keys.bearer import BearerWire
from strongroom.adapters.keys.gcp import GoogleKeys
from strongroom.adapters.keys.gcp_credentials import GoogleBearer
from strongroom.adapters.keys.stored import KeyAlgorithm
from strongroom.adapters.keys.wire import Wire
from strongroom.errors import DeniedError, InvalidError, OutageError, RejectedError
from strongroom.values import KeyUri
from tests.contract import services
from tests.contract.standins import kms
from tests.contract.standins.cloud_kms import RING
from tests.contract.standins.server import Asked, Fault, StandIn

DATA_KEY, CONTEXT = b"d" * 32, b"fraud@1.0.0 sha256:00"
AZURE, GOOGLE = KeyUri("azurekv:kek-fraud"), KeyUri("gcpkms:kek-fraud")


# --- AWS KMS


@pytest.fixture
def fraud() -> KeyUri:
    return KeyUri(f"awskms:{uuid4().hex[:8]}/kek-fraud")


def _aws() -> AwsKeys:
    return services.aws_kms()[0]


def _client() -> Any:
    return _aws()._calls._client


def test_aws_tells_of_a_deletion_that_somebody_scheduled(fraud: KeyUri) -> None:
    keys = _aws()
    keys.create(fraud)
    keys.rotate(fraud)
    keys.destroy(fraud, 1)
    assert any("version 1 is scheduled for deletion on 20" in one for one in keys.describe(fraud).concerns)
    keys.destroy(fraud, 2)
    with pytest.raises(InvalidError, match="no such key") as caught:
        keys.describe(fraud)
    assert "scheduled for deletion" in str(caught.value.hint)
    assert keys.create(fraud).newest.version == 3


def test_aws_alias_moved_to_a_key_of_the_attacker(fraud: KeyUri) -> None:
    keys = _aws()
    keys.create(fraud)
    wrapped = keys.wrap(fraud, DATA_KEY, CONTEXT)
    theirs = _client().create_key(KeyUsage="ENCRYPT_DECRYPT")["KeyMetadata"]["KeyId"]
    _client().update_alias(AliasName=f"alias/{fraud.partition(':')[2]}/v1", TargetKeyId=theirs)
    with pytest.raises(RejectedError):
        keys.unwrap(fraud, wrapped, CONTEXT)


def test_aws_keys_of_a_lost_race_are_thrown_away(fraud: KeyUri) -> None:
    keys, name = _aws(), fraud.partition(":")[2]
    keys.create(fraud)
    held = keys._find(name)
    assert held is not None
    keys._make(name, 1, KeyAlgorithm.AES_256)
    states = [
        told["KeyState"]
        for one in _client().list_keys()["Keys"]
        if (told := _client().describe_key(KeyId=one["KeyId"])["KeyMetadata"])["Description"].startswith(
            f"Strongroom {name} "
        )
    ]
    assert sorted(states) == ["Enabled", "PendingDeletion"]
    assert keys._find(name) == held


def test_aws_rewraps_within_itself(fraud: KeyUri, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = _aws()
    keys.create(fraud)
    wrapped = keys.wrap(fraud, DATA_KEY, CONTEXT)
    keys.rotate(fraud)
    asked: list[str] = []
    plain = KmsCalls.ask
    monkeypatch.setattr(KmsCalls, "ask", lambda self, op, **more: asked.append(op) or plain(self, op, **more))
    fresh = keys.rewrap(fraud, wrapped, CONTEXT)
    assert "re_encrypt" in asked and not {"decrypt", "encrypt"} & set(asked)
    assert keys.unwrap(fraud, fresh, CONTEXT) == DATA_KEY


def test_aws_data_keys_stay_out_of_a_debug_log(fraud: KeyUri, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    _, secret = services.aws_kms()
    with services.aws_credentials():
        keys = AwsKeys(
            KmsCalls(region="eu-central-1", endpoint=kms.address(), ca_bundle=None, deadline_s=10.0),
            deletion_days=7,
        )
        keys.create(fraud)
        keys.unwrap(fraud, keys.wrap(fraud, DATA_KEY, CONTEXT), CONTEXT)
    for shown in ("ZGRkZGRk", repr(DATA_KEY), DATA_KEY.hex(), secret):
        assert shown not in caplog.text


def test_aws_that_is_gone_or_only_fails(fraud: KeyUri) -> None:
    class Failing:
        asked = 0

        def answer(self, asked: Asked) -> tuple[int, Any]:
            self.asked += 1
            return 500, {"__type": "KMSInternalException"}

    service = Failing()
    with services.aws_credentials(), StandIn(service).running() as server:
        calls = KmsCalls(region="eu-central-1", endpoint=server.address, ca_bundle=None, deadline_s=2.0)
        keys = AwsKeys(calls, deletion_days=7)
        with pytest.raises(OutageError, match="awskms"):
            keys.describe(fraud)
        assert 2 <= service.asked <= 4
        service.asked = 0
        with pytest.raises(OutageError):
            calls.ask("create_key", repeatable=False)
        assert service.asked == 1
        server.stop()
        with pytest.raises(OutageError, match="awskms"):
            keys.describe(fraud)


@pytest.mark.parametrize(
    "code", ["AccessDeniedException", "ExpiredTokenException", "UnrecognizedClientException"]
)
def test_aws_that_denies(fraud: KeyUri, code: str) -> None:
    class Denying:
        def answer(self, asked: Asked) -> tuple[int, Any]:
            return 400, {
                "__type": code,
                "message": "User: arn:aws:iam::123456789012:user/x is not authorized",
            }

    with services.aws_credentials(), StandIn(Denying()).running() as server:
        calls = KmsCalls(region="eu-central-1", endpoint=server.address, ca_bundle=None, deadline_s=2.0)
        with pytest.raises(DeniedError, match="kms:Decrypt") as caught:
            AwsKeys(calls, deletion_days=7).unwrap(fraud, b"\x00\x00\x00\x01" + b"w" * 99, CONTEXT)
        assert "arn:" not in str(caught.value)


def test_aws_without_credentials_or_region(fraud: KeyUri, monkeypatch: pytest.MonkeyPatch) -> None:
    with services.aws_credentials():
        with pytest.raises(InvalidError, match="region"):
            KmsCalls(region=None, endpoint=kms.address(), ca_bundle=None, deadline_s=2.0)
        with pytest.raises(InvalidError, match="https"):
            KmsCalls(region="eu-central-1", endpoint="http://kms.example", ca_bundle=None, deadline_s=2.0)
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        calls = KmsCalls(region="eu-central-1", endpoint=kms.address(), ca_bundle=None, deadline_s=2.0)
        with pytest.raises(DeniedError, match="credentials"):
            AwsKeys(calls, deletion_days=7).describe(fraud)


@pytest.mark.parametrize("name", ["aws/ebs", "a//b", "/a", "a/", "A", "a.b", "a/b/c/d", "v" * 65])
def test_aws_names_that_are_none(name: str) -> None:
    with pytest.raises(InvalidError):
        _aws().create(KeyUri(f"awskms:{name}"))


# --- Azure Key Vault


@pytest.fixture
def azure() -> Iterator[tuple[AzureKeys, StandIn, Any]]:
    with services.key_vault() as one:
        yield one


def test_azure_key_rotated_by_a_policy_of_the_vault_opens_both(azure: Any) -> None:
    keys, _, service = azure
    keys.create(AZURE)
    old = keys.wrap(AZURE, DATA_KEY, CONTEXT)
    body = {"kty": "RSA", "key_size": 3072, "key_ops": ["wrapKey", "unwrapKey"]}
    service._create("kek-fraud-v1", body | {"attributes": {"enabled": True}, "tags": {"strongroom": "kek"}})
    new = keys.wrap(AZURE, DATA_KEY, CONTEXT)
    assert old[4:20] != new[4:20]
    for wrapped in (old, new):
        assert keys.unwrap(AZURE, wrapped, CONTEXT) == DATA_KEY
    keys.set_enabled(AZURE, 1, False)
    for wrapped in (old, new):
        with pytest.raises(DeniedError, match="version 1 is disabled"):
            keys.unwrap(AZURE, wrapped, CONTEXT)


def test_azure_vault_that_keeps_what_is_deleted(azure: Any) -> None:
    keys, _, service = azure
    service.purge_protection = True
    keys.create(AZURE)
    wrapped = keys.wrap(AZURE, DATA_KEY, CONTEXT)
    keys.rotate(AZURE)
    keys.destroy(AZURE, 1)
    with pytest.raises(RejectedError, match="destroyed"):
        keys.unwrap(AZURE, wrapped, CONTEXT)
    keys.destroy(AZURE, 2)
    assert sorted(service.deleted) == ["kek-fraud-v1", "kek-fraud-v2"]
    assert keys.create(AZURE).newest.version == 3


def test_azure_destroys_for_good_where_it_may(azure: Any) -> None:
    keys, _, service = azure
    keys.create(AZURE)
    wrapped = keys.wrap(AZURE, DATA_KEY, CONTEXT)
    keys.destroy(AZURE, 1)
    assert not service.keys and not service.deleted
    keys.create(AZURE)
    with pytest.raises(RejectedError):
        keys.unwrap(AZURE, wrapped, CONTEXT)


def test_azure_key_without_our_tag_is_none_of_ours(azure: Any) -> None:
    keys, _, service = azure
    keys.create(AZURE)
    service.keys["kek-fraud-v1"].tags.clear()
    with pytest.raises(InvalidError, match="tag"):
        keys.wrap(AZURE, DATA_KEY, CONTEXT)


def test_azure_key_that_can_leave_or_ends_is_told_of(azure: Any) -> None:
    keys, _, service = azure
    keys.create(AZURE)
    (version,) = service.keys["kek-fraud-v1"].versions.values()
    version.attributes |= {"exportable": True, "exp": 1_900_000_000}
    concerns = keys.describe(AZURE).concerns
    assert concerns == ("version 1 can be exported", "version 1 expires on 2030-03-17")


def test_azure_list_that_goes_on_elsewhere(azure: Any) -> None:
    keys, server, _ = azure
    for link in ("https://evil.example/keys?x=1", server.address + "/secrets?x=1", "/keys/x?y=1"):
        server.faults = [Fault(200, raw=json.dumps({"value": [], "nextLink": link}).encode())]
        with pytest.raises(OutageError, match="none of its own"):
            keys.describe(AZURE)


def test_azure_wrapped_key_made_with_the_public_key_only_opens_for_its_context(azure: Any) -> None:
    """Who has the public key can wrap; the context and the version still have to fit."""
    keys, _, _ = azure
    keys.create(AZURE)
    one, two = (keys.wrap(AZURE, key, CONTEXT) for key in (DATA_KEY, b"e" * 32))
    mixed = one[:60] + two[60:]
    with pytest.raises(RejectedError):
        keys.unwrap(AZURE, mixed, CONTEXT)


def test_azure_token_that_is_refused_is_renewed_once(azure: Any) -> None:
    _, server, service = azure
    asked: list[bool] = []

    def bearer(fresh: bool) -> str:
        asked.append(fresh)
        return max(service.tokens) if fresh else "stale"

    keys = AzureKeys(BearerWire("azurekv", Wire("azurekv", server.address, deadline_s=5.0), bearer), hsm=True)
    keys.create(AZURE)
    assert asked[:2] == [False, True]
    (key,) = service.keys.values()
    assert next(iter(key.versions.values())).kty == "RSA-HSM"


def test_azure_credentials_that_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    bearer = AzureBearer("models.vault.azure.net", 5.0)
    assert "vault.azure.net/.default" in repr(bearer) and "models" not in repr(bearer)
    for raised, family in (
        (ClientAuthenticationError("secret"), DeniedError),
        (ServiceRequestError("secret"), OutageError),
    ):

        def fail(*scopes: str, raised: Exception = raised) -> Any:
            raise raised

        monkeypatch.setattr(bearer._credential, "get_token", fail)
        with pytest.raises(family) as caught:
            bearer(False)
        assert "secret" not in str(caught.value)


# --- Google Cloud KMS


@pytest.fixture
def google() -> Iterator[tuple[GoogleKeys, StandIn, Any]]:
    with services.cloud_kms() as one:
        yield one


@pytest.mark.parametrize("field", ["verifiedPlaintextCrc32c", "verifiedAdditionalAuthenticatedDataCrc32c"])
def test_google_did_not_receive_what_was_sent(
    google: Any, monkeypatch: pytest.MonkeyPatch, field: str
) -> None:
    keys, _, service = google
    keys.create(GOOGLE)
    plain = service.answer
    monkeypatch.setattr(
        service,
        "answer",
        lambda asked: (200, {**plain(asked)[1], field: False}) if "encrypt" in asked.path else plain(asked),
    )
    with pytest.raises(OutageError, match="damaged"):
        keys.wrap(GOOGLE, DATA_KEY, CONTEXT)


def test_google_answer_damaged_on_the_way(google: Any) -> None:
    keys, server, _ = google
    keys.create(GOOGLE)
    wrapped = keys.wrap(GOOGLE, DATA_KEY, CONTEXT)
    for answer in ({"plaintext": "ZGRk", "plaintextCrc32c": "1"}, {"plaintext": "ZGRk"}, {"plaintext": "%"}):
        server.faults = [Fault(200, raw=json.dumps(answer).encode())]
        with pytest.raises(OutageError):
            keys.unwrap(GOOGLE, wrapped, CONTEXT)


def test_google_tells_what_weakens_a_key(google: Any) -> None:
    keys, _, service = google
    keys.create(GOOGLE)
    keys.rotate(GOOGLE)
    keys.destroy(GOOGLE, 1)
    service.keys["kek-fraud"].import_only = True
    concerns = keys.describe(GOOGLE).concerns
    assert any("imported" in one for one in concerns)
    assert any("version 1 is scheduled for destruction on 20" in one for one in concerns)


def test_google_key_in_hardware_says_so(google: Any) -> None:
    keys, _, _ = google
    hardware = GoogleKeys(keys._wire, RING, hsm=True)
    assert hardware.create(GOOGLE).custody == "hsm"
    assert keys.describe(GOOGLE).custody == "hsm"


def test_google_version_that_is_not_made_yet_is_waited_for(
    google: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys, _, service = google
    keys.create(GOOGLE)
    plain = service.keys["kek-fraud"].add

    def slowly() -> int:
        number: int = plain()
        service.keys["kek-fraud"].versions[number].state = "PENDING_GENERATION"
        return number

    monkeypatch.setattr(service.keys["kek-fraud"], "add", slowly)
    shown = service.answer

    def answer(asked: Asked) -> Any:
        told = shown(asked)
        if asked.method == "GET" and asked.path.endswith("/cryptoKeyVersions"):
            for version in service.keys["kek-fraud"].versions.values():
                version.state = "ENABLED"
        return told

    monkeypatch.setattr(service, "answer", answer)
    assert keys.rotate(GOOGLE).newest.version == 2
    assert keys.version_of(GOOGLE, keys.wrap(GOOGLE, DATA_KEY, CONTEXT)) == 2


def test_google_key_destroyed_wholly_begins_again_with_the_next_version(google: Any) -> None:
    keys, _, _ = google
    keys.create(GOOGLE)
    wrapped = keys.wrap(GOOGLE, DATA_KEY, CONTEXT)
    keys.destroy(GOOGLE, 1)
    assert keys.create(GOOGLE).newest.version == 2
    with pytest.raises(RejectedError, match="destroyed"):
        keys.unwrap(GOOGLE, wrapped, CONTEXT)


@pytest.mark.parametrize(
    "ring", ["", "ring", RING + "/cryptoKeys/x", RING.upper(), "../" + RING, RING + "?x"]
)
def test_google_key_ring_that_is_none(google: Any, ring: str) -> None:
    with pytest.raises(InvalidError, match="key ring"):
        GoogleKeys(google[0]._wire, ring, hsm=False)


class _Tokens:
    """Google's token service."""

    def __init__(self) -> None:
        self.status = 200

    def answer(self, asked: Asked) -> tuple[int, Any]:
        if self.status != 200:
            return self.status, {"error": "invalid_grant"}
        return 200, {"access_token": "ya29." + uuid4().hex, "expires_in": 3600, "token_type": "Bearer"}

    def key_file(self, folder: Path, address: str) -> str:
        private = rsa.generate_private_key(65537, 2048)
        pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        value = {
            "type": "service_" + "account",
            "client_email": "x@y",
            "private_key": pem,
            "token_uri": address,
        }
        (folder / "adc.json").write_text(json.dumps(value))
        return str(folder / "adc.json")


def test_google_token_from_a_key_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    service = _Tokens()
    with StandIn(service).running() as server:
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", service.key_file(tmp_path, server.address))
        bearer = GoogleBearer(2.0)
        first = bearer(False)
        assert first == bearer(False) != bearer(True)
        service.status = 400
        with pytest.raises(DeniedError, match="refused"):
            bearer(True)
        server.stop()
        with pytest.raises(OutageError, match="token service"):
            bearer(True)


def test_google_without_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    with pytest.raises(DeniedError, match="credentials"):
        GoogleBearer(2.0)(False)

"""The whole way of a model whose keys lie in a service: publish, rotate, move, lose the service."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from strongroom.adapters.keys.aws import AwsKeys
from strongroom.adapters.keys.aws_calls import KmsCalls
from strongroom.adapters.keys.azure import AzureKeys
from strongroom.adapters.keys.bearer import BearerWire
from strongroom.adapters.keys.gcp import GoogleKeys
from strongroom.adapters.keys.routed import RoutedKeys
from strongroom.adapters.keys.vault import VaultKeys
from strongroom.adapters.keys.wire import Wire
from strongroom.errors import OutageError
from strongroom.flows.approve import approve
from strongroom.flows.doctor import Verdict, _custody
from strongroom.flows.keyfile import WrappedKey
from strongroom.flows.layout import wrapped_key_name
from strongroom.flows.publish import publish
from strongroom.flows.release import release, verify
from strongroom.flows.rotate import Wish, rotate_key
from strongroom.flows.rotate_signing import rotate_signing
from strongroom.flows.vault import Vault, read_authority
from strongroom.values import KeyUri
from tests.contract import services
from tests.contract.standins.cloud_kms import RING
from tests.flows.scene import ADMIN, ONE, OPERATOR, REVIEWER, TWO, Scene, peopled

NOWHERE = "http://127.0.0.1:9"
"""The discard port: nothing listens there."""


class Service:
    """One custody behind an API, which can be away."""

    def __init__(self, scheme: str, keys: Any, away: Any) -> None:
        self.scheme = scheme
        self.prefix = f"{scheme}:{uuid4().hex[:8]}-"
        self._keys, self._away = keys, away
        self.is_away = False

    def keys(self) -> Any:
        return self._away if self.is_away else self._keys


@pytest.fixture(params=["awskms", "azurekv", "gcpkms", "vault"])
def service(request: pytest.FixtureRequest) -> Iterator[Service]:
    scheme: str = request.param
    bearing = BearerWire(scheme, Wire(scheme, NOWHERE, deadline_s=0.5), lambda fresh: "token")
    with ExitStack() as stack:
        match scheme:
            case "awskms":
                keys: Any = services.aws_kms()[0]
                stack.enter_context(services.aws_credentials())
                calls = KmsCalls(region="eu-central-1", endpoint=NOWHERE, ca_bundle=None, deadline_s=0.5)
                away: Any = AwsKeys(calls, deletion_days=7)
            case "azurekv":
                keys = stack.enter_context(services.key_vault())[0]
                away = AzureKeys(bearing, hsm=False)
            case "gcpkms":
                keys = stack.enter_context(services.cloud_kms())[0]
                away = GoogleKeys(bearing, RING, hsm=False)
            case _:
                keys = stack.enter_context(services.transit())[0]
                away = VaultKeys(Wire("vault", NOWHERE, deadline_s=0.5), lambda: "token", "transit")
        yield Service(scheme, keys, away)


def _vault(scene: Scene, service: Service) -> Vault:
    """As the next process opens it: custodies are opened anew."""
    keys = RoutedKeys({"file": lambda: scene.keys, service.scheme: service.keys})
    return replace(scene.reopened(), keys=keys, signers=keys, key_template=service.prefix + "kek-{family}")


def _read(vault: Vault, model: Any) -> dict[str, bytes]:
    released = release(vault, OPERATOR, model)
    try:
        return {path: bytes(memory.content) for path, memory in released.memories.items()}  # type: ignore[attr-defined]
    finally:
        released.close()


def _stored_key(scene: Scene, model: Any) -> WrappedKey:
    return WrappedKey.parse(scene.blobs.objects[wrapped_key_name(model)])


def test_published_signed_rotated_and_moved_back(service: Service) -> None:
    scene = peopled()
    vault = _vault(scene, service)
    rotate_signing(vault, ADMIN, KeyUri(service.prefix + "sign-2"))
    publish(vault, scene.offer(ONE))
    approve(vault, REVIEWER, ONE)
    family_key = KeyUri(service.prefix + "kek-fraud")
    assert read_authority(vault).family_key("fraud") == family_key
    assert _stored_key(scene, ONE).key == family_key
    assert _read(vault, ONE) == scene.published[ONE]
    kept = _stored_key(scene, ONE)

    done: Any = rotate_key(vault, ADMIN, Wish("fraud"))
    assert (done.version, done.rewrapped) == (2, 1)
    assert [one.enabled for one in vault.require_keys().describe(family_key).versions] == [False, True]
    assert _read(_vault(scene, service), ONE) == scene.published[ONE]
    with pytest.raises(Exception, match="version 1 is disabled"):
        vault.require_keys().unwrap(family_key, kept.wrapped, b"whatever")

    home = KeyUri("file:kek/fraud")
    rotate_key(vault, ADMIN, Wish("fraud", to=home))
    assert _stored_key(scene, ONE).key == home
    rotate_signing(vault, ADMIN, KeyUri("file:sign/3"))
    service.is_away = True
    assert _read(_vault(scene, service), ONE) == scene.published[ONE]
    verify(_vault(scene, service), OPERATOR, ONE, full=True)


def test_a_service_that_is_away_stops_new_loads_and_nothing_else(service: Service) -> None:
    scene = peopled()
    vault = _vault(scene, service)
    publish(vault, scene.offer(ONE))
    approve(vault, REVIEWER, ONE)
    loaded = release(vault, OPERATOR, ONE)
    service.is_away = True
    cut = _vault(scene, service)
    before, objects = len(scene.events), dict(scene.blobs.objects)
    with pytest.raises(OutageError, match=service.scheme):
        release(cut, OPERATOR, ONE)
    with pytest.raises(OutageError, match=service.scheme):
        publish(cut, scene.offer(TWO))
    with pytest.raises(OutageError, match=service.scheme):
        rotate_key(cut, ADMIN, Wish("fraud"))
    assert _stored_key(scene, ONE) == WrappedKey.parse(objects[wrapped_key_name(ONE)])
    assert [(event.action, event.decision) for event in scene.events[before:]] == [
        ("serve", "allow"),
        ("serve", "outage"),
        ("publish", "outage"),
    ]
    assert TWO not in read_authority(cut).versions
    assert {path: bytes(memory.content) for path, memory in loaded.memories.items()} == scene.published[ONE]  # type: ignore[attr-defined]
    loaded.close()
    service.is_away = False
    back = _vault(scene, service)
    publish(back, scene.offer(TWO))
    assert _read(back, ONE) == scene.published[ONE]


def test_doctor_tells_what_the_custody_says_of_its_keys_and_when_it_is_silent(service: Service) -> None:
    scene = peopled()
    vault = _vault(scene, service)
    publish(vault, scene.offer(ONE))
    assert [check.verdict for check in _custody(vault)] == [Verdict.OK]
    rotate_key(vault, ADMIN, Wish("fraud"))
    vault.require_keys().destroy(KeyUri(service.prefix + "kek-fraud"), 1)
    said = [check.evidence for check in _custody(vault) if check.verdict is Verdict.WARN]
    assert any("scheduled for" in one for one in said) == (service.scheme in ("awskms", "gcpkms"))
    service.is_away = True
    with pytest.raises(OutageError, match=service.scheme):
        list(_custody(_vault(scene, service)))

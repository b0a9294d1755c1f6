"""The store is watched beside serving: what is altered is quarantined, what runs goes on."""

from collections.abc import Callable

from strongroom.flows.vault import read_authority
from strongroom.sdk.stock import find_inventory
from strongroom.values import ModelId
from tests.serve.e2e.deployment import ADMIN, LINEAR, Deployment, Server, ask
from tests.serve.e2e.processes import wait_until

NOTICED_S = 30.0
SERVED = ModelId.parse("linear@1.1.0")


def _is_held(deployment: Deployment) -> bool:
    return read_authority(deployment.as_(ADMIN).vault).versions[SERVED].held is not None


def test_a_flipped_byte_is_noticed_while_the_model_serves_on(
    deployment: Deployment, serve: Callable[..., Server]
) -> None:
    deployment.set("[watch]\nsurvey_s = 1.0\n")
    server = serve("linear")
    connection = server.connect()
    assert ask(connection, "linear", LINEAR)[0] == 200
    stored = deployment.home / "blobs/linear/1.1.0/0.sealed"
    data = bytearray(stored.read_bytes())
    data[-1] ^= 1
    stored.write_bytes(data)
    wait_until(lambda: _is_held(deployment), NOTICED_S, "the version is quarantined")
    assert ask(connection, "linear", LINEAR)[0] == 200, "its bytes were verified when they were loaded"
    listed = {str(item.model): item.state for item in find_inventory(deployment.as_(ADMIN))}
    assert listed["linear@1.1.0"] == "quarantined"

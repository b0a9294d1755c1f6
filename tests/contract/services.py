"""Custodies behind an API, for the contract: each over a stand-in or emulator of its service."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

from strongroom.adapters.keys.vault import VaultKeys
from strongroom.adapters.keys.wire import Wire
from tests.contract.standins.server import StandIn
from tests.contract.standins.transit import Transit


@contextmanager
def transit() -> Iterator[tuple[VaultKeys, StandIn, Transit]]:
    token = "hvs." + uuid4().hex
    service = Transit(token)
    with StandIn(service).running() as server:
        wire = Wire("vault", server.address, deadline_s=5.0)
        yield VaultKeys(wire, lambda: max(service.tokens), "transit"), server, service

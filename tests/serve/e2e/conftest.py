"""One home for the whole session, copied where a test changes it; servers that leave nothing behind."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.serve.e2e.deployment import Deployment, Server, end, establish


@pytest.fixture(scope="session")
def established(tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """Read it, serve from it, but change nothing that another test would notice."""
    return establish(tmp_path_factory.mktemp("established"))


@pytest.fixture
def deployment(established: Deployment, tmp_path: Path) -> Deployment:
    """A copy for one test to change as it likes."""
    return established.copy(tmp_path / "deployment")


@pytest.fixture
def serve(deployment: Deployment) -> Iterator[Callable[..., Server]]:
    """Start ``strongroom serve`` on the test's own home; every one is ended afterwards."""
    started: list[Server] = []

    def start(*names: str, **options: Any) -> Server:
        server = Server.start(deployment, *names, **options)
        started.append(server)
        return server

    yield start
    for server in started:
        end(server)


@pytest.fixture(scope="module")
def served(established: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """``linear`` and ``slow`` on a copy, for tests that only ask."""
    copy = established.copy(tmp_path_factory.mktemp("served"))
    server = Server.start(copy, "linear", "slow")
    yield server
    end(server)

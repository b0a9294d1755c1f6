"""What all tests share: no network beyond this machine, no leftovers, sample models at hand."""

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

# onnxruntime reports home by default and keeps a database of what it did; read when it is first imported.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import pytest
from hypothesis import HealthCheck, settings

from tests import models
from tests.database import database as database
from tests.models import SampleModel

# One example budget for everyone; `derandomize` so that a red test is red again on the next run.
settings.register_profile(
    "strongroom",
    derandomize=True,
    deadline=None,
    database=None,
    max_examples=100,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("strongroom")

_LOOPBACK = ("127.", "::1", "localhost", "::ffff:127.")


_LONGEST_ID = 40


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name bytes and long texts after their parameter: an id must be short, and the same in every process."""
    if isinstance(val, bytes) or (isinstance(val, str) and len(val) > _LONGEST_ID):
        return argname
    return None


@pytest.fixture(autouse=True, scope="session")
def offline() -> Iterator[None]:
    """Refuse every connection that would leave this machine, so that "offline" is a fact."""
    plain = socket.socket.connect

    def connect(self: socket.socket, address: Any, /) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            host = str(address[0])
            if not host.startswith(_LOOPBACK):
                raise AssertionError(f"a test tried to reach {host}")
        plain(self, address)

    patch = pytest.MonkeyPatch()
    patch.setattr(socket.socket, "connect", connect)
    yield
    patch.undo()


@pytest.fixture
def linear_model() -> SampleModel:
    """``x`` FP32 [N, 4] in, ``score`` FP32 [N, 1] out."""
    return models.linear()


@pytest.fixture
def write_model(tmp_path: Path) -> Callable[[SampleModel], Path]:
    """Write a sample model below the test's folder; return the path of its main entry."""

    def write(sample: SampleModel) -> Path:
        return sample.write(tmp_path / "model")

    return write

"""Inference over real TLS: the protocol's JSON and binary forms, batching, and what clients get told."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serve.gateway_harness import Harness, running


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harness]:
    with running(tmp_path_factory.mktemp("gateway")) as harness:
        yield harness.serve()


def test_one_row(gateway: Harness) -> None:
    with gateway.client(gateway.alice) as client:
        response = client.infer([[1, 2, 3]])
    assert response.status == 200, response
    assert response.json == {
        "model_name": "fraud",
        "model_version": "1.2.0",
        "outputs": [
            {"name": "label", "datatype": "INT64", "shape": [1], "data": [1]},
            {"name": "score", "datatype": "FP32", "shape": [1, 2], "data": [6.0, -6.0]},
        ],
    }

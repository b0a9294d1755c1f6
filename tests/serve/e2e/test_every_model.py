"""Every sample model, sealed, approved and served, answers as onnxruntime does on the plain file."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from tests import models
from tests.models import SampleModel
from tests.serve.e2e.deployment import Deployment, Server, end, family_of
from tests.serve.e2e.tensors import (
    Array,
    from_binary_answer,
    from_json_outputs,
    to_binary_request,
    to_json_inputs,
)


@pytest.fixture(scope="module")
def everything(established: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """All sample models at once, and an older version beside the newest."""
    copy = established.copy(tmp_path_factory.mktemp("everything"))
    names = [family_of(builder) for builder in models.SERVABLE if builder is not models.linear]
    server = Server.start(copy, *names, "linear@1.0.0")
    yield server
    end(server)


def directly(sample: SampleModel, folder: Path) -> dict[str, Array]:
    """What onnxruntime says when it is run on the plain file."""
    session = onnxruntime.InferenceSession(str(sample.write(folder)))
    names = [output.name for output in session.get_outputs()]
    found = dict(zip(names, session.run(None, dict(sample.example)), strict=True))
    return {name: _as_matrix(value) if isinstance(value, list) else value for name, value in found.items()}


def _as_matrix(maps: list[dict[Any, float]]) -> Array:
    """ZipMap: one column a class, by ascending class."""
    return np.array([[row[name] for name in sorted(row)] for row in maps], np.float32)


def same(found: dict[str, Array], expected: dict[str, Array]) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name].shape == value.shape, name
        if value.dtype == object:
            assert found[name].tolist() == value.tolist(), name
        else:
            assert found[name].dtype == value.dtype, name
            np.testing.assert_allclose(found[name], value, rtol=1e-5, err_msg=name)


@pytest.mark.parametrize("builder", models.SERVABLE, ids=family_of)
@pytest.mark.parametrize("encoding", ["json", "binary"])
def test_answer_is_onnxruntimes(
    everything: Server, builder: Callable[[], SampleModel], encoding: str, tmp_path: Path
) -> None:
    sample = builder()
    expected = directly(sample, tmp_path)
    connection = everything.connect()
    path = f"/v2/models/{family_of(builder)}/infer"
    if encoding == "json":
        connection.request("POST", path, json.dumps({"inputs": to_json_inputs(sample.example)}))
    else:
        body, length = to_binary_request(sample.example)
        connection.request("POST", path, body, {"Inference-Header-Content-Length": str(length)})
    response = connection.getresponse()
    raw = response.read()
    assert response.status == 200, raw
    if encoding == "json":
        same(from_json_outputs(json.loads(raw)), expected)
    else:
        same(from_binary_answer(raw, int(response.headers["Inference-Header-Content-Length"])), expected)
    connection.close()


def test_one_connection_asks_every_model(everything: Server) -> None:
    connection = everything.connect()
    for _ in range(2):
        for builder in models.SERVABLE:
            body = json.dumps({"inputs": to_json_inputs(builder().example)})
            connection.request("POST", f"/v2/models/{family_of(builder)}/infer", body)
            response = connection.getresponse()
            answer = json.loads(response.read())
            assert (response.status, answer["model_name"]) == (200, family_of(builder))
    connection.close()


def test_metadata_and_readiness_of_every_model(everything: Server) -> None:
    with everything.client() as client:
        assert client.is_ready()
        for builder in models.SERVABLE:
            family = family_of(builder)
            assert client.is_ready(family)
            assert {tensor["name"] for tensor in client.metadata(family)["inputs"]} == set(builder().example)


class TestVersions:
    def test_a_version_that_is_served_answers_under_its_number(self, everything: Server) -> None:
        with everything.client() as client:
            rows = models.linear().example["x"].tolist()
            assert client.predict("linear@1.0.0", rows).version == "1.0.0"
            assert client.predict("linear", rows).version == "1.0.0"

    @pytest.mark.parametrize("version", ["1.1.0", "9.9.9", "1.0", "", "../1.0.0", "1.0.0%20"])
    def test_a_version_that_is_not_served_is_like_no_model(self, everything: Server, version: str) -> None:
        body = json.dumps({"inputs": to_json_inputs(models.linear().example)})
        answers = []
        for family in ("linear", "no-such-model"):
            connection = everything.connect()
            connection.request("POST", f"/v2/models/{family}/versions/{version}/infer", body)
            response = connection.getresponse()
            answers.append((response.status, response.read()))
            connection.close()
        assert answers[0] == answers[1]
        assert answers[0][0] in (400, 404)

"""Stock clients with exported PEM files and nothing of ours get the answers that onnxruntime gives."""

import json
import shutil
import ssl
import subprocess
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnxruntime
import pytest
import requests

from tests import models
from tests.serve.e2e.deployment import CALLER, HOST, Server

URL = "/v2/models/linear/infer"
BODY = json.dumps(
    {"inputs": [{"name": "x", "shape": [2, 4], "datatype": "FP32", "data": [1, 2, 3, 4, 5, 6, 7, 8]}]}
)


def files(server: Server) -> tuple[str, str, str]:
    """CA, certificate and key."""
    folder = server.deployment.export(CALLER)
    return str(folder / "ca.pem"), str(folder / f"{CALLER}.pem"), str(folder / f"{CALLER}.key")


def expected() -> list[float]:
    session = onnxruntime.InferenceSession(models.linear().onnx)
    x = np.array(json.loads(BODY)["inputs"][0]["data"], np.float32).reshape(2, 4)
    (score,) = session.run(None, {"x": x})
    return [float(value) for value in score.ravel()]


def by_curl(server: Server) -> Any:
    ca, certificate, key = files(server)
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("no curl here")
    command = [curl, "-sS", "--cacert", ca, "--cert", certificate, "--key", key, "-d", BODY]
    done = subprocess.run(
        [*command, f"https://{HOST}:{server.port}{URL}"], capture_output=True, check=True, timeout=60
    )
    return json.loads(done.stdout)


def by_requests(server: Server) -> Any:
    ca, certificate, key = files(server)
    answer = requests.post(
        f"https://{HOST}:{server.port}{URL}", data=BODY, verify=ca, cert=(certificate, key), timeout=30
    )
    assert answer.status_code == 200
    return answer.json()


def by_httpx(server: Server) -> Any:
    ca, certificate, key = files(server)
    context = ssl.create_default_context(cafile=ca)
    context.load_cert_chain(certificate, key)
    with httpx.Client(verify=context) as client:
        answer = client.post(f"https://{HOST}:{server.port}{URL}", content=BODY)
    assert answer.status_code == 200
    return answer.json()


def by_stdlib(server: Server) -> Any:
    ca, certificate, key = files(server)
    context = ssl.create_default_context(cafile=ca)
    context.load_cert_chain(certificate, key)
    request = urllib.request.Request(f"https://localhost:{server.port}{URL}", BODY.encode())
    with urllib.request.urlopen(request, context=context, timeout=30) as answer:
        return json.loads(answer.read())


@pytest.mark.parametrize("call", [by_curl, by_requests, by_httpx, by_stdlib])
def test_stock_client_gets_the_models_answer(served: Server, call: Callable[[Server], Any]) -> None:
    answer = call(served)
    assert answer["model_name"] == "linear"
    (output,) = answer["outputs"]
    assert output["shape"] == [2, 1]
    np.testing.assert_allclose(output["data"], expected(), rtol=1e-6)


def test_curl_without_certificate_learns_nothing(served: Server) -> None:
    ca, _, _ = files(served)
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("no curl here")
    base = f"https://{HOST}:{served.port}"
    for path, status in (("/livez", "200"), ("/readyz", "200"), ("/v2", "401"), ("/v2/models/linear", "401")):
        command = [curl, "-sS", "--cacert", ca, "-w", "\n%{http_code}", f"{base}{path}"]
        body, _, code = subprocess.run(
            command, capture_output=True, check=True, timeout=60, text=True
        ).stdout.rpartition("\n")
        assert code == status
        assert "linear" not in body


def test_older_tls_and_plain_http_are_refused(served: Server, tmp_path: Path) -> None:
    ca, certificate, key = files(served)
    context = ssl.create_default_context(cafile=ca)
    context.load_cert_chain(certificate, key)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with httpx.Client(verify=context) as client, pytest.raises(httpx.ConnectError):
        client.get(f"https://{HOST}:{served.port}/livez")
    with pytest.raises(httpx.HTTPError):
        httpx.get(f"http://{HOST}:{served.port}/livez")

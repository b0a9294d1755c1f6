"""Calls a served model over TLS 1.3 with a client certificate; needs nothing but this file's imports."""

import base64
import http.client
import os
import secrets
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import orjson

from strongroom.errors import (
    DeniedError,
    InvalidError,
    OutageError,
    RejectedError,
    StrongroomError,
    shorten,
)

DEFAULT_URL = "https://localhost:8443"
MAX_ANSWER_BYTES = 256 * 2**20
NONCE_BYTES = 16
_FAMILIES: tuple[type[StrongroomError], ...] = (InvalidError, DeniedError, RejectedError, OutageError)
_NUMERIC_SCALARS = (bool, int, float, str)


@dataclass(frozen=True, slots=True)
class Prediction:
    """The answer to one `Client.predict`."""

    model: str
    version: str
    outputs: dict[str, list[Any]]
    """By output name: nested lists, rows first."""
    record: str
    """Where the answer's record stands: ``<journal>-<batch>-<index>``."""
    evidence: dict[str, Any] | None
    """Receipt with the request and the answer it is about, for `receipt verify`; None unless asked for."""

    def rows(self) -> list[dict[str, Any]]:
        """One object a row, by output name."""
        names = list(self.outputs)
        return [dict(zip(names, row, strict=True)) for row in zip(*self.outputs.values(), strict=True)]


class Client:
    """One connection to a gateway. Not thread-safe: make one a thread.

    ``certificate`` and ``key`` are paths of PEM files, ``ca`` that of the home's ``ca.pem``.
    """

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        ca: str | Path,
        certificate: str | Path,
        key: str | Path | None = None,
        timeout_s: float = 30.0,
    ) -> None:
        """Raises InvalidError if the address or one of the files is unusable."""
        host, port = _parse_url(url)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        try:
            context.load_verify_locations(cafile=str(ca))
            context.load_cert_chain(str(certificate), str(key) if key else None)
        except (OSError, ssl.SSLError) as error:
            raise InvalidError(f"certificate: {shorten(error)}") from None
        self.url = url
        self._connection = http.client.HTTPSConnection(host, port, timeout=timeout_s, context=context)
        self._metadata: dict[str, dict[str, Any]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._connection.close()

    def is_ready(self, model: str | None = None) -> bool:
        """Whether the gateway, or one model on it, would answer now."""
        path = f"{_model_path(model)}/ready" if model else "/v2/health/ready"
        try:
            return self._call("GET", path)[0] == http.HTTPStatus.OK
        except OutageError:
            return False

    def metadata(self, model: str) -> dict[str, Any]:
        """Inputs and outputs of ``model`` (``family`` or ``family@version``), as the gateway says."""
        if model not in self._metadata:
            self._metadata[model] = self._json("GET", _model_path(model))[0]
        return self._metadata[model]

    def predict(
        self, model: str, rows: Sequence[Any], *, receipt: bool = False, timeout_ms: int | None = None
    ) -> Prediction:
        """Predict for ``rows``: objects by input name, or plain lists for a model of one input.

        Raises:
            InvalidError: the rows do not fit the model; the message says which input.
            DeniedError: this certificate may not call this model, or it does not exist.
            OutageError: the gateway is away, full, or was too slow; worth a retry.
        """
        inputs = rows_to_inputs(self.metadata(model)["inputs"], rows)
        request: dict[str, Any] = {"inputs": inputs}
        if timeout_ms is not None:
            request["parameters"] = {"timeout": timeout_ms * 1000}
        return self.infer(model, request, receipt=receipt)

    def infer(self, model: str, request: Mapping[str, Any], *, receipt: bool = False) -> Prediction:
        """Send a request of the Open Inference Protocol v2 as it is; see `predict` for what is raised."""
        path = f"{_model_path(model)}/infer"
        body = orjson.dumps(request)
        headers = {}
        nonce = ""
        if receipt:
            nonce = secrets.token_hex(NONCE_BYTES)
            headers = {"Strongroom-Receipt": "inline", "Strongroom-Nonce": nonce}
        answer, raw, received = self._json("POST", path, body, headers)
        evidence = None
        if receipt:
            evidence = _evidence(path, nonce, body, raw, received.get("Strongroom-Receipt"))
        outputs = {tensor["name"]: _nest(tensor["data"], tensor["shape"]) for tensor in answer["outputs"]}
        return Prediction(
            answer["model_name"],
            answer.get("model_version", ""),
            outputs,
            received.get("Strongroom-Record", ""),
            evidence,
        )

    def _json(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[Any, bytes, http.client.HTTPMessage]:
        status, received, raw = self._call(method, path, body, headers)
        try:
            answer = orjson.loads(raw)
        except orjson.JSONDecodeError:
            raise OutageError(f"gateway: status {status} without a JSON body") from None
        if status != http.HTTPStatus.OK:
            raise _failure(status, answer)
        return answer, raw, received

    def _call(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        """One exchange; a connection that the gateway closed while idle is opened again once."""
        for attempt in (1, 2):
            fresh = self._connection.sock is None
            try:
                self._connection.request(method, path, body, dict(headers or {}))
                response = self._connection.getresponse()
                raw = response.read(MAX_ANSWER_BYTES + 1)
            except (http.client.HTTPException, OSError) as error:
                self._connection.close()
                # A request whose connection was already gone was not heard; any other may have been.
                if attempt == 1 and not fresh and isinstance(error, http.client.RemoteDisconnected):
                    continue
                raise _unreachable(self.url, error) from None
            if len(raw) > MAX_ANSWER_BYTES:
                raise OutageError("gateway: answer is too large")
            return response.status, response.headers, raw
        raise AssertionError("unreachable")


def rows_to_inputs(tensors: Sequence[Mapping[str, Any]], rows: Sequence[Any]) -> list[dict[str, Any]]:
    """Turn rows into the tensors of an inference request.

    Raises:
        InvalidError: no rows, an unknown or missing input, or lists for a model of several inputs.
    """
    if not isinstance(rows, list | tuple) or not rows:
        raise InvalidError("rows: must be a list with at least one row")
    names = [tensor["name"] for tensor in tensors]
    if not isinstance(rows[0], Mapping):
        if len(names) != 1:
            raise InvalidError(
                f"rows: the model has {len(names)} inputs, so each row must be an object",
                hint=f"inputs: {', '.join(names)}",
            )
        rows = [{names[0]: row} for row in rows]
    for number, row in enumerate(rows):
        if not isinstance(row, Mapping) or set(row) != set(names):
            raise InvalidError(
                f"rows: row {number} must have exactly the inputs of the model",
                hint=f"inputs: {', '.join(names)}",
            )
    return [_column(tensor, [row[tensor["name"]] for row in rows]) for tensor in tensors]


def _parse_url(url: str) -> tuple[str, int]:
    """Return host and port. Raises InvalidError: no https address, or no name that can be looked up."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or 443
        host.encode("idna")
    except ValueError:
        host, port = "", 0
    if not host or " " in host or not host.isprintable() or not url.lower().startswith("https://"):
        raise InvalidError(f"url: {shorten(url)} is not an https address")
    return host, port


def _column(tensor: Mapping[str, Any], values: list[Any]) -> dict[str, Any]:
    rank = len(tensor["shape"])
    if rank == 2 and isinstance(values[0], _NUMERIC_SCALARS):
        values = [[value] for value in values]
    shape = []
    level: Any = values
    while isinstance(level, list | tuple):
        shape.append(len(level))
        level = level[0] if level else None
    return {"name": tensor["name"], "datatype": tensor["datatype"], "shape": shape, "data": values}


def _nest(data: list[Any], shape: list[int]) -> list[Any]:
    for width in reversed(shape[1:]):
        data = [data[start : start + width] for start in range(0, len(data), width)] if width else []
    return data


def _model_path(model: str) -> str:
    family, _, version = model.partition("@")
    return f"/v2/models/{family}/versions/{version}" if version else f"/v2/models/{family}"


def _evidence(path: str, nonce: str, body: bytes, answer: bytes, receipt: str | None) -> dict[str, Any]:
    if receipt is None:
        raise RejectedError("receipt: the gateway sent none")
    return {
        "format": "strongroom-evidence-1",
        "request": {
            "method": "POST",
            "path": path,
            "nonce": nonce,
            "body": base64.b64encode(body).decode(),
        },
        "answer": {"status": 200, "body": base64.b64encode(answer).decode()},
        "receipt": receipt,
    }


def _failure(status: int, answer: Any) -> StrongroomError:
    message = shorten(answer.get("error", "") if isinstance(answer, dict) else "", 300).strip("'\"")
    for family in _FAMILIES:
        if family.http_status == status:
            return family(f"gateway: {message}")
    match status:
        case 401 | 404:
            return DeniedError(f"gateway: {message}")
        case 429 | 500 | 502 | 504:
            return OutageError(f"gateway: {message}")
    return InvalidError(f"gateway: {message}")


def _unreachable(url: str, error: Exception) -> StrongroomError:
    if isinstance(error, ssl.SSLCertVerificationError):
        return RejectedError(f"{url}: server certificate does not verify: {error.verify_message}")
    if isinstance(error, ssl.SSLError):
        return DeniedError(f"{url}: TLS refused: {shorten(error.reason)}")
    if isinstance(error, OSError) and error.strerror:
        return OutageError(f"{url}: {error.strerror.lower()}", hint="is it serving? see: strongroom status")
    return OutageError(f"{url}: closed the connection")


def memory_file(content: bytes) -> tuple[str, int]:
    """Put ``content`` into memory under a path that OpenSSL can open; the caller closes the descriptor."""
    descriptor = os.memfd_create("credential", os.MFD_CLOEXEC)
    os.write(descriptor, content)
    return f"/proc/self/fd/{descriptor}", descriptor

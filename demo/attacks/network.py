"""Attacks over the network: wrong, foreign, expired and missing credentials, old TLS, malformed tensors."""

import http.client
import json
import ssl
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from demo.deployment import CALLER, HOST, PUBLISHER, STRANGER, Deployment
from demo.stage import Outcome, Stage
from strongroom.adapters.entropy import SystemEntropy
from strongroom.adapters.identity.mtls import BuiltInAuthority, build_ca
from strongroom.adapters.keys.memory import MemoryKeyProvider
from strongroom.errors import StrongroomError
from strongroom.flows.vault import CA_KEY, identity_key
from strongroom.sdk.home import verify_receipt
from strongroom.values import KeyUri

GRANT_S = 3
INFER = "/v2/models/tumour/infer"
COLUMNS = 30


def play(stage: Stage, deployment: Deployment, folder: Path) -> None:
    stage.act("the network", "a gateway on TLS 1.3 that wants a certificate")
    row = deployment.rows("fraud")[:1]
    with stage.step(f"{CALLER} predicts, and verifies the receipt offline") as note:
        _predict(deployment, note)

    def refused(name: str, credentials: Callable[[ssl.SSLContext], None] | None, body: bytes = b"{}") -> None:
        stage.attack(name, lambda: _post(deployment, credentials, body))

    refused("call without a certificate", None)
    refused("call with a certificate of another CA", lambda context: _foreign(deployment, context, folder))
    refused("call with an expired certificate", lambda context: _expired(deployment, context, folder))
    stage.attack("call as an identity without a grant", lambda: _call_as(deployment, STRANGER, row))
    stage.attack("go on calling after the grant has ended", lambda: _outlive(deployment, row))
    stage.attack("speak TLS 1.2", lambda: _old_tls(deployment))
    own = lambda context: _load(context, deployment, CALLER)  # noqa: E731
    good = {"name": "x", "datatype": "FP32", "shape": [1, COLUMNS], "data": [1.0] * COLUMNS}
    refused("send a tensor with a negative dimension", own, _body({**good, "shape": [-1, COLUMNS]}))
    refused("send a shape that overflows", own, _body({**good, "shape": [2**60, COLUMNS]}))
    refused(
        "send not-a-number",
        own,
        _body({**good, "data": [float("nan")] * COLUMNS}),
    )
    refused("send deeply nested JSON", own, b'{"inputs":' + b"[" * 10_000 + b"]" * 10_000 + b"}")
    refused(
        "send a tensor of another type", own, _body({**good, "datatype": "BYTES", "data": ["x"] * COLUMNS})
    )


def _predict(deployment: Deployment, note: Callable[[str], None]) -> None:
    with deployment.client(CALLER) as client:
        answer = client.predict("fraud", deployment.rows("fraud"), receipt=True)
    note(f"{len(answer.rows())} rows answered by {answer.model}@{answer.version}, record {answer.record}")
    facts = verify_receipt(answer.evidence or {}, deployment.home / "trust.json")
    note(f"receipt: {facts.context['model']} answered {facts.context['who']} at {facts.at:%H:%M:%S}")


def _post(
    deployment: Deployment, credentials: Callable[[ssl.SSLContext], None] | None, body: bytes
) -> Outcome:
    context = ssl.create_default_context(cafile=str(deployment.home / "ca.pem"))
    if credentials is not None:
        credentials(context)
    connection = http.client.HTTPSConnection(HOST, deployment.port, context=context, timeout=10)
    try:
        connection.request("POST", INFER, body)
        answer = connection.getresponse()
        text = answer.read(400).decode(errors="replace")
    except ssl.SSLError as error:
        return Outcome(True, f"TLS: {error.reason or error.args[-1]}", _after_tick(deployment))
    except OSError as error:
        return Outcome(True, f"connection closed: {error}", _after_tick(deployment))
    finally:
        connection.close()
    return Outcome(answer.status >= 400, f"{answer.status} {text}", _after_tick(deployment))


def _after_tick(deployment: Deployment) -> str:
    time.sleep(1.2)  # refused handshakes are recorded once a second, so that they cannot flood the journal
    return deployment.newest_request()


def _call_as(deployment: Deployment, identity: str, row: list[object]) -> Outcome:
    with deployment.client(identity) as client:
        try:
            client.predict("fraud", row)
        except StrongroomError as error:
            return Outcome(True, error.message, deployment.newest_request())
    return Outcome(False, "it was answered")


def _outlive(deployment: Deployment, row: list[object]) -> Outcome:
    alice = deployment.as_(PUBLISHER)
    alice.grant(STRANGER, "consumer", "fraud", duration=timedelta(seconds=GRANT_S), reason="three seconds")
    with deployment.client(STRANGER) as client:
        deadline = time.monotonic() + GRANT_S
        answered = 0
        while time.monotonic() < deadline:
            try:
                client.predict("fraud", row)
                answered += 1
            except StrongroomError:
                pass  # the gateway has not heard of the grant yet
            time.sleep(0.1)
        if not answered:
            return Outcome(False, "the grant never took effect, so nothing is shown")
        time.sleep(0.2)
        try:
            client.predict("fraud", row)
        except StrongroomError as error:
            seen = f"answered {answered} times on one connection, then: {error.message}"
            return Outcome(True, seen, deployment.newest_request())
    return Outcome(False, "it was still answered")


def _old_tls(deployment: Deployment) -> Outcome:
    def only_old(context: ssl.SSLContext) -> None:
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2

    return _post(deployment, only_old, b"{}")


def _foreign(deployment: Deployment, context: ssl.SSLContext, folder: Path) -> None:
    """A CA that calls itself exactly as ours does."""
    keys = MemoryKeyProvider()
    now = datetime.now(UTC)
    domain = deployment.as_(PUBLISHER).vault.trust_root.trust_domain
    signer = keys.create_signer(KeyUri("file:ca"), "ecdsa-p256")
    authority = BuiltInAuthority(
        build_ca(signer, domain, now, SystemEntropy()), domain, signer, SystemEntropy()
    )
    mine = keys.create_signer(KeyUri("file:id/carol"), "ecdsa-p256")
    issued = authority.issue_client(CALLER, mine.public_pem, now, 3600)
    path = folder / "foreign.pem"
    path.write_bytes(issued.certificate_pem + keys.private_pem(KeyUri("file:id/carol")))
    context.load_cert_chain(path)


def _expired(deployment: Deployment, context: ssl.SSLContext, folder: Path) -> None:
    """A certificate of a genuine caller, signed by the genuine CA, that ended yesterday."""
    vault = deployment.as_(PUBLISHER).unlock()
    signers, domain = vault.require_signers(), vault.trust_root.trust_domain
    then = datetime.now(UTC) - timedelta(days=2)
    ca = signers.signer(CA_KEY)
    authority = BuiltInAuthority(build_ca(ca, domain, then, SystemEntropy()), domain, ca, SystemEntropy())
    key = identity_key(CALLER)
    issued = authority.issue_client(CALLER, signers.signer(key).public_pem, then, 86_400)
    path = folder / "expired.pem"
    path.write_bytes(issued.certificate_pem + vault.require_tls_keys().private_pem(key))
    context.load_cert_chain(path)


def _load(context: ssl.SSLContext, deployment: Deployment, identity: str) -> None:
    folder = deployment.exports / identity
    context.load_cert_chain(folder / f"{identity}.pem", folder / f"{identity}.key")


def _body(tensor: dict[str, object]) -> bytes:
    return json.dumps({"inputs": [tensor]}).encode()

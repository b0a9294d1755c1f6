"""Who may ask what: default deny on every route, to the second, and nothing to learn from a refusal."""

import re
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID

from strongroom.serve.gateway.routes import ROUTES, Route, find_route
from strongroom.values import format_time
from tests.serve.gateway_certificates import Authority, Leaf
from tests.serve.gateway_harness import FRAUD, SCHEMA, Harness, Response, infer_body, running

GOOD_BODY = infer_body([[1, 2, 3]])
PUBLIC = {"/livez", "/readyz", "/v2/health/live", "/v2/health/ready"}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harness]:
    with running(tmp_path_factory.mktemp("gateway")) as harness:
        harness.models.append(harness.model("hidden@1.0.0", SCHEMA))
        yield harness.serve()


def visit(harness: Harness, method: str, path: str, who: str) -> Response:
    leaf = {"alice": harness.alice, "bob": harness.bob, "nobody": None}[who]
    with harness.client(leaf) as client:
        return client.ask(method, path, GOOD_BODY if method == "POST" else b"")


# -- every route -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_every_route_is_denied_by_default(gateway: Harness, route: Route) -> None:
    """Walks the route table: only liveness and readiness answer without a certificate."""
    path = route.path.replace("{model}", "fraud").replace("{version}", "1.2.0")
    method = route.method
    stranger = visit(gateway, method, path, "nobody").status
    assert stranger == (200 if path in PUBLIC else 401)
    assert visit(gateway, method, path, "alice").status == 200
    if "models" in path:
        assert visit(gateway, method, path, "bob").status == 404
    assert route.public == (path in PUBLIC)
    assert ("{model}" in route.path) == (route.action is not None)


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/metrics",
        "/docs",
        "/openapi.json",
        "/invocations",
        "/ping",
        "/v1/models/fraud:predict",
        "/v2/repository/index",
        "/v2/repository/models/fraud/load",
        "/v2/repository/models/fraud/unload",
        "/v2/systemsharedmemory/status",
        "/v2/cudasharedmemory/status",
        "/v2/trace/setting",
        "/v2/logging",
        "/v2/models/stats",
        "/v2/models/fraud/stats",
        "/v2/models/fraud/config",
        "/v2/models/fraud/generate",
        "/v2/models/fraud/explain",
        "/V2/health/live",
        "/livez/x",
        "/v2/models/fraud/versions/1.2.0/versions/1.2.0",
    ],
)
def test_what_is_not_in_the_table_does_not_exist(gateway: Harness, path: str) -> None:
    for method in ("GET", "POST"):
        assert visit(gateway, method, path, "nobody").status == 401
        assert visit(gateway, method, path, "alice").status == 404


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"])
def test_other_methods_do_nothing(gateway: Harness, method: str) -> None:
    with gateway.client(gateway.alice) as client:
        client.send(f"{method} /v2/models/fraud/infer HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        assert client.receive().status == 404


def test_head_gets_no_body_that_would_be_taken_for_the_next_answer(gateway: Harness) -> None:
    with gateway.client(gateway.alice) as client:
        client.send(b"HEAD /v2 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        head = client.socket.recv(4096)
        assert head.startswith(b"HTTP/1.1 404 ")
        assert head.endswith(b"\r\n\r\n")
        assert client.ask("GET", "/v2").status == 200


@pytest.mark.parametrize(
    "target",
    [
        "//livez",
        "/livez/",
        "/v2/models/fraud/infer/",
        "/.well-known/jwks.json",
        "/v2//health/live",
        "/livez/../v2/models/fraud",
        "/v2/health/live/..%2f..%2fmodels/fraud",
        "/livez/./../v2",
        "/%6civez",
        "/livez%00",
        "/livez?x=1",
        "/livez;x",
        "/livez#x",
        "http://localhost/livez",
        "livez",
        "*",
        "/v2/models/fraud%2f../infer",
        "/v2/models/fraud\\infer",
        "/v2/models/ＦＲＡＵＤ/infer",
        "/v2/models/.../infer",
        "/v2/models/../models/fraud",
        "/a" * 300,
    ],
)
def test_path_tricks_are_refused_for_everyone(gateway: Harness, target: str) -> None:
    for leaf in (None, gateway.alice):
        with gateway.client(leaf) as client:
            client.send(f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            assert client.receive().status in (400, 414)
            assert client.ends()


# -- nothing to learn ------------------------------------------------------------------------------------


def normalized(response: Response) -> tuple[int, dict[str, str], bytes]:
    headers = dict(response.headers)
    headers["strongroom-record"] = re.sub(r"-\d+-\d+$", "", headers["strongroom-record"])
    return response.status, headers, response.body


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v2/models/{}/infer"),
        ("POST", "/v2/models/{}/versions/1.0.0/infer"),
        ("GET", "/v2/models/{}"),
        ("GET", "/v2/models/{}/ready"),
    ],
)
def test_unknown_and_forbidden_look_the_same(gateway: Harness, method: str, path: str) -> None:
    forbidden = normalized(visit(gateway, method, path.format("hidden"), "alice"))
    for unknown in ("nowhere", "HIDDEN", "hidden2", "hidden@1.0.0", "-", "a" * 300):
        assert normalized(visit(gateway, method, path.format(unknown), "alice")) == forbidden


def test_a_forbidden_model_does_not_judge_the_body(gateway: Harness) -> None:
    with gateway.client(gateway.alice) as client:
        good = client.ask("POST", "/v2/models/hidden/infer", GOOD_BODY)
        bad = client.ask("POST", "/v2/models/hidden/infer", b"{")
    assert normalized(good) == normalized(bad)


def test_an_unknown_version_of_a_known_model_is_not_found(gateway: Harness) -> None:
    for version in ("1.2.1", "1.2", "v1.2.0", "latest", "1.2.0-rc.1"):
        assert visit(gateway, "POST", f"/v2/models/fraud/versions/{version}/infer", "alice").status == 404


def test_errors_say_nothing_of_the_inside(gateway: Harness) -> None:
    with gateway.client(gateway.alice) as client:
        response = client.ask("POST", "/v2/models/fraud/infer", b'{"inputs": 3}')
    assert set(response.headers) == {"content-type", "content-length", "strongroom-record"}
    assert not re.search(rb"python|numpy|onnx|/home|/work|traceback|0x", response.body, re.IGNORECASE)


# -- certificates ----------------------------------------------------------------------------------------


def is_refused_in_the_handshake(harness: Harness, leaf: Leaf) -> bool:
    try:
        with harness.client(leaf) as client:
            client.ask("GET", "/livez")
    except (ssl.SSLError, EOFError, ConnectionError):
        return True
    return False


def test_bad_certificates_fail_the_handshake(gateway: Harness, tmp_path: Path) -> None:
    other = Authority(tmp_path, "other CA")
    ours = gateway.authority
    assert is_refused_in_the_handshake(gateway, other.client("alice"))
    assert is_refused_in_the_handshake(gateway, ours.client("alice", end=timedelta(seconds=-1)))
    assert is_refused_in_the_handshake(
        gateway, ours.client("alice", start=timedelta(hours=1), end=timedelta(hours=2))
    )
    assert is_refused_in_the_handshake(gateway, ours.client("alice", usage=ExtendedKeyUsageOID.SERVER_AUTH))
    assert not is_refused_in_the_handshake(gateway, gateway.alice)


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "spiffe://other.domain/id/alice",
        "spiffe://test.strongroom/id/ALICE",
        "spiffe://test.strongroom/ns/alice",
        "https://test.strongroom/id/alice",
        "spiffe://test.strongroom/id/alice/",
    ],
)
def test_a_certificate_without_our_name_in_it_is_nobody(gateway: Harness, uri: str) -> None:
    with gateway.client(gateway.authority.client("alice", uri=uri)) as client:
        assert client.infer([[1, 2, 3]]).status == 401
        assert client.ends()


def test_a_valid_certificate_that_the_log_does_not_know_is_nobody(gateway: Harness) -> None:
    with gateway.client(gateway.authority.client("alice")) as client:
        assert client.infer([[1, 2, 3]]).status == 401


def test_old_tls_and_plain_http_get_nothing(gateway: Harness) -> None:
    with pytest.raises((ssl.SSLError, ConnectionError)):
        gateway.client(gateway.alice, version=ssl.TLSVersion.TLSv1_2)
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as plain:
        plain.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"HTTP" not in plain.recv(4096)


def test_sessions_are_not_resumed(gateway: Harness) -> None:
    with gateway.client(gateway.alice) as client:
        client.ask("GET", "/livez")
        session = client.socket.session
        assert session is None or not session.has_ticket


def test_http_2_is_not_negotiated(gateway: Harness) -> None:
    with gateway.client(gateway.alice) as client:
        client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        assert client.receive().status in (400, 505)


# -- what changes while a connection is open -------------------------------------------------------------


def test_revocation_reaches_open_connections(tmp_path: Path) -> None:
    with running(tmp_path) as harness:
        harness.serve()
        with harness.client(harness.alice) as client:
            assert client.infer([[1, 2, 3]]).status == 200
            harness.push_snapshot(identities=[harness.identity("alice", harness.alice, revoked=True)])
            assert eventually(lambda: client.infer([[1, 2, 3]]).status) == 401


def test_a_revoked_serial_is_out_while_its_successor_is_in(tmp_path: Path) -> None:
    with running(tmp_path) as harness:
        harness.serve()
        renewed = harness.authority.client("alice")
        harness.identities = [harness.identity("alice", renewed)]
        harness.push_snapshot()
        with harness.client(renewed) as client:
            assert eventually(lambda: client.infer([[1, 2, 3]]).status, 200) == 200
        with harness.client(harness.alice) as client:
            assert client.infer([[1, 2, 3]]).status == 401


def test_a_serial_of_another_identity_is_not_believed(tmp_path: Path) -> None:
    with running(tmp_path) as harness:
        harness.identities = [harness.identity("alice", harness.bob), harness.identity("bob", harness.alice)]
        harness.serve()
        with harness.client(harness.alice) as client:
            assert client.infer([[1, 2, 3]]).status == 401


def test_a_revoked_grant_reaches_open_connections(tmp_path: Path) -> None:
    with running(tmp_path) as harness:
        harness.serve()
        with harness.client(harness.alice) as client:
            assert client.infer([[1, 2, 3]]).status == 200
            harness.push_snapshot(grants=[])
            assert eventually(lambda: client.infer([[1, 2, 3]]).status) == 404


def test_a_grant_ends_by_itself_and_begins_by_itself(tmp_path: Path) -> None:
    with running(tmp_path) as harness:
        now = datetime.now(UTC)
        first = harness.grant("alice", "consumer", "fraud", end=timedelta(seconds=3))
        second = harness.grant("alice", "consumer", "fraud", start=timedelta(seconds=5))
        harness.grants = [first, second]
        harness.serve()
        seen: list[tuple[float, int]] = []
        with harness.client(harness.alice) as client:
            while (datetime.now(UTC) - now).total_seconds() < 6:
                before = (datetime.now(UTC) - now).total_seconds()
                seen.append((before, client.infer([[1, 2, 3]]).status))
                time.sleep(0.02)
        # Times are those just before sending; what was sent within a second of a change says nothing.
        assert {status for at, status in seen if at < 2} == {200}
        assert {status for at, status in seen if 3.1 < at < 4} == {404}
        assert {status for at, status in seen if at > 5.2} == {200}


def test_a_certificate_that_expires_ends_on_an_open_connection(tmp_path: Path) -> None:
    with running(tmp_path) as harness:
        short = harness.authority.client("alice", end=timedelta(seconds=3))
        harness.identities = [harness.identity("alice", short)]
        harness.serve()
        with harness.client(short) as client:
            assert client.infer([[1, 2, 3]]).status == 200
            time.sleep(3.5)
            assert client.infer([[1, 2, 3]]).status == 401


def test_a_stale_snapshot_stops_everything_but_liveness(tmp_path: Path) -> None:
    with running(tmp_path) as harness:
        harness.max_age_s = 1.0
        harness.serve()
        time.sleep(1.5)
        with harness.client(harness.alice) as client:
            assert client.infer([[1, 2, 3]]).status == 503
            assert client.ask("GET", "/readyz").status == 503
            assert client.ask("GET", "/livez").status == 200
            harness.max_age_s = 60.0
            harness.push_snapshot()
            assert eventually(lambda: client.infer([[1, 2, 3]]).status, 200) == 200


def test_an_older_snapshot_does_not_bring_a_grant_back(tmp_path: Path) -> None:
    with running(tmp_path) as harness:
        harness.serve()
        harness.push_snapshot(grants=[])
        harness.push_snapshot(number=1)
        assert "older" in harness.wait_for("refused")["message"]
        with harness.client(harness.alice) as client:
            assert client.infer([[1, 2, 3]]).status == 404


@pytest.mark.parametrize(
    "changes",
    [
        {"surprise": 1},
        {"grants": [{}]},
        {"grants": None},
        {"models": [{"model": "x"}]},
        {"time": "yesterday"},
        {"identities": [{"name": "alice"}]},
    ],
)
def test_a_malformed_snapshot_changes_nothing(tmp_path: Path, changes: dict[str, object]) -> None:
    with running(tmp_path) as harness:
        harness.serve()
        harness.push_snapshot(**changes)
        harness.wait_for("refused")
        with harness.client(harness.alice) as client:
            assert client.infer([[1, 2, 3]]).status == 200


def test_a_clock_that_the_log_has_seen_ahead_ends_grants(tmp_path: Path) -> None:
    """The gateway's clock may be set back; the time in a snapshot is a floor for it."""
    with running(tmp_path) as harness:
        harness.serve()
        harness.push_snapshot(time=format_time(datetime.now(UTC) + timedelta(hours=2)))
        with harness.client(harness.alice) as client:
            assert eventually(lambda: client.infer([[1, 2, 3]]).status) in (401, 404)


def test_a_withdrawn_model_is_gone(tmp_path: Path) -> None:
    with running(tmp_path) as harness:
        harness.serve()
        with harness.client(harness.alice) as client:
            harness.push_snapshot(models=[])
            assert eventually(lambda: client.infer([[1, 2, 3]]).status) == 404


def test_only_the_default_version_answers_to_the_family(tmp_path: Path) -> None:
    with running(tmp_path) as harness:
        harness.grants = [harness.grant("alice", "consumer", "fraud@1.3.0")]
        harness.models.append(harness.model("fraud@1.3.0", SCHEMA, default=False))
        harness.serve()
        with harness.client(harness.alice) as client:
            assert client.infer([[1, 2, 3]]).status == 404
            response = client.ask("POST", "/v2/models/fraud/versions/1.3.0/infer", GOOD_BODY)
            assert response.json["model_version"] == "1.3.0"


def test_roles_that_are_not_consumers_cannot_predict(tmp_path: Path) -> None:
    with running(tmp_path) as harness:
        harness.grants = [
            harness.grant("alice", role, "*")
            for role in ("admin", "auditor", "deployer", "operator", "owner", "reviewer")
        ]
        harness.serve()
        with harness.client(harness.alice) as client:
            assert client.infer([[1, 2, 3]]).status == 404


def eventually(look: Callable[[], int], until: int | None = None) -> int:
    """Repeat while the answer is 200 (or is not ``until``), while a change travels."""
    status = 0
    for _ in range(200):
        status = look()
        if status == until or (until is None and status != 200):
            break
        time.sleep(0.02)
    return status


def test_the_route_table_knows_no_other_spelling() -> None:
    assert find_route("POST", "/v2/models/fraud/infer") is not None
    for method, target in (
        ("post", "/v2/models/fraud/infer"),
        ("GET", "/v2/models/fraud/infer"),
        ("GET", "/livez\n"),
    ):
        assert find_route(method, target) is None


def test_the_model_in_the_tests_is_the_one_served(gateway: Harness) -> None:
    assert gateway.models[0]["model"] == FRAUD

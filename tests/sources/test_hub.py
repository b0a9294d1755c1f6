"""A model from the Hugging Face Hub, by a stand-in of it: pinned, checked, and no token for anybody else."""

from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from strongroom.adapters.sources import pinned
from strongroom.adapters.sources.address import parse_address
from strongroom.adapters.sources.huggingface import Hub, open_hub
from strongroom.adapters.sources.pinned import PinnedSource
from strongroom.adapters.sources.web import Web
from strongroom.errors import DeniedError, InvalidError, OutageError, RejectedError, StrongroomError
from strongroom.sdk.fetching import open_source
from strongroom.settings import SourceSettings
from tests.sources.servers import COMMIT, HubServer, Server
from tests.sources.test_git import _content

FILES = {"config.json": b"{}", "onnx/räksmörgås 1.txt": b"x"}
LFS = {"onnx/model.onnx": b"weights" * 1000}
TOKEN = "hf" + "_" + "secret"


@pytest.fixture
def server() -> Iterator[HubServer]:
    made = HubServer(FILES, LFS)
    yield made
    made.close()


def _open(
    server: HubServer, reference: str = COMMIT, path: str = "", token: str = "", **more: object
) -> PinnedSource:
    address = parse_address(f"hf:org/model@{reference}{f'#{path}' if path else ''}")
    return open_hub(address, more.get("only", ()), Hub(Web("hf"), server.url, token))  # type: ignore[arg-type]


def test_commit(server: HubServer) -> None:
    source = _open(server)
    assert str(source.provenance) == f"huggingface {server.url}/org/model@{COMMIT}"
    assert source.provenance.facts == {"lfs_files": "1"}
    assert set(source.promised) == set(LFS)
    assert _content(source) == FILES | LFS
    assert _content(_open(server, path="onnx/model.onnx")) == {"model.onnx": LFS["onnx/model.onnx"]}
    assert set(_content(_open(server, only=("*.json",)))) == {"config.json"}


def test_listed_on_many_pages(server: HubServer) -> None:
    server.page = 1
    assert _content(_open(server)) == FILES | LFS


def test_loop_of_pages(server: HubServer) -> None:
    loop = {"Link": f'<{server.url}/api/models/org/model/tree/{COMMIT}?a>; rel="next"'}
    server.override = lambda path: (200, loop, b"[]") if "/tree/" in path else None
    with pytest.raises(RejectedError, match="pages"):
        _open(server)


@pytest.mark.parametrize("reference", ["main", "v1.0"])
def test_moving_revision(server: HubServer, reference: str) -> None:
    with pytest.raises(InvalidError, match="which can move") as refused:
        _open(server, reference)
    assert refused.value.hint == f"it is now hf:org/model@{COMMIT}"
    with pytest.raises(InvalidError, match="which can move"):
        _open(server, "nothing")


def test_private_model(server: HubServer) -> None:
    server.token = TOKEN
    with pytest.raises(DeniedError) as denied:
        _open(server)
    assert "docs/provenance.md" in str(denied.value.hint)
    assert _content(_open(server, token=TOKEN)) == FILES | LFS


def test_token_does_not_follow_a_redirect_to_another_host(server: HubServer) -> None:
    """As the hub sends to its storage: the file is fetched there, the token stays."""
    storage = Server()
    storage.override = lambda path: (200, {}, LFS["onnx/model.onnx"])
    server.storage, server.token = storage, TOKEN
    try:
        assert _content(_open(server, token=TOKEN)) == FILES | LFS
        assert storage.seen
        assert storage.secrets() == []
        assert server.secrets()
    finally:
        storage.close()


def test_token_follows_a_redirect_on_the_same_host(server: HubServer) -> None:
    server.token = TOKEN
    moved = {"Location": f"/org/model/resolve/{COMMIT}/config.json"}
    server.override = lambda path: (307, moved, b"") if path.endswith("other.json") else None
    server.entries = lambda: [  # type: ignore[method-assign]
        {**one, "path": "other.json"} if one["path"] == "config.json" else one
        for one in HubServer.entries(server)
    ]
    assert _content(_open(server, path="other.json", token=TOKEN)) == {"other.json": b"{}"}


@pytest.mark.parametrize(
    "target",
    ["http://example.org/x", "ftp://127.0.0.1/x", "file:///etc/passwd", "https://user:pw@127.0.0.1/x"],
)
def test_redirect_to_where_we_do_not_go(server: HubServer, target: str) -> None:
    server.override = lambda path: (302, {"Location": target}, b"") if "/resolve/" in path else None
    with pytest.raises(StrongroomError):
        _content(_open(server))


def test_loop_of_redirects(server: HubServer) -> None:
    server.override = lambda path: (302, {"Location": path}, b"") if "/resolve/" in path else None
    with pytest.raises(OutageError):
        _content(_open(server))


def test_redirect_from_elsewhere_to_this_machine() -> None:
    import urllib.request

    from strongroom.adapters.sources.web import _Redirects

    request = urllib.request.Request("https://example.org/x")
    for target in (
        "http://127.0.0.1/",
        "https://169.254.169.254/latest",
        "https://localhost/",
        "https://[::1]/",
    ):
        with pytest.raises(RejectedError):
            _Redirects("hf").redirect_request(request, None, 302, "", {}, target)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("onnx/model.onnx", b"weightz" * 1000),
        ("onnx/model.onnx", b"weights" * 1001),
        ("onnx/model.onnx", b"weights" * 999),
        ("config.json", b"[]"),
    ],
)
def test_other_bytes_than_were_listed(server: HubServer, name: str, content: bytes) -> None:
    server.override = lambda path: (200, {}, content) if path.endswith(name) and "/resolve/" in path else None
    with pytest.raises((RejectedError, OutageError)):
        _content(_open(server))


def test_answer_cut_off(server: HubServer) -> None:
    longer = {"Content-Length": "7000", "Connection": "close"}
    server.override = lambda path: (200, longer, b"weights") if path.endswith("model.onnx") else None
    with pytest.raises(OutageError):
        _content(_open(server))


def test_packed_answer_is_not_unpacked(server: HubServer) -> None:
    server.override = lambda path: (200, {"Content-Encoding": "gzip"}, b"x") if "/resolve/" in path else None
    with pytest.raises(RejectedError, match="packed"):
        _content(_open(server))


def test_hub_that_answers_for_another_commit(server: HubServer) -> None:
    other = orjson.dumps({"sha": "ff" * 20})
    server.override = lambda path: (200, {}, other) if "/revision/" in path else None
    with pytest.raises(RejectedError, match="another commit"):
        _open(server)


@pytest.mark.parametrize(
    "entry",
    [
        {"type": "file", "path": "a", "size": 1},
        {"type": "file", "path": "a", "size": 1, "oid": "main"},
        {"type": "file", "path": "a", "size": -1, "oid": "ab" * 20},
        {"type": "file", "path": "../a", "size": 1, "oid": "ab" * 20},
        {"type": "file", "path": "/a", "size": 1, "oid": "ab" * 20},
        {"type": "file", "path": "a", "size": 1, "oid": "ab" * 20, "lfs": {"oid": "x", "size": 1}},
        {"type": "file", "path": "a", "size": 1, "oid": "ab" * 20, "lfs": {"size": 1}},
        {"type": "file", "path": "config.json", "size": 1, "oid": "ab" * 20},
        {"type": "link", "path": "a"},
        ["a"],
    ],
)
def test_listing_that_lies(server: HubServer, entry: object) -> None:
    whole = [*server.entries(), entry]
    server.override = lambda path: (200, {}, orjson.dumps(whole)) if "/tree/" in path else None
    with pytest.raises(RejectedError):
        _open(server)


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"sha": 1}', b"[" * 100_000])
def test_answers_that_are_none(server: HubServer, body: bytes) -> None:
    server.override = lambda path: (200, {}, body)
    with pytest.raises(OutageError):
        _open(server)


def test_answer_without_end(server: HubServer) -> None:
    server.override = lambda path: (200, {}, b" " * (33 * 2**20))
    with pytest.raises(RejectedError, match="more than"):
        _open(server)


@pytest.mark.parametrize(
    ("status", "kind"), [(404, InvalidError), (403, DeniedError), (500, OutageError), (429, OutageError)]
)
def test_statuses(server: HubServer, status: int, kind: type[StrongroomError]) -> None:
    server.override = lambda path: (status, {}, b"")
    with pytest.raises(kind):
        _open(server)


def test_file_larger_than_memory(server: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pinned, "find_room", lambda: 6000)
    with pytest.raises(OutageError, match="7000 bytes of memory, 6000 are free"):
        _content(_open(server))
    assert not any("/resolve/" in path and "model.onnx" in path for path, _ in server.seen)


def test_silent_server(server: HubServer) -> None:
    server.close()
    with pytest.raises(OutageError, match="does not answer"):
        _open(server)


@pytest.mark.parametrize(
    "text", ["hf:org/model", "hf:@" + COMMIT, "hf:../x@" + COMMIT, "hf:a/b/c@" + COMMIT, "hf:a/b?x@" + COMMIT]
)
def test_addresses_that_are_none(text: str) -> None:
    with pytest.raises(InvalidError):
        parse_address(text)


def test_token_of_a_file_or_the_environment(
    server: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.token = TOKEN
    address = f"hf:org/model@{COMMIT}"
    settings = SourceSettings(hf_endpoint=server.url)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.delenv("HF_TOKEN_PATH", raising=False)
    with pytest.raises(DeniedError):
        open_source(address, (), settings, tmp_path)
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    file.chmod(0o644)
    given = settings.model_copy(update={"hf_token_file": "token"})
    with pytest.raises(InvalidError, match="open to others"):
        open_source(address, (), given, tmp_path)
    file.chmod(0o600)
    open_source(address, (), given, tmp_path).close()
    monkeypatch.setenv("HF_TOKEN_PATH", str(file))
    open_source(address, (), settings, tmp_path).close()
    monkeypatch.setenv("HF_TOKEN", "two words")
    with pytest.raises(InvalidError, match="holds no token"):
        open_source(address, (), settings, tmp_path)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    open_source(address, (), settings, tmp_path).close()
    with pytest.raises((InvalidError, RejectedError)):
        open_source(address, (), SourceSettings(hf_endpoint="http://example.org"), tmp_path)

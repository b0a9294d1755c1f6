"""A model from an OCI registry, by a stand-in of one: ModelPack and ORAS layers, archives, logins, lies."""

import base64
import gzip
import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
import zstandard

from strongroom.adapters.sources import oci_layers
from strongroom.adapters.sources.address import parse_address
from strongroom.adapters.sources.oci import open_registry
from strongroom.adapters.sources.oci_login import Registry, find_login
from strongroom.adapters.sources.pinned import PinnedSource
from strongroom.adapters.sources.web import Web, build_basic
from strongroom.errors import DeniedError, InvalidError, OutageError, RejectedError
from tests.sources.servers import RegistryServer, Server
from tests.sources.test_git import _content

MODEL = b"weights" * 1000
RAW = "application/vnd.cncf.model.weight.v1.raw"
TAR = "application/vnd.cncf.model.weight.v1.tar"
LOGIN = "ada:open" + "sesame"


@pytest.fixture
def server() -> Iterator[RegistryServer]:
    made = RegistryServer()
    yield made
    made.close()


def _open(server: RegistryServer, reference: str, path: str = "", login: str = "") -> PinnedSource:
    between = "@" if ":" in reference else ":"
    address = parse_address(
        f"oci:127.0.0.1:{server.port}/team/model{between}{reference}{f'#{path}' if path else ''}"
    )
    registry = Registry(Web("oci"), f"127.0.0.1:{server.port}", "team/model", login)
    return open_registry(address, (), registry)


def _tar(files: dict[str, bytes], *odd: tarfile.TarInfo) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        for member in odd:
            archive.addfile(member)
    return file.getvalue()


def test_modelpack_and_oras_layers(server: RegistryServer) -> None:
    digest = server.push(
        [
            server.layer(MODEL, RAW, path="model.onnx"),
            server.layer(b"{}", "text/plain", title="docs/config.json"),
        ]
    )
    source = _open(server, digest)
    assert source.provenance.revision == digest
    assert source.provenance.facts == {"artifact_type": "application/vnd.cncf.model.manifest.v1+json"}
    assert set(source.promised) == {"model.onnx", "docs/config.json"}
    assert _content(source) == {"model.onnx": MODEL, "docs/config.json": b"{}"}
    assert _content(_open(server, digest, "docs")) == {"config.json": b"{}"}


@pytest.mark.parametrize(
    ("ending", "pack"),
    [("", lambda data: data), ("+gzip", gzip.compress), ("+zstd", zstandard.ZstdCompressor().compress)],
)
def test_archives(server: RegistryServer, ending: str, pack: object) -> None:
    data = pack(_tar({"./a/model.onnx": MODEL, "b.txt": b"b"}))  # type: ignore[operator]
    digest = server.push([server.layer(data, TAR + ending, path="all"), server.layer(b"c", RAW, path="c")])
    assert _content(_open(server, digest)) == {"a/model.onnx": MODEL, "b.txt": b"b", "c": b"c"}
    assert _content(_open(server, digest, "a/model.onnx")) == {"model.onnx": MODEL}


def test_tag(server: RegistryServer) -> None:
    digest = server.push([server.layer(MODEL, RAW, path="model.onnx")])
    with pytest.raises(InvalidError, match="which can move") as refused:
        _open(server, "v1")
    assert refused.value.hint == f"it is now oci:127.0.0.1:{server.port}/team/model@{digest}"


def test_index_of_several(server: RegistryServer) -> None:
    one = server.push([server.layer(MODEL, RAW, path="model.onnx")])
    index = server.push_raw(orjson.dumps({"schemaVersion": 2, "manifests": [{"digest": one}]}))
    with pytest.raises(InvalidError, match="index") as refused:
        _open(server, index)
    assert one in str(refused.value.hint)


# Logins


def test_token_login(server: RegistryServer) -> None:
    server.login = LOGIN
    digest = server.push([server.layer(MODEL, RAW, path="model.onnx")])
    with pytest.raises(DeniedError):
        _open(server, digest)
    source = _open(server, digest, login=build_basic(*LOGIN.split(":")))
    server.given = "renewed"  # the first token has ended before the layer is read
    assert _content(source) == {"model.onnx": MODEL}


def test_basic_login(server: RegistryServer) -> None:
    basic = build_basic(*LOGIN.split(":"))
    digest = server.push([server.layer(MODEL, RAW, path="model.onnx")])
    plain = server.answer
    server.answer = lambda path, headers: (  # type: ignore[method-assign]
        plain(path, headers)
        if headers.get("Authorization") == basic
        else (401, {"WWW-Authenticate": 'Basic realm="x"'}, b"")
    )
    assert _content(_open(server, digest, login=basic)) == {"model.onnx": MODEL}
    with pytest.raises(DeniedError, match="user and password"):
        _open(server, digest)


def test_blob_elsewhere_gets_no_token(server: RegistryServer) -> None:
    server.login = LOGIN
    storage = Server()
    storage.override = lambda path: (200, {}, MODEL)
    digest = server.push([server.layer(MODEL, RAW, path="model.onnx")])
    moved = {"Location": f"http://localhost:{storage.port}/blob"}
    server.override = lambda path: (307, moved, b"") if "/blobs/" in path else None
    try:
        assert _content(_open(server, digest, login=build_basic(*LOGIN.split(":")))) == {"model.onnx": MODEL}
        assert storage.seen
        assert storage.secrets() == []
    finally:
        storage.close()


@pytest.mark.parametrize(
    "challenge",
    [
        "",
        "Bearer",
        'Bearer service="x"',
        "Negotiate",
        'Bearer realm="http://example.org/token"',
        'Bearer realm="file:///x"',
    ],
)
def test_login_sent_elsewhere(server: RegistryServer, challenge: str) -> None:
    digest = server.push([server.layer(MODEL, RAW, path="model.onnx")])
    server.override = lambda path: (401, {"WWW-Authenticate": challenge}, b"")
    with pytest.raises((DeniedError, InvalidError, RejectedError)):
        _open(server, digest, login=build_basic(*LOGIN.split(":")))


def test_docker_configuration(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    assert find_login(file, "example.org") == ""
    auth = base64.b64encode(LOGIN.encode()).decode()
    config = {
        "auths": {
            "example.org": {"auth": auth},
            "https://index.docker.io/v1/": {"auth": auth},
            "empty.org": {},
        },
        "credHelpers": {"helped.org": "evil"},
    }
    file.write_bytes(orjson.dumps(config))
    basic = build_basic(*LOGIN.split(":"))
    assert [find_login(file, host) for host in ("example.org", "docker.io", "empty.org", "other.org")] == [
        basic,
        basic,
        "",
        "",
    ]
    with pytest.raises(InvalidError, match="none is started"):
        find_login(file, "helped.org")
    for content in (
        b"",
        b"[]",
        b'{"auths": {"example.org": {"auth": "!"}}}',
        b'{"auths":{"example.org":{"auth":"YQ=="}}}',
    ):
        file.write_bytes(content)
        with pytest.raises(InvalidError):
            find_login(file, "example.org")


# A registry that is hostile


def test_manifest_that_is_another(server: RegistryServer) -> None:
    digest = server.push([server.layer(MODEL, RAW, path="model.onnx")])
    server.manifests[digest] += b" "
    with pytest.raises(RejectedError, match="another manifest"):
        _open(server, digest)


@pytest.mark.parametrize("content", [b"WEIGHTS" * 1000, MODEL + b"x", MODEL[:-1]])
@pytest.mark.parametrize("media_type", [RAW, TAR])
def test_layer_that_is_another(server: RegistryServer, content: bytes, media_type: str) -> None:
    layer = server.layer(MODEL, media_type, path="model.onnx")
    digest = server.push([layer])
    server.blobs[str(layer["digest"])] = content
    with pytest.raises((RejectedError, OutageError)):
        _content(_open(server, digest))


@pytest.mark.parametrize(
    "change",
    [
        {"digest": "sha512:" + "ab" * 64},
        {"digest": "sha256:../../x"},
        {"size": -1},
        {"size": 2**50},
        {"urls": ["https://example.org/x"]},
        {"annotations": ["x"]},
        {"annotations": {}},
        {"annotations": {"org.cncf.model.filepath": "../../etc/passwd"}},
        {"annotations": {"org.cncf.model.filepath": "/etc/passwd"}},
        {"annotations": {"org.cncf.model.filepath": "other"}},
        {"mediaType": 1},
    ],
)
def test_layer_that_lies(server: RegistryServer, change: dict[str, object]) -> None:
    layer = server.layer(MODEL, RAW, path="model.onnx") | change
    digest = server.push([layer, server.layer(b"x", RAW, path="other")])
    with pytest.raises(RejectedError):
        _content(_open(server, digest))


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"schemaVersion": 1}', b'{"schemaVersion":2,"config":{},"layers":[1]}']
)
def test_manifests_that_are_none(server: RegistryServer, body: bytes) -> None:
    with pytest.raises(RejectedError):
        _open(server, server.push_raw(body))


def _member(name: str, kind: bytes, link: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, link
    return member


@pytest.mark.parametrize(
    "data",
    [
        _tar({}, _member("evil", tarfile.SYMTYPE, "/etc/passwd")),
        _tar({"a": b"x"}, _member("evil", tarfile.LNKTYPE, "a")),
        _tar({}, _member("evil", tarfile.CHRTYPE)),
        _tar({}, _member("evil", tarfile.FIFOTYPE)),
        _tar({"../evil": b"x"}),
        _tar({"/evil": b"x"}),
        _tar({"a": b"x", "./a": b"y"}),
        _tar({"a": MODEL})[:2000],
        b"no archive" * 100,
    ],
)
def test_archive_made_to_harm(server: RegistryServer, data: bytes) -> None:
    with pytest.raises(RejectedError):
        _content(_open(server, server.push([server.layer(data, TAR, path="x")])))


@pytest.mark.parametrize(
    ("ending", "pack"), [("+gzip", gzip.compress), ("+zstd", zstandard.ZstdCompressor().compress)]
)
def test_bomb(server: RegistryServer, ending: str, pack: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oci_layers, "ROOM_BYTES", 2**20)
    data = pack(_tar({"zeros": bytes(32 * 2**20)}))  # type: ignore[operator]
    with pytest.raises(RejectedError, match="unpacks to more"):
        _open(server, server.push([server.layer(data, TAR + ending, path="x")]))
    for cut in (data[: len(data) // 2], b"x" + data):
        with pytest.raises(RejectedError):
            _open(server, server.push([server.layer(cut, TAR + ending, path="x")]))


@pytest.mark.parametrize(
    "text",
    [
        "oci:registry@sha256:" + "ab" * 32,
        "oci:registry/Repo@sha256:" + "ab" * 32,
        "oci:registry/../x@sha256:" + "ab" * 32,
        "oci:user@registry/repo@sha256:" + "ab" * 32,
        "oci:registry/repo@sha512:" + "ab" * 64,
        "oci:https://registry/repo@sha256:" + "ab" * 32,
        "oci:registry/repo",
    ],
)
def test_addresses_that_are_none(text: str) -> None:
    with pytest.raises(InvalidError):
        parse_address(text)

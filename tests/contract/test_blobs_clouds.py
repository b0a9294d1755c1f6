"""What Azure and Google promise beyond every store: over the wire, against stand-ins (docs/stores.md)."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from strongroom.adapters.blobs import bucket as buckets
from strongroom.adapters.blobs.names import MAX_SMALL_BYTES
from strongroom.adapters.blobs.remote import RemoteBlobStore
from strongroom.adapters.blobs.transit import RemoteTransit
from strongroom.errors import DeniedError, InvalidError, OutageError
from tests.stores.servers import (
    Server,
    azure_credentials,
    azure_store,
    google_credentials,
    google_store,
)

NAME = "fraud/1.2.0/0.sealed"
LARGE = MAX_SMALL_BYTES + 5
Open = Callable[[Path, str], RemoteBlobStore]


@pytest.fixture(scope="module")
def azure_open() -> Iterator[Open]:
    with azure_credentials():
        server = Server("tests.stores.azure_server")
        yield lambda spool, prefix: azure_store(f"{server.url}/account", spool, prefix, deadline_s=5.0)
        server.close()


@pytest.fixture(scope="module")
def google_open(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Open]:
    server = Server("tests.stores.google_server")
    with google_credentials(server.url, tmp_path_factory.mktemp("gs")):
        yield lambda spool, prefix: google_store(server.url, spool, prefix, deadline_s=5.0)
        server.close()


@pytest.fixture(params=["azure_open", "google_open"])
def opened(request: pytest.FixtureRequest) -> Open:
    found: Open = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def store(opened: Open, tmp_path: Path, request: pytest.FixtureRequest) -> RemoteBlobStore:
    return opened(tmp_path / "spool", request.node.name.partition("[")[0])


def content() -> bytes:
    return bytes(range(256)) * (LARGE // 256) + bytes(LARGE % 256)


def write(store: RemoteBlobStore, data: bytes) -> None:
    writer = store.create(NAME, len(data))
    try:
        writer.write_at(0, data)
        writer.commit()
    finally:
        writer.discard()


def read(store: RemoteBlobStore) -> bytes:
    reader = store.open(NAME)
    data = bytearray(reader.size)
    reader.read_into(0, memoryview(data))
    reader.close()
    return bytes(data)


def test_a_large_object_comes_back_and_never_overwrites(store: RemoteBlobStore) -> None:
    write(store, content())
    with pytest.raises(InvalidError, match="exists already"):
        write(store, bytes(LARGE))
    assert read(store) == content()


class Died(BaseException):
    """The process is gone."""


def test_what_was_cut_off_is_gone_on_with(
    opened: Open, store: RemoteBlobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(buckets, "PART_BYTES", 4 * 2**20)
    sent: list[int] = []
    bucket: Any = store.bucket
    step = "_send_block" if hasattr(bucket, "_send_block") else "_send_piece"
    plain = getattr(bucket, step)

    def counted(*given: Any) -> Any:
        if len(sent) == 2:
            raise Died
        sent.append(1)
        return plain(*given)

    transit = RemoteTransit(store, tmp_path / "spool")
    writer = transit.spool.create(NAME)
    writer.write_at(0, content())
    writer.commit()
    with monkeypatch.context() as patch:
        patch.setattr(type(bucket), step, lambda self, *given: counted(*given))
        with pytest.raises(Died):
            transit.send(NAME)
    assert list(store.list("")) == []
    again: list[int] = []
    with monkeypatch.context() as patch:
        patch.setattr(type(bucket), step, lambda self, *given: (again.append(1), plain(*given))[1])
        RemoteTransit(store, tmp_path / "spool").send(NAME)
    assert len(sent) == 2
    assert 0 < len(again) <= 4, "five parts, of which one or two have arrived"
    assert read(store) == content()
    assert list(transit.spool.list("")) == []


def test_an_answer_that_was_lost_is_not_another_writer(
    store: RemoteBlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put_new("warm/up", b"")
    bucket: Any = store.bucket
    plain, lost = type(bucket).put, []

    def put(self: Any, *given: Any, **named: Any) -> None:
        plain(self, *given, **named)
        if not lost:
            lost.append(1)
            from strongroom.adapters.blobs.patience import SilentError

            raise SilentError("the answer was lost")

    monkeypatch.setattr(type(bucket), "put", put)
    store.put_new(NAME, b"x")
    assert (lost, store.read(NAME, 1)) == ([1], b"x")
    with pytest.raises(InvalidError):
        store.put_new(NAME, b"x")


def test_a_public_bucket_is_refused(opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = opened(tmp_path / "spool", "public")
    bucket: Any = store.bucket
    if hasattr(bucket, "_container"):
        plain = bucket._container.get_container_properties()
        plain.public_access = "blob"
        monkeypatch.setattr(bucket._container, "get_container_properties", lambda: plain)
    else:
        policy = {"bindings": [{"members": ["allAuthenticatedUsers"]}]}
        monkeypatch.setattr(bucket, "_look", lambda path, _: policy if path.endswith("/iam") else {})
    with pytest.raises(DeniedError, match="is public") as caught:
        store.put_new(NAME, b"x")
    assert "insecure-public-bucket" in (caught.value.hint or "")


def test_a_public_access_list_of_google_counts_unless_policy_alone_rules(
    google_open: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket: Any = google_open(tmp_path / "spool", "lists").bucket
    found: dict[str, Any] = {"defaultObjectAcl": [{"entity": "allUsers"}]}
    monkeypatch.setattr(bucket, "_look", lambda path, _: {} if path.endswith("/iam") else found)
    assert bucket.posture().public is True
    found["iamConfiguration"] = {"uniformBucketLevelAccess": {"enabled": True}}
    assert bucket.posture().public is False
    monkeypatch.setattr(bucket, "_look", lambda path, _: None)
    assert bucket.posture().public is None


def test_a_container_that_is_not_there_is_an_outage(
    opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tests.stores.servers as servers

    monkeypatch.setattr(servers, "BUCKET", "absent")
    store = opened(tmp_path / "spool", "x")
    asks: list[Callable[[], object]] = [
        lambda: store.open(NAME),
        lambda: list(store.list("")),
        lambda: store.put_new(NAME, b""),
        lambda: store.delete(NAME),
    ]
    for ask in asks:
        with pytest.raises(OutageError, match="no such bucket"):
            ask()


def test_credentials_that_are_refused_are_an_outage(
    google_open: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "missing.json"))
    with pytest.raises(OutageError, match="credentials"):
        google_open(tmp_path / "spool", "x").read(NAME, 1)

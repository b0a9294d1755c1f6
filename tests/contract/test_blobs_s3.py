"""What S3 adds to the promises of every store: the bucket itself, parts, lost answers, an endpoint's TLS."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from strongroom.adapters.blobs import bucket as buckets
from strongroom.adapters.blobs.bucket import PART_BYTES
from strongroom.adapters.blobs.place import Place
from strongroom.adapters.blobs.remote import RemoteBlobStore
from strongroom.adapters.blobs.s3_bucket import S3Bucket
from strongroom.adapters.blobs.transit import RemoteTransit
from strongroom.errors import DeniedError, InvalidError, OutageError, RejectedError
from tests.stores.certificate import write_certificate
from tests.stores.servers import BUCKET, Server, make_bucket, s3_client, s3_credentials

NAME = "fraud/1.2.0/0.sealed"
LARGE = PART_BYTES + 5


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with s3_credentials():
        found = Server("tests.stores.s3_server")
        make_bucket(found.url)
        yield found
        found.close()


@pytest.fixture(scope="module")
def bucket(server: Server) -> S3Bucket:
    return S3Bucket(Place("s3", BUCKET, "team/home", server.url, deadline_s=10.0), None, None, None)


@pytest.fixture
def client(server: Server) -> Any:
    return s3_client(server.url)


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    found = tmp_path / "spool"
    found.mkdir(mode=0o700)
    return found


@pytest.fixture
def store(bucket: S3Bucket, spool: Path) -> Iterator[RemoteBlobStore]:
    found = RemoteBlobStore(bucket, spool)
    yield found
    for name in list(found.list("")):
        found.delete(name)


@pytest.fixture
def on(bucket: S3Bucket) -> Iterator[Callable[[str, Callable[..., Any]], None]]:
    """Stand between the client and the wire while the test lasts."""
    events, registered = bucket._client.meta.events, []

    def register(event: str, act: Callable[..., Any]) -> None:
        events.register_first(event, act)
        registered.append((event, act))

    yield register
    for event, act in registered:
        events.unregister(event, act)


def content(size: int = LARGE) -> bytes:
    return bytes(range(256)) * (size // 256) + bytes(size % 256)


def write(store: RemoteBlobStore, data: bytes, name: str = NAME) -> None:
    writer = store.create(name, len(data))
    try:
        writer.write_at(0, data)
        writer.commit()
    finally:
        writer.discard()


def read(store: RemoteBlobStore, name: str = NAME) -> bytes:
    reader = store.open(name)
    data = bytearray(reader.size)
    assert reader.read_into(0, memoryview(data)) == reader.size
    reader.close()
    return bytes(data)


# The bucket itself.


def grant_everybody(client: Any, name: str) -> None:
    client.put_bucket_acl(Bucket=name, ACL="public-read")


def allow_everybody(client: Any, name: str) -> None:
    statement = {
        "Effect": "Allow",
        "Principal": "*",
        "Action": "s3:GetObject",
        "Resource": f"arn:aws:s3:::{name}/*",
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    client.put_bucket_policy(Bucket=name, Policy=policy)


def watched(place: Place) -> S3Bucket:
    """Moto keeps a policy but says of none that it is public, as S3 does of one for everybody."""

    def judge(parsed: dict[str, Any], http_response: Any, **_: Any) -> None:
        policy = json.loads(bucket._client.get_bucket_policy(Bucket=place.bucket)["Policy"])
        parsed["PolicyStatus"] = {"IsPublic": any(one["Principal"] == "*" for one in policy["Statement"])}

    bucket = S3Bucket(place, None, None, None)
    if place.bucket == "allow-everybody":
        bucket._client.meta.events.register("after-call.s3.GetBucketPolicyStatus", judge)
    return bucket


@pytest.mark.parametrize("publish", [grant_everybody, allow_everybody])
def test_a_public_bucket_is_refused(
    server: Server, client: Any, spool: Path, publish: Callable[[Any, str], None]
) -> None:
    name = publish.__name__.replace("_", "-")
    make_bucket(server.url, name)
    publish(client, name)
    place = Place("s3", name, "", server.url)
    store = RemoteBlobStore(watched(place), spool)
    asks: list[Callable[[], object]] = [
        lambda: store.put_new(NAME, b"x"),
        lambda: store.replace(NAME, b"x"),
        lambda: store.create(NAME),
        lambda: store.read(NAME, 1),
        lambda: store.open(NAME),
        lambda: store.stat(NAME),
        lambda: list(store.list("")),
        lambda: store.delete(NAME),
    ]
    for ask in asks:
        with pytest.raises(DeniedError, match="is public") as caught:
            ask()
        assert "insecure-public-bucket" in (caught.value.hint or "")
    assert "is public" in store.concerns()[0]
    opted = RemoteBlobStore(watched(replace(place, may_be_public=True)), spool)
    opted.put_new(NAME, b"x")
    assert "is public" in opted.concerns()[0], "it is said for as long as it lasts"


def test_a_bucket_whose_public_access_is_blocked_is_not_public(
    server: Server, client: Any, spool: Path
) -> None:
    make_bucket(server.url, "blocked")
    grant_everybody(client, "blocked")
    names = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
    client.put_public_access_block(
        Bucket="blocked", PublicAccessBlockConfiguration=dict.fromkeys(names, True)
    )
    store = RemoteBlobStore(S3Bucket(Place("s3", "blocked", "", server.url), None, None, None), spool)
    store.put_new(NAME, b"x")
    assert store.concerns() == []


def test_a_bucket_that_does_not_encrypt_is_refused(server: Server, client: Any, spool: Path) -> None:
    make_bucket(server.url, "plain", encrypted=False)
    place = Place("s3", "plain", "", server.url)
    with pytest.raises(DeniedError, match="does not encrypt") as caught:
        RemoteBlobStore(S3Bucket(place, None, None, None), spool).put_new(NAME, b"x")
    assert "insecure-unencrypted-bucket" in (caught.value.hint or "")
    opted = replace(place, may_be_unencrypted=True)
    RemoteBlobStore(S3Bucket(opted, None, None, None), spool).put_new("opted/out", b"x")
    # Or every object is asked to be encrypted, with a key of its own choice.
    key = "arn:aws:kms:us-east-1:123456789012:key/models"
    RemoteBlobStore(S3Bucket(place, None, "aws:kms", key), spool).put_new(NAME, b"x")
    write(RemoteBlobStore(S3Bucket(place, None, "aws:kms", key), spool), content(), "large")
    for name in (NAME, "large"):
        found = client.head_object(Bucket="plain", Key=name)
        assert (found["ServerSideEncryption"], found["SSEKMSKeyId"]) == ("aws:kms", key)


@pytest.mark.parametrize("call", ["GetBucketAcl", "GetBucketPolicyStatus", "GetBucketEncryption"])
def test_a_bucket_that_may_not_be_looked_at_is_refused(
    store: RemoteBlobStore, on: Callable[..., None], call: str
) -> None:
    def refuse(http_response: Any, parsed: dict[str, Any], **_: Any) -> None:
        parsed["Error"] = {"Code": "AccessDenied", "Message": "no"}
        parsed["ResponseMetadata"]["HTTPStatusCode"] = 403
        http_response.status_code = 403

    on(f"after-call.s3.{call}", refuse)
    with pytest.raises(DeniedError, match="could not be looked up"):
        store.put_new(NAME, b"x")


def test_encryption_that_was_asked_for_and_not_given_leaves_nothing(
    server: Server, client: Any, spool: Path
) -> None:
    bucket = S3Bucket(Place("s3", BUCKET, "sse", server.url), None, "aws:kms", None)

    def forget(parsed: dict[str, Any], **_: Any) -> None:
        parsed.pop("ServerSideEncryption", None)

    for call in ("PutObject", "CreateMultipartUpload"):
        bucket._client.meta.events.register(f"after-call.s3.{call}", forget)
    store = RemoteBlobStore(bucket, spool)
    for data in (b"small", content()):
        with pytest.raises(RejectedError, match="did not encrypt"):
            write(store, data)
    assert client.list_objects_v2(Bucket=BUCKET, Prefix="sse/fraud").get("Contents") is None
    assert client.list_multipart_uploads(Bucket=BUCKET).get("Uploads") is None


def test_a_store_that_overwrites_although_asked_not_to_is_refused(
    store: RemoteBlobStore, on: Callable[..., None], client: Any
) -> None:
    def ignore(params: dict[str, Any], **_: Any) -> None:
        params["headers"].pop("If-None-Match", None)

    client.delete_object(Bucket=BUCKET, Key="team/home/strongroom-probe")
    on("before-call.s3.PutObject", ignore)
    with pytest.raises(DeniedError, match="overwrites") as caught:
        store.put_new(NAME, b"x")
    assert "insecure-overwrites" in (caught.value.hint or "")


def test_a_bucket_that_is_gone_is_an_outage_and_not_a_missing_object(server: Server, spool: Path) -> None:
    """Deleting a bucket must not look as if one model had been tampered with."""
    make_bucket(server.url, "gone")
    bucket = S3Bucket(Place("s3", "gone", "", server.url), None, None, None)
    store = RemoteBlobStore(bucket, spool)
    store.put_new(NAME, b"x")
    for name in (NAME, "strongroom-probe"):
        s3_client(server.url).delete_object(Bucket="gone", Key=name)
    s3_client(server.url).delete_bucket(Bucket="gone")
    asks: list[Callable[[], object]] = [
        lambda: store.open(NAME),
        lambda: store.stat(NAME),
        lambda: store.read(NAME, 1),
        lambda: list(store.list("")),
        lambda: store.delete(NAME),
        lambda: store.put_new(NAME, b"y"),
        lambda: store.replace(NAME, b"y"),
        lambda: write(store, content()),
    ]
    for ask in asks:
        with pytest.raises(OutageError, match="s3://gone: there is no such bucket"):
            ask()


def test_an_object_whose_name_climbs_out_is_evidence(store: RemoteBlobStore, client: Any) -> None:
    client.put_object(Bucket=BUCKET, Key="team/home/fraud/../x", Body=b"")
    try:
        with pytest.raises(RejectedError, match="could leave the store"):
            list(store.list(""))
    finally:
        client.delete_object(Bucket=BUCKET, Key="team/home/fraud/../x")


def test_foreign_objects_are_listed_and_neighbours_are_not(store: RemoteBlobStore, client: Any) -> None:
    store.put_new(NAME, b"x")
    for key in ("team/home/fraud/1.2.0/a b~", "team/home-2/x", "other"):
        client.put_object(Bucket=BUCKET, Key=key, Body=b"")
    assert set(store.list("")) == {NAME, "fraud/1.2.0/a b~"}
    client.delete_object(Bucket=BUCKET, Key="team/home/fraud/1.2.0/a b~")


# Objects in parts.


def uploads(client: Any) -> list[Any]:
    return list(client.list_multipart_uploads(Bucket=BUCKET).get("Uploads") or [])


def test_a_large_object_comes_back_and_may_be_read_anywhere(store: RemoteBlobStore, client: Any) -> None:
    data = content()
    write(store, data)
    assert read(store) == data
    reader = store.open(NAME)
    for offset in (LARGE - 10, 5, 4 * 2**20 - 3, 9 * 2**20):
        buffer = bytearray(6)
        assert reader.read_into(offset, memoryview(buffer)) == 6
        assert bytes(buffer) == data[offset : offset + 6]
    reader.close()
    assert uploads(client) == []


def test_a_large_object_never_overwrites(store: RemoteBlobStore, client: Any) -> None:
    write(store, content())
    with pytest.raises(InvalidError, match="exists already"):
        write(store, bytes(LARGE))
    assert read(store) == content()
    assert uploads(client) == []


def test_a_large_object_that_is_replaced_while_it_is_read_is_noticed(
    store: RemoteBlobStore, client: Any
) -> None:
    write(store, content())
    reader = store.open(NAME)
    client.put_object(Bucket=BUCKET, Key=f"team/home/{NAME}", Body=bytes(LARGE))
    with pytest.raises(RejectedError, match="replaced"):
        reader.read_into(LARGE - 10, memoryview(bytearray(10)))
    reader.close()


def test_a_part_that_fails_for_good_leaves_no_upload(
    store: RemoteBlobStore, on: Callable[..., None], client: Any
) -> None:
    def refuse(parsed: dict[str, Any], http_response: Any, **_: Any) -> None:
        parsed["Error"] = {"Code": "BadDigest", "Message": "no"}
        http_response.status_code = 400

    on("after-call.s3.UploadPart", refuse)
    with pytest.raises(OutageError, match="s3://models/team/home: refused the request"):
        write(store, content())
    assert (uploads(client), list(store.list(""))) == ([], [])


class Died(BaseException):
    """The process is gone."""


def test_what_was_cut_off_is_gone_on_with_and_nothing_is_sent_twice(
    store: RemoteBlobStore,
    on: Callable[..., None],
    spool: Path,
    client: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(buckets, "PART_BYTES", 5 * 2**20)
    sent: list[int] = []
    arrived: list[int] = []

    def count(params: dict[str, Any], **_: Any) -> None:
        if len(arrived) == 2:
            arrived.append(0)
            raise Died
        sent.append(int(params["query_string"]["partNumber"]))

    on("before-call.s3.UploadPart", count)
    on("after-call.s3.UploadPart", lambda **_: arrived.append(1))
    data = content(LARGE)
    transit = RemoteTransit(store, spool)
    writer = transit.spool.create(NAME)
    writer.write_at(0, data)
    writer.commit()
    with pytest.raises(Died):
        transit.send(NAME)
    assert 2 <= len(sent) < 4
    assert list(store.list("")) == []
    again = RemoteTransit(store, spool)
    again.send(NAME)
    assert set(sent) == {1, 2, 3, 4}
    assert len(sent) <= 5, "at most what was in flight is sent again"
    assert read(store) == data
    assert (uploads(client), list(again.spool.list(""))) == ([], [])


def test_an_upload_that_somebody_removed_is_begun_anew(
    store: RemoteBlobStore, on: Callable[..., None], spool: Path, client: Any
) -> None:
    transit = RemoteTransit(store, spool)
    writer = transit.spool.create(NAME)
    writer.write_at(0, content())
    writer.commit()

    def die(**_: Any) -> None:
        raise Died

    on("before-call.s3.CompleteMultipartUpload", die)
    with pytest.raises(Died):
        transit.send(NAME)
    store.bucket._client.meta.events.unregister("before-call.s3.CompleteMultipartUpload", die)
    (left,) = uploads(client)
    client.abort_multipart_upload(Bucket=BUCKET, Key=left["Key"], UploadId=left["UploadId"])
    RemoteTransit(store, spool).send(NAME)
    assert read(store) == content()


@pytest.mark.parametrize("size", [10, LARGE])
@pytest.mark.parametrize("call", ["PutObject", "CompleteMultipartUpload", "UploadPart"])
def test_an_answer_that_was_lost_is_not_another_writer(
    store: RemoteBlobStore, on: Callable[..., None], size: int, call: str
) -> None:
    """It was kept, but the connection broke: our own object must not be taken for somebody else's."""
    store.put_new("warm/up", b"")
    lost: list[str] = []

    def lose(**_: Any) -> None:
        if not lost:
            lost.append(call)
            raise EndpointConnectionError(endpoint_url="http://127.0.0.1")

    on(f"after-call.s3.{call}", lose)
    write(store, content(size))
    assert read(store) == content(size)
    assert bool(lost) == ((size == LARGE) != (call == "PutObject"))


# The way there.


def test_a_store_that_is_silent_is_an_outage_that_names_it(spool: Path) -> None:
    with s3_credentials() as given:
        place = Place("s3", BUCKET, "", "http://127.0.0.1:9", deadline_s=0.5)
        store = RemoteBlobStore(S3Bucket(place, None, None, None), spool)
        started = time.monotonic()
        with pytest.raises(OutageError, match=r"s3://models: no answer within 0\.5 s") as caught:
            store.read(NAME, 1)
        assert time.monotonic() - started < 10
        assert given["AWS_SECRET_ACCESS_KEY"] not in f"{caught.value} {caught.value.hint}"


def test_credentials_that_are_missing_are_said(server: Server, spool: Path) -> None:
    patch = pytest.MonkeyPatch()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        patch.delenv(name)
    try:
        store = RemoteBlobStore(S3Bucket(Place("s3", BUCKET, "", server.url), None, None, None), spool)
        with pytest.raises(OutageError, match="no credentials were found"):
            store.read(NAME, 1)
    finally:
        patch.undo()


def test_an_endpoint_elsewhere_must_be_encrypted() -> None:
    place = Place("s3", BUCKET, "", "http://storage.example.org")
    with s3_credentials(), pytest.raises(InvalidError, match="not encrypted on the way"):
        S3Bucket(place, "us-east-1", None, None)
    with s3_credentials():
        S3Bucket(replace(place, may_use_http=True), "us-east-1", None, None)


def test_an_endpoint_is_checked_against_the_authorities_given(tmp_path: Path, spool: Path) -> None:
    certificate, key = write_certificate(tmp_path)
    with s3_credentials():
        server = Server("tests.stores.s3_server", str(certificate), str(key))
        make_bucket(server.url, ca=certificate)
        place = Place("s3", BUCKET, "", server.url, certificate, deadline_s=5.0)
        store = RemoteBlobStore(S3Bucket(place, None, None, None), spool)
        store.put_new(NAME, b"x")
        assert store.read(NAME, 1) == b"x"
        stranger = replace(place, ca_bundle=None, deadline_s=0.5)
        with pytest.raises(OutageError):
            RemoteBlobStore(S3Bucket(stranger, None, None, None), spool).read(NAME, 1)
        server.close()

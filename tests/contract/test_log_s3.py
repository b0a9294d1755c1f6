"""A log in a real S3 server: the contract's heart, two sequencers, and a server that is away."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from strongroom.adapters.log.claim import claim_name
from strongroom.adapters.log.objects import ObjectLog
from strongroom.errors import InvalidError, OutageError
from strongroom.ports import BlobStore, LogGrewError
from strongroom.trust.log import verify_log
from tests.stores.servers import Server, make_bucket, s3_credentials, s3_store
from tests.unit.trust.chronicle import LOG, LOG_KEY, ORIGIN


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with s3_credentials():
        made = Server("tests.stores.s3_server")
        make_bucket(made.url)
        yield made
        made.close()


@pytest.fixture
def store(server: Server, tmp_path: Path, request: pytest.FixtureRequest) -> BlobStore:
    return s3_store(server.url, tmp_path / "spool", f"log-{request.node.name}", deadline_s=3.0)


def require_log(store: BlobStore, expected: list[bytes]) -> None:
    log = ObjectLog(store, ORIGIN)
    note = log.checkpoint()
    assert note is not None
    leaves = list(log.leaves(0, len(expected)))
    assert leaves == expected
    assert verify_log(leaves, note, LOG_KEY, ORIGIN, read_tile=log.tile).size == len(expected)


def test_it_grows_and_is_read_by_others(store: BlobStore) -> None:
    log, written = ObjectLog(store, ORIGIN), list[bytes]()
    for step in (1, 5, 250, 1, 300):
        batch = [b"record %d" % number for number in range(len(written), len(written) + step)]
        assert log.append(batch, LOG) == len(written)
        written += batch
        require_log(store, written)


def test_of_two_sequencers_one_is_told(store: BlobStore) -> None:
    one, two = ObjectLog(store, ORIGIN), ObjectLog(store, ORIGIN)
    assert one.append([b"first"], LOG) == 0
    assert two.append([b"second"], LOG, after=1) == 1
    with pytest.raises(LogGrewError):
        one.append([b"too late"], LOG, after=1)
    assert one.append([b"third"], LOG) == 2
    require_log(store, [b"first", b"second", b"third"])
    with pytest.raises(InvalidError):  # a sequencer that slept finds its place taken for good
        store.put_new(claim_name(1), b"another history")


def test_a_server_that_is_away_appends_nothing(server: Server, store: BlobStore) -> None:
    log = ObjectLog(store, ORIGIN)
    log.append([b"first"], LOG)
    server.stop()
    try:
        with pytest.raises(OutageError):
            log.append([b"lost"], LOG)
        with pytest.raises(OutageError):
            ObjectLog(store, ORIGIN).checkpoint()
    finally:
        server.start()
    assert log.append([b"second"], LOG) == 1
    require_log(store, [b"first", b"second"])

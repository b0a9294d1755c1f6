"""A home whose models lie in S3: its whole life, deaths while publishing, a store that comes and goes."""

import hashlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from strongroom import Strongroom
from strongroom.errors import InvalidError
from strongroom.flows import layout
from strongroom.values import ModelId
from strongroom.wiring import open_home
from tests import models
from tests.cli.conftest import new_shell
from tests.cli.press import Shell
from tests.faults.home import cloud_credentials, instants, require_whole, run_and_kill
from tests.faults.killing import Killer
from tests.serve.e2e.deployment import ADMIN, CALLER, REVIEWER, Deployment
from tests.serve.e2e.deployment import PASSPHRASE as SERVED_PASSPHRASE
from tests.serve.e2e.deployment import Server as Serving
from tests.stores.servers import BUCKET, Server, make_bucket, s3_client, s3_credentials, s3_store

pytestmark = pytest.mark.slow

BUDGET_S = 25.0
"""As many deaths as fit, up to MOST, but never fewer than LEAST."""
LEAST = 4
MOST = 64
IN_A_ROW = 4
"""Deaths of one publish before it is let through: each goes on from what the last one left."""
LARGE_BYTES = 20 * 2**20
RECOVERY_S = 10.0


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with s3_credentials():
        found = Server("tests.stores.s3_server")
        make_bucket(found.url)
        yield found
        found.close()


def settle_in_s3(home: Path, server: Server, prefix: str) -> None:
    with (home / "strongroom.toml").open("a") as file:
        file.write(f'\n[store]\nblobs = "s3://{BUCKET}/{prefix}"\n[store.s3]\nendpoint = "{server.url}"\n')


def test_a_whole_life_in_s3(server: Server, tmp_path: Path) -> None:
    made = Deployment(tmp_path)
    Strongroom.init(made.home, passphrase=SERVED_PASSPHRASE, founder=ADMIN)
    settle_in_s3(made.home, server, "life")
    made.as_(ADMIN).add_identity(REVIEWER, roles=("reviewer",))
    made.as_(ADMIN).add_identity(CALLER, roles=("consumer",))
    made.add(models.linear(), "linear@1.0.0")
    made.add(models.wide(LARGE_BYTES), "wide@1.0.0")
    made.as_(ADMIN).verify("wide@1.0.0", full=True)
    serving = Serving.start(made, "linear", "wide")
    try:
        made.export(CALLER)
        with serving.client() as client:
            assert client.predict("linear", [[1, 2, 3, 4]]).version == "1.0.0"
            assert client.predict("wide", [[1.0] * 16]).version == "1.0.0"
    finally:
        assert serving.stop() == 0
    objects = s3_client(server.url).list_objects_v2(Bucket=BUCKET, Prefix="life/")["Contents"]
    names = {found["Key"].removeprefix("life/") for found in objects}
    assert {"linear/1.0.0/0.sealed", "linear/1.0.0/keys.json", "wide/1.0.0/0.sealed"} <= names
    on_disk = list(made.home.rglob("*.sealed"))
    assert on_disk == [], "no ciphertext stays here"
    assert not [
        check
        for check in made.as_(ADMIN).doctor()
        if check.name in ("store", "spool", "bucket") and check.verdict != "ok"
    ]


def prepare(tmp_path: Path, server: Server) -> Shell:
    shell = new_shell(tmp_path / "user")
    models.wide(LARGE_BYTES).write(shell.root / "wide")
    shell.ok("init", "--identity", "ada", **cloud_credentials())
    settle_in_s3(shell.home, server, "deaths")
    return shell


def test_killed_while_publishing_to_s3(server: Server, tmp_path: Path) -> None:
    shell = prepare(tmp_path, server)
    chance = instants(seed=3)
    lasts_s: dict[str, float] = {}
    round_ = 0
    killer = Killer("publish to S3", budget_s=BUDGET_S, least=LEAST, most=MOST)
    while killer.goes_on():
        round_ += 1
        path = "model.onnx" if round_ % 2 else "wide/model.onnx"
        arguments = ("publish", path, "--as", f"fraud@2.{round_}.0", "--owner", "risk")
        if path not in lasts_s:
            started = time.monotonic()
            shell.ok(*arguments, **cloud_credentials())
            lasts_s[path] = time.monotonic() - started
            continue
        for _ in range(IN_A_ROW):
            run_and_kill(shell, arguments, chance.uniform(0.15, 1.0) * lasts_s[path])
            killer.deaths += 1
        again = shell(*arguments, **cloud_credentials())
        assert again.code == 0 or "overwrites" in again.error, again
        _require_complete(shell, ModelId.parse(f"fraud@2.{round_}.0"))
    # One more, which also removes what a death right after a record left of the version before.
    shell.ok("publish", "model.onnx", "--as", "other@1.0.0", "--owner", "risk", **cloud_credentials())
    authority = require_whole(shell.home)
    assert len(authority.versions) == round_ + 1
    transit = open_home(shell.home).transit
    assert transit is not None
    assert list(transit.spool.list("")) == []
    found = s3_client(server.url).list_multipart_uploads(Bucket=BUCKET, Prefix="deaths/")
    assert found.get("Uploads") is None, "no half-sent object is left to be paid for"


def _require_complete(shell: Shell, model: ModelId) -> None:
    """All of its objects are there: sealed file, statement, signature and wrapped key."""
    assert len(list(open_home(shell.home).blobs.list(layout.prefix(model)))) == 4


def test_a_store_that_goes_and_comes_back_under_load(server: Server, tmp_path: Path) -> None:
    store = s3_store(server.url, tmp_path / "spool", "load", deadline_s=30.0)
    store.put_new("warm/up", b"x")
    written: dict[str, bytes] = {}
    done_at: list[float] = []
    failures: list[BaseException] = []
    stop = threading.Event()
    lock = threading.Lock()

    def work(number: int) -> None:
        count = 0
        try:
            while not stop.is_set():
                count += 1
                name, data = f"worker-{number}/{count}", hashlib.sha256(f"{number}-{count}".encode()).digest()
                store.put_new(name, data)
                assert store.read(name, 100) == data
                with lock:
                    written[name] = data
                    done_at.append(time.monotonic())
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(3):
        time.sleep(1.0)
        server.stop()
        time.sleep(1.5)
        server.start()
        back = time.monotonic()
        while not any(moment > back for moment in done_at) and time.monotonic() < back + 2 * RECOVERY_S:
            time.sleep(0.02)
        first = min((moment for moment in done_at if moment > back), default=float("inf"))
        assert first - back < RECOVERY_S
    stop.set()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(written) > 10
    stored = {name: store.read(name, 100) for name in store.list("") if name.startswith("worker-")}
    assert stored == written, "nothing was lost, nothing was written twice"
    with pytest.raises(InvalidError):
        store.put_new(next(iter(written)), b"other")


def test_require_whole_would_notice(server: Server, tmp_path: Path) -> None:
    """The checks above can fail: an object that is taken out of the bucket is missed."""
    shell = prepare(tmp_path, server)
    shell.ok("publish", "model.onnx", "--as", "fraud@1.0.0", "--owner", "risk", **cloud_credentials())
    require_whole(shell.home)
    s3_client(server.url).delete_object(Bucket=BUCKET, Key="deaths/fraud/1.0.0/keys.json")
    with pytest.raises(Exception, match="missing"):
        require_whole(shell.home)

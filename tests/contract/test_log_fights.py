"""Two sequencers at one log, both dying at random: it verifies, nothing acknowledged is lost, no fork."""

import multiprocessing
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import pytest

from strongroom.adapters.blobs.local import LocalBlobStore
from strongroom.adapters.blobs.memory import MemoryBlobStore
from strongroom.adapters.log.claim import Claim, claim_name
from strongroom.adapters.log.local import LocalLog
from strongroom.adapters.log.objects import ObjectLog
from strongroom.adapters.log.postgres import PostgresLog
from strongroom.errors import InvalidError, OutageError, RejectedError
from strongroom.ports import LogGrewError, LogStore
from strongroom.trust.checkpoint import claimed_head, sign_checkpoint
from strongroom.trust.log import verify_log
from strongroom.trust.merkle import leaf_hash, tree_root
from tests.database import Database
from tests.unit.trust.chronicle import LOG, LOG_KEY, ORIGIN

DEATHS = 20
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["strongroom.cli", "tests.cli.press", "tests.contract.test_log_fights"])


def fight(place: list[str], name: str, number: int, told: Connection) -> None:
    """Append for ever, and tell what is in the log."""
    log = open_log(*place)
    while True:
        leaves = [b"%s %d %d" % (name.encode(), number, part) for part in range(number % 40 + 1)]
        told.send((log.append(leaves, LOG), len(leaves), number))
        number += 1


def open_log(kind: str, place: str, schema: str, password_file: str) -> LogStore:
    """In a process of its own."""
    from strongroom.adapters.postgres.address import PostgresAddress
    from strongroom.adapters.postgres.server import Server

    match kind:
        case "local":
            return LocalLog(Path(place), ORIGIN)
        case "objects":
            return ObjectLog(LocalBlobStore(Path(place)), ORIGIN)
        case _:
            address = PostgresAddress.parse(place, schema=schema, password_file=Path(password_file))
            return PostgresLog(Server(address), ORIGIN)


@pytest.fixture(params=["local", "objects", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> list[str]:
    """What `open_log` is given."""
    if request.param != "postgres":
        return [request.param, str(tmp_path / "log"), "", ""]
    database: Database = request.getfixturevalue("database")
    there = database.address(host="127.0.0.1")
    url = f"postgresql://{there.user}@127.0.0.1:{there.port}/{there.database}"
    return ["postgres", url, there.schema, str(there.password_file)]


class Fighter:
    """A process that appends until it is killed, and what it was told."""

    def __init__(self, place: list[str], name: str) -> None:
        self._place, self.name = place, name
        self.told: dict[int, list[bytes]] = {}
        self._number = 0
        self.start()

    def start(self) -> None:
        hears, tells = _CONTEXT.Pipe(duplex=False)
        self.process = _CONTEXT.Process(target=fight, args=(self._place, self.name, self._number, tells))
        self.process.start()
        tells.close()
        self._heard = threading.Event()
        self._reader = threading.Thread(target=self._read, args=(hears,))
        self._reader.start()

    def wait_until_told(self) -> None:
        """That it is in the middle of appending."""
        assert self._heard.wait(60)

    def kill(self) -> None:
        self.process.kill()
        self.process.join(30)
        self._reader.join(30)
        self._number += 1000  # what was not acknowledged is not said again

    def _read(self, hears: Connection) -> None:
        with suppress(EOFError, OSError, UnpicklingError), hears:
            while True:
                first, size, number = hears.recv()
                self.told[first] = [b"%s %d %d" % (self.name.encode(), number, part) for part in range(size)]
                self._number = number
                self._heard.set()


@pytest.mark.slow
def test_two_sequencers_fight_and_crash(place: list[str]) -> None:
    chance = random.Random(4)
    fighters = [Fighter(place, name) for name in ("anna", "bert")]
    log = open_log(*place)
    heads: list[tuple[int, bytes]] = []
    try:
        for _ in range(DEATHS):
            fighter = chance.choice(fighters)
            fighter.wait_until_told()
            time.sleep(chance.uniform(0, 0.3))
            note = log.checkpoint()
            assert note is not None
            heads.append(claimed_head(note))
            fighter.kill()
            fighter.start()
        for fighter in fighters:
            fighter.wait_until_told()
    finally:
        for fighter in fighters:
            fighter.kill()
    told = {first: leaves for fighter in fighters for first, leaves in fighter.told.items()}
    assert all(len(fighter.told) > 3 for fighter in fighters)
    require_no_loss(open_log(*place), told, heads)
    # whatever was left half done is no obstacle to the next one
    again = open_log(*place)
    note = again.checkpoint()
    assert note is not None
    size = claimed_head(note).size
    assert again.append([b"afterwards"], LOG) == size
    assert again.leaf(size) == b"afterwards"


def require_no_loss(log: LogStore, told: dict[int, list[bytes]], heads: list[tuple[int, bytes]]) -> None:
    """The log verifies, holds what was acknowledged where that was said to be, extends every head seen."""
    note = log.checkpoint()
    assert note is not None
    size = claimed_head(note).size
    leaves = list(log.leaves(0, size))
    verify_log(leaves, note, LOG_KEY, ORIGIN, read_tile=log.tile)
    for first, expected in told.items():
        assert leaves[first : first + len(expected)] == expected
    hashes = [leaf_hash(leaf) for leaf in leaves]
    for seen, root in heads:
        assert tree_root(hashes[:seen]) == root
    # all or none: every append that is there is there as a whole, once
    groups: dict[bytes, list[int]] = {}
    for leaf in leaves:
        name, number, part = leaf.split()
        groups.setdefault(name + b" " + number, []).append(int(part))
    for group, parts in groups.items():
        assert parts == list(range(int(group.split()[1]) % 40 + 1))


# An append in an object store is one object that is made once


class Breaking:
    """A store whose answer to one kind of request is lost, before or after the request took place."""

    def __init__(self, store: MemoryBlobStore) -> None:
        self._store = store
        self.method, self.when, self.kept = "", "", False
        self.hits = 0
        self.calls: list[str] = []

    def breaks(self, method: str, when: str, kept: bool) -> None:
        self.method, self.when, self.kept, self.hits = method, when, kept, 0

    def __getattr__(self, name: str) -> Any:
        plain = getattr(self._store, name)

        def call(*arguments: Any, **named: Any) -> Any:
            about = str(arguments[0]) if arguments else ""
            self.calls.append(f"{name} {about}")
            if name != self.method or not about.startswith(self.when):
                return plain(*arguments, **named)
            self.hits += 1
            if self.kept:
                plain(*arguments, **named)
            raise OutageError("store: fell silent")

        return call if callable(plain) else plain


@pytest.fixture
def store() -> Breaking:
    return Breaking(MemoryBlobStore())


def fresh(store: Breaking) -> ObjectLog:
    """As another process finds it."""
    return ObjectLog(store, ORIGIN)


def require_log(store: Breaking, expected: list[bytes]) -> None:
    for log in (fresh(store),):
        note = log.checkpoint()
        assert note is not None
        assert list(log.leaves(0, len(expected))) == expected
        verify_log(log.leaves(0, len(expected)), note, LOG_KEY, ORIGIN, read_tile=log.tile)
        assert claimed_head(note).size == len(expected)


class TestObjects:
    def test_of_two_that_read_the_same_log_one_is_told(self, store: Breaking) -> None:
        one, two = fresh(store), fresh(store)
        one.append([b"first"], LOG)
        two.checkpoint()
        assert one.append([b"one"], LOG, after=1) == 1
        with pytest.raises(LogGrewError):
            two.append([b"two"], LOG, after=1)
        assert two.append([b"two"], LOG) == 2
        require_log(store, [b"first", b"one", b"two"])

    @pytest.mark.parametrize("size", [1, 255, 256, 300, 700])
    def test_a_sequencer_that_died_right_after_its_append(self, store: Breaking, size: int) -> None:
        """Nothing but the append itself is there: readers see it, and the next append publishes it."""
        fresh(store).append([b"%d" % number for number in range(10)], LOG)
        store.breaks("put_new", "tile/", kept=False)
        leaves = [b"later %d" % number for number in range(size)]
        assert fresh(store).append(leaves, LOG) == 10
        expected = [b"%d" % number for number in range(10)] + leaves
        require_log(store, expected)
        with pytest.raises(OutageError):  # it cannot publish what was there before it, so it adds nothing
            fresh(store).append([b"more"], LOG)
        require_log(store, expected)
        store.breaks("", "", kept=False)
        assert fresh(store).append([b"more"], LOG) == 10 + size
        require_log(store, [*expected, b"more"])

    @pytest.mark.parametrize("kept", [True, False])
    def test_the_answer_to_an_append_is_lost(self, store: Breaking, kept: bool) -> None:
        fresh(store).append([b"one"], LOG)
        store.breaks("put_new", "append/", kept=kept)
        if kept:
            assert fresh(store).append([b"two"], LOG) == 1  # found to be its own
        else:
            with pytest.raises(OutageError, match="may have been appended"):
                fresh(store).append([b"two"], LOG)
        store.breaks("", "", kept=False)
        require_log(store, [b"one", b"two"] if kept else [b"one"])

    @pytest.mark.parametrize("method", ["put_new", "replace", "open", "list", "delete"])
    @pytest.mark.parametrize("kept", [True, False])
    def test_any_kind_of_request_fails(self, store: Breaking, method: str, kept: bool) -> None:
        before = [b"%d" % number for number in range(250)]
        fresh(store).append(before, LOG)
        store.breaks(method, "", kept=kept)
        more = [b"more %d" % number for number in range(20)]
        try:
            fresh(store).append(more, LOG)
            told = True
        except OutageError:
            told = False
        store.breaks("", "", kept=False)
        note = fresh(store).checkpoint()
        assert note is not None
        size = claimed_head(note).size
        assert size in ((270,) if told else (250, 270))
        require_log(store, [*before, *more][:size])
        assert fresh(store).append([b"last"], LOG) == size

    def test_a_checkpoint_put_back_by_a_slow_sequencer_misleads_nobody(self, store: Breaking) -> None:
        log = fresh(store)
        log.append([b"one"], LOG)
        old = store.read("checkpoint", 10_000)
        for number in range(300):
            log.append([b"%d" % number], LOG)
        store.replace("checkpoint", old)
        require_log(store, [b"one", *(b"%d" % number for number in range(300))])
        assert fresh(store).append([b"more"], LOG) == 301
        assert log.append([b"and more"], LOG) == 302

    def test_a_sequencer_that_slept_cannot_take_a_place_again(self, store: Breaking) -> None:
        """Its request arrives when the log has long gone on."""
        log = fresh(store)
        log.append([b"one"], LOG)
        forked = sign_checkpoint(ORIGIN, 2, tree_root([leaf_hash(b"one"), leaf_hash(b"slept")]), LOG)
        late = Claim(b"t" * 16, forked, [b"slept"]).to_bytes()
        for number in range(600):
            log.append([b"%d" % number], LOG)
        with pytest.raises(InvalidError):
            store.put_new(claim_name(1), late)

    def test_a_store_that_replaces_what_is_there_is_noticed(self, store: Breaking) -> None:
        """Somebody with the bucket's keys replaced an append that readers still follow."""
        log = fresh(store)
        log.append([b"one"], LOG)
        store.breaks("put_new", "tile/", kept=False)
        log.append([b"two"], LOG)
        store.breaks("", "", kept=False)
        store.replace(claim_name(1), Claim(b"t" * 16, log.checkpoint() or b"", [b"twa"]).to_bytes())
        with pytest.raises(RejectedError, match="does not follow"):
            fresh(store).checkpoint()

    @pytest.mark.parametrize("cut", [0, 10, 30, 36, 40, 200, -1])
    def test_a_torn_append(self, store: Breaking, cut: int) -> None:
        log = fresh(store)
        log.append([b"one"], LOG)
        data = Claim(b"t" * 16, log.checkpoint() or b"", [b"two", b"three"]).to_bytes()
        store.put_new(claim_name(1), data[:cut])
        with pytest.raises(RejectedError, match="not one that we wrote"):
            log.append([b"more"], LOG)
        with pytest.raises(RejectedError, match="not one that we wrote"):
            fresh(store).checkpoint()

    def test_a_planted_tile_stops_the_log(self, store: Breaking) -> None:
        log = fresh(store)
        log.append([b"one"], LOG)
        store.put_new("tile/0/000.p/2", b"x" * 64)
        with pytest.raises(RejectedError, match="something else"):
            log.append([b"two"], LOG)

    def test_a_lost_beginning_is_not_a_new_log(self, store: Breaking) -> None:
        fresh(store).append([b"one"], LOG)
        for name in ("checkpoint", claim_name(0)):
            store.delete(name)
        for act in (fresh(store).checkpoint, lambda: fresh(store).append([b"new"], LOG)):
            with pytest.raises(RejectedError, match="checkpoint is missing"):
                act()

    def test_an_older_state_is_refused_by_what_is_remembered(self, store: Breaking) -> None:
        log = fresh(store)
        log.append([b"one"], LOG)
        old = store.read("checkpoint", 10_000)
        log.append([b"two"], LOG)
        root = tree_root([leaf_hash(b"one"), leaf_hash(b"two")])
        store.replace("checkpoint", old)
        store.delete(claim_name(1))
        guarded = ObjectLog(store, ORIGIN, remembered=lambda: (2, root))
        with pytest.raises(RejectedError, match="rolled back"):
            guarded.append([b"forked"], LOG)

    def test_other_writers_are_faster_for_too_long(self, store: Breaking) -> None:
        fresh(store).append([b"one"], LOG)
        slow = ObjectLog(store, ORIGIN, timeout_s=0.05)
        plain, busy = store._store.put_new, []

        def put_new(name: str, data: bytes) -> None:
            if name.startswith("append/") and not busy:
                busy.append(name)
                fresh(store).append([b"faster"], LOG)
                busy.clear()
            plain(name, data)

        store._store.put_new = put_new  # type: ignore[method-assign]
        with pytest.raises(OutageError, match="were faster"):
            slow.append([b"two"], LOG)

    def test_an_append_asks_for_little(self, store: Breaking) -> None:
        log = fresh(store)
        log.append([b"%d" % number for number in range(2000)], LOG)
        store.calls.clear()
        log.append([b"one more"], LOG)
        assert len(store.calls) < 16, store.calls
        store.calls.clear()
        assert log.checkpoint() is not None
        assert len(store.calls) == 1


def crashes(store: Breaking, act: Callable[[], object]) -> Iterator[int]:
    """Run ``act`` with the process dying at its first write, its second, and so on."""
    writes = ("put_new", "replace", "delete", "create")
    for at in range(1000):
        left = [at]
        plain = {name: getattr(store._store, name) for name in writes}

        def die(name: str, left: list[int] = left, plain: dict[str, Any] = plain) -> Callable[..., Any]:
            def call(*arguments: Any, **named: Any) -> Any:
                left[0] -= 1
                if left[0] < 0:
                    raise Died
                return plain[name](*arguments, **named)

            return call

        for name in writes:
            setattr(store._store, name, die(name))
        try:
            act()
            return
        except Died:
            pass
        finally:
            for name in writes:
                setattr(store._store, name, plain[name])
        yield at


class Died(BaseException):
    """Nothing after it runs in the process."""


@pytest.mark.parametrize("start", [0, 3, 250, 256, 511])
def test_a_sequencer_that_dies_at_any_write(start: int) -> None:
    store = Breaking(MemoryBlobStore())
    written = [b"start %d" % number for number in range(start)]
    if start:
        fresh(store).append(written, LOG)
    batch = [b"batch %d" % number for number in range(10)]
    deaths = 0
    for at in crashes(store, lambda: fresh(store).append(batch, LOG)):
        deaths += 1
        note = fresh(store).checkpoint()
        size = 0 if note is None else claimed_head(note).size
        assert size in (len(written), len(written) + 10)
        if size > len(written):
            written += batch
        if written:
            require_log(store, written)
        assert fresh(store).append([b"after %d" % at], LOG) == size
        written.append(b"after %d" % at)
    assert deaths >= 4
    require_log(store, written + batch)


def test_what_a_process_knows_follows_what_others_append(store: Breaking) -> None:
    """A reader that stays up for long: never more in its memory than what nobody has published."""
    reader, writer = fresh(store), fresh(store)
    for number in range(600):
        writer.append([b"%d" % number], LOG)
        if number % 7 == 0:
            note = reader.checkpoint()
            assert note is not None
            assert claimed_head(note).size == number + 1
            assert reader._known is not None
            assert len(reader._known.pieces) < 10
    assert reader.leaf(599) == b"599"

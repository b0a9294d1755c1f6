"""Offline verification names the first bad record, whatever was done to leaves, tiles or checkpoint."""

from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.errors import RejectedError
from strongroom.trust.checkpoint import Head, sign_checkpoint
from strongroom.trust.log import BadRecordError, VerifiedLog, verify_log
from strongroom.trust.merkle import leaf_hash, tree_root
from tests.unit.trust.chronicle import LOG, LOG_KEY, ORIGIN, OTHER, TreeInMemory

SIZE = 1000


def leaves(size: int = SIZE) -> list[bytes]:
    return [b"record %d" % number for number in range(size)]


def tree(size: int = SIZE) -> TreeInMemory:
    return TreeInMemory(leaves(size))


def head(size: int) -> Head:
    return Head(size, tree_root([leaf_hash(leaf) for leaf in leaves(size)]))


def check(log: TreeInMemory, *remembered: Head, tiles: bool = True) -> VerifiedLog:
    read_tile = log.read_tile if tiles else None
    return verify_log(log.leaves, log.checkpoint, LOG_KEY, ORIGIN, read_tile=read_tile, remembered=remembered)


def require_found(log: TreeInMemory, record: int, *remembered: Head, exact: bool = True) -> None:
    with pytest.raises(BadRecordError) as caught:
        check(log, *remembered)
    assert (caught.value.record, caught.value.exact) == (record, exact)


def rebuild_tiles(log: TreeInMemory, *levels: int) -> None:
    """The attacker makes the tiles of these levels fit the altered records, but cannot sign."""
    rebuilt = TreeInMemory(log.leaves)
    for (level, index), hashes in rebuilt.tiles.items():
        if level in levels:
            log.tiles[level, index] = hashes


@pytest.mark.parametrize("size", [1, 2, 255, 256, 257, 512, 1000])
def test_an_untouched_log_is_verified(size: int) -> None:
    log = tree(size)
    assert check(log, head(size // 2), head(size)) == VerifiedLog(size, log.root)
    assert check(log, tiles=False) == VerifiedLog(size, log.root)


def test_an_empty_log_is_verified() -> None:
    assert check(TreeInMemory([])).size == 0
    log = TreeInMemory([])
    log.leaves = [b"slipped in"]
    require_found(log, 0)


EDITED = [0, 1, 254, 255, 256, 257, 511, 512, 767, 768, 900, 999]


@pytest.mark.parametrize("record", EDITED)
def test_edited(record: int) -> None:
    log = tree()
    log.leaves[record] = b"edited"
    require_found(log, record)


@pytest.mark.parametrize("record", EDITED)
def test_deleted(record: int) -> None:
    log = tree()
    del log.leaves[record]
    require_found(log, record)


@pytest.mark.parametrize("record", [*EDITED, 1000])
def test_inserted(record: int) -> None:
    log = tree()
    log.leaves.insert(record, b"inserted")
    require_found(log, record)


@pytest.mark.parametrize("record", EDITED)
def test_repeated(record: int) -> None:
    log = tree()
    log.leaves.insert(record, log.leaves[record])
    require_found(log, record + 1)


@pytest.mark.parametrize("record", EDITED[:-1])
def test_reordered(record: int) -> None:
    log = tree()
    log.leaves[record], log.leaves[record + 1] = log.leaves[record + 1], log.leaves[record]
    require_found(log, record)


@pytest.mark.parametrize("size", [0, 1, 255, 256, 700, 768, 999])
def test_leaves_cut_at_the_end(size: int) -> None:
    log = tree()
    del log.leaves[size:]
    require_found(log, size)


@pytest.mark.parametrize("size", [0, 1, 255, 256, 700, 768, 999])
def test_leaves_and_tiles_cut_under_the_old_checkpoint(size: int) -> None:
    log = tree()
    shorter = tree(size)
    log.leaves, log.tiles = shorter.leaves, shorter.tiles
    with pytest.raises(BadRecordError) as caught:
        check(log)
    # The tiles that prove the rest are gone too, so nothing can be said with certainty but that it fails.
    assert caught.value.record <= size


@pytest.mark.parametrize("remembered", [1, 256, 600, 700])
def test_leaves_and_tiles_cut_but_a_head_is_remembered(remembered: int) -> None:
    log = tree()
    shorter = tree(700)
    log.leaves, log.tiles = shorter.leaves, shorter.tiles
    require_found(log, remembered, head(remembered), exact=False)


def test_rollback_to_an_older_checkpoint_with_its_tiles() -> None:
    log = tree(700)
    assert check(log).size == 700  # in itself it is a good log
    with pytest.raises(BadRecordError, match="rolled back to 700 records, 1000"):
        check(log, head(1000))


def test_rewritten_and_signed_by_the_log_key_itself() -> None:
    forged = leaves()
    forged[300] = b"rewritten"
    log = TreeInMemory(forged)
    assert check(log).size == SIZE  # nothing but a remembered head can tell
    require_found(log, 256, head(256), head(600), exact=False)
    require_found(log, 600, Head(600, log_root(forged, 600)), head(1000), exact=False)


def log_root(records: list[bytes], size: int) -> bytes:
    return tree_root([leaf_hash(each) for each in records[:size]])


def test_split_view_of_one_size() -> None:
    forged = leaves()
    forged[999] = b"rewritten"
    log = TreeInMemory(forged)
    for heads in ([head(1000), Head(1000, log.root)], [Head(1000, log.root), head(1000)]):
        with pytest.raises(BadRecordError, match="rewritten"):
            check(log, *heads)


@pytest.mark.parametrize("record", [0, 300, 700])
def test_edited_with_its_leaf_tile_rewritten_names_the_bundle(record: int) -> None:
    log = tree()
    log.leaves[record] = b"edited"
    rebuild_tiles(log, 0)
    require_found(log, record // 256 * 256, exact=False)


def test_edited_in_the_last_bundle_with_its_leaf_tile_rewritten() -> None:
    log = tree()
    log.leaves[900] = b"edited"
    rebuild_tiles(log, 0)
    require_found(log, 0, exact=False)
    require_found(log, 700, head(700), exact=False)


def test_edited_with_all_tiles_rewritten_is_still_refused() -> None:
    log = tree()
    log.leaves[300] = b"edited"
    rebuild_tiles(log, 0, 1)
    require_found(log, 0, exact=False)
    require_found(log, 256, head(256), exact=False)


def test_edited_without_tiles_is_refused_and_bounded_by_what_is_remembered() -> None:
    log = tree()
    log.leaves[300] = b"edited"
    for heads, record in (((), 0), ((head(200),), 200)):
        with pytest.raises(BadRecordError) as caught:
            check(log, *heads, tiles=False)
        assert (caught.value.record, caught.value.exact) == (record, False)


def test_edited_twice_names_the_first() -> None:
    log = tree()
    log.leaves[800] = log.leaves[300] = b"edited"
    require_found(log, 300)


def test_edited_behind_a_bundle_whose_tile_was_damaged() -> None:
    log = tree()
    log.leaves[600] = b"edited"
    log.tiles[0, 0][3] = leaf_hash(b"damage")  # bundle 0 is good, and the level above proves it
    require_found(log, 600)


def test_edited_while_the_partial_leaf_tile_was_damaged() -> None:
    log = tree()
    log.leaves[600] = b"edited"
    log.tiles[0, 3][3] = leaf_hash(b"damage")  # the records of that bundle stand in for their tile
    require_found(log, 600)


@pytest.mark.parametrize(("level", "index"), [(0, 0), (0, 2), (0, 3), (1, 0)])
@pytest.mark.parametrize("how", ["altered", "missing"])
def test_good_records_under_a_bad_tile_name_the_tile(level: int, index: int, how: str) -> None:
    log = tree()
    if how == "altered":
        log.tiles[level, index][1] = leaf_hash(b"damage")
    else:
        del log.tiles[level, index]
    with pytest.raises(RejectedError, match=f"tile/{level}/00{index}") as caught:
        check(log)
    assert not isinstance(caught.value, BadRecordError)
    assert check(log, tiles=False).size == SIZE


def test_a_record_that_storage_cannot_read_is_named() -> None:
    log = tree()

    def torn() -> Iterator[bytes]:
        yield from log.leaves[:612]
        raise RejectedError("log entry bundle: torn after 100 records")

    with pytest.raises(BadRecordError, match="torn after 100") as caught:
        verify_log(torn(), log.checkpoint, LOG_KEY, ORIGIN, read_tile=log.read_tile)
    assert (caught.value.record, caught.value.exact) == (612, True)


def test_the_checkpoint_must_be_of_this_log_and_key() -> None:
    log = tree(5)
    for note in (
        sign_checkpoint(ORIGIN, 5, log.root, OTHER),
        sign_checkpoint("vault.example/other", 5, log.root, LOG),
    ):
        with pytest.raises(RejectedError):
            verify_log(log.leaves, note, LOG_KEY, ORIGIN)


def test_two_levels_of_tiles_above_the_leaves() -> None:
    size = 65_536 + 300
    log = tree(size)
    log.leaves[40_000] = b"edited"
    require_found(log, 40_000)
    rebuild_tiles(log, 0)
    require_found(log, 40_000 // 256 * 256, exact=False)
    rebuild_tiles(log, 1)
    require_found(log, 0, exact=False)


@given(st.integers(1, 600), st.data())
def test_any_single_change_is_found_at_its_place(size: int, data: st.DataObject) -> None:
    log = tree(size)
    at = data.draw(st.integers(0, size - 1))
    change: Callable[[], None] = data.draw(
        st.sampled_from(
            [
                lambda: log.leaves.__setitem__(at, b"edited"),
                lambda: log.leaves.__delitem__(at),
                lambda: log.leaves.insert(at, b"inserted"),
            ]
        )
    )
    change()
    require_found(log, at)

"""Tiles and bundles as C2SP tlog-tiles names and cuts them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.errors import InvalidError, RejectedError
from strongroom.trust.merkle import (
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    require_consistent,
    require_included,
    tree_root,
)
from strongroom.trust.tiles import (
    TileBuilder,
    edge_of,
    encode_entries,
    entries_path,
    hash_reader,
    parse_entries,
    split_tile,
    tile_path,
    width_at,
)
from tests.unit.trust.chronicle import TreeInMemory


@pytest.mark.parametrize(
    ("index", "width", "path"),
    [
        (0, 256, "tile/0/000"),
        (999, 256, "tile/0/999"),
        (1000, 256, "tile/0/x001/000"),
        (1234067, 256, "tile/0/x001/x234/067"),
        (1234067, 8, "tile/0/x001/x234/067.p/8"),
    ],
)
def test_paths_are_those_of_the_specification(index: int, width: int, path: str) -> None:
    assert tile_path(0, index, width) == path
    assert entries_path(index, width) == path.replace("tile/0/", "tile/entries/")


@pytest.mark.parametrize("width", [0, 257, -1])
def test_no_tile_is_empty_or_overfull(width: int) -> None:
    with pytest.raises(InvalidError):
        tile_path(0, 0, width)


def test_the_tree_of_70000_has_the_tiles_of_the_specification() -> None:
    # "273 full level 0 tiles, one partial level 0 tile of width 112, one full level 1 tile, one partial
    # level 1 tile of width 17, and one partial level 2 tile of width 1."
    assert list(edge_of(70_000)) == [(0, 273, 112), (1, 1, 17), (2, 0, 1)]
    assert list(edge_of(256)) == [(1, 0, 1)]
    assert list(edge_of(0)) == []
    assert width_at(70_000, 0, 272) == 256
    assert width_at(70_000, 0, 274) == 0


@pytest.mark.parametrize("size", [1, 255, 256, 257, 600, 1024, 65_536, 65_537, 70_000])
def test_the_partial_tiles_alone_make_the_root_and_carry_on(size: int) -> None:
    hashes = [leaf_hash(b"%d" % each) for each in range(size)]
    tiles = {}
    builder = TileBuilder()
    for each in hashes:
        for tile in builder.push(each):
            tiles[tile.level, tile.index] = tile.hashes
    for tile in builder.edge():
        tiles[tile.level, tile.index] = tile.hashes
        assert (tile.level, tile.index, len(tile.hashes)) in set(edge_of(size))
    reads = []

    def read(level: int, index: int, width: int) -> tuple[bytes, ...]:
        reads.append((level, index))
        return tuple(tiles[level, index][:width])

    loaded = TileBuilder.load(size, read)
    assert loaded.root() == builder.root() == tree_root(hashes)
    assert len(reads) <= 3
    list(loaded.push(leaf_hash(b"next")))
    assert loaded.root() == tree_root([*hashes, leaf_hash(b"next")])


@pytest.mark.parametrize("size", [300, 513, 1000])
def test_proofs_come_out_of_tiles(size: int) -> None:
    tree = TreeInMemory([b"%d" % each for each in range(size)])
    read = hash_reader(size, tree.read_tile)
    for index in {0, 1, 255, 256, 257, size - 1}:
        require_included(leaf_hash(b"%d" % index), index, size, inclusion_proof(index, size, read), tree.root)
    for old in {1, 255, 256, 257, size - 1, size}:
        old_root = tree_root([leaf_hash(b"%d" % each) for each in range(old)])
        require_consistent(old, old_root, size, tree.root, consistency_proof(old, size, read))


@given(st.lists(st.binary(max_size=70), max_size=256))
def test_bundles_come_back(leaves: list[bytes]) -> None:
    assert list(parse_entries(encode_entries(leaves))) == leaves


def test_a_bundle_is_length_prefixed_big_endian() -> None:
    assert encode_entries([b"ab", b"", b"x" * 258]) == b"\x00\x02ab\x00\x00\x01\x02" + b"x" * 258


@given(st.binary(max_size=600))
def test_any_bytes_are_either_the_bundle_they_parse_to_or_refused(data: bytes) -> None:
    try:
        leaves = list(parse_entries(data))
    except RejectedError:
        return
    assert encode_entries(leaves) == data


@pytest.mark.parametrize(
    ("attack", "data", "good"),
    [
        ("cut in a length", b"\0\1a\0", 1),
        ("cut in a record", b"\0\1a\0\5abc", 1),
        ("length beyond the end", b"\xff\xffabc", 0),
        ("more than 256 records", b"\0\0" * 257, 256),
    ],
)
def test_torn_bundles_are_refused_after_the_good_records(attack: str, data: bytes, good: int) -> None:
    found: list[bytes] = []
    with pytest.raises(RejectedError, match=f"torn after {good} records"):
        found.extend(parse_entries(data))
    assert len(found) == good


def test_a_record_that_no_length_can_name_is_refused() -> None:
    assert len(encode_entries([b"x" * 65_535])) == 65_537
    with pytest.raises(InvalidError):
        encode_entries([b"x" * 65_536])


@pytest.mark.parametrize("size_bytes", [0, 31, 63, 65, 96])
def test_a_tile_of_another_width_is_refused(size_bytes: int) -> None:
    with pytest.raises(RejectedError):
        split_tile(b"\0" * size_bytes, 2)

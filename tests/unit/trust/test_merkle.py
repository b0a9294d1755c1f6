"""RFC 6962 trees: the reference vectors, every proof of every small tree, and every way to bend one."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.errors import InvalidError, RejectedError
from strongroom.trust.merkle import (
    EMPTY_ROOT,
    MAX_TREE_SIZE,
    Frontier,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    path_in_levels,
    range_root,
    require_consistent,
    require_included,
    tree_levels,
    tree_root,
)

VECTORS: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "vectors" / "log" / "rfc6962.json").read_text()
)
LEAVES = [bytes.fromhex(each) for each in VECTORS["leaves"]]
ROOTS = [bytes.fromhex(each) for each in VECTORS["roots"]]
SIZES = range(1, 71)
HASHES = [leaf_hash(b"leaf %d" % number) for number in range(SIZES[-1])]


def plain_root(hashes: list[bytes]) -> bytes:
    """The definition of RFC 6962 2.1, word for word."""
    if len(hashes) == 1:
        return hashes[0]
    split = 1
    while split * 2 < len(hashes):
        split *= 2
    return node_hash(plain_root(hashes[:split]), plain_root(hashes[split:]))


def read(level: int, index: int) -> bytes:
    return tree_root(HASHES[index << level : (index + 1) << level])


def flipped(data: bytes, bit: int = 0) -> bytes:
    return bytes([data[0] ^ (1 << bit)]) + data[1:]


@pytest.mark.parametrize("size", range(9))
def test_the_reference_roots(size: int) -> None:
    hashes = [leaf_hash(leaf) for leaf in LEAVES[:size]]
    assert tree_root(hashes) == ROOTS[size]
    frontier = Frontier()
    for each in hashes:
        frontier.push(each)
    assert frontier.root() == ROOTS[size]


def test_the_reference_proofs() -> None:
    hashes = [leaf_hash(leaf) for leaf in LEAVES]

    def read_vector(level: int, index: int) -> bytes:
        return tree_root(hashes[index << level : (index + 1) << level])

    for vector in VECTORS["inclusion"]:
        proof = [bytes.fromhex(each) for each in vector["proof"]]
        index, size = vector["index"], vector["size"]
        assert inclusion_proof(index, size, read_vector) == proof
        require_included(hashes[index], index, size, proof, ROOTS[size])
    for vector in VECTORS["consistency"]:
        proof = [bytes.fromhex(each) for each in vector["proof"]]
        old, new = vector["old"], vector["new"]
        assert consistency_proof(old, new, read_vector) == proof
        require_consistent(old, ROOTS[old], new, ROOTS[new], proof)


@pytest.mark.parametrize("size", SIZES)
def test_every_way_to_a_root_agrees_with_the_definition(size: int) -> None:
    expected = plain_root(HASHES[:size])
    frontier = Frontier()
    for each in HASHES[:size]:
        frontier.push(each)
    assert tree_root(HASHES[:size]) == range_root(0, size, read) == frontier.root() == expected


@pytest.mark.parametrize("size", SIZES)
def test_every_leaf_is_provable_and_nothing_else_is(size: int) -> None:
    root = tree_root(HASHES[:size])
    levels = tree_levels(HASHES[:size])
    for index in range(size):
        proof = inclusion_proof(index, size, read)
        assert proof == path_in_levels(levels, index)
        require_included(HASHES[index], index, size, proof, root)
        for wrong in {0, index - 1, index + 1, size - 1, size, size + 1} - {index}:
            with pytest.raises(RejectedError):
                require_included(HASHES[index], wrong, size, proof, root)
        for at in range(len(proof)):
            for mutated in (
                [*proof[:at], flipped(proof[at]), *proof[at + 1 :]],
                [*proof[:at], *proof[at + 1 :]],
                [*proof[:at], proof[at], *proof[at:]],
            ):
                with pytest.raises(RejectedError):
                    require_included(HASHES[index], index, size, mutated, root)
        for leaf, other_root in ((flipped(HASHES[index]), root), (HASHES[index], flipped(root))):
            with pytest.raises(RejectedError):
                require_included(leaf, index, size, proof, other_root)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 8, 13, 32, 33, 70])
def test_a_proof_for_another_size_is_refused_unless_it_is_the_same_proof(size: int) -> None:
    root = tree_root(HASHES[:size])
    for index in range(size):
        proof = inclusion_proof(index, size, read)
        for other in set(range(1, 72)) - {size}:
            # RFC 9162 proofs do not name their size; what binds the size is the signed checkpoint. Where
            # the path has the same shape in both trees the hashes agree, and the root is this root.
            try:
                require_included(HASHES[index], index, other, proof, root)
            except RejectedError:
                continue
            assert _turns(index, other) == _turns(index, size)


def _turns(index: int, size: int) -> list[bool]:
    """On which side the sibling is, from the leaf up."""
    turns = []
    start, end = 0, size
    while end - start > 1:
        middle = start + (1 << ((end - start - 1).bit_length() - 1))
        turns.append(index < middle)
        start, end = (start, middle) if index < middle else (middle, end)
    return turns[::-1]


@pytest.mark.parametrize("new", SIZES)
def test_every_prefix_is_provable_and_no_rewritten_one(new: int) -> None:
    new_root = tree_root(HASHES[:new])
    for old in range(new + 1):
        old_root = tree_root(HASHES[:old])
        proof = consistency_proof(old, new, read)
        require_consistent(old, old_root, new, new_root, proof)
        for at in range(len(proof)):
            for mutated in (
                [*proof[:at], flipped(proof[at]), *proof[at + 1 :]],
                [*proof[:at], *proof[at + 1 :]],
                [*proof[:at], proof[at], *proof[at:]],
            ):
                with pytest.raises(RejectedError):
                    require_consistent(old, old_root, new, new_root, mutated)
        with pytest.raises(RejectedError):
            require_consistent(old, flipped(old_root), new, new_root, proof)
        if old:
            with pytest.raises(RejectedError):
                require_consistent(old, old_root, new, flipped(new_root), proof)
        with pytest.raises(RejectedError):
            require_consistent(old, old_root, new, new_root, [*proof, b"\0" * 32])


@pytest.mark.parametrize("new", [3, 8, 21, 64, 70])
def test_a_consistency_proof_does_not_carry_over_to_other_sizes(new: int) -> None:
    for old in range(1, new):
        proof = consistency_proof(old, new, read)
        roots = tree_root(HASHES[:old]), tree_root(HASHES[:new])
        for wrong in {old - 1, old + 1} - {new, 0}:
            with pytest.raises(RejectedError):
                require_consistent(wrong, roots[0], new, roots[1], proof)
    with pytest.raises(RejectedError):
        require_consistent(new, tree_root(HASHES[:new]), new - 1, tree_root(HASHES[: new - 1]), [])


@given(st.integers(2, 60), st.data())
def test_a_history_with_one_edited_leaf_has_no_proof(size: int, data: st.DataObject) -> None:
    old = data.draw(st.integers(1, size - 1))
    edited = data.draw(st.integers(0, old - 1))
    forged = [flipped(each) if at == edited else each for at, each in enumerate(HASHES[:size])]

    def read_forged(level: int, index: int) -> bytes:
        return tree_root(forged[index << level : (index + 1) << level])

    with pytest.raises(RejectedError):
        require_consistent(
            old, tree_root(HASHES[:old]), size, tree_root(forged), consistency_proof(old, size, read_forged)
        )


def test_second_preimage_an_inner_node_is_no_leaf() -> None:
    left, right = HASHES[:2]
    assert leaf_hash(left + right) != node_hash(left, right)
    with pytest.raises(RejectedError):
        require_included(leaf_hash(left + right), 0, 1, [], node_hash(left, right))


@pytest.mark.parametrize("proof", [[b"short"], [b"\0" * 33], [b"\0" * 32] * 129, [b""]])
def test_proofs_that_are_not_hashes_are_refused(proof: list[bytes]) -> None:
    with pytest.raises(RejectedError, match="not a list"):
        require_included(HASHES[0], 0, 2, proof, HASHES[1])
    with pytest.raises(RejectedError, match="not a list"):
        require_consistent(1, HASHES[0], 2, HASHES[1], proof)


def test_sizes_out_of_range_are_refused() -> None:
    for index, size in ((-1, 2), (2, 2), (0, 0), (0, MAX_TREE_SIZE + 1)):
        with pytest.raises(RejectedError):
            require_included(HASHES[0], index, size, [], HASHES[0])
    for old, new in ((-1, 2), (3, 2), (1, MAX_TREE_SIZE + 1)):
        with pytest.raises(RejectedError):
            require_consistent(old, HASHES[0], new, HASHES[0], [])
    for call in (
        lambda: inclusion_proof(2, 2, read),
        lambda: inclusion_proof(-1, 2, read),
        lambda: consistency_proof(3, 2, read),
        lambda: path_in_levels([HASHES[:2]], 2),
    ):
        with pytest.raises(InvalidError):
            call()


def test_the_empty_tree_is_the_prefix_of_every_tree_but_only_under_its_own_root() -> None:
    require_consistent(0, EMPTY_ROOT, 5, tree_root(HASHES[:5]), [])
    with pytest.raises(RejectedError):
        require_consistent(0, HASHES[0], 5, tree_root(HASHES[:5]), [])


def test_a_frontier_takes_whole_subtrees_only_where_they_fit() -> None:
    frontier = Frontier()
    frontier.push(tree_root(HASHES[:8]), 3)
    frontier.push(HASHES[8])
    assert (frontier.size, frontier.root()) == (9, tree_root(HASHES[:9]))
    with pytest.raises(InvalidError):
        frontier.push(tree_root(HASHES[8:16]), 3)
    with pytest.raises(InvalidError):
        Frontier(3, [HASHES[0]])

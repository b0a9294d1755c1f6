"""Checkpoints whose pickle, members or storages are not what torch.save writes."""

import io
import pickle
import struct
import zipfile

import pytest

from strongroom.artifact.formats import Format
from strongroom.scan import pickle_rules as rules
from strongroom.scan.torch import MEMBER, STORAGE
from strongroom.scan.torch_legacy import MAGIC, PROTOCOL
from tests.unit.scan.pickled import PICKLES, refusals, refused_by

STATE = PICKLES / "kinds.pt"
EVIL = b"cos\nsystem\n(S'id'\ntR."

TENSOR = (
    b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\nFloatStorage\n"
    b"X\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x03tQK\x00K\x03\x85K\x01\x85\x89ccollections\nOrderedDict\n)RtR."
)
"""A tensor of three numbers on the storage 0."""


def rewritten(data: bytes, changes: dict[str, bytes | None]) -> bytes:
    """Return an archive with other members; a member is named without its folder, None leaves it out."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(file, "w") as new:
        root = old.namelist()[0].partition("/")[0]
        for name in old.namelist():
            content = changes.pop(name.removeprefix(f"{root}/"), old.read(name))
            if content is not None:
                new.writestr(name, content)
        for name, content in changes.items():
            if content is not None:
                new.writestr(name if name.startswith("../") else f"{root}/{name}", content)
    return file.getvalue()


def small(pickled: bytes = TENSOR, **changes: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in {"data.pkl": pickled, "data/0": bytes(12), "version": b"3\n", **changes}.items():
            archive.writestr(f"archive/{name}", content)
    return file.getvalue()


def refused(data: bytes) -> set[str]:
    return refused_by(data, Format.TORCH)


def test_a_checkpoint_as_it_is_written_passes() -> None:
    assert not refused(small())
    assert not refused(STATE.read_bytes())
    assert not refused(rewritten(STATE.read_bytes(), {}))


def test_the_pickle_is_judged() -> None:
    assert rules.EXECUTES.id in refused(small(EVIL))
    assert {rules.EXECUTES.id, rules.MALFORMED.id} <= refused(small(EVIL[:-1] + b"\xff"))
    assert rules.MALFORMED.id in refused(small(TENSOR + b"N."))
    assert rules.EXECUTES.id in refused(rewritten(STATE.read_bytes(), {"data.pkl": EVIL}))


@pytest.mark.parametrize(
    "name", ["code/model.py", "extra/run.sh", "data.pkl2", "data/../x", "constants.pkl", "data/a"]
)
def test_members_that_torch_does_not_write_are_refused(name: str) -> None:
    assert refused(small(**{name: b"import os"}))


def test_a_pickle_beside_the_pickle_is_named() -> None:
    assert {MEMBER.id, rules.EXECUTES.id} <= refused(small(**{"other.pkl": EVIL}))


@pytest.mark.parametrize("note", ["version", "byteorder", ".format_version", ".data/serialization_id"])
def test_notes_hold_what_they_are_for(note: str) -> None:
    assert MEMBER.id in refused(small(**{note: b"#!/bin/sh"}))


def test_storages_are_as_long_as_the_tensors_say() -> None:
    assert refused(small(**{"data/0": bytes(11)})) == {STORAGE.id}
    assert refused(small(**{"data/0": bytes(13)})) == {STORAGE.id}
    assert refused(small(**{"data/1": bytes(4)})) == {STORAGE.id}
    assert refused(rewritten(small(), {"data/0": None})) == {STORAGE.id}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"K\x00K\x03\x85K\x01\x85", b"K\x01K\x03\x85K\x01\x85"),
        (b"K\x00K\x03\x85K\x01\x85", b"K\x00K\x03\x85K\x09\x85"),
        (b"K\x00K\x03\x85K\x01\x85", b"J\xff\xff\xff\xffK\x03\x85K\x01\x85"),
        (b"K\x00K\x03\x85K\x01\x85", b"K\x00K\x03\x85)"),
        (b"FloatStorage", b"FloatStorages"),
        (b"ctorch\nFloatStorage", b"cos\nsystem"),
        (b"\x89ccollections\nOrderedDict\n)R", b"\x89}K\x01ctorch\nrelu\ns"),
        (b"K\x03tQ", b"L99999999999999999999L\ntQ"),
    ],
)
def test_tensors_stay_within_their_storage(old: bytes, new: bytes) -> None:
    assert old in TENSOR
    assert refused(small(TENSOR.replace(old, new)))


@pytest.mark.parametrize(
    "pid",
    [
        b"X\x01\x00\x00\x00xQ.",
        b"(X\x06\x00\x00\x00modulecos\nsystem\nNNtQ.",
        b"(X\x07\x00\x00\x00storageNNNNtQ.",
    ],
)
def test_persistent_ids_name_storages_only(pid: bytes) -> None:
    assert rules.PERSISTENT.id in refused(small(b"\x80\x02" + pid))


def test_two_roots_have_no_truth() -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a/data.pkl", TENSOR)
        archive.writestr("b/data.pkl", EVIL)
    assert refused(file.getvalue())


def test_findings_name_the_member_and_the_byte() -> None:
    (found,) = (match for match in refusals(small(EVIL), Format.TORCH) if match.rule is rules.EXECUTES)
    assert found.place.members == ("archive/data.pkl",)
    assert found.place.offset == 0


# before PyTorch 1.6 -------------------------------------------------------------------------------------


def legacy(pickled: bytes, keys: list[str], storages: bytes) -> bytes:
    head = [
        pickle.dumps(part, 2)
        for part in (MAGIC, PROTOCOL, {"protocol_version": PROTOCOL, "little_endian": True})
    ]
    return b"".join((*head, pickled, pickle.dumps(keys, 2), storages))


OLD_TENSOR = TENSOR.replace(b"K\x03tQ", b"K\x03NtQ")
NUMBERS = struct.pack("<q3f", 3, 1, 2, 3)


def test_old_checkpoints_pass() -> None:
    assert not refused(legacy(OLD_TENSOR, ["0"], NUMBERS))
    assert not refused((PICKLES / "sd_legacy.pth").read_bytes())


@pytest.mark.parametrize(
    ("pickled", "keys", "storages"),
    [
        (EVIL, [], b""),
        (OLD_TENSOR, [], b""),
        (OLD_TENSOR, ["0"], NUMBERS[:-1]),
        (OLD_TENSOR, ["0"], NUMBERS + b"x"),
        (OLD_TENSOR, ["0"], struct.pack("<q", 2**40)),
        (OLD_TENSOR, ["0", "1"], NUMBERS * 2),
        (OLD_TENSOR, ["0", "0"], NUMBERS * 2),
        (TENSOR, ["0"], NUMBERS),
    ],
)
def test_old_checkpoints_hold_nothing_else(pickled: bytes, keys: list[str], storages: bytes) -> None:
    assert refused(legacy(pickled, keys, storages))


def test_a_payload_in_any_of_the_five_pickles_is_seen() -> None:
    parts = [
        pickle.dumps(MAGIC, 2),
        pickle.dumps(PROTOCOL, 2),
        pickle.dumps({}, 2),
        OLD_TENSOR,
        pickle.dumps(["0"], 2),
    ]
    for at in range(1, 5):
        attacked = [*parts[:at], EVIL, *parts[at + 1 :]]
        assert rules.EXECUTES.id in refused(b"".join(attacked) + NUMBERS), at

"""Who holds the backup store and no key: what they put back, cut or invent; and races with the home."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace

import pytest

from strongroom import canonical
from strongroom.adapters.blobs.memory import MemoryBlobStore
from strongroom.errors import InvalidError, OutageError, RejectedError
from strongroom.flows import layout
from strongroom.flows.archive import HEADER, KEYSTORE
from strongroom.flows.backup import create_backup
from strongroom.flows.backups import check_backup, list_snapshots
from strongroom.flows.mending import put_back
from strongroom.flows.recover import recover
from strongroom.flows.reencrypt import reencrypt
from strongroom.flows.release import release
from strongroom.flows.restore import Wish as Restoring
from strongroom.flows.revocations import issue_list, read_list
from strongroom.flows.revoke import revoke_version
from strongroom.flows.rotate import Wish, rotate_key
from strongroom.flows.shred import request_shred, shred
from strongroom.flows.vault import read_authority
from strongroom.trust.backup import MAX_INDEX_BYTES, BackupHeader, Snapshot, claimed_snapshot, snapshot_name
from strongroom.trust.dsse import Envelope
from strongroom.trust.shreds import Target
from strongroom.values import State
from tests.flows.scene import ADMIN, ONE, OPERATOR, OWNER, TWO, Scene, require_sound
from tests.flows.test_backup import Kept, kept

__all__ = ["kept"]


def _check(kept: Kept, *, full: bool = False) -> list[str]:
    return check_backup(kept.scene.reopened(), OPERATOR, kept.archive(), full=full)


# The header, the keystore


@pytest.mark.parametrize("key", ["awskms:arn:aws:kms:eu-central-1:1:key/theirs", "file:kek/fraud", "vault:x"])
def test_a_header_that_names_a_key_of_the_attackers_choice(kept: Kept, key: str) -> None:
    """With a key of theirs they would know the secret, and the home would seal its log under it."""
    kept.create()
    value = canonical.decode(kept.store.objects[HEADER])
    kept.store.objects[HEADER] = canonical.encode({**value, "key": key})
    with pytest.raises(RejectedError, match="header"):
        kept.archive()
    with pytest.raises(RejectedError, match="header"):
        kept.create()


def test_an_old_keystore_put_beside_the_newest_snapshot(kept: Kept) -> None:
    """It has keys that were destroyed since."""
    kept.create()
    old = kept.store.objects[KEYSTORE]
    kept.create()
    kept.store.objects[KEYSTORE] = old
    assert any("older than snapshot 2" in fault for fault in _check(kept))
    for wish in (Restoring(), Restoring(allow_rollback=True)):
        with pytest.raises(RejectedError, match="somebody put an old one back"):
            kept.restore(wish)


@pytest.mark.parametrize("text", [b"", b"rubbish", b"[]", b'{"generation":"9"}', b'{"generation":true}'])
def test_a_keystore_that_is_none_is_noticed_by_the_check(kept: Kept, text: bytes) -> None:
    kept.create()
    kept.store.objects[KEYSTORE] = text
    assert any(fault.startswith("keystore") for fault in _check(kept))


def test_a_keystore_that_was_removed_is_noticed_by_the_check(kept: Kept) -> None:
    kept.create()
    kept.store.delete(KEYSTORE)
    assert any(fault.startswith("keystore") for fault in _check(kept))


# Pieces


def test_a_piece_that_was_cut_is_noticed_without_reading_and_made_anew(kept: Kept) -> None:
    kept.create()
    sound = dict(kept.store.objects)
    for name in sound:
        if name.startswith("pieces/") and sound[name] != b"":
            kept.store.objects = {**sound, name: sound[name][:-1]}
            try:
                assert any("cut" in fault for fault in _check(kept)), name
            except RejectedError:
                continue  # the index itself
    kept.store.objects = dict(sound)
    archive = kept.archive()
    index = archive.index(archive.claimed(1), MAX_INDEX_BYTES)
    for name in (archive.object_name(index.holdings[0].objects[0]), index.log[0].chain[0].object):
        kept.store.objects[name] = sound[name][:-1]
    kept.create()
    kept.store.objects.pop(snapshot_name(1))
    assert not _check(kept, full=True)


def test_what_was_kept_as_one_kind_of_thing_is_not_read_as_another(kept: Kept) -> None:
    kept.create()
    archive = kept.archive()
    index = archive.index(archive.claimed(1), MAX_INDEX_BYTES)
    with pytest.raises(RejectedError, match="kind index"):
        archive.get("index", index.files[0].chain, MAX_INDEX_BYTES)


def test_a_claimed_size_beyond_every_bound_is_refused_before_anything_is_read(kept: Kept) -> None:
    kept.create()
    archive = kept.archive()
    (first, *_) = archive.claimed(1).index
    huge = replace(first, size_bytes=2**50)
    kept.store.read = lambda *_: pytest.fail("was read")  # type: ignore[method-assign]
    with pytest.raises(RejectedError, match="larger than"):
        archive.get("index", (huge,), MAX_INDEX_BYTES)
    with pytest.raises(RejectedError, match="larger than"):
        archive.get("index", (replace(first, size_bytes=2**23),) * 4096, MAX_INDEX_BYTES)


# Snapshots that nobody signed


@pytest.mark.parametrize(
    "change",
    [
        {"generation": "9"},
        {"generation": True},
        {"sequence": -1},
        {"sequence": True},
        {"objects": -1},
        {"backup": 7},
        {"previous": None},
        {"size_bytes": {}},
        {"missing": []},
        {"index": [{}] * 5000},
        {"index": {"object": "x"}},
        {"head": {"root": "zz", "size": 1}},
        {"head": {"root": "", "size": -1}},
        {"taken_at": "yesterday"},
        {"extra": 1},
    ],
)
def test_a_hostile_snapshot_is_refused_and_nothing_falls_over(kept: Kept, change: dict[str, object]) -> None:
    kept.create()
    payload = {**canonical.decode(claimed_snapshot(kept.store.objects[snapshot_name(1)]).to_payload())}
    with pytest.raises(RejectedError):
        Snapshot.parse(canonical.encode({**payload, **change}))


@pytest.mark.parametrize(
    "name", ["snapshots/1.json", "snapshots/000000001.json", "snapshots/x.json", "snapshots/a/b.json"]
)
def test_a_name_among_the_snapshots_that_we_do_not_give(kept: Kept, name: str) -> None:
    kept.create()
    kept.store.objects[name] = b"{}"
    with pytest.raises(RejectedError, match="no name that we give"):
        list_snapshots(kept.scene.reopened(), OPERATOR, kept.archive())


def test_an_envelope_with_another_payload(kept: Kept) -> None:
    kept.create()
    name = snapshot_name(1)
    envelope = Envelope.parse(kept.store.objects[name])
    value = canonical.decode(envelope.payload)
    forged = Envelope(
        envelope.payload_type, canonical.encode({**value, "generation": 0}), envelope.signatures
    )
    kept.store.objects[name] = forged.to_bytes()
    with pytest.raises(RejectedError):
        kept.restore(Restoring(allow_rollback=True))


@pytest.mark.parametrize("text", [b"", b"[" * 16000, b'{"format":"strongroom-backup/1"}', b"\xff"])
def test_a_hostile_header(text: bytes) -> None:
    with pytest.raises(RejectedError):
        BackupHeader.parse(text)


# What was revoked or shredded


def test_a_list_in_the_surviving_store_tells_what_an_old_backup_forgets(kept: Kept) -> None:
    kept.create()
    revoke_version(kept.scene.reopened(), OWNER, ONE, "stolen")
    issue_list(kept.scene.reopened(), ADMIN)
    survivor = kept.bare()
    survivor.blobs.objects = dict(kept.scene.blobs.objects)
    with pytest.raises(RejectedError, match=f"revokes also: {ONE}"):
        kept.restore(into=survivor)
    done = kept.restore(Restoring(allow_rollback=True), into=survivor)
    assert str(ONE) in done.rolled_back[0]
    assert str(ONE) in survivor.events[-1].reason, "and the log says so"
    assert read_list(survivor.reopened()) is None, "a list of another log would stop every load"


def test_a_newer_list_that_is_forged_is_no_reason(kept: Kept) -> None:
    kept.create()
    survivor = kept.bare()
    survivor.blobs.objects[layout.REVOCATIONS] = b"forged"
    assert not kept.restore(into=survivor).rolled_back


def _shred(scene: Scene) -> None:
    vault = scene.reopened()
    request_shred(vault, OWNER, Target.parse(str(ONE)), "the owner wants it gone")
    shred(vault, ADMIN, Target.parse(str(ONE)))


def test_what_is_shredded_is_gone_from_the_next_backup_and_not_missing(kept: Kept) -> None:
    kept.scene.publish(TWO)
    kept.create()
    _shred(kept.scene)
    made = kept.create()
    assert made.missing == ()
    assert made.snapshot.objects == 1
    assert not _check(kept, full=True)
    done = kept.restore()
    assert done.missing == ()
    assert read_authority(kept.risen.reopened()).versions[ONE].state is State.REVOKED


def test_what_is_shredded_stays_unreadable_though_an_older_snapshot_is_restored(kept: Kept) -> None:
    kept.scene.publish_approved(TWO)
    kept.create()
    _shred(kept.scene)
    kept.create()
    done = kept.restore(Restoring(sequence=1, allow_rollback=True))
    assert str(ONE) in [name for name, _ in done.missing], "and it is said"
    assert "does not open" in dict(done.missing)[str(ONE)]
    with pytest.raises(RejectedError):
        release(kept.risen.reopened(), OPERATOR, ONE)


def test_what_is_shredded_while_recover_reads_does_not_come_back(kept: Kept) -> None:
    kept.scene.publish(TWO)
    kept.create()
    scene = kept.scene
    scene.blobs.delete(layout.object_name(ONE, 0))
    vault = scene.reopened()
    hold = vault.locks.hold

    def shredding(name: str, timeout_s: float = 10.0) -> AbstractContextManager[None]:
        if name == "publish-fraud" and not scene.authority.is_doomed(ONE):
            _shred(scene)
        return hold(name, timeout_s)

    vault.locks.hold = shredding  # type: ignore[method-assign]
    recover(vault, OPERATOR, kept.archive())
    assert layout.object_name(ONE, 0) not in scene.blobs.objects
    assert layout.wrapped_key_name(ONE) not in scene.blobs.objects


# Rotation


def _rotate(scene: Scene) -> None:
    rotate_key(scene.reopened(), ADMIN, Wish("fraud"))


def _reencrypt(scene: Scene) -> None:
    vault = scene.reopened()
    rotate_key(vault, ADMIN, Wish("fraud", reencrypt=True))
    reencrypt(vault, ADMIN, "fraud")


@pytest.mark.parametrize("work", [_rotate, _reencrypt, _shred])
def test_keys_replaced_while_the_backup_reads_leave_one_that_opens(
    kept: Kept, work: Callable[[Scene], None]
) -> None:
    kept.scene.publish_approved(TWO)
    key = layout.wrapped_key_name(TWO)
    read, done = kept.scene.blobs.read, False

    def reading(name: str, limit: int) -> bytes:
        nonlocal done
        data = read(name, limit)
        if name == key and not done:
            done = True
            work(kept.scene)
        return data

    kept.scene.blobs.read = reading  # type: ignore[method-assign]
    made = kept.create()
    assert done
    assert made.missing == ()
    kept.scene.blobs.read = read  # type: ignore[method-assign]
    assert not _check(kept, full=True)
    assert kept.restore().missing == ()
    assert kept.risen.plaintext(TWO) == kept.scene.published[TWO]


def test_keys_replaced_again_and_again_make_no_snapshot(kept: Kept) -> None:
    read = kept.files.read

    def reading(name: str, offset: int, limit: int) -> bytes:
        if name == "keystore.json":
            generation = int(canonical.decode(kept.files.files[name])["generation"])
            kept.files.files[name] = canonical.encode({"generation": generation + 1})
        return read(name, offset, limit)

    kept.files.read = reading  # type: ignore[method-assign]
    with pytest.raises(OutageError, match="again and again"):
        create_backup(kept.scene.reopened(), OPERATOR, kept.store, kept.files)
    assert not any(name.startswith("snapshots/") for name in kept.store.objects)


def test_a_version_encrypted_anew_comes_back_as_it_is_now(kept: Kept) -> None:
    kept.create()
    _reencrypt(kept.scene)
    kept.create()
    done = kept.restore()
    assert (done.missing, done.rolled_back) == ((), ())
    require_sound(kept.risen)
    assert not [name for name in kept.risen.blobs.objects if name == layout.object_name(ONE, 0)]


def test_a_held_index_names_nothing_outside_by_dots(kept: Kept) -> None:
    kept.create()
    archive = kept.archive()
    holding = archive.index(archive.claimed(1), MAX_INDEX_BYTES).holdings[0]
    strange = replace(holding, key="fraud/1.0.0/../../other/1.0.0/keys.json")
    with pytest.raises((InvalidError, RejectedError)):
        list(put_back(archive, MemoryBlobStore(), strange, {strange.key: b"k"}))


def test_a_log_that_outlived_the_backup_names_what_is_lost(kept: Kept) -> None:
    """Catalog and log in a database that survived, models on the disk that did not."""
    kept.create()
    kept.scene.publish(TWO)
    _reencrypt(kept.scene)
    risen = kept.bare()
    risen.log._leaves, risen.log._checkpoint = list(kept.scene.log._leaves), kept.scene.log._checkpoint
    risen.vault = risen.reopened()
    done = kept.restore(into=risen)
    assert done.rolled_back == ()
    assert sorted(name for name, _ in done.missing) == [str(ONE), str(TWO)]
    assert not [name for name in risen.blobs.objects if name.startswith("fraud/")], "no old ciphertext beside"


def test_what_the_surviving_log_says_was_shredded_is_not_put_back(kept: Kept) -> None:
    kept.scene.publish_approved(TWO)
    kept.create()
    _shred(kept.scene)
    risen = kept.bare()
    risen.log._leaves, risen.log._checkpoint = list(kept.scene.log._leaves), kept.scene.log._checkpoint
    risen.vault = risen.reopened()
    kept.restore(into=risen)
    assert not list(risen.blobs.list(layout.prefix(ONE)))

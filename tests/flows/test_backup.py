"""Backup, restore and recover on the twins: what comes back, and what an attacker at the backup can do."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import pairwise

import pytest

from strongroom import canonical
from strongroom.adapters.blobs.memory import MemoryBlobStore
from strongroom.adapters.homes.memory import MemoryHomeFiles
from strongroom.errors import DeniedError, InvalidError, OutageError, RejectedError, StrongroomError
from strongroom.flows import layout
from strongroom.flows.archive import HEADER, KEYSTORE, Archive
from strongroom.flows.backup import Made, create_backup
from strongroom.flows.backups import check_backup, list_snapshots, prune_backup
from strongroom.flows.keyfile import WrappedKey, data_key_context
from strongroom.flows.recover import Recovered, recover
from strongroom.flows.restore import Restored, Wish, choose_snapshot, restore, restore_files
from strongroom.flows.vault import read_authority
from strongroom.trust.backup import MAX_INDEX_BYTES, snapshot_name
from strongroom.values import Action
from tests.flows.scene import (
    ADMIN,
    CONSUMER,
    DEPLOYER,
    ONE,
    OPERATOR,
    REVIEWER,
    TWO,
    Scene,
    build_bare,
    furnished,
    require_sound,
)


@dataclass
class Kept:
    """A home with a backup of it."""

    scene: Scene
    store: MemoryBlobStore
    files: MemoryHomeFiles

    def create(self, actor: str = OPERATOR) -> Made:
        generation = int(canonical.decode(self.files.files["keystore.json"])["generation"])
        self.files.files["keystore.json"] = canonical.encode({"generation": generation + 1})
        return create_backup(self.scene.reopened(), actor, self.store, self.files)

    def archive(self) -> Archive:
        return Archive.open(self.store, self.scene.keys)

    def restore(self, wish: Wish = Wish(), actor: str = ADMIN, into: Scene | None = None) -> Restored:  # noqa: B008
        """Restore into a home that has its keystore and nothing else."""
        self.risen = into or self.bare()
        archive = self.archive()
        snapshot, index = choose_snapshot(archive, wish.sequence)
        restore_files(archive, index, MemoryHomeFiles())
        keystore = self.store.read(KEYSTORE, 2**20)
        return restore(self.risen.vault, actor, archive, snapshot, index, keystore, wish)

    def bare(self) -> Scene:
        scene = build_bare(self.scene.vault.trust_root, self.scene.clock.at)
        scene.keys._held = dict(self.scene.keys._held)
        scene.entropy._drawn = self.scene.entropy._drawn + 1000
        scene.published = dict(self.scene.published)
        scene.vault = scene.reopened()
        return scene


@pytest.fixture
def kept() -> Kept:
    files = {
        "strongroom.toml": b"identity = 'ada'\n",
        "trust.json": b"{}",
        "ca.pem": b"pem",
        "journals/" + "a" * 32 + ".journal": b"j" * 100,
        "keystore.json": canonical.encode({"generation": 1}),
    }
    return Kept(furnished(), MemoryBlobStore(), MemoryHomeFiles(files))


# What comes back


def test_everything_comes_back_and_the_log_tells(kept: Kept) -> None:
    made = kept.create()
    done = kept.restore()
    assert not made.missing
    assert not done.missing
    assert not done.rolled_back
    assert done.put_back == 4  # object, statement, signature, wrapped key
    authority = require_sound(kept.risen)
    assert authority.size == made.snapshot.head.size + 1
    assert [event.action for event in kept.risen.events[-2:]] == [Action.BACKUP, Action.RESTORE]
    assert kept.risen.plaintext(ONE) == kept.scene.published[ONE]


def test_what_is_there_already_is_not_written_again(kept: Kept) -> None:
    kept.create()
    before = dict(kept.store.objects)
    kept.scene.clock.advance(timedelta(minutes=1))
    kept.create()
    new = {name: data for name, data in kept.store.objects.items() if before.get(name) != data}
    kinds = sorted(name.partition("/")[0] for name in new)
    assert kinds == ["backup", "pieces", "pieces", "snapshots"], "keystore, the end of the log, the index"


def test_a_version_published_later_is_added(kept: Kept) -> None:
    kept.create()
    kept.scene.publish(TWO)
    assert kept.create().snapshot.objects == 2
    kept.restore()
    assert set(read_authority(kept.risen.vault).versions) == {ONE, TWO}
    require_sound(kept.risen)


def test_restoring_twice_goes_on_where_it_stopped(kept: Kept) -> None:
    kept.create()
    kept.restore()
    kept.risen.blobs.objects.pop(layout.object_name(ONE, 0))
    again = kept.restore(into=kept.risen)
    assert again.put_back == 1
    require_sound(kept.risen)


def test_a_damaged_object_does_not_keep_the_rest_from_being_kept(kept: Kept) -> None:
    kept.scene.publish(TWO)
    name = layout.object_name(ONE, 0)
    kept.scene.blobs.objects[name] = kept.scene.blobs.objects[name][:-1] + b"x"
    made = kept.create()
    assert [shown for shown, _ in made.missing] == [str(ONE)]
    done = kept.restore()
    assert [shown for shown, _ in done.missing] == [str(ONE)]
    assert layout.object_name(TWO, 0) in kept.risen.blobs.objects


def test_a_sound_copy_kept_before_the_damage_stays(kept: Kept) -> None:
    kept.create()
    name = layout.object_name(ONE, 0)
    kept.scene.blobs.objects[name] = b"rubbish"
    assert not kept.create().missing
    kept.restore()
    require_sound(kept.risen)


# Who may


@pytest.mark.parametrize("actor", [CONSUMER, DEPLOYER, REVIEWER])
def test_who_keeps_no_copies_may_not(kept: Kept, actor: str) -> None:
    with pytest.raises(DeniedError):
        kept.create(actor)
    assert not kept.store.objects
    kept.create()
    with pytest.raises(DeniedError):
        kept.restore(actor=actor)
    with pytest.raises(DeniedError):
        recover(kept.scene.vault, actor)
    with pytest.raises(DeniedError):
        prune_backup(kept.scene.vault, actor, kept.archive(), 1)


def test_an_operator_backs_up_and_only_an_admin_restores(kept: Kept) -> None:
    kept.create(OPERATOR)
    with pytest.raises(DeniedError):
        kept.restore(actor=OPERATOR)


# What who holds the backup learns and can do


def test_a_stolen_backup_tells_no_name_and_no_byte(kept: Kept) -> None:
    kept.create()
    stolen = b"".join([*kept.store.objects.values(), *(name.encode() for name in kept.store.objects)])
    words = [*(name.encode() for name in (ADMIN, DEPLOYER, REVIEWER)), b"strongroom.toml", b"approve"]
    small = b"".join(
        data for name, data in kept.store.objects.items() if not data.startswith(b"strongroom-seal")
    )
    assert not [word for word in words if word in small]
    for data_key in kept.scene.keys.data_keys:
        assert data_key not in stolen
    content = next(iter(kept.scene.published[ONE].values()))
    assert content[-64:] not in stolen


def _flip(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


def test_any_flipped_byte_of_a_backup_is_noticed(kept: Kept) -> None:
    kept.create()
    sound = dict(kept.store.objects)
    vault = kept.scene.vault
    noticed = 0
    for name, data in sound.items():
        kept.store.objects = {**sound, name: _flip(data)}
        if name == KEYSTORE:
            continue  # has a MAC of its own, under the passphrase
        try:
            faults = check_backup(vault, OPERATOR, kept.archive(), full=True)
        except StrongroomError:
            faults = ["refused"]
        assert faults, name
        noticed += 1
    assert noticed == len(sound) - 1


def test_a_piece_that_is_missing_is_named_and_restoring_refuses_or_tells(kept: Kept) -> None:
    kept.create()
    sound = dict(kept.store.objects)
    for name in sound:
        if name.startswith("pieces/"):
            kept.store.objects = {other: data for other, data in sound.items() if other != name}
            try:
                assert check_backup(kept.scene.vault, OPERATOR, kept.archive())
                assert kept.restore().missing
            except RejectedError:
                continue


def test_pieces_swapped_for_one_another(kept: Kept) -> None:
    kept.create()
    names = sorted(name for name in kept.store.objects if name.startswith("pieces/"))
    sound = dict(kept.store.objects)
    for one, other in pairwise(names):
        kept.store.objects = {**sound, one: sound[other], other: sound[one]}
        try:
            done = kept.restore()
        except RejectedError:
            continue
        assert done.missing


def test_a_snapshot_signed_by_a_stranger(kept: Kept) -> None:
    kept.create()
    other = Kept(furnished(), MemoryBlobStore(), MemoryHomeFiles(kept.files.files))
    other.scene.keys._held = {}
    from strongroom.adapters.keys.memory import MemoryKeyProvider
    from strongroom.trust.backup import claimed_snapshot, sign_snapshot
    from strongroom.values import KeyUri

    stranger = MemoryKeyProvider(kept.scene.clock.now).create_signer(KeyUri("file:sign/1"), "ecdsa-p256")
    name = snapshot_name(1)
    forged = sign_snapshot(claimed_snapshot(kept.store.objects[name]), stranger)
    kept.store.objects[name] = forged
    with pytest.raises(RejectedError, match="not trusted"):
        kept.restore()
    with pytest.raises(RejectedError, match="not trusted"):
        kept.create()


def test_a_backup_of_another_home(kept: Kept) -> None:
    kept.create()
    stranger = furnished()
    stranger.keys._held = {
        name: versions for name, versions in stranger.keys._held.items() if "backup" not in str(name)
    }
    with pytest.raises(RejectedError, match="another home"):
        Archive.open(kept.store, stranger.keys)


def test_a_place_that_holds_other_files(kept: Kept) -> None:
    kept.store.put_new("holiday.jpg", b"jpg")
    with pytest.raises(InvalidError, match="other files"):
        kept.create()


# Going back


def test_an_old_snapshot_is_not_restored_by_oversight(kept: Kept) -> None:
    kept.create()
    kept.scene.publish(TWO)
    kept.create()
    with pytest.raises(RejectedError, match="not the newest"):
        kept.restore(Wish(sequence=1))
    done = kept.restore(Wish(sequence=1, allow_rollback=True))
    assert done.rolled_back
    assert "not the newest" in kept.risen.events[-1].reason, "that it was allowed stands in the log"
    assert TWO not in read_authority(kept.risen.vault).versions


def test_the_newest_snapshot_removed_by_who_wants_a_revocation_undone(kept: Kept) -> None:
    kept.create()
    kept.scene.publish(TWO)
    kept.create()
    kept.store.delete(snapshot_name(2))
    with pytest.raises(RejectedError, match="the keystore beside it is newer"):
        kept.restore()


def test_all_of_the_backup_replaced_by_its_older_self(kept: Kept) -> None:
    """Nothing in it can tell; a checkpoint that somebody kept does."""
    kept.create()
    old = dict(kept.store.objects)
    kept.scene.publish(TWO)
    kept.create()
    witness = kept.scene.log.checkpoint()
    assert witness is not None
    kept.store.objects = old
    with pytest.raises(RejectedError, match="a checkpoint of"):
        kept.restore(Wish(checkpoints=(witness,)))


def test_a_store_that_knows_a_later_version_tells_that_the_log_is_old(kept: Kept) -> None:
    kept.create()
    kept.scene.publish(TWO)
    survivor = kept.bare()
    survivor.blobs.objects = dict(kept.scene.blobs.objects)
    with pytest.raises(RejectedError, match="published later"):
        kept.restore(into=survivor)


def test_a_home_that_was_rolled_back_is_told_by_its_backup(kept: Kept) -> None:
    kept.create()
    before = kept.scene.copy()
    kept.scene.publish(TWO)
    kept.create()
    kept.scene = before
    with pytest.raises(RejectedError, match="rolled back"):
        kept.create()


def test_a_home_with_another_history_is_told_by_its_backup(kept: Kept) -> None:
    fork = kept.scene.copy()
    kept.create()
    fork.publish(TWO)
    fork.publish(replace(TWO, version=replace(TWO.version, minor=9)))
    kept.scene = fork
    with pytest.raises(RejectedError):
        kept.create()


# Letting go


def test_pruning_keeps_what_the_newest_needs(kept: Kept) -> None:
    kept.create()
    kept.scene.publish(TWO)
    kept.create()
    kept.create()
    done = prune_backup(kept.scene.vault, OPERATOR, kept.archive(), 1)
    assert done.snapshots == (1, 2)
    assert done.pieces > 0
    assert [each.sequence for each in list_snapshots(kept.scene.vault, OPERATOR, kept.archive())] == [3]
    assert not check_backup(kept.scene.vault, OPERATOR, kept.archive(), full=True)
    kept.create()
    kept.restore()
    require_sound(kept.risen)


def test_the_last_snapshot_is_not_pruned(kept: Kept) -> None:
    kept.create()
    with pytest.raises(InvalidError):
        prune_backup(kept.scene.vault, OPERATOR, kept.archive(), 0)


# Cut off anywhere


class Dying(MemoryBlobStore):
    """A store whose machine dies at its n-th write."""

    def __init__(self, objects: dict[str, bytes], lasts: int) -> None:
        super().__init__()
        self.objects = objects
        self._left = lasts

    def add(self, name: str, data: bytes) -> None:
        self._spend()
        super().add(name, data)

    def replace(self, name: str, data: bytes) -> None:
        self._spend()
        super().replace(name, data)

    def _spend(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise OutageError("store: is gone")


def test_a_backup_that_is_cut_off_anywhere_is_finished_by_the_next(kept: Kept) -> None:
    kept.create()
    full = len(kept.store.objects)
    home = furnished()
    for lasts in range(full):
        fresh = Kept(home.copy(), MemoryBlobStore(), MemoryHomeFiles(kept.files.files))
        sound = fresh.store
        fresh.store = Dying(sound.objects, lasts)
        with pytest.raises(OutageError):
            fresh.create()
        fresh.store = sound
        assert not any(name.startswith("snapshots/") for name in sound.objects)
        fresh.create()
        if lasts in (0, full // 2, full - 1):
            assert not check_backup(fresh.scene.vault, OPERATOR, fresh.archive(), full=True)


def test_a_restore_that_is_cut_off_anywhere_is_finished_by_the_next(kept: Kept) -> None:
    kept.create()
    for lasts in range(4):
        risen = kept.bare()
        objects = risen.blobs.objects
        risen.blobs = Dying(objects, lasts)
        risen.vault = risen.reopened()
        with pytest.raises(OutageError):
            kept.restore(into=risen)
        risen.blobs = MemoryBlobStore()
        risen.blobs.objects = objects
        risen.vault = risen.reopened()
        kept.restore(into=risen)
        require_sound(risen)


# Recover


def _recover(kept: Kept, *, backup: bool = False, **more: bool) -> Recovered:
    return recover(kept.scene.reopened(), OPERATOR, kept.archive() if backup else None, **more)


def test_a_lost_catalog_is_rebuilt_from_log_and_store(kept: Kept) -> None:
    rows = dict(kept.scene.records._versions)
    kept.scene.records._versions.clear()
    kept.scene.records._identities.clear()
    done = _recover(kept)
    assert str(ONE) in done.rows
    assert kept.scene.records._versions == rows
    require_sound(kept.scene)


def test_rows_that_somebody_edited_or_invented_are_put_right(kept: Kept) -> None:
    row = kept.scene.records._versions[str(ONE)]
    kept.scene.records._versions[str(ONE)] = replace(row, owner="mallory")
    kept.scene.records._versions["ghost@1.0.0"] = replace(row, model="ghost@1.0.0")
    done = _recover(kept)
    assert done.rows == (str(ONE), "ghost@1.0.0")
    assert kept.scene.records._versions == {str(ONE): row}


def test_a_dry_run_changes_nothing(kept: Kept) -> None:
    kept.scene.records._versions.clear()
    size = len(kept.scene.events)
    assert _recover(kept, dry_run=True).rows == (str(ONE),)
    assert not kept.scene.records._versions
    assert len(kept.scene.events) == size


def _altered(wrapped: bytes) -> bytes:
    key = WrappedKey.parse(wrapped)
    return replace(key, wrapped=_flip(key.wrapped)).to_bytes()


DAMAGES: dict[str, Callable[[Scene], None]] = {
    "a lost object": lambda scene: scene.blobs.delete(layout.object_name(ONE, 0)),
    "a flipped byte": lambda scene: scene.blobs.objects.update(
        {layout.object_name(ONE, 0): _flip(scene.blobs.objects[layout.object_name(ONE, 0)])}
    ),
    "a lost statement": lambda scene: scene.blobs.delete(layout.statement_name(ONE)),
    "a lost signature": lambda scene: scene.blobs.delete(layout.signature_name(ONE)),
    "a swapped signature": lambda scene: scene.blobs.objects.update(
        {layout.signature_name(ONE): scene.blobs.objects[layout.statement_name(ONE)]}
    ),
    "an altered data key": lambda scene: scene.blobs.objects.update(
        {layout.wrapped_key_name(ONE): _altered(scene.blobs.objects[layout.wrapped_key_name(ONE)])}
    ),
    "a lost data key": lambda scene: scene.blobs.delete(layout.wrapped_key_name(ONE)),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_the_store_lost_comes_back_from_the_backup(kept: Kept, damage: str) -> None:
    kept.create()
    DAMAGES[damage](kept.scene)
    alone = _recover(kept)
    assert alone.left, "it is named"
    helped = _recover(kept, backup=True)
    assert helped.faults
    assert not helped.left
    require_sound(kept.scene)


def test_a_backup_never_takes_a_newer_data_key_back(kept: Kept) -> None:
    kept.create()
    name = layout.wrapped_key_name(ONE)
    authority = read_authority(kept.scene.vault)
    key = authority.family_key(ONE.family)
    kept.scene.keys.rotate(key)
    stored = WrappedKey.parse(kept.scene.blobs.objects[name])
    context = data_key_context(ONE, authority.versions[ONE].manifest)
    newer = WrappedKey(key, kept.scene.keys.rewrap(key, stored.wrapped, context)).to_bytes()
    assert newer != kept.scene.blobs.objects[name]
    kept.scene.blobs.objects[name] = newer
    kept.scene.blobs.delete(layout.object_name(ONE, 0))
    _recover(kept, backup=True)
    assert kept.scene.blobs.objects[name] == newer


def test_a_damaged_log_is_not_recovered_from(kept: Kept) -> None:
    kept.create()
    kept.scene.log._leaves[3] = kept.scene.log._leaves[4]
    with pytest.raises(RejectedError):
        _recover(kept, backup=True)


def test_the_index_names_nothing_outside_a_version(kept: Kept) -> None:
    """Whoever has the backup's own key could write an index; it still puts nothing anywhere else."""
    from strongroom.flows.mending import put_back

    kept.create()
    archive = kept.archive()
    index = archive.index(archive.claimed(1), MAX_INDEX_BYTES)
    holding = index.holdings[0]
    for strange in (
        replace(holding, key="fraud/9.9.9/keys.json"),
        replace(holding, objects=(replace(holding.objects[0], object="other/1.0.0/0.sealed"),)),
    ):
        with pytest.raises(RejectedError, match="somewhere else"):
            list(put_back(archive, MemoryBlobStore(), strange, {strange.key: b"k"}))


def test_the_header_is_bound_to_its_home(kept: Kept) -> None:
    kept.create()
    value = canonical.decode(kept.store.objects[HEADER])
    for change in ({"domain": "other.strongroom.test"}, {"id": "00" * 8}):
        kept.store.objects[HEADER] = canonical.encode({**value, **change})
        with pytest.raises(RejectedError):
            kept.archive()

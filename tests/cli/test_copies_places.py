"""Where a backup is kept and where not: mistyped places, the home itself, a bucket; what refusals leave."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.press import Shell
from tests.database import DATABASE, ROLE, Database
from tests.stores.servers import BUCKET, Server, make_bucket, s3_credentials, s3_store

SNAPSHOT = "snapshots/00000001.json"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with s3_credentials():
        found = Server("tests.stores.s3_server")
        make_bucket(found.url)
        yield found
        found.close()


@pytest.mark.parametrize(
    "place", ["s3:/bucket", "S3://bucket", "file:///backup", "http://place/x", "c:backup"]
)
def test_a_mistyped_address_does_not_become_a_folder(shell: Shell, place: str) -> None:
    before = sorted(shell.root.iterdir())
    refused = shell("backup", "create", place)
    assert refused.code == 2
    assert "neither a folder nor a bucket" in refused.error
    assert sorted(shell.root.iterdir()) == before


def test_a_place_within_the_home_would_be_lost_with_it(shell: Shell) -> None:
    (shell.root / "link").symlink_to(shell.home)
    for place in (shell.home / "backup", shell.root / "link" / "backup"):
        refused = shell("backup", "create", str(place))
        assert refused.code == 2
        assert "within the home" in refused.error
        assert not place.exists()


def test_anybodys_folder_is_left_as_it_is(shell: Shell) -> None:
    place = shell.root / "pictures"
    place.mkdir(mode=0o700)
    (place / "holiday.jpg").write_bytes(b"jpg")
    for verb in (("backup", "create"), ("backup", "verify"), ("restore",)):
        assert shell(*verb, str(place)).code == 2
    assert [path.name for path in place.iterdir()] == ["holiday.jpg"]
    assert shell("backup", "verify", str(shell.root / "nowhere")).code == 2
    assert not (shell.root / "nowhere").exists()


def test_a_refused_restore_leaves_nothing_beside_the_home(shell: Shell) -> None:
    place = shell.root / "backup"
    shell.ok("backup", "create", str(place))
    shutil.rmtree(shell.home)
    assert shell("restore", str(place), "--snapshot", "9").code == 2
    keystore = place / "backup/keystore.json"
    text = keystore.read_text()
    keystore.write_text(text.replace('"mac":"', '"mac":"AA'))
    assert shell("restore", str(place)).code == 4
    keystore.write_text(text)
    link = place / SNAPSHOT
    link.rename(shell.root / "snapshot")
    link.symlink_to(shell.root / "snapshot")
    refused = shell("restore", str(place))
    assert refused.code == 4
    assert "not a plain file" in refused.error
    assert not list(shell.root.glob(".*.rising"))
    assert not shell.home.exists()


def test_a_folder_that_somebody_else_put_where_the_home_rises(shell: Shell) -> None:
    place = shell.root / "backup"
    shell.ok("backup", "create", str(place))
    shell.home.rename(shell.root / "lost")
    refused = shell("restore", str(place), "--snapshot", "9")
    assert refused.code == 2
    number = (place / "backup/header.json").read_text().partition('"id":"')[2][:16]
    planted = shell.root / f".home.{number}.newest.rising"
    planted.mkdir(mode=0o777)
    planted.chmod(0o777)
    refused = shell("restore", str(place))
    assert refused.code == 4
    assert "somebody else" in refused.error
    assert list(planted.iterdir()) == []
    planted.rmdir()
    planted.symlink_to(shell.root / "lost")
    assert shell("restore", str(place)).code == 4


def test_home_and_backup_in_buckets_and_the_machine_is_lost(
    shell: Shell, server: Server, tmp_path: Path
) -> None:
    with s3_credentials() as credentials:
        store = f'\n[store.s3]\nendpoint = "{server.url}"\n'
        settings = shell.home / "strongroom.toml"
        with settings.open("a") as file:
            file.write(f'\n[store]\nblobs = "s3://{BUCKET}/models"\n{store}')
        shutil.rmtree(shell.home / "blobs")
        publish = ("publish", "model.onnx", "--as", "fraud@2.0.0", "--owner", "risk", "--identity", "dora")
        shell.ok(*publish, **credentials)
        nested = shell("backup", "create", f"s3://{BUCKET}/models/backup", **credentials)
        assert nested.code == 2
        assert "within the store" in nested.error
        place = f"s3://{BUCKET}/backup"
        made = shell("backup", "create", place, **credentials)
        assert made.code == 4, "what was left in the lost folder is named"
        assert "fraud@1.0.0" in made.out
        assert shell("backup", "verify", place, **credentials).code == 4
        shutil.rmtree(shell.home)
        kept = shell.root / "reach.toml"
        kept.write_text(store)
        assert shell("restore", place, **credentials).code != 0, "without settings it cannot be reached"
        restored = shell("restore", place, "--settings", str(kept), **credentials)
        assert restored.code == 4
        assert "MISSING  fraud@1.0.0" in restored.out
        shell.ok("verify", "fraud@2.0.0", "--full", **credentials)
        bucket = s3_store(server.url, tmp_path / "spool", "models")
        bucket.delete("fraud/2.0.0/0.sealed")
        mended = shell("recover", "--backup", place, **credentials)
        assert "mended  fraud@2.0.0" in mended.out
        shell.ok("verify", "fraud@2.0.0", "--full", **credentials)


def test_catalog_and_log_in_a_database_and_the_machine_is_lost(bare: Shell, database: Database) -> None:
    """The database outlives it: nothing is rolled back, and what was published after the backup is named."""
    address = f"postgresql://{ROLE}@127.0.0.1:{database.port}/{DATABASE}"
    bare.home.mkdir(mode=0o700)
    (bare.home / "strongroom.toml").write_text(
        f'[store]\ncatalog = "{address}"\nlog = "{address}"\n'
        f'[store.postgres]\nschema = "copies"\npassword_file = "{database.password_file}"\n'
    )
    bare.ok("init", "--identity", "ada", "--insecure-solo")
    bare.ok("publish", "model.onnx", "--as", "fraud@1.0.0", "--owner", "ada")
    place = bare.root / "backup"
    bare.ok("backup", "create", str(place))
    bare.ok("publish", "model.onnx", "--as", "fraud@1.1.0", "--owner", "ada")
    bare.ok("revoke", "version", "fraud@1.0.0", "--reason", "stolen")
    shutil.rmtree(bare.home)
    restored = bare("restore", str(place))
    assert restored.code == 4, restored
    assert "MISSING  fraud@1.1.0" in restored.out
    assert "ROLLED BACK" not in restored.out
    assert "revoked" in bare.ok("show", "fraud@1.0.0").out, "the revocation is not forgotten"
    bare.ok("log", "verify")
    bare.ok("backup", "verify", str(place))

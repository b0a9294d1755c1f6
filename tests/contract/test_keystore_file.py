"""The keystore file under attack: edited, weakened, replaced, shared, cut off in mid-write."""

import errno
import hmac
import os
import subprocess
import sys
from base64 import b64decode, b64encode
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.keywrap import aes_key_unwrap_with_padding

from strongroom.adapters.keys import file, keystore
from strongroom.adapters.keys.file import FileKeyProvider
from strongroom.adapters.keys.keystore import Contents, Derivation, Lock, require_passphrase
from strongroom.adapters.keys.stored import KeyAlgorithm, StoredKey
from strongroom.errors import DeniedError, InvalidError, OutageError, RejectedError, StrongroomError
from strongroom.values import KeyUri

PASSPHRASE = "correct horse battery staple"
FRAUD, SIGN = KeyUri("file:kek/fraud"), KeyUri("file:sign/1")
LOCK = Lock.fresh(PASSPHRASE)
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A keystore with one key of each algorithm."""
    path = tmp_path / "keystore.json"
    path.touch(mode=0o600)
    keys = {
        name: (StoredKey.generate(name, algorithm, 1, NOW),)
        for name, algorithm in (
            ("kek/fraud", KeyAlgorithm.AES_256),
            ("log", KeyAlgorithm.ED25519),
            ("sign/1", KeyAlgorithm.ECDSA_P256),
        )
    }
    path.write_bytes(LOCK.write(Contents(keys)))
    return path


def _provider(path: Path) -> FileKeyProvider:
    return FileKeyProvider(path, LOCK)


def _value(path: Path) -> dict[str, Any]:
    value: dict[str, Any] = orjson.loads(path.read_bytes())
    return value


def _store(path: Path, value: dict[str, Any]) -> None:
    path.write_bytes(orjson.dumps(value, option=orjson.OPT_SORT_KEYS))


# --- passphrase


def test_created_file_opens_with_its_passphrase_only(tmp_path: Path) -> None:
    path = tmp_path / "keystore.json"
    key_id = FileKeyProvider.create_file(path, PASSPHRASE).create_signer(SIGN, "ed25519").key_id
    assert FileKeyProvider.open_file(path, PASSPHRASE).signer(SIGN).key_id == key_id
    for wrong in (PASSPHRASE + " ", PASSPHRASE.upper(), "", "x" * 10_000, "\ud800" * 12):
        with pytest.raises(DeniedError, match="passphrase"):
            FileKeyProvider.open_file(path, wrong)


def test_opening_takes_one_derivation(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[str] = []
    real = Derivation.derive

    def derive(self: Derivation, passphrase: str) -> bytes:
        runs.append(passphrase)
        return real(self, passphrase)

    monkeypatch.setattr(Derivation, "derive", derive)
    FileKeyProvider.open_file(path, PASSPHRASE)
    with pytest.raises(DeniedError):
        FileKeyProvider.open_file(path, "wrong passphrase")
    assert runs == [PASSPHRASE, "wrong passphrase"]


def test_one_passphrase_however_it_is_typed(tmp_path: Path) -> None:
    path = tmp_path / "keystore.json"
    FileKeyProvider.create_file(path, "schl\u00fcssel-fu\u0308r-alle")
    FileKeyProvider.open_file(path, "schlu\u0308ssel-f\u00fcr-alle")


@pytest.mark.parametrize(
    "weak",
    ["", "short", "eleven char", "a" * 40, "abab" * 9, "with a line break\n", "x" * 1025, "nul\x00" * 9],
)
def test_weak_passphrase(weak: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidError, match="passphrase"):
        require_passphrase(weak)
    with pytest.raises(InvalidError, match="passphrase"):
        FileKeyProvider.create_file(tmp_path / "keystore.json", weak)
    assert list(tmp_path.iterdir()) == []


def test_no_error_repeats_the_passphrase(path: Path) -> None:
    wrong = "a very secret mistake"
    with pytest.raises(DeniedError) as caught:
        FileKeyProvider.open_file(path, wrong)
    assert wrong not in f"{caught.value!r}{caught.value.hint}{caught.value.__context__!r}"


def test_changed_passphrase(path: Path) -> None:
    provider, other = _provider(path), _provider(path)
    key_id = provider.signer(SIGN).key_id
    before = _value(path)
    provider.change_passphrase("another good passphrase")
    assert provider.signer(SIGN).key_id == key_id
    with pytest.raises(DeniedError, match="was changed"):
        other.signer(SIGN)
    with pytest.raises(DeniedError, match="was changed"):
        other.create(KeyUri("file:kek/new"))
    with pytest.raises(DeniedError, match="wrong"):
        FileKeyProvider.open_file(path, PASSPHRASE)
    assert FileKeyProvider.open_file(path, "another good passphrase").signer(SIGN).key_id == key_id
    after = _value(path)
    assert after["kdf"]["salt"] != before["kdf"]["salt"]
    assert {key["wrapped"] for key in after["keys"]}.isdisjoint(key["wrapped"] for key in before["keys"])


def test_a_weak_new_passphrase_changes_nothing(path: Path) -> None:
    before = path.read_bytes()
    with pytest.raises(InvalidError):
        _provider(path).change_passphrase("short")
    assert path.read_bytes() == before


# --- the format, as docs/formats/keystore.md tells it to a stranger


def test_a_stranger_can_read_it(path: Path) -> None:
    value = _value(path)
    kdf = value["kdf"]
    assert (kdf["name"], kdf["memory_kib"], kdf["passes"], kdf["lanes"]) == ("argon2id", 65536, 3, 4)
    master = Argon2id(
        salt=b64decode(kdf["salt"]), length=32, iterations=3, lanes=4, memory_cost=65536
    ).derive(PASSPHRASE.encode())

    def derived(purpose: bytes) -> bytes:
        info = b"strongroom/keystore/1/" + purpose
        return HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=info).derive(master)

    def spelled(value: Any) -> bytes:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)

    assert b64decode(value["check"]) == derived(b"check\x00" + spelled(kdf))
    mac = b64decode(value.pop("mac"))
    assert mac == hmac.new(derived(b"mac"), spelled(value), sha256).digest()
    kek = next(key for key in value["keys"] if key["name"] == "kek/fraud")
    wrapped = b64decode(kek.pop("wrapped"))
    material = aes_key_unwrap_with_padding(derived(b"key\x00" + spelled(kek)), wrapped)

    wrapped_data_key = _provider(path).wrap(FRAUD, b"d" * 32, b"context")
    assert wrapped_data_key[:4] == b"\x00\x00\x00\x01"
    info = b"strongroom/wrap/1\x00" + b"context"
    key = HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=info).derive(material)
    assert aes_key_unwrap_with_padding(key, wrapped_data_key[4:]) == b"d" * 32


def test_no_secret_in_the_text(path: Path) -> None:
    text = path.read_bytes()
    for versions in _provider(path)._keys().values():
        material = versions[0].material
        for form in (material, material.hex().encode(), b64encode(material)):
            assert form not in text


# --- edited


@pytest.mark.parametrize("mask", [0x01, 0x20, 0x80])
def test_every_flipped_byte(path: Path, mask: int) -> None:
    good = path.read_bytes()
    assert len(LOCK.read(good).keys) == 3
    for position in range(len(good)):
        forged = bytearray(good)
        forged[position] ^= mask
        with pytest.raises(RejectedError):
            LOCK.read(bytes(forged))


def test_cut_anywhere(path: Path) -> None:
    good = path.read_bytes()
    for size in range(0, len(good), 7):
        with pytest.raises(RejectedError):
            LOCK.read(good[:size])


def _remove_a_key(value: dict[str, Any]) -> None:
    del value["keys"][0]


def _repeat_a_key(value: dict[str, Any]) -> None:
    value["keys"].append(value["keys"][0])


def _swap_two_secrets(value: dict[str, Any]) -> None:
    first, second, *_ = value["keys"]
    first["wrapped"], second["wrapped"] = second["wrapped"], first["wrapped"]


def _rename_a_key(value: dict[str, Any]) -> None:
    value["keys"][0]["name"] = "kek/credit"


def _change_the_version(value: dict[str, Any]) -> None:
    value["keys"][0]["version"] = 2


def _disable(value: dict[str, Any]) -> None:
    value["keys"][0]["enabled"] = False


def _change_the_public_key(value: dict[str, Any]) -> None:
    value["keys"][1]["public_pem"] = value["keys"][2]["public_pem"]


def _change_the_algorithm(value: dict[str, Any]) -> None:
    value["keys"][1]["algorithm"] = "ecdsa-p256"


def _add_a_field(value: dict[str, Any]) -> None:
    value["keys"][0]["more"] = 1


def _change_the_generation(value: dict[str, Any]) -> None:
    value["generation"] += 1


_EDITS = [
    _remove_a_key,
    _repeat_a_key,
    _swap_two_secrets,
    _rename_a_key,
    _change_the_version,
    _disable,
    _change_the_public_key,
    _change_the_algorithm,
    _add_a_field,
    _change_the_generation,
]


@pytest.mark.parametrize("edit", _EDITS)
def test_edited_without_the_passphrase(path: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    value = _value(path)
    edit(value)
    _store(path, value)
    with pytest.raises(RejectedError, match="was changed"):
        _provider(path).uris()


@pytest.mark.parametrize("edit", [e for e in _EDITS if e not in (_remove_a_key, _change_the_generation)])
def test_metadata_is_bound_to_the_secret_even_under_a_good_mac(
    path: Path, edit: Callable[[dict[str, Any]], None]
) -> None:
    """The second wall: each secret opens only beside its own metadata."""
    value = _value(path)
    edit(value)
    value.pop("mac")
    value["mac"] = b64encode(LOCK._mac(value)).decode()
    _store(path, value)
    with pytest.raises(RejectedError):
        _provider(path).uris()


@pytest.mark.parametrize(
    ("field", "weak"),
    [
        ("memory_kib", 64),
        ("memory_kib", 65535),
        ("memory_kib", 2**31),
        ("memory_kib", -65536),
        ("passes", 1),
        ("passes", 10**9),
        ("lanes", 0),
        ("lanes", 2**20),
        ("lanes", 1.0),
        ("name", "argon2i"),
        ("name", "pbkdf2"),
        ("salt", ""),
        ("salt", b64encode(b"s" * 8).decode()),
        ("salt", b64encode(b"s" * 64).decode()),
        ("salt", "not base64"),
        ("more", 1),
    ],
)
def test_downgraded_or_exhausting_derivation(path: Path, field: str, weak: object) -> None:
    value = _value(path)
    value["kdf"][field] = weak
    _store(path, value)
    with pytest.raises(RejectedError):
        FileKeyProvider.open_file(path, PASSPHRASE)


def test_derivation_within_bounds_but_not_the_one_used(path: Path) -> None:
    value = _value(path)
    value["kdf"]["lanes"] = 3
    _store(path, value)
    with pytest.raises(DeniedError):
        FileKeyProvider.open_file(path, PASSPHRASE)
    with pytest.raises((DeniedError, RejectedError)):
        _provider(path).uris()


@pytest.mark.parametrize(
    "text",
    [b"", b"{}", b"[]", b"null", b"\x00" * 100, b"[" * 9999, b'{"format":"strongroom-keystore/2"}'],
)
def test_other_files(path: Path, text: bytes) -> None:
    path.write_bytes(text)
    with pytest.raises(RejectedError):
        FileKeyProvider.open_file(path, PASSPHRASE)


def test_oversize(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size = path.stat().st_size
    monkeypatch.setattr(file, "MAX_KEYSTORE_BYTES", size - 1)
    monkeypatch.setattr(keystore, "MAX_KEYSTORE_BYTES", size - 1)
    with pytest.raises(RejectedError, match="larger"):
        _provider(path).uris()


def test_too_many_keys(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keystore, "MAX_KEYS", 3)
    before = path.read_bytes()
    with pytest.raises(InvalidError, match="more than"):
        _provider(path).create(KeyUri("file:kek/one-more"))
    assert path.read_bytes() == before


# --- where it lies


def test_mode_is_0600_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        path = tmp_path / "keystore.json"
        FileKeyProvider.create_file(path, PASSPHRASE).create(FRAUD)
    finally:
        os.umask(before)
    for made in tmp_path.iterdir():
        assert made.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
def test_readable_or_writable_by_others(path: Path, mode: int) -> None:
    path.chmod(mode)
    with pytest.raises(RejectedError, match="others"):
        _provider(path).uris()


def test_link_in_place_of_the_file(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")
    with pytest.raises(RejectedError, match="link"):
        _provider(path).uris()


@pytest.mark.parametrize("kind", ["fifo", "folder"])
def test_no_plain_file(path: Path, kind: str) -> None:
    path.unlink()
    if kind == "fifo":
        os.mkfifo(path, 0o600)
    else:
        path.mkdir()
    with pytest.raises(RejectedError, match="plain file"):
        _provider(path).uris()


def test_missing_file_and_missing_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "keystore.json", tmp_path / "no" / "keystore.json"):
        with pytest.raises(InvalidError, match="no such file"):
            FileKeyProvider.open_file(path, PASSPHRASE)
    with pytest.raises(InvalidError, match="no such file"):
        FileKeyProvider.create_file(tmp_path / "no" / "keystore.json", PASSPHRASE)


def test_creating_over_an_existing_file(path: Path) -> None:
    before = path.read_bytes()
    with pytest.raises(InvalidError, match="exists"):
        FileKeyProvider.create_file(path, PASSPHRASE)
    assert path.read_bytes() == before
    path.unlink()
    path.symlink_to("nowhere")
    with pytest.raises(InvalidError, match="exists"):
        FileKeyProvider.create_file(path, PASSPHRASE)


# --- shared


def test_another_provider_sees_what_was_added(path: Path) -> None:
    first, second = _provider(path), _provider(path)
    assert KeyUri("file:kek/new") not in second.uris()
    first.create(KeyUri("file:kek/new"))
    wrapped = first.wrap(KeyUri("file:kek/new"), b"d" * 32, b"c")
    assert second.unwrap(KeyUri("file:kek/new"), wrapped, b"c") == b"d" * 32
    second.set_enabled(FRAUD, 1, False)
    assert not first.describe(FRAUD).newest.enabled


def test_an_older_copy_put_back_while_in_use(path: Path) -> None:
    provider, old = _provider(path), path.read_bytes()
    provider.set_enabled(FRAUD, 1, False)
    assert not provider.describe(FRAUD).newest.enabled
    path.write_bytes(old)
    with pytest.raises(RejectedError, match="older copy"):
        provider.wrap(FRAUD, b"d" * 32, b"c")


_ADDER = """
import sys
from pathlib import Path
from strongroom.adapters.keys.file import FileKeyProvider
provider = FileKeyProvider.open_file(Path(sys.argv[1]), sys.stdin.readline().rstrip())
for number in range(6):
    provider.create("file:kek/%s-%d" % (sys.argv[2], number))
    provider.create("file:kek/shared-%d" % number)
"""


def test_processes_that_add_at_once_all_keep_their_keys(path: Path) -> None:
    adders = [
        subprocess.Popen(
            [sys.executable, "-c", _ADDER, str(path), name], stdin=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for name in ("one", "two")
    ]
    for adder in adders:
        _, errors = adder.communicate(PASSPHRASE.encode() + b"\n", timeout=60)
        assert adder.returncode == 0, errors
    wanted = {f"file:kek/{name}-{number}" for name in ("one", "two", "shared") for number in range(6)}
    assert wanted <= set(_provider(path).uris())


def test_a_process_that_never_lets_go(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file, "LOCK_TIMEOUT_S", 0.05)
    with file._exclusive(path), pytest.raises(OutageError, match="another process"):
        _provider(path).create(KeyUri("file:kek/new"))
    _provider(path).create(KeyUri("file:kek/new"))


# --- cut off


def _failing(code: int) -> Callable[..., None]:
    def fail(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    return fail


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EROFS])
def test_failed_write_leaves_the_file_as_it_was(
    path: Path, monkeypatch: pytest.MonkeyPatch, step: str, code: int
) -> None:
    provider, before = _provider(path), path.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", _failing(code)) if step == "fsync" else patch.setattr(
            Path, "replace", _failing(code)
        )
        with pytest.raises(OutageError):
            provider.create(KeyUri("file:kek/new"))
    assert path.read_bytes() == before
    assert not path.with_name("keystore.json.new").exists()
    assert KeyUri("file:kek/new") not in provider.uris()
    provider.create(KeyUri("file:kek/new"))
    assert KeyUri("file:kek/new") in provider.uris()


def test_failure_after_the_rename_kept_the_key(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It failed, but was kept: the folder could not be synced. Repeating the call is harmless."""
    provider = _provider(path)
    real, calls = os.fsync, []

    def second_fails(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == 2:
            raise OSError(errno.EIO, "Input/output error")
        real(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", second_fails)
        with pytest.raises(OutageError):
            provider.create(KeyUri("file:kek/new"))
    wrapped = provider.wrap(KeyUri("file:kek/new"), b"d" * 32, b"c")
    provider.create(KeyUri("file:kek/new"))
    assert provider.unwrap(KeyUri("file:kek/new"), wrapped, b"c") == b"d" * 32


_WRITER = """
import sys
from pathlib import Path
from strongroom.adapters.keys.file import FileKeyProvider
provider = FileKeyProvider.open_file(Path(sys.argv[1]), sys.stdin.readline().rstrip())
number = 0
while True:
    provider.create("file:kek/%s-%d" % (sys.argv[2], number))
    print(number, flush=True)
    number += 1
"""


@pytest.mark.slow
def test_killed_at_any_moment_it_is_whole_and_keeps_what_it_promised(path: Path) -> None:
    for run in range(6):
        writer = subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(path), f"run{run}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert writer.stdin and writer.stdout
        writer.stdin.write(PASSPHRASE.encode() + b"\n")
        writer.stdin.flush()
        promised = [writer.stdout.readline() for _ in range(1 + run * 3)]
        writer.kill()
        promised += writer.stdout.read().splitlines(keepends=True)
        writer.wait()
        kept = set(_provider(path).uris())
        assert {
            f"file:kek/run{run}-{line.decode().strip()}" for line in promised if line.endswith(b"\n")
        } <= kept
        _provider(path).create(KeyUri(f"file:kek/after-{run}"))


@pytest.mark.parametrize("left", ["file", "link"])
def test_leftover_of_a_crash_is_replaced_and_never_followed(path: Path, left: str, tmp_path: Path) -> None:
    fresh, victim = path.with_name("keystore.json.new"), tmp_path / "victim"
    victim.write_text("mine")
    fresh.symlink_to(victim) if left == "link" else fresh.write_bytes(b"half a keyst")
    _provider(path).create(KeyUri("file:kek/new"))
    assert victim.read_text() == "mine"
    assert not fresh.exists()
    assert KeyUri("file:kek/new") in _provider(path).uris()


@pytest.mark.parametrize("code", [errno.EACCES, errno.EIO, errno.EMFILE])
def test_errors_of_the_system_are_translated(path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    provider = _provider(path)
    monkeypatch.setattr(os, "open", _failing(code))
    with pytest.raises(StrongroomError) as caught:
        provider.uris()
    assert isinstance(caught.value, DeniedError if code == errno.EACCES else OutageError)

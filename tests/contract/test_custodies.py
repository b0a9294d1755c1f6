"""How settings become custodies: what is read for them, from where, and what is refused."""

import os
import stat
from pathlib import Path

import pytest

from strongroom.adapters.keys.secret_file import MAX_SECRET_BYTES, read_secret
from strongroom.adapters.keys.trusted_module import require_trusted_module
from strongroom.custodies import needs_extra, open_custodies, secret_from
from strongroom.errors import DeniedError, InvalidError
from strongroom.settings import FILE_NAME, KeySettings, Pkcs11Settings, read_settings
from strongroom.values import KeyUri
from tests.contract.custodies import file
from tests.contract.tokens import MODULE, new_token

FRAUD = KeyUri("pkcs11:kek/fraud")


def _private(path: Path, text: bytes) -> Path:
    path.touch(mode=0o600)
    path.write_bytes(text)
    return path


def test_a_secret_is_the_first_line(tmp_path: Path) -> None:
    for text in (b"1234", b"1234\n", b"1234\r\nrest\n"):
        assert read_secret(_private(tmp_path / "pin", text), "PIN") == "1234"
    (tmp_path / "pin").chmod(0o640)
    (tmp_path / "mounted").symlink_to("pin")
    assert read_secret(tmp_path / "mounted", "PIN") == "1234", "as a pod has it"


@pytest.mark.parametrize("mode", [0o604, 0o602, 0o620, 0o610, 0o666])
def test_a_secret_that_others_may_read_or_write(tmp_path: Path, mode: int) -> None:
    path = _private(tmp_path / "pin", b"1234")
    path.chmod(mode)
    with pytest.raises(DeniedError, match="others may read or write") as refusal:
        read_secret(path, "PIN")
    assert "1234" not in str(refusal.value)


@pytest.mark.parametrize("text", [b"", b"\n1234", b"\xff\xfe", b"1" * (MAX_SECRET_BYTES + 1)])
def test_a_file_that_holds_no_secret(tmp_path: Path, text: bytes) -> None:
    with pytest.raises(InvalidError, match="PIN"):
        read_secret(_private(tmp_path / "pin", text), "PIN")


def test_a_pipe_in_place_of_a_secret_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pin", 0o600)
    for path in (tmp_path / "pin", tmp_path):
        with pytest.raises(InvalidError, match="not a plain file"):
            read_secret(path, "PIN")
    with pytest.raises(InvalidError, match="there is no file"):
        read_secret(tmp_path / "gone", "PIN")


def test_a_secret_is_asked_for_once_where_no_file_holds_it(tmp_path: Path) -> None:
    asked: list[str] = []

    def ask(name: str) -> str:
        asked.append(name)
        return "1234"

    secret = secret_from(tmp_path, None, "PIN of the token models", ask)
    assert [secret(), secret(), asked] == ["1234", "1234", ["PIN of the token models"]]
    with pytest.raises(DeniedError, match="PIN"):
        secret_from(tmp_path, None, "PIN", None)()


def test_a_token_by_its_settings(tmp_path: Path) -> None:
    token = new_token()
    _private(tmp_path / "pin", token.pin.encode())
    settings = KeySettings(pkcs11=Pkcs11Settings(module=MODULE, token=token.label, pin_file="pin"))
    with file(tmp_path) as kept:
        keys = open_custodies(kept.provider, settings, tmp_path)  # type: ignore[arg-type]
        assert keys.create(FRAUD).custody == "hsm"
        assert keys.create(KeyUri("file:kek/fraud")).custody == "software"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "keys.pkcs11.module: is not set"),
        ({"module": MODULE}, "keys.pkcs11.token: is not set"),
        ({"module": "libsofthsm2.so", "token": "t"}, "not an absolute path"),
        ({"module": "/nowhere/at/all.so", "token": "t"}, "there is no file"),
        ({"module": "/dev/null", "token": "t"}, "not a plain file"),
    ],
)
def test_settings_that_open_no_token(tmp_path: Path, settings: dict[str, str], said: str) -> None:
    with file(tmp_path) as kept:
        wanted = KeySettings(pkcs11=Pkcs11Settings(**settings))
        keys = open_custodies(kept.provider, wanted, tmp_path)  # type: ignore[arg-type]
        keys.create(KeyUri("file:kek/fraud"))
        with pytest.raises(InvalidError, match=said):
            keys.create(FRAUD)


def test_a_library_that_others_could_have_put_there(tmp_path: Path) -> None:
    """Who can write into a home must not have code run with its keys."""
    planted = tmp_path / "evil.so"
    planted.write_bytes(Path(MODULE).read_bytes())
    planted.chmod(0o644)
    link = tmp_path / "libsofthsm2.so"
    link.symlink_to(planted)
    assert any(stat.S_IMODE(folder.stat().st_mode) & 0o022 for folder in tmp_path.parents)
    for path in (planted, link):
        with pytest.raises(InvalidError, match="others than root may write"):
            require_trusted_module(path, "keys.pkcs11.module")
    assert require_trusted_module(Path(MODULE), "keys.pkcs11.module") == Path(MODULE).resolve()


def test_a_missing_library_of_a_custody_is_named_with_what_installs_it() -> None:
    with pytest.raises(InvalidError, match="needs nowhere") as refusal, needs_extra("pkcs11", "hsm"):
        import nowhere  # type: ignore[import-not-found]  # noqa: F401
    assert refusal.value.hint == "pip install 'strongroom[hsm]'"


@pytest.mark.parametrize(
    "text",
    [
        'families = "file:kek/fraud"',
        'families = "file:kek/{family}/{family}"',
        'families = "file:kek/{family}{number}"',
        'families = "file:kek/{family.__class__}"',
        'families = "kek/{family}"',
        'families = "file:kek/ {family}"',
        'signing = "file:sign/1"',
        'signing = "file:sign/{family}"',
    ],
)
def test_a_template_that_would_give_two_families_one_key(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE_NAME).write_text(f"[keys]\n{text}")
    with pytest.raises(InvalidError, match=r"keys\.(families|signing)"):
        read_settings(tmp_path)

"""Settings: an unknown name or a bad value stops the start, and every insecure choice is named."""

from pathlib import Path

import pytest

from strongroom.errors import InvalidError
from strongroom.settings import DEFAULT_HOME, FILE_NAME, MAX_FILE_BYTES, Settings, find_home, read_settings


def _read(home: Path, text: str) -> Settings:
    (home / FILE_NAME).write_text(text)
    return read_settings(home)


def test_empty_file_is_the_safe_default(tmp_path: Path) -> None:
    settings = _read(tmp_path, "")
    assert settings == Settings()
    assert settings.insecure_choices() == []
    assert (settings.serve.host, settings.log.durability) == ("127.0.0.1", "strict")


def test_what_is_set_is_read(tmp_path: Path) -> None:
    settings = _read(
        tmp_path, 'identity = "ada"\n[serve]\nport = 0\ndeadline_s = 2.5\nnames = ["a.example"]\n'
    )
    assert settings.identity == "ada"
    assert (settings.serve.port, settings.serve.deadline_s, settings.serve.names) == (0, 2.5, ["a.example"])


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("colour = 1", "colour"),
        ("[serve]\nprot = 1", "serve.prot"),
        ("[server]\nport = 1", "server"),
        ("[log]\nDurability = 'strict'", "log.Durability"),
        ("[serve.tls]\nminimum = '1.0'", "serve.tls"),
    ],
)
def test_unknown_name(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(InvalidError, match=named.replace(".", r"\.")):
        _read(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("identity = 7", "identity"),
        ("[serve]\nport = -1", "port"),
        ("[serve]\nport = 65536", "port"),
        ("[serve]\nport = '8443'", "port"),
        ("[serve]\nport = 8443.0", "port"),
        ("[serve]\nport = true", "port"),
        ("[serve]\ndeadline_s = 0", "deadline_s"),
        ("[serve]\ndeadline_s = inf", "deadline_s"),
        ("[serve]\ndeadline_s = nan", "deadline_s"),
        ("[serve]\nmax_body_bytes = 0", "max_body_bytes"),
        ("[serve]\nnames = 'localhost'", "names"),
        ("[log]\ndurability = 'relaxed'", "durability"),
        ("[sandbox]\nrequire = ['none']", "require"),
        ("[identities]\ncertificate_days = 91", "certificate_days"),
        ("[identities]\ngrant_days = 367", "grant_days"),
        ("serve = 1", "serve"),
    ],
)
def test_bad_value(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(InvalidError, match=named):
        _read(tmp_path, text)


@pytest.mark.parametrize(
    "data",
    [
        b"identity = ",
        b"\xff\xfe",
        b"a = 1\na = 2",
        b"[" * 5000,
        b"x = " + b"[" * 5000,
        b"#" * (MAX_FILE_BYTES + 1),
    ],
    ids=["torn", "not utf-8", "twice", "tables", "deep", "huge"],
)
def test_not_a_settings_file(tmp_path: Path, data: bytes) -> None:
    (tmp_path / FILE_NAME).write_bytes(data)
    with pytest.raises(InvalidError) as refusal:
        read_settings(tmp_path)
    assert len(refusal.value.message) < 500


def test_folder_in_its_place(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).mkdir()
    with pytest.raises(InvalidError):
        read_settings(tmp_path)


def test_no_home(tmp_path: Path) -> None:
    with pytest.raises(InvalidError, match="no strongroom home") as refusal:
        read_settings(tmp_path)
    assert refusal.value.hint == "run: strongroom init"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[log]\ndurability = 'insecure-relaxed'", "insecure-relaxed"),
        ("[sandbox]\nrequire = []", "seccomp"),
        ("[sandbox]\nrequire = ['no_new_privs', 'rlimits', 'isolation']", "seccomp"),
        ("[sandbox]\nrequire = ['no_new_privs', 'rlimits', 'seccomp']", "isolation"),
    ],
)
def test_insecure_choice_is_named(tmp_path: Path, text: str, named: str) -> None:
    choices = _read(tmp_path, text).insecure_choices()
    assert len(choices) == 1
    assert named in choices[0]


@pytest.mark.parametrize("layer", ["landlock", "namespaces"])
def test_a_stricter_layer_is_no_insecure_choice(tmp_path: Path, layer: str) -> None:
    text = f"[sandbox]\nrequire = ['no_new_privs', 'rlimits', 'seccomp', '{layer}']"
    assert _read(tmp_path, text).insecure_choices() == []


def test_a_layer_that_is_covered_is_not_blamed(tmp_path: Path) -> None:
    text = "[sandbox]\nrequire = ['no_new_privs', 'rlimits', 'landlock']"
    (choice,) = _read(tmp_path, text).insecure_choices()
    assert "seccomp" in choice
    assert "isolation" not in choice


def test_where_the_home_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("STRONGROOM_HOME", raising=False)
    assert find_home(None) == DEFAULT_HOME.expanduser() == tmp_path / ".strongroom"
    monkeypatch.setenv("STRONGROOM_HOME", str(tmp_path / "elsewhere"))
    assert find_home(None) == tmp_path / "elsewhere"
    assert find_home(Path("~/given")) == tmp_path / "given"
    monkeypatch.setenv("STRONGROOM_HOME", "")
    assert find_home(None) == tmp_path / ".strongroom"
    assert find_home(Path("relative")).is_absolute()


def test_settings_cannot_be_changed_once_read(tmp_path: Path) -> None:
    settings = _read(tmp_path, "")
    with pytest.raises(ValueError, match="frozen"):
        settings.log.durability = "insecure-relaxed"

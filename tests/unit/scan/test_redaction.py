"""What is shown to people holds no credential: messages, fixes, places."""

import base64
from random import Random

import pytest

from strongroom.errors import shorten
from strongroom.scan.place import Place
from strongroom.scan.redaction import redact, redact_place
from strongroom.scan.rule import Rule
from strongroom.scan.scan import Scan
from strongroom.scan.secrets import judge_text
from strongroom.values import Severity
from tests.unit.scan.credentials import MARKED, MULTILINE

RULE = Rule("pickle-global-not-allowed", Severity.HIGH, "title", "why", "fix")
TOKEN = MARKED["huggingface-token"](Random(1))


def test_text_without_credentials_is_left_as_it_is() -> None:
    for text in ("", "x", "calls posix.system('id')", "modèle — naïve … ok", "sha256:" + "0af3" * 16):
        assert redact(text) == text


def test_the_rest_of_a_message_stays() -> None:
    assert redact(f"réduit: calls login('{TOKEN}') twice") == (
        f"réduit: calls login('[{TOKEN[:4]}… (37 characters), redacted]') twice"
    )


def test_every_occurrence_goes() -> None:
    assert TOKEN[4:] not in redact(f"{TOKEN} and {TOKEN}, also {base64.b64encode(TOKEN.encode()).decode()}")


def test_a_credential_that_a_message_cuts_short_goes() -> None:
    for length in range(12, 30):
        shown = redact(shorten(f"exec {TOKEN}", length))
        assert TOKEN[4:10] not in shown


@pytest.mark.parametrize("label", MULTILINE)
def test_of_a_private_key_only_the_header_stays(label: str) -> None:
    key = MULTILINE[label](Random(label))
    clean = redact(f"before {key} after")
    assert not any(line in clean for line in key.splitlines()[1:-1] if len(line) > 40)
    assert "BEGIN" in clean
    assert clean.endswith("after")


def test_what_is_readable_only_unescaped_goes_as_a_whole() -> None:
    escaped = "".join(f"\\x{ord(char):02x}" for char in TOKEN)
    assert "characters with a credential" in redact(f"eval('{escaped}')")


def test_redacting_twice_changes_nothing() -> None:
    for kind, maker in MARKED.items():
        once = redact(f"x {maker(Random(kind))} y")
        assert redact(once) == once, kind


def test_names_of_places_are_redacted() -> None:
    place = redact_place(Place(f"{TOKEN}.json").enter(f"a/{TOKEN}").named(f"config.{TOKEN}"))
    assert TOKEN[4:] not in str(place)


def test_any_scanners_match_is_redacted() -> None:
    scan = Scan({}, lambda *_: None, judge_text)
    scan.add(RULE, Place("a").named(TOKEN), f"calls login({TOKEN})", f"remove {TOKEN}")
    (match,) = scan.matches
    assert TOKEN[4:] not in f"{match} {match.to_finding()}"


def test_a_key_named_after_a_credential_is_a_finding() -> None:
    scan = Scan({}, lambda *_: None, judge_text)
    scan.text("1", Place("config.json").named(f"tokens.{TOKEN}"))
    assert [match.rule.id for match in scan.matches] == ["secret-huggingface-token"]

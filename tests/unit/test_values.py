"""Values parse from one spelling and refuse every other."""

from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.errors import InvalidError
from strongroom.values import (
    MAX_VERSION_CHARS,
    Digest,
    ModelId,
    Version,
    format_time,
    parse_family,
    parse_principal,
    parse_time,
    require_reason,
)

# semver.org 2.0.0 section 11, and its examples.
ORDERED = [
    "0.0.1", "0.1.0", "1.0.0-0", "1.0.0-2", "1.0.0-10", "1.0.0--", "1.0.0-alpha", "1.0.0-alpha.1",
    "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1", "1.0.0", "1.0.1",
    "1.2.0", "1.10.0", "2.0.0-0", "2.0.0", "10.0.0",
]  # fmt: skip


def test_versions_order_as_semver_says() -> None:
    versions = [Version.parse(text) for text in ORDERED]
    for first, second in pairwise(versions):
        assert first < second
        assert not second < first
    assert max(versions) == Version.parse("10.0.0")


@pytest.mark.parametrize("text", ORDERED)
def test_a_version_is_spelled_one_way(text: str) -> None:
    assert str(Version.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "", "1", "1.0", "1.0.0.0", "v1.0.0", "01.0.0", "1.00.0", "1.0.0-", "1.0.0-01", "1.0.0-a..b",
        "1.0.0+build", "1.0.0-a+b", "-1.0.0", "1.0.0 ", " 1.0.0", "1.0.0\n", "1.0.0-é", "1.0.０", "١.0.0",
        "1.0.0-" + "a" * MAX_VERSION_CHARS, "9999999999.0.0", "1_0.0.0", "1.0.x", "latest", "*",
    ],
)  # fmt: skip
def test_what_is_no_version(text: str) -> None:
    with pytest.raises(InvalidError):
        Version.parse(text)


def test_a_model_is_a_family_and_a_version() -> None:
    model = ModelId.parse("fraud@1.2.0-rc.1")
    assert (model.family, model.version, str(model)) == (
        "fraud",
        Version(1, 2, 0, "rc.1"),
        "fraud@1.2.0-rc.1",
    )
    assert ModelId.parse("fraud@1.2.0") < ModelId.parse("fraud@1.10.0") < ModelId.parse("fraud2@0.0.1")


@pytest.mark.parametrize(
    "text",
    ["", "fraud", "fraud@", "@1.0.0", "fraud@1.0.0@1.0.0", "Fraud@1.0.0", "fraud@v1.0.0", "fra/ud@1.0.0",
     "../x@1.0.0", "fraud @1.0.0", "frаud@1.0.0", "fraud@1.0.0\x00"],
)  # fmt: skip
def test_what_is_no_model(text: str) -> None:
    with pytest.raises(InvalidError):
        ModelId.parse(text)


def test_family_bounds() -> None:
    for text in ("ab", "a" * 63, "a-1", "a--"):
        assert parse_family(text) == text
    for text in ("", "a", "a" * 64, "1a", "-a", "A", "a_b", "a.b", "a\n", "ａｂ"):
        with pytest.raises(InvalidError):
            parse_family(text)


def test_principal_bounds() -> None:
    for text in ("a", "a" * 63, "alice-2"):
        assert parse_principal(text) == text
    for text in ("", "a" * 64, "1a", "*", "Alice", "alice@x", "alicе", "a\n", "root "):
        with pytest.raises(InvalidError):
            parse_principal(text)


def test_a_digest_has_one_spelling() -> None:
    digest = Digest.of(b"")
    text = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert str(digest) == text
    assert Digest.parse(text) == digest
    assert digest.hex == text.removeprefix("sha256:")
    wrong = [
        text.upper(),
        text[7:],
        text[:-1],
        text + "0",
        text + "\n",
        "sha1:" + text[7:],
        "sha256:../" + text[10:],
    ]
    for spelling in wrong:
        with pytest.raises(InvalidError):
            Digest.parse(spelling)
    with pytest.raises(InvalidError):
        Digest(b"short")


@given(st.datetimes(timezones=st.just(UTC)))
def test_times_come_back(at: datetime) -> None:
    assert parse_time(format_time(at)) == at


def test_times_are_written_as_utc() -> None:
    east = datetime(2026, 3, 1, 1, tzinfo=timezone(timedelta(hours=9)))
    assert format_time(east) == "2026-02-28T16:00:00.000000Z"
    with pytest.raises(InvalidError):
        format_time(datetime(2026, 3, 1))  # noqa: DTZ001 (a time without a zone is the attack)


@pytest.mark.parametrize(
    "text",
    [
        "", "2026-03-01", "2026-03-01T12:00:00Z", "2026-03-01T12:00:00.0Z", "2026-03-01T12:00:00.000000",
        "2026-03-01T12:00:00.000000+00:00", "2026-3-01T12:00:00.000000Z", "2026-02-30T12:00:00.000000Z",
        "2026-03-01T24:00:00.000000Z", "2026-03-01 12:00:00.000000Z", "2026-03-01T12:00:00.000000Z\n",
        "２026-03-01T12:00:00.000000Z",
    ],
)  # fmt: skip
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(InvalidError):
        parse_time(text)


def test_a_reason_is_one_printable_line() -> None:
    assert require_reason("ticket 7: é") == "ticket 7: é"
    for text in ("", "x" * 501, "two\nlines", "\x1b[2J", "a\u202eb"):
        with pytest.raises(InvalidError):
            require_reason(text)


@given(st.text(max_size=80))
def test_whatever_parses_is_spelled_as_it_was(text: str) -> None:
    for parse in (ModelId.parse, Version.parse, Digest.parse, parse_family, parse_principal):
        try:
            value = parse(text)
        except InvalidError:
            continue
        assert str(value) == text

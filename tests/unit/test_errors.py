"""The families and what callers read off them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.errors import (
    DeniedError,
    InvalidError,
    OutageError,
    RejectedError,
    StrongroomError,
    shorten,
)


@pytest.mark.parametrize(
    ("kind", "family", "status", "code", "retryable"),
    [
        (InvalidError, "invalid", 400, 2, False),
        (DeniedError, "denied", 403, 3, False),
        (RejectedError, "rejected", 422, 4, False),
        (OutageError, "outage", 503, 5, True),
    ],
)
def test_family_fixes_status_exit_code_and_retry(
    kind: type[StrongroomError], family: str, status: int, code: int, retryable: bool
) -> None:
    error = kind("m-7: manifest differs", hint="publish again")
    assert (error.family, error.http_status, error.exit_code, error.retryable) == (
        family,
        status,
        code,
        retryable,
    )
    assert (str(error), error.message, error.hint) == (
        "m-7: manifest differs",
        "m-7: manifest differs",
        "publish again",
    )
    assert isinstance(error, StrongroomError)


def test_a_hint_is_optional() -> None:
    assert InvalidError("x").hint is None


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("fraud", "'fraud'"), ("", "''"), (7, "'7'"), (None, "'None'"), ("a\nb", "'a\\nb'"),
        ("\x1b[2J", "'\\x1b[2J'"), ("é", "'\\xe9'"), ("\u202e", "'\\u202e'"), ("it's", '"it\'s"'),
        ("\ud800", "'\\ud800'"),
    ],
)  # fmt: skip
def test_untrusted_text_is_quoted(text: object, shown: str) -> None:
    assert shorten(text) == shown


@given(st.text(), st.integers(8, 200))
def test_untrusted_text_is_printable_ascii_and_short(text: str, limit: int) -> None:
    shown = shorten(text, limit)
    assert len(shown) <= limit + 2
    assert shown.replace("…", "").isascii()
    assert shown.isprintable()


def test_long_text_is_marked_as_cut() -> None:
    assert shorten("x" * 500) == "'" + "x" * 118 + "…'"

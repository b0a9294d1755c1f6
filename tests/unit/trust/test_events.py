"""Events: one spelling, bounded, and nothing in one can pass for another line or another event."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom import canonical
from strongroom.errors import InvalidError
from strongroom.trust.events import MAX_EVENT_BYTES, MAX_TEXT_CHARS, Event, Outcome

NOW = datetime(2026, 3, 1, 12, 0, 0, 7, tzinfo=UTC)
EVENT = Event(
    NOW, "alice", "publish", "fraud@1.0.0", "allow", "deployer-publishes", "ticket 7", {"n": [1, None]}
)
LEAF = (
    b'{"action":"publish","actor":"alice","decision":"allow","detail":{"n":[1,null]},"reason":"ticket 7",'
    b'"rule":"deployer-publishes","subject":"fraud@1.0.0","time":"2026-03-01T12:00:00.000007Z","v":1}'
)


def test_the_leaf_is_frozen() -> None:
    assert EVENT.to_bytes() == LEAF
    assert Event.parse(LEAF) == EVENT


def test_times_are_written_as_utc() -> None:
    assert replace(EVENT, time=NOW.astimezone(timezone(timedelta(hours=-5)))).to_bytes() == LEAF
    with pytest.raises(InvalidError, match="time zone"):
        replace(EVENT, time=NOW.replace(tzinfo=None))


def test_decisions_are_words_of_their_own() -> None:
    assert EVENT.decision == Outcome.ALLOW
    assert replace(EVENT, decision=Outcome.DENY) == replace(EVENT, decision="deny")


@pytest.mark.parametrize(
    "changed",
    [
        {"actor": ""}, {"actor": "*"}, {"actor": "Alice"}, {"actor": "a\nb"}, {"action": ""},
        {"action": "Publish"}, {"action": "a" * 33}, {"action": "x\n"}, {"decision": "ALLOW"},
        {"decision": "allowed"}, {"decision": ""}, {"rule": "a b"}, {"rule": "x\n"}, {"rule": "r" * 129},
    ],
)  # fmt: skip
def test_what_no_event_says(changed: dict[str, Any]) -> None:
    with pytest.raises(InvalidError):
        replace(EVENT, **changed)


FORGED = '\n{"action":"grant","actor":"root","decision":"allow"}\n'


@pytest.mark.parametrize("field", ["subject", "reason"])
def test_log_injection_by_new_line(field: str) -> None:
    leaf = replace(EVENT, **{field: FORGED}).to_bytes()
    assert b"\n" not in leaf
    assert json.loads(leaf)[field].startswith("\\x0a{")
    assert Event.parse(leaf).to_bytes() == leaf


def test_log_injection_in_the_detail() -> None:
    event = replace(EVENT, detail={"where": FORGED, "deep": [{"x": FORGED}]})
    leaf = event.to_bytes()
    assert b"\n" not in leaf
    assert Event.parse(leaf) == event
    assert Event.parse(leaf).detail["where"] == FORGED  # type: ignore[index]


@pytest.mark.parametrize(
    ("char", "shown"),
    [
        ("\x1b", "\\x1b"), ("\x00", "\\x00"), ("\r", "\\x0d"), ("\x7f", "\\x7f"), ("\x85", "\\x85"),
        ("\u2028", "\\u2028"), ("\u202e", "\\u202e"), ("\ufeff", "\\ufeff"), ("\ud800", "\\ud800"),
        ("\U000e0041", "\\U000e0041"), ("\xa0", "\\xa0"),
    ],
    ids=[
        "escape", "nul", "return", "delete", "next line", "line separator", "right to left",
        "byte order mark", "half a pair", "tag", "hard space",
    ],
)  # fmt: skip
def test_characters_that_a_terminal_would_act_on(char: str, shown: str) -> None:
    event = replace(EVENT, subject=f"a{char}b", detail={"text": f"a{char}b"})
    assert event.subject == f"a{shown}b"
    assert not set(event.to_bytes()) & {0x1B, 0x00, 0x0D, 0x0A}
    assert Event.parse(event.to_bytes()) == event


def test_a_denial_can_always_be_recorded() -> None:
    event = Event(NOW, "alice", "predict", "\ud800\n" * 9999, "deny", reason="é" * 9999)
    assert len(event.subject) == len(event.reason) == MAX_TEXT_CHARS
    assert event.reason.endswith("…")
    assert Event.parse(event.to_bytes()) == event


def test_letters_of_any_language_stay_as_they_are() -> None:
    assert replace(EVENT, subject="模型-é").subject == "模型-é"


def test_the_largest_event() -> None:
    spare = MAX_EVENT_BYTES - len(replace(EVENT, detail={"x": ""}).to_bytes())
    event = replace(EVENT, detail={"x": "y" * spare})
    assert len(event.to_bytes()) == MAX_EVENT_BYTES
    assert Event.parse(event.to_bytes()) == event
    larger = replace(EVENT, detail={"x": "y" * (spare + 1)})
    with pytest.raises(InvalidError, match="65536 bytes, more than 65535"):
        larger.to_bytes()
    with pytest.raises(InvalidError, match="more than"):
        Event.parse(b" " * (MAX_EVENT_BYTES + 1))


@pytest.mark.parametrize("value", [1.5, float("nan"), 2**53, b"x", NOW, {1: 2}, {"é": 1}, object()])
def test_detail_without_a_canonical_form(value: object) -> None:
    with pytest.raises(InvalidError):
        replace(EVENT, detail={"x": value}).to_bytes()


def test_detail_nested_without_end() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(InvalidError, match="nested"):
        replace(EVENT, detail={"x": loop})


def changed_leaf(**changed: Any) -> bytes:
    return canonical.encode(json.loads(LEAF) | changed)


@pytest.mark.parametrize(
    "leaf",
    [
        b"", b"{}", b"null", b"[]", LEAF + b"\n", LEAF.replace(b":", b": ", 1),
        LEAF.replace(b'"v":1', b'"v":1.0'),
        LEAF[:-1] + b',"v":1}', b'{"action":"grant",' + LEAF[1:], LEAF.replace(b"alice", b"\\u0061lice"),
        changed_leaf(v=2), changed_leaf(v=True), changed_leaf(v="1"), changed_leaf(extra=1),
        changed_leaf(time="2026-03-01T12:00:00Z"), changed_leaf(time="2026-03-01T12:00:00.000007+00:00"),
        changed_leaf(time="2026-02-30T12:00:00.000007Z"), changed_leaf(time=7), changed_leaf(actor=None),
        changed_leaf(decision="maybe"), changed_leaf(detail=[]), changed_leaf(detail=None),
        changed_leaf(subject="a\nb"), changed_leaf(subject="a\u202eb"), changed_leaf(reason="x" * 501),
        changed_leaf(detail={"x": "\x1b[2J"}),
    ],
)  # fmt: skip
def test_a_leaf_that_was_never_written(leaf: bytes) -> None:
    with pytest.raises(InvalidError):
        Event.parse(leaf)


@pytest.mark.parametrize("field", sorted(json.loads(LEAF)))
def test_every_field_is_needed(field: str) -> None:
    value = json.loads(LEAF)
    del value[field]
    with pytest.raises(InvalidError, match="missing or unknown"):
        Event.parse(canonical.encode(value))


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_refused_cleanly(data: bytes) -> None:
    with pytest.raises(InvalidError):
        Event.parse(data)


@given(st.text(max_size=700), st.text(max_size=100))
def test_any_text_comes_back_as_it_was_recorded(subject: str, value: str) -> None:
    event = replace(EVENT, subject=subject, detail={"x": value})
    leaf = event.to_bytes()
    assert Event.parse(leaf).to_bytes() == leaf
    assert all(byte >= 0x20 for byte in leaf)

"""Grants: what one may say, what it covers, and when."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom import canonical
from strongroom.errors import InvalidError
from strongroom.trust.grants import (
    MAX_DURATION,
    Grant,
    active_grants,
    build_grant_id,
    is_covered,
    parse_resource,
    parse_role,
)
from strongroom.values import Role

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
GRANT = Grant(
    build_grant_id(b"0123456789abcdef"),
    "alice",
    Role.DEPLOYER,
    "fraud",
    NOW,
    NOW + timedelta(days=7),
    "ticket 7",
    "root",
)


def test_an_id_is_made_of_sixteen_random_bytes() -> None:
    assert GRANT.id == "g-30313233343536373839616263646566"
    with pytest.raises(InvalidError, match="16 random bytes"):
        build_grant_id(b"short")


def test_to_and_from_json() -> None:
    assert Grant.parse(GRANT.to_bytes()) == GRANT
    assert GRANT.to_json() == {
        "id": "g-30313233343536373839616263646566",
        "principal": "alice",
        "role": "deployer",
        "resource": "fraud",
        "start": "2026-03-01T12:00:00.000000Z",
        "end": "2026-03-08T12:00:00.000000Z",
        "reason": "ticket 7",
        "granted_by": "root",
    }


@pytest.mark.parametrize(
    "changed",
    [
        {"id": "g-1"}, {"id": "G-30313233343536373839616263646566"}, {"id": GRANT.id + "\n"},
        {"principal": "*"}, {"principal": "Alice"}, {"principal": "alicе"}, {"granted_by": ""},
        {"resource": ""}, {"resource": "*@1.0.0"}, {"resource": "fraud*"}, {"resource": "fraud@1"},
        {"resource": "Fraud"}, {"reason": ""}, {"reason": "two\nlines"}, {"reason": "x" * 501},
        {"start": datetime(2026, 3, 1)},  # noqa: DTZ001 (a time without a zone is the attack)
        {"end": datetime(2026, 3, 2)},  # noqa: DTZ001
    ],
)  # fmt: skip
def test_what_is_no_grant(changed: dict[str, Any]) -> None:
    with pytest.raises(InvalidError):
        replace(GRANT, **changed)


@pytest.mark.parametrize(
    "length", [timedelta(0), -MICROSECOND, MAX_DURATION + MICROSECOND, timedelta(days=9999)]
)
def test_a_grant_that_never_holds_or_holds_too_long(length: timedelta) -> None:
    with pytest.raises(InvalidError):
        replace(GRANT, end=GRANT.start + length)


@pytest.mark.parametrize("length", [MICROSECOND, MAX_DURATION])
def test_the_shortest_and_the_longest(length: timedelta) -> None:
    assert replace(GRANT, end=GRANT.start + length).is_active(GRANT.start)


def test_times_are_kept_as_utc() -> None:
    east = timezone(timedelta(hours=9))
    moved = replace(GRANT, start=GRANT.start.astimezone(east), end=GRANT.end.astimezone(east))
    assert moved.to_bytes() == GRANT.to_bytes()


@pytest.mark.parametrize(
    "changed",
    [
        {"role": "root"}, {"role": "Admin"}, {"role": None}, {"start": "2026-03-01T12:00:00Z"},
        {"start": "2026-03-01T12:00:00.000000+00:00"}, {"end": 1772366400}, {"end": None}, {"extra": "x"},
        {"principal": ["alice"]},
    ],
)  # fmt: skip
def test_json_that_is_no_grant(changed: dict[str, Any]) -> None:
    with pytest.raises(InvalidError):
        Grant.from_json(GRANT.to_json() | changed)


@pytest.mark.parametrize("field", sorted(GRANT.to_json()))
def test_every_field_is_needed(field: str) -> None:
    value = GRANT.to_json()
    del value[field]
    with pytest.raises(InvalidError, match="missing or unknown"):
        Grant.from_json(value)


@pytest.mark.parametrize(
    "data",
    [
        b"", b"null", b"[]", b'"g"', GRANT.to_bytes() + b" ", GRANT.to_bytes().replace(b":", b": ", 1),
        b'{"id":"g-1",' + GRANT.to_bytes()[1:], b" " * 10_000,
    ],
    ids=["empty", "null", "array", "string", "space after", "space within", "a key twice", "long"],
)  # fmt: skip
def test_bytes_that_are_no_grant(data: bytes) -> None:
    with pytest.raises(InvalidError):
        Grant.parse(data)


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_refused_cleanly(data: bytes) -> None:
    with pytest.raises(InvalidError):
        Grant.parse(data)


@pytest.mark.parametrize(
    ("by", "resource", "covered"),
    [
        ("*", "*", True), ("*", "fraud", True), ("*", "fraud@1.0.0", True),
        ("fraud", "fraud", True), ("fraud", "fraud@1.0.0", True), ("fraud", "fraud@2.0.0-rc.1", True),
        ("fraud", "*", False), ("fraud", "fraud2", False), ("fraud", "fraud2@1.0.0", False),
        ("fraud2", "fraud", False), ("fraud2", "fraud@2.0.0", False), ("fraud", "frau", False),
        ("fraud", "fraud-eu@1.0.0", False), ("fraud@1.0.0", "fraud@1.0.0", True),
        ("fraud@1.0.0", "fraud@1.0.1", False), ("fraud@1.0.0", "fraud@1.0.0-rc.1", False),
        ("fraud@1.0.0", "fraud@1.0.00", False), ("fraud@1.0.0", "fraud", False), ("fraud@1.0.0", "*", False),
    ],
)  # fmt: skip
def test_what_a_grant_reaches(by: str, resource: str, covered: bool) -> None:
    assert is_covered(resource, by) is covered


def test_active_to_the_microsecond() -> None:
    for at, active in (
        (GRANT.start - MICROSECOND, False),
        (GRANT.start, True),
        (GRANT.end - MICROSECOND, True),
        (GRANT.end, False),
    ):
        assert active_grants([GRANT], "alice", "fraud@1.0.0", at) == ((GRANT,) if active else ())


def test_active_grants_are_of_that_principal_and_resource() -> None:
    others = [
        replace(GRANT, principal="alice2"),
        replace(GRANT, principal="alic"),
        replace(GRANT, resource="fraud2"),
        replace(GRANT, resource="fraud@1.0.1"),
    ]
    assert active_grants(others, "alice", "fraud@1.0.0", NOW) == ()
    assert active_grants([*others, GRANT], "alice", "fraud@1.0.0", NOW) == (GRANT,)


def test_resources_and_roles_have_one_spelling() -> None:
    for text in ("*", "fraud", "fraud@1.2.0"):
        assert parse_resource(text) == text
    for text in ("", "**", "fraud/1", "fraud@*", "Fraud", " fraud", "f"):
        with pytest.raises(InvalidError):
            parse_resource(text)
    assert parse_role("admin") is Role.ADMIN
    for text in ("Admin", "", "admin ", "root"):
        with pytest.raises(InvalidError):
            parse_role(text)


def test_the_signed_bytes_are_canonical() -> None:
    assert canonical.decode(GRANT.to_bytes()) == GRANT.to_json()

"""Advisories against versions, as the OSV schema evaluates them, and what is said of a list of packages."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.errors import RejectedError
from strongroom.scan import osv_database
from strongroom.scan.advisories import Advisory, parse_record
from strongroom.scan.cvss import find_base_score, find_rating
from strongroom.scan.dependencies import Dependency, Ecosystem, build_dependency
from strongroom.scan.osv_database import Database, build_database, database_to_bytes
from strongroom.scan.scan import Match
from strongroom.scan.vulnerabilities import (
    MALICIOUS,
    MISSING,
    RULES,
    STALE,
    UNPINNED,
    VULNERABLE,
    check_dependencies,
    find_vulnerabilities,
)
from strongroom.values import Severity

EXTRACT = Path(__file__).parents[2] / "vectors" / "osv" / "pypi"
NOW = datetime(2026, 11, 10, tzinfo=UTC)


def osv(affected: dict[str, Any] | None = None, **more: Any) -> bytes:
    """A record about ``demo``; ``affected`` replaces its ranges."""
    about = {"package": {"ecosystem": "PyPI", "name": "demo"}, **(affected or {"versions": ["1.0"]})}
    record = {"id": "PYSEC-1-1", "modified": "2026-11-01T00:00:00Z", "affected": [about], **more}
    return json.dumps(record).encode()


def advisory(*events: dict[str, str], versions: tuple[str, ...] = (), kind: str = "ECOSYSTEM") -> Advisory:
    ranges = [{"type": kind, "events": list(events)}] if events else []
    return parse_record(osv({"ranges": ranges, "versions": list(versions)})).affected[0][1]


def database(*records: bytes, now: datetime = NOW) -> Database:
    info, lines = build_database(map(parse_record, records), now=now, source="test", source_sha256="0" * 64)
    return Database.parse(database_to_bytes(info, lines))


@pytest.fixture(scope="module")
def extract() -> Database:
    return database(*(path.read_bytes() for path in sorted(EXTRACT.glob("*.json"))))


def check(known: Database | None, *packages: Dependency, now: datetime = NOW) -> list[Match]:
    return list(check_dependencies(packages, known, now, "requirements.txt"))


def rules(matches: list[Match]) -> list[str]:
    return [match.rule.id for match in matches]


# The evaluation of ranges


@pytest.mark.parametrize(
    ("version", "affected"),
    [
        *(
            (version, True)
            for version in ("1.9", "1.9.0", "1.9.3.post1", "1.9.1+cpu", "1.10.0rc1", "1.10.0.dev3")
        ),
        *((version, False) for version in ("1.8.9", "1.10.0", "1.10", "1.10.post1", "2!1.9")),
    ],
)
def test_introduced_and_fixed(version: str, affected: bool) -> None:
    assert advisory({"introduced": "1.9"}, {"fixed": "1.10.0"}).affects(version) is affected


@pytest.mark.parametrize(
    ("version", "affected"), [("0.0.dev0", True), ("1.4.2", True), ("1.4.3", False), ("1.4.2+cu118", True)]
)
def test_last_affected_and_before_all(version: str, affected: bool) -> None:
    """A build of the last affected version is no later version."""
    assert advisory({"introduced": "0"}, {"last_affected": "1.4.2"}).affects(version) is affected


def test_several_ranges_in_any_order() -> None:
    one = advisory({"fixed": "2.1"}, {"introduced": "2.0"}, {"introduced": "1.0"}, {"fixed": "1.5"})
    assert [one.affects(version) for version in ("0.9", "1.4", "1.5", "2.0", "2.1")] == [
        False,
        True,
        False,
        True,
        False,
    ]
    assert one.find_fix("1.2") == "1.5"
    assert one.find_fix("2.0") == "2.1"


def test_a_fix_that_is_broken_anew_is_no_fix() -> None:
    one = advisory({"introduced": "0"}, {"fixed": "1.0"}, {"introduced": "1.0"}, {"fixed": "1.1"})
    assert one.affects("1.0")
    assert one.find_fix("0.5") == "1.1"


def test_exactly_one_version() -> None:
    one = advisory({"introduced": "1.0"}, {"last_affected": "1.0"})
    assert (one.affects("1.0"), one.affects("1.0.1"), one.affects("0.9")) == (True, False, False)


@pytest.mark.parametrize(("limit", "affected"), [("1.5", False), ("3", True), ("*", True)])
def test_limits(limit: str, affected: bool) -> None:
    assert advisory({"introduced": "1.0"}, {"limit": limit}).affects("2.0") is affected


def test_listed_versions_count_without_ranges() -> None:
    one = advisory(versions=("1.0", "1.1.0-r1", "weird!version"))
    assert one.affects("1.0.0")
    assert one.affects("1.1.post1")
    assert one.affects("weird!version")
    assert not one.affects("1.2")


def test_commits_say_nothing_of_versions() -> None:
    assert not advisory({"introduced": "0"}, kind="GIT").affects("1.0")


def test_what_cannot_be_put_in_order_is_affected_unless_versions_are_listed() -> None:
    """Fails closed: a bound or a version that PEP 440 cannot read hides nothing."""
    assert advisory({"introduced": "0"}, {"fixed": "not-a-version"}).affects("9.9")
    assert not advisory({"introduced": "0"}, {"fixed": "not-a-version"}, versions=("1.0",)).affects("9.9")
    assert advisory({"introduced": "0"}, {"fixed": "1.0"}).affects("9e")


# Records


def test_withdrawn_says_nothing() -> None:
    record = parse_record(osv(withdrawn="2026-11-01T00:00:00Z"))
    assert (record.withdrawn, record.affected) == (True, ())


def test_other_ecosystems_are_passed_over() -> None:
    for name in ("npm", "TuxCare:PyPI", "Debian:12"):
        record = parse_record(osv({"package": {"ecosystem": name, "name": "demo"}, "versions": ["1"]}))
        assert record.affected == ()


def test_names_are_compared_as_pep_503_spells_them() -> None:
    record = parse_record(osv({"package": {"ecosystem": "PyPI", "name": "Demo_X.y"}, "versions": ["1"]}))
    assert [name for name, _ in record.affected] == ["demo-x-y"]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        b"[" * 100_000,
        b'{"id": "X-1", "modified": "2026-01-01T00:00:00Z", "id": "X-2"}',
        b'{"id": "X 1", "modified": "2026-01-01T00:00:00Z"}',
        b'{"id": "X-1", "modified": "yesterday"}',
        b'{"id": "X-1", "modified": "2026-13-01T00:00:00Z"}',
        b'{"id": "X-1", "modified": "2026-01-01T00:00:00Z", "affected": {}}',
        b'{"id": "X-1", "modified": "2026-01-01T00:00:00Z", "affected": ["x"]}',
        osv({"ranges": [{"type": "ECOSYSTEM", "events": [{"fixed": "1"}]}]}),
        osv({"ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"repaired": "1"}]}]}),
        osv({"ranges": [{"type": "ECOSYSTEM", "events": "all"}]}),
        osv({"versions": "1.0"}),
    ],
)
def test_a_record_that_could_hide_something_is_refused(data: bytes) -> None:
    with pytest.raises(RejectedError):
        parse_record(data)


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(RejectedError):
        parse_record(data)


def test_a_summary_is_short_and_printable() -> None:
    found = parse_record(osv(summary="\x1b[31mred\nand " + "long " * 100)).affected[0][1]
    assert found.summary.isprintable()
    assert len(found.summary) <= 160


# Ratings (the examples of the CVSS 3.1 specification's own calculator)


@pytest.mark.parametrize(
    ("vector", "score", "rating"),
    [
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", 9.8, Severity.CRITICAL),
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:U/C:H/I:H/A:H", 8.8, Severity.HIGH),
        ("CVSS:3.0/AV:L/AC:L/PR:L/UI:N/S:C/C:H/I:H/A:H", 8.8, Severity.HIGH),
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N", 6.1, Severity.MEDIUM),
        ("CVSS:3.1/AV:L/AC:L/PR:N/UI:R/S:U/C:H/I:N/A:N", 5.5, Severity.MEDIUM),
        ("CVSS:3.1/AV:P/AC:H/PR:H/UI:R/S:U/C:L/I:N/A:N", 1.6, Severity.LOW),
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:N", 0.0, None),
    ],
)
def test_base_scores(vector: str, score: float, rating: Severity | None) -> None:
    assert find_base_score(vector) == score
    assert find_rating(score) is rating


@pytest.mark.parametrize(
    "vector",
    ["", "CVSS:4.0/AV:N", "CVSS:3.1/AV:X/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", "CVSS:3.1/AV:N", "x" * 999],
)
def test_what_is_no_vector_has_no_score(vector: str) -> None:
    assert find_base_score(vector) is None


def test_the_word_of_the_database_where_there_is_no_vector() -> None:
    found = parse_record(osv(database_specific={"severity": "MODERATE"})).affected[0][1]
    assert found.rating is Severity.MEDIUM


# The database


def test_the_database_gives_back_what_was_put_in(extract: Database) -> None:
    assert extract.info.packages == 10
    onnx = extract.find("onnx")
    assert {one.id for one in onnx} >= {"PYSEC-2023-38", "PYSEC-2026-104"}
    assert extract.find("onn") == extract.find("onnxx") == extract.find("") == ()
    assert extract.find("style-py")[0].is_malicious


def test_a_record_twice_is_refused() -> None:
    with pytest.raises(RejectedError, match="twice"):
        database(osv(), osv())


def test_an_empty_database_takes_no_place() -> None:
    with pytest.raises(RejectedError, match="no advisory"):
        database(osv(withdrawn="2026-11-01T00:00:00Z"))


def test_a_record_of_the_future_makes_nothing_fresh() -> None:
    old = osv(id="A-1", modified="2026-01-01T00:00:00Z")
    lie = osv(id="A-2", modified="2199-01-01T00:00:00Z")
    assert database(old, lie).info.as_of == datetime(2026, 1, 1, tzinfo=UTC)


def test_bounds_of_the_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(osv_database, "MAX_DATABASE_BYTES", 10)
    with pytest.raises(RejectedError, match="larger than 10"):
        database(osv())
    monkeypatch.setattr(osv_database, "MAX_RECORDS", 1)
    with pytest.raises(RejectedError, match="more than 1 records"):
        database(osv(id="A-1"), osv(id="A-2"))


@pytest.mark.parametrize("data", [b"", b"{}", b'{"format": "strongroom-osv/2"}', b"\xff", b"[1]\n"])
def test_a_damaged_database_is_refused(data: bytes) -> None:
    with pytest.raises(RejectedError, match="damaged"):
        Database.parse(data)


def test_a_damaged_line_is_refused(extract: Database) -> None:
    broken = Database(extract.info, [b"onnx\t[{]"])
    with pytest.raises(RejectedError, match="damaged"):
        broken.find("onnx")


# What is said of a list of packages


def test_a_hole_with_its_fix(extract: Database) -> None:
    (found,) = check(extract, build_dependency("torch", "2.5.1+cpu"))
    assert found.rule is VULNERABLE
    assert found.message.startswith("torch 2.5.1+cpu has CVE-2025-32434, GHSA-53q9-r3pm-6pq6, rated critical")
    assert found.message.endswith("(fixed in 2.6.0)")
    assert found.fix == "use torch 2.6.0 or newer"
    assert str(found.place) == "requirements.txt, torch 2.5.1+cpu"


def test_a_hole_without_a_fixed_version_names_its_end(extract: Database) -> None:
    (found,) = check(extract, build_dependency("joblib", "1.4.2"))
    assert "last affected is 1.4.2" in found.message


@pytest.mark.parametrize(
    "line",
    [
        "torch 2.6.0",
        "numpy 2.1.0",
        "onnx 1.21.0",
        "joblib 1.5.0",
        "keras 3.14.0",
        "PyYAML 5.1",
        "unheard-of 1.0",
    ],
)
def test_fixed_versions_are_silent(extract: Database, line: str) -> None:
    assert check(extract, build_dependency(*line.split())) == []


def test_one_hole_of_several_databases_is_said_once() -> None:
    one = osv(
        {"ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2.0"}]}]}, id="P-1"
    )
    other = osv(
        {"ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2.1"}]}]},
        id="GHSA-1",
        aliases=["CVE-1", "P-1"],
    )
    (found,) = find_vulnerabilities([build_dependency("demo", "1.0")], database(one, other).find)
    assert found.names == ("CVE-1", "GHSA-1", "P-1")
    assert found.fixed == "2.1"


def test_a_malicious_package_refuses(extract: Database) -> None:
    (found,) = check(extract, build_dependency("Style_PY", "3.1"))
    assert (found.rule, found.rule.severity, found.rule.waivable) == (MALICIOUS, Severity.CRITICAL, False)


def test_malicious_in_every_version_needs_no_version() -> None:
    record = osv({"ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}]}]}, id="MAL-2026-1")
    assert rules(check(database(record), build_dependency("demo"))) == [UNPINNED.id, MALICIOUS.id]


def test_unpinned_is_a_finding_and_pinned_is_not(extract: Database) -> None:
    open_ended = build_dependency("numpy", wanted=">=1", line=7)
    (found,) = check(extract, open_ended, build_dependency("numpy", "2.1.0"))
    assert found.rule is UNPINNED
    assert str(found.place) == "requirements.txt, line 7, numpy"


def test_what_conda_calls_differently_is_looked_up_too(extract: Database) -> None:
    found = check(extract, build_dependency("pytorch", "2.5.1", ecosystem=Ecosystem.CONDA))
    assert rules(found) == [VULNERABLE.id]


def test_no_database_is_no_pass() -> None:
    assert rules(check(None, build_dependency("numpy", "2.1.0"))) == [MISSING.id]


def test_the_age_of_the_database(extract: Database) -> None:
    fresh = extract.info.as_of + timedelta(days=14)
    assert check(extract, build_dependency("numpy", "2.1.0"), now=fresh) == []
    late = fresh + timedelta(seconds=1)
    assert rules(check(extract, build_dependency("numpy", "2.1.0"), now=late)) == [STALE.id]


def test_a_clock_set_back_makes_nothing_fresh(extract: Database) -> None:
    back = extract.info.imported_at - timedelta(days=15)
    assert STALE.id in rules(check(extract, build_dependency("numpy", "2.1.0"), now=back))


def test_every_rule_has_words_for_people() -> None:
    assert len({rule.id for rule in RULES}) == len(RULES)
    for rule in RULES:
        assert rule.title
        assert rule.why.endswith(".")
        assert rule.fix.endswith(".")

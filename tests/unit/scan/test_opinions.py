"""What other scanners wrote is read as words, whatever it is."""

import json

import pytest

from strongroom.scan.opinions import MAX_WORD_CHARS, Says, parse_fickling, parse_modelaudit


def test_a_warning_keeps_the_scanners_words() -> None:
    report = {"severity": "LIKELY_OVERTLY_MALICIOUS", "analysis": "imports os.system\nand calls it"}
    opinion = parse_fickling("a.pkl", json.dumps(report).encode())
    assert opinion.says is Says.WARNS
    assert opinion.words == ("LIKELY_OVERTLY_MALICIOUS", "imports os.system", "and calls it")
    assert opinion.to_json()["decides"] is False


def test_nothing_to_warn_of() -> None:
    assert parse_fickling("a", b'{"severity": "LIKELY_SAFE", "analysis": ""}').says is Says.NOTHING
    output = b'log line\n{"issues": [{"severity": "info", "message": "x"}]}'
    assert parse_modelaudit("a", output).says is Says.NOTHING


def test_issues_are_counted_and_the_first_told() -> None:
    issues = [{"severity": "critical", "message": f"{number}" + "x" * 900} for number in range(9)]
    opinion = parse_modelaudit("a", json.dumps({"issues": issues}).encode())
    assert opinion.says is Says.WARNS
    assert opinion.words[0] == "9 critical"
    assert opinion.words[-1] == "and 5 more"
    assert max(map(len, opinion.words)) <= MAX_WORD_CHARS


@pytest.mark.parametrize("output", [b"", b"{", b"[]", b"{}", b'{"issues": 1}', b"[" * 100_000, b"\xff\x00"])
def test_anything_else_is_no_opinion(output: bytes) -> None:
    assert parse_fickling("a", output).says is Says.FAILED
    assert parse_modelaudit("a", output).says is Says.FAILED

"""Text made to keep the search busy: work is counted, and grows with the length of the text and no faster."""

import base64
import gzip
import zlib

import pytest

from strongroom.scan.redaction import redact
from strongroom.scan.secret_decoding import MAX_INFLATED_BYTES
from strongroom.scan.secret_search import MAX_HITS, search_text
from tests.unit.scan.test_secrets import found_kinds, scan_text

CHARS = 10 * 2**20
SHORT_CHARS = 2**15
MAX_ATTEMPTS_PER_CHAR = 4

UNITS = (
    "a",
    "A1",
    "=",
    "-",
    "/",
    "%41",
    "\\\\",
    "\\u0041",
    "&amp;",
    "\x1b[0m",
    "\0a",
    "\n",
    " ",
    "a" * 19 + " ",
    "a1" * 10 + " ",
    "hf_",
    "-hf_",
    "ghp_a",
    "sk-",
    "sk-ant-",
    "-eyJ",
    "-eyJ.",
    "eyJhbGciOi.",
    "eyJ.eyJ.",
    "xoxb-",
    "AKIA",
    "+AIza",
    "SG.",
    "M.",
    "-Maaaaaaaaaaaaaaaaaaaaaaaa.",
    "glpat-",
    "/glpat-",
    "ya29.",
    "-ya29.",
    "dp.pt.",
    "dt0c01.",
    "1000.",
    "s.",
    "lsv2_pt_",
    "secret_",
    "Q~",
    "-us",
    ".atlasv1.",
    "_mmk",
    "AA",
    "1:AA",
    "://",
    "://a:",
    "://a:b",
    "https://a.b/",
    "://a:b@",
    "jdbc:oracle:thin:a/",
    "sig=",
    "sig=%2B",
    '"d":"',
    '"d""kty"',
    "private key",
    "-----BEGIN PRIVATE KEY-----",
    "-----BEGIN PRIVATE KEY-----\nA: b\n",
    "private-lines: 1",
    "BEGIN A ",
    "basic ",
    "basic a",
    '"auth":"',
    "bearer ",
    "bearer a",
    "machine ",
    "machine a login b ",
    "machine a login b password ",
    "password",
    "password=",
    'password="',
    "password=(",
    "pass",
    "secret: ",
    "api_key=",
    "pwd",
    "token=a1B2",
    "wandb ",
    "wandb=" + "0a" * 20 + " ",
    "aws_secret=" + "aB3" * 14 + "=",
    "[",
    "{",
    '{"a":',
    "AAAA\n",
    "QUJD" * 15 + "\n",
)


@pytest.mark.parametrize("unit", UNITS)
def test_work_is_linear_in_repeated_text(unit: str) -> None:
    once, twice = (search_text(unit * (chars // len(unit))) for chars in (SHORT_CHARS, 2 * SHORT_CHARS))
    assert once.attempts <= MAX_ATTEMPTS_PER_CHAR * SHORT_CHARS
    assert twice.attempts <= 2.2 * once.attempts + 1000


@pytest.mark.slow
@pytest.mark.parametrize("unit", ["sk-ant-", "password=", "QUJD" * 15 + "\n"])
def test_ten_megabytes_of_it_end(unit: str) -> None:
    search = search_text(unit * (CHARS // len(unit)))
    assert search.attempts <= MAX_ATTEMPTS_PER_CHAR * CHARS
    assert len(search.hits) <= MAX_HITS


def test_a_bomb_in_base64_is_not_unpacked_and_asks_for_a_reviewer() -> None:
    bomb = gzip.compress(bytes(3 * MAX_INFLATED_BYTES), mtime=0)
    scan = scan_text(f"plot: {base64.b64encode(bomb).decode()}")
    assert [match.rule.id for match in scan.matches] == ["secret-search-incomplete"]


def test_many_small_bombs_share_one_bound() -> None:
    bombs = [
        base64.b64encode(zlib.compress(str(number).encode() + bytes(MAX_INFLATED_BYTES // 4))).decode()
        for number in range(8)
    ]
    assert "search-incomplete" in found_kinds(" ".join(bombs))


def test_deep_wrapping_ends() -> None:
    data = b"x" * 60
    for _ in range(12):
        data = base64.b64encode(data)
    assert not search_text(data.decode()).hits


def test_deep_json_in_a_token_is_not_parsed() -> None:
    deep = base64.urlsafe_b64encode(b'{"alg":' + b"[" * 500).decode().rstrip("=")
    assert not found_kinds(f"{deep}.{deep}.{'aB3' * 12}")


def test_more_credentials_than_are_kept_are_still_few_findings() -> None:
    text = "\n".join(f"password = 'Tr0ub4dor&{number}'" for number in range(5 * MAX_HITS))
    assert len(search_text(text).hits) <= MAX_HITS
    assert "Tr0ub4dor&999" not in redact(text)

"""Planted credentials are found in every carrier, and none of them is ever shown."""

import gzip
from random import Random

import pytest

from strongroom.scan.place import Place
from strongroom.scan.redaction import redact
from strongroom.scan.scan import Scan
from strongroom.scan.secret_search import search_text
from strongroom.scan.secrets import RULES, judge_text
from tests.unit.scan.credentials import CARRIERS, MARKED, MULTILINE, NAMED, Maker, encode

MIN_RECALL = 0.95
MIN_KINDS = 45
ROUNDS = 3


def scan_text(text: str, name: str = "") -> Scan:
    scan = Scan({}, lambda *_: None, judge_text)
    scan.text(text, Place("config.json").named(name))
    return scan


def found_kinds(text: str, name: str = "") -> set[str]:
    return {match.rule.id.removeprefix("secret-") for match in scan_text(text, name).matches}


ALL: dict[str, tuple[str, Maker]] = (
    {kind: ("", maker) for kind, maker in MARKED.items()}
    | {f"private-key {label}": ("", maker) for label, maker in MULTILINE.items()}
    | NAMED
)


@pytest.mark.parametrize("carrier", CARRIERS)
def test_recall_of_a_carrier(carrier: str) -> None:
    random = Random(carrier)
    missed, otherwise = [], []
    for kind, (name, maker) in ALL.items():
        for _ in range(ROUNDS):
            text = CARRIERS[carrier](name, maker(random))
            kinds = found_kinds(text)
            if not kinds:
                missed.append(kind)
            elif kind.split()[0] not in kinds:
                otherwise.append((kind, *sorted(kinds)))
    tried = ROUNDS * len(ALL)
    print(f"{carrier}: {tried - len(missed)}/{tried}, missed {set(missed)}, as another kind {set(otherwise)}")
    assert 1 - len(missed) / tried >= MIN_RECALL


@pytest.mark.parametrize("kind", ALL)
def test_recall_of_a_kind(kind: str) -> None:
    random = Random(kind)
    name, maker = ALL[kind]
    texts = [carry(name, maker(random)) for carry in CARRIERS.values() for _ in range(ROUNDS)]
    found = sum(bool(found_kinds(text)) for text in texts)
    print(f"{kind}: {found}/{len(texts)}")
    assert found / len(texts) >= MIN_RECALL


def test_enough_kinds_have_a_maker_and_a_rule() -> None:
    ids = [rule.id for rule in RULES]
    assert len(ids) == len(set(ids))
    assert len(MARKED) + len(NAMED) >= MIN_KINDS
    assert {f"secret-{kind}" for kind in (*MARKED, *NAMED)} <= set(ids)


@pytest.mark.parametrize("kind", ALL)
def test_no_message_place_or_redacted_text_shows_a_secret(kind: str) -> None:
    random = Random(kind)
    name, maker = ALL[kind]
    for carrier, carry in CARRIERS.items():
        text = carry(name, maker(random))
        secrets = [hit.secret.decode() for hit in search_text(text).hits]
        scan = scan_text(text, text[:200])
        shown = " ".join(f"{match.message} {match.fix} {match.place}" for match in scan.matches)
        clean = redact(text)
        for secret in secrets:
            assert secret[4:] not in shown, carrier
            assert secret[4:] not in clean, carrier
        assert not search_text(clean).hits, carrier


@pytest.mark.parametrize("between", [" ", "\n", ",\n", '", "'])
def test_of_several_encoded_values_in_a_row_each_is_read(between: str) -> None:
    secret = MARKED["huggingface-token"](Random(5))
    values = [f"the {number}th value" * 3 for number in range(4)]
    texts = [*values, f"now comes {secret}", *values]
    for pack in (lambda data: data, gzip.compress):
        assert "huggingface-token" in found_kinds(between.join(encode(pack(text.encode())) for text in texts))

"""Convert and publish on the twins: what a sandbox hands over is a stranger's, and so is a record."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import pytest

from strongroom.errors import DeniedError, InvalidError, OutageError, RejectedError, StrongroomError
from strongroom.flows.convert import Conversion, convert, witness
from strongroom.flows.publish import publish
from strongroom.flows.statement import require_statement_of
from strongroom.flows.vault import read_authority
from strongroom.ports import ConversionWish, Converted
from strongroom.trust.conversion import ConversionRecord
from strongroom.values import Digest
from tests import models
from tests.flows.scene import DEPLOYER, ONE, STRANGER, TWO, HandedModel, Scene, peopled, require_sound
from tests.unit.trust.test_conversion import FACTS

WISH = ConversionWish(64, 7, None, None, 2**30, 60.0, 2**28)
NOW = datetime(2026, 3, 1, tzinfo=UTC)
ORIGINAL = b"\x80\x04}\x94."
"""An empty dictionary: harmless to scan; the twin of the sandbox does not look at it."""
HOSTILE = b"\x80\x04\x95\x1c\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x8c\x06system\x93\x8c\x04true\x85R."


@dataclass
class Bench:
    """`ports.Converter` that answers as told, and keeps what it was handed."""

    answer: Any = field(default_factory=lambda: models.linear().entries["model.onnx"])
    facts: dict[str, Any] = field(default_factory=lambda: dict(FACTS))
    handed: list[bytes] = field(default_factory=list)

    def convert(
        self, name: str, original: bytes, wish: ConversionWish, inputs: bytes | None = None
    ) -> Converted:
        self.handed.append(original)
        if isinstance(self.answer, StrongroomError):
            raise self.answer
        return Converted(self.answer, self.facts, {"seccomp": "on"})


def _convert(bench: Bench | None = None, content: bytes = ORIGINAL, **more: Any) -> Conversion:
    return convert(HandedModel({"model.pkl": content}, **more), bench or Bench(), WISH, NOW)


def test_a_conversion_binds_both_files_and_what_was_measured() -> None:
    made = _convert()
    assert made.record.original.sha256 == Digest.of(ORIGINAL)
    assert made.record.converted.sha256 == Digest.of(made.content)
    assert made.record.facts == FACTS
    assert ConversionRecord.parse(made.evidence) == made.record
    assert not made.signed


def test_the_sandbox_gets_the_bytes_that_were_scanned() -> None:
    bench = Bench()
    _convert(bench)
    assert bench.handed == [ORIGINAL]


def test_what_the_scan_refuses_never_reaches_the_sandbox() -> None:
    bench = Bench()
    with pytest.raises(RejectedError, match="system"):
        _convert(bench, HOSTILE)
    assert bench.handed == []


def test_a_file_that_changes_while_it_is_read_is_refused() -> None:
    bench = Bench()
    with pytest.raises(RejectedError, match="changed"):
        _convert(bench, swapped="model.pkl")
    assert bench.handed == []


def test_a_folder_is_not_one_model() -> None:
    with pytest.raises(InvalidError, match="folder of 2 files"):
        convert(HandedModel({"a.pkl": ORIGINAL, "b.pkl": ORIGINAL}), Bench(), WISH, NOW)


@pytest.mark.parametrize(
    "error", [RejectedError("hostile"), InvalidError("no converter"), OutageError("none")]
)
def test_what_the_sandbox_says_is_said(error: StrongroomError) -> None:
    with pytest.raises(type(error)):
        _convert(Bench(error))


STRANGE: dict[str, Callable[[], bytes]] = {
    "not ONNX": lambda: b"\x80\x04}\x94.",
    "ONNX with a custom operator": lambda: models.custom_operator().entries["model.onnx"],
    "ONNX that points outside": lambda: models.external_escape().entries["model.onnx"],
    "cut": lambda: models.linear().entries["model.onnx"][:-5],
}


@pytest.mark.parametrize("strange", STRANGE)
def test_what_comes_out_of_the_sandbox_is_inspected_as_a_stranger_s(strange: str) -> None:
    with pytest.raises(RejectedError):
        _convert(Bench(STRANGE[strange]()))


@pytest.mark.parametrize(
    "facts", [{}, {**FACTS, "rows": -1}, {**FACTS, "more": 1}], ids=["none", "wrong", "more"]
)
def test_facts_that_are_not_facts_are_refused(facts: dict[str, Any]) -> None:
    with pytest.raises(RejectedError, match="fact"):
        _convert(Bench(facts=facts))


def _publish(scene: Scene, made: Conversion, model: Any = ONE, evidence: bytes | None = None) -> Any:
    offer = scene.offer(model, {"model.onnx": made.content})
    return publish(scene.vault, replace(offer, conversion=evidence or made.evidence))


def test_a_signed_record_is_logged_and_stands_in_the_statement() -> None:
    scene = peopled()
    made = witness(scene.vault, DEPLOYER, ONE, _convert())
    assert made.signed
    (event,) = scene.events[-1:]
    assert (event.action, event.actor, event.subject) == ("convert", DEPLOYER, str(ONE))
    assert event.detail["record"] == str(Digest.of(made.evidence))
    published = _publish(scene, made)
    statement = require_statement_of(scene.vault, read_authority(scene.vault), ONE)
    told = statement.inspection["conversion"]
    assert told["signed"] is True
    assert told["original"]["sha256"] == str(Digest.of(ORIGINAL))
    assert told["facts"] == FACTS
    assert not any("converted elsewhere" in finding for finding in published.findings)
    require_sound(scene)


def test_a_record_without_signature_is_the_publisher_s_word_and_the_reviewer_is_told() -> None:
    scene = peopled()
    published = _publish(scene, _convert())
    statement = require_statement_of(scene.vault, read_authority(scene.vault), ONE)
    assert statement.inspection["conversion"]["signed"] is False
    assert any("converted elsewhere" in finding for finding in published.findings)


def test_who_may_not_publish_gets_no_signature() -> None:
    scene = peopled()
    with pytest.raises(DeniedError):
        witness(scene.vault, STRANGER, ONE, _convert())


def test_a_record_of_another_file_refuses_the_version() -> None:
    scene = peopled()
    other = _convert(Bench(models.classifier().entries["model.onnx"]))
    with pytest.raises(RejectedError, match="of another file"):
        _publish(scene, _convert(), evidence=other.evidence)
    assert ONE not in read_authority(scene.vault).versions
    require_sound(scene)


def test_a_record_for_another_version_refuses_this_one() -> None:
    scene = peopled()
    made = witness(scene.vault, DEPLOYER, TWO, _convert())
    with pytest.raises(RejectedError, match=r"is for fraud@1\.1\.0"):
        _publish(scene, made)


def test_a_record_that_another_home_signed_is_refused() -> None:
    here, there = peopled(), peopled()
    made = witness(there.vault, DEPLOYER, ONE, _convert())
    forged = made.evidence.replace(b'"sig":"M', b'"sig":"N')
    with pytest.raises(RejectedError):
        _publish(here, made, evidence=forged)
    with pytest.raises(RejectedError):
        _publish(here, made, evidence=made.evidence[:-2])

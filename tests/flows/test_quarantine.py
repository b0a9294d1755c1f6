"""What is refused is kept sealed; it passes only under a second person's name, in these bytes, for a time."""

from datetime import timedelta
from typing import Any

import pytest

from strongroom.errors import DeniedError, InvalidError, OutageError, RejectedError
from strongroom.flows import publish as publishing
from strongroom.flows.approve import approve
from strongroom.flows.publish import Offer, publish
from strongroom.flows.quarantine import list_quarantined, quarantined_source, show_quarantined
from strongroom.flows.release import release
from strongroom.flows.rescan import rescan
from strongroom.flows.waive import waive
from strongroom.scan.place import Place
from strongroom.scan.rule import Rule
from strongroom.scan.scan import Match
from strongroom.scan.upload import Report, scan_upload
from strongroom.values import Severity
from tests import models
from tests.flows.scene import (
    AUDITOR,
    CONSUMER,
    DEPLOYER,
    ONE,
    OWNER,
    REVIEWER,
    TWO,
    HandedModel,
    Scene,
    peopled,
)

PICKLE = b"cos\nsystem\n(S'id'\ntR."
MARK = b"mark-that-must-never-lie-in-plain"
ODDITY = Rule("test-oddity", Severity.HIGH, "Odd", "It is odd.", "Make it even.", waivable=True)
WORSE = Rule("test-worse", Severity.CRITICAL, "Worse", "It is worse.", "Do not.")
MONTH = timedelta(days=30)


@pytest.fixture
def scene() -> Scene:
    return peopled()


@pytest.fixture
def odd(monkeypatch: pytest.MonkeyPatch) -> list[Rule]:
    """Rules that match at the first file of whatever is scanned."""
    rules = [ODDITY]

    def scan(entries: Any, done: Any = None) -> Report:
        path = min(entries)
        return scan_upload(entries, done).with_matches([Match(rule, Place(path), "is odd") for rule in rules])

    for module in (publishing, __import__("strongroom.flows.rescan", fromlist=["x"])):
        monkeypatch.setattr(module, "scan_upload", scan)
    return rules


def _refuse(scene: Scene, entries: dict[str, bytes] | None = None) -> str:
    with pytest.raises(RejectedError):
        publish(scene.vault, Offer(ONE, OWNER, DEPLOYER, HandedModel(entries or models.linear().entries)))
    (*_, last) = scene.authority.quarantined
    return last


def _finding(scene: Scene, ticket: str, rule: Rule = ODDITY) -> str:
    report = show_quarantined(scene.vault, REVIEWER, ticket).report
    (found,) = [each for each in report["findings"] if each["rule"] == rule.id]
    return str(found["id"])


def _resubmit(scene: Scene, ticket: str) -> publishing.Published:
    kept = show_quarantined(scene.vault, DEPLOYER, ticket)
    with quarantined_source(scene.vault, kept) as source:
        offer = Offer(
            kept.record.model, kept.owner, DEPLOYER, source, expected=kept.record.manifest, allow_older=True
        )
        return publish(scene.vault, offer)


def test_refused_upload_lies_sealed_only(scene: Scene) -> None:
    _refuse(scene, {"model.onnx": models.linear().onnx, "weights.pkl": PICKLE + MARK})
    assert scene.blobs.objects
    assert all(MARK not in data for data in scene.blobs.objects.values())
    assert all(MARK not in leaf for leaf in scene.log._leaves)


def test_same_upload_again_has_the_same_ticket(scene: Scene) -> None:
    assert _refuse(scene, {"m.pkl": PICKLE}) == _refuse(scene, {"m.pkl": PICKLE})
    assert len(scene.authority.quarantined) == 1


def test_who_may_read_it(scene: Scene) -> None:
    ticket = _refuse(scene, {"m.pkl": PICKLE})
    for actor in (DEPLOYER, REVIEWER, OWNER):
        assert [one.ticket for one in list_quarantined(scene.vault, actor)] == [ticket]
        assert show_quarantined(scene.vault, actor, ticket).report["verdict"] == "refused"
    for actor in (AUDITOR, CONSUMER):
        assert list_quarantined(scene.vault, actor) == []
        with pytest.raises(DeniedError):
            show_quarantined(scene.vault, actor, ticket)
        with pytest.raises(DeniedError):
            show_quarantined(scene.vault, actor, "0" * 16)


def test_waived_finding_passes_and_stands_in_the_statement(scene: Scene, odd: list[Rule]) -> None:
    ticket = _refuse(scene)
    finding = _finding(scene, ticket)
    waive(scene.vault, REVIEWER, ticket, finding, "known and harmless", MONTH)
    _resubmit(scene, ticket)
    approve(scene.vault, REVIEWER, ONE)
    from strongroom.flows.statement import require_statement_of

    inspection = require_statement_of(scene.vault, scene.authority, ONE).inspection
    (waived,) = inspection["waived"]
    assert (waived["finding"], waived["rule"], waived["by"]) == (finding, ODDITY.id, REVIEWER)


def test_nobody_waives_what_they_handed_over(scene: Scene, odd: list[Rule]) -> None:
    ticket = _refuse(scene)
    with pytest.raises(DeniedError, match="nobody-waives-their-own"):
        waive(scene.vault, DEPLOYER, ticket, _finding(scene, ticket), "trust me", MONTH)
    with pytest.raises(RejectedError):
        _resubmit(scene, ticket)


@pytest.mark.parametrize("actor", [OWNER, AUDITOR, CONSUMER])
def test_only_a_reviewer_waives(scene: Scene, odd: list[Rule], actor: str) -> None:
    ticket = _refuse(scene)
    with pytest.raises(DeniedError):
        waive(scene.vault, actor, ticket, _finding(scene, ticket), "x", MONTH)


def test_waiver_of_one_finding_does_not_cover_another(scene: Scene, odd: list[Rule]) -> None:
    odd.append(Rule("test-second", Severity.HIGH, "Second", "x", "x", waivable=True))
    ticket = _refuse(scene)
    waive(scene.vault, REVIEWER, ticket, _finding(scene, ticket), "only this", MONTH)
    with pytest.raises(RejectedError):
        _resubmit(scene, ticket)


def test_waiver_does_not_cover_other_bytes(scene: Scene, odd: list[Rule]) -> None:
    ticket = _refuse(scene)
    waive(scene.vault, REVIEWER, ticket, _finding(scene, ticket), "these bytes", MONTH)
    with pytest.raises(RejectedError):
        publish(scene.vault, Offer(TWO, OWNER, DEPLOYER, HandedModel(models.external_data().entries)))


def test_waiver_ends(scene: Scene, odd: list[Rule]) -> None:
    ticket = _refuse(scene)
    waive(scene.vault, REVIEWER, ticket, _finding(scene, ticket), "for a day", timedelta(days=1))
    scene.clock.advance(timedelta(days=1))
    with pytest.raises(RejectedError):
        _resubmit(scene, ticket)


def test_what_runs_code_is_never_waived(scene: Scene, odd: list[Rule]) -> None:
    odd.append(WORSE)
    ticket = _refuse(scene)
    with pytest.raises(InvalidError, match="cannot be waived"):
        waive(scene.vault, REVIEWER, ticket, _finding(scene, ticket, WORSE), "please", MONTH)


@pytest.mark.parametrize("lasts", [timedelta(0), timedelta(days=366)])
def test_waiver_without_an_end(scene: Scene, odd: list[Rule], lasts: timedelta) -> None:
    ticket = _refuse(scene)
    with pytest.raises(InvalidError, match="must last"):
        waive(scene.vault, REVIEWER, ticket, _finding(scene, ticket), "for ever", lasts)


def test_report_written_kinder(scene: Scene, odd: list[Rule]) -> None:
    odd[:] = [WORSE]
    ticket = _refuse(scene)
    (name,) = [name for name in scene.blobs.objects if name.endswith("report.json")]
    scene.blobs.objects[name] = scene.blobs.objects[name].replace(b"a", b"b", 1)
    with pytest.raises(RejectedError, match="not the one that was recorded"):
        show_quarantined(scene.vault, REVIEWER, ticket)


@pytest.mark.parametrize("byte", [100, -1])
def test_kept_bytes_changed_before_they_are_handed_over_again(
    scene: Scene, odd: list[Rule], byte: int
) -> None:
    ticket = _refuse(scene)
    waive(scene.vault, REVIEWER, ticket, _finding(scene, ticket), "ok", MONTH)
    (name,) = [name for name in scene.blobs.objects if name.endswith("0.sealed")]
    changed = bytearray(scene.blobs.objects[name])
    changed[byte] ^= 1
    scene.blobs.objects[name] = bytes(changed)
    with pytest.raises(RejectedError):
        _resubmit(scene, ticket)
    assert ONE not in scene.authority.versions


def test_nothing_in_quarantine_is_a_version(scene: Scene) -> None:
    _refuse(scene, {"m.pkl": PICKLE})
    with pytest.raises(DeniedError):
        approve(scene.vault, REVIEWER, ONE)
    with pytest.raises(DeniedError):
        release(scene.vault, DEPLOYER, ONE)


def test_store_without_room_still_says_why(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(name: str, data: bytes) -> None:
        raise OutageError("no space left")

    monkeypatch.setattr(scene.blobs, "put_new", full)
    with pytest.raises(RejectedError, match="pickle") as refusal:
        publish(scene.vault, Offer(ONE, OWNER, DEPLOYER, HandedModel({"m.pkl": PICKLE})))
    assert "not kept in quarantine" in (refusal.value.hint or "")
    assert not scene.blobs.objects
    assert not scene.authority.quarantined


def test_published_version_judged_again_by_newer_rules(scene: Scene, odd: list[Rule]) -> None:
    odd.clear()
    publish(scene.vault, scene.offer(ONE))
    assert rescan(scene.vault, REVIEWER, ONE).report.matches == ()
    odd.append(WORSE)
    report = rescan(scene.vault, REVIEWER, ONE).report
    assert [match.rule for match in report.matches] == [WORSE]
    last = scene.events[-1]
    assert (last.action, str(last.decision)) == ("rescan", "reject")
    assert (last.detail or {})["findings"][0]["rule"] == WORSE.id
    with pytest.raises(DeniedError):
        rescan(scene.vault, DEPLOYER, ONE)

"""The inventory: filters, owners who are gone, spreadsheets that are wrong, and what none of them may do."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from strongroom.adapters.sheets.files import build_file, read_sheet, write_new
from strongroom.errors import DeniedError, InvalidError, RejectedError
from strongroom.flows import doctor
from strongroom.flows.approve import approve
from strongroom.flows.grant import Wish, grant
from strongroom.flows.identity import add_identity, renew_identity
from strongroom.flows.listing import Filter, Item, list_inventory
from strongroom.flows.own import own
from strongroom.flows.publish import publish
from strongroom.flows.register import Columns, SheetError, register, unregister
from strongroom.flows.release import release
from strongroom.flows.revoke import revoke_grant, revoke_identity
from strongroom.flows.vault import build_event, moment, read_authority, record
from strongroom.ports import Sheet, SheetRow
from strongroom.sdk.stock import COLUMNS, _cells
from strongroom.trust.standing import OwnerStatus
from strongroom.values import Digest, ModelId, Role
from tests.flows.scene import (
    ADMIN,
    AUDITOR,
    CONSUMER,
    DEPLOYER,
    MONTH,
    ONE,
    OPERATOR,
    OWNER,
    REVIEWER,
    SECOND_ADMIN,
    STRANGER,
    TWO,
    Scene,
    furnished,
    require_sound,
)

DIGEST = "sha256:" + "ab" * 32
HEADER = ("model", "owner", "digest", "location")
SHEET_DIGEST = Digest(b"s" * 32)


@pytest.fixture
def scene() -> Scene:
    return furnished()


def _sheet(*rows: Sequence[str], header: Sequence[str] = HEADER) -> Sheet:
    padded = [(*row, *[""] * (len(header) - len(row))) for row in rows]
    return Sheet(
        "old.csv",
        SHEET_DIGEST,
        tuple(header),
        tuple(SheetRow(n, row) for n, row in enumerate(padded, start=2)),
    )


def _listed(scene: Scene, wanted: Filter | None = None, who: str = OWNER, **places: list[str]) -> list[str]:
    return [str(item.model) for item in _items(scene, wanted, who, **places)]


def _items(scene: Scene, wanted: Filter | None = None, who: str = OWNER, **places: list[str]) -> list[Item]:
    return list_inventory(scene.vault, who, wanted or Filter(), places)


# What is listed


def test_filters(scene: Scene) -> None:
    scene.publish(TWO)
    register(scene.vault, OWNER, _sheet(("tumour@0.1.0", "clinic")), Columns())
    whole = ["fraud@1.0.0", "fraud@1.1.0", "tumour@0.1.0"]
    runs = {str(ONE): ["host:8443"]}
    expected = {
        Filter(): whole,
        Filter(family="tumour"): whole[2:],
        Filter(owner=OWNER): whole[:2],
        Filter(owner="clinic"): whole[2:],
        Filter(format="onnx"): whole[:2],
        Filter(format="gguf"): [],
        Filter(states=("published",)): whole[1:2],
        Filter(states=("approved", "unmanaged")): [whole[0], whole[2]],
        Filter(unmanaged=True): whole[2:],
        Filter(orphaned=True): [],
        Filter(runs_on="any"): whole[:1],
        Filter(runs_on="none"): whole[1:],
        Filter(runs_on="host"): whole[:1],
        Filter(runs_on="host:8443"): whole[:1],
        Filter(runs_on="host:1"): [],
        Filter(older_than=timedelta(days=1)): [],
        Filter(older_than=timedelta(0), owner=OWNER, states=("approved",)): whole[:1],
    }
    for wanted, models in expected.items():
        found = [str(item.model) for item in list_inventory(scene.vault, OWNER, wanted, runs)]
        assert found == models, wanted
    scene.clock.advance(timedelta(days=2))
    assert _listed(scene, Filter(older_than=timedelta(days=1))) == whole
    with pytest.raises(InvalidError, match="is not one of"):
        Filter(states=("served",))


def test_quarantine_is_listed_when_asked_for(scene: Scene) -> None:
    with pytest.raises(RejectedError):
        publish(scene.vault, scene.offer(TWO, {"model.pkl": b"\x80\x04cposix\nsystem\n."}))
    assert _listed(scene) == [str(ONE)]
    item = _items(scene, Filter(states=("quarantined",)), DEPLOYER)[0]
    assert (item.model, item.state, item.by) == (TWO, "quarantined", DEPLOYER)


@pytest.mark.parametrize("who", [AUDITOR, CONSUMER, STRANGER])
def test_nobody_sees_what_they_may_not_list(scene: Scene, who: str) -> None:
    register(scene.vault, OWNER, _sheet(("tumour@0.1.0", "clinic")), Columns())
    assert _listed(scene, who=who) == []


# Owners


def _require_orphan(scene: Scene, status: OwnerStatus) -> None:
    item = next(one for one in _items(scene, Filter(orphaned=True), REVIEWER) if one.model == TWO)
    assert item.owner_status is status
    before = len(scene.log._leaves)
    with pytest.raises(DeniedError, match="is an orphan") as denied:
        approve(scene.vault, REVIEWER, TWO)
    assert "strongroom own fraud" in str(denied.value.hint)
    with pytest.raises(DeniedError, match="is an orphan"):
        publish(scene.vault, scene.offer(ModelId.parse("fraud@1.2.0"), owner=item.owner))
    assert all("allow" not in str(event.decision) for event in scene.events[before:])
    checks = list(doctor._owners(scene.vault))
    assert [check.verdict for check in checks] == [doctor.Verdict.WARN]


def test_owner_revoked(scene: Scene) -> None:
    scene.publish(TWO)
    revoke_identity(scene.vault, ADMIN, OWNER, "left")
    _require_orphan(scene, OwnerStatus.REVOKED)
    release(scene.vault, OPERATOR, ONE).close()  # what was approved goes on
    own(scene.vault, ADMIN, "fraud", SECOND_ADMIN, "omar left")
    assert {item.owner for item in _items(scene, who=REVIEWER)} == {SECOND_ADMIN}
    approve(scene.vault, REVIEWER, TWO)
    require_sound(scene)


def test_owner_whose_certificate_ended(scene: Scene) -> None:
    add_identity(scene.vault, ADMIN, "tim", 7)
    publish(scene.vault, scene.offer(TWO, owner="tim"))
    scene.clock.advance(timedelta(days=8))
    assert _listed(scene, Filter(orphaned=True)) == []
    _renewed_rights(scene, timedelta(days=30))
    _require_orphan(scene, OwnerStatus.EXPIRED)
    renew_identity(scene.vault, ADMIN, "tim", 7)
    approve(scene.vault, REVIEWER, TWO)


def _renewed_rights(scene: Scene, later: timedelta) -> None:
    """Time passes, and those who work here are given their roles again."""
    for name, role in ((REVIEWER, Role.REVIEWER), (DEPLOYER, Role.DEPLOYER), (OPERATOR, Role.OPERATOR)):
        grant(scene.vault, ADMIN, Wish(name, role, "*", 3 * MONTH, "still here"))
    scene.clock.advance(later)


def test_owner_without_rights(scene: Scene) -> None:
    scene.publish(TWO)
    _renewed_rights(scene, timedelta(0))
    held = next(g.grant for g in scene.authority.grants.values() if g.grant.principal == OWNER)
    revoke_grant(scene.vault, ADMIN, held.id, "moved on")
    scene.clock.advance(timedelta(days=29))
    assert _listed(scene, Filter(orphaned=True), REVIEWER) == []
    scene.clock.advance(timedelta(days=2))
    _require_orphan(scene, OwnerStatus.WITHOUT_RIGHTS)


def test_team_that_never_was_an_identity_is_no_orphan(scene: Scene) -> None:
    publish(scene.vault, scene.offer(TWO, owner="risk-team"))
    approve(scene.vault, REVIEWER, TWO)
    item = next(item for item in _items(scene) if item.model == TWO)
    assert (item.owner_status, item.orphaned) == (OwnerStatus.UNKNOWN, False)


@pytest.mark.parametrize("who", [DEPLOYER, REVIEWER, OPERATOR, AUDITOR, CONSUMER, STRANGER])
def test_others_cannot_make_themselves_owner(scene: Scene, who: str) -> None:
    with pytest.raises(DeniedError):
        own(scene.vault, who, "fraud", who)
    assert scene.events[-1].decision == "deny"


def test_own_to_nobody(scene: Scene) -> None:
    revoke_identity(scene.vault, ADMIN, CONSUMER, "left")
    before = len(scene.log._leaves)
    for family, owner, kind in (
        ("fraud", "nobody", InvalidError),
        ("fraud", OWNER, InvalidError),
        ("fraud", CONSUMER, DeniedError),
        ("tumour", ADMIN, InvalidError),
        ("Fraud", ADMIN, InvalidError),
    ):
        with pytest.raises(kind):
            own(scene.vault, OWNER, family, owner)
    assert own(scene.vault, OWNER, "fraud", ADMIN, dry_run=True) == -1
    assert len(scene.log._leaves) == before


def test_owner_role_of_another_family(scene: Scene) -> None:
    add_identity(scene.vault, ADMIN, "nora", 7)
    grant(scene.vault, ADMIN, Wish("nora", Role.OWNER, "tumour", MONTH, "hers"))
    with pytest.raises(DeniedError):
        own(scene.vault, "nora", "fraud", "nora")


@pytest.mark.parametrize("who", [DEPLOYER, STRANGER])
def test_a_record_written_around_the_flow_gives_nobody_a_family(scene: Scene, who: str) -> None:
    authority = read_authority(scene.vault)
    event = build_event(
        scene.vault, moment(scene.vault, authority), who, "own", "fraud", rule="x", family="fraud", owner=who
    )
    with pytest.raises(RejectedError, match="was not owner or admin"):
        record(scene.vault, event)


# Spreadsheets


def test_import_lists_and_gives_no_right(scene: Scene) -> None:
    made = register(
        scene.vault, DEPLOYER, _sheet(("tumour@0.1.0", "The Clinic", DIGEST, "s3://old/t.pkl")), Columns()
    )
    assert [str(model) for model in made.added] == ["tumour@0.1.0"]
    item = _items(scene, Filter(unmanaged=True))[0]
    assert (item.owner, item.digest, item.location) == ("The Clinic", DIGEST, "s3://old/t.pkl")
    for act in (
        lambda: approve(scene.vault, REVIEWER, item.model),
        lambda: release(scene.vault, OPERATOR, item.model),
    ):
        with pytest.raises((DeniedError, InvalidError, RejectedError)):
            act()
    require_sound(scene)


def test_listed_again(scene: Scene) -> None:
    row = ("tumour@0.1.0", "clinic", "", "here")
    register(scene.vault, OWNER, _sheet(row), Columns())
    again = register(scene.vault, OWNER, _sheet(row), Columns())
    assert (again.added, again.changed, len(again.known), again.log_index) == ((), (), 1, None)
    moved = register(scene.vault, OWNER, _sheet((*row[:3], "there")), Columns())
    assert [len(part) for part in (moved.added, moved.changed, moved.known)] == [0, 1, 0]
    assert (
        register(scene.vault, OWNER, _sheet(("ulcer@1.0.0", "x")), Columns(), dry_run=True).log_index is None
    )
    assert [item.location for item in _items(scene, Filter(unmanaged=True))] == ["there"]


BAD_ROWS = {
    "no version": ("tumour", "x"),
    "loose version": ("tumour@1.0", "x"),
    "v before it": ("tumour@v1.0.0", "x"),
    "family in capitals": ("Tumour@1.0.0", "x"),
    "no owner": ("tumour@1.0.0", ""),
    "digest of another kind": ("tumour@1.0.0", "x", "md5:00"),
    "password in the location": ("tumour@1.0.0", "x", "", "https://me:pw@host/m"),
    "signed address": ("tumour@1.0.0", "x", "", "https://host/m?X-Amz-Signature=00"),
    "published with other bytes": (str(ONE), "x", DIGEST),
    "listed with other bytes": ("listed@1.0.0", "x", "sha256:" + "cd" * 32),
    "listed, now without its digest": ("listed@1.0.0", "x"),
    "listed twice": ("good@1.0.0", "x"),
    "owner too long": ("tumour@1.0.0", "x" * 200),
}


@pytest.mark.parametrize("what", BAD_ROWS)
def test_bad_row_is_named_by_line_and_nothing_is_taken(scene: Scene, what: str) -> None:
    register(scene.vault, OWNER, _sheet(("listed@1.0.0", "x", DIGEST)), Columns())
    before = list(scene.log._leaves)
    with pytest.raises(SheetError, match=r"old\.csv: line 3: ") as wrong:
        register(
            scene.vault, OWNER, _sheet(("good@1.0.0", "x"), BAD_ROWS[what], ("fine@1.0.0", "x")), Columns()
        )
    assert [line for line, _ in wrong.value.faults] == [3]
    assert "pw" not in wrong.value.message.replace("password", "")
    assert scene.log._leaves == before


def test_every_bad_row_is_known_and_ten_are_named(scene: Scene) -> None:
    rows = [(f"tumour@{number}", "x") for number in range(25)]
    with pytest.raises(SheetError, match="and 15 more") as wrong:
        register(scene.vault, OWNER, _sheet(*rows), Columns())
    assert [line for line, _ in wrong.value.faults] == list(range(2, 27))


def test_columns_in_somebody_elses_words(scene: Scene) -> None:
    header = ("Name", "Version", "Responsible", "Team", "SHA256", "Budget", "Path")
    row = ("tumour", "1.0.0", "Ana", "clinic", "AB" * 32, "9", "/models/t")
    columns = Columns({"owner": "responsible"}, ("budget",))
    register(scene.vault, OWNER, _sheet(row, header=header), columns)
    item = _items(scene, Filter(unmanaged=True))[0]
    assert (item.owner, item.digest, item.location) == ("Ana", DIGEST, "/models/t")


@pytest.mark.parametrize(
    ("header", "columns", "message"),
    [
        (("model", "owner", "Budget"), Columns(), "'Budget' is unknown"),
        (("model",), Columns(), "needs columns for owner"),
        (("family", "owner"), Columns(), "needs columns for owner and for model"),
        (("model", "owner", "note", "notes"), Columns(), "two columns mean note"),
        (("model", "owner"), Columns({"color": "owner"}), "is not one of"),
        (("model", "owner"), Columns({"note": "Text"}), "has no column 'text'"),
        (("model", "owner"), Columns({}, ("Text",)), "has no column 'text'"),
    ],
)
def test_columns_that_nobody_explained(
    scene: Scene, header: tuple[str, ...], columns: Columns, message: str
) -> None:
    with pytest.raises(InvalidError, match=message):
        register(scene.vault, OWNER, _sheet(("tumour@1.0.0", "x"), header=header), columns)


def test_formula_is_inert_once_imported(scene: Scene) -> None:
    register(scene.vault, OWNER, _sheet(("tumour@1.0.0", "=cmd", "", "@SUM(A1)")), Columns())
    item = _items(scene, Filter(unmanaged=True))[0]
    assert (item.owner, item.location) == ("'=cmd", "'@SUM(A1)")


@pytest.mark.parametrize("kind", [".csv", ".xlsx"])
def test_export_is_imported_elsewhere(scene: Scene, kind: str, tmp_path: Path) -> None:
    """The whole inventory of one home, as what another knows to be elsewhere; and back, changing nothing."""
    register(scene.vault, OWNER, _sheet(("tumour@1.0.0", "=x", DIGEST, 'a;b,"c"')), Columns())
    items = _items(scene)
    path = tmp_path / f"inventory{kind}"
    write_new(path, build_file(kind, COLUMNS, [_cells(item) for item in items]))
    other = furnished()
    other.publish(ModelId.parse("other@1.0.0"))
    made = register(other.vault, OWNER, read_sheet(path), Columns())
    assert [str(model) for model in made.added] == ["tumour@1.0.0"]
    assert [str(model) for model in made.known] == [str(ONE)]
    again = register(scene.vault, OWNER, read_sheet(path), Columns())
    assert (again.added, again.changed, len(again.known)) == ((), (), 2)


def test_one_foreign_family_and_nothing_is_taken(scene: Scene) -> None:
    add_identity(scene.vault, ADMIN, "nora", 7)
    grant(scene.vault, ADMIN, Wish("nora", Role.OWNER, "tumour", MONTH, "hers"))
    with pytest.raises(DeniedError):
        register(scene.vault, "nora", _sheet(("tumour@1.0.0", "x"), ("ulcer@1.0.0", "x")), Columns())
    assert not scene.authority.unmanaged
    register(scene.vault, "nora", _sheet(("tumour@1.0.0", "x")), Columns())


def test_what_is_published_is_not_told_to_those_who_may_not_list(scene: Scene) -> None:
    with pytest.raises(DeniedError):
        register(scene.vault, STRANGER, _sheet((str(ONE), "x", DIGEST)), Columns())


def test_many_rows_are_all_there_or_none(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [(f"m{number}@1.0.0", "x" * 100, "", "y" * 900) for number in range(600)]
    size = len(scene.log._leaves)
    made = register(scene.vault, OWNER, _sheet(*rows), Columns())
    assert len(made.added) == 600
    assert len(scene.log._leaves) > size + 2
    assert max(len(leaf) for leaf in scene.log._leaves) < 65_536
    assert len(scene.authority.unmanaged) == 600


def test_published_is_no_longer_elsewhere_and_has_the_listed_bytes(scene: Scene) -> None:
    content = scene.offer(TWO).source.files[0]
    buffer = bytearray(content.size)
    content.read_into(0, memoryview(buffer))
    register(scene.vault, OWNER, _sheet((str(TWO), "x", DIGEST)), Columns())
    with pytest.raises(RejectedError, match="lists other bytes"):
        scene.publish(TWO)
    unregister(scene.vault, OWNER, TWO, "was wrong")
    register(scene.vault, OWNER, _sheet((str(TWO), "x", str(Digest.of(bytes(buffer))))), Columns())
    scene.publish(TWO)
    assert not scene.authority.unmanaged
    with pytest.raises(InvalidError, match="not listed as unmanaged"):
        unregister(scene.vault, OWNER, TWO, "it is here")
    require_sound(scene)


def test_a_record_written_around_the_flow_lists_nothing(scene: Scene) -> None:
    authority = read_authority(scene.vault)
    entry = {"model": "tumour@1.0.0", "digest": "", "owner": "x", "format": "", "location": ""}
    whole = {**entry, "dependencies": "", "note": ""}
    wrong = [
        (DEPLOYER, [entry]),
        (DEPLOYER, [whole, whole]),
        (DEPLOYER, [{**whole, "model": str(ONE)}]),
        (DEPLOYER, []),
        (STRANGER, [whole]),
    ]
    for who, entries in wrong:
        event = build_event(
            scene.vault,
            moment(scene.vault, authority),
            who,
            "register",
            "x",
            rule="x",
            sheet=str(SHEET_DIGEST),
            entries=entries,
        )
        with pytest.raises(RejectedError):
            record(scene.vault, event)
        with pytest.raises(RejectedError):
            record(scene.vault, replace(event, action="unregister", detail={"model": "tumour@1.0.0"}))

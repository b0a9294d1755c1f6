"""Bills of materials and the vulnerability database, on the twins: who may, what is recorded and believed."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest

from strongroom import canonical
from strongroom.adapters.bom.cyclonedx import CycloneDx
from strongroom.adapters.host.memory import MemoryHost
from strongroom.adapters.vulnerabilities.memory import MemoryVulnerabilities
from strongroom.errors import DeniedError, InvalidError, OutageError, RejectedError
from strongroom.flows import osv
from strongroom.flows.bom import bom, diff_bom, sign_bom, verify_bom, verify_foreign_bom
from strongroom.flows.inventory import show_version
from strongroom.flows.publish import publish
from strongroom.flows.vault import LOG_KEY, SIGNING_KEY, Vault
from strongroom.scan.dependencies import dependencies_to_json
from strongroom.scan.differences import Kind
from strongroom.scan.lockfiles import parse_lockfile
from strongroom.trust.dsse import Envelope, sign_envelope
from strongroom.trust.keyring import KeyHistory, SigningKey
from strongroom.trust.signatures import PublicKey
from strongroom.trust.statement import PAYLOAD_TYPE
from strongroom.values import ModelId
from tests.flows.scene import (
    ADMIN,
    DEPLOYER,
    ONE,
    REVIEWER,
    START,
    STRANGER,
    TWO,
    Scene,
    furnished,
    require_sound,
)
from tests.unit.scan.test_vulnerabilities import osv as record

FORMAT = CycloneDx()
LOCK = parse_lockfile(b"numpy==2.1.0\ndemo==1.0\npandas>=2\n")
HOST = {"onnxruntime": "1.22.0", "strongroom": "0.1.0", "numpy": "2.1.0", "demo": "1.0", "pandas": "2.2"}


def dated(day: str, number: int = 1) -> bytes:
    return record(id=f"PYSEC-1-{number}", modified=f"{day}T00:00:00Z")


@dataclass
class Source:
    """`ports.AdvisorySource` over records in memory."""

    given: list[bytes] = field(default_factory=lambda: [dated("2026-02-25")])
    name: str = "https://osv.example/all.zip"
    sha256: str = "0" * 64

    def records(self) -> Iterator[bytes]:
        yield from self.given


@pytest.fixture
def scene() -> Scene:
    """`ONE` was published without a list of packages, `TWO` with one."""
    made = furnished()
    made.vault.packages = MemoryHost(dict(HOST), known_opsets={"ai.onnx": 30, "ai.onnx.ml": 5})
    made.vault.vulnerabilities = MemoryVulnerabilities()
    publish(made.vault, made.offer(TWO, dependencies=dependencies_to_json(LOCK.dependencies)))
    return made


@pytest.fixture
def vault(scene: Scene) -> Vault:
    return scene.vault


def attest(vault: Vault, document: Any, subjects: Any, key: str = SIGNING_KEY) -> bytes:
    """What somebody signs who has a key and means ill."""
    assert vault.signers is not None
    payload = canonical.encode(
        {
            "_type": "https://in-toto.io/Statement/v1",
            "predicate": document,
            "predicateType": "https://cyclonedx.org/bom",
            "subject": subjects,
        }
    )
    return sign_envelope(PAYLOAD_TYPE, payload, vault.signers.signer(key)).to_bytes()  # type: ignore[arg-type]


# Publish


def test_the_list_and_the_runtime_are_part_of_the_signed_statement(vault: Vault) -> None:
    declared = show_version(vault, DEPLOYER, TWO).statement.dependencies
    assert declared["runtime"] == [
        {"name": "onnxruntime", "version": "1.22.0"},
        {"name": "strongroom", "version": "0.1.0"},
    ]
    assert [one["name"] for one in declared["packages"]] == ["demo", "numpy", "pandas"]


# The document


def test_the_same_each_time_and_for_everybody_who_may(vault: Vault) -> None:
    document = bom(vault, DEPLOYER, TWO, FORMAT)
    assert document == bom(vault, REVIEWER, TWO, FORMAT)
    assert "pkg:pypi/numpy@2.1.0" in document.decode()
    assert FORMAT.require_valid(document)["metadata"]["timestamp"].startswith("2026-03-01")


def test_what_nobody_listed_has_a_bill_all_the_same(vault: Vault) -> None:
    document = json.loads(bom(vault, DEPLOYER, ONE, FORMAT))
    assert [one["type"] for one in document["components"]] == ["file"]


@pytest.mark.parametrize("model", [TWO, ModelId.parse("fraud@9.0.0")])
def test_not_for_those_who_may_not_even_list_it(vault: Vault, model: ModelId) -> None:
    for act in (bom, sign_bom):
        with pytest.raises(DeniedError):
            act(vault, STRANGER, model, FORMAT)


def test_signing_is_recorded_and_the_record_names_the_envelope(scene: Scene) -> None:
    envelope = sign_bom(scene.vault, DEPLOYER, TWO, FORMAT)
    event = scene.events[-1]
    assert (event.action, event.actor, event.subject, event.decision) == (
        "sign-bom",
        DEPLOYER,
        str(TWO),
        "allow",
    )
    assert event.detail is not None
    assert event.detail["bom"].startswith("sha256:")
    found = verify_bom(scene.vault, DEPLOYER, envelope, FORMAT)
    assert (found.model, found.is_own, len(found.signed_by)) == (str(TWO), True, 1)
    require_sound(scene)


def test_a_bare_document_is_believed_if_it_is_ours(vault: Vault) -> None:
    found = verify_bom(vault, DEPLOYER, bom(vault, DEPLOYER, TWO, FORMAT), FORMAT)
    assert (found.signed_by, found.is_own) == ((), True)


def test_a_bare_document_of_somebody_else_is_not(vault: Vault) -> None:
    foreign = b'{"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1}'
    with pytest.raises(RejectedError, match="not signed"):
        verify_bom(vault, DEPLOYER, foreign, FORMAT)


def test_an_altered_document(vault: Vault) -> None:
    document = bom(vault, DEPLOYER, TWO, FORMAT).replace(b"numpy@2.1.0", b"numpy@2.1.1")
    with pytest.raises(RejectedError, match="differs from what was published, first in components"):
        verify_bom(vault, DEPLOYER, document, FORMAT)


def test_a_lie_that_the_right_key_signed(vault: Vault) -> None:
    """Who has the signing key still cannot say of a version what its statement does not."""
    document = json.loads(bom(vault, DEPLOYER, TWO, FORMAT))
    subjects = json.loads(Envelope.parse(sign_bom(vault, DEPLOYER, TWO, FORMAT)).payload)["subject"]
    document["components"] = [one for one in document["components"] if one["type"] == "file"]
    document["dependencies"] = []
    with pytest.raises(RejectedError, match="differs from what was published"):
        verify_bom(vault, DEPLOYER, attest(vault, document, subjects), FORMAT)


def test_a_bill_signed_about_other_files(vault: Vault) -> None:
    document = json.loads(bom(vault, DEPLOYER, TWO, FORMAT))
    for subjects in ([{"name": "model.onnx", "digest": {"sha256": "0" * 64}}], [], [{"name": "x"}], ["x"]):
        with pytest.raises(RejectedError):
            verify_bom(vault, DEPLOYER, attest(vault, document, subjects), FORMAT)


def test_a_foreign_key(vault: Vault) -> None:
    document = json.loads(bom(vault, DEPLOYER, TWO, FORMAT))
    subjects = json.loads(Envelope.parse(sign_bom(vault, DEPLOYER, TWO, FORMAT)).payload)["subject"]
    with pytest.raises(RejectedError, match="not known here"):
        verify_bom(vault, DEPLOYER, attest(vault, document, subjects, LOG_KEY), FORMAT)


@pytest.mark.parametrize("what", ["statement", "flip", "cut", "type"])
def test_envelopes_that_hold_no_bill(vault: Vault, what: str) -> None:
    signed = sign_bom(vault, DEPLOYER, TWO, FORMAT)
    envelope = Envelope.parse(signed)
    signature = replace(envelope.signatures[0], value=b"0" * 70)
    bad = {
        "statement": vault.blobs.read("fraud/1.1.0/statement.json", 2**20),
        "flip": replace(envelope, signatures=(signature,)).to_bytes(),
        "cut": signed[:-10],
        "type": replace(envelope, payload_type="text/plain").to_bytes(),
    }
    with pytest.raises(RejectedError):
        verify_bom(vault, DEPLOYER, bad[what], FORMAT)


def test_a_stranger_checks_it_with_public_keys_only(vault: Vault) -> None:
    keys = vault.trust_root.signing_keys
    signed = sign_bom(vault, DEPLOYER, TWO, FORMAT)
    assert verify_foreign_bom(signed, keys, FORMAT).model == str(TWO)
    with pytest.raises(RejectedError, match="not signed"):
        verify_foreign_bom(bom(vault, DEPLOYER, TWO, FORMAT), keys, FORMAT)
    with pytest.raises(RejectedError, match="not known"):
        verify_foreign_bom(signed, KeyHistory(), FORMAT)
    assert vault.signers is not None
    public = PublicKey.from_pem(vault.signers.signer(SIGNING_KEY).public_pem)
    revoked = KeyHistory((SigningKey(public, START, revoked_at=START + timedelta(days=1)),))
    with pytest.raises(RejectedError, match="was revoked"):
        verify_foreign_bom(signed, revoked, FORMAT)


# What a host has


def test_no_difference_on_the_host_it_was_published_on(vault: Vault) -> None:
    assert diff_bom(vault, DEPLOYER, TWO) == ()


def test_a_host_that_moved_on(vault: Vault) -> None:
    vault.packages = MemoryHost(
        {**HOST, "onnxruntime": "1.30.0", "numpy": "3.0"}, known_opsets={"ai.onnx": 1}
    )
    kinds = {one.kind for one in diff_bom(vault, DEPLOYER, TWO)}
    assert {Kind.ENGINE, Kind.VERSION, Kind.OPSET} <= kinds


def test_the_lockfile_of_another_host(vault: Vault) -> None:
    other = parse_lockfile(b"onnxruntime==1.22.0\nnumpy==2.1.0\npandas==2.2\nscipy==1.0\n")
    assert [(one.kind, one.name) for one in diff_bom(vault, DEPLOYER, TWO, other)] == [
        (Kind.MISSING, "demo"),
        (Kind.EXTRA, "scipy"),
    ]


def test_a_process_that_cannot_look_says_so(vault: Vault) -> None:
    vault.packages = None
    with pytest.raises(InvalidError, match="not known"):
        diff_bom(vault, DEPLOYER, TWO)
    with pytest.raises(InvalidError, match="not known"):
        osv.check_own(vault)


# The vulnerability database


def test_imported_is_recorded_with_its_digest_and_age(scene: Scene) -> None:
    made = osv.import_database(scene.vault, ADMIN, Source())
    event = scene.events[-1]
    assert (event.action, event.actor, event.rule) == ("configure", ADMIN, "admin-manages")
    assert event.detail is not None
    assert event.detail["value"]["digest"] == str(made.digest)
    assert event.detail["value"]["as_of"] == "2026-02-25T00:00:00Z"
    status = osv.database_status(scene.vault)
    assert status is not None
    assert (status.info, status.age_days, status.stale) == (made.info, 4, False)
    scene.clock.advance(timedelta(days=14))
    stale = osv.database_status(scene.vault)
    assert stale is not None
    assert stale.stale
    require_sound(scene)


def test_only_an_admin_imports(scene: Scene) -> None:
    for actor in (DEPLOYER, REVIEWER, STRANGER):
        with pytest.raises(DeniedError):
            osv.import_database(scene.vault, actor, Source())
        assert scene.events[-1].decision == "deny"
    assert osv.database_status(scene.vault) is None


def test_one_bad_record_and_the_old_database_stays(scene: Scene) -> None:
    first = osv.import_database(scene.vault, ADMIN, Source())
    before = len(scene.events)
    for bad in (b"{}", b"", record(id="x y"), dated("2026-02-25")):
        with pytest.raises(RejectedError):
            osv.import_database(scene.vault, ADMIN, Source([dated("2026-02-25"), bad]))
    status = osv.database_status(scene.vault)
    assert status is not None
    assert status.digest == first.digest
    assert len(scene.events) == before


def test_an_older_database_hides_what_is_known(scene: Scene) -> None:
    osv.import_database(scene.vault, ADMIN, Source())
    older = Source([dated("2026-02-01")])
    with pytest.raises(InvalidError, match="in use is one of 2026-02-25"):
        osv.import_database(scene.vault, ADMIN, older)
    osv.import_database(scene.vault, ADMIN, older, allow_older=True)


def test_dry_run_reads_all_and_changes_nothing(scene: Scene) -> None:
    before = len(scene.events)
    made = osv.import_database(scene.vault, ADMIN, Source(), dry_run=True)
    assert made.log_index == -1
    assert (len(scene.events), osv.read_database(scene.vault)) == (before, None)


@pytest.mark.parametrize("attack", ["gone", "swapped", "rolled back"])
def test_a_database_put_in_its_place_is_not_believed(scene: Scene, attack: str) -> None:
    store = scene.vault.vulnerabilities
    assert isinstance(store, MemoryVulnerabilities)
    old = osv.import_database(scene.vault, ADMIN, Source([dated("2026-02-01")]))
    kept = store.databases[old.digest]
    new = osv.import_database(scene.vault, ADMIN, Source())
    store.databases = {"gone": {}, "swapped": {new.digest: kept}, "rolled back": {old.digest: kept}}[attack]
    for act in (osv.database_status, osv.check_own):
        with pytest.raises(RejectedError, match=r"missing|changed"):
            act(scene.vault)


def test_a_crash_leaves_the_old_or_the_new_one(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """(3) fails: nothing happened. (4) fails: the old one is in use. Cleaning fails: the new one is."""
    first = osv.import_database(scene.vault, ADMIN, Source())
    second = Source([dated("2026-02-26", 2)])
    store = scene.vault.vulnerabilities
    assert isinstance(store, MemoryVulnerabilities)

    def fail(*_: object, **__: object) -> None:
        raise OutageError("disk: is full")

    for target, name in ((store, "put"), (scene.log, "append")):
        with monkeypatch.context() as patch:
            patch.setattr(target, name, fail)
            with pytest.raises(OutageError):
                osv.import_database(scene.vault, ADMIN, second)
        status = osv.database_status(scene.vault)
        assert status is not None
        assert status.digest == first.digest
    with monkeypatch.context() as patch:
        patch.setattr(store, "keep_only", fail)
        with pytest.raises(OutageError):
            osv.import_database(scene.vault, ADMIN, second)
    status = osv.database_status(scene.vault)
    assert status is not None
    assert status.digest != first.digest


# Checks


def test_what_is_known_against_a_version(scene: Scene) -> None:
    assert [one.rule.id for one in osv.check_version(scene.vault, DEPLOYER, TWO)] == [
        "dependency-unpinned",
        "osv-database-missing",
    ]
    osv.import_database(scene.vault, ADMIN, Source())
    assert [one.rule.id for one in osv.check_version(scene.vault, DEPLOYER, TWO)] == [
        "dependency-unpinned",
        "dependency-vulnerable",
    ]
    (hole,) = osv.vulnerabilities_of(scene.vault, DEPLOYER, TWO)
    assert hole.dependency.name == "demo"
    document = json.loads(bom(scene.vault, DEPLOYER, TWO, FORMAT, [hole]))
    assert document["vulnerabilities"][0]["id"] == "PYSEC-1-1"


def test_the_engine_is_checked_too(scene: Scene) -> None:
    engine = {"package": {"ecosystem": "PyPI", "name": "onnxruntime"}, "versions": ["1.22.0"]}
    osv.import_database(scene.vault, ADMIN, Source([record(engine, modified="2026-02-25T00:00:00Z")]))
    found = osv.check_version(scene.vault, DEPLOYER, TWO)
    assert "onnxruntime 1.22.0" in [str(one.place).rpartition(", ")[2] for one in found]


def test_not_for_strangers(vault: Vault) -> None:
    for act in (osv.check_version, osv.vulnerabilities_of):
        osv.import_database(vault, ADMIN, Source(), allow_older=True)
        with pytest.raises(DeniedError):
            act(vault, STRANGER, TWO)


def test_what_strongroom_itself_runs_on(scene: Scene) -> None:
    scene.vault.packages = MemoryHost(
        {"strongroom": "0.1.0", "demo": "1.0", "other": "1.0"}, {"strongroom": frozenset({"demo"})}
    )
    about = [
        record({"package": {"ecosystem": "PyPI", "name": name}, "versions": ["1.0"]}, id=name)
        for name in ("demo", "other")
    ]
    about = [one.replace(b"2026-11-01", b"2026-02-25") for one in about]
    osv.import_database(scene.vault, ADMIN, Source(about))
    (found,) = osv.check_own(scene.vault)
    assert found.message.startswith("demo 1.0 has demo")
    scene.vault.packages = MemoryHost({"demo": "1.0"})
    with pytest.raises(InvalidError, match="not installed"):
        osv.check_own(scene.vault)


def test_a_lockfile_needs_no_model(vault: Vault) -> None:
    osv.import_database(vault, ADMIN, Source())
    found = osv.check_lockfile(vault, LOCK, "requirements.txt")
    assert {one.place.path for one in found} == {"requirements.txt"}


def test_no_holes_without_a_database_to_find_them_in(vault: Vault) -> None:
    with pytest.raises(InvalidError, match="no database"):
        osv.vulnerabilities_of(vault, DEPLOYER, TWO)

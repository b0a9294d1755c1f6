"""What was revoked stays so: after restores, under wrong clocks, on hosts that are cut off."""

import ssl
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from strongroom.adapters.identity.crl import MAX_REVOKED
from strongroom.adapters.marks.local import LocalMarks
from strongroom.adapters.marks.memory import MemoryMarks
from strongroom.errors import DeniedError, InvalidError, OutageError, RejectedError
from strongroom.flows import layout
from strongroom.flows.catalog import sync_catalog
from strongroom.flows.identity import add_identity
from strongroom.flows.publish import publish
from strongroom.flows.release import release
from strongroom.flows.revocations import Lookout, issue_list, read_list, require_unlisted
from strongroom.flows.revoke import (
    find_signing_key,
    revoke_grant,
    revoke_identity,
    revoke_key,
    revoke_model,
    revoke_version,
    signed_by,
)
from strongroom.flows.serving import Served, still_served
from strongroom.flows.vault import read_authority
from strongroom.ports import Marks, RevokedSerial
from strongroom.values import ModelId, State
from tests.flows.scene import (
    ADMIN,
    CONSUMER,
    DEPLOYER,
    ONE,
    OPERATOR,
    OWNER,
    REVIEWER,
    TWO,
    Scene,
    furnished,
)

DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
MAX_AGE_S = 3600


def _listed(scene: Scene) -> Any:
    found = read_list(scene.vault)
    assert found is not None
    return found


def _host(scene: Scene) -> Lookout:
    """A host as it starts to serve."""
    scene.vault.marks = scene.vault.marks or MemoryMarks()
    return Lookout(scene.vault, OPERATOR, MAX_AGE_S)


class _Cut:
    """A port that is out of reach while ``cut``."""

    def __init__(self, port: Any, *methods: str) -> None:
        self._port, self._methods, self.cut = port, methods, True

    def __getattr__(self, name: str) -> Any:
        if self.cut and name in self._methods:
            raise OutageError("out of reach")
        return getattr(self._port, name)


class TestTheList:
    def test_says_all_that_is_revoked(self) -> None:
        scene = furnished()
        (held,) = [one for one in scene.authority.grants.values() if one.grant.principal == REVIEWER]
        revoke_version(scene.vault, OWNER, ONE, "leaked")
        revoke_identity(scene.vault, ADMIN, CONSUMER, "left")
        revoke_grant(scene.vault, ADMIN, held.grant.id, "over")
        revoke_key(scene.vault, ADMIN, "signing", "lost")
        listed = _listed(scene)
        assert (listed.models, listed.grants) == ({str(ONE)}, {held.grant.id})
        assert [one.name for one in listed.identities] == [CONSUMER]
        assert [one.key_id for one in listed.keys] == [scene.authority.key_history.keys[0].public.key_id]
        assert listed.log_size == scene.authority.size == listed.issue.number

    def test_is_put_right_by_whoever_revokes_again(self) -> None:
        scene = furnished()
        store = _Cut(scene.blobs, "replace")
        scene.vault.blobs = store  # type: ignore[assignment]
        with pytest.raises(OutageError, match="is revoked, log record"):
            revoke_version(scene.vault, OWNER, ONE, "leaked")
        assert scene.authority.versions[ONE].state is State.REVOKED
        store.cut = False
        with pytest.raises(InvalidError, match="is revoked already"):
            revoke_version(scene.vault, OWNER, ONE, "leaked")
        assert _listed(scene).names(ONE)

    def test_is_put_right_by_whoever_serves(self) -> None:
        scene = furnished()
        revoke_version(scene.vault, OWNER, ONE, "leaked")
        for damage in (b"", b"{}", None):
            if damage is None:
                del scene.blobs.objects[layout.REVOCATIONS]
            else:
                scene.blobs.objects[layout.REVOCATIONS] = damage
            _host(scene).begin()
            assert _listed(scene).names(ONE)

    def test_an_old_one_put_back_is_replaced_and_never_believed(self) -> None:
        scene = furnished()
        issue_list(scene.vault, ADMIN)
        old = scene.blobs.objects[layout.REVOCATIONS]
        host = _host(scene)
        host.begin()
        revoke_version(scene.vault, OWNER, ONE, "leaked")
        scene.clock.pass_time(MINUTE)
        host.look()
        scene.blobs.objects[layout.REVOCATIONS] = old
        scene.clock.pass_time(MINUTE)
        host.look()
        assert _listed(scene).names(ONE)

    def test_a_higher_number_in_it_is_a_log_that_was_rolled_back(self) -> None:
        """Restored: log, catalog and home of before; the store is another service's and was not."""
        scene = furnished()
        before = scene.copy()
        revoke_version(scene.vault, OWNER, ONE, "leaked")
        for name in (layout.REVOCATIONS, layout.CRL):
            before.blobs.objects[name] = scene.blobs.objects[name]
        assert before.authority.versions[ONE].state is State.APPROVED
        with pytest.raises(RejectedError, match="cut or rolled back"):
            release(before.vault, OPERATOR, ONE)
        # Those refusals are records: the older log has grown, and is no better for it.
        for _ in range(3):
            for act in (_host(before).begin, lambda: issue_list(before.vault, ADMIN)):
                with pytest.raises(RejectedError, match="rolled back"):
                    act()
        with pytest.raises(RejectedError, match="rolled back and went on"):
            release(before.vault, OPERATOR, ONE)
        assert before.blobs.objects[layout.REVOCATIONS] == scene.blobs.objects[layout.REVOCATIONS]

    def test_a_host_that_has_seen_more_than_its_log_holds_now(self) -> None:
        scene = furnished()
        before = scene.copy()
        revoke_version(scene.vault, OWNER, ONE, "leaked")
        _host(scene).begin()
        before.vault.marks = scene.vault.marks
        with pytest.raises(RejectedError, match="cut or rolled back"):
            _host(before).begin()
        for number in range(9):
            add_identity(before.vault, ADMIN, f"person-{number}", 7)
        with pytest.raises(RejectedError, match="rolled back and went on"):
            _host(before).begin()


class TestNothingRevokedLoads:
    def test_after_the_catalog_was_restored(self) -> None:
        scene = furnished()
        before = scene.copy().records
        revoke_version(scene.vault, OWNER, ONE, "leaked")
        scene.records._versions = before._versions
        with pytest.raises(RejectedError, match="is revoked"):
            release(scene.reopened(), OPERATOR, ONE)
        sync_catalog(scene.vault)
        assert scene.records.versions()[0].state is State.REVOKED

    @pytest.mark.parametrize("moved", [-DAY, DAY])
    def test_whatever_the_clock_says(self, moved: timedelta) -> None:
        scene = furnished()
        revoke_version(scene.vault, OWNER, ONE, "leaked")
        revoke_identity(scene.vault, ADMIN, OPERATOR, "left")
        scene.clock.advance(moved)
        with pytest.raises(DeniedError, match="identity-revoked"):
            release(scene.reopened(afresh=True), OPERATOR, ONE)
        with pytest.raises(RejectedError, match="is revoked"):
            require_unlisted(scene.vault, ONE)

    def test_nor_any_version_of_a_family(self) -> None:
        scene = furnished()
        scene.publish(TWO)
        revoke_model(scene.vault, OWNER, "fraud", "all of it")
        assert {known.state for known in scene.authority.versions.values()} == {State.REVOKED}
        with pytest.raises(InvalidError, match="is revoked, and so is its name"):
            scene.publish(ModelId.parse("fraud@3.0.0"))
        with pytest.raises(InvalidError, match="is revoked already"):
            revoke_model(scene.vault, OWNER, "fraud", "again")


class TestSigningKeys:
    def _served(self, scene: Scene) -> Served:
        return Served.choose(scene.vault, scene.authority, str(ONE))

    def test_retired_what_it_signed_stands_and_it_signs_nothing(self) -> None:
        scene = furnished()
        served = self._served(scene)
        revoke_key(scene.vault, ADMIN, "signing", "a new one is due")
        assert still_served(scene.authority, served)
        assert scene.plaintext(ONE) == scene.published[ONE]
        with pytest.raises(RejectedError, match="holds no signing key"):
            publish(scene.vault, scene.offer(TWO))

    def test_compromised_at_all(self) -> None:
        scene = furnished()
        served = self._served(scene)
        key_id = find_signing_key(scene.vault, scene.authority, "signing").public.key_id
        revoke_key(scene.vault, ADMIN, key_id[:12], "stolen", compromised=True)
        assert not still_served(scene.authority, served)
        with pytest.raises(RejectedError, match="was revoked at"):
            release(scene.vault, OPERATOR, ONE)
        assert signed_by(scene.authority, key_id, scene.authority.versions[ONE].published_at) == [ONE]

    @pytest.mark.parametrize(("before", "loads"), [(MINUTE, False), (-MINUTE, True)])
    def test_compromised_since(self, before: timedelta, loads: bool) -> None:
        scene = furnished()
        scene.clock.advance(HOUR)
        since = scene.authority.versions[ONE].published_at - before
        revoke_key(scene.vault, ADMIN, "signing", "stolen", compromised=True, since=since)
        assert still_served(scene.authority, self._served(scene) if loads else self._unread()) is loads

    def _unread(self) -> Served:
        scene = furnished()
        return self._served(scene)

    def test_wrong_calls(self) -> None:
        scene = furnished()
        now = scene.clock.now()
        for key in ("", "ab", "0" * 64, "file:kek/fraud"):
            with pytest.raises(InvalidError, match="no such signing key"):
                revoke_key(scene.vault, ADMIN, key, "lost")
        with pytest.raises(InvalidError, match="compromised"):
            revoke_key(scene.vault, ADMIN, "signing", "lost", since=now)
        with pytest.raises(InvalidError, match="past time"):
            revoke_key(scene.vault, ADMIN, "signing", "lost", compromised=True, since=now + DAY)
        with pytest.raises(DeniedError):
            revoke_key(scene.vault, DEPLOYER, "signing", "lost")
        assert _issues(scene) == 0


def _issues(scene: Scene) -> int:
    return sum(1 for event in scene.events if event.action == "issue-revocations")


class TestAHostThatIsCutOff:
    """`Lookout`, with every port that it could refresh the list through out of reach."""

    def _cut_off(self) -> tuple[Scene, Lookout, _Cut]:
        scene = furnished()
        host = _host(scene)
        host.begin()
        log = _Cut(scene.log, "append")
        scene.vault.log = log  # type: ignore[assignment]
        return scene, host, log

    def _stale_after(self, scene: Scene, host: Lookout, step: timedelta = MINUTE) -> int:
        for minutes in range(1, 180):
            scene.clock.pass_time(step)
            with suppress(OutageError):
                host.look()
            if host.is_stale():
                return minutes
        raise AssertionError("never stops")

    def test_stops_at_the_maximal_age_and_goes_on_when_it_can(self) -> None:
        scene, host, log = self._cut_off()
        assert self._stale_after(scene, host) == 61
        log.cut = False
        scene.clock.pass_time(MINUTE)
        host.look()
        assert not host.is_stale()

    @pytest.mark.parametrize("moved", [-DAY, -HOUR])
    def test_a_clock_set_back_gains_nothing(self, moved: timedelta) -> None:
        scene, host, _ = self._cut_off()
        scene.clock.pass_time(30 * MINUTE)
        scene.clock.advance(moved)
        assert self._stale_after(scene, host) == 31

    def test_a_clock_that_stands_still_gains_nothing(self) -> None:
        scene, host, _ = self._cut_off()
        scene.clock.elapsed += 2 * HOUR
        assert host.is_stale()

    def test_a_clock_set_ahead_and_back_gains_nothing(self) -> None:
        """Set ahead while the list can be issued: the new one is dated tomorrow, and ends in an hour."""
        scene, host, log = self._cut_off()
        log.cut = False
        scene.clock.advance(DAY)
        scene.clock.pass_time(timedelta(seconds=10))
        host.look()
        assert not host.is_stale()
        log.cut = True
        scene.clock.advance(-DAY)
        assert self._stale_after(scene, host) == 61

    @pytest.mark.parametrize("moved", [-DAY, timedelta()])
    def test_a_restart_gains_nothing(self, moved: timedelta) -> None:
        scene, host, _ = self._cut_off()
        scene.clock.pass_time(50 * MINUTE)
        with pytest.raises(OutageError):
            host.look()
        scene.clock.advance(moved)
        again = _host(scene)
        assert self._stale_after(scene, again) == 11

    def test_nor_does_a_reboot_with_a_clock_that_is_behind(self) -> None:
        scene, host, _ = self._cut_off()
        scene.clock.pass_time(MINUTE)
        host.look()
        scene.clock.boot, scene.clock.elapsed = "second", timedelta()
        scene.clock.advance(-HOUR)
        with pytest.raises(OutageError):
            _host(scene).begin()

    def test_a_reboot_with_a_good_clock_goes_on(self) -> None:
        scene, _, _ = self._cut_off()
        scene.clock.boot, scene.clock.elapsed = "second", timedelta()
        scene.clock.advance(MINUTE)
        host = _host(scene)
        host.begin()
        assert not host.is_stale()

    def test_a_copy_of_the_log_that_stands_still_is_noticed(self) -> None:
        """It can be read all the time, and says that nothing is revoked."""
        scene, host, _ = self._cut_off()
        assert read_authority(scene.vault).versions[ONE].state is State.APPROVED
        assert self._stale_after(scene, host) == 61

    def test_its_own_bound_holds_where_it_is_less(self) -> None:
        scene = furnished()
        scene.vault.marks = MemoryMarks()
        strict = Lookout(scene.vault, OPERATOR, 60)
        strict.begin()
        scene.vault.log = _Cut(scene.log, "append")  # type: ignore[assignment]
        scene.clock.pass_time(2 * MINUTE)
        assert strict.is_stale()

    def test_a_damaged_mark_is_no_fresh_start(self) -> None:
        scene, _, _ = self._cut_off()
        assert isinstance(scene.vault.marks, MemoryMarks)
        scene.vault.marks.held["revocations"] = b"{}"
        with pytest.raises(RejectedError, match="damaged"):
            _host(scene)

    def test_lists_are_issued_no_more_often_than_needed(self) -> None:
        scene = furnished()
        host = _host(scene)
        host.begin()
        for _ in range(120):
            scene.clock.pass_time(MINUTE)
            host.look()
        assert 4 <= _issues(scene) <= 7


class TestTheCrl:
    def test_names_every_certificate_of_who_is_revoked_and_nobody_else_s(self) -> None:
        scene = furnished()
        revoke_identity(scene.vault, ADMIN, CONSUMER, "left")
        crl = x509.load_pem_x509_crl(scene.blobs.objects[layout.CRL])
        ca = x509.load_pem_x509_certificate(scene.vault.trust_root.ca_pem)
        assert crl.is_signature_valid(ca.public_key())  # type: ignore[arg-type]
        assert crl.issuer == ca.subject
        serials = {f"{one.serial_number:x}" for one in crl}
        assert serials == {one.serial for one in scene.authority.identities[CONSUMER].credentials}
        number = crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
        assert number == _listed(scene).issue.number
        assert crl.next_update_utc is not None
        assert crl.next_update_utc - _listed(scene).issue.issued_at <= timedelta(seconds=MAX_AGE_S)

    def test_is_one_that_stock_tls_takes(self, tmp_path: Path) -> None:
        scene = furnished()
        issue_list(scene.vault, ADMIN)
        path = tmp_path / "crl.pem"
        path.write_bytes(scene.blobs.objects[layout.CRL] + scene.vault.trust_root.ca_pem)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
        context.load_verify_locations(path)
        assert context.cert_store_stats()["crl"] == 1

    def test_bounds(self) -> None:
        scene = furnished()
        now = scene.clock.now()
        many = [RevokedSerial(1, now)] * (MAX_REVOKED + 1)
        for revoked, number, end in ((many, 1, now + HOUR), ([], 0, now + HOUR), ([], 1, now - HOUR)):
            with pytest.raises(InvalidError):
                scene.vault.require_ca().build_crl(revoked, number, now, end)


@pytest.fixture(params=["memory", "local"])
def marks(request: pytest.FixtureRequest, tmp_path: Path) -> Marks:
    return MemoryMarks() if request.param == "memory" else LocalMarks(tmp_path / "marks")


class TestMarks:
    def test_the_last_word_stays(self, marks: Marks) -> None:
        assert marks.read("seen") is None
        for data in (b"one", b"two"):
            marks.write("seen", data)
            assert marks.read("seen") == data

    @pytest.mark.parametrize("name", ["", "../x", "A", "a/b", "a" * 64, "a\n"])
    def test_other_names_and_sizes_are_refused(self, marks: Marks, name: str) -> None:
        with pytest.raises(InvalidError):
            marks.write(name, b"")
        with pytest.raises(InvalidError):
            marks.read(name)
        with pytest.raises(InvalidError):
            marks.write("seen", bytes(2**17))

    def test_links_pipes_and_giants_are_not_read(self, tmp_path: Path) -> None:
        import os

        folder = tmp_path / "marks"
        folder.mkdir()
        (folder / "link").symlink_to("/etc/hostname")
        os.mkfifo(folder / "pipe")
        (folder / "giant").write_bytes(bytes(2**17))
        for name in ("link", "pipe", "giant"):
            with pytest.raises((RejectedError, OutageError)):
                LocalMarks(folder).read(name)

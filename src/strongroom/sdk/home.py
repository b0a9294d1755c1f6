"""One home, with the verbs of the command line as methods; the command line is written on this."""

import os
import ssl
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Self, TypeVar

import orjson

from strongroom.adapters.sources.address import is_address
from strongroom.adapters.sources.pinned import PinnedSource
from strongroom.adapters.vulnerabilities.download import download, is_url
from strongroom.adapters.vulnerabilities.sources import open_source
from strongroom.errors import DeniedError, InvalidError, StrongroomError, shorten
from strongroom.flows import approve as approving
from strongroom.flows import audit, identity, inventory, osv, revoke
from strongroom.flows import bom as billing
from strongroom.flows import doctor as doctoring
from strongroom.flows import grant as granting
from strongroom.flows import publish as publishing
from strongroom.flows import quarantine as quarantining
from strongroom.flows import rescan as rescanning
from strongroom.flows import review as reviewing
from strongroom.flows import waive as waiving
from strongroom.flows.convert import Conversion, witness
from strongroom.flows.establish import Founder
from strongroom.flows.evidence import complete_receipt, verify_evidence
from strongroom.flows.listing import orphans
from strongroom.flows.release import verify as verify_version
from strongroom.flows.requests import RequestRecord, read_requests
from strongroom.flows.retire import retire
from strongroom.flows.rotate_policy import record_overdue
from strongroom.flows.unsealing import Progress
from strongroom.flows.vault import Vault, identity_key_in_force, moment, read_authority
from strongroom.ports import BomFormat, ModelSource, Trials
from strongroom.scan.bill import Bill
from strongroom.scan.dependencies import dependencies_to_json
from strongroom.scan.differences import Difference
from strongroom.scan.lockfiles import MAX_LOCKFILE_BYTES, Lockfile, parse_lockfile
from strongroom.scan.scan import Match
from strongroom.sdk import converting, running
from strongroom.sdk.client import DEFAULT_URL, Client, Prediction, memory_file
from strongroom.sdk.fetching import open_source as open_offered
from strongroom.settings import Settings, find_home, read_settings
from strongroom.trust.authority import GrantRecord, Identity
from strongroom.trust.grants import Grant
from strongroom.trust.keyring import TrustRoot
from strongroom.trust.policy import Decision
from strongroom.trust.receipt import ReceiptFacts
from strongroom.trust.rotation import key_ages
from strongroom.trust.standing import QuarantineRecord
from strongroom.trust.statement import SealStatement
from strongroom.values import Action, Digest, ModelId, Role, parse_principal
from strongroom.wiring import CA_CERTIFICATE, TRUST_ROOT, create_home, open_home

_Result = TypeVar("_Result")
Passphrase = str | Callable[[], str] | None
MAX_JSON_FILE_BYTES = 64 * 2**20
MAX_RECORD_FILE_BYTES = 2**20
DEFAULT_GRANT_REASON = "given with strongroom identity add"


class Strongroom:
    """A home and who acts in it. The keystore is opened when a verb first needs it.

    ``home``: default ``$STRONGROOM_HOME`` or ``~/.strongroom``. ``acting``: an identity of that home; default
    the one in its settings. ``passphrase``: of the keystore, or a function that asks for it. ``ask``: asks
    for a secret of another custody that no file holds, such as the PIN of a token, by that name.
    """

    def __init__(
        self,
        home: str | Path | None = None,
        *,
        acting: str | None = None,
        passphrase: Passphrase = None,
        ask: Callable[[str], str] | None = None,
    ) -> None:
        """Raises InvalidError if there is no home, or its settings are wrong."""
        self.home = find_home(Path(home) if home is not None else None)
        self.settings: Settings = read_settings(self.home)
        self.acting = parse_principal(acting or self.settings.identity or "")
        self._passphrase = passphrase
        self._ask = ask
        self._locked: Vault | None = None
        self._unlocked: Vault | None = None

    @classmethod
    def init(
        cls,
        home: str | Path | None = None,
        *,
        passphrase: str,
        founder: str = "admin",
        insecure_solo: bool = False,
        certificate_days: int = Settings().identities.certificate_days,
    ) -> Self:
        """Make a new home: keystore, CA, signing key, log and the first identity.

        Raises:
            InvalidError: something is there already, or the passphrase is too weak.
        """
        where = find_home(Path(home) if home is not None else None)
        create_home(where, passphrase, Founder(founder, certificate_days, insecure_solo))
        return cls(where, acting=founder, passphrase=passphrase)

    @property
    def vault(self) -> Vault:
        """The home's ports; locked until a verb has needed the keystore."""
        if self._unlocked is not None:
            return self._unlocked
        if self._locked is None:
            self._locked = open_home(self.home)
        return self._locked

    def unlock(self) -> Vault:
        """Open the keystore. Raises DeniedError: there is no passphrase, or it is wrong."""
        if self._unlocked is None:
            secret = self._passphrase() if callable(self._passphrase) else self._passphrase
            if secret is None:
                raise DeniedError(
                    "keystore: needs its passphrase", hint="use --passphrase-file or --passphrase-fd"
                )
            self._unlocked = open_home(self.home, secret, ask=self._ask)
        return self._unlocked

    # -- models ----------------------------------------------------------------------------------------

    def publish(
        self,
        path: str | Path,
        model: str,
        *,
        owner: str,
        schema: dict[str, Any] | None = None,
        dependencies: dict[str, Any] | str | Path | None = None,
        allow_older: bool = False,
        only: Sequence[str] = (),
        convert: bool = False,
        conversion: str | Path | None = None,
        progress: Progress | None = None,
        dry_run: bool = False,
    ) -> publishing.Published:
        """Seal, inspect, sign and catalogue a file, a folder, or what an address pins; see `flows.publish`.

        ``path``: also ``git+https:…``, ``git:folder@commit``, ``hf:…`` or ``oci:…`` (docs/provenance.md),
        of which ``only`` files that one of these patterns fits are taken.
        ``dependencies``: names and versions, or a lockfile (docs/bom.md). ``convert``: it is an original,
        converted first without writing anything. ``conversion``: the record of an earlier conversion.
        """
        vault = self.unlock()
        vault.trials = _find_trials(self.settings)
        evidence = read_file(Path(conversion), MAX_RECORD_FILE_BYTES) if conversion is not None else None
        source: ModelSource
        provenance, promised = None, {}
        if convert and is_address(str(path)):
            raise InvalidError("publish: what is converted is a file of this machine")
        if convert:
            made = self.convert(path, model, dry_run=dry_run)
            evidence, source = made.evidence, converting.to_source(made)
        else:
            source = opened = open_offered(path, only, self.settings.sources, self.home)
            if isinstance(opened, PinnedSource):
                provenance, promised = opened.provenance, opened.promised
        try:
            offer = publishing.Offer(
                ModelId.parse(model),
                owner,
                self.acting,
                source,
                schema,
                declare_dependencies(dependencies),
                allow_older,
                conversion=evidence,
                provenance=provenance,
                promised=promised,
            )
            return publishing.publish(vault, offer, progress, dry_run=dry_run)
        finally:
            source.close()

    def publish_quarantined(
        self,
        ticket: str,
        *,
        owner: str | None = None,
        schema: dict[str, Any] | None = None,
        dependencies: dict[str, Any] | str | Path | None = None,
        allow_older: bool = False,
        progress: Progress | None = None,
        dry_run: bool = False,
    ) -> publishing.Published:
        """Hand over again what is in quarantine, as it was; what is waived by now no longer refuses it."""
        vault = self.unlock()
        vault.trials = _find_trials(self.settings)
        kept = quarantining.show_quarantined(vault, self.acting, ticket)
        with quarantining.quarantined_source(vault, kept) as source:
            offer = publishing.Offer(
                kept.record.model,
                owner or kept.owner,
                self.acting,
                source,
                schema,
                declare_dependencies(dependencies),
                allow_older,
                kept.record.manifest,
                provenance=kept.provenance,
            )
            return publishing.publish(vault, offer, progress, dry_run=dry_run)

    def quarantined(self) -> Sequence[QuarantineRecord]:
        """What was refused or doubted and the acting identity may read, oldest first."""
        return quarantining.list_quarantined(self.vault, self.acting)

    def show_quarantined(self, ticket: str) -> quarantining.Kept:
        """An upload in quarantine, with its report."""
        return self._reading(lambda vault: quarantining.show_quarantined(vault, self.acting, ticket))

    def waive(
        self,
        ticket: str,
        finding: str,
        reason: str,
        *,
        lasts: timedelta = waiving.DEFAULT_DURATION,
        dry_run: bool = False,
    ) -> int:
        """Let one finding pass in somebody else's upload, for these bytes only; returns the log index."""
        return waiving.waive(self.unlock(), self.acting, ticket, finding, reason, lasts, dry_run=dry_run)

    def rescan(self, model: str) -> rescanning.Rescanned:
        """Judge a published version by today's rules."""
        return rescanning.rescan(self.unlock(), self.acting, ModelId.parse(model))

    def versions_to_rescan(self, *, outdated: bool = False) -> Sequence[ModelId]:
        """Versions that may be served; with ``outdated`` those that other rules judged."""
        return rescanning.versions_to_rescan(self.vault, outdated=outdated)

    def review(self, model: str, *, against: str | None = None) -> reviewing.Review:
        """What to look at before approving: the version, and what differs from an earlier one."""
        other = ModelId.parse(against) if against is not None else None
        return reviewing.review(self.unlock(), self.acting, ModelId.parse(model), other)

    def convert(self, path: str | Path, model: str, *, dry_run: bool = False, **options: Any) -> Conversion:
        """Convert a file for one version, and sign and log what was measured; see `sdk.converting`.

        ``options`` are those of `sdk.converting.convert_file`.
        """
        options.setdefault("name", f"{Path(path).stem or 'model'}.onnx")
        made = converting.convert_file(path, required_layers=self.settings.sandbox.require, **options)
        return made if dry_run else witness(self.unlock(), self.acting, ModelId.parse(model), made)

    def approve(
        self, model: str, reason: str = "", *, reviewed: str | None = None, dry_run: bool = False
    ) -> int:
        """Stand for exactly the published bytes, of digest ``reviewed`` if given; returns the log index."""
        digest = Digest.parse(reviewed) if reviewed is not None else None
        return approving.approve(
            self.unlock(), self.acting, ModelId.parse(model), reason, reviewed=digest, dry_run=dry_run
        )

    def retire(self, model: str, reason: str, *, dry_run: bool = False) -> int:
        """Take a version out of service."""
        return retire(self.unlock(), self.acting, ModelId.parse(model), reason, dry_run=dry_run)

    def revoke(self, model: str, reason: str, *, dry_run: bool = False) -> int:
        """End a version for good, or a family with all its versions; gateways stop it within seconds."""
        vault = self.unlock()
        if "@" not in model:
            return revoke.revoke_model(vault, self.acting, model, reason, dry_run=dry_run)
        return revoke.revoke_version(vault, self.acting, ModelId.parse(model), reason, dry_run=dry_run)

    def list(self, family: str | None = None) -> list[inventory.Listed]:
        """The versions that the acting identity may see."""
        return inventory.list_versions(self.vault, self.acting, family)

    def show(self, model: str) -> inventory.Shown:
        """Statement, schema, files and approvals of one version."""
        return self._reading(lambda vault: inventory.show_version(vault, self.acting, ModelId.parse(model)))

    def verify(self, model: str, *, full: bool = False, progress: Progress | None = None) -> SealStatement:
        """Check a stored version; ``full`` also decrypts and compares every SHA-256."""
        return verify_version(self.unlock(), self.acting, ModelId.parse(model), full=full, progress=progress)

    # -- what models are made of -----------------------------------------------------------------------

    def bom(self, model: str, *, signed: bool = False, vulnerabilities: bool = False) -> bytes:
        """The bill of materials of a version, CycloneDX JSON; ``signed``: in an envelope, by this home.

        ``vulnerabilities``: with what the vulnerability database knows today, which nobody signs.
        """
        wanted = ModelId.parse(model)
        if signed and vulnerabilities:
            raise InvalidError("bom: what is known today is not signed", hint="ask for one of the two")
        if signed:
            return billing.sign_bom(self.unlock(), self.acting, wanted, _bom_format())
        return self._reading(lambda vault: self._bom(vault, wanted, vulnerabilities))

    def _bom(self, vault: Vault, model: ModelId, vulnerabilities: bool) -> bytes:
        known = osv.vulnerabilities_of(vault, self.acting, model) if vulnerabilities else None
        return billing.bom(vault, self.acting, model, _bom_format(), known)

    def bill(self, model: str) -> Bill:
        """What a bill of materials is written from."""
        return billing.build_bill(self.show(model))

    def bom_diff(self, model: str, lockfile: str | Path | None = None) -> Sequence[Difference]:
        """In what this machine, or the one that a lockfile describes, is not what was declared."""
        given = read_lockfile(Path(lockfile)) if lockfile is not None else None
        wanted = ModelId.parse(model)
        return self._reading(lambda vault: billing.diff_bom(vault, self.acting, wanted, given))

    def verify_bom(self, path: str | Path) -> billing.VerifiedBom:
        """Check a bill of materials against the keys and versions of this home."""
        data = read_file(Path(path), MAX_JSON_FILE_BYTES)
        return self._reading(lambda vault: billing.verify_bom(vault, self.acting, data, _bom_format()))

    def osv_import(
        self,
        source: str | Path,
        *,
        digest: str | None = None,
        allow_older: bool = False,
        insecure_http: bool = False,
        dry_run: bool = False,
    ) -> osv.Imported:
        """Replace the vulnerability database by a file, a folder, or what an https address gives."""
        vault = self.unlock()
        expected = Digest.parse(digest).hex if digest is not None else None
        opened = (
            download(str(source), self.home, expected, insecure_http=insecure_http)
            if is_url(str(source))
            else open_source(Path(source), expected)
        )
        try:
            return osv.import_database(vault, self.acting, opened, allow_older=allow_older, dry_run=dry_run)
        finally:
            opened.close()

    def osv_status(self) -> osv.DatabaseStatus | None:
        """What the vulnerability database holds and how old it is; None if there is none."""
        return osv.database_status(self.vault)

    def check_dependencies(
        self, model: str | None = None, *, lockfile: str | Path | None = None
    ) -> Sequence[Match]:
        """What is known against a version's packages, a lockfile's, or, without either, Strongroom's own."""
        if model is not None and lockfile is not None:
            raise InvalidError("osv: give a model or a lockfile, not both")
        if lockfile is not None:
            given = read_lockfile(Path(lockfile))
            return osv.check_lockfile(self.vault, given, Path(lockfile).name)
        if model is None:
            return osv.check_own(self.vault)
        wanted = ModelId.parse(model)
        return self._reading(lambda vault: osv.check_version(vault, self.acting, wanted))

    # -- people ----------------------------------------------------------------------------------------

    def add_identity(
        self,
        name: str,
        *,
        roles: tuple[str, ...] = (),
        resource: str = "*",
        days: int | None = None,
        dry_run: bool = False,
    ) -> int:
        """Create an identity and grant it ``roles`` on ``resource``; returns the log index."""
        wanted = [parse_role(role) for role in roles]
        vault = self.unlock()
        index = identity.add_identity(
            vault, self.acting, name, days or self.settings.identities.certificate_days, dry_run=dry_run
        )
        for role in wanted if not dry_run else []:
            self.grant(name, role, resource, reason=DEFAULT_GRANT_REASON)
        return index

    def renew_identity(self, name: str, *, days: int | None = None, dry_run: bool = False) -> int:
        """Issue the next certificate for ``name``."""
        lifetime = days or self.settings.identities.certificate_days
        return identity.renew_identity(self.unlock(), self.acting, name, lifetime, dry_run=dry_run)

    def revoke_identity(self, name: str, reason: str, *, dry_run: bool = False) -> int:
        """End ``name`` for good."""
        return revoke.revoke_identity(self.unlock(), self.acting, name, reason, dry_run=dry_run)

    def identities(self) -> Sequence[Identity]:
        return tuple(read_authority(self.vault).identities.values())

    def export_identity(self, name: str, folder: str | Path) -> Sequence[Path]:
        """Write certificate, key and CA of ``name`` as PEM files for stock clients; returns their paths.

        ``trust.json`` beside them checks receipts and bills of materials where there is no home. The key file
        is readable by this user only and unencrypted: it is as good as the identity itself.

        Raises:
            InvalidError: no such identity, or one of the files exists.
        """
        target = Path(folder)
        paths = [target / f"{name}.pem", target / f"{name}.key", target / CA_CERTIFICATE, target / TRUST_ROOT]
        for path in paths:
            if path.exists():
                raise InvalidError(f"{path}: exists already", hint="choose another folder")
        try:
            # Before the record: what cannot be written is not handed out.
            target.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise InvalidError(f"{target}: {(error.strerror or 'cannot be made').lower()}") from None
        given = identity.export_identity(self.unlock(), self.acting, name)
        keys = read_authority(self.vault).key_history
        root = replace(self.vault.trust_root, signing_keys=keys).to_bytes()
        contents = (given.certificate_pem, given.key_pem, given.ca_pem, root)
        for path, content in zip(paths, contents, strict=True):
            _write_private(path, content)
        return paths

    def grant(
        self,
        principal: str,
        role: str,
        resource: str = "*",
        *,
        duration: timedelta | None = None,
        reason: str,
        dry_run: bool = False,
    ) -> Grant:
        """Give a role with an end."""
        lasting = duration or timedelta(days=self.settings.identities.grant_days)
        wish = granting.Wish(principal, parse_role(role), resource, lasting, reason)
        return granting.grant(self.unlock(), self.acting, wish, dry_run=dry_run)

    def revoke_grant(self, grant_id: str, reason: str, *, dry_run: bool = False) -> int:
        """End a grant before its time."""
        return revoke.revoke_grant(self.unlock(), self.acting, grant_id, reason, dry_run=dry_run)

    def revoke_key(
        self,
        key: str,
        reason: str,
        *,
        compromised: bool = False,
        since: datetime | None = None,
        dry_run: bool = False,
    ) -> int:
        """End a signing key; ``compromised``: what it signed does not count either, or not since then."""
        vault = self.unlock()
        return revoke.revoke_key(
            vault, self.acting, key, reason, compromised=compromised, since=since, dry_run=dry_run
        )

    def grants(self, principal: str | None = None) -> Sequence[GrantRecord]:
        """All grants ever made, or those of one principal."""
        records = read_authority(self.vault).grants.values()
        return [record for record in records if principal in (None, record.grant.principal)]

    def now(self) -> datetime:
        """The time by which grants are judged: never before the newest record."""
        return moment(self.vault, read_authority(self.vault))

    def can(self, principal: str, action: str, resource: str = "*") -> Decision:
        """Whether ``principal`` may now, and the rule that decides."""
        return granting.can(self.vault, principal, parse_action(action), resource)

    # -- the log ---------------------------------------------------------------------------------------

    def log(
        self, *, first: int = 0, last: int | None = None, only: dict[str, str] | None = None
    ) -> Iterator[audit.LogRecord]:
        """Verified records, oldest first."""
        return self._reading(
            lambda vault: audit.read_log(vault, self.acting, first=first, last=last, only=only)
        )

    def requests(self, only: dict[str, str] | None = None) -> Iterator[RequestRecord]:
        """What the gateways decided, request by request."""
        return self._reading(lambda vault: read_requests(vault, self.acting, only))

    def verify_log(self, exported: bytes | None = None) -> audit.AuditedLog:
        """Check the whole log and its journals offline; names the first bad record.

        With a passphrase at hand the log must be that of the keystore; without, that of trust.json.
        """
        return audit.verify_whole_log(self._anchored(), exported)

    def prove(self, index: int) -> audit.Proof:
        """Inclusion proof of one record."""
        return self._reading(lambda vault: audit.prove(vault, self.acting, index))

    def complete_receipt(self, evidence: dict[str, Any]) -> dict[str, Any]:
        """Add the proof that the log holds an answer's record, once its batch is folded."""
        return complete_receipt(self.vault, evidence)

    # -- serving ---------------------------------------------------------------------------------------

    def client(self, url: str | None = None, model: str | None = None) -> Client:
        """A client that calls as the acting identity; its key goes from the keystore into memory only.

        Without ``url`` it calls what this home serves here, preferably the server of ``model``.
        """
        vault = self.unlock()
        known = self._require_identity(vault, self.acting)
        if not known.valid_credentials(moment(vault, read_authority(vault))):
            raise DeniedError(
                f"{self.acting}: certificate has expired", hint=f"strongroom identity renew {self.acting}"
            )
        key = vault.require_tls_keys().private_pem(identity_key_in_force(read_authority(vault), self.acting))
        # The CA that the keystore vouches for, not ca.pem, which whoever writes the home can replace.
        ca, ca_descriptor = memory_file(vault.trust_root.ca_pem)
        path, descriptor = memory_file(known.certificate_pem.encode() + key)
        try:
            return Client(url or self._own_url(model), ca=ca, certificate=path)
        finally:
            os.close(ca_descriptor)
            os.close(descriptor)

    def predict(
        self, model: str, rows: Sequence[Any], *, url: str | None = None, receipt: bool = False
    ) -> Prediction:
        """Predict over the network as the acting identity."""
        with self.client(url, model) as client:
            return client.predict(model, rows, receipt=receipt)

    def status(self) -> dict[str, Any]:
        """What there is and what runs, as one JSON object."""
        authority = read_authority(self.vault)
        choices = self.settings.insecure_choices()
        if authority.solo:
            choices.append("one person publishes and approves (init --insecure-solo)")
        return {
            "home": str(self.home),
            "identity": self.acting,
            "trust_domain": authority.trust_domain,
            "log_records": authority.size,
            "versions": doctoring.count_states(authority),
            "unmanaged": len(authority.unmanaged),
            "orphaned": {
                family: f"{owner} is {status}"
                for family, (owner, status) in orphans(authority, moment(self.vault, authority)).items()
            },
            "rotation_overdue": {
                age.name: f"{age.due:%Y-%m-%d}"
                for age in key_ages(
                    authority, self.settings.keys.rotation.policy, moment(self.vault, authority)
                )
                if age.overdue
            },
            "identities": sum(1 for one in authority.identities.values() if not one.revoked),
            "serving": [asdict(one) for one in running.find_running(self.home)],
            "insecure_choices": choices,
            "openssl": ssl.OPENSSL_VERSION,
        }

    def doctor(self) -> Sequence[doctoring.Check]:
        """Everything a careful operator would look at."""
        vault, policy = self._anchored(), self.settings.keys.rotation.policy
        if vault.signers is not None:
            with suppress(StrongroomError):  # `doctor` names what is wrong with the log
                record_overdue(vault, self.acting, policy)
        return doctoring.examine(vault, self.home, self.settings.insecure_choices(), policy)

    def _anchored(self) -> Vault:
        """The vault, opened if that needs no question: only a keystore cannot be put there by a stranger."""
        return self.unlock() if isinstance(self._passphrase, str) else self.vault

    def _reading(self, act: Callable[[Vault], _Result]) -> _Result:
        """Read without the keystore; only a denial opens it, if that needs no question, to be recorded."""
        try:
            return act(self.vault)
        except DeniedError:
            if self._unlocked is None and isinstance(self._passphrase, str):
                return act(self.unlock())
            raise

    def _own_url(self, model: str | None) -> str:
        here = running.find_running(self.home)
        if not here:
            return DEFAULT_URL
        wanted = [one for one in here if any(model in (name, name.partition("@")[0]) for name in one.models)]
        chosen = (wanted or here)[0]
        return f"https://{chosen.name}:{chosen.port}"

    @staticmethod
    def _require_identity(vault: Vault, name: str) -> Identity:
        known = read_authority(vault).identities.get(name)
        if known is None:
            raise InvalidError(f"{shorten(name)}: no such identity", hint="see: strongroom identity list")
        if known.revoked:
            raise DeniedError(f"{name}: is revoked")
        return known


def _find_trials(settings: Settings) -> Trials | None:
    """A sandbox where this system has one: serving needs Linux and the extra ``serve``."""
    try:
        from strongroom.serve.supervisor.trial import SandboxTrial
    except ImportError:
        return None
    return SandboxTrial(settings.sandbox.require) if sys.platform == "linux" else None


def verify_receipt(
    evidence: str | Path | dict[str, Any], trust_root: str | Path | None = None
) -> ReceiptFacts:
    """Check an answer's receipt offline, with public keys only.

    ``trust_root``: the ``trust.json`` of the home that served; default that of the default home.

    Raises:
        RejectedError: the receipt, the request or the answer is not what was signed.
    """
    if not isinstance(evidence, dict):
        evidence = read_json(Path(evidence))
    path = Path(trust_root) if trust_root is not None else find_home(None) / TRUST_ROOT
    return verify_evidence(evidence, TrustRoot.parse(read_file(path, MAX_JSON_FILE_BYTES)))


def verify_bom(path: str | Path, trust_root: str | Path) -> billing.VerifiedBom:
    """Check a signed bill of materials offline, with the ``trust.json`` of the home that signed it.

    Raises:
        RejectedError: it is not signed, a signature does not hold, or it fits no schema.
    """
    data = read_file(Path(path), MAX_JSON_FILE_BYTES)
    root = TrustRoot.parse(read_file(Path(trust_root), MAX_JSON_FILE_BYTES))
    return billing.verify_foreign_bom(data, root.signing_keys, _bom_format())


def declare_dependencies(given: dict[str, Any] | str | Path | None) -> dict[str, Any] | None:
    """Return the form for the signed statement of names and versions, or of a lockfile.

    Raises:
        InvalidError: it is no list of packages.
    """
    if given is None:
        return None
    if not isinstance(given, dict):
        return dependencies_to_json(read_lockfile(Path(given)).dependencies)
    return dependencies_to_json(parse_lockfile(orjson.dumps(given)).dependencies) if given else None


def read_lockfile(path: Path) -> Lockfile:
    """Return the packages that a lockfile names. Raises InvalidError."""
    return parse_lockfile(read_file(path, MAX_LOCKFILE_BYTES), path.name)


def _bom_format() -> BomFormat:
    """Loaded when it is first asked for: its schemas and their checker are many modules."""
    from strongroom.adapters.bom.cyclonedx import CycloneDx

    return CycloneDx()


def read_json(path: Path) -> Any:
    """Return the JSON in a file. Raises InvalidError: missing, too large, or not JSON."""
    try:
        return orjson.loads(read_file(path, MAX_JSON_FILE_BYTES))
    except orjson.JSONDecodeError as error:
        raise InvalidError(f"{path}: is not JSON: {shorten(error)}") from None


def parse_role(text: str) -> Role:
    try:
        return Role(text)
    except ValueError:
        raise InvalidError(f"role: {shorten(text)} is not one of {', '.join(Role)}") from None


def parse_action(text: str) -> Action:
    try:
        return Action(text)
    except ValueError:
        raise InvalidError(f"action: {shorten(text)} is not one of {', '.join(Action)}") from None


def read_file(path: Path, limit: int) -> bytes:
    """Return a file's content. Raises InvalidError: missing, not readable, or larger than ``limit``."""
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise InvalidError(f"{path}: {(error.strerror or 'cannot be read').lower()}") from None
    if len(data) > limit:
        raise InvalidError(f"{path}: larger than {limit} bytes")
    return data


def _write_private(path: Path, content: bytes) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise InvalidError(f"{path}: exists already") from None
    except OSError as error:
        raise InvalidError(f"{path}: {(error.strerror or 'cannot be written').lower()}") from None
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)

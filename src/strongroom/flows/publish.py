"""Publish: a model file or folder becomes a sealed, inspected, signed version that waits for approval.

What is inspected is the sealed object read back, never the source a second time, so that nobody can show the
inspection one file and seal another.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from strongroom.artifact.inspect import Inspection, inspect
from strongroom.artifact.manifest import Entry, Manifest
from strongroom.artifact.stream import seal
from strongroom.errors import (
    DeniedError,
    InvalidError,
    OutageError,
    RejectedError,
    StrongroomError,
    shorten,
)
from strongroom.flows import layout
from strongroom.flows.catalog import sync_catalog
from strongroom.flows.convert import require_conversion
from strongroom.flows.dependencies import declare
from strongroom.flows.drafts import Draft, drop_draft, drop_published, find_draft, keep_draft, send_draft
from strongroom.flows.keyfile import WrappedKey, data_key_context
from strongroom.flows.quarantine import Refused, keep
from strongroom.flows.unsealing import Progress, readable, unseal_entries
from strongroom.flows.vault import (
    CONTROL_LOCK,
    Vault,
    bind_family_key,
    build_event,
    moment,
    read_authority,
    record,
    require_permission,
    signing_signer,
)
from strongroom.guard.schema import Schema
from strongroom.ports import BlobStore, ModelSource, Trial
from strongroom.scan.place import Place
from strongroom.scan.rule import RULES_VERSION
from strongroom.scan.scan import Match
from strongroom.scan.unread import NOT_PUBLISHABLE
from strongroom.scan.upload import Report, Verdict, scan_upload
from strongroom.trust.authority import Authority
from strongroom.trust.dsse import Envelope
from strongroom.trust.oms import build_bundle
from strongroom.trust.provenance import Provenance
from strongroom.trust.statement import SealStatement, sign_statement
from strongroom.trust.waivers import Waiver
from strongroom.values import (
    Action,
    Digest,
    Finding,
    ModelId,
    SealedEntry,
    Severity,
    format_time,
    parse_principal,
)

DATA_KEY_BYTES = 32
SALT_BYTES = 32
MAX_MODEL_BYTES = 2**40


@dataclass(frozen=True, slots=True)
class Published:
    """What `publish` made."""

    model: ModelId
    digest: Digest
    format: str
    size_bytes: int
    files: int
    schema: Schema | None
    findings: tuple[str, ...]
    log_index: int


@dataclass(frozen=True, slots=True)
class Offer:
    """What is handed over, and by whom."""

    model: ModelId
    owner: str
    publisher: str
    source: ModelSource
    schema: dict[str, Any] | None = None
    """None: taken from the model itself."""
    dependencies: dict[str, Any] | None = None
    allow_older: bool = False
    """Permit a version lower than the highest published one."""
    expected: Digest | None = None
    """Manifest that the source must have: of what is handed over again from quarantine."""
    conversion: bytes | None = None
    """The record of the conversion that the model came out of (docs/formats/conversion.md)."""
    provenance: Provenance | None = None
    """Where ``source`` fetches it from; None: it was handed over from this machine."""
    promised: Mapping[str, Digest] = field(default_factory=dict)
    """SHA-256 that files must have, by path: what that place says of them."""


@dataclass(frozen=True, slots=True)
class _Judged:
    """What the scan, the inspection and the trial made of what was sealed."""

    inspection: Inspection
    schema: Schema | None
    waived: tuple[Waiver, ...]
    """Of findings that would have refused it otherwise."""
    conversion: dict[str, Any] | None = None

    def summary(self) -> dict[str, Any]:
        """The form for the signed statement."""
        waived = [
            {"finding": one.finding, "rule": one.rule, "by": one.by, "end": format_time(one.end)}
            for one in self.waived
        ]
        summary = {**self.inspection.summary(), "rules": RULES_VERSION, "waived": waived}
        return summary if self.conversion is None else {**summary, "conversion": self.conversion}


def publish(
    vault: Vault, offer: Offer, progress: Progress | None = None, *, dry_run: bool = False
) -> Published:
    """Seal, inspect, sign and catalogue one version; durable and visible on return, or not there at all.

    Raises:
        DeniedError: the publisher may not.
        InvalidError: the version exists, is older than another, or the schema does not fit the model.
        RejectedError: the format is not an inert one, or the scan refuses or doubts it; it is not a version,
            and is kept sealed in quarantine.
        OutageError: a disk is full or silent; nothing is visible.
    """
    parse_principal(offer.owner)
    authority = read_authority(vault)
    # (1) permission and a free name, before any byte is read
    decision = require_permission(
        vault,
        authority,
        offer.publisher,
        Action.PUBLISH,
        str(offer.model),
        exists=offer.model in authority.versions,
        hint="versions never change; publish the next one" if offer.model in authority.versions else None,
    )
    with vault.locks.hold(f"publish-{offer.model.family}"):
        authority = read_authority(vault)
        _require_new(authority, offer)
        authority.require_owner(offer.model, offer.owner, moment(vault, authority))
        try:
            # (2) one pass over the source: hash, encrypt, write
            data_key, sealed = _hand_over(vault, offer, decision.rule, progress, dry_run=dry_run)
            _require_promised(read_authority(vault), offer, sealed)
            if offer.expected not in (None, _manifest(sealed).digest):
                raise RejectedError(f"{offer.model}: is not what was kept in quarantine")
            # (3) scan, inspection and trial of exactly what was sealed
            judged = _judge(vault, offer, sealed, data_key, decision.rule, dry_run=dry_run)
            judged = _with_conversion(vault, offer, sealed, judged)
            if dry_run:
                _sweep(vault, offer.model)
                return _published(offer, sealed, judged, log_index=-1)
            # (4) signature, statement and wrapped key beside the objects
            signed = _sign(vault, offer, sealed, judged, data_key, decision.rule)
        except StrongroomError as error:
            # What is on its way to a store that fell silent is gone on with by the next publish.
            if vault.transit is None or not isinstance(error, OutageError):
                with suppress(StrongroomError):
                    _sweep(vault, offer.model)
            _record_refusal(vault, offer, error)
            raise

        # (5) the record makes it published; the catalog follows
        def sign_again() -> tuple[SealStatement, bytes]:
            _unsign(vault, offer.model)
            return _sign(vault, offer, sealed, judged, data_key, decision.rule)

        return _commit(vault, offer, signed, sign_again, _published(offer, sealed, judged, -1))


def _require_new(authority: Authority, offer: Offer) -> None:
    model = offer.model
    known = [version for version in authority.versions if version.family == model.family]
    if model.family in authority.revoked_families:
        raise InvalidError(
            f"{model.family}: is revoked, and so is its name", hint="publish under another name"
        )
    if model in known:
        raise InvalidError(
            f"{model}: is published already and versions never change", hint="publish the next version"
        )
    clash = [str(other) for other in known if str(other).casefold() == str(model).casefold()]
    if clash:
        raise InvalidError(f"{model}: differs from {clash[0]} only in case")
    newer = [other for other in known if other.version > model.version]
    if newer and not offer.allow_older:
        raise InvalidError(
            f"{model}: is older than {max(newer)}", hint="to publish an older version use --allow-older"
        )


def _require_promised(authority: Authority, offer: Offer, sealed: Sequence[SealedEntry]) -> None:
    """What was sealed is what the place it came from promised, and what the inventory said of it."""
    for entry in sealed:
        if offer.promised.get(entry.path, entry.sha256) != entry.sha256:
            raise RejectedError(
                f"{offer.model}: {shorten(entry.path)}: is not what {offer.provenance} promised"
            )
    listed = authority.unmanaged.get(offer.model)
    known = {str(_manifest(sealed).digest), *(str(entry.sha256) for entry in sealed)}
    if listed is not None and listed.entry.digest and listed.entry.digest not in known:
        raise RejectedError(
            f"{offer.model}: the inventory lists other bytes, {listed.entry.digest}",
            hint=f"if the inventory is wrong: strongroom inventory remove {offer.model}",
        )


def _sweep(vault: Vault, model: ModelId, keep: Sequence[SealedEntry] = ()) -> None:
    """Remove what a publish of this never-published version left when it was cut off."""
    kept = {entry.object for entry in keep}
    for name in list(vault.blobs.list(layout.prefix(model))):
        if name not in kept:
            vault.blobs.delete(name)
    if vault.transit is not None and not keep:
        drop_draft(vault.transit, model)


def _hand_over(
    vault: Vault, offer: Offer, rule: str, progress: Progress | None, *, dry_run: bool
) -> tuple[bytes, tuple[SealedEntry, ...]]:
    """Return the data key and what lies sealed under it in the store, all that was left of before removed.

    Where the store is elsewhere, what a publish of the same files sealed before it was cut off goes on.
    """
    transit = vault.transit
    if transit is None:
        _sweep(vault, offer.model)
        data_key = vault.entropy.bytes(DATA_KEY_BYTES)
        return data_key, _seal_all(vault, vault.blobs, offer, data_key, progress)
    drop_published(vault, transit)
    draft = find_draft(vault, transit, offer.model, offer.source)
    if draft is None:
        _sweep(vault, offer.model)
        data_key = vault.entropy.bytes(DATA_KEY_BYTES)
        draft = Draft(_seal_all(vault, transit.spool, offer, data_key, progress), data_key)
        if not dry_run:
            keep_draft(vault, transit, offer.model, draft, offer.publisher, rule)
    _sweep(vault, offer.model, keep=draft.entries)
    send_draft(vault, transit, draft.entries)
    return draft.data_key, draft.entries


def _seal_all(
    vault: Vault, store: BlobStore, offer: Offer, data_key: bytes, progress: Progress | None
) -> tuple[SealedEntry, ...]:
    files = offer.source.files
    if sum(file.size for file in files) > MAX_MODEL_BYTES:
        raise InvalidError(f"{offer.model}: larger than {MAX_MODEL_BYTES} bytes")
    sealed = []
    for index, file in enumerate(files):
        name = layout.object_name(offer.model, index)
        writer = store.create(name, file.size)
        try:
            entry = seal(
                file.read_into,
                writer.write_at,
                size=file.size,
                model=offer.model,
                path=file.path,
                object=name,
                salt=vault.entropy.bytes(SALT_BYTES),
                dek=data_key,
                progress=progress,
            )
            file.require_unchanged()
            writer.commit()
        finally:
            writer.discard()
        sealed.append(entry)
    return tuple(sealed)


def _manifest(sealed: Sequence[SealedEntry]) -> Manifest:
    return Manifest(tuple(Entry(entry.path, entry.size_bytes, entry.sha256) for entry in sealed))


def _judge(
    vault: Vault,
    offer: Offer,
    sealed: tuple[SealedEntry, ...],
    data_key: bytes,
    rule: str,
    *,
    dry_run: bool,
) -> _Judged:
    """Scan and inspect what was sealed, and try it; what is refused or doubted is kept in quarantine."""
    with readable(vault, offer.model, sealed, data_key) as entries:
        waivers = _waivers(vault, sealed)
        whole = scan_upload(entries)
        report = whole.without(waivers)
        try:
            inspection = inspect(entries)
            _require_accepted(offer.model, report)
        except RejectedError as error:
            if dry_run:
                raise
            report = _with_reason(report, error)
            refused = Refused(
                offer.model, offer.owner, offer.publisher, sealed, report, rule, offer.provenance
            )
            raise _kept(vault, refused, data_key, error) from None
    schema = _build_schema(offer, inspection)
    schema, findings = _try_out(vault, offer, sealed, inspection, schema, data_key)
    seen = (*(match.to_finding() for match in report.matches), *inspection.findings, *findings)
    used = tuple(waivers[each.fingerprint] for each in whole.matches if each.fingerprint in waivers)
    return _Judged(replace(inspection, findings=seen), schema, used)


def _with_conversion(vault: Vault, offer: Offer, sealed: Sequence[SealedEntry], judged: _Judged) -> _Judged:
    if offer.conversion is None:
        return judged
    told, findings = require_conversion(vault, offer.model, offer.conversion, sealed)
    inspection = replace(judged.inspection, findings=(*judged.inspection.findings, *findings))
    return replace(judged, inspection=inspection, conversion=told)


def _waivers(vault: Vault, sealed: Sequence[SealedEntry]) -> Mapping[str, Waiver]:
    authority = read_authority(vault)
    return authority.waivers_of(_manifest(sealed).digest, moment(vault, authority))


def _require_accepted(model: ModelId, report: Report) -> None:
    if report.verdict is Verdict.ACCEPTED:
        return
    worst = report.matches[0]
    raise RejectedError(f"{model}: {worst.place}: {worst.message}", hint=worst.fix or worst.rule.fix)


def _with_reason(report: Report, error: RejectedError) -> Report:
    """The report of what a scan lets pass and publishing does not says so too."""
    if report.verdict is not Verdict.ACCEPTED:
        return report
    path = report.files[0].path
    return report.with_matches([Match(NOT_PUBLISHABLE, Place(path), error.message, error.hint or "")])


def _kept(vault: Vault, refused: Refused, data_key: bytes, error: RejectedError) -> RejectedError:
    """Put it in quarantine; a store that has no room for it must not hide why it was refused."""
    try:
        kept = f"kept in quarantine: strongroom scan show {keep(vault, refused, data_key)}"
    except OutageError as outage:
        kept = f"not kept in quarantine ({outage.message})"
    return RejectedError(error.message, hint=f"{error.hint}; {kept}" if error.hint else kept)


def _build_schema(offer: Offer, inspection: Inspection) -> Schema | None:
    if offer.schema is not None:
        schema: Schema | None = Schema.parse(offer.schema)
    elif inspection.servable:
        schema = Schema.auto(inspection.inputs, inspection.outputs)
    else:
        schema = None
    if schema is not None and inspection.servable:
        schema.require_fits(inspection.inputs, inspection.outputs)
    return schema


def _try_out(
    vault: Vault,
    offer: Offer,
    sealed: Sequence[SealedEntry],
    inspection: Inspection,
    schema: Schema | None,
    data_key: bytes,
) -> tuple[Schema | None, tuple[Finding, ...]]:
    """Load the model in a sandbox, and join rows only if that showed them to be independent."""
    if schema is None:
        return None, ()
    trial = _run_trial(vault, offer, sealed, inspection, schema, data_key)
    if trial is None:
        untried = Finding(
            "model-not-tried",
            Severity.LOW,
            inspection.main,
            "not loaded in a sandbox: this machine has none",
            "publish where `strongroom doctor` finds a sandbox",
        )
        return (schema if offer.schema is not None else schema.without_batching()), (untried,)
    if not schema.by_rows or trial.independent_rows:
        return schema, ()
    if offer.schema is not None:
        if trial.independent_rows is None:
            return schema, ()
        raise InvalidError(
            f"{offer.model}: its rows influence each other, so batching by rows would mix callers",
            hint='say "batching": "none" in the schema',
        )
    mixing = trial.independent_rows is False
    alone = Finding(
        "rows-not-independent" if mixing else "rows-not-tried",
        Severity.LOW,
        inspection.main,
        "rows influence each other: requests are answered one by one"
        if mixing
        else "does not take random rows, so requests are answered one by one",
        "" if mixing else 'if rows are independent, publish with a schema that says "batching": "rows"',
    )
    return schema.without_batching(), (alone,)


def _run_trial(
    vault: Vault,
    offer: Offer,
    sealed: Sequence[SealedEntry],
    inspection: Inspection,
    schema: Schema,
    data_key: bytes,
) -> Trial | None:
    """None: this machine has no sandbox to try a model in."""
    if vault.trials is None:
        return None
    memories = unseal_entries(vault, offer.model, sealed, data_key)
    try:
        return vault.trials.run(str(offer.model), memories, inspection.main, schema)
    except OutageError:
        return None
    finally:
        for memory in memories.values():
            memory.close()


def _sign(
    vault: Vault,
    offer: Offer,
    sealed: tuple[SealedEntry, ...],
    judged: _Judged,
    data_key: bytes,
    rule: str,
) -> tuple[SealStatement, bytes]:
    inspection, schema = judged.inspection, judged.schema
    signer = signing_signer(vault, read_authority(vault))
    manifest = _manifest(sealed)
    bundle = build_bundle(_signed_name(sealed), [(entry.path, entry.sha256) for entry in sealed], signer)
    context = data_key_context(offer.model, manifest.digest)
    statement = SealStatement(
        model=str(offer.model),
        owner=offer.owner,
        format=str(inspection.format),
        main=inspection.main,
        schema=schema.to_dict() if schema else None,
        entries=sealed,
        manifest_digest=manifest.digest,
        dek_context=context.decode(),
        publisher=offer.publisher,
        created_at=moment(vault, read_authority(vault)),
        oms_digest=Digest.of(bundle),
        inspection=judged.summary(),
        dependencies=declare(vault, offer.dependencies, str(inspection.format)),
        provenance=offer.provenance,
    )
    envelope = sign_statement(statement, signer)
    keys = vault.require_keys()
    key = bind_family_key(vault, offer.publisher, offer.model.family, rule)
    keys.create(key)
    wrapped = WrappedKey(key, keys.wrap(key, data_key, context))
    vault.blobs.put_new(layout.signature_name(offer.model), bundle)
    vault.blobs.put_new(layout.statement_name(offer.model), envelope)
    vault.blobs.replace(layout.wrapped_key_name(offer.model), wrapped.to_bytes())
    return statement, envelope


def _signed_name(sealed: Sequence[SealedEntry]) -> str:
    return sealed[0].path if len(sealed) == 1 else "model"


def _unsign(vault: Vault, model: ModelId) -> None:
    for name in (layout.signature_name(model), layout.statement_name(model)):
        vault.blobs.delete(name)


def _commit(
    vault: Vault,
    offer: Offer,
    signed: tuple[SealStatement, bytes],
    sign_again: Callable[[], tuple[SealStatement, bytes]],
    published: Published,
) -> Published:
    with vault.locks.hold(CONTROL_LOCK):
        authority = read_authority(vault)
        statement, envelope = signed
        # A statement is judged by the key in force when it is recorded; that one may have been rotated since.
        in_force = signing_signer(vault, authority).key_id
        if {one.key_id for one in Envelope.parse(envelope).signatures} != {in_force}:
            statement, envelope = sign_again()
            authority = read_authority(vault)
        try:
            decision = require_permission(vault, authority, offer.publisher, Action.PUBLISH, str(offer.model))
        except DeniedError:
            _sweep(vault, offer.model)
            raise
        now = moment(vault, authority)
        # From here on nothing is swept: an append that seemed to fail may have been kept.
        index = record(
            vault,
            build_event(
                vault,
                now,
                offer.publisher,
                Action.PUBLISH,
                str(offer.model),
                rule=decision.rule,
                model=str(offer.model),
                manifest=str(statement.manifest_digest),
                statement=str(Digest.of(envelope)),
                owner=offer.owner,
                publisher=offer.publisher,
            ),
        )
    sync_catalog(vault)
    if vault.transit is not None:
        with suppress(OutageError):  # it is published; the next publish removes it
            drop_draft(vault.transit, offer.model)
    return replace(published, log_index=index)


def _record_refusal(vault: Vault, offer: Offer, error: StrongroomError) -> None:
    """A refused model is an event too; an outage while saying so must not hide the refusal itself."""
    verdict = "reject" if isinstance(error, RejectedError) else error.family
    with suppress(OutageError):
        now = moment(vault, read_authority(vault))
        record(
            vault,
            build_event(
                vault,
                now,
                offer.publisher,
                Action.PUBLISH,
                str(offer.model),
                verdict=verdict if verdict in ("reject", "outage") else "deny",
                reason=error.message[:500],
            ),
        )


def _published(
    offer: Offer,
    sealed: Sequence[SealedEntry],
    judged: _Judged,
    log_index: int,
) -> Published:
    return Published(
        model=offer.model,
        digest=_manifest(sealed).digest,
        format=str(judged.inspection.format),
        size_bytes=sum(entry.size_bytes for entry in sealed),
        files=len(sealed),
        schema=judged.schema,
        findings=tuple(finding.message for finding in judged.inspection.findings),
        log_index=log_index,
    )

"""The bill of materials of a version: derived from its signed statement, signed once more to be handed out.

Nothing in it is looked up elsewhere, so that it is signed with the model (docs/decisions/0007).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from strongroom import canonical
from strongroom.errors import InvalidError, RejectedError
from strongroom.flows.inventory import Shown, show_version
from strongroom.flows.vault import (
    Vault,
    build_event,
    moment,
    read_authority,
    record,
    require_permission,
    signing_signer,
)
from strongroom.ports import BomFormat
from strongroom.scan.bill import OWN_PACKAGE, Bill, BillFile, Runtime, describe_tensors
from strongroom.scan.dependencies import find_dependencies
from strongroom.scan.differences import Difference, Host, compare
from strongroom.scan.lockfiles import Lockfile
from strongroom.scan.vulnerabilities import Vulnerability
from strongroom.trust.dsse import MAX_ENVELOPE_BYTES, Envelope, sign_envelope, verify
from strongroom.trust.keyring import KeyHistory
from strongroom.trust.statement import PAYLOAD_TYPE, STATEMENT_TYPE
from strongroom.values import Action, Digest, ModelId

PREDICATE_TYPE = "https://cyclonedx.org/bom"
"""in-toto attestation framework, spec/predicates/cyclonedx.md."""
_PREFIX = "model:"


@dataclass(frozen=True, slots=True)
class VerifiedBom:
    """A bill that was given to us, and how far it is to be believed."""

    document: dict[str, Any]
    model: str | None
    """The version that it claims to be of, if it claims one of ours."""
    signed_by: tuple[str, ...]
    """Ids of the keys; none for a bare document, which is believed because it equals our own."""
    is_own: bool
    """Whether this home publishes that version and derives the same document from its statement."""


def build_bill(shown: Shown) -> Bill:
    """Return what a verified statement says."""
    statement, model = shown.statement, ModelId.parse(shown.statement.model)
    schema: Mapping[str, Any] = statement.schema or {}
    requires = statement.inspection.get("requires")
    return Bill(
        family=model.family,
        version=str(model.version),
        manifest=str(statement.manifest_digest),
        statement=str(shown.record.statement),
        owner=statement.owner,
        publisher=statement.publisher,
        created_at=statement.created_at,
        format=statement.format,
        main=statement.main,
        files=tuple(BillFile(one.path, one.size_bytes, one.sha256.hex) for one in statement.entries),
        inputs=describe_tensors(schema.get("inputs", ())),
        outputs=describe_tensors(schema.get("outputs", ())),
        requires=requires if isinstance(requires, dict) else {},
        dependencies=find_dependencies(statement.dependencies),
        runtime=_runtime(statement.dependencies),
    )


def bom(
    vault: Vault,
    actor: str,
    model: ModelId,
    written: BomFormat,
    vulnerabilities: Sequence[Vulnerability] | None = None,
) -> bytes:
    """Return the document. Raises as `show_version` does."""
    return written.build(build_bill(show_version(vault, actor, model)), vulnerabilities)


def sign_bom(vault: Vault, actor: str, model: ModelId, written: BomFormat) -> bytes:
    """Return the document as an in-toto attestation about the model's files, signed by this home.

    Raises:
        DeniedError: the actor may not verify the version, or the keystore is locked.
    """
    authority = read_authority(vault)
    shown = show_version(vault, actor, model)
    decision = require_permission(vault, authority, actor, Action.VERIFY, str(model))
    document = json.loads(written.build(build_bill(shown)))
    payload = canonical.encode(
        {
            "_type": STATEMENT_TYPE,
            "predicate": document,
            "predicateType": PREDICATE_TYPE,
            "subject": [
                {"digest": {"sha256": one.sha256.hex}, "name": one.path} for one in shown.statement.entries
            ],
        }
    )
    envelope = sign_envelope(PAYLOAD_TYPE, payload, signing_signer(vault, authority)).to_bytes()
    # The record comes before anybody has it.
    record(
        vault,
        build_event(
            vault,
            moment(vault, authority),
            actor,
            "sign-bom",
            str(model),
            rule=decision.rule,
            bom=str(Digest.of(envelope)),
            manifest=str(shown.record.manifest),
        ),
    )
    return envelope


def verify_bom(vault: Vault, actor: str, data: bytes, written: BomFormat) -> VerifiedBom:
    """Check a bill, signed or bare, against the keys and versions of this home.

    Raises:
        RejectedError: it fits no schema, a signature does not hold, it says something else of a version of
            this home than its statement does, or nothing vouches for it.
    """
    document, signers = _open(data, read_authority(vault).key_history, written)
    model = _find_model(document)
    derived = _derive(vault, actor, model, written)
    if derived is not None and derived != document:
        raise RejectedError(f"{model}: the bill differs from what was published, {_first(derived, document)}")
    if not signers and derived is None:
        raise RejectedError(
            "bom: is not signed, and not of a version of this home",
            hint="ask for it signed: strongroom bom show MODEL --signed",
        )
    return VerifiedBom(document, str(model) if model else None, signers, derived is not None)


def verify_foreign_bom(data: bytes, keys: KeyHistory, written: BomFormat) -> VerifiedBom:
    """Check a signed bill with the public keys of the home that signed it, and nothing else.

    Raises:
        RejectedError: it is not signed, a signature does not hold, or it fits no schema.
    """
    document, signers = _open(data, keys, written)
    if not signers:
        raise RejectedError("bom: is not signed")
    model = _find_model(document)
    return VerifiedBom(document, str(model) if model else None, signers, False)


def diff_bom(
    vault: Vault, actor: str, model: ModelId, lockfile: Lockfile | None = None
) -> tuple[Difference, ...]:
    """Return in what this machine, or the one that a lockfile describes, is not what was declared.

    Raises:
        InvalidError: this process cannot say what is installed.
    """
    bill = build_bill(show_version(vault, actor, model))
    packages = vault.packages
    expected = packages.closure(OWN_PACKAGE) if packages is not None else frozenset()
    if lockfile is not None:
        return compare(bill, Host({one.name: one.version for one in lockfile.dependencies}, expected))
    if packages is None:
        raise InvalidError("bom: what is installed here is not known", hint="give --lockfile FILE")
    return compare(bill, Host(packages.versions(), expected, packages.opsets() if bill.opsets else None))


def _runtime(declared: Mapping[str, Any]) -> tuple[Runtime, ...]:
    listed = declared.get("runtime")
    found = []
    for one in listed if isinstance(listed, list) else []:
        match one:
            case {"name": str(name), "version": str(version)}:
                found.append(Runtime(name, version))
    return tuple(found)


def _open(data: bytes, keys: KeyHistory, written: BomFormat) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the document, and who signed it if anybody did."""
    if len(data) > MAX_ENVELOPE_BYTES:
        raise RejectedError(f"bom: larger than {MAX_ENVELOPE_BYTES} bytes")
    if b'"payloadType"' not in data or b'"bomFormat"' in data:
        return written.require_valid(data), ()
    envelope = Envelope.parse(data.strip())
    publics = []
    for signature in envelope.signatures:
        key = keys.find(signature.key_id)
        if key is None:
            raise RejectedError(f"bom: key {signature.key_id[:16]} is not known here")
        if key.revoked_at is not None:
            raise RejectedError(f"bom: key {signature.key_id[:16]} was revoked")
        publics.append(key.public)
    statement = canonical.decode(verify(envelope, publics, PAYLOAD_TYPE))
    document = _predicate(statement)
    written.require_valid(json.dumps(document).encode())
    _require_subjects(statement["subject"], document)
    return document, tuple(signature.key_id for signature in envelope.signatures)


def _predicate(statement: Any) -> dict[str, Any]:
    match statement:
        case {
            "_type": str(kind),
            "predicate": dict(predicate),
            "predicateType": str(what),
            "subject": list(),
        } if len(statement) == 4 and (kind, what) == (STATEMENT_TYPE, PREDICATE_TYPE):
            return predicate
        case _:
            raise RejectedError("bom: what is signed is not a bill of materials")


def _require_subjects(subjects: list[Any], document: dict[str, Any]) -> None:
    """A bill that was signed about some files lists just these."""
    listed = sorted(
        (one.get("name"), digest.get("content"))
        for one in document.get("components", [])
        if one.get("type") == "file"
        for digest in one.get("hashes", [])
    )
    try:
        signed = sorted((one["name"], one["digest"]["sha256"]) for one in subjects)
    except (KeyError, TypeError):
        raise RejectedError("bom: what it was signed about cannot be read") from None
    if signed != listed:
        raise RejectedError("bom: was signed about other files than it lists")


def _find_model(document: dict[str, Any]) -> ModelId | None:
    try:
        reference = document["metadata"]["component"]["bom-ref"]
        return ModelId.parse(reference.removeprefix(_PREFIX)) if reference.startswith(_PREFIX) else None
    except (KeyError, TypeError, AttributeError, InvalidError):
        return None


def _derive(vault: Vault, actor: str, model: ModelId | None, written: BomFormat) -> dict[str, Any] | None:
    """Return what this home says of ``model``; None if it has no such version."""
    if model is None or model not in read_authority(vault).versions:
        return None
    derived: dict[str, Any] = json.loads(bom(vault, actor, model, written))
    return derived


def _first(derived: dict[str, Any], document: dict[str, Any]) -> str:
    """Name the first part that differs."""
    for key in sorted(derived.keys() | document.keys()):
        if derived.get(key) != document.get(key):
            return f"first in {key[:40]}"
    return "nowhere"

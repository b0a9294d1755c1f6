"""Approve: a second person stands for exactly these bytes."""

from strongroom.errors import InvalidError
from strongroom.flows.catalog import sync_catalog
from strongroom.flows.statement import require_statement_of
from strongroom.flows.vault import (
    CONTROL_LOCK,
    Vault,
    build_event,
    moment,
    read_authority,
    record,
    require_permission,
)
from strongroom.trust import dsse
from strongroom.trust.authority import APPROVAL_TYPE, build_approval
from strongroom.values import Action, Digest, ModelId, State, require_reason


def approve(
    vault: Vault,
    approver: str,
    model: ModelId,
    reason: str = "",
    *,
    reviewed: Digest | None = None,
    dry_run: bool = False,
) -> int:
    """Approve the bytes that ``model`` was published with; returns the log index.

    ``reviewed``: the manifest digest that the reviewer looked at; no other is approved.

    Raises:
        DeniedError: the approver may not, or published this version, or nobody owns it any more.
        InvalidError: no such version, or it is not waiting for approval.
        RejectedError: the stored statement is not the one that was published.
    """
    with vault.locks.hold(CONTROL_LOCK):
        authority = read_authority(vault)
        # (1) permission: a reviewer of this family, and not the one who published it
        known = authority.versions.get(model)
        decision = require_permission(
            vault,
            authority,
            approver,
            Action.APPROVE,
            str(model),
            publisher=known.publisher if known else None,
        )
        if known is None:
            raise InvalidError(f"{model}: no such version", hint="see: strongroom list")
        if reviewed not in (None, known.manifest):
            raise InvalidError(
                f"{model}: is {known.manifest}, not what was reviewed", hint=f"see: strongroom review {model}"
            )
        if known.state is not State.PUBLISHED:
            raise InvalidError(f"{model}: is {known.state}, not waiting for approval")
        authority.require_owner(model, known.owner, moment(vault, authority))
        # (2) what is approved is what was published, read and verified again now
        statement = require_statement_of(vault, authority, model)
        if dry_run:
            return -1
        # (3) the reviewer's own signature over the digest, then the record
        now = moment(vault, authority)
        approval = build_approval(model, statement.manifest_digest, known.statement, approver, now)
        envelope = dsse.sign_envelope(APPROVAL_TYPE, approval, vault.identity_signer(approver))
        index = record(
            vault,
            build_event(
                vault,
                now,
                approver,
                Action.APPROVE,
                str(model),
                rule=decision.rule,
                reason=require_reason(reason) if reason else "",
                model=str(model),
                manifest=str(statement.manifest_digest),
                statement=str(known.statement),
                envelope=envelope.to_bytes().decode(),
            ),
        )
    sync_catalog(vault)
    return index

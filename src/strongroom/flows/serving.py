"""What is served: which version a name stands for, and whether it still may be."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from strongroom.errors import InvalidError, RejectedError
from strongroom.flows.statement import require_statement_of, signers_of
from strongroom.flows.vault import (
    Vault,
    build_event,
    moment,
    read_authority,
    record,
    require_permission,
)
from strongroom.trust.authority import Authority
from strongroom.values import Action, ModelId, State, parse_family


@dataclass(frozen=True, slots=True)
class Served:
    """One version behind its family's name."""

    model: ModelId
    digest: str
    statement: str
    schema: dict[str, Any]
    signed: tuple[tuple[str, datetime], ...]
    """Which signing keys vouch for it, and when the log recorded that."""

    @classmethod
    def choose(cls, vault: Vault, authority: Authority, name: str) -> Self:
        """Return what ``name`` (``family`` or ``family@version``) stands for: the highest approved version.

        Raises:
            InvalidError: there is no such family or version.
            RejectedError: none is approved, or it cannot be served.
        """
        model = ModelId.parse(name) if "@" in name else _highest_approved(authority, parse_family(name))
        statement = require_statement_of(vault, authority, model)
        if statement.schema is None:
            raise RejectedError(
                f"{model}: {statement.format} cannot be served by this release", hint="serve an ONNX model"
            )
        known = authority.versions[model]
        signed = signers_of(vault, known)
        return cls(model, str(known.manifest), str(known.statement), statement.schema, signed)

    @property
    def family(self) -> str:
        return self.model.family

    def to_snapshot(self) -> dict[str, Any]:
        """The gateway's view: docs/formats/wire-frames.md."""
        return {
            "model": str(self.model),
            "digest": self.digest,
            "statement": self.statement,
            "schema": self.schema,
            "aliases": [self.family],
            "default": True,
        }


def _highest_approved(authority: Authority, family: str) -> ModelId:
    versions = {model: known for model, known in authority.versions.items() if model.family == family}
    if not versions:
        raise InvalidError(f"{family}: no such model", hint="see: strongroom list")
    approved = [model for model, known in versions.items() if known.state is State.APPROVED]
    if not approved:
        newest = max(versions)
        raise RejectedError(
            f"{family}: no version is approved; {newest} is {versions[newest].state}",
            hint=f"a second person runs: strongroom approve {newest}",
        )
    releases = [model for model in approved if not model.version.pre]
    return max(releases or approved)


def still_served(authority: Authority, served: Served) -> bool:
    """Whether the log still lets this version be served: it is not revoked, nor a key that vouches for it."""
    known = authority.versions.get(served.model)
    if known is None or known.state is not State.APPROVED or str(known.statement) != served.statement:
        return False
    try:
        for key_id, at in served.signed:
            authority.key_history.require_valid(key_id, at)
    except RejectedError:
        return False
    return True


def record_start(vault: Vault, actor: str, served: list[Served], insecure: list[str]) -> None:
    """Record that serving starts, and with which insecure choices (I10). Raises DeniedError."""
    authority = read_authority(vault)
    rules = [require_permission(vault, authority, actor, Action.SERVE, str(one.model)).rule for one in served]
    _record(vault, actor, served, "start", rules, insecure)


def record_suspension(vault: Vault, actor: str, served: Served, rule: str) -> None:
    """Record that serving stops because the actor lost the right to it."""
    now = moment(vault, read_authority(vault))
    record(
        vault,
        build_event(
            vault,
            now,
            actor,
            Action.SERVE,
            str(served.model),
            verdict="deny",
            rule=rule,
            reason="stop",
            manifest=served.digest,
        ),
    )


def record_stop(vault: Vault, actor: str, served: list[Served]) -> None:
    """Record that serving stops. That needs no right, or whoever lost theirs could not stop cleanly."""
    _record(vault, actor, served, "stop", ["stop"] * len(served), [])


def _record(
    vault: Vault, actor: str, served: list[Served], what: str, rules: list[str], insecure: list[str]
) -> None:
    now = moment(vault, read_authority(vault))
    events = [
        build_event(
            vault,
            now,
            actor,
            Action.SERVE,
            str(one.model),
            rule=rule,
            reason=what,
            manifest=one.digest,
            insecure=insecure,
        )
        for one, rule in zip(served, rules, strict=True)
    ]
    if events:
        record(vault, *events)

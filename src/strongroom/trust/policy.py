"""May this principal do this, now? The roles' Cedar policies over the grants in force."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from importlib import resources
from typing import Any

import cedarpy
import orjson

from strongroom.errors import DeniedError, InvalidError, shorten
from strongroom.trust.grants import EVERYTHING, Grant, active_grants, parse_resource
from strongroom.values import Action, Digest, parse_principal

NO_POLICY = "no-policy-allows"
"""The rule of a denial that no forbid decided: nothing permits what was asked."""
POLICY_FAILED = "policy-failed"
"""The rule of a denial because a policy could not be evaluated (I7)."""

_FILE = "roles.cedar"
_FLAGS = frozenset({"solo", "exists"})
_NAMES = frozenset({"publisher", "subject_principal"})
_ACTIONS = frozenset(action.value for action in Action)


@dataclass(frozen=True, slots=True)
class Request:
    """One question. ``resource`` None is what belongs to no family, as ``*``.

    ``context`` may say ``publisher`` (who published the version to approve), ``subject_principal`` (whose
    grant is being made or revoked), ``exists`` (the version to publish is there already) and ``solo``
    (from `authority.Authority.solo` and nowhere else); an empty name says nothing.
    """

    principal: str
    action: Action | str
    resource: str | None
    now: datetime
    grants: Iterable[Grant]
    context: Mapping[str, str | bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer, the ``@id`` of the policy that decided, and the grants that it rests on."""

    allowed: bool
    rule: str
    grant_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Rule:
    """What the log says of one policy: its name, its place in the file, the role that it speaks of."""

    position: int
    name: str
    role: str | None


@dataclass(frozen=True, slots=True)
class _Policies:
    parsed: cedarpy.PolicySet
    rules: Mapping[str, _Rule]
    version: str


def policy_version() -> str:
    """Return the digest of the policies in force, as it stands in records and snapshots."""
    return _policies().version


def decide(request: Request) -> Decision:
    """Answer ``request``. What is not permitted is denied, and so is what cannot be understood."""
    try:
        principal = parse_principal(request.principal)
        resource = parse_resource(request.resource or EVERYTHING)
        context = _context(request.context)
    except InvalidError:
        return Decision(False, NO_POLICY)
    if request.action not in _ACTIONS:
        return Decision(False, NO_POLICY)
    held = active_grants(request.grants, principal, resource, request.now)
    answer = cedarpy.is_authorized(
        {
            "principal": {"type": "User", "id": principal},
            "action": {"type": "Action", "id": str(request.action)},
            "resource": {"type": "Resource", "id": resource},
            "context": orjson.dumps(context).decode(),
        },
        _policies().parsed,
        _entities(principal, held),
    )
    return _read(answer, held)


def require_allowed(request: Request) -> Decision:
    """Return the decision that allows ``request``. Raises DeniedError, naming the rule, if none does."""
    decision = decide(request)
    if not decision.allowed:
        who, what = shorten(request.principal), shorten(request.action)
        raise DeniedError(
            f"{who} may not {what} {shorten(request.resource or EVERYTHING)}: {decision.rule}",
            hint="an admin can grant the role that may; see docs/roles.md",
        )
    return decision


def _context(given: Mapping[str, str | bool]) -> dict[str, Any]:
    """Return the context for Cedar; a word that no policy knows is refused, not passed over (I7)."""
    context: dict[str, Any] = {"solo": False, "exists": False}
    for name, value in given.items():
        if name in _FLAGS and isinstance(value, bool):
            context[name] = value
        elif name in _NAMES and isinstance(value, str):
            if value:
                context[name] = {"__entity": {"type": "User", "id": parse_principal(value)}}
        else:
            raise InvalidError(f"policy: {shorten(name)} is no context, or of the wrong kind")
    return context


def _entities(principal: str, held: Iterable[Grant]) -> str:
    """Return the one entity that policies look at: the principal, as a member of the roles held."""
    roles = [{"type": "Role", "id": role} for role in {grant.role.value for grant in held}]
    user = {"uid": {"type": "User", "id": principal}, "attrs": {}, "parents": roles}
    return orjson.dumps([user]).decode()


def _read(answer: cedarpy.AuthzResult, held: Iterable[Grant]) -> Decision:
    """Name the policy that decided: the first in the file, if several did."""
    if answer.diagnostics.errors:  # Cedar passes over a policy that fails, be it a forbid
        return Decision(False, POLICY_FAILED)
    known = _policies().rules
    decisive = sorted((known[name] for name in answer.diagnostics.reasons), key=lambda rule: rule.position)
    if not decisive:
        return Decision(False, NO_POLICY)
    rule = decisive[0]
    if not answer.allowed:
        return Decision(False, rule.name)
    return Decision(True, rule.name, tuple(grant.id for grant in held if grant.role == rule.role))


@cache
def _policies() -> _Policies:
    """Parse the shipped policies, once. A policy without a name of its own stops the start."""
    text = resources.files("strongroom.trust").joinpath(_FILE).read_text(encoding="utf-8")
    rules: dict[str, _Rule] = {}
    policies = orjson.loads(cedarpy.policies_to_json_str(text))["staticPolicies"]
    for key, policy in policies.items():
        name = policy.get("annotations", {}).get("id")
        if not name or name in {rule.name for rule in rules.values()}:
            raise InvalidError(f"{_FILE}: {key} has no @id of its own")
        role = policy["principal"].get("entity", {}).get("id")
        rules[key] = _Rule(int(key.removeprefix("policy")), name, role)
    return _Policies(cedarpy.PolicySet.from_str(text), rules, str(Digest.of(text.encode())))

"""Every role against every action, and every way to ask for what nobody may."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import cedarpy
import pytest

from strongroom.errors import DeniedError
from strongroom.trust import policy
from strongroom.trust.grants import Grant, build_grant_id
from strongroom.trust.policy import NO_POLICY, Decision, Request, decide, policy_version, require_allowed
from strongroom.values import Action, Role

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ROLES_PAGE = Path(__file__).parents[3] / "docs" / "roles.md"

O, D, R, P, U, C, A = (  # noqa: E741 (columns of the table below)
    Role.OWNER,
    Role.DEPLOYER,
    Role.REVIEWER,
    Role.OPERATOR,
    Role.AUDITOR,
    Role.CONSUMER,
    Role.ADMIN,
)
# Written by hand from the design, not from the policies: who may do what to something of somebody else's.
MATRIX: dict[Action, dict[Role, str]] = {
    Action.LIST: {
        O: "owner-reads-and-ends",
        D: "deployer-lists-and-verifies",
        R: "reviewer-reads",
        P: "operator-runs",
    },
    Action.READ: {O: "owner-reads-and-ends", R: "reviewer-reads"},
    Action.VERIFY: {
        O: "owner-reads-and-ends",
        D: "deployer-lists-and-verifies",
        R: "reviewer-reads",
        P: "operator-runs",
    },
    Action.PUBLISH: {D: "deployer-publishes"},
    Action.APPROVE: {R: "reviewer-approves"},
    Action.OWN: {O: "owner-hands-over", A: "admin-hands-over"},
    Action.REGISTER: {O: "owner-registers", D: "deployer-registers"},
    Action.WAIVE: {R: "reviewer-waives"},
    Action.RESCAN: {R: "reviewer-rescans", P: "operator-runs"},
    Action.SERVE: {P: "operator-runs"},
    Action.BACKUP: {P: "operator-keeps-copies", A: "admin-keeps-copies"},
    Action.RECOVER: {P: "operator-keeps-copies", A: "admin-keeps-copies"},
    Action.RESTORE: {A: "admin-keeps-copies"},
    Action.RETIRE: {O: "owner-reads-and-ends", P: "operator-runs"},
    Action.REVOKE: {O: "owner-reads-and-ends"},
    Action.REQUEST_SHRED: {O: "owner-asks-to-shred", A: "admin-asks-to-shred"},
    Action.SHRED: {A: "admin-shreds"},
    Action.DELETE: {},
    Action.PREDICT: {C: "consumer-predicts"},
    Action.METADATA: {C: "consumer-predicts"},
    Action.READ_LOG: {U: "auditor-reads-the-log"},
    Action.ADD_IDENTITY: {A: "admin-manages"},
    Action.RENEW_IDENTITY: {A: "admin-manages"},
    Action.REVOKE_IDENTITY: {A: "admin-manages"},
    Action.REVOKE_KEY: {A: "admin-revokes-keys"},
    Action.EXPORT_IDENTITY: {A: "admin-manages"},
    Action.GRANT: {A: "admin-manages-grants"},
    Action.REVOKE_GRANT: {A: "admin-manages-grants"},
    Action.ROTATE_KEY: {A: "admin-manages"},
    Action.CONFIGURE: {A: "admin-manages"},
}
DENIED_BY = {
    Action.DELETE: dict.fromkeys(Role, "nobody-deletes"),
    Action.PUBLISH: {R: "reviewer-never-uploads"},
}


def held(role: Role, resource: str = "fraud", principal: str = "alice", number: int = 1) -> Grant:
    return Grant(
        build_grant_id(number.to_bytes(16, "big")),
        principal,
        role,
        resource,
        NOW - timedelta(days=1),
        NOW + timedelta(days=1),
        "ticket 7",
        "root",
    )


def ask(
    action: Action | str,
    *grants: Grant,
    principal: str = "alice",
    resource: str | None = "fraud@1.0.0",
    now: datetime = NOW,
    **context: str | bool,
) -> Decision:
    return decide(Request(principal, action, resource, now, grants, context))


def test_the_matrix_asks_about_every_action() -> None:
    assert set(MATRIX) == set(Action)


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("action", Action)
def test_role_and_action(role: Role, action: Action) -> None:
    grant = held(role)
    answer = ask(action, grant, publisher="bob", subject_principal="bob")
    allowed_by = MATRIX[action].get(role)
    if allowed_by is not None:
        assert answer == Decision(True, allowed_by, (grant.id,))
    else:
        assert answer == Decision(False, DENIED_BY.get(action, {}).get(role, NO_POLICY))


def test_the_page_on_roles_shows_the_same_table() -> None:
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in ROLES_PAGE.read_text(encoding="utf-8").splitlines()
        if line.startswith("|")
    ]
    roles = [Role(name) for name in rows[0][1:]]
    shown = {
        Action(row[0].strip("`")): {
            role for role, cell in zip(roles, row[1:], strict=True) if cell.startswith("yes")
        }
        for row in rows[2:]
    }
    assert shown == {action: set(by_role) for action, by_role in MATRIX.items()}


def test_every_policy_has_a_name_of_its_own() -> None:
    names = [rule.name for rule in policy._policies().rules.values()]
    assert len(names) == len(set(names)) == 35
    assert NO_POLICY not in names


def test_the_version_names_the_policies() -> None:
    assert policy_version().startswith("sha256:")


def test_no_grant_means_no() -> None:
    assert ask(Action.LIST) == Decision(False, NO_POLICY)


def test_reviewer_who_is_also_deployer_does_not_upload() -> None:
    assert ask(Action.PUBLISH, held(D), held(R, number=2)) == Decision(False, "reviewer-never-uploads")


def test_reviewer_of_another_family_uploads_here() -> None:
    assert ask(Action.PUBLISH, held(D), held(R, "churn", number=2)).allowed


def test_deployer_does_not_overwrite() -> None:
    assert ask(Action.PUBLISH, held(D), exists=True) == Decision(False, "nobody-overwrites")


def test_all_roles_together_do_not_delete() -> None:
    grants = [held(role, "*", number=number) for number, role in enumerate(Role)]
    assert ask(Action.DELETE, *grants) == Decision(False, "nobody-deletes")
    assert ask(Action.DELETE, *grants, solo=True) == Decision(False, "nobody-deletes")


def test_nobody_approves_their_own() -> None:
    assert ask(Action.APPROVE, held(R), publisher="alice") == Decision(False, "nobody-approves-their-own")


@pytest.mark.parametrize("context", [{}, {"publisher": ""}])
def test_nobody_approves_what_nobody_is_known_to_have_published(context: dict[str, str]) -> None:
    assert ask(Action.APPROVE, held(R), **context) == Decision(False, NO_POLICY)
    assert not ask(Action.APPROVE, held(R), solo=True, **context).allowed


@pytest.mark.parametrize("action", [Action.GRANT, Action.REVOKE_GRANT])
def test_nobody_edits_their_own_grants(action: Action) -> None:
    assert ask(action, held(A), subject_principal="alice") == Decision(False, "nobody-edits-their-own-grants")
    assert ask(action, held(A)) == Decision(False, NO_POLICY)


def test_one_person_alone_is_named_as_such() -> None:
    deployer, reviewer, admin = held(D), held(R, number=2), held(A, number=3)
    everything = (deployer, reviewer, admin)
    assert ask(Action.PUBLISH, *everything, solo=True) == Decision(
        True, "solo-reviewer-publishes", (deployer.id,)
    )
    assert ask(Action.APPROVE, *everything, publisher="alice", solo=True) == Decision(
        True, "solo-approves-own", (reviewer.id,)
    )
    assert ask(Action.GRANT, *everything, subject_principal="alice", solo=True) == Decision(
        True, "solo-edits-own-grants", (admin.id,)
    )


def test_solo_gives_no_role() -> None:
    assert not ask(Action.APPROVE, held(D), publisher="alice", solo=True).allowed
    assert not ask(Action.PUBLISH, held(R), solo=True).allowed


def test_solo_changes_nothing_between_two_people() -> None:
    assert ask(Action.APPROVE, held(R), publisher="bob", solo=True).rule == "reviewer-approves"


def test_the_decision_names_the_grants_it_rests_on() -> None:
    family, everything, other = held(D), held(D, "*", number=2), held(U, number=3)
    assert ask(Action.PUBLISH, family, everything, other).grant_ids == (family.id, everything.id)


@pytest.mark.parametrize(
    "action",
    [
        "", "*", "Publish", "PUBLISH", "publish ", "pub", "admin", "list\x00", "lіst", "ｌｉｓｔ",
        'list" || true || "',
    ],
)  # fmt: skip
def test_unknown_action(action: str) -> None:
    grants = [held(role, "*", number=number) for number, role in enumerate(Role)]
    assert ask(action, *grants) == Decision(False, NO_POLICY)


@pytest.mark.parametrize(
    "principal",
    [
        "",
        "*",
        "Alice",
        "ALICE",
        "alice ",
        " alice",
        "alicе",
        "alıce",
        "alice\n",
        "alice\x00",
        'a" , "',
        "ali",
    ],
)
def test_principal_tricks(principal: str) -> None:
    assert ask(Action.PUBLISH, held(D), principal=principal) == Decision(False, NO_POLICY)


@pytest.mark.parametrize(
    "resource",
    [
        "fraud2@1.0.0", "fraud2", "frau", "frau@1.0.0", "Fraud@1.0.0", "FRAUD", "frаud@1.0.0", "fraud@*",
        "fraud@", "@1.0.0", "fraud@1.0", "fraud@v1.0.0", "fraud@01.0.0", "fraud@1.0.0@1.0.0", "fraud/1.0.0",
        "fraud ", "fraud\x00", "fraud-@1.0.0", None, "*", "",
    ],
)  # fmt: skip
def test_resource_tricks(resource: str | None) -> None:
    assert ask(Action.PUBLISH, held(D), resource=resource) == Decision(False, NO_POLICY)


def test_prefix_confusion_the_other_way_round() -> None:
    assert not ask(Action.PUBLISH, held(D, "fraud2"), resource="fraud@1.0.0").allowed
    assert not ask(Action.PREDICT, held(C, "fraud@1.0.0"), resource="fraud@1.0.0-rc.1").allowed
    assert not ask(Action.PREDICT, held(C, "fraud@1.0.0"), resource="fraud").allowed


def test_grants_of_somebody_else() -> None:
    assert not ask(Action.PUBLISH, held(D, principal="alice2")).allowed


@pytest.mark.parametrize(
    "context",
    [
        {"is_admin": True}, {"publisher": "Alice"}, {"publisher": "*"}, {"solo": "yes"}, {"solo": 1},
        {"exists": ""}, {"publisher": True},
    ],
)  # fmt: skip
def test_context_that_is_not_understood(context: dict[str, str | bool]) -> None:
    assert ask(Action.PUBLISH, held(D), **context) == Decision(False, NO_POLICY)


def test_a_forbid_that_fails_denies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cedar itself passes over a policy that cannot be evaluated."""
    text = (
        '@id("yes") permit (principal, action, resource);'
        '@id("no") forbid (principal, action, resource) when { context.gone };'
    )
    rules = {"policy0": policy._Rule(0, "yes", None), "policy1": policy._Rule(1, "no", None)}
    broken = policy._Policies(cedarpy.PolicySet.from_str(text), rules, "")
    monkeypatch.setattr(policy, "_policies", lambda: broken)
    assert ask(Action.LIST, held(O)) == Decision(False, policy.POLICY_FAILED)


def test_require_allowed_returns_the_proof_or_names_the_rule() -> None:
    asked = Request("alice", Action.PUBLISH, "fraud@1.0.0", NOW, [held(D)])
    assert require_allowed(asked).rule == "deployer-publishes"
    with pytest.raises(DeniedError, match="nobody-deletes"):
        require_allowed(Request("alice", Action.DELETE, "fraud@1.0.0", NOW, [held(D)]))


def test_policies_hold_together_under_a_schema() -> None:
    """Types are checked by Cedar itself: no misspelt role, action or attribute is in the file."""
    actions = ", ".join(f'"{action}"' for action in Action)
    roles = ", ".join(f'"{role}"' for role in Role)
    schema = (
        f"entity Role enum [{roles}]; entity User in [Role]; entity Resource;"
        f"action {actions} appliesTo {{ principal: User, resource: Resource, context: "
        "{ solo: Bool, exists: Bool, publisher?: User, subject_principal?: User } };"
    )
    text = Path(policy.__file__).with_name("roles.cedar").read_text(encoding="utf-8")
    result = cedarpy.validate_policies(text, schema)
    assert result.validation_passed, [str(error) for error in result.errors]

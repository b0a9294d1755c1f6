"""Whether an S3 bucket is public, and whether it encrypts."""

from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from strongroom.adapters.blobs.bucket import Posture
from strongroom.adapters.blobs.patience import SilentError
from strongroom.adapters.blobs.place import Place
from strongroom.adapters.blobs.s3_client import code_of, refusals
from strongroom.errors import OutageError

_EVERYBODY = frozenset(
    {
        "http://acs.amazonaws.com/groups/global/AllUsers",
        "http://acs.amazonaws.com/groups/global/AuthenticatedUsers",
    }
)
_ABSENT = frozenset(
    {
        "NoSuchPublicAccessBlockConfiguration",
        "NoSuchBucketPolicy",
        "ServerSideEncryptionConfigurationNotFoundError",
    }
)


def look(client: Any, place: Place, sse: str | None) -> Posture:
    """Ask for public access block, policy status, access list and default encryption.

    What may not be asked stays unknown; a store that does not answer is an outage.
    """
    blocked = _ask(client, place, "get_public_access_block")
    block = blocked.get("PublicAccessBlockConfiguration", {}) if blocked else {}
    ignores_lists = bool(block.get("IgnorePublicAcls"))
    ignores_policy = bool(block.get("RestrictPublicBuckets"))
    public: bool | None = False
    reasons: list[str] = []
    if not ignores_policy:
        status = _ask(client, place, "get_bucket_policy_status")
        public = _judge(public, reasons, status, _is_open, "its policy")
    if not ignores_lists:
        access = _ask(client, place, "get_bucket_acl")
        public = _judge(public, reasons, access, _is_granted, "its access list")
    encrypted, how = _encryption(_ask(client, place, "get_bucket_encryption"), sse)
    return Posture(public, encrypted, "; ".join([*reasons, *([how] if how else [])]))


def _judge(
    public: bool | None,
    reasons: list[str],
    found: dict[str, Any] | None,
    is_public: Callable[[dict[str, Any]], bool],
    what: str,
) -> bool | None:
    """Public if anything makes it so; else unknown if anything could not be looked up."""
    if found is None:
        reasons.append(f"{what} may not be read")
        return public or None
    if is_public(found):
        reasons.append(f"by {what}")
        return True
    return public


def _is_open(status: dict[str, Any]) -> bool:
    return bool(status.get("PolicyStatus", {}).get("IsPublic"))


def _is_granted(access: dict[str, Any]) -> bool:
    return any(grant.get("Grantee", {}).get("URI") in _EVERYBODY for grant in access.get("Grants", []))


def _encryption(found: dict[str, Any] | None, sse: str | None) -> tuple[bool | None, str]:
    if sse is not None:
        return True, f"every object is asked to be encrypted with {sse}"
    if found is None:
        return None, "its encryption may not be read"
    rules = found.get("ServerSideEncryptionConfiguration", {}).get("Rules", [])
    kinds = [rule.get("ApplyServerSideEncryptionByDefault", {}).get("SSEAlgorithm") for rule in rules]
    named = [str(kind) for kind in kinds if kind]
    return bool(named), f"encrypts with {named[0]}" if named else ""


def _ask(client: Any, place: Place, call: str) -> dict[str, Any] | None:
    """Return the answer, empty if nothing of the kind is set, None if we may not know."""
    try:
        with refusals(place):
            try:
                answer = getattr(client, call)(Bucket=place.bucket)
            except ClientError as error:
                if code_of(error) in _ABSENT:
                    return {}
                raise
    except SilentError:
        raise
    except OutageError as error:
        if "there is no such bucket" in error.message or "no credentials" in error.message:
            raise
        return None
    return dict(answer)

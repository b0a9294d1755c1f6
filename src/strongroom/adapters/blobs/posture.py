"""What a bucket must be before models lie in it: not public, and encrypted at rest."""

from strongroom.adapters.blobs.bucket import Posture
from strongroom.adapters.blobs.place import Place
from strongroom.errors import DeniedError


def find_concerns(posture: Posture, place: Place) -> list[str]:
    """Say what is wrong with the bucket, opted out or not."""
    return [message for message, _, _ in _judge(posture, place)]


def require_posture(posture: Posture, place: Place) -> None:
    """Raises DeniedError: the bucket is, or may be, public or unencrypted, and that was not opted out of."""
    for message, is_permitted, opt_out in _judge(posture, place):
        if not is_permitted:
            raise DeniedError(
                message, hint=f"correct the bucket; or set {opt_out} = true in [store.{place.scheme}]"
            )


def _judge(posture: Posture, place: Place) -> list[tuple[str, bool, str]]:
    detail = f" ({posture.detail})" if posture.detail else ""
    found = []
    if posture.public:
        found.append((f"{place.name}: is public{detail}", place.may_be_public, "insecure-public-bucket"))
    elif posture.public is None:
        text = f"{place.name}: whether it is public could not be looked up{detail}"
        found.append((text, place.may_be_public, "insecure-public-bucket"))
    if posture.encrypted is None:
        text = f"{place.name}: whether it encrypts at rest could not be looked up{detail}"
        found.append((text, place.may_be_unencrypted, "insecure-unencrypted-bucket"))
    elif not posture.encrypted:
        text = f"{place.name}: does not encrypt at rest{detail}"
        found.append((text, place.may_be_unencrypted, "insecure-unencrypted-bucket"))
    return found

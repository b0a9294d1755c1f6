"""A home with a family of three versions and an upload in quarantine, for tests of rotation."""

from functools import cache

from strongroom.errors import RejectedError
from strongroom.flows import layout
from strongroom.flows.audit import verify_whole_log
from strongroom.flows.keyfile import WrappedKey, data_key_context
from strongroom.flows.publish import publish
from strongroom.flows.release import verify
from strongroom.flows.rotate import Wish, rotate_key
from strongroom.flows.vault import Vault
from strongroom.trust.authority import Authority
from strongroom.values import KeyUri, ModelId, State
from tests.flows.scene import ADMIN, ONE, OPERATOR, TWO, Scene, furnished

FAMILY = "fraud"
KEY = KeyUri("file:kek/fraud")
ELSEWHERE = KeyUri("file:kek/fraud.b")
THREE = ModelId.parse("fraud@1.2.0")


@cache
def _family() -> Scene:
    scene = furnished()
    scene.publish_approved(TWO)
    scene.publish(THREE)
    try:
        publish(scene.vault, scene.offer(ModelId.parse("fraud@2.0.0"), {"model.onnx": b"no model"}))
    except RejectedError:
        scene.published.pop(ModelId.parse("fraud@2.0.0"))
    assert scene.authority.quarantined
    return scene


def family() -> Scene:
    return _family().copy()


def rotate(scene: Scene, vault: Vault | None = None, **wish: object) -> object:
    return rotate_key(vault or scene.vault, ADMIN, Wish(FAMILY, **wish))  # type: ignore[arg-type]


def wrapped_keys(scene: Scene) -> dict[str, bytes]:
    """Every wrapped data key in the store, by name."""
    return {name: data for name, data in scene.blobs.objects.items() if name.endswith(layout.WRAPPED_KEY)}


def all_else(scene: Scene) -> dict[str, bytes]:
    """The store without its wrapped keys: what a rotation must not touch."""
    return {name: data for name, data in scene.blobs.objects.items() if not name.endswith(layout.WRAPPED_KEY)}


def opens(scene: Scene, old: bytes, model: ModelId) -> bool:
    """Whether the custody still opens a wrapped data key that somebody kept."""
    wrapped = WrappedKey.parse(old)
    context = data_key_context(model, scene.authority.versions[model].manifest)
    try:
        scene.keys.unwrap(wrapped.key, wrapped.wrapped, context)
    except Exception:
        return False
    return True


def require_served(scene: Scene) -> Authority:
    """Every version verifies wholly and, if approved, is released as it was handed over; the log holds."""
    copy = scene.copy()
    verify_whole_log(copy.vault)
    authority = copy.authority
    for model, known in authority.versions.items():
        if known.state is State.REVOKED:
            continue
        verify(copy.vault, OPERATOR, model, full=True)
        if known.state is State.APPROVED:
            assert copy.plaintext(model) == scene.published[model]
    assert ONE in authority.versions
    return authority

"""A model as an artifact of an OCI registry: ModelPack, or files as ORAS pushes them.

OCI distribution-spec 1.1 and image-spec 1.1; https://github.com/modelpack/model-spec. Everything is asked for
by its digest and checked against it; layers that are archives are unpacked in memory.
"""

import re
from collections.abc import Sequence
from typing import Any

import orjson

from strongroom.adapters.sources.address import Address
from strongroom.adapters.sources.oci_layers import Descriptor, LayerFiles, find_packing
from strongroom.adapters.sources.oci_login import Registry
from strongroom.adapters.sources.pinned import Fetch, PinnedFile, PinnedSource, Promise, Write, choose
from strongroom.errors import InvalidError, RejectedError, StrongroomError, shorten
from strongroom.trust.provenance import OCI, Provenance
from strongroom.values import Digest

MAX_MANIFEST_BYTES = 4 * 2**20
"""As the distribution-spec advises registries."""
MAX_LAYERS = 4096
MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
_TITLES = ("org.cncf.model.filepath", "org.opencontainers.image.title")
_TYPE = re.compile(r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+/-]{0,126}", re.ASCII)


def open_registry(address: Address, only: Sequence[str], registry: Registry) -> PinnedSource:
    """Return the files of the artifact with that digest.

    Raises:
        InvalidError: a tag, an index of several artifacts, or nothing is there.
        RejectedError: something is not of its digest, or may not be.
    """
    if not address.is_pinned:
        raise _moving(address, registry)
    value = _manifest(address, registry)
    kind, layers = _parse(value)
    held = LayerFiles(registry.blob)
    try:
        files: dict[str, PinnedFile] = {}
        for layer in layers:
            for file in _files(layer, registry, held):
                if files.setdefault(file.path, file) is not file:
                    raise RejectedError(f"oci: {shorten(file.path)}: is there twice")
        chosen = choose(list(files), address.path, only)
        picked = [files[path].renamed(name) for path, name in chosen.items()]
        facts = {"artifact_type": kind} if kind else {}
        provenance = Provenance(OCI, address.place, address.reference, address.path, tuple(only), facts)
        return PinnedSource(picked, provenance, held.close)
    except BaseException:
        held.close()
        raise


def _manifest(address: Address, registry: Registry) -> Any:
    answer = registry.get(f"manifests/{address.reference}", (*MANIFESTS, *INDEXES), MAX_MANIFEST_BYTES)
    if str(Digest.of(answer.body)) != address.reference:
        raise RejectedError(f"oci: {address.place}: answers with another manifest than was asked for")
    try:
        return orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        raise RejectedError(f"oci: {address.place}: the manifest is not JSON") from None


def _moving(address: Address, registry: Registry) -> InvalidError:
    try:
        accepted = (*MANIFESTS, *INDEXES)
        body = registry.get(f"manifests/{address.reference}", accepted, MAX_MANIFEST_BYTES).body
        hint = f"it is now oci:{address.place}@{Digest.of(body)}"
    except StrongroomError:
        hint = "name a digest: sha256:<64 hex digits>"
    return InvalidError(f"{shorten(address.reference)}: is a tag, which can move", hint=hint)


def _parse(value: Any) -> tuple[str, list[Descriptor]]:
    """Return the type of the artifact and its layers."""
    match value:
        case {"schemaVersion": 2, "config": dict(config), "layers": list(layers)}:
            kind = value.get("artifactType") or config.get("mediaType") or ""
        case {"schemaVersion": 2, "manifests": list(several)}:
            digests = [each.get("digest") for each in several[:4] if isinstance(each, dict)]
            shown = shorten(", ".join(map(str, digests)), 320)
            raise InvalidError("oci: is an index of several artifacts", hint=f"choose one: {shown}")
        case _:
            raise RejectedError("oci: the manifest is none that is known")
    if not isinstance(kind, str) or (kind and _TYPE.fullmatch(kind) is None) or len(layers) > MAX_LAYERS:
        raise RejectedError("oci: the manifest has no good type, or too many layers")
    return kind, [_layer(layer) for layer in layers]


def _layer(value: Any) -> Descriptor:
    match value:
        case {"mediaType": str(media_type), "digest": str(digest), "size": int(size)} if size >= 0:
            notes = value.get("annotations") or {}
        case _:
            raise RejectedError("oci: a layer is malformed")
    if value.get("urls") or not isinstance(notes, dict):
        raise RejectedError("oci: a layer is said to be elsewhere, or malformed")
    title = next((notes[name] for name in _TITLES if isinstance(notes.get(name), str)), "")
    try:
        return Descriptor(media_type, Digest.parse(digest), size, title)
    except InvalidError:
        raise RejectedError(f"oci: a layer has no SHA-256 digest: {shorten(digest)}") from None


def _files(layer: Descriptor, registry: Registry, held: LayerFiles) -> list[PinnedFile]:
    packing = find_packing(layer)
    if packing is not None:
        return held.unpack(layer, packing)
    if not layer.title:
        raise RejectedError(f"oci: layer {layer.digest} names no file", hint="docs/provenance.md")
    return [PinnedFile(Promise(layer.title, layer.size, sha256=layer.digest), _fetch(registry, layer))]


def _fetch(registry: Registry, layer: Descriptor) -> Fetch:
    def fetch(write: Write) -> None:
        registry.blob(layer.digest, write)

    return fetch

"""Which store stands behind ``[store] blobs``; the client of a cloud is imported when it is used."""

from pathlib import Path

from strongroom.adapters.blobs.bucket import Bucket
from strongroom.adapters.blobs.local import LocalBlobStore
from strongroom.adapters.blobs.place import Place, parse_address
from strongroom.custodies import needs_extra
from strongroom.errors import InvalidError, shorten
from strongroom.ports import BlobStore, Transit
from strongroom.settings import AzureSettings, GoogleSettings, S3Settings, StoreSettings

SPOOL = "spool"
_LOCAL = "file:blobs"
_Section = S3Settings | GoogleSettings | AzureSettings


def open_blobs(settings: StoreSettings, home: Path) -> tuple[BlobStore, Transit | None]:
    """Return where sealed models lie, and how they travel there unless that is this disk.

    Raises:
        InvalidError: the address or a setting of the store is wrong, or its client is not installed.
    """
    if settings.blobs == _LOCAL:
        local = LocalBlobStore(home / "blobs")
        local.sweep()
        return local, None
    if settings.blobs.startswith("file:"):
        raise InvalidError(
            f"store.blobs: {shorten(settings.blobs)} is not {_LOCAL}, the folder of the home",
            hint="to keep it on another disk, mount that at the home's folder blobs",
        )
    scheme, bucket, prefix = parse_address(settings.blobs)
    sections: dict[str, _Section] = {"s3": settings.s3, "gs": settings.gs, "az": settings.az}
    place = _build_place(sections[scheme], home, scheme, bucket, prefix)
    spool = home / SPOOL
    with needs_extra(f"{scheme}://", scheme):
        from strongroom.adapters.blobs.remote import RemoteBlobStore
        from strongroom.adapters.blobs.transit import RemoteTransit

        found = _open_bucket(place, settings)
    spool.mkdir(mode=0o700, exist_ok=True)
    store = RemoteBlobStore(found, spool)
    return store, RemoteTransit(store, spool)


def open_bucket(settings: StoreSettings, home: Path, address: str) -> BlobStore:
    """Return another store with the same settings, for what is not a model."""
    return open_blobs(settings.model_copy(update={"blobs": address}), home)[0]


def _open_bucket(place: Place, settings: StoreSettings) -> Bucket:
    if place.scheme == "s3":
        from strongroom.adapters.blobs.s3_bucket import S3Bucket

        return S3Bucket(place, settings.s3.region, settings.s3.sse, settings.s3.kms_key_id)
    if place.scheme == "az":
        from strongroom.adapters.blobs.azure_bucket import AzureBucket

        return AzureBucket(place, settings.az.account, settings.az.encryption_scope)
    from strongroom.adapters.blobs.google_bucket import GoogleBucket

    return GoogleBucket(place, settings.gs.kms_key)


def _build_place(section: _Section, home: Path, scheme: str, bucket: str, prefix: str) -> Place:
    bundle = home / Path(section.ca_bundle).expanduser() if section.ca_bundle else None
    if bundle is not None and not bundle.is_file():
        raise InvalidError(f"store.{scheme}.ca_bundle: there is no file {bundle}")
    place = Place(
        scheme,
        bucket,
        prefix,
        section.endpoint,
        bundle,
        section.deadline_s,
        may_be_public=section.insecure_public_bucket,
        may_be_unencrypted=section.insecure_unencrypted_bucket,
        may_overwrite=section.insecure_overwrites,
        may_use_http=section.insecure_http,
    )
    if place.endpoint is not None:
        place.require_secure(place.endpoint)
    return place

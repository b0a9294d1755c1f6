"""Two clients of one S3 bucket, with one chain of credentials: botocore writes and looks, obstore reads."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import botocore.session
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,  # noqa: A004 - botocore's name
    HTTPClientError,
    NoCredentialsError,
    PartialCredentialsError,
)
from botocore.loaders import create_loader
from obstore.store import S3Store

from strongroom.adapters.blobs.bucket import SENDING_THREADS
from strongroom.adapters.blobs.failures import client_options, denied, no_bucket
from strongroom.adapters.blobs.patience import CONNECT_TIMEOUT_S, SilentError, attempt_timeout_s
from strongroom.adapters.blobs.place import Place
from strongroom.errors import InvalidError, OutageError, shorten

if TYPE_CHECKING:
    from obstore.store import S3Credential

_CREDENTIALS_LAST = timedelta(minutes=5)
"""Asked for anew then; botocore renews what runs out."""
_REFUSED = frozenset(
    {"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken"}
)
_PASSING = frozenset(
    {
        "SlowDown",
        "InternalError",
        "ServiceUnavailable",
        "RequestTimeout",
        "Throttling",
        "RequestTimeTooSkewed",
    }
    | {"ConditionalRequestConflict", "OperationAborted", "503", "500", "502", "504", "429"}
)


class S3Clients:
    """Both clients, built once; safe from several threads."""

    def __init__(self, place: Place, region: str | None) -> None:
        """Raises InvalidError: no region is known, or the endpoint is not to be trusted on the way."""
        self.place = place
        session = new_session()
        region = region or session.get_config_variable("region") or ("us-east-1" if place.endpoint else None)
        if not region:
            raise InvalidError(f"{place.name}: no region is set", hint="set region in [store.s3]")
        known = session.get_config_variable("ca_bundle")
        bundle = place.ca_bundle or (Path(known) if known else None)
        with refusals(place):
            self.client: Any = session.create_client(
                "s3",
                region_name=region,
                endpoint_url=place.endpoint,
                verify=str(bundle) if bundle else None,
                config=_config(place),
            )
        self._session = session
        url = place.require_secure(str(self.client.meta.endpoint_url))
        self.objects = S3Store(
            place.bucket,
            prefix=place.prefix or None,
            config={
                "region": region,
                "endpoint": url,
                "virtual_hosted_style_request": False,
                "skip_signature": False,
                "disable_bulk_delete": True,
            },
            client_options=client_options(replace(place, ca_bundle=bundle), url),
            retry_config={"max_retries": 0, "retry_timeout": timedelta(seconds=place.deadline_s)},
            credential_provider=self._credentials,
        )

    def _credentials(self) -> "S3Credential":
        found = self._session.get_credentials()
        if found is None:
            raise NoCredentialsError
        frozen = found.get_frozen_credentials()
        return {
            "access_key_id": frozen.access_key,
            "secret_access_key": frozen.secret_key,
            "token": frozen.token,
            "expires_at": datetime.now(UTC) + _CREDENTIALS_LAST,
        }


def new_session() -> Any:
    """One credential chain of its own; the description of S3, a megabyte of JSON, is read once a process."""
    session = botocore.session.get_session()
    session.register_component("data_loader", _load_descriptions())
    return session


@cache
def _load_descriptions() -> Any:
    return create_loader()


@contextmanager
def refusals(place: Place) -> Iterator[None]:
    """Translate what botocore raises, except refused conditions, which are the caller's to understand."""
    try:
        yield
    except (NoCredentialsError, PartialCredentialsError):
        raise OutageError(
            f"{place.name}: no credentials were found",
            hint="docs/stores.md says where they are looked for",
        ) from None
    except ClientError as error:
        raise _translate(place, error) from None
    except (ConnectionError, HTTPClientError) as error:
        raise SilentError(f"{place.name}: {type(error).__name__}") from None
    except BotoCoreError as error:
        raise OutageError(f"{place.name}: {type(error).__name__}: {shorten(error)}") from None


def code_of(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _translate(place: Place, error: ClientError) -> OutageError:
    code = code_of(error)
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if code == "NoSuchBucket":
        return no_bucket(place.name)
    if code in _REFUSED or status in (401, 403):
        return denied(place.name, code)
    if code in _PASSING or status >= 500 or status == 429:
        return SilentError(f"{place.name}: {shorten(code)}")
    return OutageError(f"{place.name}: refused the request ({shorten(code)})")


def _config(place: Place) -> Config:
    return Config(
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=attempt_timeout_s(place.deadline_s),
        retries={"total_max_attempts": 1},  # `patience.insist` asks again
        s3={"addressing_style": "path"} if place.endpoint else None,
        max_pool_connections=4 * SENDING_THREADS,
        request_checksum_calculation="when_required",  # we give SHA-256 ourselves
        response_checksum_validation="when_required",
    )

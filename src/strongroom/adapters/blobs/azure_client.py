"""Two clients of one container of Azure, with one credential: its own SDK writes and looks, obstore reads."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ServiceRequestError,
    ServiceResponseError,
)
from azure.storage.blob import BlobServiceClient
from obstore.store import AzureStore

from strongroom.adapters.blobs.failures import client_options, denied, no_bucket
from strongroom.adapters.blobs.names import MAX_SMALL_BYTES
from strongroom.adapters.blobs.patience import CONNECT_TIMEOUT_S, SilentError, attempt_timeout_s
from strongroom.adapters.blobs.place import Place
from strongroom.errors import InvalidError, OutageError, shorten

if TYPE_CHECKING:
    from obstore.store import AzureBearerToken, AzureConfig

_SCOPE = "https://storage.azure.com/.default"
_KEY_VARIABLES = ("AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_KEY")
_SAS_VARIABLES = ("AZURE_STORAGE_SAS_TOKEN", "AZURE_STORAGE_SAS_KEY")


class AzureClients:
    """Both clients, built once; safe from several threads."""

    def __init__(self, place: Place, account: str | None) -> None:
        """Raises InvalidError: no account is set, or the endpoint is not to be trusted on the way."""
        if not account and place.endpoint is None:
            raise InvalidError(f"{place.name}: no storage account is set", hint="set account in [store.az]")
        url = place.require_secure(place.endpoint or f"https://{account}.blob.core.windows.net")
        account = account or url.rstrip("/").rpartition("/")[2].partition(".")[0]
        credential, readable = self._credential()
        service = BlobServiceClient(
            url,
            credential=credential,
            retry_total=0,  # `patience.insist` asks again
            connection_timeout=CONNECT_TIMEOUT_S,
            read_timeout=attempt_timeout_s(place.deadline_s),
            connection_verify=str(place.ca_bundle) if place.ca_bundle else True,
            max_single_put_size=2 * MAX_SMALL_BYTES,
        )
        self.container: Any = service.get_container_client(place.bucket)
        config: AzureConfig = {"account_name": account, "endpoint": url, "skip_signature": False}
        config.update(readable)
        self.objects = AzureStore(
            place.bucket,
            prefix=place.prefix or None,
            config=config,
            client_options=client_options(place, url),
            retry_config={"max_retries": 0, "retry_timeout": timedelta(seconds=place.deadline_s)},
            credential_provider=None if readable else self._token,
        )

    def _credential(self) -> tuple[Any, "AzureConfig"]:
        """An account key or a shared access signature from the environment, else the SDK's default chain."""
        key = _find_variable(_KEY_VARIABLES)
        if key is not None:
            return key, {"account_key": key}
        signature = _find_variable(_SAS_VARIABLES)
        if signature is not None:
            return signature, {"sas_key": signature}
        from azure.identity import DefaultAzureCredential

        self._default = DefaultAzureCredential()
        return self._default, {}

    def _token(self) -> "AzureBearerToken":
        token = self._default.get_token(_SCOPE)
        return {"token": token.token, "expires_at": datetime.fromtimestamp(token.expires_on, UTC)}


def _find_variable(names: tuple[str, ...]) -> str | None:
    return next((os.environ[name] for name in names if os.environ.get(name)), None)


@contextmanager
def refusals(place: Place) -> Iterator[None]:
    """Translate what the SDK raises, except what the caller has understood already."""
    try:
        yield
    except HttpResponseError as error:
        raise _translate(place, error) from None
    except (ServiceRequestError, ServiceResponseError) as error:
        raise SilentError(f"{place.name}: {type(error).__name__}") from None
    except AzureError as error:
        raise OutageError(f"{place.name}: {type(error).__name__}") from None


def code_of(error: HttpResponseError) -> str:
    return str(getattr(error, "error_code", "") or "")


def _translate(place: Place, error: HttpResponseError) -> OutageError:
    code = code_of(error)
    status = error.status_code or 0
    if code == "ContainerNotFound":
        return no_bucket(place.name)
    if isinstance(error, ClientAuthenticationError) or status in (401, 403):
        return denied(place.name, code or None)
    if status >= 500 or status in (408, 429) or not status:
        return SilentError(f"{place.name}: {shorten(code or status)}")
    return OutageError(f"{place.name}: refused the request ({shorten(code or status)})")

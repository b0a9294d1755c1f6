"""Access tokens of Microsoft Entra, as azure-identity finds them."""

import logging
from threading import Lock

from azure.core.exceptions import AzureError, ClientAuthenticationError
from azure.identity import CredentialUnavailableError, DefaultAzureCredential

from strongroom.errors import DeniedError, OutageError

_LOUD_LOGGERS = ("azure", "msal", "urllib3")
_MAX_CONNECT_S = 5.0


class AzureBearer:
    """Calls return a token for the vault at ``host``. Safe to call from several threads."""

    def __init__(self, host: str, deadline_s: float) -> None:
        for name in _LOUD_LOGGERS:
            logging.getLogger(name).setLevel(logging.INFO)
        # models.vault.azure.net -> vault.azure.net, in whichever of the clouds it lies.
        self._scope = f"https://{host.partition('.')[2]}/.default"
        self._lock = Lock()
        self._credential = DefaultAzureCredential(
            exclude_interactive_browser_credential=True,
            connection_timeout=min(_MAX_CONNECT_S, deadline_s),
            read_timeout=deadline_s,
            retry_total=1,
        )

    def __repr__(self) -> str:
        return f"AzureBearer({self._scope})"

    def __call__(self, fresh: bool) -> str:
        """azure-identity keeps a token until shortly before its end, and offers no way to drop it."""
        with self._lock:
            try:
                return self._credential.get_token(self._scope).token
            except (CredentialUnavailableError, ClientAuthenticationError):
                raise DeniedError(
                    "azurekv: no usable Azure credentials",
                    hint="set them up as for the Azure SDK: az login, …",
                ) from None
            except (AzureError, OSError) as error:
                raise OutageError(
                    f"azurekv: Microsoft Entra does not answer ({type(error).__name__})"
                ) from None

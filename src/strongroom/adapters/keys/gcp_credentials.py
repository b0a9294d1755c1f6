"""Access tokens of Google Cloud: Application Default Credentials, as google-auth finds them."""

from threading import Lock
from typing import Any, cast

import google.auth
import urllib3
from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError, RefreshError, TransportError
from google.auth.transport.urllib3 import Request

from strongroom.errors import DeniedError, OutageError

_SCOPE = "https://www.googleapis.com/auth/cloudkms"


class GoogleBearer:
    """Calls return a token that is valid now. Safe to call from several threads."""

    def __init__(self, deadline_s: float) -> None:
        self._lock = Lock()
        self._credentials: Any = None
        self._deadline_s = deadline_s
        pool = urllib3.PoolManager(retries=urllib3.Retry(2, redirect=0, backoff_factor=0.2))
        self._transport: Any = Request(pool)  # type: ignore[no-untyped-call]

    def __repr__(self) -> str:
        return "GoogleBearer()"

    def _request(self, url: str, *given: Any, timeout: object = None, **more: Any) -> Any:
        """google-auth would be patient for two minutes; the deadline of the settings holds instead."""
        return self._transport(url, *given, timeout=self._deadline_s, **more)

    def __call__(self, fresh: bool) -> str:
        with self._lock:
            try:
                if self._credentials is None:
                    self._credentials, _ = google.auth.default(
                        scopes=[_SCOPE], request=cast(Request, self._request)
                    )
                if fresh or not self._credentials.valid:
                    self._credentials.refresh(self._request)
                return str(self._credentials.token)
            except DefaultCredentialsError:
                raise DeniedError(
                    "gcpkms: no Google Cloud credentials are found",
                    hint="set up Application Default Credentials",
                ) from None
            except TransportError:
                raise OutageError("gcpkms: the token service of Google Cloud does not answer") from None
            except RefreshError as error:
                if error.retryable:
                    raise OutageError("gcpkms: the token service of Google Cloud does not answer") from None
                raise DeniedError("gcpkms: the Google Cloud credentials are refused") from None
            except GoogleAuthError as error:
                raise DeniedError(
                    f"gcpkms: the Google Cloud credentials cannot be used ({type(error).__name__})"
                ) from None

"""Two clients of one bucket of Google, with one credential: JSON requests write and look, obstore reads."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import google.auth
from google.auth.exceptions import GoogleAuthError, TransportError
from google.auth.transport.requests import AuthorizedSession, Request
from obstore.store import GCSStore
from requests import RequestException, Response

from strongroom.adapters.blobs.failures import client_options, denied, no_bucket
from strongroom.adapters.blobs.patience import CONNECT_TIMEOUT_S, SilentError, attempt_timeout_s
from strongroom.adapters.blobs.place import Place
from strongroom.errors import OutageError, RejectedError, shorten

if TYPE_CHECKING:
    from obstore.store import GCSCredential

_ENDPOINT = "https://storage.googleapis.com"
_SCOPE = "https://www.googleapis.com/auth/devstorage.full_control"
"""Access lists and policies of a bucket are not told to lesser ones; roles bound it all the same."""


class GoogleClients:
    """Both clients, built once. A request session is not shared between threads that write."""

    def __init__(self, place: Place) -> None:
        """Raises InvalidError: the endpoint is not to be trusted on the way."""
        self.place = place
        self.url = place.require_secure(place.endpoint or _ENDPOINT).rstrip("/")
        self._credentials: Any = None
        self._session: Any = None
        self.objects = GCSStore(
            place.bucket,
            prefix=place.prefix or None,
            config={"base_url": self.url, "skip_signature": False},
            client_options=client_options(place, self.url),
            retry_config={"max_retries": 0, "retry_timeout": timedelta(seconds=place.deadline_s)},
            credential_provider=self._token,
        )

    def ask(self, method: str, path: str, **options: Any) -> Response:
        """Send one JSON request; ``path`` begins at the endpoint, or is a session of this endpoint.

        Raises:
            SilentError, OutageError: no answer, or no credentials.
        """
        if not path.startswith("/") and not path.startswith(f"{self.url}/"):
            raise RejectedError(f"{self.place.name}: a session that is not of this endpoint")
        url = path if not path.startswith("/") else self.url + path
        with refusals(self.place):
            timeout = (CONNECT_TIMEOUT_S, attempt_timeout_s(self.place.deadline_s))
            answer: Response = self._authorized().request(
                method, url, timeout=timeout, allow_redirects=False, **options
            )
            return answer

    def object_path(self, name: str, root: str = "/storage/v1") -> str:
        return f"{root}/b/{self.place.bucket}/o/{quote(self.place.key(name), safe='')}"

    def _authorized(self) -> Any:
        if self._session is None:
            session = AuthorizedSession(self._find_credentials(), max_refresh_attempts=1)  # type: ignore[no-untyped-call]
            if self.place.ca_bundle is not None:
                session.verify = str(self.place.ca_bundle)
            self._session = session
        return self._session

    def _find_credentials(self) -> Any:
        if self._credentials is None:
            self._credentials, _ = google.auth.default(scopes=[_SCOPE])
        return self._credentials

    def _token(self) -> "GCSCredential":
        found = self._find_credentials()
        found.refresh(Request())
        return {"token": str(found.token), "expires_at": found.expiry.replace(tzinfo=UTC)}


def require_good(place: Place, answer: Response) -> dict[str, Any]:
    """Return the answer's JSON. Raises what its status means."""
    status = answer.status_code
    if status in (200, 201, 204):
        return dict(answer.json()) if answer.content else {}
    message = answer.text[:200]
    if status == 404 and "bucket" in message:
        raise no_bucket(place.name)
    if status in (401, 403):
        raise denied(place.name, f"status {status}")
    if status >= 500 or status in (408, 429):
        raise SilentError(f"{place.name}: status {status}")
    raise OutageError(f"{place.name}: refused the request ({shorten(message, 60)})")


@contextmanager
def refusals(place: Place) -> Iterator[None]:
    """Translate what the client libraries raise."""
    try:
        yield
    except (RequestException, TransportError) as error:
        raise SilentError(f"{place.name}: {type(error).__name__}") from None
    except GoogleAuthError:
        raise OutageError(
            f"{place.name}: no credentials were found, or they were refused",
            hint="docs/stores.md says where they are looked for",
        ) from None

"""How obstore is to connect, and what its failures mean."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from obstore.exceptions import (
    BaseError,
    InvalidPathError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)

from strongroom.adapters.blobs.names import missing
from strongroom.adapters.blobs.patience import CONNECT_TIMEOUT_S, SilentError, attempt_timeout_s
from strongroom.adapters.blobs.place import Place
from strongroom.errors import InvalidError, OutageError, RejectedError, StrongroomError, shorten

if TYPE_CHECKING:
    from obstore.store import ClientConfig

MAX_BUNDLE_BYTES = 4 * 2**20
_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>([A-Za-z0-9.]{1,64})</Code>")
_NO_BUCKET = frozenset({"NoSuchBucket", "ContainerNotFound", "NoSuchContainer"})
_WORTH_ANOTHER = frozenset({408, 425, 429})


def client_options(place: Place, url: str) -> "ClientConfig":
    """How obstore is to connect: with the same deadline and authorities as the cloud's own client."""
    options: ClientConfig = {
        "allow_http": url.startswith("http:"),
        "allow_invalid_certificates": False,
        "connect_timeout": timedelta(seconds=CONNECT_TIMEOUT_S),
        "timeout": timedelta(seconds=attempt_timeout_s(place.deadline_s)),
    }
    if place.ca_bundle is not None:
        options["root_certificate"] = _read_bundle(place.ca_bundle, place)
    return options


def _read_bundle(path: Path, place: Place) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_BUNDLE_BYTES)
    except OSError as error:
        raise InvalidError(f"{place.name}: ca_bundle {path}: {error.strerror}") from None


@contextmanager
def translated(place: str, name: str) -> Iterator[None]:
    """Raise SilentError for what may pass, OutageError for what will not, RejectedError for what is missing.

    The text of obstore's errors holds addresses and parts of answers; of it, status and code are shown.
    """
    try:
        yield
    except FileNotFoundError as error:
        if _find_code(error) in _NO_BUCKET:
            raise no_bucket(place) from None
        raise missing(name) from None
    except PreconditionError:
        raise RejectedError(f"blob {name}: was replaced while it was read") from None
    except InvalidPathError:
        raise RejectedError(
            f"{place}: holds an object whose name could leave the store",
            hint="list the bucket with the tool of its cloud and find out who put it there",
        ) from None
    except (PermissionDeniedError, UnauthenticatedError) as error:
        raise denied(place, _find_code(error)) from None
    except (BaseError, OSError, ValueError) as error:
        raise _outage(place, error) from None


def no_bucket(place: str) -> OutageError:
    return OutageError(f"{place}: there is no such bucket", hint="make it, or correct [store] blobs")


def denied(place: str, code: str | None) -> OutageError:
    """A cloud that refuses us is an outage of the store: what the caller may do was decided before."""
    return OutageError(
        f"{place}: refuses our credentials ({shorten(code or 'access denied')})",
        hint="see docs/stores.md for where credentials are looked for and which rights they need",
    )


def _outage(place: str, error: Exception) -> StrongroomError:
    found = _STATUS.search(str(error))
    status = int(found.group(1)) if found else 0
    code = _find_code(error) or (f"status {status}" if status else _first_words(error))
    if code in _NO_BUCKET:
        return no_bucket(place)
    if 400 <= status < 500 and status not in _WORTH_ANOTHER:
        return OutageError(f"{place}: refused the request ({shorten(code)})")
    return SilentError(f"{place}: {code}")


def _find_code(error: Exception) -> str | None:
    found = _CODE.search(str(error))
    return found.group(1) if found else None


def _first_words(error: Exception) -> str:
    """The last clause of the first line says what happened; addresses with queries are before it."""
    return str(error).partition("\n")[0].rpartition(" - ")[2].strip()[:80] or "no answer"

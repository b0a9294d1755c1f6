"""Calls to AWS KMS through boto3: one deadline over all tries, failures as ours, no secret in a debug log."""

import logging
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    EndpointConnectionError,
    HTTPClientError,
    NoAuthTokenError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
    ReadTimeoutError,
    SSLError,
    SSOError,
    TokenRetrievalError,
)

from strongroom.adapters.keys.address import require_address
from strongroom.errors import DeniedError, InvalidError, OutageError

MAX_TRIES = 4
_CONNECT_TIMEOUT_S = 4.0
_READ_TIMEOUT_S = 10.0
_FIRST_PAUSE_S = 0.1
_MAX_PAUSE_S = 2.0
_LOUD_LOGGERS = ("boto3", "botocore", "urllib3")
"""At the level DEBUG botocore writes whole answers, data keys in plain included."""
_NO_CREDENTIALS = (
    NoCredentialsError,
    PartialCredentialsError,
    CredentialRetrievalError,
    TokenRetrievalError,
    NoAuthTokenError,
    SSOError,
)
_THROTTLED = frozenset({"ThrottlingException", "RequestLimitExceeded", "TooManyRequestsException"})
_SILENT = frozenset(
    {
        "DependencyTimeoutException",
        "InternalFailure",
        "KMSInternalException",
        "KeyUnavailableException",
        "ServiceUnavailable",
        *_THROTTLED,
    }
)
_DENIED = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "ExpiredTokenException",
        "IncompleteSignature",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "MissingAuthenticationToken",
        "NotAuthorized",
        "OptInRequired",
        "UnrecognizedClientException",
    }
)


@dataclass(frozen=True, slots=True)
class Reply:
    """What KMS answered; ``refusal`` is its error code where it refused what was asked."""

    body: Mapping[str, Any]
    refusal: str = ""


class KmsCalls:
    """One region of AWS KMS. Safe to call from several threads."""

    def __init__(
        self, *, region: str | None, endpoint: str | None, ca_bundle: Path | None, deadline_s: float
    ) -> None:
        """Credentials come from the SDK's own chain, which is asked with the first call.

        Raises:
            InvalidError: no region is known, or the endpoint or the CA bundle is wrong.
        """
        for name in _LOUD_LOGGERS:
            logging.getLogger(name).setLevel(logging.INFO)
        if ca_bundle is not None and not ca_bundle.is_file():
            raise InvalidError(f"awskms: there is no CA bundle {ca_bundle}")
        self._deadline_s = deadline_s
        try:
            self._client = boto3.session.Session().client(
                "kms",
                region_name=region,
                endpoint_url=None if endpoint is None else require_address("awskms", endpoint),
                verify=None if ca_bundle is None else str(ca_bundle),
                config=Config(
                    connect_timeout=min(_CONNECT_TIMEOUT_S, deadline_s),
                    read_timeout=min(_READ_TIMEOUT_S, deadline_s),
                    retries={"total_max_attempts": 1, "mode": "standard"},
                    user_agent_extra="strongroom",
                ),
            )
        except NoRegionError:
            raise InvalidError("keys.aws.region: is not set, and the AWS SDK knows none") from None
        except (ProfileNotFound, ValueError, BotoCoreError) as error:
            raise InvalidError(f"awskms: its settings cannot be used ({type(error).__name__})") from None

    def __repr__(self) -> str:
        return f"KmsCalls({self._client.meta.region_name})"

    def ask(self, operation: str, *, repeatable: bool = True, **parameters: Any) -> Reply:
        """``operation`` as boto3 spells it. ``repeatable`` False: not again once it may have been done.

        Raises:
            DeniedError: no credentials, or they give no right to this.
            OutageError: KMS does not answer within the deadline, or throttles.
        """
        deadline = time.monotonic() + self._deadline_s
        why = "no answer"
        for attempt in range(MAX_TRIES):
            try:
                return Reply(getattr(self._client, operation)(**parameters))
            except ClientError as error:
                code = str(error.response.get("Error", {}).get("Code", ""))[:64]
                status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
                if code in _DENIED:
                    raise DeniedError(
                        f"awskms: the credentials give no right to kms:{_spelled(operation)} ({code})",
                        hint="see the policy in docs/keys.md",
                    ) from None
                if code not in _SILENT and status < 500:
                    return Reply({}, code or "Unknown")
                why, harmless = code, code in _THROTTLED
            except _NO_CREDENTIALS as error:
                raise DeniedError(
                    f"awskms: no usable AWS credentials ({type(error).__name__})",
                    hint="set them up as for the AWS command line",
                ) from None
            except SSLError:
                raise OutageError(
                    "awskms: shows no certificate that holds", hint="see keys.aws.ca_bundle"
                ) from None
            except (EndpointConnectionError, ConnectTimeoutError) as error:
                why, harmless = type(error).__name__, True
            except (ReadTimeoutError, HTTPClientError, OSError) as error:
                why, harmless = type(error).__name__, False
            except BotoCoreError as error:
                raise OutageError(f"awskms: the AWS SDK fails ({type(error).__name__})") from None
            wait = min(_FIRST_PAUSE_S * 2**attempt * random.uniform(1, 2), _MAX_PAUSE_S)  # noqa: S311
            if not (repeatable or harmless) or time.monotonic() + wait > deadline:
                break
            time.sleep(wait)
        raise OutageError(f"awskms: does not answer ({why})", hint="try again later")


def _spelled(operation: str) -> str:
    return "".join(part.capitalize() for part in operation.split("_"))

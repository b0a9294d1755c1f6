"""Whether a store refuses to overwrite when it is asked to: some that speak S3 ignore the question."""

from collections.abc import Callable
from functools import partial
from secrets import token_hex
from typing import Any

from strongroom.adapters.blobs.bucket import Bucket
from strongroom.errors import DeniedError, InvalidError

PROBE = "strongroom-probe"
"""An object of no meaning. It stays, so that one refused request is all that a later process needs."""


def require_create_only(bucket: Bucket, insist: Callable[[Callable[[], None]], Any]) -> None:
    """Raises DeniedError: of two who write one name the last would win, and that was not opted out of."""
    place = bucket.place
    if place.may_overwrite:
        return
    for mark in (token_hex(16), token_hex(16)):
        try:
            insist(partial(bucket.put, PROBE, b"", mark, only_new=True))
        except InvalidError:
            return
    raise DeniedError(
        f"{place.name}: overwrites objects although asked not to",
        hint=f"use a store that knows conditional writes; or set insecure-overwrites = true in "
        f"[store.{place.scheme}]",
    )

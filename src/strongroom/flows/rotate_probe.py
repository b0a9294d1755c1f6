"""Probes: what shows that a key-encryption key that was rotated away does not open anything any more.

A probe is a random key that protects nothing, wrapped by the version that is about to go. It stands in the
log, so that whoever reads the log can try it again at any time.
"""

import base64
import binascii
import time
from collections.abc import Iterable
from typing import Any

from strongroom import canonical
from strongroom.errors import DeniedError, InvalidError, OutageError, RejectedError
from strongroom.flows.vault import Vault
from strongroom.ports import KeyProvider
from strongroom.trust.standing import Probe
from strongroom.values import KeyUri

PROBE_BYTES = 32
PROOF_DEADLINE_S = 60.0
"""A custody of many machines may take seconds until a version that was disabled is so everywhere."""
_POLL_S = 0.5


def make_probe(vault: Vault, family: str, key: KeyUri) -> Probe:
    """Wrap a key that protects nothing under the newest version, and see that it opens.

    Raises:
        DeniedError: that version is disabled.
        RejectedError: the custody does not open what it wrapped.
    """
    keys = vault.require_keys()
    plain, context = vault.entropy.bytes(PROBE_BYTES), _context(family)
    wrapped = keys.wrap(key, plain, context)
    if keys.unwrap(key, wrapped, context) != plain:
        raise RejectedError(f"{key}: opens to something else than it wrapped")
    return Probe(key, keys.version_of(key, wrapped), base64.b64encode(wrapped).decode())


def prove_closed(vault: Vault, family: str, probes: Iterable[Probe]) -> list[dict[str, Any]]:
    """Return the proof, for the log, that no probe opens; waits until that is so everywhere.

    Raises:
        OutageError: the custody did not answer, or one still opens after PROOF_DEADLINE_S.
    """
    return [
        {"uri": probe.uri, "version": probe.version, "outcome": _closed(vault, family, probe)}
        for probe in probes
    ]


def opening_probe(vault: Vault, family: str, probes: Iterable[Probe]) -> Probe | None:
    """Return the first probe that opens again, although it was shown not to."""
    keys = vault.require_keys()
    return next((probe for probe in probes if not _refusal(keys, family, probe)), None)


def _closed(vault: Vault, family: str, probe: Probe) -> str:
    keys = vault.require_keys()
    end = time.monotonic() + PROOF_DEADLINE_S
    while not (refusal := _refusal(keys, family, probe)):
        if time.monotonic() > end:
            raise OutageError(
                f"{probe.uri}: version {probe.version} is disabled and still opens what it wrapped",
                hint=f"ask its custody why, then: strongroom rotate key {family}",
            )
        time.sleep(_POLL_S)
    return refusal


def _refusal(keys: KeyProvider, family: str, probe: Probe) -> str:
    """Return how the custody refuses the probe; empty if it opens."""
    try:
        keys.unwrap(probe.uri, base64.b64decode(probe.wrapped, validate=True), _context(family))
    except DeniedError:
        return "denied"
    except (RejectedError, InvalidError):
        return "rejected"
    except binascii.Error:
        raise RejectedError(f"{family}: its probe in the log is no base64") from None
    return ""


def _context(family: str) -> bytes:
    return canonical.encode({"family": family, "use": "strongroom/probe/1"})

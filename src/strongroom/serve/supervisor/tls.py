"""The server's own certificate: issued by the built-in CA, short-lived, renewed while serving.

Its key is made with it and lives in memory only: a stolen keystore, or backup of it, is no server, and a key
that was taken out of the gateway is worth nothing once its certificate ends.
"""

import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from strongroom.adapters.keys.memory import MemoryKeyProvider
from strongroom.errors import OutageError
from strongroom.flows.vault import Vault
from strongroom.values import KeyUri

SERVER_KEY = KeyUri("file:tls")
RENEW_WHEN_LEFT = 1 / 3


class ServerIdentity:
    """Certificate and key of the listener. The key reaches the gateway through a memfd, never a file."""

    def __init__(self, vault: Vault, names: Sequence[str], lifetime_hours: int) -> None:
        self._vault = vault
        self._names = tuple(names)
        self._lifetime = timedelta(hours=lifetime_hours)
        self._renew_at = datetime.min.replace(tzinfo=UTC)
        self._pem = b""

    def descriptor(self, now: datetime) -> int:
        """Return a memfd with certificate and key as PEM, renewed if it is time; the caller closes it.

        Raises:
            OutageError: out of memory or descriptors.
        """
        if not self._pem or now >= self._renew_at:
            self._renew(now)
        try:
            memory = os.memfd_create("server-certificate", os.MFD_CLOEXEC)
        except OSError as error:
            raise OutageError(f"server certificate: {error.strerror}") from None
        try:
            os.write(memory, self._pem)
            os.lseek(memory, 0, os.SEEK_SET)
        except OSError as error:
            os.close(memory)
            raise OutageError(f"server certificate: {error.strerror}") from None
        return memory

    def is_due(self, now: datetime) -> bool:
        return now >= self._renew_at

    def _renew(self, now: datetime) -> None:
        keys = MemoryKeyProvider()
        signer = keys.create_signer(SERVER_KEY, "ecdsa-p256")
        certificate = self._vault.require_ca().issue_server(
            self._names, signer.public_pem, now, int(self._lifetime.total_seconds())
        )
        self._pem = certificate.certificate_pem + keys.private_pem(SERVER_KEY)
        self._renew_at = certificate.not_after - self._lifetime * RENEW_WHEN_LEFT

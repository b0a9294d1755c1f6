"""AWS KMS by moto, on loopback, with what moto leaves out: states of keys, digests, the key a text names."""

from collections.abc import Callable
from functools import cache, wraps
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from moto.core.exceptions import JsonRESTError
from moto.kms.exceptions import AccessDeniedException
from moto.kms.models import KmsBackend
from moto.kms.responses import KmsResponse
from moto.server import ThreadedMotoServer


class _RefusalError(JsonRESTError):
    code = 400


@cache
def address() -> str:
    """Start the server once a process; its threads end with it."""
    _complete()
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    return f"http://{host}:{port}"


def _complete() -> None:
    for name in ("encrypt", "decrypt", "sign"):
        setattr(KmsBackend, name, _with_states(getattr(KmsBackend, name)))
    KmsBackend.sign = _sign_digest(KmsBackend.sign)  # type: ignore[method-assign]
    KmsResponse.re_encrypt = _with_source(KmsResponse.re_encrypt)  # type: ignore[method-assign]


def _with_states(plain: Callable[..., Any]) -> Callable[..., Any]:
    """Disabled and dying keys do nothing, keys of another kind neither; a text of another key says so."""

    @wraps(plain)
    def guarded(self: KmsBackend, **parameters: Any) -> Any:
        key = self.keys.get(self.any_id_to_key_id(parameters.get("key_id") or ""))
        if key is not None and key.key_state == "Disabled":
            raise _RefusalError("DisabledException", "is disabled")
        if key is not None and key.key_state == "PendingDeletion":
            raise _RefusalError("KMSInvalidStateException", "is pending deletion")
        wanted = "SIGN_VERIFY" if plain.__name__ == "sign" else "ENCRYPT_DECRYPT"
        if key is not None and key.key_usage != wanted:
            raise _RefusalError("InvalidKeyUsageException", "is for something else")
        try:
            return plain(self, **parameters)
        except AccessDeniedException:
            raise _RefusalError("IncorrectKeyException", "is under another key") from None

    return guarded


def _sign_digest(plain: Callable[..., Any]) -> Callable[..., Any]:
    """With MessageType DIGEST, which is all that is asked for here, KMS does not hash again."""

    @wraps(plain)
    def signed(self: KmsBackend, key_id: str, message: bytes, signing_algorithm: str) -> Any:
        arn, _, algorithm = plain(self, key_id=key_id, message=message, signing_algorithm=signing_algorithm)
        private: Any = self.describe_key(key_id).private_key
        return arn, private.private_key.sign(message, ec.ECDSA(Prehashed(hashes.SHA256()))), algorithm

    return signed


def _with_source(plain: Callable[..., Any]) -> Callable[..., Any]:
    """``SourceKeyId`` pins the key that must open it."""

    @wraps(plain)
    def pinned(self: KmsResponse) -> Any:
        source = self._get_param("SourceKeyId")
        self._validate_key_id(source)
        self.kms_backend.decrypt(
            ciphertext_blob=self._get_param("CiphertextBlob"),
            encryption_context=self._get_param("SourceEncryptionContext", {}),
            key_id=source,
        )
        return plain(self)

    return pinned

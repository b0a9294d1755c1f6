"""Which custody of keys stands behind each scheme of a key URI; none is opened before a key of it is used."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path

from strongroom.adapters.keys.file import FileKeyProvider
from strongroom.adapters.keys.routed import Custody, RoutedKeys
from strongroom.adapters.keys.secret_file import read_secret
from strongroom.adapters.keys.trusted_module import require_trusted_module
from strongroom.errors import DeniedError, InvalidError
from strongroom.settings import (
    AwsKeySettings,
    AzureKeySettings,
    GoogleKeySettings,
    KeySettings,
    Pkcs11Settings,
    VaultSettings,
)

Ask = Callable[[str], str]
"""Asks a person for the secret that the text names."""


def open_custodies(
    keystore: FileKeyProvider, settings: KeySettings, home: Path, ask: Ask | None = None
) -> RoutedKeys:
    """Return all custodies by scheme. Relative paths in ``settings`` begin at ``home``."""
    openers: dict[str, Callable[[], Custody]] = {
        "file": lambda: keystore,
        "pkcs11": lambda: _open_pkcs11(settings.pkcs11, home, ask),
        "awskms": lambda: _open_aws(settings.aws, home),
        "azurekv": lambda: _open_azure(settings.azure, home),
        "gcpkms": lambda: _open_gcp(settings.gcp, home),
        "vault": lambda: _open_vault(settings.vault, home, ask),
    }
    return RoutedKeys(openers)


def _open_pkcs11(settings: Pkcs11Settings, home: Path, ask: Ask | None) -> Custody:
    name = "keys.pkcs11.module"
    module = require_trusted_module(Path(require_setting(settings.module, name)), name)
    token = require_setting(settings.token, "keys.pkcs11.token")
    with needs_extra("pkcs11", "hsm"):
        from strongroom.adapters.keys.pkcs11 import Pkcs11Keys
    pin = secret_from(home, settings.pin_file, f"PIN of the token {token}", ask)
    return Pkcs11Keys(str(module), token, pin, deadline_s=settings.deadline_s)


def _open_vault(settings: VaultSettings, home: Path, ask: Ask | None) -> Custody:
    address = require_setting(settings.address, "keys.vault.address")
    with needs_extra("vault", "vault"):
        from strongroom.adapters.keys.vault import VaultKeys
        from strongroom.adapters.keys.wire import Wire
    bundle = _path(home, settings.ca_bundle)
    wire = Wire("vault", address, deadline_s=settings.deadline_s, ca_bundle=bundle)
    token = secret_from(home, settings.token_file, "token of vault", ask)
    return VaultKeys(wire, token, settings.mount, settings.namespace)


def _open_aws(settings: AwsKeySettings, home: Path) -> Custody:
    with needs_extra("awskms", "aws"):
        from strongroom.adapters.keys.aws import AwsKeys
        from strongroom.adapters.keys.aws_calls import KmsCalls
    calls = KmsCalls(
        region=settings.region,
        endpoint=settings.endpoint,
        ca_bundle=_path(home, settings.ca_bundle),
        deadline_s=settings.deadline_s,
    )
    return AwsKeys(calls, deletion_days=settings.deletion_days)


def _open_azure(settings: AzureKeySettings, home: Path) -> Custody:
    address = require_setting(settings.vault, "keys.azure.vault")
    with needs_extra("azurekv", "azure"):
        from strongroom.adapters.keys.azure import AzureKeys
        from strongroom.adapters.keys.azure_credentials import AzureBearer
        from strongroom.adapters.keys.bearer import BearerWire
        from strongroom.adapters.keys.wire import Wire
    bundle = _path(home, settings.ca_bundle)
    wire = Wire("azurekv", address, deadline_s=settings.deadline_s, ca_bundle=bundle)
    bearer = AzureBearer(wire.host, settings.deadline_s)
    return AzureKeys(BearerWire("azurekv", wire, bearer), hsm=settings.protection == "hsm")


def _open_gcp(settings: GoogleKeySettings, home: Path) -> Custody:
    key_ring = require_setting(settings.key_ring, "keys.gcp.key_ring")
    with needs_extra("gcpkms", "gcp"):
        from strongroom.adapters.keys.bearer import BearerWire
        from strongroom.adapters.keys.gcp import GoogleKeys
        from strongroom.adapters.keys.gcp_credentials import GoogleBearer
        from strongroom.adapters.keys.wire import Wire
    bundle = _path(home, settings.ca_bundle)
    wire = Wire("gcpkms", settings.endpoint, deadline_s=settings.deadline_s, ca_bundle=bundle)
    bearer = GoogleBearer(settings.deadline_s)
    return GoogleKeys(BearerWire("gcpkms", wire, bearer), key_ring, hsm=settings.protection == "hsm")


def _path(home: Path, path: str | None) -> Path | None:
    return None if path is None else home / Path(path).expanduser()


def secret_from(home: Path, path: str | None, what: str, ask: Ask | None) -> Callable[[], str]:
    """Return what reads the secret from its file at each call, or else asks for it.

    The call raises DeniedError if there is neither.
    """
    if path is not None:
        return partial(read_secret, home / Path(path).expanduser(), what)

    @cache
    def asked() -> str:
        if ask is None:
            raise DeniedError(f"{what}: is needed, and no file in the settings holds it")
        return ask(what)

    return asked


def require_setting(value: str | None, name: str) -> str:
    """Raises InvalidError: a custody is used whose setting ``name`` is missing."""
    if not value:
        raise InvalidError(f"{name}: is not set", hint="see docs/keys.md")
    return value


@contextmanager
def needs_extra(scheme: str, extra: str) -> Iterator[None]:
    """Translate a missing vendor library. Raises InvalidError."""
    try:
        yield
    except ImportError as error:
        raise InvalidError(
            f"{scheme}: needs {error.name or extra}, which is not installed",
            hint=f"pip install 'strongroom[{extra}]'",
        ) from None

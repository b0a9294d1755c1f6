"""The one place where a home becomes objects: which adapter stands behind each port."""

import os
import shutil
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from strongroom.adapters.clock import SystemClock
from strongroom.adapters.durable import sync_folder
from strongroom.adapters.entropy import SystemEntropy
from strongroom.adapters.homes.exchange import exchange
from strongroom.adapters.host.python import PythonHost
from strongroom.adapters.identity.mtls import BuiltInAuthority, build_ca
from strongroom.adapters.journals.local import LocalJournals
from strongroom.adapters.keys.file import FileKeyProvider
from strongroom.adapters.marks.local import LocalMarks
from strongroom.adapters.memory.memfd import MemfdProvider
from strongroom.adapters.vulnerabilities.local import LocalVulnerabilities
from strongroom.custodies import Ask, open_custodies
from strongroom.errors import InvalidError, OutageError, RejectedError, shorten
from strongroom.flows.establish import Founder, establish
from strongroom.flows.vault import CA_KEY, LOG_KEY, SIGNING_KEY, Vault
from strongroom.ledgers import CATALOG, LOCKS, LOG, open_ledgers
from strongroom.settings import FILE_NAME, Settings, parse_settings, read_settings
from strongroom.stores import open_blobs, open_bucket
from strongroom.trust.certificates import public_key_of
from strongroom.trust.keyring import KeyHistory, SigningKey, TrustRoot
from strongroom.trust.signatures import PublicKey

KEYSTORE = "keystore.json"
BLOBS = "blobs"
JOURNALS = "journals"
MARKS = "marks"
OSV = "osv"
TRUST_ROOT = "trust.json"
CA_CERTIFICATE = "ca.pem"
MAX_TRUST_ROOT_BYTES = 2**20
__all__ = [
    "BLOBS",
    "CATALOG",
    "JOURNALS",
    "LOCKS",
    "LOG",
    "create_home",
    "journals_folder",
    "open_home",
    "save_signing_keys",
]

_SETTINGS_TEXT = """\
# Strongroom settings; `strongroom doctor` shows the ones in force. An unknown name stops the start.
identity = "{identity}"
"""


def create_home(home: Path, passphrase: str, founder: Founder) -> Vault:
    """Make a home: keystore, CA, log, catalog, first identity. It appears whole or not at all (I12).

    A folder that holds nothing but settings becomes the home, and they say where catalog and log are made.

    Raises:
        InvalidError: something is there already, or the passphrase is too weak.
        OutageError: the disk is full or read-only; nothing is left behind.
    """
    with _translated(home):
        prepared = _read_prepared(home)
        home.parent.mkdir(parents=True, exist_ok=True)
        # Not named after the process: in a container the next one has the same number.
        draft = home.with_name(f".{home.name}.{SystemEntropy().bytes(8).hex()}.draft")
        draft.mkdir(mode=0o700)
        try:
            _furnish(draft, passphrase, founder, prepared)
            sync_folder(draft)
            _put_in_place(draft, home)
            sync_folder(home.parent)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    return open_home(home, passphrase)


def open_home(home: Path, passphrase: str | None = None, *, ask: Ask | None = None) -> Vault:
    """Return the home's ports; without a passphrase the keystore stays locked (read-only flows).

    ``ask`` is called for the secret of another custody that no file holds, such as a PIN.

    Raises:
        InvalidError: there is no home here, or its settings are wrong.
        DeniedError: the passphrase is wrong.
        RejectedError: the trust root beside the keystore is not the keystore's own.
    """
    with _translated(home):
        if not (home / FILE_NAME).is_file():
            raise InvalidError(f"{home}: no strongroom home here", hint="run: strongroom init")
    keys = FileKeyProvider.open_file(home / KEYSTORE, passphrase) if passphrase is not None else None
    return _assemble(home, _read_trust_root(home), keys, read_settings(home), ask)


def journals_folder(home: Path) -> Path:
    return home / JOURNALS


def _read_prepared(home: Path) -> str:
    """Return the settings that somebody has put into an otherwise empty home; empty if there are none."""
    found = [path.name for path in home.iterdir()] if home.exists() else []
    if not found:
        return ""
    if found != [FILE_NAME]:
        raise InvalidError(f"{home}: exists already and is not empty", hint="choose another with --home")
    read_settings(home)
    return (home / FILE_NAME).read_text()


def _put_in_place(draft: Path, home: Path) -> None:
    """Let the draft be the home; what was prepared there takes the draft's name."""
    if not home.exists():
        draft.rename(home)
    elif not any(home.iterdir()):
        home.rmdir()
        draft.rename(home)
    else:
        exchange(draft, home)


def _build_settings(prepared: str, founder: Founder) -> str:
    if not prepared:
        return _SETTINGS_TEXT.format(identity=founder.name)
    named = parse_settings(prepared, FILE_NAME).identity
    if named is None:
        return f'identity = "{founder.name}"\n{prepared}'
    if named != founder.name:
        raise InvalidError(f"{FILE_NAME}: names {shorten(named)}", hint=f"strongroom init --identity {named}")
    return prepared


def _furnish(home: Path, passphrase: str, founder: Founder, prepared: str) -> None:
    text = _build_settings(prepared, founder)
    settings = parse_settings(text, FILE_NAME)
    clock = SystemClock()
    keys = FileKeyProvider.create_file(home / KEYSTORE, passphrase)
    log_signer = keys.create_signer(LOG_KEY, "ed25519")
    signing = keys.create_signer(SIGNING_KEY, "ecdsa-p256")
    ca_signer = keys.create_signer(CA_KEY, "ecdsa-p256")
    name = f"home-{SystemEntropy().bytes(8).hex()}.strongroom.internal"
    root = TrustRoot(
        trust_domain=name,
        ca_pem=build_ca(ca_signer, name, clock.now(), SystemEntropy()),
        log_origin=f"{name}/log",
        log_public_key=PublicKey.from_pem(log_signer.public_pem),
        signing_keys=KeyHistory((SigningKey(PublicKey.from_pem(signing.public_pem), clock.now()),)),
    )
    _write(home / TRUST_ROOT, root.to_bytes())
    _write(home / CA_CERTIFICATE, root.ca_pem)
    for folder in (JOURNALS, LOCKS):
        (home / folder).mkdir(mode=0o700)
    vault = _assemble(home, root, keys, settings)
    if vault.log.checkpoint() is not None:
        raise InvalidError(
            f"store.log: {shorten(settings.store.log)} holds the log of another home",
            hint="to work with that home here, copy it (docs/catalog-and-log.md); else name another place",
        )
    establish(vault, founder)
    _write(home / FILE_NAME, text.encode())


def _assemble(
    home: Path,
    root: TrustRoot,
    keys: FileKeyProvider | None,
    settings: Settings,
    ask: Ask | None = None,
) -> Vault:
    marks = LocalMarks(home / MARKS)
    bucket_of = partial(open_bucket, settings.store, home)
    ledgers = open_ledgers(home, root.log_origin, settings.store, marks, bucket_of)
    blobs, transit = open_blobs(settings.store, home)
    if keys is not None:
        _require_own(root, keys)
    vault = Vault(
        trust_root=root,
        clock=SystemClock(),
        entropy=SystemEntropy(),
        blobs=blobs,
        transit=transit,
        records=ledgers.records,
        log=ledgers.log,
        journals=LocalJournals(home / JOURNALS),
        locks=ledgers.locks,
        memory=MemfdProvider(),
        packages=PythonHost(),
        vulnerabilities=LocalVulnerabilities(home / OSV),
        key_template=settings.keys.families,
        marks=marks,
        list_max_age_s=settings.revocation.max_age_s,
        origin=f"{socket.gethostname()[:64]}:{os.getpid()}",
    )
    if keys is not None:
        vault.tls_keys = keys
        vault.keys = vault.signers = open_custodies(keys, settings.keys, home, ask)
        vault.ca = BuiltInAuthority(root.ca_pem, root.trust_domain, keys.signer(CA_KEY), vault.entropy)
    return vault


def _require_own(root: TrustRoot, keys: FileKeyProvider) -> None:
    """The keystore's keys are the anchor: a trust root and a log put in place of ours are somebody else's."""
    own_log = PublicKey.from_pem(keys.signer(LOG_KEY).public_pem)
    own_ca = PublicKey.from_pem(keys.signer(CA_KEY).public_pem)
    if root.log_public_key.key_id != own_log.key_id or public_key_of(root.ca_pem).key_id != own_ca.key_id:
        raise RejectedError(
            f"{TRUST_ROOT}: names other keys than the keystore holds", hint="restore it from a backup"
        )


def _read_trust_root(home: Path) -> TrustRoot:
    path = home / TRUST_ROOT
    with _translated(path):
        # A pipe or a device in its place must neither stop nor fill the process.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise RejectedError(f"{path}: is not a plain file")
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                data = file.read(MAX_TRUST_ROOT_BYTES + 1)
        finally:
            os.close(descriptor)
    try:
        return TrustRoot.parse(data)
    except InvalidError as error:
        raise RejectedError(f"{TRUST_ROOT}: {error.message}", hint="restore it from a backup") from None


def save_signing_keys(home: Path, vault: Vault, keys: KeyHistory) -> bool:
    """Bring ``trust.json``, which strangers check with, up to the signing keys of the log; whether it had to.

    Raises:
        OutageError: the disk is full or read-only; the file is as it was.
    """
    if _read_trust_root(home).signing_keys == keys:
        return False
    root = replace(vault.trust_root, signing_keys=keys)
    fresh = home / f".{TRUST_ROOT}.{vault.entropy.bytes(8).hex()}"
    with _translated(fresh):
        try:
            _write(fresh, root.to_bytes())
            fresh.replace(home / TRUST_ROOT)
            sync_folder(home)
        finally:
            fresh.unlink(missing_ok=True)
    return True


def _write(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise InvalidError(f"{path}: is missing") from None
    except PermissionError:
        raise InvalidError(f"{path}: may not be read or written by this user") from None
    except NotADirectoryError:
        raise InvalidError(f"{path}: is not a folder") from None
    except OSError as error:
        raise OutageError(f"{path}: {error.strerror}") from None

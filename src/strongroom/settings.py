"""What can be set: one frozen value, read once from ``strongroom.toml``; an unknown name stops the start."""

import os
import stat
import tomllib
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from strongroom.errors import InvalidError, shorten
from strongroom.trust.rotation import RotationPolicy
from strongroom.values import is_family, parse_key_uri

HOME_VARIABLE = "STRONGROOM_HOME"
DEFAULT_HOME = Path("~/.strongroom")
FILE_NAME = "strongroom.toml"
_KEYSTORE_NAME = "keystore.json"
MAX_FILE_BYTES = 2**20
MAX_SAFE_SNAPSHOT_AGE_S = 60.0
MAX_SAFE_FOLD_INTERVAL_S = 300.0
MAX_SAFE_LIST_AGE_S = 86_400
"""What is longer counts as an insecure choice."""

Seconds = Annotated[float, Field(gt=0, le=86400)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class ServeSettings(_Section):
    """The gateway: where it listens and what it bears."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8443
    names: list[str] = ["localhost", "127.0.0.1"]
    """DNS names and IP addresses in the server certificate."""
    max_connections: Annotated[int, Field(ge=1, le=65536)] = 1024
    max_connections_per_principal: Annotated[int, Field(ge=1, le=65536)] = 256
    max_body_bytes: Annotated[int, Field(ge=1, le=2**30)] = 16 * 2**20
    max_rows: Annotated[int, Field(ge=1, le=2**20)] = 4096
    queue_limit: Annotated[int, Field(ge=1, le=65536)] = 1024
    deadline_s: Seconds = 10.0
    header_timeout_s: Seconds = 5.0
    body_timeout_s: Seconds = 15.0
    idle_timeout_s: Seconds = 60.0
    handshake_timeout_s: Seconds = 5.0
    drain_timeout_s: Seconds = 10.0
    snapshot_max_age_s: Seconds = 5.0
    """The gateway answers 503 once what it knows of grants and revocations is older than this."""
    server_certificate_hours: Annotated[int, Field(ge=1, le=24 * 90)] = 24
    threads: Annotated[int, Field(ge=1, le=64)] = 1
    """Threads of one worker inside one inference."""
    load_timeout_s: Seconds = 120.0


class LogSettings(_Section):
    durability: Literal["strict", "insecure-relaxed"] = "strict"
    fold_interval_s: Seconds = 30.0
    """How often the gateways' journals are folded into the log while they grow."""


class SandboxSettings(_Section):
    require: list[Literal["no_new_privs", "rlimits", "seccomp", "isolation", "landlock", "namespaces"]] = [
        "no_new_privs",
        "rlimits",
        "seccomp",
        "isolation",
    ]
    """Layers without which no worker starts; ``isolation`` is Landlock or namespaces."""


class IdentitySettings(_Section):
    certificate_days: Annotated[int, Field(ge=1, le=90)] = 7
    grant_days: Annotated[int, Field(ge=1, le=366)] = 30
    """How long a grant lasts when no end is given."""


class _BucketSettings(_Section):
    """What buckets of every cloud have; credentials come from the cloud's own chain, never from here."""

    endpoint: str | None = None
    """URL of the service, for S3-compatible stores, private endpoints and emulators."""
    ca_bundle: str | None = None
    """PEM file with the authorities that the endpoint's certificate is checked against."""
    deadline_s: Annotated[float, Field(gt=0, le=3600)] = 60.0
    """For one request with all its retries; then the store counts as silent."""
    insecure_public_bucket: bool = Field(default=False, alias="insecure-public-bucket")
    insecure_unencrypted_bucket: bool = Field(default=False, alias="insecure-unencrypted-bucket")
    insecure_overwrites: bool = Field(default=False, alias="insecure-overwrites")
    insecure_http: bool = Field(default=False, alias="insecure-http")

    def insecure_choices(self, section: str) -> list[str]:
        """Each opt-out in force, by name (I10)."""
        meanings = (
            (self.insecure_public_bucket, "public-bucket", "others may be able to read or list the store"),
            (self.insecure_unencrypted_bucket, "unencrypted-bucket", "the store need not encrypt at rest"),
            (self.insecure_overwrites, "overwrites", "the store may replace an object that exists"),
            (self.insecure_http, "http", "requests may travel unencrypted"),
        )
        return [f"{section}.insecure-{name} = true: {meaning}" for on, name, meaning in meanings if on]


class S3Settings(_BucketSettings):
    region: str | None = None
    sse: Literal["AES256", "aws:kms", "aws:kms:dsse"] | None = None
    """Asked for with every object; else the bucket's own default holds."""
    kms_key_id: str | None = None


class GoogleSettings(_BucketSettings):
    kms_key: str | None = None
    """Resource name of the key that new objects are encrypted with; else the bucket's default."""


class AzureSettings(_BucketSettings):
    account: str | None = None
    encryption_scope: str | None = None
    """Scope, and so customer-managed key, of new objects; else the container's default."""


class PostgresSettings(_Section):
    """The database of a shared catalog or log; its password is in a file or ~/.pgpass, never here."""

    schema_: str = Field(default="strongroom", alias="schema")
    """One home's tables; made if it is not there."""
    socket: str | None = None
    """Folder of the server's socket file, for a URL without a host; else ``/run/postgresql``."""
    password_file: str | None = None
    """File whose first line is the password; read anew for every connection."""
    tls: Literal["verify-full", "insecure-encrypt-only", "insecure-plain"] = "verify-full"
    """How the server proves itself, if it is not on this machine."""
    ca_file: str | None = None
    """PEM file with the authorities that its certificate is checked against; else those of the system."""
    certificate_file: str | None = None
    key_file: str | None = None
    """Certificate and key that this machine shows to the server."""

    def insecure_choices(self, section: str) -> list[str]:
        """The opt-out in force, by name (I10)."""
        meaning = {
            "insecure-encrypt-only": "whoever stands between may be the database",
            "insecure-plain": "whoever stands between reads and writes what the database is told",
        }.get(self.tls)
        return [] if meaning is None else [f"{section}.tls = {self.tls}: {meaning}"]


class StoreSettings(_Section):
    """Where things lie: on this disk, or in a service that several machines share."""

    blobs: str = "file:blobs"
    """``file:blobs`` in the home, ``s3://bucket/prefix``, ``gs://bucket/prefix``, ``az://container/prefix``."""
    catalog: str = "sqlite:catalog.sqlite"
    """``sqlite:catalog.sqlite`` in the home, or ``postgresql://user@host/database``."""
    log: str = "file:log"
    """``file:log`` in the home, ``postgresql://user@host/database``, or a bucket as for ``blobs``."""
    s3: S3Settings = S3Settings()
    gs: GoogleSettings = GoogleSettings()
    az: AzureSettings = AzureSettings()
    postgres: PostgresSettings = PostgresSettings()

    def insecure_choices(self) -> list[str]:
        """Each opt-out in force, by name (I10)."""
        sections = (("store.s3", self.s3), ("store.gs", self.gs), ("store.az", self.az))
        found = [choice for name, section in sections for choice in section.insecure_choices(name)]
        return [*found, *self.postgres.insecure_choices("store.postgres")]


class Pkcs11Settings(_Section):
    """A hardware security module behind its PKCS #11 library."""

    module: str | None = None
    """Absolute path of the vendor's library, for instance ``/usr/lib/softhsm/libsofthsm2.so``."""
    token: str | None = None
    """Label of the token that holds the keys."""
    pin_file: str | None = None
    """File whose first line is the user PIN; else it is asked for."""
    deadline_s: Annotated[float, Field(gt=0, le=600)] = 15.0
    """For one operation of the token; then it counts as silent."""


class AwsKeySettings(_Section):
    """AWS KMS; credentials come from the SDK's own chain."""

    region: str | None = None
    endpoint: str | None = None
    ca_bundle: str | None = None
    deletion_days: Annotated[int, Field(ge=7, le=30)] = 7
    """How long a destroyed version waits, unusable, before its material is gone."""
    deadline_s: Annotated[float, Field(gt=0, le=600)] = 15.0
    """For one request with all its retries; then the service counts as silent."""


class VaultSettings(_Section):
    """The Transit engine of HashiCorp Vault or OpenBao."""

    address: str | None = None
    mount: str = "transit"
    token_file: str | None = None
    """File whose first line is the token; read again for every request, so an agent may renew it."""
    ca_bundle: str | None = None
    namespace: str | None = None
    deadline_s: Annotated[float, Field(gt=0, le=600)] = 15.0
    """For one request with all its retries; then the server counts as silent."""


class AzureKeySettings(_Section):
    """Azure Key Vault or Managed HSM; credentials come from the SDK's own chain."""

    vault: str | None = None
    """URL of the vault, for instance ``https://models.vault.azure.net``."""
    protection: Literal["software", "hsm"] = "software"
    """Where new keys are made; ``hsm`` needs a premium vault or a managed HSM."""
    ca_bundle: str | None = None
    deadline_s: Annotated[float, Field(gt=0, le=600)] = 15.0
    """For one request with all its retries; then the service counts as silent."""


class GoogleKeySettings(_Section):
    """Google Cloud KMS; credentials come from the SDK's own chain."""

    key_ring: str | None = None
    """``projects/<project>/locations/<location>/keyRings/<ring>``; it exists already."""
    protection: Literal["software", "hsm"] = "software"
    """Where new keys are made."""
    endpoint: str = "https://cloudkms.googleapis.com"
    ca_bundle: str | None = None
    deadline_s: Annotated[float, Field(gt=0, le=600)] = 15.0
    """For one request with all its retries; then the service counts as silent."""


Span = Annotated[str, Field(pattern=r"^[1-9][0-9]{0,4}[hd]$")]
"""Hours or days, for instance ``30d``."""


def span_of(text: Span) -> timedelta:
    """Return how long a checked span is."""
    return timedelta(hours=int(text[:-1])) if text.endswith("h") else timedelta(days=int(text[:-1]))


class RotationSettings(_Section):
    """How long keys may be in force; what is older is overdue (docs/rotation.md)."""

    every: Span = "365d"
    """The key-encryption key of a family."""
    signing: Span = "365d"
    families: dict[str, Span] = {}
    """Families for which ``every`` is not right, by name."""

    @field_validator("families")
    @classmethod
    def _require_families(cls, spans: dict[str, str]) -> dict[str, str]:
        for name in spans:
            if not is_family(name):
                raise ValueError(f"{shorten(name)} is not a family name")
        return spans

    @property
    def policy(self) -> RotationPolicy:
        families = {name: span_of(text) for name, text in self.families.items()}
        return RotationPolicy(span_of(self.every), span_of(self.signing), families)


class KeySettings(_Section):
    """Which custody new keys are made in, and how each custody is reached."""

    families: str = "file:kek/{family}"
    """URI of the key-encryption key of a new family."""
    signing: str = "file:sign/{number}"
    """URI of the next signing key."""
    rotation: RotationSettings = RotationSettings()
    pkcs11: Pkcs11Settings = Pkcs11Settings()
    aws: AwsKeySettings = AwsKeySettings()
    vault: VaultSettings = VaultSettings()
    azure: AzureKeySettings = AzureKeySettings()
    gcp: GoogleKeySettings = GoogleKeySettings()

    @field_validator("families", "signing")
    @classmethod
    def _require_template(cls, text: str, info: ValidationInfo) -> str:
        """One key must never stand for two families, or for two signing keys (F08)."""
        blank = "{family}" if info.field_name == "families" else "{number}"
        before, _, after = text.partition(blank)
        if text.count(blank) != 1 or any(sign in before + after for sign in "{}"):
            raise ValueError(f"must hold {blank} once, and no other brace")
        try:
            parse_key_uri(before + "0" + after)
        except InvalidError as error:
            raise ValueError(error.message) from None
        return text


class RevocationSettings(_Section):
    """The revocation list (docs/revocation.md)."""

    max_age_s: Annotated[int, Field(ge=10, le=7 * 86400)] = 3600
    """A host that cannot get a younger list stops serving; it is issued anew after a third of this."""


class SourceSettings(_Section):
    """Places that `publish` fetches from; a secret is in a file of its own, the first line of it."""

    hf_endpoint: str = "https://huggingface.co"
    hf_token_file: str | None = None
    """Else ``$HF_TOKEN``, else the file that ``$HF_TOKEN_PATH`` names."""
    git_token_files: dict[str, str] = {}
    """By host name, with its port if it is not 443; sent to that host only."""
    docker_config: str | None = None
    """Else ``$DOCKER_CONFIG/config.json``, else ``~/.docker/config.json``."""
    ca_bundle: str | None = None
    """PEM file of the authorities to believe instead of the system's."""


class WatchSettings(_Section):
    """How the store is watched, beside serving and by `strongroom watch`."""

    in_serve: bool = True
    rate_mib_s: Annotated[int, Field(ge=1, le=65536)] = 32
    """Content read in a second, at the most."""
    survey_s: Annotated[float, Field(ge=1, le=3600)] = 20.0
    """Between two looks at what the store says of its objects."""
    reread_hours: Annotated[float, Field(gt=0, le=8760)] = 24.0
    """After so long content is read though nothing says that it changed."""


class Settings(_Section):
    """All sections; every field has a safe default, so an empty file is a good one."""

    identity: str | None = None
    """Who acts when ``--identity`` is not given."""
    serve: ServeSettings = ServeSettings()
    log: LogSettings = LogSettings()
    sandbox: SandboxSettings = SandboxSettings()
    identities: IdentitySettings = IdentitySettings()
    store: StoreSettings = StoreSettings()
    sources: SourceSettings = SourceSettings()
    revocation: RevocationSettings = RevocationSettings()
    keys: KeySettings = KeySettings()
    watch: WatchSettings = WatchSettings()

    def insecure_choices(self) -> list[str]:
        """Each setting that weakens a default, by name (I10)."""
        found = []
        if self.serve.snapshot_max_age_s > MAX_SAFE_SNAPSHOT_AGE_S:
            found.append(
                f"serve.snapshot_max_age_s = {self.serve.snapshot_max_age_s:g}: "
                "a gateway that hears nothing goes on that long without learning of a revocation"
            )
        if self.log.fold_interval_s > MAX_SAFE_FOLD_INTERVAL_S:
            found.append(
                f"log.fold_interval_s = {self.log.fold_interval_s:g}: "
                "what gateways recorded stays out of the log that long"
            )
        if self.log.durability != "strict":
            found.append("log.durability = insecure-relaxed: an answer can outrun its record")
        required = set(self.sandbox.require)
        missing = {"no_new_privs", "rlimits", "seccomp", "isolation"} - required
        if {"landlock", "namespaces"} & required:
            missing.discard("isolation")
        if missing:
            found.append(f"sandbox.require: does not demand {', '.join(sorted(missing))}")
        if self.revocation.max_age_s > MAX_SAFE_LIST_AGE_S:
            found.append(
                f"revocation.max_age_s = {self.revocation.max_age_s}: "
                "a host that is cut off goes on that long without learning of a revocation"
            )
        return [*found, *self.store.insecure_choices()]


def find_home(given: Path | None) -> Path:
    """Return the home: ``--home``, else ``$STRONGROOM_HOME``, else ``~/.strongroom``.

    Raises InvalidError: no such user, or a relative path from a folder that is gone.
    """
    chosen = given or Path(os.environ.get(HOME_VARIABLE) or DEFAULT_HOME)
    try:
        return chosen.expanduser().absolute()
    except RuntimeError:
        raise InvalidError(f"{shorten(chosen)}: there is no such user") from None
    except OSError:
        raise InvalidError("home: the current folder is gone", hint="give an absolute path") from None


def _read_plain(path: Path) -> bytes:
    """Without blocking: a pipe or a device in the file's place must not stop or fill the process."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise InvalidError(f"{path}: is not a plain file")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            text = file.read(MAX_FILE_BYTES + 1)
    finally:
        os.close(descriptor)
    if len(text) > MAX_FILE_BYTES:
        raise InvalidError(f"{path}: larger than {MAX_FILE_BYTES} bytes")
    return text


def read_settings(home: Path) -> Settings:
    """Raises InvalidError naming the first wrong setting."""
    path = home / FILE_NAME
    try:
        text = _read_plain(path)
    except FileNotFoundError:
        if (home / _KEYSTORE_NAME).exists():
            raise InvalidError(f"{path}: is missing", hint="restore it, or make an empty one") from None
        raise InvalidError(f"{home}: no strongroom home here", hint="run: strongroom init") from None
    except OSError as error:
        raise InvalidError(f"{path}: {error.strerror}") from None
    try:
        return parse_settings(text.decode(), str(path))
    except UnicodeDecodeError as error:
        raise InvalidError(f"{path}: {shorten(error)}") from None


def parse_settings(text: str, path: str) -> Settings:
    """Raises InvalidError naming ``path`` and the first wrong setting."""
    try:
        return Settings.model_validate(tomllib.loads(text))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise InvalidError(f"{path}: {shorten(error)}") from None
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise InvalidError(f"{path}: {shorten(name)}: {first['msg'].lower()}") from None

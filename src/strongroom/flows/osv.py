"""The vulnerability database of a home: imported whole or not at all, believed only as the log names it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from strongroom.errors import InvalidError, RejectedError, shorten
from strongroom.flows.inventory import show_version
from strongroom.flows.vault import (
    CONTROL_LOCK,
    Vault,
    build_event,
    moment,
    read_authority,
    record,
    require_permission,
)
from strongroom.ports import AdvisorySource, Vulnerabilities
from strongroom.scan.advisories import parse_record
from strongroom.scan.bill import OWN_PACKAGE
from strongroom.scan.dependencies import Dependency, build_dependency, find_dependencies
from strongroom.scan.lockfiles import Lockfile
from strongroom.scan.osv_database import (
    MAX_DATABASE_BYTES,
    Database,
    DatabaseInfo,
    build_database,
    database_to_bytes,
)
from strongroom.scan.scan import Match
from strongroom.scan.vulnerabilities import (
    Vulnerability,
    check_dependencies,
    find_vulnerabilities,
    is_stale,
)
from strongroom.trust.authority import Authority
from strongroom.trust.fold import OSV_DATABASE
from strongroom.values import Action, Digest, ModelId

IMPORT_LOCK = "osv"
MAX_SOURCE_CHARS = 300
OWN_ENVIRONMENT = "this environment"


@dataclass(frozen=True, slots=True)
class Imported:
    """What `import_database` made."""

    info: DatabaseInfo
    digest: Digest
    log_index: int


@dataclass(frozen=True, slots=True)
class DatabaseStatus:
    """The database in use."""

    info: DatabaseInfo
    digest: Digest
    age_days: int
    stale: bool


def import_database(
    vault: Vault, actor: str, source: AdvisorySource, *, allow_older: bool = False, dry_run: bool = False
) -> Imported:
    """Put a database in the place of the one in use; that one stays if anything in the new one is not sound.

    Raises:
        DeniedError: the actor may not configure this home.
        InvalidError: the new one is older than the one in use.
        RejectedError: a record cannot be read, or none is about a PyPI package.
        OutageError: the disk is full; the one in use stays.
    """
    store = _require_store(vault)
    # (1) permission, before anything is read
    authority = read_authority(vault)
    decision = require_permission(vault, authority, actor, Action.CONFIGURE, "*")
    # (2) all of it is read and understood
    now = moment(vault, authority)
    records = [parse_record(data) for data in source.records()]
    info, lines = build_database(
        records, now=now, source=_printable(source.name), source_sha256=source.sha256
    )
    data = database_to_bytes(info, lines)
    digest = Digest.of(data)
    _require_newer(find_info(authority), info, allow_older=allow_older)
    if dry_run:
        return Imported(info, digest, -1)
    with vault.locks.hold(IMPORT_LOCK):
        # (3) beside the one in use, whole and durable
        store.put(digest, data)
        # (4) the record makes it the one in use; whoever dies here leaves the old one or the new one
        index = _record_use(vault, actor, info, digest, decision.rule)
        store.keep_only(digest)
    return Imported(info, digest, index)


def read_database(vault: Vault) -> Database | None:
    """Return the database in use; None if none was ever imported.

    Raises:
        RejectedError: it is missing, or not what was imported.
    """
    named = read_authority(vault).settings.get(OSV_DATABASE)
    if named is None:
        return None
    return Database.parse(_require_store(vault).read(_digest(named), MAX_DATABASE_BYTES))


def database_status(vault: Vault) -> DatabaseStatus | None:
    """Return the age of the database in use; None if there is none. Raises as `read_database` does."""
    database = read_database(vault)
    if database is None:
        return None
    authority = read_authority(vault)
    now = moment(vault, authority)
    age_days = max(0, (now - database.info.as_of).days)
    digest = _digest(authority.settings[OSV_DATABASE])
    return DatabaseStatus(database.info, digest, age_days, is_stale(database.info, now))


def check_version(vault: Vault, actor: str, model: ModelId) -> tuple[Match, ...]:
    """Return what is to be said of a version's packages and of the engine that serves it."""
    return _check(vault, _packages_of(vault, actor, model), str(model))


def check_lockfile(vault: Vault, lockfile: Lockfile, name: str) -> tuple[Match, ...]:
    """Return what is to be said of a lockfile's packages."""
    return _check(vault, lockfile.dependencies, name)


def check_own(vault: Vault) -> tuple[Match, ...]:
    """Return what is to be said of the packages that Strongroom itself runs on, here and now.

    Raises:
        InvalidError: this process cannot say what is installed.
    """
    if vault.packages is None:
        raise InvalidError("osv: what is installed here is not known")
    versions = vault.packages.versions()
    needed = vault.packages.closure(OWN_PACKAGE)
    if not needed:
        raise InvalidError("osv: strongroom is not installed as a package here")
    return _check(vault, [build_dependency(name, versions[name]) for name in sorted(needed)], OWN_ENVIRONMENT)


def vulnerabilities_of(vault: Vault, actor: str, model: ModelId) -> tuple[Vulnerability, ...]:
    """Return the known holes in a version's packages.

    Raises:
        InvalidError: there is no database to find them in.
    """
    database = read_database(vault)
    if database is None:
        raise InvalidError("osv: no database was imported", hint="strongroom osv import FILE|URL")
    return find_vulnerabilities(_packages_of(vault, actor, model), database.find)


def find_info(authority: Authority) -> DatabaseInfo | None:
    """Return what the log says of the database in use."""
    named = authority.settings.get(OSV_DATABASE)
    return DatabaseInfo.from_json({**named}) if named is not None else None


def _check(
    vault: Vault, dependencies: "list[Dependency] | tuple[Dependency, ...]", where: str
) -> tuple[Match, ...]:
    now: datetime = moment(vault, read_authority(vault))
    return check_dependencies(dependencies, read_database(vault), now, where)


def _packages_of(vault: Vault, actor: str, model: ModelId) -> list[Dependency]:
    declared = show_version(vault, actor, model).statement.dependencies
    found = find_dependencies(declared)
    known = {(one.name, one.version) for one in found}
    return [*found, *(one for one in _runtime(declared) if (one.name, one.version) not in known)]


def _runtime(declared: Any) -> list[Dependency]:
    listed = declared.get("runtime")
    return [
        build_dependency(one["name"], one["version"])
        for one in (listed if isinstance(listed, list) else [])
        if isinstance(one, dict) and isinstance(one.get("name"), str) and isinstance(one.get("version"), str)
    ]


def _record_use(vault: Vault, actor: str, info: DatabaseInfo, digest: Digest, rule: str) -> int:
    with vault.locks.hold(CONTROL_LOCK):
        now = moment(vault, read_authority(vault))
        return record(
            vault,
            build_event(
                vault,
                now,
                actor,
                Action.CONFIGURE,
                OSV_DATABASE,
                rule=rule,
                setting=OSV_DATABASE,
                value={**info.to_json(), "digest": str(digest)},
            ),
        )


def _require_newer(used: DatabaseInfo | None, offered: DatabaseInfo, *, allow_older: bool) -> None:
    """Whoever brings an older one hides what has become known since."""
    if used is not None and offered.as_of < used.as_of and not allow_older:
        raise InvalidError(
            f"osv: the newest record is of {offered.as_of:%Y-%m-%d}, in use is one of {used.as_of:%Y-%m-%d}",
            hint="to go back all the same use --allow-older",
        )


def _printable(name: str) -> str:
    return name if name.isascii() and name.isprintable() and len(name) <= MAX_SOURCE_CHARS else shorten(name)


def _digest(named: Any) -> Digest:
    try:
        return Digest.parse(named["digest"])
    except (InvalidError, KeyError, TypeError):
        raise RejectedError("osv: the log names no database that can be read") from None


def _require_store(vault: Vault) -> Vulnerabilities:
    if vault.vulnerabilities is None:
        raise InvalidError("osv: this home has no place for a vulnerability database")
    return vault.vulnerabilities

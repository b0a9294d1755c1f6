"""CycloneDX 1.6 (ECMA-424) in JSON, checked against the official schema before it is given out.

The library has no model card; it is added to what the library wrote, before the check.
"""

import json
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.bom_ref import BomRef
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.contact import OrganizationalEntity
from cyclonedx.model.impact_analysis import ImpactAnalysisState
from cyclonedx.model.vulnerability import (
    BomTarget,
    VulnerabilityAnalysis,
    VulnerabilityRating,
    VulnerabilityReference,
    VulnerabilityScoreSource,
    VulnerabilitySeverity,
    VulnerabilitySource,
)
from cyclonedx.model.vulnerability import Vulnerability as CdxVulnerability
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

from strongroom.errors import RejectedError, shorten
from strongroom.scan.bill import OWN_PACKAGE, Bill, Runtime, find_architecture, find_task
from strongroom.scan.dependencies import Dependency, Ecosystem
from strongroom.scan.vulnerabilities import Vulnerability
from strongroom.values import Severity

SPEC_VERSION = SchemaVersion.V1_6
MAX_DOCUMENT_BYTES = 32 * 2**20
MAX_DEPTH = 64
_READ = {
    version.to_version(): version
    for version in SchemaVersion
    if version not in (SchemaVersion.V1_0, SchemaVersion.V1_1)  # these have no JSON
}
_RATINGS = {
    Severity.CRITICAL: VulnerabilitySeverity.CRITICAL,
    Severity.HIGH: VulnerabilitySeverity.HIGH,
    Severity.MEDIUM: VulnerabilitySeverity.MEDIUM,
    Severity.LOW: VulnerabilitySeverity.LOW,
    None: VulnerabilitySeverity.UNKNOWN,
}


class CycloneDx:
    """`BomFormat` for CycloneDX JSON."""

    def build(self, bill: Bill, vulnerabilities: Sequence[Vulnerability] | None = None) -> bytes:
        written = make_outputter(_bom(bill, vulnerabilities or ()), OutputFormat.JSON, SPEC_VERSION)
        document = json.loads(written.output_as_string())
        document["metadata"]["component"]["modelCard"] = _model_card(bill)
        if vulnerabilities is not None:
            document.setdefault("vulnerabilities", [])
        text = json.dumps(document, sort_keys=True, indent=2, ensure_ascii=False) + "\n"
        _require_schema(text, SPEC_VERSION)
        return text.encode()

    def require_valid(self, document: bytes) -> dict[str, Any]:
        if len(document) > MAX_DOCUMENT_BYTES:
            raise RejectedError(f"bom: larger than {MAX_DOCUMENT_BYTES} bytes")
        try:
            text = document.decode()
            _require_shallow(text)
            value = json.loads(text, object_pairs_hook=_unique)
        except (ValueError, RecursionError) as error:
            raise RejectedError(f"bom: is not JSON: {shorten(error)}") from None
        if not isinstance(value, dict) or value.get("bomFormat") != "CycloneDX":
            raise RejectedError("bom: is not CycloneDX in JSON")
        version = _READ.get(str(value.get("specVersion")))
        if version is None:
            raise RejectedError(f"bom: CycloneDX {shorten(value.get('specVersion'))} is not known")
        _require_schema(text, version)
        return value


def serial_number(statement: str) -> UUID:
    """The same for the same signed statement, and for no other."""
    return uuid5(NAMESPACE_URL, f"urn:strongroom:bom:{statement}")


def _bom(bill: Bill, vulnerabilities: Sequence[Vulnerability]) -> Bom:
    model = _model(bill)
    parts = [*_files(bill), *_packages(bill)]
    bom = Bom(
        serial_number=serial_number(bill.statement),
        version=1,
        metadata=BomMetaData(
            timestamp=bill.created_at, component=model, supplier=OrganizationalEntity(name=bill.owner)
        ),
        components=parts,
        vulnerabilities=[_vulnerability(one) for one in vulnerabilities],
    )
    bom.register_dependency(model, parts)
    for part in parts:
        bom.register_dependency(part)
    return bom


def _model(bill: Bill) -> Component:
    whole = bill.files[0].sha256 if len(bill.files) == 1 else None
    return Component(
        name=bill.family,
        version=bill.version,
        type=ComponentType.MACHINE_LEARNING_MODEL,
        bom_ref=f"model:{bill.model}",
        supplier=OrganizationalEntity(name=bill.owner),
        publisher=bill.publisher,
        hashes=_hashes([whole] if whole else []),
        properties=_properties(bill),
    )


def _properties(bill: Bill) -> list[Property]:
    engine = bill.engine
    named: list[tuple[str, object]] = [
        ("format", bill.format),
        ("main", bill.main),
        ("manifest", bill.manifest),
        ("statement", bill.statement),
        *((f"opset:{domain}", version) for domain, version in bill.opsets.items()),
        *(("operator", operator) for operator in bill.operators),
        *((name, bill.requires[key]) for key, name in _REQUIRED.items() if bill.requires.get(key)),
    ]
    if engine is not None:
        named.append(("engine", f"{engine.name} {engine.version}"))
    return [Property(name=f"strongroom:{name}", value=_text(value)) for name, value in named]


_REQUIRED = {"ir_version": "ir-version", "producer": "producer", "architecture": "architecture"}


def _files(bill: Bill) -> list[Component]:
    return [
        Component(
            name=file.path,
            type=ComponentType.FILE,
            bom_ref=f"file:{file.path}",
            hashes=_hashes([file.sha256]),
            properties=[Property(name="strongroom:size-bytes", value=str(file.size_bytes))],
        )
        for file in bill.files
    ]


def _packages(bill: Bill) -> list[Component]:
    named = {_purl(one).to_string(): one for one in bill.dependencies}
    packages = [_package(purl, one) for purl, one in named.items()]
    return [*packages, *(_runtime(one) for one in bill.runtime if _runtime_purl(one) not in named)]


def _package(purl: str, one: Dependency) -> Component:
    properties = [Property(name="strongroom:pinned", value=str(one.pinned).lower())]
    if one.wanted:
        properties.append(Property(name="strongroom:wanted", value=_text(one.wanted)))
    return Component(
        name=one.name,
        version=one.version,
        type=ComponentType.LIBRARY,
        bom_ref=purl,
        purl=_purl(one),
        hashes=_hashes(one.sha256),  # of every file that the lockfile permits
        properties=properties,
    )


def _runtime(one: Runtime) -> Component:
    role = "publisher" if one.name == OWN_PACKAGE else "engine"
    purl = PackageURL("pypi", name=one.name, version=one.version)
    return Component(
        name=one.name,
        version=one.version,
        type=ComponentType.FRAMEWORK,
        bom_ref=purl.to_string(),
        purl=purl,
        properties=[Property(name="strongroom:role", value=role)],
    )


def _runtime_purl(one: Runtime) -> str:
    return PackageURL("pypi", name=one.name, version=one.version).to_string()


def _purl(one: Dependency) -> PackageURL:
    kind = "conda" if one.ecosystem is Ecosystem.CONDA else "pypi"
    return PackageURL(kind, name=one.name, version=one.version)


def _hashes(digests: Iterable[str]) -> list[HashType]:
    return [HashType(alg=HashAlgorithm.SHA_256, content=digest) for digest in digests]


def _model_card(bill: Bill) -> dict[str, Any]:
    """Nothing is claimed that the artifact does not show: no data sets, no metrics."""
    parameters: dict[str, Any] = {
        "inputs": [{"format": _text(one)} for one in bill.inputs],
        "outputs": [{"format": _text(one)} for one in bill.outputs],
    }
    task = find_task(bill.operators)
    if task is not None:
        parameters["task"] = task
        parameters["approach"] = {"type": "supervised"}  # both are taught by examples
    architecture = find_architecture(bill.operators, bill.requires)
    if architecture is not None:
        parameters["architectureFamily"] = _text(architecture)
    return {"bom-ref": f"card:{bill.model}", "modelParameters": parameters}


def _vulnerability(one: Vulnerability) -> CdxVulnerability:
    first = one.advisories[0]
    vectors = [advisory.vector for advisory in one.advisories if advisory.vector]
    source = VulnerabilitySource(name="OSV")
    rating = VulnerabilityRating(
        source=source,
        severity=_RATINGS[one.rating],
        method=VulnerabilityScoreSource.get_from_vector(vectors[0]) if vectors else None,
        vector=vectors[0] if vectors else None,
    )
    fixed = f"use {one.dependency.name} {one.fixed} or newer" if one.fixed else None
    return CdxVulnerability(
        bom_ref=f"vulnerability:{one.id}:{_purl(one.dependency).to_string()}",
        id=one.id,
        source=source,
        references=[VulnerabilityReference(id=name, source=source) for name in one.names if name != one.id],
        ratings=[rating],
        description=_text(one.summary) or None,
        recommendation=fixed,
        updated=first.modified,
        analysis=VulnerabilityAnalysis(state=ImpactAnalysisState.IN_TRIAGE),
        affects=[BomTarget(ref=BomRef(_purl(one.dependency).to_string()).value or "")],
    )


def _text(value: object) -> str:
    """Printable, since others show it: names in a model are its author's words."""
    text = str(value)
    return text if text.isprintable() else shorten(text, 2 * len(text) + 2)


def _require_schema(text: str, version: SchemaVersion) -> None:
    error = _validator(version).validate_str(text)
    if error is not None:
        found = error.data
        path = "/".join(str(part) for part in getattr(found, "absolute_path", ()))
        what = getattr(found, "message", str(found))
        raise RejectedError(f"bom: does not fit CycloneDX {version.to_version()}: {path}: {shorten(what)}")


@cache
def _validator(version: SchemaVersion) -> JsonStrictValidator:
    return JsonStrictValidator(version)


def _require_shallow(text: str) -> None:
    depth = 0
    for char in text:
        if char in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                raise RejectedError(f"bom: is nested deeper than {MAX_DEPTH}")
        elif char in "]}":
            depth -= 1


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a key stands there twice")
    return value

"""Convert: an original that may be code becomes an inert model, with a record that binds the two.

The scan comes first and looks at the bytes that are handed to the sandbox, not at the file a second time.
What comes out of the sandbox is inspected as if a stranger had made it: one did.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from strongroom.artifact.formats import Format, identify
from strongroom.artifact.inspect import inspect
from strongroom.artifact.protobuf import ReadAt
from strongroom.errors import InvalidError, RejectedError, shorten
from strongroom.flows.vault import (
    CONTROL_LOCK,
    Vault,
    build_event,
    moment,
    read_authority,
    record,
    require_permission,
    signing_signer,
)
from strongroom.ports import ConversionWish, Converter, ModelSource, SourceFile
from strongroom.scan.rule import RULES_VERSION
from strongroom.scan.upload import Verdict, scan_upload
from strongroom.trust.conversion import Artifact, ConversionRecord, require_record, sign_record
from strongroom.values import Action, Digest, Finding, ModelId, SealedEntry, Severity

MAX_ORIGINAL_BYTES = 2**32
DEFAULT_NAME = "model.onnx"
_INERT = frozenset({Format.ONNX, Format.SAFETENSORS, Format.GGUF})


@dataclass(frozen=True, slots=True)
class Conversion:
    """A converted model with its record, not yet written anywhere."""

    content: bytes
    record: ConversionRecord
    evidence: bytes
    """What stands in the file beside it: the record, signed if a home was asked to."""
    signed: bool = False


def convert(
    source: ModelSource,
    converter: Converter,
    wish: ConversionWish,
    now: datetime,
    *,
    name: str = DEFAULT_NAME,
    inputs: bytes | None = None,
    told: Callable[[str], None] | None = None,
) -> Conversion:
    """Scan, convert in the sandbox, compare there, inspect; nothing is written. ``told`` hears of each step.

    Raises:
        RejectedError: the scan refuses the original, it is hostile in the sandbox, or what comes out differs.
        InvalidError: nothing here converts it.
        OutageError: this host has no sandbox.
    """
    tell = told or (lambda step: None)
    # (1) the bytes, once
    file = _only_file(source)
    tell("reading")
    content = _read(file)
    file.require_unchanged()
    # (2) the static wall: what it refuses is never run
    _require_convertible(file.path, content)
    tell("scanning")
    _require_harmless(file.path, content)
    # (3) the sandbox: read, convert, compare
    tell("converting in the sandbox")
    converted = converter.convert(file.path, content, wish, inputs)
    # (4) what came out of it is a stranger's
    tell("inspecting")
    inspection = inspect({name: (_reader(converted.content), len(converted.content))})
    if not inspection.servable:
        raise RejectedError(f"{shorten(file.path)}: what came out of the sandbox cannot be served")
    facts = dict(converted.facts)
    if inputs is not None:
        facts["seed"] = None
    try:
        made = ConversionRecord(
            original=Artifact(file.path, Digest.of(content), len(content)),
            converted=Artifact(name, Digest.of(converted.content), len(converted.content)),
            facts=facts,
            sandbox=converted.layers,
            rules=str(RULES_VERSION),
            created_at=now,
        )
    except InvalidError as error:
        raise RejectedError(f"{shorten(file.path)}: {error.message}") from None
    return Conversion(converted.content, made, made.to_payload())


def witness(vault: Vault, actor: str, model: ModelId, conversion: Conversion) -> Conversion:
    """Sign a conversion with the home's key, for one version, and log it.

    Raises:
        DeniedError: the actor may not publish that version.
    """
    with vault.locks.hold(CONTROL_LOCK):
        authority = read_authority(vault)
        decision = require_permission(vault, authority, actor, Action.PUBLISH, str(model))
        signer = signing_signer(vault, authority)
        now = moment(vault, authority)
        made = replace(conversion.record, model=str(model), by=actor, created_at=now)
        evidence = sign_record(made, signer)
        record(
            vault,
            build_event(
                vault,
                now,
                actor,
                "convert",
                str(model),
                rule=decision.rule,
                original=str(made.original.sha256),
                converted=str(made.converted.sha256),
                record=str(Digest.of(evidence)),
            ),
        )
    return Conversion(conversion.content, made, evidence, signed=True)


def require_conversion(
    vault: Vault, model: ModelId, evidence: bytes, sealed: Sequence[SealedEntry]
) -> tuple[dict[str, Any], tuple[Finding, ...]]:
    """Return what the signed statement says of a conversion, if it is that of the file that was sealed.

    Raises:
        RejectedError: the record is of another file or version, malformed, or its signature does not hold.
    """
    authority = read_authority(vault)
    made, signed = require_record(evidence, authority.key_history, moment(vault, authority))
    if made.model not in (None, str(model)):
        raise RejectedError(f"{model}: its conversion record is for {made.model}")
    found = [entry for entry in sealed if entry.sha256 == made.converted.sha256]
    if not found:
        raise RejectedError(
            f"{model}: its conversion record is of another file, {made.converted.sha256}",
            hint="publish the file that the record was written with",
        )
    told = {**made.to_dict(), "record": str(Digest.of(evidence)), "signed": signed}
    return told, () if signed else (_unsigned(found[0].path),)


def _unsigned(path: str) -> Finding:
    return Finding(
        "conversion-not-signed",
        Severity.LOW,
        path,
        "was converted elsewhere: what its record says of the original rests on the publisher's word",
        "publish the original with --convert, or convert it with --as",
    )


def _only_file(source: ModelSource) -> SourceFile:
    files = source.files
    if len(files) != 1:
        raise InvalidError(
            f"original: is a folder of {len(files)} files", hint="convert one file, the one with the model"
        )
    if files[0].size > MAX_ORIGINAL_BYTES:
        raise InvalidError(f"{shorten(files[0].path)}: larger than {MAX_ORIGINAL_BYTES} bytes")
    return files[0]


def _read(file: SourceFile) -> bytes:
    content = bytearray(file.size)
    if file.read_into(0, memoryview(content)) != file.size:
        raise RejectedError(f"{shorten(file.path)}: changed while it was read")
    return bytes(content)


def _require_convertible(path: str, content: bytes) -> None:
    found = identify(_reader(content), len(content))
    if found in _INERT:
        raise InvalidError(f"{shorten(path)}: is {found} already", hint="publish it as it is")


def _require_harmless(path: str, content: bytes) -> None:
    report = scan_upload({path: (_reader(content), len(content))})
    if report.verdict is Verdict.REFUSED:
        worst = report.matches[0]
        raise RejectedError(
            f"{worst.place}: {worst.message} ({worst.rule.id})", hint=worst.fix or worst.rule.fix
        )


def _reader(content: bytes) -> ReadAt:
    view = memoryview(content)

    def read_at(offset: int, size: int) -> bytes:
        return bytes(view[offset : offset + size])

    return read_at

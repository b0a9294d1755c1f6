"""Inert models that this release seals, signs and verifies but does not serve: what they need elsewhere."""

from typing import Any

from strongroom.artifact.formats import Format
from strongroom.artifact.lightgbm import read_lightgbm
from strongroom.artifact.openvino import read_openvino
from strongroom.artifact.protobuf import ReadAt
from strongroom.artifact.tflite import read_tflite
from strongroom.artifact.xgboost import read_xgboost
from strongroom.errors import RejectedError, shorten

MAX_OPERATORS = 4096

UNSERVED = (
    *(Format.XGBOOST_JSON, Format.XGBOOST_UBJ, Format.LIGHTGBM),
    *(Format.OPENVINO, Format.TFLITE),
)


def read_needs(found: Format, read_at: ReadAt, size_bytes: int, path: str) -> dict[str, Any]:
    """Return what a runtime needs for it, for the signed bill of materials.

    Raises:
        RejectedError: it is malformed; names the entry.
    """
    try:
        match found:
            case Format.XGBOOST_JSON | Format.XGBOOST_UBJ:
                return _xgboost(read_at, size_bytes)
            case Format.LIGHTGBM:
                return _lightgbm(read_at, size_bytes)
            case Format.OPENVINO:
                return _openvino(read_at, size_bytes)
            case _:
                return _tflite(read_at, size_bytes)
    except RejectedError as error:
        raise RejectedError(f"entry {shorten(path)}: {error.message}", hint=error.hint) from None


def weights_of(found: Format, path: str) -> frozenset[str]:
    """Return the files beside a model that may hold its raw weights, by the convention of its tool."""
    return frozenset({path.removesuffix(".xml") + ".bin"} if found is Format.OPENVINO else ())


def _xgboost(read_at: ReadAt, size_bytes: int) -> dict[str, Any]:
    model = read_xgboost(read_at, size_bytes)
    return {
        "xgboost": ".".join(map(str, model.version)),
        "booster": model.booster,
        "objective": model.objective[:64],
        "features": model.features,
        "classes": model.classes,
        "trees": model.trees,
    }


def _lightgbm(read_at: ReadAt, size_bytes: int) -> dict[str, Any]:
    model = read_lightgbm(read_at, size_bytes)
    return {
        "lightgbm": model.version[:16],
        "objective": model.objective[:64],
        "features": model.features,
        "classes": model.classes,
        "trees": model.trees,
    }


def _openvino(read_at: ReadAt, size_bytes: int) -> dict[str, Any]:
    model = read_openvino(read_at, size_bytes)
    operators: dict[str, list[str]] = {}
    for opset, name in sorted(model.operations)[:MAX_OPERATORS]:
        operators.setdefault(opset, []).append(name)
    return {"ir_version": model.version, "operators": operators}


def _tflite(read_at: ReadAt, size_bytes: int) -> dict[str, Any]:
    model = read_tflite(read_at, size_bytes)
    return {"custom_operators": sorted({use.name for use in model.custom})[:MAX_OPERATORS]}

"""From the bytes of an original to the fitted model inside; everything in here may be hostile."""

import warnings
from dataclasses import dataclass
from typing import Any

from strongroom.artifact.formats import Format, identify
from strongroom.errors import InvalidError, RejectedError, shorten
from strongroom.serve.converter import allowed, boosters, libraries, unpickling
from strongroom.serve.converter.layout import parts
from strongroom.serve.converter.unpacking import unpack

MAX_ENTRIES = 1000
_MAX_NOTES = 8
_MAX_NESTING = 2
"""A dictionary of what belongs to a model is common; one inside another is not."""


@dataclass(frozen=True)
class Original:
    """A fitted model, and how it came out of its file."""

    model: Any
    format: Format
    named: frozenset[str]
    """The globals that its pickle named."""
    notes: tuple[str, ...] = ()


def read_original(data: bytes) -> Original:
    """Return the one model in ``data``.

    Raises:
        RejectedError: it names what no model needs, or is malformed.
        InvalidError: its format is not converted here, or it holds no model, or several.
    """
    allowed.stood_in()
    data = unpack(data)
    found = identify(lambda offset, size: data[offset : offset + size], len(data))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        loaded, named = _load(data, found)
        model, where = _find_model(loaded)
        model = boosters.wrap(model)
    notes = [f"taken from {where}"] if where else []
    notes += [_shown(one.message) for one in said if "Version" in one.category.__name__]
    notes += [f"without {shorten(name, 100)}, which is no longer there" for name in allowed.stood_in()]
    _prepare(model)
    return Original(model, found, named, tuple(dict.fromkeys(notes))[:_MAX_NOTES])


def _load(data: bytes, found: Format) -> tuple[Any, frozenset[str]]:
    match found:
        case Format.PICKLE:
            return unpickling.load(data, allowed.find_global)
        case Format.SKOPS:
            return _load_skops(data)
        case Format.XGBOOST_JSON | Format.XGBOOST_UBJ:
            return boosters.load_xgboost(data), frozenset()
        case Format.LIGHTGBM:
            return boosters.load_lightgbm(data), frozenset()
        case _:
            raise InvalidError(
                f"original: is {found}, which is not converted",
                hint="docs/convert.md lists what is",
            )


def _load_skops(data: bytes) -> tuple[Any, frozenset[str]]:
    skops = libraries.find("skops.io")
    if skops is None:
        raise InvalidError("original: is skops, which is not installed", hint="pip install skops")
    try:
        untrusted = skops.get_untrusted_types(data=data)
        for name in untrusted:
            module, _, last = name.rpartition(".")
            allowed.find_global(module, last)
        return skops.loads(data, trusted=untrusted), frozenset(untrusted)
    except (RejectedError, InvalidError, MemoryError):
        raise
    except Exception as error:
        raise RejectedError(f"original: skops refuses it: {shorten(error, 200)}") from None


def _find_model(loaded: Any, depth: int = 0) -> tuple[Any, str]:
    """Return the one model that was saved, alone or among what belongs to it, and where it was."""
    if _is_model(loaded):
        return loaded, ""
    held: list[tuple[str, Any]] = []
    if isinstance(loaded, dict):
        held = [(f"key {shorten(key, 40)}", value) for key, value in [*loaded.items()][:MAX_ENTRIES]]
    elif isinstance(loaded, list | tuple):
        held = [(f"item {index}", value) for index, value in enumerate(loaded[:MAX_ENTRIES])]
    models = []
    for where, value in held:
        if _is_model(value):
            models.append((value, where))
        elif depth < _MAX_NESTING and isinstance(value, dict | list | tuple):
            models += [(found, f"{where}, {inner}") for found, inner in _models_in(value, depth)]
    predicting = [one for one in models if hasattr(one[0], "predict")]
    chosen = predicting or models
    if len(chosen) == 1 and (len(models) == 1 or not _transforms(models)):
        return chosen[0]
    if not models:
        raise InvalidError(
            f"original: holds a {shorten(type(loaded).__name__)} and no fitted model",
            hint="save the fitted estimator or pipeline itself",
        )
    raise InvalidError(
        f"original: holds {len(models)} models, {models[0][1]} first",
        hint="save one pipeline that holds all its steps, then convert that",
    )


def _models_in(value: Any, depth: int) -> list[tuple[Any, str]]:
    try:
        return [_find_model(value, depth + 1)]
    except InvalidError:
        return []


def _transforms(models: list[tuple[Any, str]]) -> bool:
    """Whether something beside the model changes what goes in: leaving it out would change the answers."""
    return any(hasattr(one, "transform") and not hasattr(one, "predict") for one, _ in models)


def _is_model(value: Any) -> bool:
    if isinstance(value, type):
        return False
    kind = type(value)
    if kind.__name__ == "Booster" and kind.__module__ in ("xgboost.core", "lightgbm.basic"):
        return True
    return hasattr(value, "get_params") and (hasattr(value, "predict") or hasattr(value, "transform"))


def _prepare(model: Any) -> None:
    """Let nothing in the model start a thread, and take out what only matters to training."""
    for part in parts(model):
        values = getattr(part, "__dict__", {})
        for name, quiet in (("n_jobs", 1), ("verbose", 0), ("flatten_transform", False), ("memory", None)):
            if name in values:
                values[name] = quiet
        _quiet_booster(part)


def _quiet_booster(part: Any) -> None:
    booster = getattr(part, "_Booster", None)
    if booster is not None and type(booster).__module__ == "xgboost.core":
        booster.set_param({"nthread": 1, "device": "cpu"})


def _shown(message: Any) -> str:
    return shorten(str(message).strip().partition("\n")[0], 200)

"""Everything that a conversion may need, imported and run once before the locks: later nothing can be opened.

Libraries import much more on first use. What is not in memory when the locks fall is not there.
"""

import importlib
import os
import pkgutil
import warnings
from collections.abc import Iterable
from types import ModuleType

from strongroom.errors import InvalidError

CLASSICAL = "classical"
"""scikit-learn and what goes with it."""

_SETTINGS = {
    # One thread: Landlock binds one, and a second at the time of the locks would stay free.
    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
    "JOBLIB_MULTIPROCESSING": "0",
    "ORT_DISABLE_TELEMETRY": "1",
    "ORT_TELEMETRY_DISABLED": "1",
    "PYTHON_SCIPY_LAZY": "0",
    "KERAS_BACKEND": "torch",
    "KERAS_HOME": "/nonexistent",
}
_OPTIONAL = ("pandas", "xgboost", "lightgbm", "skops.io", "lz4.frame")
_STANDARD = (
    *("bz2", "gzip", "lzma", "zlib", "zipfile", "json", "decimal", "fractions", "datetime", "uuid", "queue"),
    *("encodings.idna", "encodings.ascii", "encodings.latin_1", "encodings.utf_8", "encodings.utf_16", "ast"),
    *("multiprocessing.pool", "multiprocessing.dummy", "concurrent.futures.thread", "unicodedata", "copyreg"),
)
_WHOLE = ("sklearn", "skl2onnx", "skops.io")
_WHOLE_SCIPY = ("special", "sparse", "linalg", "spatial", "stats", "optimize", "interpolate", "ndimage")
_LEFT_OUT = (".tests", ".testing", "conftest", "._build_utils", ".setup", ".array_api_compat", ".test_")


TORCH = "torch"
"""PyTorch and its exporters, which want twice the memory and time to import."""
KERAS = "keras"
"""Keras, which computes with torch here."""
TFLITE = "tflite"
"""LiteRT, which asks the original, and torch, which rebuilds it."""
_SETS: dict[str, tuple[str, ...]] = {
    CLASSICAL: ("numpy", "sklearn", "skl2onnx", "onnx", "onnxruntime", "joblib"),
    TORCH: ("numpy", "onnx", "onnxruntime", "torch", "onnxscript"),
    KERAS: ("numpy", "onnx", "onnxruntime", "torch", "onnxscript", "h5py", "keras"),
    TFLITE: ("numpy", "onnx", "onnxruntime", "torch", "onnxscript", "ai_edge_litert"),
}
_EXTRAS = {CLASSICAL: "convert", TORCH: "convert-torch", KERAS: "convert-keras", TFLITE: "convert-tflite"}


def set_environment() -> None:
    """Set what the libraries read when they are imported. The environment is empty before and after."""
    os.environ.update(_SETTINGS)


def load(names: str) -> None:
    """Import a set of libraries. Raises InvalidError: one that it cannot do without is not installed."""
    if names not in _SETS:
        raise InvalidError(f"convert: no libraries called {names}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in _SETS[names]:
            if find(name) is None:
                raise InvalidError(
                    f"convert: {name} is not installed",
                    hint=f"pip install 'strongroom[serve,{_EXTRAS[names]}]'",
                )
        for name in _STANDARD:
            find(name)
        if names == CLASSICAL:
            _load_classical()


def _load_classical() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in _OPTIONAL:
            find(name)
        for name in _WHOLE:
            _load_whole(find(name))
        for name in _WHOLE_SCIPY:
            find(f"scipy.{name}")
    _keep_versions()


def find(name: str) -> ModuleType | None:
    """Return the module, or None where it is not installed or does not run here."""
    try:
        return importlib.import_module(name)
    except Exception:
        return None


def _keep_versions() -> None:
    """XGBoost reads its own version from a file whenever it wants to know it."""
    for name in ("xgboost.core", "xgboost.sklearn"):
        module = find(name)
        if module is not None and "_py_version" in module.__dict__:
            version = module.__dict__["_py_version"]()
            module.__dict__["_py_version"] = lambda version=version: version


def _load_whole(package: ModuleType | None) -> None:
    """Import every module of a package but its tests."""
    if package is None:
        return
    for name in _names(package):
        find(name)


def _names(package: ModuleType) -> Iterable[str]:
    prefix = f"{package.__name__}."
    for module in pkgutil.walk_packages(package.__path__, prefix, onerror=lambda name: None):
        if not any(part in f"{module.name}." for part in _LEFT_OUT):
            yield module.name

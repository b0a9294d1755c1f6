"""Strongroom keeps a machine-learning model secret, genuine and available.

>>> from strongroom import Client, Strongroom
"""

from typing import TYPE_CHECKING, Any

from strongroom.errors import DeniedError, InvalidError, OutageError, RejectedError, StrongroomError

if TYPE_CHECKING:
    from strongroom.sdk.client import Client
    from strongroom.sdk.home import Strongroom

__version__ = "0.1.0"
__all__ = [
    "Client",
    "DeniedError",
    "InvalidError",
    "OutageError",
    "RejectedError",
    "Strongroom",
    "StrongroomError",
    "__version__",
]

_LAZY = {"Client": "strongroom.sdk.client", "Strongroom": "strongroom.sdk.home"}


def __getattr__(name: str) -> Any:
    """Import the two classes when first asked for: the client works where the rest is not installed."""
    if name in _LAZY:
        from importlib import import_module

        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

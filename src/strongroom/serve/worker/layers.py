"""Which protections a worker has: one word a layer, `on` or why it is missing."""

from collections.abc import Callable, Iterable

from strongroom.errors import OutageError, shorten

ON = "on"
Layers = dict[str, str]

_NAMESPACES = ("pid_namespace", "network_namespace", "mount_namespace", "ipc_namespace")
_ALTERNATIVES: dict[str, tuple[tuple[str, ...], ...]] = {
    "isolation": (("landlock",), _NAMESPACES),
    "namespaces": (_NAMESPACES,),
}
DEFAULT_REQUIRED = ("no_new_privs", "rlimits", "seccomp", "isolation")


def apply(layers: Layers, name: str, action: Callable[[], str | None]) -> None:
    """Run ``action`` and note the layer: on, or missing with what the action returned or raised."""
    try:
        missing = action()
    except (OSError, ValueError, ImportError) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        missing = reason or str(error) or type(error).__name__
    layers[name] = f"missing: {missing}" if missing else ON


def require_layers(report: Layers, required: Iterable[str] = DEFAULT_REQUIRED) -> None:
    """Return if every required layer is on; ``isolation`` is Landlock or all namespaces.

    Raises:
        OutageError: one is not; the message names it and why. This host cannot hold a model safely.
    """
    for name in required:
        ways = _ALTERNATIVES.get(name, ((name,),))
        if any(all(report.get(layer) == ON for layer in way) for way in ways):
            continue
        lacking = next(layer for layer in ways[0] if report.get(layer) != ON)
        raise OutageError(
            f"sandbox: {name} is required and {lacking} is {shorten(report.get(lacking, 'not reported'))}",
            hint="serve on a host that has it, or take it out of sandbox.require, which is recorded",
        )

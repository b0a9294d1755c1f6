"""One sandboxed worker: released bytes in, a ready engine out."""

import socket
from dataclasses import dataclass
from typing import Any

from strongroom.errors import OutageError, RejectedError
from strongroom.flows.release import Release
from strongroom.ports import Memory
from strongroom.serve.control import MAX_DESCRIPTORS
from strongroom.serve.supervisor.child import Child
from strongroom.serve.worker.layers import require_layers

WORKER_MODULE = "strongroom.serve.worker"
START_TIMEOUT_S = 60.0


@dataclass
class Worker:
    """A locked worker with its model loaded."""

    model: str
    digest: str
    child: Child
    layers: dict[str, str]

    def open_channel(self) -> socket.socket:
        """Give the worker one more data channel; returns the end for a gateway. Raises OutageError."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self.child.tell({"kind": "channel"}, [theirs.fileno()])
        except OutageError:
            ours.close()
            raise
        finally:
            theirs.close()
        return ours


def start_locked(name: str, required_layers: list[str]) -> tuple[Child, dict[str, str]]:
    """Start a worker and see it lock itself in; returns it with its layers, ``on`` or why not.

    Raises:
        OutageError: it died, was too slow, or this host lacks a required layer.
    """
    child = Child.start(name, WORKER_MODULE)
    try:
        layers = child.expect("locked", START_TIMEOUT_S).get("layers")
        if not isinstance(layers, dict) or not all(isinstance(state, str) for state in layers.values()):
            raise RejectedError(f"{name}: says nothing of its layers")
        require_layers(layers, required_layers)
    except BaseException:
        child.kill()
        raise
    return child, layers


def load_worker(
    name: str,
    memories: dict[str, Memory],
    main: str,
    required_layers: list[str],
    threads: int,
    load_timeout_s: float,
) -> tuple[Child, dict[str, Any]]:
    """Start a worker, see it lock itself in, and only then hand it the model.

    Returns the child with its ``ready`` message, to which the sandbox ``layers`` are added.

    Raises:
        RejectedError: the engine refuses the model.
        OutageError: the worker died or was too slow, or this host lacks a required layer.
    """
    paths = list(memories)
    if len(paths) > MAX_DESCRIPTORS:
        raise RejectedError(f"{name}: more than {MAX_DESCRIPTORS} files cannot be served")
    child, layers = start_locked(name, required_layers)
    try:
        child.tell(
            {"kind": "load", "model": name, "main": main, "entries": paths, "threads": threads},
            [memories[path].fd for path in paths],
        )
        return child, {**child.expect("ready", load_timeout_s), "layers": layers}
    except BaseException:
        child.kill()
        raise


def start_worker(release: Release, required_layers: list[str], threads: int, load_timeout_s: float) -> Worker:
    """Load a release in a worker of its own; ``release`` is closed. Raises what `load_worker` raises."""
    try:
        child, ready = load_worker(
            f"worker {release.model}",
            release.memories,
            release.statement.main,
            required_layers,
            threads,
            load_timeout_s,
        )
    finally:
        release.close()
    return Worker(
        model=str(release.model),
        digest=str(release.statement.manifest_digest),
        child=child,
        layers=ready["layers"],
    )

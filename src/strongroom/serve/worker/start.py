"""One worker's life: isolate, import the engine, lock, receive the model, load, lock again, answer.

The conversation with the supervisor is in docs/formats/wire-frames.md.
"""

import gc
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import orjson

from strongroom.errors import OutageError, RejectedError, StrongroomError
from strongroom.ports import Engine, LoadedModel
from strongroom.serve import control
from strongroom.serve.worker import locks, loop, namespaces, process
from strongroom.serve.worker.layers import Layers, apply

MAX_THREADS = 64
_EngineFactory = Callable[[], Engine]


def run(control_fd: int, create_engine: _EngineFactory, *, use_namespaces: bool = True) -> int:
    """Run the worker on an inherited control channel; returns the exit code.

    ``create_engine`` imports the engine and runs it once, after the namespaces and before the locks.
    Without ``use_namespaces`` the worker behaves as on a host that refuses them.
    """
    layers: Layers = {}
    namespaces.restore_signals()
    apply(layers, "descriptors", lambda: _keep_only(control_fd))
    apply(layers, "environment", process.wipe_environment)
    control_fd = 3
    if use_namespaces:
        is_parent_alive = namespaces.enter(layers, control_fd)
    else:
        namespaces.skip(layers, "not asked for")
        parent = os.getppid()

        def is_parent_alive() -> bool:
            return os.getppid() == parent

    engine = create_engine()
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET, fileno=control_fd)
    used = locks.before_loading(layers, control_fd, is_parent_alive)
    try:
        control.send(channel, {"kind": "locked", "layers": layers})
        model = _load(channel, engine, layers, used)
        if model is not None:
            gc.freeze()  # what is here now stays; collections need not look at it again
            loop.serve(channel, model)
    except OutageError:
        pass  # the supervisor has gone
    finally:
        channel.detach()  # closing by garbage collection would make calls that the locks kill for
    return 0


def _keep_only(control_fd: int) -> None:
    process.close_descriptors(control_fd)


def _load(channel: socket.socket, engine: Engine, layers: Layers, used_bytes: int) -> LoadedModel | None:
    """Receive the model, load it, lock stage 2 and say so; None when the supervisor hung up or it failed."""
    received = control.receive(channel)
    if received is None:
        return None
    message, descriptors = received
    try:
        entries, main, threads, memory_bytes = _parse_load(message, descriptors)
        sizes = sum(os.fstat(descriptor).st_size for descriptor in descriptors)
        locks.limit_memory(used_bytes, sizes, memory_bytes)
        model = engine.load(entries, main, threads)
        ready = _build_ready(model)
        locks.before_serving(layers, channel.fileno())
    except StrongroomError as error:
        _fail(channel, error.family, error.message)
        return None
    except MemoryError:
        _fail(channel, OutageError.family, "model: does not fit into the worker's memory limit")
        return None
    except OSError as error:
        _fail(channel, OutageError.family, f"worker: {error.strerror}")
        return None
    except Exception:
        # Whatever else an engine raises over these bytes: the supervisor gets an answer, not a riddle.
        _fail(channel, RejectedError.family, "model: the engine failed while loading it")
        return None
    finally:
        for descriptor in descriptors:
            os.close(descriptor)
    try:
        control.send(channel, ready)
    except OutageError:
        return None
    return model


def _build_ready(model: LoadedModel) -> dict[str, Any]:
    ready = {"kind": "ready", **model.describe()}
    if len(orjson.dumps(ready)) > control.MAX_PACKET_BYTES:
        # A longer one travels in a memfd, and a serving worker may not make one.
        raise RejectedError("model: its inputs and outputs are too many to describe")
    return ready


def _fail(channel: socket.socket, family: str, message: str) -> None:
    with suppress(OutageError):
        control.send(channel, {"kind": "failed", "family": family, "message": message})


def _parse_load(message: dict[str, Any], descriptors: list[int]) -> tuple[dict[str, int], str, int, int]:
    paths, main = message.get("entries"), message.get("main")
    threads, memory_bytes = message.get("threads", 1), message.get("memory_bytes", 0)
    if (
        message.get("kind") != "load"
        or not isinstance(paths, list)
        or not all(isinstance(path, str) for path in paths)
        or len(paths) != len(descriptors)
        or len(set(paths)) != len(paths)
        or not isinstance(main, str)
        or not isinstance(threads, int)
        or not 1 <= threads <= MAX_THREADS
        or not isinstance(memory_bytes, int)
        or memory_bytes < 0
    ):
        raise RejectedError("control channel: not a load message")
    return dict(zip(paths, descriptors, strict=True)), main, threads, memory_bytes

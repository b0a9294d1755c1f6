"""The converter's life: isolate, import, lock, receive one original, convert, answer, end.

Everything is imported before the locks, because nothing can be opened after them; the original is received
after them, because it may be code.
"""

import importlib
import mmap
import os
import socket
from contextlib import suppress
from typing import Any

from strongroom.errors import InvalidError, OutageError, RejectedError, StrongroomError, shorten
from strongroom.serve import control
from strongroom.serve.converter import libraries
from strongroom.serve.worker import locks, namespaces, process, seccomp
from strongroom.serve.worker.layers import Layers, apply

GIVEN = frozenset({"inputs", "module"})
"""What may come beside the original: reference rows, and the source of the class that a state belongs to."""
_CONVERSIONS = {
    libraries.CLASSICAL: "strongroom.serve.converter.conversion",
    libraries.TORCH: "strongroom.serve.converter.torch_conversion",
    libraries.KERAS: "strongroom.serve.converter.keras_conversion",
    libraries.TFLITE: "strongroom.serve.converter.tflite_conversion",
}


def run(control_fd: int, names: str, *, many: bool = False) -> int:
    """Convert what comes over the inherited control channel; returns the exit code.

    ``many``: one original after another in the same process, for tests; whatever comes from outside gets a
    process of its own.
    """
    layers: Layers = {}
    namespaces.restore_signals()
    apply(layers, "descriptors", lambda: _keep_only(control_fd))
    apply(layers, "environment", process.wipe_environment)
    control_fd = 3
    is_parent_alive = namespaces.enter(layers, control_fd)
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET, fileno=control_fd)
    try:
        converter = _load_converter(names)
        apply(layers, "environment", process.wipe_environment)
        used = locks.before_loading(layers, control_fd, is_parent_alive, seccomp.Stage.CONVERTING)
        control.send(channel, {"kind": "locked", "layers": layers})
        while _serve(channel, converter, used) and many:
            pass
    except OutageError:
        pass  # the supervisor has gone
    except StrongroomError as error:
        _fail(channel, error)
    finally:
        channel.detach()  # closing by garbage collection would make calls that the locks kill for
    return 0


def _keep_only(control_fd: int) -> None:
    process.close_descriptors(control_fd)


def _load_converter(names: str) -> Any:
    libraries.set_environment()
    libraries.load(names)
    conversion: Any = importlib.import_module(_CONVERSIONS[names])
    conversion.warm_up()
    return conversion


def _serve(channel: socket.socket, converter: Any, used_bytes: int) -> bool:
    """Answer one message; False when the supervisor has hung up."""
    received = control.receive(channel)
    if received is None:
        return False
    message, descriptors = received
    try:
        control.send(channel, {"kind": "converted", **_convert(converter, message, descriptors, used_bytes)})
    except StrongroomError as error:
        _fail(channel, error)
    except MemoryError:
        _fail(
            channel, RejectedError("original: takes more memory than it may", hint="--memory gives it more")
        )
    except RecursionError:
        _fail(channel, RejectedError("original: is nested too deeply"))
    except Exception as error:
        _fail(channel, RejectedError(f"original: fails with {type(error).__name__}: {shorten(error, 200)}"))
    finally:
        for descriptor in descriptors:
            os.close(descriptor)
    return True


def _convert(
    converter: Any, message: dict[str, Any], descriptors: list[int], used_bytes: int
) -> dict[str, Any]:
    """Returns what is told of the conversion; the model itself goes into the second descriptor."""
    match message:
        case {
            "kind": "convert",
            "memory_bytes": int(memory_bytes),
            "request": dict(request),
            "given": list(names),
        } if len(descriptors) == 2 + len(names) and set(names) <= GIVEN and memory_bytes > 0:
            process.limit_memory(used_bytes + memory_bytes)
        case _:
            raise RejectedError("control channel: not a convert message")
    given = {name: _read(descriptor) for name, descriptor in zip(names, descriptors[2:], strict=True)}
    content, facts = converter.convert(_read(descriptors[0]), given, request)
    _write(descriptors[1], content)
    return {"size": len(content), "facts": facts}


def _read(descriptor: int) -> bytes:
    size = os.fstat(descriptor).st_size
    if not size:
        raise InvalidError("original: is empty")
    with mmap.mmap(descriptor, size, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ) as mapping:
        return mapping[:]


def _write(descriptor: int, content: bytes) -> None:
    """Through a mapping: this process may make no file grow, and memory of a fixed size is no exception."""
    size = os.fstat(descriptor).st_size
    if len(content) > size:
        raise RejectedError(f"converted: larger than {size} bytes", hint="--max-size gives it more")
    with mmap.mmap(descriptor, size, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ | mmap.PROT_WRITE) as mapping:
        mapping[: len(content)] = content


def _fail(channel: socket.socket, error: StrongroomError) -> None:
    with suppress(OutageError):
        told = {"family": error.family, "message": error.message, "hint": error.hint}
        control.send(channel, {"kind": "failed", **told})

"""Runs one conversion in a process of its own, which is killed whatever it says.

The original goes in and the model comes out as memory of a fixed size; the process is gone before a byte of
its answer is read.
"""

import fcntl
import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

from strongroom.artifact.formats import Format, identify
from strongroom.errors import InvalidError, OutageError, RejectedError, StrongroomError, shorten
from strongroom.ports import ConversionWish, Converted
from strongroom.serve import control
from strongroom.serve.supervisor.child import SEND_TIMEOUT_S, Child
from strongroom.serve.worker.layers import require_layers

MODULE = "strongroom.serve.converter"
CLASSICAL, TORCH, KERAS, TFLITE = "classical", "torch", "keras", "tflite"
"""Sets of libraries, as `serve.converter.libraries` calls them."""
_SETS = {
    **dict.fromkeys((Format.TORCH, Format.TORCHSCRIPT, Format.EXPORTED_PROGRAM), TORCH),
    **dict.fromkeys((Format.KERAS, Format.HDF5), KERAS),
    Format.TFLITE: TFLITE,
}
START_TIMEOUT_S = 300.0
"""Importing every library that a conversion may need."""
_SEALING_S = 2.0
_INPUT_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
_CRASHES = {signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGTRAP}
_MAX_MESSAGE = 400


class SandboxConverter:
    """See `ports.Converter`. ``required_layers`` are those without which nothing is read."""

    def __init__(self, required_layers: Sequence[str]) -> None:
        self._required = list(required_layers)

    def convert(
        self, name: str, original: bytes, wish: ConversionWish, inputs: bytes | None = None
    ) -> Converted:
        """Start, lock, hand over, wait, kill, read. Raises what `ports.Converter` says."""
        what = shorten(name)
        child = Child.start(f"conversion of {what}", MODULE, ["--libraries", _libraries(original)])
        try:
            layers = _layers(_expect(child, what, "locked", START_TIMEOUT_S))
            require_layers(layers, self._required)
            given = {"inputs": inputs, "module": wish.module}
            named = {name: content for name, content in given.items() if content is not None}
            with ExitStack() as stack:
                source = stack.enter_context(_memory(original))
                target = stack.enter_context(_room(wish.max_bytes))
                others = [stack.enter_context(_memory(content)) for content in named.values()]
                child.tell(_request(wish, list(named)), [source, target, *others])
                told = _expect(child, what, "converted", wish.timeout_s)
                child.kill()
                return Converted(_take(target, told, wish.max_bytes), _facts(told), layers)
        except OSError as error:
            raise OutageError(f"conversion of {what}: {error.strerror}") from None
        finally:
            child.kill()


def _libraries(original: bytes) -> str:
    found = identify(lambda offset, size: original[offset : offset + size], len(original))
    return _SETS.get(found, CLASSICAL)


def _request(wish: ConversionWish, given: list[str]) -> dict[str, Any]:
    return {
        "kind": "convert",
        "memory_bytes": wish.memory_bytes,
        "given": given,
        "request": {
            "rows": wish.rows,
            "seed": wish.seed,
            "features": wish.features,
            "max_error": wish.max_error,
            "entry": wish.entry,
        },
    }


def _expect(child: Child, what: str, kind: str, timeout_s: float) -> dict[str, Any]:
    """Wait for the message of that kind; anything else is the end of this conversion."""
    child.channel.settimeout(timeout_s)
    try:
        received = control.receive(child.channel)
    except TimeoutError:
        child.kill()
        raise RejectedError(
            f"{what}: not converted after {timeout_s:g} s; the sandbox was killed",
            hint="--timeout gives it more",
        ) from None
    except OSError as error:
        raise OutageError(f"conversion of {what}: {error.strerror}") from None
    if received is None:
        raise _death(child, what)
    child.channel.settimeout(SEND_TIMEOUT_S)
    message, descriptors = received
    for descriptor in descriptors:
        os.close(descriptor)
    if message.get("kind") == "failed":
        raise _failure(message, what)
    if message.get("kind") != kind:
        raise RejectedError(f"{what}: its sandbox said something else than how the conversion went")
    return message


def _failure(message: dict[str, Any], what: str) -> StrongroomError:
    """Say again what the sandbox said; the words may be the original's own."""
    said, hint = str(message.get("message", "")), message.get("hint")
    words = _printable(said) or "failed and did not say why"
    kinds: dict[object, type[StrongroomError]] = {"invalid": InvalidError, "outage": OutageError}
    kind = kinds.get(message.get("family"), RejectedError)
    return kind(f"{what}: {words}", hint=_printable(hint) if isinstance(hint, str) else None)


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text[:_MAX_MESSAGE])


def _death(child: Child, what: str) -> StrongroomError:
    """Say why a converter that said nothing has ended."""
    with suppress(Exception):
        child.process.wait(SEND_TIMEOUT_S)
    child.kill()
    status = child.process.returncode
    ended = -status if status < 0 else None
    if ended == signal.SIGSYS:
        return RejectedError(
            f"{what}: made a system call that no conversion needs, and was killed for it",
            hint="this is what an attack looks like; do not load this file anywhere",
        )
    if ended in _CRASHES:
        return RejectedError(f"{what}: crashed the sandbox ({signal.Signals(ended or 0).name})")
    if ended == signal.SIGKILL:
        return RejectedError(
            f"{what}: the system killed its sandbox, most likely for memory",
            hint="convert on a machine with more memory",
        )
    return RejectedError(f"{what}: its sandbox ended without an answer, status {status}")


def _layers(message: dict[str, Any]) -> dict[str, str]:
    layers = message.get("layers")
    if not isinstance(layers, dict) or not all(isinstance(state, str) for state in layers.values()):
        raise RejectedError("conversion: the sandbox says nothing of its layers")
    return {str(name)[:64]: state[:200] for name, state in layers.items()}


def _facts(message: dict[str, Any]) -> dict[str, Any]:
    facts = message.get("facts")
    if not isinstance(facts, dict):
        raise RejectedError("conversion: the sandbox says nothing of what it did")
    return facts


@contextmanager
def _memory(content: bytes) -> Iterator[int]:
    """Yield a sealed memfd that holds ``content``."""
    descriptor = os.memfd_create("original", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(descriptor, view) :]
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _INPUT_SEALS)
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _room(size_bytes: int) -> Iterator[int]:
    """Yield memory of a size that nobody can change; it takes what is written, not what it could hold."""
    descriptor = os.memfd_create("converted", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(descriptor, size_bytes)
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
        yield descriptor
    finally:
        os.close(descriptor)


def _take(descriptor: int, told: dict[str, Any], limit: int) -> bytes:
    """Return the converted model once nobody can write to it any more."""
    size = told.get("size")
    if not isinstance(size, int) or not 0 < size <= limit:
        raise RejectedError("conversion: the sandbox tells a size that cannot be")
    _seal(descriptor)
    parts, offset = [], 0
    while offset < size:
        part = os.pread(descriptor, size - offset, offset)
        if not part:
            raise RejectedError("conversion: the converted model is cut")
        parts.append(part)
        offset += len(part)
    return b"".join(parts)


def _seal(descriptor: int) -> None:
    """Forbid every write. The kernel refuses that while a mapping is left, as of a process not yet gone."""
    until = time.monotonic() + _SEALING_S
    while True:
        try:
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL)
            return
        except OSError as error:
            if time.monotonic() > until:
                raise OutageError(f"conversion: its answer cannot be sealed: {error.strerror}") from None
        time.sleep(0.01)

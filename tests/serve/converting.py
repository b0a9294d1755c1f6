"""A converter that stays: locked once as the real one, then one original after another, to try hundreds."""

import io
import os
import pickle
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from strongroom.errors import InvalidError, RejectedError, StrongroomError
from strongroom.serve import control
from strongroom.serve.supervisor.conversion import CLASSICAL

REPOSITORY = Path(__file__).resolve().parents[2]
MEMORY_BYTES = 3 * 2**30
MAX_CONVERTED_BYTES = 2**28
TIMEOUT_S = 300.0
_CODE = (
    "import os, sys\n"
    "from strongroom.serve.converter.start import run\n"
    "os._exit(run(int(sys.argv[1]), sys.argv[2], many=True))\n"
)


class Line:
    """The process, and what it says of each original."""

    def __init__(self, libraries: str = CLASSICAL) -> None:
        self.control, theirs = control.pair()
        self.control.settimeout(TIMEOUT_S)
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-c", _CODE, str(theirs.fileno()), libraries],
            env={},
            pass_fds=[theirs.fileno()],
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        theirs.close()
        self.layers: dict[str, str] = self._receive()["layers"]

    def convert(
        self, original: bytes, *, rows: int = 64, inputs: bytes | None = None, **wish: Any
    ) -> tuple[bytes, dict[str, Any]]:
        """Return the converted model and the facts; raises what the sandbox says."""
        request = {"rows": rows, "seed": 1, "features": None, "max_error": None, "entry": None, **wish}
        source, target = _memory(original), _memory(b"")
        given = [] if inputs is None else [_memory(inputs)]
        try:
            os.ftruncate(target, MAX_CONVERTED_BYTES)
            names = [] if inputs is None else ["inputs"]
            message = {"kind": "convert", "memory_bytes": MEMORY_BYTES, "request": request, "given": names}
            control.send(self.control, message, [source, target, *given])
            told = self._receive()
            if told["kind"] == "failed":
                kind: type[StrongroomError] = InvalidError if told["family"] == "invalid" else RejectedError
                raise kind(told["message"], hint=told["hint"])
            return os.pread(target, told["size"], 0), told["facts"]
        finally:
            for descriptor in (source, target, *given):
                os.close(descriptor)

    def close(self) -> None:
        self.control.close()
        self.process.kill()
        self.process.wait()

    def _receive(self) -> dict[str, Any]:
        received = control.receive(self.control)
        if received is None:
            raise AssertionError(f"the converter ended, status {self.process.wait()}")
        return received[0]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _memory(content: bytes) -> int:
    descriptor = os.memfd_create("convert")
    with open(descriptor, "wb", closefd=False) as file:
        file.write(content)
    return descriptor


def dump(model: Any, protocol: int = 4) -> bytes:
    file = io.BytesIO()
    pickle.dump(model, file, protocol)
    return file.getvalue()

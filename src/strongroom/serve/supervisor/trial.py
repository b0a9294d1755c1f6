"""A trial in the sandbox, at publish: does the engine take the model, and may its rows be answered together?

Joining the rows of several callers in one batch is only safe if no row can see another. Whether that holds is
tried on random rows, together and one by one; a model that answers differently is never batched.
"""

import socket
from collections.abc import Sequence

import numpy as np

from strongroom.errors import OutageError, StrongroomError
from strongroom.guard.schema import Schema, TensorSpec
from strongroom.guard.tensors import NUMPY, Array
from strongroom.ports import Memory, Trial
from strongroom.serve.frames import Answer, FrameReader, encode_batch
from strongroom.serve.supervisor.worker import load_worker

ROWS = 3
SEED = 2_718
FREE_EXTENT = 2
"""Tried for every free dimension but the first."""
TIMEOUT_S = 30.0
LOAD_TIMEOUT_S = 300.0
MAX_ANSWER_BYTES = 64 * 2**20
_RELATIVE, _ABSOLUTE = 1e-4, 1e-5
"""An engine may sum in another order for another number of rows; a leak between rows is not that small."""
_READ_BYTES = 2**18


class SandboxTrial:
    """See `ports.Trials`. ``required_layers`` are those without which nothing is loaded."""

    def __init__(self, required_layers: Sequence[str]) -> None:
        self._required = list(required_layers)

    def run(self, name: str, memories: dict[str, Memory], main: str, schema: Schema | None) -> Trial:
        """Load the model in a worker of its own and try it; raises what `load_worker` raises."""
        child, ready = load_worker(f"trial of {name}", memories, main, self._required, 1, LOAD_TIMEOUT_S)
        del ready
        try:
            if schema is None or not schema.by_rows:
                return Trial(loads=True, independent_rows=False)
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
            with ours, theirs:
                child.tell({"kind": "channel"}, [theirs.fileno()])
                ours.settimeout(TIMEOUT_S)
                return Trial(loads=True, independent_rows=_has_independent_rows(ours, schema))
        except (StrongroomError, OSError):
            # It loads, but it does not take random rows: nothing is known of them, so they are not joined.
            return Trial(loads=True, independent_rows=None)
        finally:
            child.kill()


def _has_independent_rows(channel: socket.socket, schema: Schema) -> bool:
    rows = _random_rows(schema)
    together = _ask(channel, 1, schema, rows)
    for row in range(ROWS):
        alone = _ask(channel, row + 2, schema, [array[row : row + 1] for array in rows])
        for spec in schema.outputs:
            if not _is_same(together[spec.name][row : row + 1], alone[spec.name]):
                return False
    return True


def _random_rows(schema: Schema) -> list[Array]:
    random = np.random.default_rng(SEED)
    return [_random_tensor(spec, random) for spec in schema.inputs]


def _random_tensor(spec: TensorSpec, random: np.random.Generator) -> Array:
    shape = (ROWS, *(FREE_EXTENT if extent == -1 else extent for extent in spec.shape[1:]))
    dtype = NUMPY[spec.dtype]
    if dtype.kind == "O":
        words = np.array([b"a", b"b", b"c"], dtype=object)
        return words[random.integers(0, len(words), shape)]
    if dtype.kind in "iub":
        return random.integers(0, 2, shape).astype(dtype)
    return random.standard_normal(shape).astype(dtype)


def _ask(channel: socket.socket, number: int, schema: Schema, arrays: list[Array]) -> dict[str, Array]:
    named = [(spec.name, array) for spec, array in zip(schema.inputs, arrays, strict=True)]
    for buffer in encode_batch(number, int(TIMEOUT_S * 1000), named):
        channel.sendall(buffer)
    reader = FrameReader(MAX_ANSWER_BYTES)
    while data := channel.recv(_READ_BYTES):
        for frame in reader.feed(data):
            if isinstance(frame, Answer) and frame.number == number:
                return {name: np.array(array) for name, array in frame.outputs.items()}
            raise OutageError("trial: the model did not answer")
    raise OutageError("trial: the worker ended")


def _is_same(one: Array, other: Array) -> bool:
    if one.shape != other.shape:
        return False
    if one.dtype.kind == "f":
        return bool(np.allclose(one, other, rtol=_RELATIVE, atol=_ABSOLUTE, equal_nan=True))
    return bool(np.array_equal(one, other))

"""A worker whose engine is an attacker: the program of the tests, started like strongroom.serve.worker.

``--unlocked`` runs the same attack without any lock, to show that it is the locks that stop it.
"""

import argparse
import json
import os
import socket
import sys
from pathlib import Path
from typing import Any

os.environ["OPENBLAS_NUM_THREADS"] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

import numpy as np
import pyseccomp  # noqa: F401 - imported while this user may still read it

from strongroom.errors import InvalidError
from strongroom.serve import control
from strongroom.serve.worker import loop, start
from tests.serve.hostile import payloads

STAT_ENV_START = 49


class HostileEngine:
    """Does the named attack while loading or while answering."""

    def __init__(self) -> None:
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        self._environment = (int(fields[STAT_ENV_START - 2]), int(fields[STAT_ENV_START - 1]))

    def load(self, entries: dict[str, int], main: str, threads: int = 1) -> "HostileModel":
        plan = json.loads(os.pread(entries[main], 2**16, 0))
        attack = payloads.ALL[plan["attack"]]
        target = payloads.Target(**plan["target"], environment=self._environment)
        if plan["when"] == "load":
            return HostileModel(None, attack(target), target)
        return HostileModel(attack, "", target)


class HostileModel:
    def __init__(self, attack: payloads.Payload | None, got: str, target: payloads.Target) -> None:
        self._attack, self._got, self._target = attack, got, target

    def describe(self) -> dict[str, Any]:
        return {"inputs": [], "outputs": []}

    def run(self, inputs: dict[str, Any]) -> dict[str, Any]:
        if "ping" in inputs:
            return {"pong": inputs["ping"]}
        try:
            got = self._attack(self._target) if self._attack else self._got
        except Exception as error:
            raise InvalidError(f"refused: {error!r}") from None
        return {"got": np.array([got.encode()], object)}


def run_unlocked(control_fd: int) -> int:
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET, fileno=os.dup2(control_fd, 3))
    engine = HostileEngine()
    control.send(channel, {"kind": "locked", "layers": {}})
    received = control.receive(channel)
    if received is None:
        return 0
    message, descriptors = received
    model = engine.load(dict(zip(message["entries"], descriptors, strict=True)), message["main"])
    control.send(channel, {"kind": "ready", **model.describe()})
    loop.serve(channel, model)
    return 0


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--control-fd", type=int, required=True)
    parser.add_argument("--uid", type=int)
    parser.add_argument("--unlocked", action="store_true")
    parser.add_argument("--no-namespaces", action="store_true")
    arguments = parser.parse_args()
    if arguments.uid:
        # After the imports: that user may be unable to read the interpreter's files.
        os.setgroups([])
        os.setresgid(arguments.uid, arguments.uid, arguments.uid)
        os.setresuid(arguments.uid, arguments.uid, arguments.uid)
        dumpable = 4
        payloads.libc.prctl(dumpable, 1, 0, 0, 0)  # as a process of that user is from its start
    if arguments.unlocked:
        os._exit(run_unlocked(arguments.control_fd))
    os._exit(start.run(arguments.control_fd, HostileEngine, use_namespaces=not arguments.no_namespaces))


if __name__ == "__main__":
    main()

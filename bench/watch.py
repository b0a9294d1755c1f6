"""The watcher on a store of 1,000 small models: how soon a flipped byte is told of, and what a survey costs.

    .venv/bin/python bench/watch.py [MODELS]

Prints one table. A home is made in a temporary folder and removed.
"""

import json
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from table import print_table

from strongroom.adapters.sources.memory import MemorySource
from strongroom.flows.establish import Founder
from strongroom.flows.publish import Offer, publish
from strongroom.flows.watch import Finding, Pace, Watcher
from strongroom.values import ModelId
from strongroom.wiring import create_home

WEIGHTS_BYTES = 64 * 2**10
PACE = Pace()


def main(count: int) -> None:
    with tempfile.TemporaryDirectory(prefix="strongroom-bench-watch-") as folder:
        home = Path(folder) / "home"
        vault = create_home(home, "a passphrase for the benchmark", Founder("ada", 30, solo=True))
        started = time.monotonic()
        for number in range(count):
            model = ModelId.parse(f"small-{number % 100:02d}@1.{number // 100}.0")
            publish(vault, Offer(model, "ada", "ada", MemorySource("model.safetensors", _weights(number))))
        print(f"published {count} models in {time.monotonic() - started:.0f} s", flush=True)
        told: list[Finding] = []
        watcher = Watcher(
            vault, "ada", PACE, told=told.append, seconds=time.monotonic, wait=lambda s: bool(time.sleep(s))
        )
        first_s = _time(watcher.run_once)
        assert not told, told
        again_s = _time(watcher.survey)
        chance = random.Random(7)
        noticed = []
        sealed = [each for each, _ in vault.blobs.survey("") if each.endswith(".sealed")]
        for name in chance.sample(sealed, 5):
            path = home / "blobs" / name
            data = bytearray(path.read_bytes())
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
            path.write_bytes(data)
            told.clear()
            noticed.append(_time(watcher.run_once))
            assert [(each.object, each.held) for each in told] == [(name, True)], told
        heads = ["store of", "objects", "first pass", "survey, nothing changed", "flipped byte told of"]
        worst_s = max(noticed)
        row = [f"{count} models", str(watcher.objects), f"{first_s:.1f} s", f"{again_s:.2f} s"]
        print_table("The watcher", heads, [[*row, f"{worst_s:.2f} s"]])
        print(f"\nA survey begins every {PACE.survey_s:g} s: told of within {PACE.survey_s + worst_s:.0f} s.")


def _weights(number: int) -> bytes:
    header = json.dumps(
        {"weight": {"dtype": "F32", "shape": [WEIGHTS_BYTES // 4], "data_offsets": [0, WEIGHTS_BYTES]}}
    ).encode()
    header += b" " * (-len(header) % 8)
    floats = random.Random(number).randbytes(WEIGHTS_BYTES // 4)
    data = b"".join(bytes([each, 0, 0x80, 0x3F]) for each in floats)
    return len(header).to_bytes(8, "little") + header + data


def _time(act: Callable[[], object]) -> float:
    started = time.monotonic()
    act()
    return time.monotonic() - started


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)

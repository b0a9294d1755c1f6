"""Publishing to and loading from a local S3 server, beside boto3 and s3fs, in one run.

Ours seals before it sends and unseals into memory as it receives; the others move bytes between files. The
server is moto on the same two cores: what counts is the ratio to boto3 of the same round, not the speed.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from table import middle, print_table, rotated, spread

from strongroom.adapters.memory.memfd import MemfdProvider
from strongroom.artifact.stream import seal, unseal
from strongroom.values import ModelId
from tests.stores.servers import BUCKET, Server, make_bucket, s3_credentials, s3_store

_OTHERS = Path(__file__).resolve().parents[1] / ".venv-bench" / "bin" / "python"
_MODEL = ModelId.parse("bench@1.0.0")
_TIMEOUT_S = 300
_BOTO3 = """
import sys, time, boto3
url, verb, path, key = sys.argv[1:]
s3 = boto3.client("s3", endpoint_url=url, region_name="us-east-1")
started = time.perf_counter()
s3.upload_file(path, "models", key) if verb == "publish" else s3.download_file("models", key, path + ".back")
print(time.perf_counter() - started)
"""
_S3FS = """
import sys, time, s3fs
url, verb, path, key = sys.argv[1:]
fs = s3fs.S3FileSystem(endpoint_url=url, client_kwargs={"region_name": "us-east-1"})
fs.ls("models")
started = time.perf_counter()
fs.put_file(path, f"models/{key}") if verb == "publish" else fs.get_file(f"models/{key}", path + ".back")
print(time.perf_counter() - started)
"""


def _ours(url: str, folder: Path, size: int, turn: int) -> tuple[float, float]:
    """Seal a file into the store, then load it into sealed memory; seconds of each."""
    store = s3_store(url, folder / "spool", f"ours-{turn}")
    store.put_new("warm/up", b"")
    dek, salt, name = os.urandom(32), os.urandom(32), "bench/1.0.0/0.sealed"
    with (folder / "model.bin").open("rb") as file:

        def read_into(offset: int, buffer: memoryview) -> int:
            return os.preadv(file.fileno(), [buffer], offset)

        started = time.perf_counter()
        writer = store.create(name, size)
        entry = seal(read_into, writer.write_at, size, _MODEL, "model.bin", name, salt, dek)
        writer.commit()
        published_s = time.perf_counter() - started
    started = time.perf_counter()
    memory = MemfdProvider().allocate("bench", size)
    reader = store.open(name)
    unseal(reader.read_into, memory.write_at, dek, entry, _MODEL)
    memory.seal()
    loaded_s = time.perf_counter() - started
    reader.close()
    memory.close()
    store.delete(name)
    return published_s, loaded_s


def _other(script: str, url: str, verb: str, folder: Path, key: str) -> float:
    command = [str(_OTHERS), "-c", script, url, verb, str(folder / "model.bin"), key]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=_TIMEOUT_S)
    return float(done.stdout)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int, default=256, help="size of the model (default 256)")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    size = options.mib * 2**20
    seconds: dict[tuple[str, str], list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory(prefix="strongroom-bench-") as place, s3_credentials():
        folder = Path(place)
        (folder / "model.bin").write_bytes(os.urandom(size))
        server = Server("tests.stores.s3_server")
        make_bucket(server.url, BUCKET)
        for turn in range(options.rounds):
            for case in rotated(["strongroom", "boto3", "s3fs"], turn):
                if case == "strongroom":
                    published_s, loaded_s = _ours(server.url, folder, size, turn)
                else:
                    script = _BOTO3 if case == "boto3" else _S3FS
                    key = f"{case}-{turn}"
                    published_s = _other(script, server.url, "publish", folder, key)
                    loaded_s = _other(script, server.url, "load", folder, key)
                seconds["publish", case].append(published_s)
                seconds["load", case].append(loaded_s)
                print(
                    f"round {turn + 1}: {case} {published_s:.2f} {loaded_s:.2f}", file=sys.stderr, flush=True
                )
        server.close()
    for verb in ("publish", "load"):
        base = seconds[verb, "boto3"]
        rows = []
        for case in ("strongroom", "boto3", "s3fs"):
            found = seconds[verb, case]
            ratios = [one / other for one, other in zip(found, base, strict=True)]
            rows.append([case, f"{middle(found):.2f}", f"{middle(ratios):.2f}", f"{spread(ratios):.2f}"])
        print_table(f"{verb} {options.mib} MiB", ["", "s", "time / boto3", "spread"], rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())

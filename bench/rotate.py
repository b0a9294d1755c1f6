"""Rotation measured: data keys rewrapped beside the bare unwrap and wrap; a large version encrypted anew.

The versions to be rewrapped have records in the log and wrapped keys in the store, and no ciphertext: a
rotation reads none. What counts is the ratio to the bare loop of the same run; absolute speed is the
machine's.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from strongroom.adapters.sources.local import LocalSource
from strongroom.flows import layout
from strongroom.flows.establish import Founder
from strongroom.flows.keyfile import WrappedKey, data_key_context
from strongroom.flows.publish import Offer, publish
from strongroom.flows.reencrypt import reencrypt
from strongroom.flows.rotate import Wish, rotate_key
from strongroom.flows.rotate_sweep import held_keys
from strongroom.flows.vault import Vault, build_event, moment, read_authority, record
from strongroom.trust.standing import default_family_key
from strongroom.values import Digest, ModelId
from strongroom.wiring import create_home

_ADMIN, _FAMILY = "ada", "fraud"
_RECORDS_AT_ONCE = 500


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--versions", type=int, default=10_000, help="data keys to rewrap (default 10000)")
    parser.add_argument("--mib", type=int, default=512, help="size of the version to encrypt (default 512)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--in-child", metavar="FOLDER", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.in_child:
        _encrypt_anew(Path(options.in_child))
        return 0
    with tempfile.TemporaryDirectory(prefix="strongroom-bench-") as place:
        _bench_rewrap(Path(place), options.versions, options.rounds)
        _bench_reencrypt(Path(place), options.mib)
    return 0


def _home(folder: Path) -> Vault:
    founder = Founder(_ADMIN, certificate_days=7, solo=True)
    return create_home(folder / f"home-{time.monotonic_ns()}", "five random words would do", founder)


def _bench_rewrap(folder: Path, versions: int, rounds: int) -> None:
    vault = _home(folder)
    _stock(vault, versions)
    ratios = []
    for turn in range(rounds):
        bare_s, bare_used = _bare_loop(vault)
        started, used = time.perf_counter(), time.process_time()
        done = rotate_key(vault, _ADMIN, Wish(_FAMILY))
        rotated_s, rotated_used = time.perf_counter() - started, time.process_time() - used
        assert done.rewrapped == done.keys == versions
        ratios.append(rotated_s / bare_s)
        print(
            f"round {turn + 1}: {versions} data keys rewrapped, proven and settled in {rotated_s:.1f} s "
            f"({versions / rotated_s:.0f}/s); bare unwrap + wrap {bare_s:.1f} s ({versions / bare_s:.0f}/s); "
            f"ratio {rotated_s / bare_s:.2f}, of processor time {rotated_used / bare_used:.2f}",
            flush=True,
        )
    print(f"ratio, median of {rounds}: {sorted(ratios)[rounds // 2]:.2f}")


def _stock(vault: Vault, versions: int) -> None:
    keys = vault.require_keys()
    key = default_family_key(_FAMILY)
    keys.create(key)
    models = [ModelId.parse(f"{_FAMILY}@1.{number}.0") for number in range(versions)]
    for start in range(0, versions, _RECORDS_AT_ONCE):
        now = moment(vault, read_authority(vault))
        events = []
        for model in models[start : start + _RECORDS_AT_ONCE]:
            manifest = Digest.of(str(model).encode())
            wrapped = keys.wrap(key, os.urandom(32), data_key_context(model, manifest))
            vault.blobs.put_new(layout.wrapped_key_name(model), WrappedKey(key, wrapped).to_bytes())
            events.append(
                build_event(
                    vault,
                    now,
                    _ADMIN,
                    "publish",
                    str(model),
                    rule="bench",
                    model=str(model),
                    manifest=str(manifest),
                    statement=str(manifest),
                    owner=_ADMIN,
                    publisher=_ADMIN,
                )
            )
        record(vault, *events)


def _bare_loop(vault: Vault) -> tuple[float, float]:
    """Seconds and processor seconds to unwrap and wrap every data key; read beforehand, written nowhere."""
    keys = vault.require_keys()
    loaded = []
    for held in held_keys(read_authority(vault), _FAMILY):
        stored = WrappedKey.parse(vault.blobs.read(held.name, layout.MAX_WRAPPED_KEY_BYTES))
        loaded.append((stored, data_key_context(held.model, held.manifest)))
    started, used = time.perf_counter(), time.process_time()
    for stored, context in loaded:
        keys.wrap(stored.key, keys.unwrap(stored.key, stored.wrapped, context), context)
    return time.perf_counter() - started, time.process_time() - used


def _bench_reencrypt(folder: Path, mib: int) -> None:
    source = folder / "model.safetensors"
    header = b'{"w":{"dtype":"U8","shape":[%d],"data_offsets":[0,%d]}}' % (mib * 2**20, mib * 2**20)
    with source.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        for _ in range(mib):
            file.write(os.urandom(2**20))
    subprocess.run([sys.executable, __file__, "--in-child", str(folder)], check=True)


def _encrypt_anew(folder: Path) -> None:
    """In a process of its own, so that its peak of memory is this one's."""
    vault = _home(folder)
    model = ModelId.parse(f"{_FAMILY}@1.0.0")
    source = LocalSource(folder / "model.safetensors")
    publish(vault, Offer(model, _ADMIN, _ADMIN, source))
    source.close()
    rotate_key(vault, _ADMIN, Wish(_FAMILY, reencrypt=True))
    Path("/proc/self/clear_refs").write_text("5\n")  # proc(5): resets VmHWM
    base = _status("VmRSS")
    started = time.perf_counter()
    done = reencrypt(vault, _ADMIN, _FAMILY)
    elapsed_s = time.perf_counter() - started
    mib, peak_mib = done.size_bytes / 2**20, (_status("VmHWM") - base) / 1024
    print(
        f"{mib:.0f} MiB encrypted anew, read back and put in force in {elapsed_s:.1f} s "
        f"({mib / elapsed_s:.0f} MiB/s), peak memory {peak_mib:.1f} MiB over base"
    )


def _status(field: str) -> int:
    """KiB, as the kernel says."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1])
    raise SystemExit(f"/proc/self/status: no {field}")


if __name__ == "__main__":
    sys.exit(main())

"""What fuzzing learnt is replayed, and every parser sees some new bytes with every run of the tests.

``make fuzz`` looks much further; what it finds lies in ``corpus/<target>/``, and an input that once broke a
parser there too, as ``crash-...``.
"""

import random
import zlib
from pathlib import Path

import pytest

from tests.fuzz.targets import TARGETS, Overrun, bounded_time

CORPUS = Path(__file__).parent / "corpus"
VECTORS = Path(__file__).parents[1] / "vectors"
MUTANTS = 30
"""Of each target. The same in every run, so that a failure stays; the corpus changes them when it grows."""
MAX_SEED_BYTES = 16 * 1024
PIECES = [
    b"\x00" * 8,
    b"\xff" * 8,
    b"\x7f\xff\xff\xff",
    b"\x80",
    b"{",
    b"[" * 300,
    b'"',
    b"\n",
    b"A" * 400,
    b"../",
    b"<",
    b"%",
]


def _kept(name: str) -> list[Path]:
    return sorted(path for path in (CORPUS / name).glob("*") if path.is_file())


def _seeds(name: str) -> list[bytes]:
    files = [
        path for pattern in TARGETS[name].seeds for path in sorted(VECTORS.glob(pattern)) if path.is_file()
    ]
    wanted = [data for path in files for data in TARGETS[name].extract(path.read_bytes())]
    return [
        data
        for data in [*wanted, *(path.read_bytes() for path in _kept(name))]
        if len(data) <= MAX_SEED_BYTES
    ]


def _mutate(rng: random.Random, data: bytes, other: bytes) -> bytes:
    """A few bits, bytes, runs or whole ends changed."""
    out = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at = rng.randint(0, len(out))
        size = rng.choice((1, 1, 2, 4, 8, 64))
        match rng.randrange(6):
            case 0:
                out[at : at + 1] = bytes(byte ^ (1 << rng.randrange(8)) for byte in out[at : at + 1])
            case 1:
                out[at : at + size] = rng.randbytes(size)
            case 2:
                del out[at : at + size]
            case 3:
                out[at:at] = out[at : at + size] * rng.choice((1, 2, 50))
            case 4:
                out[at : at + rng.choice((0, size))] = rng.choice(PIECES)
            case _:
                out[at:] = other[rng.randint(0, len(other)) :]
    return bytes(out)


def _run(name: str, data: bytes, what: str) -> None:
    try:
        with bounded_time():
            TARGETS[name].run(data)
    except (Exception, Overrun) as error:
        pytest.fail(f"{name}: {what}: {error!r:.300}\n{data!r:.2000}")


def test_every_corpus_has_its_target() -> None:
    assert {path.name for path in CORPUS.iterdir() if any(path.iterdir())} <= TARGETS.keys()


@pytest.mark.parametrize("name", TARGETS)
def test_what_fuzzing_kept_is_read_or_refused(name: str) -> None:
    for path in _kept(name):
        _run(name, path.read_bytes(), path.name)


@pytest.mark.parametrize("name", TARGETS)
def test_mutants_are_read_or_refused(name: str) -> None:
    rng = random.Random(zlib.crc32(name.encode()))
    seeds = _seeds(name) or [b""]
    for number in range(MUTANTS):
        _run(name, _mutate(rng, rng.choice(seeds), rng.choice(seeds)), f"mutant {number}")


def test_work_without_end_is_seen() -> None:
    with pytest.raises(Overrun), bounded_time(1):
        while True:
            pass

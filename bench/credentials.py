"""Credentials: what share of planted ones is found, in which carriers, and what fires where there are none.

    .venv/bin/python -m bench.credentials [--megabytes 100]

Prints Markdown tables. Speed is given as a share of SHA-256 over the same bytes in the same run, for an
absolute one is the machine's.
"""

import argparse
import base64
import json
import time
from collections import Counter
from hashlib import sha256
from itertools import pairwise
from random import Random

import numpy as np

from bench.table import print_table
from strongroom.scan.secret_search import search_text
from tests.unit.scan.credentials import CARRIERS, MARKED, MULTILINE, NAMED

_ROUNDS = 10
_PIECE_BYTES = 4 * 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=100, help="of each kind of weights")
    megabytes = parser.parse_args().megabytes
    recall_table()
    false_hit_table(megabytes)


def recall_table() -> None:
    """Every kind, planted in every carrier, with new random values each time."""
    makers = {kind: ("", maker) for kind, maker in (MARKED | MULTILINE).items()} | NAMED
    rows = []
    for carrier, carry in CARRIERS.items():
        random = Random(carrier)
        missed: Counter[str] = Counter()
        for kind, (name, maker) in makers.items():
            for _ in range(_ROUNDS):
                missed[kind] += not search_text(carry(name, maker(random))).hits
        planted = _ROUNDS * len(makers)
        found = planted - missed.total()
        worst = ", ".join(kind for kind, count in missed.most_common(3) if count)
        rows.append([carrier, str(len(makers)), str(planted), f"{found / planted:.1%}", worst or "none"])
    print_table("Planted credentials", ["carrier", "kinds", "planted", "found", "most missed"], rows)


def false_hit_table(megabytes: int) -> None:
    """Nothing is planted: each hit is a false one."""
    rows = []
    for name, piece in _SOURCES.items():
        random = np.random.default_rng(7)
        total_bytes, hits, search_s, digest_s = 0, Counter[str](), 0.0, 0.0
        while total_bytes < megabytes * 10**6:
            text = piece(random)
            data = text.encode("ascii", "replace")
            start_s = time.process_time()
            found = search_text(text).hits
            middle_s = time.process_time()
            sha256(data).digest()
            digest_s += time.process_time() - middle_s
            search_s += middle_s - start_s
            total_bytes += len(data)
            hits.update(hit.rule.id for hit in found)
        shown = ", ".join(f"{rule} {count}" for rule, count in hits.items()) or "0"
        rows.append([name, f"{total_bytes / 1e6:.0f}", shown, f"{digest_s / search_s:.1%}"])
    print_table("Where there are none", ["text", "MB", "false hits", "speed, of SHA-256"], rows)


def _weights(random: np.random.Generator) -> bytes:
    return random.normal(0, 0.02, _PIECE_BYTES // 4).astype(np.float32).tobytes()


def _tokenizer(random: np.random.Generator) -> str:
    letters = np.array(list("etaoinshrdlucmfwypvbgkjqxzETAOIN0123456789_-./:=@'\"#$%&Ġ▁éλ中"))
    tokens = [
        "".join(letters[random.integers(0, len(letters), size)]) for size in random.integers(1, 12, 60_000)
    ]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    merges = [f"{left} {right}" for left, right in pairwise(tokens)]
    return json.dumps({"model": {"type": "BPE", "vocab": vocabulary, "merges": merges}})


def _trees(random: np.random.Generator) -> str:
    values = random.normal(0, 1, 100_000).tolist()
    return "tree\nleaf_value=" + " ".join(map(repr, values)) + json.dumps({"split_conditions": values})


def _lock_file(random: np.random.Generator) -> str:
    return "\n".join(f"package-{n}==1.{n} --hash=sha256:{random.bytes(32).hex()}" for n in range(10_000))


_SOURCES = {
    "random bytes": lambda random: random.bytes(_PIECE_BYTES).decode("latin-1"),
    "float32 weights": lambda random: _weights(random).decode("latin-1"),
    "random bytes in base64": lambda random: base64.b64encode(random.bytes(_PIECE_BYTES)).decode(),
    "random bytes in base64, URL-safe": lambda random: base64.urlsafe_b64encode(
        random.bytes(_PIECE_BYTES)
    ).decode(),
    "weights in base64 lines": lambda random: base64.encodebytes(_weights(random)).decode(),
    "byte-pair tokenizers": _tokenizer,
    "tree dumps": _trees,
    "lock files with digests": _lock_file,
}


if __name__ == "__main__":
    main()

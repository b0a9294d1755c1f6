"""Random weights: 32-bit floats as a trained model has them, so that no scanner finds them easy to skip."""

from typing import BinaryIO

import numpy as np

MATRIX = (2048, 1024)
MATRIX_BYTES = 4 * MATRIX[0] * MATRIX[1]


def write_matrix(file: BinaryIO, seed: int) -> None:
    """8 MiB: a large language model has larger ones, others smaller."""
    file.write(np.random.default_rng(seed).standard_normal(MATRIX, dtype=np.float32).tobytes())


def count_matrices(mib: int) -> int:
    return max(1, mib * 2**20 // MATRIX_BYTES)

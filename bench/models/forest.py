"""A scikit-learn forest as `joblib.dump` writes it: deep trees over noise, as many as it takes."""

from pathlib import Path

import joblib
import numpy as np
from sklearn.ensemble import ExtraTreesClassifier

_ROWS, _COLUMNS = 200_000, 8


def make(mib: int, folder: Path) -> Path:
    path = folder / "forest.joblib"
    random = np.random.default_rng(0)
    rows = random.standard_normal((_ROWS, _COLUMNS), dtype=np.float32)
    classes = random.integers(0, 2, _ROWS)
    forest = ExtraTreesClassifier(1, max_features=1, random_state=0, warm_start=True, n_jobs=2)
    joblib.dump(forest.fit(rows, classes), path)
    forest.set_params(n_estimators=max(1, mib * 2**20 // path.stat().st_size))
    joblib.dump(forest.fit(rows, classes), path)
    return path

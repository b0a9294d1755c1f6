"""The labelled samples: ``labels.csv`` in a folder says what each file or folder in it is."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_PICKLES = (".pkl", ".pickle", ".joblib", ".pt", ".pth", ".bin", ".dill")
_CONVERTIBLE = ("sklearn", "joblib", "xgboost", "lightgbm")


@dataclass(frozen=True, slots=True)
class Sample:
    path: Path
    benign: bool
    technique: str

    @property
    def is_pickle(self) -> bool:
        """A pickle, or a container of one, whatever its name says."""
        return "pickle" in self.technique.lower() or any(
            suffix in _PICKLES for suffix in self.path.suffixes if self.path.is_file()
        )

    @property
    def is_convertible(self) -> bool:
        """A pickle that `strongroom convert` makes a model of that is served."""
        return self.benign and self.is_pickle and self.technique.startswith(_CONVERTIBLE)


def read_samples(folder: Path) -> Sequence[Sample]:
    with (folder / "labels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [
        Sample(folder / row["file"].rpartition("/")[2], row["label"] == "benign", row["technique"])
        for row in rows
    ]

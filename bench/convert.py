"""Which estimators of scikit-learn `strongroom convert` takes: each is fitted, pickled, tried in a sandbox.

    python -m bench.convert [NAME ...]

Prints a table: what it becomes and how far it is from its original, or why it is not converted.
"""

import sys
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.datasets import make_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import StandardScaler
from sklearn.utils import all_estimators, get_tags

from strongroom.errors import StrongroomError
from tests.serve.converting import Line, dump

_ROWS, _LABELS = make_classification(300, 6, n_informative=4, n_redundant=0, n_classes=3, random_state=0)
_TEXTS = ["the cat sat", "a dog ran off"] * 150
_SMALL = {"n_components": 2, "eps": 0.5}
_COUNTS = ("GammaRegressor", "PoissonRegressor", "TweedieRegressor")
_OF_TWO = ("TunedThresholdClassifierCV", "FixedThresholdClassifier")
_OF_TEXTS = ("CountVectorizer", "TfidfVectorizer", "HashingVectorizer")
_OF_WHOLE = ("OneHotEncoder", "OrdinalEncoder", "CategoricalNB", "TargetEncoder")


def _arguments(name: str, kind: type) -> dict[str, Any]:
    """What an estimator cannot be made without."""
    classifies = any(word in name for word in ("Class", "OneVs", "RFE", "Select", "Output"))
    inner = LogisticRegression() if classifies and "Regressor" not in name else Ridge()
    other = RandomForestClassifier(5) if isinstance(inner, LogisticRegression) else Ridge(2)
    given = {
        "estimator": inner,
        "base_estimator": inner,
        "estimators": [("a", inner), ("b", other)],
        "steps": [("a", inner)],
        "transformers": [("a", "passthrough", [0, 1])],
        "transformer_list": [("a", StandardScaler())],
        "param_grid": {"alpha": [1, 2]},
        "param_distributions": {"alpha": [1, 2]},
        "n_components": 2,
    }
    needed = getattr(kind, "_required_parameters", None) or [
        name
        for name, parameter in _signature(kind).items()
        if parameter.default is parameter.empty and name != "self" and parameter.kind.value < 2
    ]
    small = ["n_components"] if name in ("CCA", "PLSSVD", "PLSCanonical") or "Projection" in name else []
    return {each: given[each] if not small else 1 for each in [*needed, *small]}


def _signature(kind: type) -> Any:
    import inspect

    return inspect.signature(kind.__init__).parameters  # type: ignore[misc]


def _fit(name: str, kind: type) -> Any:
    model = kind(**_arguments(name, kind))
    tags = get_tags(model)
    rows: Any = np.abs(_ROWS) if tags.input_tags.positive_only else _ROWS
    labels: Any = (_LABELS > 0).astype(int) if name in _OF_TWO else _LABELS
    if tags.estimator_type == "regressor":
        labels = rows @ np.arange(6.0) + np.sin(rows[:, 0])
    if name in _COUNTS:
        labels = np.abs(labels) + 1
    if name.startswith("MultiTask") or (tags.target_tags.multi_output and not tags.target_tags.single_output):
        labels = np.c_[labels, labels]
    if name in _OF_WHOLE:
        rows = np.floor(np.abs(_ROWS)).astype(int)
    if name in _OF_TEXTS:
        rows = _TEXTS
    return model.fit(rows, labels)


def _results(wanted: list[str]) -> Iterator[tuple[str, str]]:
    line = Line()
    for name, kind in all_estimators():
        if wanted and name not in wanted:
            continue
        try:
            model = _fit(name, kind)
        except Exception as error:
            yield name, f"not fitted here: {str(error).strip()[:60]}"
            continue
        try:
            _, facts = line.convert(dump(model))
            label = facts["label"]
            agreed = "" if label is None else f"labels {label['agreed']}/{label['rows']}  "
            yield name, f"converted: {', '.join(facts['outputs'])}  {agreed}error {facts['relative'] or '-'}"
        except StrongroomError as error:
            yield name, f"{error.family}: {error.message[:90]}"
        except AssertionError as error:
            yield name, f"ENDED: {error}"
            line = Line()
    line.close()


def main() -> None:
    warnings.simplefilter("ignore")
    counts: dict[str, int] = {}
    for name, outcome in _results(sys.argv[1:]):
        print(f"{name:32} {outcome}", flush=True)
        kind = outcome.partition(":")[0]
        counts[kind] = counts.get(kind, 0) + 1
    print(f"\n{', '.join(f'{count} {kind}' for kind, count in sorted(counts.items()))}")


if __name__ == "__main__":
    main()

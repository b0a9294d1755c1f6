"""Small conversions of every kind before the locks: what libraries import on first use is then there."""

import contextlib
import pickle
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from strongroom.errors import StrongroomError
from strongroom.serve.converter import libraries

_ROWS = 24
_REQUEST = {"rows": 8, "seed": 1, "features": None, "max_error": None, "entry": None}


def rehearse(convert: Callable[[bytes, dict[str, bytes], dict[str, Any]], Any]) -> None:
    """Fit, save and convert. What fails here fails later too, with a message; here it is passed over."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for model in _models():
            with contextlib.suppress(StrongroomError):
                convert(pickle.dumps(model), {}, _REQUEST)
        with contextlib.suppress(Exception):
            _rehearse_skops(convert)


def _models() -> Iterator[Any]:
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier, VotingClassifier
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler
    from sklearn.svm import SVC

    rows = np.random.default_rng(1).standard_normal((_ROWS, 3))
    labels = (rows[:, 0] > 0).astype(int)
    for model in (
        make_pipeline(StandardScaler(), SVC()),
        VotingClassifier([("a", RandomForestClassifier(2)), ("b", LogisticRegression())], voting="soft"),
        HistGradientBoostingClassifier(max_iter=2),
        KNeighborsRegressor(2),
    ):
        yield model.fit(rows, labels)
    texts = [f"word{index % 3} other" for index in range(_ROWS)]
    yield make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(texts, labels)
    pandas = libraries.find("pandas")
    if pandas is not None:
        table = pandas.DataFrame({"number": rows[:, 0], "word": texts})
        columns = make_column_transformer((StandardScaler(), ["number"]), (OneHotEncoder(), ["word"]))
        yield make_pipeline(columns, LogisticRegression()).fit(table, labels)
    for name, classes in (("xgboost", ("XGBClassifier", "XGBRegressor")), ("lightgbm", ("LGBMClassifier",))):
        module = libraries.find(name)
        for kind in classes if module is not None else ():
            options = {"n_estimators": 2, "n_jobs": 1, **({"verbose": -1} if name == "lightgbm" else {})}
            model = getattr(module, kind)(**options).fit(rows, labels)
            yield model
            yield model.get_booster() if name == "xgboost" else model.booster_


def _rehearse_skops(convert: Callable[[bytes, dict[str, bytes], dict[str, Any]], Any]) -> None:
    skops = libraries.find("skops.io")
    if skops is not None:
        from sklearn.tree import DecisionTreeClassifier

        rows = np.random.default_rng(1).standard_normal((_ROWS, 3))
        model = DecisionTreeClassifier().fit(rows, (rows[:, 0] > 0).astype(int))
        convert(skops.dumps(model), {}, _REQUEST)

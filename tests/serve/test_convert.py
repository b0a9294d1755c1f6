"""What comes out of the converter answers as the original did: every family, every way to save it."""

import bz2
import gzip
import io
import lzma
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import joblib
import lightgbm
import numpy as np
import onnxruntime
import pandas
import pytest
import skops.io
import xgboost
from sklearn import (
    calibration,
    cluster,
    compose,
    decomposition,
    dummy,
    ensemble,
    feature_extraction,
    gaussian_process,
    impute,
    kernel_approximation,
    kernel_ridge,
    linear_model,
    mixture,
    model_selection,
    multioutput,
    naive_bayes,
    neighbors,
    pipeline,
    preprocessing,
    svm,
    tree,
)

from strongroom.artifact.inspect import inspect
from strongroom.errors import InvalidError, RejectedError
from tests.serve.converting import Line

Array = np.ndarray[Any, Any]

_RANDOM = np.random.default_rng(7)
_ROWS = _RANDOM.standard_normal((240, 5)).astype(np.float32)
_GAPS = np.where(_RANDOM.random(_ROWS.shape) < 0.1, np.nan, _ROWS).astype(np.float32)
_SCORE = _ROWS[:, 0] + _ROWS[:, 1] * _ROWS[:, 2]
_TWO = (_SCORE > 0).astype(int)
_THREE = np.digitize(_SCORE, [-0.5, 0.5])
_NUMBER = (_SCORE * 100 + 3).astype(float)
_POSITIVE = np.abs(_SCORE) + 0.1
_WORDS = np.array(["no", "yes"])[_TWO]
_CATEGORIES = np.where(np.arange(240) % 17, np.arange(240) % 6, np.nan)
_TEXTS = [
    "the quick brown fox",
    "lazy dogs sleep",
    "win a FREE prize now",
    "über naïve Äpfel",
    "free win!",
] * 48
_TABLE = pandas.DataFrame(
    {
        "age": _RANDOM.integers(18, 80, 240),
        "income": _RANDOM.normal(50_000, 15_000, 240),
        "city": _RANDOM.choice(["Oslo", "Rome", "Lima"], 240),
    }
)
_GAPPED_TABLE = _TABLE.assign(
    income=_TABLE.income.mask(_TABLE.index % 13 == 0), city=_TABLE.city.mask(_TABLE.index % 11 == 0)
)
_XGB = {"n_estimators": 8, "max_depth": 4, "n_jobs": 1}
_LGB = {"n_estimators": 8, "n_jobs": 1, "verbose": -1, "min_child_samples": 5}


@pytest.fixture(scope="module")
def line() -> Iterator[Line]:
    with Line() as line:
        yield line


def _table_pipeline(model: Any, table: Any, *, gaps: bool = False) -> Any:
    numbers = preprocessing.StandardScaler()
    cities = preprocessing.OneHotEncoder(handle_unknown="ignore")
    if gaps:
        numbers = pipeline.make_pipeline(impute.SimpleImputer(), numbers)
        cities = pipeline.make_pipeline(impute.SimpleImputer(strategy="most_frequent"), cities)
    columns = compose.make_column_transformer((numbers, ["age", "income"]), (cities, ["city"]))
    return pipeline.make_pipeline(columns, model).fit(table, _WORDS)


def _scaled(model: Any, labels: Array) -> Any:
    return pipeline.make_pipeline(preprocessing.StandardScaler(), model).fit(_ROWS, labels)


def _ridge_pipeline() -> Any:
    return pipeline.make_pipeline(preprocessing.StandardScaler(), linear_model.Ridge())


def _booster(objective: str, labels: Array, **more: Any) -> Any:
    data = xgboost.DMatrix(_ROWS, label=labels)
    return xgboost.train({"objective": objective, "nthread": 1, **more}, data, 6)


def _text_booster(objective: str, labels: Array, **more: Any) -> bytes:
    data = lightgbm.Dataset(_ROWS, labels)
    options = {"objective": objective, "num_threads": 1, "verbose": -1, **more}
    return lightgbm.train(options, data, 6).model_to_string().encode()


def _stopped_early(kind: Any, labels: Array, **more: Any) -> Any:
    return kind(n_estimators=200, **more).fit(
        _ROWS[:160], labels[:160], eval_set=[(_ROWS[160:], labels[160:])]
    )


MODELS: dict[str, Callable[[], Any]] = {
    "logistic regression": lambda: linear_model.LogisticRegression().fit(_ROWS, _THREE),
    "labels that are words": lambda: linear_model.LogisticRegression().fit(_ROWS, _WORDS),
    "linear SVC in a pipeline": lambda: _scaled(svm.LinearSVC(), _TWO),
    "SVC without probabilities": lambda: _scaled(svm.SVC(), _TWO),
    "SVC of three classes": lambda: _scaled(svm.SVC(), _THREE),
    "SGD": lambda: _scaled(linear_model.SGDClassifier(loss="log_loss"), _THREE),
    "ridge": lambda: linear_model.Ridge().fit(_ROWS, _NUMBER),
    "tree": lambda: tree.DecisionTreeClassifier().fit(_ROWS, _THREE),
    "forest": lambda: ensemble.RandomForestClassifier(20, n_jobs=2).fit(_ROWS, _TWO),
    "forest with gaps": lambda: ensemble.RandomForestClassifier(10).fit(_GAPS, _TWO),
    "forest of two outputs": lambda: ensemble.RandomForestRegressor(5).fit(_ROWS, np.c_[_NUMBER, _POSITIVE]),
    "forest of labels": lambda: ensemble.RandomForestClassifier(5).fit(_ROWS, np.c_[_TWO, _THREE > 0]),
    "gradient boosting": lambda: ensemble.GradientBoostingClassifier(n_estimators=8).fit(_ROWS, _THREE),
    "histogram boosting": lambda: ensemble.HistGradientBoostingClassifier(max_iter=8).fit(_GAPS, _THREE),
    "histogram boosting, poisson": lambda: ensemble.HistGradientBoostingRegressor(
        max_iter=8, loss="poisson"
    ).fit(_ROWS, _POSITIVE),
    "isolation forest": lambda: ensemble.IsolationForest(n_estimators=10).fit(_ROWS),
    "nearest neighbours": lambda: neighbors.KNeighborsClassifier(3).fit(_ROWS, _THREE),
    "naive Bayes": lambda: naive_bayes.GaussianNB().fit(_ROWS, _THREE),
    "Gaussian process": lambda: gaussian_process.GaussianProcessRegressor(alpha=1e-2).fit(
        _ROWS[:60], _NUMBER[:60]
    ),
    "mixture": lambda: mixture.GaussianMixture(3).fit(_ROWS),
    "k-means": lambda: _scaled(cluster.KMeans(3), _TWO),
    "PCA": lambda: decomposition.PCA(2).fit(_ROWS),
    "calibrated": lambda: calibration.CalibratedClassifierCV(svm.LinearSVC(), cv=2).fit(_ROWS, _TWO),
    "calibrated XGBoost": lambda: calibration.CalibratedClassifierCV(xgboost.XGBClassifier(**_XGB), cv=2).fit(
        _ROWS, _TWO
    ),
    "searched": lambda: model_selection.GridSearchCV(
        pipeline.make_pipeline(preprocessing.StandardScaler(), svm.SVR()), {"svr__C": [1, 10]}, cv=2
    ).fit(_ROWS, _NUMBER),
    "voting": lambda: ensemble.VotingClassifier(
        [("x", xgboost.XGBClassifier(**_XGB)), ("l", lightgbm.LGBMClassifier(**_LGB))], voting="soft"
    ).fit(_ROWS, _THREE),
    "stacked": lambda: ensemble.StackingRegressor(
        [("x", xgboost.XGBRegressor(**_XGB)), ("r", linear_model.Ridge())], cv=2
    ).fit(_ROWS, _NUMBER),
    "several outputs": lambda: multioutput.MultiOutputClassifier(linear_model.LogisticRegression()).fit(
        _ROWS, np.c_[_TWO, _THREE]
    ),
    "table": lambda: _table_pipeline(linear_model.LogisticRegression(max_iter=300), _TABLE),
    "table with gaps": lambda: _table_pipeline(ensemble.RandomForestClassifier(10), _GAPPED_TABLE, gaps=True),
    "table into XGBoost": lambda: pipeline.make_pipeline(
        compose.make_column_transformer((preprocessing.OrdinalEncoder(), ["city"]), remainder="passthrough"),
        xgboost.XGBClassifier(**_XGB),
    ).fit(_TABLE, _TWO),
    "mixed columns by number": lambda: pipeline.make_pipeline(
        compose.make_column_transformer(
            (preprocessing.StandardScaler(), [0, 1]), (preprocessing.OneHotEncoder(), [2])
        ),
        linear_model.LogisticRegression(max_iter=300),
    ).fit(_TABLE.to_numpy(object), _TWO),
    "words": lambda: pipeline.make_pipeline(
        feature_extraction.text.TfidfVectorizer(), linear_model.LogisticRegression()
    ).fit(_TEXTS, _TWO),
    "letters": lambda: feature_extraction.text.TfidfVectorizer(analyzer="char", ngram_range=(1, 2)).fit(
        _TEXTS
    ),
    "words, counted by their logarithm": lambda: pipeline.make_pipeline(
        feature_extraction.text.TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True), svm.LinearSVC()
    ).fit(_TEXTS, _TWO),
    "a function of numpy": lambda: pipeline.make_pipeline(
        preprocessing.FunctionTransformer(np.log1p), linear_model.Ridge()
    ).fit(np.abs(_ROWS), _NUMBER),
    "a target of numpy": lambda: compose.TransformedTargetRegressor(
        _ridge_pipeline(), func=np.log1p, inverse_func=np.expm1
    ).fit(_ROWS, _POSITIVE),
    "a scaled target": lambda: compose.TransformedTargetRegressor(
        _ridge_pipeline(), transformer=preprocessing.StandardScaler()
    ).fit(_ROWS, _NUMBER),
    "bins": lambda: pipeline.make_pipeline(
        preprocessing.KBinsDiscretizer(3, quantile_method="averaged_inverted_cdf"), linear_model.Ridge()
    ).fit(_ROWS, _NUMBER),
    "kernel ridge": lambda: kernel_ridge.KernelRidge(kernel="rbf").fit(_ROWS, _NUMBER),
    "Nystroem": lambda: kernel_approximation.Nystroem(n_components=20).fit(_ROWS),
    "random features": lambda: kernel_approximation.RBFSampler(n_components=20).fit(_ROWS),
    "independent components": lambda: decomposition.FastICA(2).fit(_ROWS),
    "nearest centres": lambda: cluster.Birch(n_clusters=2).fit(_ROWS),
    "always the most frequent": lambda: dummy.DummyClassifier().fit(_ROWS, _WORDS),
    "in a dictionary": lambda: {"model": linear_model.Ridge().fit(_ROWS, _NUMBER), "version": "3"},
    "XGBoost": lambda: xgboost.XGBClassifier(**_XGB).fit(_ROWS, _TWO),
    "XGBoost with names": lambda: xgboost.XGBClassifier(**_XGB).fit(
        pandas.DataFrame(_ROWS, columns=list("abcde")), _THREE
    ),
    "XGBoost with gaps": lambda: xgboost.XGBClassifier(**_XGB).fit(_GAPS, _THREE),
    "XGBoost, base score": lambda: xgboost.XGBRegressor(base_score=7.5, **_XGB).fit(_ROWS, _NUMBER),
    "XGBoost, stopped early": lambda: _stopped_early(
        xgboost.XGBClassifier, _THREE, early_stopping_rounds=2, n_jobs=1, learning_rate=0.9
    ),
    "XGBoost, dart": lambda: xgboost.XGBRegressor(booster="dart", rate_drop=0.3, **_XGB).fit(_ROWS, _NUMBER),
    "XGBoost, linear": lambda: xgboost.XGBRegressor(booster="gblinear", n_estimators=8, n_jobs=1).fit(
        _ROWS, _NUMBER
    ),
    "XGBoost, forest": lambda: xgboost.XGBRFClassifier(**_XGB).fit(_ROWS, _TWO),
    "XGBoost, two outputs": lambda: xgboost.XGBRegressor(**_XGB).fit(_ROWS, np.c_[_NUMBER, _POSITIVE]),
    "LightGBM": lambda: lightgbm.LGBMClassifier(**_LGB).fit(_ROWS, _WORDS),
    "LightGBM, forest": lambda: lightgbm.LGBMClassifier(
        boosting_type="rf", bagging_freq=1, bagging_fraction=0.7, **_LGB
    ).fit(_ROWS, _TWO),
    "LightGBM, one versus all": lambda: lightgbm.LGBMClassifier(objective="multiclassova", **_LGB).fit(
        _ROWS, _THREE
    ),
    "LightGBM, categories": lambda: lightgbm.LGBMRegressor(**_LGB).fit(
        np.c_[_ROWS[:, :3], _CATEGORIES],
        _NUMBER + np.nan_to_num(_CATEGORIES) * 50,
        categorical_feature=[3],
    ),
    "LightGBM, ranking": lambda: lightgbm.LGBMRanker(**_LGB).fit(_ROWS, _THREE, group=[24] * 10),
}
for _objective in ("count:poisson", "reg:gamma", "reg:tweedie", "reg:pseudohubererror", "survival:cox"):
    MODELS[f"XGBoost, {_objective}"] = lambda objective=_objective: xgboost.XGBRegressor(
        objective=objective, **_XGB
    ).fit(_ROWS, _POSITIVE)
for _objective in ("poisson", "gamma", "quantile", "mape", "fair", "huber"):
    MODELS[f"LightGBM, {_objective}"] = lambda objective=_objective: lightgbm.LGBMRegressor(
        objective=objective, **_LGB
    ).fit(_ROWS, _POSITIVE)

FILES: dict[str, Callable[[], bytes]] = {
    "XGBoost JSON": lambda: bytes(_booster("binary:logistic", _TWO).save_raw("json")),
    "XGBoost UBJSON": lambda: bytes(_booster("multi:softmax", _THREE, num_class=3).save_raw("ubj")),
    "XGBoost booster": lambda: pickle.dumps(_booster("reg:logistic", _TWO)),
    "XGBoost, raw margin": lambda: bytes(_booster("binary:logitraw", _TWO).save_raw("json")),
    "LightGBM text": lambda: _text_booster("multiclass", _THREE, num_class=3),
    "LightGBM text, forest": lambda: _text_booster(
        "binary", _TWO, boosting="rf", bagging_freq=1, bagging_fraction=0.7
    ),
    "LightGBM text, cross entropy": lambda: _text_booster("cross_entropy", _TWO),
    "skops": lambda: skops.io.dumps(ensemble.RandomForestClassifier(5).fit(_ROWS, _WORDS)),
}


def _answer(content: bytes, rows: dict[str, Array]) -> dict[str, Array]:
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, rows), strict=True))


def _require_near(facts: dict[str, Any]) -> None:
    assert facts["label"] is None or facts["label"]["agreed"] == facts["label"]["rows"]
    assert facts["relative"] is None or float(facts["relative"]) <= float(facts["bound"]) or facts["label"]


@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_converted_and_may_be_served(name: str, line: Line) -> None:
    content, facts = line.convert(pickle.dumps(MODELS[name](), 4))
    _require_near(facts)
    inspection = inspect({"model.onnx": (lambda offset, size: content[offset : offset + size], len(content))})
    assert inspection.servable
    assert [output.name for output in inspection.outputs] == facts["outputs"]


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_its_own_kind_is_converted(name: str, line: Line) -> None:
    content, facts = line.convert(FILES[name]())
    _require_near(facts)
    assert _answer(content, {"input": _ROWS[:3]})


BOOSTED = [name for name in MODELS if name.startswith(("XGBoost", "LightGBM", "histogram", "forest with"))]


@pytest.mark.parametrize("name", BOOSTED)
def test_boosted_trees_are_exact_at_thresholds_and_for_missing_values(name: str, line: Line) -> None:
    _, facts = line.convert(pickle.dumps(MODELS[name](), 4))
    assert {probe: one["differing"] for probe, one in facts["probes"].items()} == dict.fromkeys(
        facts["probes"], 0
    )


def test_the_converted_model_answers_the_training_rows_alike(line: Line) -> None:
    """The comparison of the sandbox, done again outside of it."""
    model = xgboost.XGBClassifier(**_XGB).fit(_GAPS, _THREE)
    content, _ = line.convert(pickle.dumps(model))
    answer = _answer(content, {"input": _GAPS})
    assert answer["label"].tolist() == model.predict(_GAPS).tolist()
    assert np.abs(answer["probabilities"] - model.predict_proba(_GAPS)).max() < 1e-6


COMPRESSED: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
}


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_every_protocol_of_pickle_is_read(protocol: int, line: Line) -> None:
    line.convert(pickle.dumps(MODELS["forest"](), protocol))


@pytest.mark.parametrize("how", [0, 3, ("gzip", 3), ("bz2", 3), ("xz", 3), ("lzma", 3), ("lz4", 3)], ids=str)
def test_everything_that_joblib_writes_is_read(how: Any, line: Line) -> None:
    file = io.BytesIO()
    joblib.dump(MODELS["labels that are words"](), file, compress=how)
    _, facts = line.convert(file.getvalue())
    assert facts["format"] == "pickle"


@pytest.mark.parametrize("how", COMPRESSED)
def test_a_pickle_that_was_compressed_by_hand_is_read(how: str, line: Line) -> None:
    line.convert(COMPRESSED[how](pickle.dumps(MODELS["ridge"]())))


UNCONVERTIBLE: dict[str, tuple[Callable[[], Any], str]] = {
    "no converter": (
        lambda: decomposition.SparsePCA(2, max_iter=5).fit(_ROWS.astype(float)),
        "skl2onnx has no converter for SparsePCA",
    ),
    "dictionaries": (
        lambda: feature_extraction.DictVectorizer().fit([{"a": 1.0}]),
        "DictVectorizer takes dictionaries",
    ),
    "a function of one's own": (
        lambda: preprocessing.FunctionTransformer(np.cumsum).fit(_ROWS),
        "function 'cumsum' has no ONNX form",
    ),
    "no model": (lambda: {"a": 1, "b": [1, 2]}, "no fitted model"),
    "several models": (
        lambda: {
            "scaler": preprocessing.StandardScaler().fit(_ROWS),
            "model": linear_model.Ridge().fit(_ROWS, _NUMBER),
        },
        "holds 2 models",
    ),
    "clusters that cannot be asked": (lambda: cluster.DBSCAN().fit(_ROWS), "no fitted model"),
    "linear leaves": (
        lambda: lightgbm.LGBMRegressor(linear_tree=True, **_LGB).fit(_ROWS, _NUMBER),
        "linear leaves",
    ),
}


@pytest.mark.parametrize("name", UNCONVERTIBLE)
def test_what_cannot_be_converted_is_invalid_and_named(name: str, line: Line) -> None:
    build, words = UNCONVERTIBLE[name]
    with pytest.raises(InvalidError, match=words):
        line.convert(pickle.dumps(build()))


def test_a_conversion_that_answers_otherwise_is_refused_with_the_row(line: Line) -> None:
    """skl2onnx rounds what neighbours say where the values are whole numbers."""
    model = neighbors.KNeighborsRegressor(5, weights="distance").fit(_ROWS, np.round(_NUMBER))
    with pytest.raises(RejectedError, match=r"relative error .* is above 1e-04, worst in row [0-9]+"):
        line.convert(pickle.dumps(model))
    _, facts = line.convert(pickle.dumps(model), max_error=2.0)
    assert facts["bound"] == "2.000e+00"


def test_the_same_original_becomes_the_same_bytes(line: Line) -> None:
    original = pickle.dumps(MODELS["table"]())
    first, facts = line.convert(original)
    second, again = line.convert(original)
    assert (first, facts["inputs"]) == (second, again["inputs"])


def test_rows_that_were_given_are_the_ones_compared(line: Line) -> None:
    file = io.BytesIO()
    np.savez(file, X=_ROWS[:17])
    _, facts = line.convert(pickle.dumps(MODELS["forest"]()), inputs=file.getvalue())
    assert facts["rows"] == 17


@pytest.mark.parametrize(
    "rows", [_ROWS[:, :4], _ROWS[:0], np.array([["a"] * 5])], ids=["few", "none", "texts"]
)
def test_rows_that_do_not_fit_are_invalid(rows: Array, line: Line) -> None:
    file = io.BytesIO()
    np.savez(file, X=rows)
    with pytest.raises(InvalidError, match="inputs"):
        line.convert(pickle.dumps(MODELS["forest"]()), inputs=file.getvalue())


def test_given_rows_are_never_unpickled(line: Line) -> None:
    file = io.BytesIO()
    np.savez(file, X=np.array([{"a": 1}], object))
    with pytest.raises(InvalidError, match="not a NumPy"):
        line.convert(pickle.dumps(MODELS["forest"]()), inputs=file.getvalue())

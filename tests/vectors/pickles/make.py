"""Write the samples beside this file. Needs the libraries that README.md names; the tests need none."""

import pickle
from pathlib import Path

import joblib
import lightgbm
import numpy as np
import pandas as pd
import scipy.sparse
import scipy.stats
import skops.io
import torch
import xgboost
from sklearn.datasets import make_classification, make_regression
from sklearn.ensemble import GradientBoostingRegressor, RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import fbeta_score, make_scorer
from sklearn.model_selection import RandomizedSearchCV
from sklearn.preprocessing import FunctionTransformer

HERE = Path(__file__).parent
X, y = make_classification(60, 5, random_state=0)
X = np.abs(X)
Xr, yr = make_regression(60, 5, random_state=0)


def main() -> None:
    scoring = {"a": "accuracy", "f": make_scorer(fbeta_score, beta=2)}
    search = RandomizedSearchCV(
        LogisticRegression(), {"C": scipy.stats.loguniform(0.1, 1)}, n_iter=2, scoring=scoring, refit="a"
    )
    boosted = xgboost.XGBClassifier(n_estimators=3).fit(X, y)
    light = lightgbm.LGBMClassifier(n_estimators=3, verbose=-1).fit(X, y)
    forest = RandomForestClassifier(3, random_state=np.random.RandomState(0)).fit(X, list("ab") * 30)
    generators = [
        np.random.RandomState(0),
        np.random.default_rng(0),
        np.random.Generator(np.random.MT19937(1)),
    ]
    _dump("xgbc.p2.pkl", boosted)
    _dump("lgbc.p5.pkl", light)
    _dump("rsc.p5.pkl", search.fit(X, y))
    _dump("rs.p2.pkl", generators)
    _dump("pd_df.p2.pkl", pd.DataFrame({"a": [1, 2], "c": pd.Categorical(list("ab"))}))
    _dump(
        "pd_index.p5.pkl",
        [pd.Index(list("ab")), pd.date_range("2020", periods=3, tz="UTC"), pd.Interval(0, 1)],
    )
    _dump("npmisc.p0.pkl", _arrays())
    _dump("TfidfVectorizer.p0.pkl", TfidfVectorizer().fit(["a b c", "the quick brown"] * 5))
    _dump("sp_csr.p2.pkl", scipy.sparse.random(5, 5, 0.3, format="csr"))
    _dump("gbr_huber.p5.pkl", GradientBoostingRegressor(loss="huber", n_estimators=2).fit(Xr, yr))
    joblib.dump(boosted, HERE / "xgbc.p5.3.joblib", compress=3, protocol=5)
    joblib.dump(forest, HERE / "rf_rs.p5.0.joblib", protocol=5)
    joblib.dump(_arrays(), HERE / "npmisc.p5.0.joblib", protocol=5)
    transformer = FunctionTransformer(np.log1p, np.expm1)
    for name, model in (("xgbc", boosted), ("lgbc", light), ("rs", generators), ("ft", transformer)):
        skops.io.dump(model, HERE / "skops" / f"{name}.skops")
    _checkpoints()


def _arrays() -> list[object]:
    record = np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")])
    return [
        np.float32(1),
        np.str_("x"),
        np.array(["a", "bb"], object),
        record,
        np.ma.array([1, 2], mask=[0, 1]),
        np.log1p,
    ]


def _dump(name: str, value: object) -> None:
    (HERE / name).write_bytes(pickle.dumps(value, protocol=int(name.split(".")[1][1:])))


def _checkpoints() -> None:
    nn = torch.nn
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Linear(4, 2))
    tensors = {
        "b": torch.randn(3).bfloat16(),
        "v": torch.arange(10)[2:5],
        "sp": torch.eye(3).to_sparse(),
        "q": torch.quantize_per_tensor(torch.randn(3), 0.1, 0, torch.qint8),
        "f8": torch.randn(3).to(torch.float8_e4m3fn),
        "meta": torch.empty(3, device="meta"),
        "p": nn.Parameter(torch.randn(2)),
        "d": torch.float32,
    }
    torch.save(tensors, HERE / "kinds.pt")
    torch.save(nn.LSTM(3, 4), HERE / "lstm.pt")
    torch.save(torch.optim.SGD(net.parameters(), 0.1), HERE / "optimizer.pt")
    torch.save(net.state_dict(), HERE / "sd_legacy.pth", _use_new_zipfile_serialization=False)
    (HERE / "pickled.pkl").write_bytes(pickle.dumps(net))


main()

"""How the samples here were made: each with the version in its name, of 80 or 120 made-up rows of 5 features.

    python make.py xgboost     # 1.0.2, 1.3.3, 1.5.2, 1.7.6, 2.0.3, 3.0.5, 3.2.0; .json, from 1.7 on also .ubj
    python make.py lightgbm    # 2.3.1, 3.3.5, 4.0.0, 4.7.0

The name says what differs from three rounds of `binary:logistic` or `binary`: the objective, the booster, or
`attrs` (feature names, early stopping, user attributes), `refreshed` (pruned nodes), `slice` (a part of the
booster), `categorical` (two columns of categories), `pandas_cat` (categories as words), `vector_leaf` (one
tree for all targets), `custom_obj` (a function of the caller), `zero_rounds`.
"""

import sys

import numpy as np

RNG = np.random.RandomState(0)
X = RNG.randn(80, 5)
X[::7, 1] = np.nan
YES = (X[:, 0] + RNG.randn(80) * 0.3 > 0).astype(int)


def make_xgboost() -> None:
    import xgboost

    for name, extra in {"logistic": {}, "dart": {"booster": "dart", "rate_drop": 0.5}}.items():
        parameters = {"max_depth": 3, "objective": "binary:logistic", **extra}
        booster = xgboost.train(parameters, xgboost.DMatrix(X, label=YES), 3)
        booster.save_model(f"xgboost-{xgboost.__version__}-{name}.json")


def make_lightgbm() -> None:
    import lightgbm

    for name, extra in {"rf": {"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.6}}.items():
        parameters = {"objective": "binary", "num_leaves": 5, "min_data_in_leaf": 5, "verbose": -1, **extra}
        booster = lightgbm.train(parameters, lightgbm.Dataset(X, label=YES), 3)
        booster.save_model(f"lightgbm-{lightgbm.__version__}-{name}.txt")


if __name__ == "__main__":
    {"xgboost": make_xgboost, "lightgbm": make_lightgbm}[sys.argv[1]]()

"""Write src/strongroom/scan/pickle_globals.txt: the names that pickles of models may import.

Run where the libraries are installed: ``python scripts/make_allow_lists.py [names.json ...]``. Lines of
the present list are kept, so that runs with older versions of the libraries add to it; delete a line to
drop a name. What the libraries' names are used for was read in their source; a class is listed if making an
instance of it without arguments and giving it any state runs nothing but assignments (``_UNSAFE`` names those
for which that is not so). Names that take arguments are written by hand, in pickle_calls.list beside it.
"""

import importlib
import inspect
import json
import pkgutil
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent
LIST = HERE.parent / "src" / "strongroom" / "scan" / "pickle_globals.txt"
BY_HAND = HERE / "pickle_calls.list"

Line = tuple[str, str, str]

# Not inert with a hostile state or hostile attributes, or of no use in a model.
_UNSAFE = {
    ("sklearn.utils.parallel", "_FuncWrapper"),
    ("sklearn.utils._metadata_requests", "RequestMethod"),
    ("sklearn.metrics._dist_metrics", "PyFuncDistance"),
    ("sklearn.metrics._dist_metrics", "PyFuncDistance32"),
    ("sklearn.metrics._dist_metrics", "PyFuncDistance64"),
    ("sklearn.neighbors.dist_metrics", "PyFuncDistance"),
    ("sklearn.neighbors._dist_metrics", "PyFuncDistance"),
    ("torch.nn.parallel", "DistributedDataParallelCPU"),
    ("torch.nn.cpp", "ModuleWrapper"),
}
_SKIPPED = (
    "tests", "conftest", "datasets", "externals", "_build_utils", "experimental", "utils._testing",
    "utils._mocking",
    "utils.discovery", "utils.estimator_checks", "utils._test_common", "inspection", "_display",
)  # fmt: skip

# Modules of scikit-learn before 0.22, by their present name (sklearn/_build_utils/deprecated_modules.py).
_OLD_SKLEARN = """
cluster._affinity_propagation cluster.affinity_propagation_
cluster._agglomerative cluster.hierarchical
cluster._agglomerative cluster._hierarchical
cluster._bicluster cluster.bicluster
cluster._birch cluster.birch
cluster._dbscan cluster.dbscan_
cluster._kmeans cluster.k_means_
cluster._mean_shift cluster.mean_shift_
cluster._optics cluster.optics_
cluster._spectral cluster.spectral
covariance._elliptic_envelope covariance.elliptic_envelope
covariance._empirical_covariance covariance.empirical_covariance_
covariance._graph_lasso covariance.graph_lasso_
covariance._robust_covariance covariance.robust_covariance
covariance._shrunk_covariance covariance.shrunk_covariance_
cross_decomposition._pls cross_decomposition.pls_
cross_decomposition._pls cross_decomposition._cca
cross_decomposition._pls cross_decomposition.cca_
decomposition._dict_learning decomposition.dict_learning
decomposition._factor_analysis decomposition.factor_analysis
decomposition._fastica decomposition.fastica_
decomposition._incremental_pca decomposition.incremental_pca
decomposition._kernel_pca decomposition.kernel_pca
decomposition._lda decomposition.online_lda
decomposition._lda decomposition._online_lda
decomposition._nmf decomposition.nmf
decomposition._pca decomposition.pca
decomposition._sparse_pca decomposition.sparse_pca
decomposition._truncated_svd decomposition.truncated_svd
ensemble._bagging ensemble.bagging
ensemble._forest ensemble.forest
ensemble._gb ensemble.gradient_boosting
ensemble._gb_losses ensemble.gradient_boosting
ensemble._iforest ensemble.iforest
ensemble._voting ensemble.voting_classifier
ensemble._voting ensemble.voting
ensemble._weight_boosting ensemble.weight_boosting
feature_extraction._dict_vectorizer feature_extraction.dict_vectorizer
feature_extraction._hash feature_extraction.hashing
feature_selection._from_model feature_selection.from_model
feature_selection._mutual_info feature_selection.mutual_info_
feature_selection._rfe feature_selection.rfe
feature_selection._univariate_selection feature_selection.univariate_selection
feature_selection._variance_threshold feature_selection.variance_threshold
gaussian_process._gpc gaussian_process.gpc
gaussian_process._gpr gaussian_process.gpr
impute._base preprocessing.imputation
impute._base impute
linear_model._base linear_model.base
linear_model._bayes linear_model.bayes
linear_model._coordinate_descent linear_model.coordinate_descent
linear_model._huber linear_model.huber
linear_model._least_angle linear_model.least_angle
linear_model._logistic linear_model.logistic
linear_model._omp linear_model.omp
linear_model._passive_aggressive linear_model.passive_aggressive
linear_model._perceptron linear_model.perceptron
linear_model._ransac linear_model.ransac
linear_model._ridge linear_model.ridge
linear_model._sgd_fast linear_model.sgd_fast
linear_model._stochastic_gradient linear_model.stochastic_gradient
linear_model._theil_sen linear_model.theil_sen
manifold._isomap manifold.isomap
manifold._locally_linear manifold.locally_linear
manifold._mds manifold.mds
manifold._spectral_embedding manifold.spectral_embedding_
manifold._t_sne manifold.t_sne
metrics._classification metrics.classification
metrics._ranking metrics.ranking
metrics._regression metrics.regression
metrics._scorer metrics.scorer
metrics._dist_metrics neighbors.dist_metrics
metrics._dist_metrics neighbors._dist_metrics
metrics.cluster._supervised metrics.cluster.supervised
metrics.cluster._unsupervised metrics.cluster.unsupervised
mixture._bayesian_mixture mixture.bayesian_mixture
mixture._gaussian_mixture mixture.gaussian_mixture
neighbors._ball_tree neighbors.ball_tree
neighbors._classification neighbors.classification
neighbors._graph neighbors.graph
neighbors._kd_tree neighbors.kd_tree
neighbors._kde neighbors.kde
neighbors._lof neighbors.lof
neighbors._nca neighbors.nca
neighbors._nearest_centroid neighbors.nearest_centroid
neighbors._regression neighbors.regression
neighbors._unsupervised neighbors.unsupervised
neural_network._multilayer_perceptron neural_network.multilayer_perceptron
neural_network._rbm neural_network.rbm
preprocessing._data preprocessing.data
preprocessing._polynomial preprocessing._data
preprocessing._polynomial preprocessing.data
preprocessing._discretization preprocessing._discretization
preprocessing._encoders preprocessing._encoders
preprocessing._label preprocessing.label
preprocessing._encoders preprocessing.data
semi_supervised._label_propagation semi_supervised.label_propagation
svm._classes svm.classes
tree._classes tree.tree
utils._bunch utils
utils._bunch datasets.base
utils._bunch utils.bunch
frozen._frozen frozen
"""

# Classes of releases that run on no Python of today; read in their source.
_GONE = {
    "sklearn.ensemble.gradient_boosting": "LogOddsEstimator ScaledLogOddsEstimator QuantileEstimator "
    "MeanEstimator "
    "ZeroEstimator PriorProbabilityEstimator LossFunction RegressionLossFunction ClassificationLossFunction "
    "VerboseReporter",
    "sklearn.ensemble._gb_losses": "LeastSquaresError LeastAbsoluteError HuberLossFunction "
    "QuantileLossFunction "
    "BinomialDeviance MultinomialDeviance ExponentialLoss",
    "sklearn.ensemble._hist_gradient_boosting.loss": "LeastSquares LeastAbsoluteDeviation Poisson "
    "BinaryCrossEntropy "
    "CategoricalCrossEntropy",
    "sklearn._loss.glm_distribution": "TweedieDistribution NormalDistribution PoissonDistribution "
    "GammaDistribution "
    "InverseGaussianDistribution ExponentialDispersionModel DistributionBoundary",
    "sklearn.linear_model.sgd_fast": "Log Hinge ModifiedHuber SquaredHinge SquaredLoss Huber "
    "EpsilonInsensitive "
    "SquaredEpsilonInsensitive",
    "sklearn.linear_model._sgd_fast": "Log SquaredLoss Huber",
    "sklearn.utils.deprecation": "DeprecationDict",
    "sklearn.preprocessing.data": "CategoricalEncoder OneHotEncoder",
    "sklearn.preprocessing.imputation": "Imputer",
    "sklearn.svm.classes": "LinearSVC LinearSVR SVC SVR NuSVC NuSVR OneClassSVM",
    "sklearn.linear_model.randomized_l1": "RandomizedLasso RandomizedLogisticRegression",
    "sklearn.mixture.gmm": "GMM",
    "sklearn.grid_search": "GridSearchCV RandomizedSearchCV ParameterGrid _CVScoreTuple",
    "sklearn.cross_validation": "KFold StratifiedKFold LeaveOneOut ShuffleSplit StratifiedShuffleSplit",
    "sklearn.lda": "LDA",
    "sklearn.qda": "QDA",
    "sklearn.neighbors.dist_metrics": "EuclideanDistance ManhattanDistance MinkowskiDistance "
    "ChebyshevDistance "
    "HaversineDistance HammingDistance JaccardDistance",
}
_SCIPY_SPARSE = "bsr coo csc csr dia dok lil"
_PANDAS = {
    "pandas": "DataFrame Series Index MultiIndex RangeIndex CategoricalIndex DatetimeIndex TimedeltaIndex "
    "PeriodIndex "
    "IntervalIndex CategoricalDtype DatetimeTZDtype IntervalDtype PeriodDtype SparseDtype StringDtype "
    "BooleanDtype "
    "Float32Dtype Float64Dtype Int8Dtype Int16Dtype Int32Dtype Int64Dtype UInt8Dtype UInt16Dtype UInt32Dtype "
    "UInt64Dtype Categorical",
    "pandas.arrays": "ArrowStringArray BooleanArray Categorical DatetimeArray FloatingArray IntegerArray "
    "IntervalArray "
    "NumpyExtensionArray PandasArray PeriodArray SparseArray StringArray TimedeltaArray",
    "pandas.core.frame": "DataFrame",
    "pandas.core.series": "Series",
    "pandas.core.internals.managers": "BlockManager SingleBlockManager",
    "pandas.core.internals": "BlockManager SingleBlockManager",
    "pandas.core.indexes.base": "Index",
    "pandas.core.indexes.numeric": "Int64Index UInt64Index Float64Index NumericIndex",
    "pandas.core.indexes.range": "RangeIndex",
    "pandas.core.indexes.multi": "MultiIndex",
    "pandas.core.indexes.category": "CategoricalIndex",
    "pandas.core.indexes.datetimes": "DatetimeIndex",
    "pandas.core.indexes.timedeltas": "TimedeltaIndex",
    "pandas.core.indexes.period": "PeriodIndex",
    "pandas.core.indexes.interval": "IntervalIndex",
    "pandas.core.indexes.frozen": "FrozenList",
    "pandas.core.arrays.categorical": "Categorical",
    "pandas.core.arrays.datetimes": "DatetimeArray",
    "pandas.core.arrays.timedeltas": "TimedeltaArray",
    "pandas.core.arrays.period": "PeriodArray",
    "pandas.core.arrays.interval": "IntervalArray",
    "pandas.core.arrays.integer": "IntegerArray Int8Dtype Int16Dtype Int32Dtype Int64Dtype UInt8Dtype "
    "UInt16Dtype "
    "UInt32Dtype UInt64Dtype",
    "pandas.core.arrays.floating": "FloatingArray Float32Dtype Float64Dtype",
    "pandas.core.arrays.boolean": "BooleanArray BooleanDtype",
    "pandas.core.arrays.string_": "StringArray StringDtype",
    "pandas.core.arrays.sparse.array": "SparseArray",
    "pandas.core.arrays.sparse.dtype": "SparseDtype",
    "pandas.core.arrays.numpy_": "PandasArray PandasDtype NumpyExtensionArray",
    "pandas.core.dtypes.dtypes": "CategoricalDtype DatetimeTZDtype IntervalDtype PeriodDtype",
    "pandas._libs.sparse": "IntIndex BlockIndex",
    "pandas._libs.internals": "BlockPlacement",
    "pandas._libs.interval": "Interval",
}

# Functions that only compute; none reads or writes a file or calls what it is given.
_NUMPY_FUNCTIONS = (
    "mean median average std var sum prod min max amin amax nanmean nanmedian nanstd nanvar nansum nanmin "
    "nanmax ptp "
    "percentile quantile nanpercentile nanquantile argmax argmin argsort sort cumsum cumprod diff clip "
    "round around "
    "ravel reshape squeeze transpose where abs any all unique nan_to_num asarray array zeros_like "
    "ones_like dot "
    "array_equal array_equiv allclose isclose size shape count_nonzero cov corrcoef hstack vstack "
    "column_stack "
    "concatenate stack expand_dims atleast_1d atleast_2d log1p expm1 iscomplexobj isreal real imag "
    "nanargmax nanargmin "
    "histogram interp trapz convolve angle sinc"
)
_NUMPY_TYPES = (
    "bool_ bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 intc uintc int_ uint intp uintp longlong "
    "ulonglong "
    "float16 float32 float64 longdouble float_ complex64 complex128 clongdouble str_ bytes_ unicode_ "
    "string_ object_ "
    "void datetime64 timedelta64 number integer signedinteger unsignedinteger inexact floating "
    "complexfloating "
    "character flexible generic record double single half long ulong short ushort byte ubyte"
)
_NUMPY_FUNCTION_MODULES = (
    "numpy numpy.core.fromnumeric numpy._core.fromnumeric numpy.lib.function_base "
    "numpy.lib._function_base_impl "
    "numpy.lib.nanfunctions numpy.lib._nanfunctions_impl numpy.core._multiarray_umath "
    "numpy._core._multiarray_umath"
)


def main() -> None:
    warnings.simplefilter("ignore")
    lines: dict[tuple[str, str], str] = {}
    heads: list[str] = []
    _keep(LIST, lines, heads)
    for make in (_sklearn, _families, _numpy, _scipy, _pandas, _torch):
        for module, name, use in make(heads):
            lines[(module, name)] = use
    lines = {pair: use for pair, use in lines.items() if pair not in _UNSAFE}
    _keep(BY_HAND, lines, heads)
    for path in sys.argv[1:]:
        _report_unlisted(Path(path), lines)
    head = "# Made by scripts/make_allow_lists.py; do not edit. Module, name, use, check of arguments.\n"
    seen = "".join(f"# seen in {version}\n" for version in sorted(set(heads)))
    body = "".join(f"{module} {name} {use}\n" for (module, name), use in sorted(lines.items()))
    LIST.write_text(head + seen + body, "ascii")
    print(f"{len(lines)} names")


def _keep(path: Path, lines: dict[tuple[str, str], str], heads: list[str]) -> None:
    if not path.exists():
        return
    for line in path.read_text("ascii").splitlines():
        if line.startswith("# seen in "):
            heads.append(line.removeprefix("# seen in "))
        elif line and not line.startswith("#"):
            module, name, use = line.split(" ", 2)
            lines[(module, name)] = use


def _report_unlisted(path: Path, lines: dict[tuple[str, str], str]) -> None:
    for module, name in json.loads(path.read_text("utf-8")):
        if (module, name) not in lines:
            print("not listed:", module, name)


def _version(heads: list[str], name: str) -> bool:
    try:
        module = importlib.import_module(name)
    except ImportError:
        return False
    heads.append(f"{name} {module.__version__.partition('+')[0]}")
    return True


def _modules(root: str) -> Iterator[object]:
    package = importlib.import_module(root)
    for info in pkgutil.walk_packages(package.__path__, f"{root}.", onerror=lambda name: None):
        if any(f".{part}" in f".{info.name}" for part in _SKIPPED):
            continue
        try:
            yield importlib.import_module(info.name)
        except Exception:  # noqa: S112  an optional part that is not installed
            continue


def _use(kind: type) -> str:
    if issubclass(kind, tuple):
        return "tuple"
    if issubclass(kind, dict):
        return "dict"
    return "list" if issubclass(kind, list) else "object"


def _sklearn(heads: list[str]) -> Iterator[Line]:
    if not _version(heads, "sklearn"):
        return
    from sklearn.base import BaseEstimator
    from sklearn.gaussian_process.kernels import Kernel

    found: dict[tuple[str, str], str] = {}
    for module in _modules("sklearn"):
        name = module.__name__  # type: ignore[attr-defined]
        is_helper = name in _SKLEARN_HELPERS or name.startswith("sklearn._loss")
        for label, value in vars(module).items():
            if inspect.isclass(value) and value.__module__ == name and value.__name__ == label:
                if name in _WITH_NUMBERS:
                    found[(name, label)] = "make num?,num?"
                    found[(name, f"__pyx_unpickle_{label}")] = "call cython"
                elif issubclass(value, BaseEstimator | Kernel) or (
                    is_helper and not issubclass(value, Exception)
                ):
                    found[(name, label)] = _use(value)
            elif label.startswith("__pyx_unpickle_") and is_helper:
                found[(name, label)] = "call cython"
            elif name in _SKLEARN_FUNCTIONS and inspect.isfunction(value) and value.__module__ == name:
                functions = () if label.startswith(_NOT_SCORES) else (label,)
                found.update({(name, function): "hold" for function in functions})
    for module, names in _GONE.items():
        use = "make num?,num?" if module.endswith("sgd_fast") else "object"
        found.update({(module, name): use for name in names.split()})
    for pair in _OLD_SKLEARN.strip().splitlines():
        new, old = (f"sklearn.{part}" for part in pair.split())
        found.update({(old, name): use for (module, name), use in found.items() if module == new})
    yield from ((module, name, use) for (module, name), use in found.items())


_SKLEARN_HELPERS = frozenset(
    [
        "sklearn.calibration",
        "sklearn.cluster._birch",
        "sklearn.cluster._bisect_k_means",
        "sklearn.metrics._scorer",
        "sklearn.ensemble._gb_losses",
        "sklearn.ensemble._hist_gradient_boosting.binning",
        "sklearn.ensemble._hist_gradient_boosting.predictor",
        "sklearn.ensemble._hist_gradient_boosting.loss",
        "sklearn.gaussian_process.kernels",
        "sklearn.impute._iterative",
        "sklearn.metrics._dist_metrics",
        "sklearn.linear_model._sgd_fast",
        "sklearn.model_selection._split",
        "sklearn.model_selection._search",
        "sklearn.neighbors._ball_tree",
        "sklearn.neighbors._kd_tree",
        "sklearn.neighbors._dist_metrics",
        "sklearn.neural_network._stochastic_optimizers",
        "sklearn.utils._bunch",
        "sklearn.utils._metadata_requests",
        "sklearn.compose._column_transformer",
        "sklearn.linear_model._glm.glm",
        "sklearn.linear_model._linear_loss",
    ]
)
_NOT_SCORES = ("_", "plot", "check", "make", "get_scorer")
_WITH_NUMBERS = frozenset({"sklearn._loss._loss", "sklearn.linear_model._sgd_fast"})
_SKLEARN_FUNCTIONS = frozenset(
    [
        "sklearn.metrics._classification",
        "sklearn.metrics._ranking",
        "sklearn.metrics._regression",
        "sklearn.metrics._scorer",
        "sklearn.metrics.cluster._supervised",
        "sklearn.metrics.cluster._unsupervised",
        "sklearn.metrics.pairwise",
        "sklearn.feature_selection._univariate_selection",
        "sklearn.feature_selection._mutual_info",
        "sklearn.preprocessing._data",
        "sklearn.preprocessing._label",
        "sklearn.utils.validation",
    ]
)


def _families(heads: list[str]) -> Iterator[Line]:
    """Libraries that build on scikit-learn."""
    try:
        from sklearn.base import BaseEstimator
    except ImportError:
        return
    for root in ("xgboost", "lightgbm", "imblearn", "category_encoders"):
        if not _version(heads, root):
            continue
        for module in _modules(root):
            name = module.__name__  # type: ignore[attr-defined]
            if name.startswith(
                ("xgboost.spark", "xgboost.dask", "lightgbm.dask", "imblearn.keras", "imblearn.tensorflow")
            ):
                continue
            for label, value in vars(module).items():
                if inspect.isclass(value) and value.__module__ == name and issubclass(value, BaseEstimator):
                    yield name, label, _use(value)
    yield "xgboost.callback", "EarlyStopping", "object"
    yield "xgboost.callback", "EvaluationMonitor", "object"
    yield "lightgbm.callback", "_EarlyStoppingCallback", "object"
    yield "lightgbm.callback", "_LogEvaluationCallback", "object"
    yield "lightgbm.callback", "_RecordEvaluationCallback", "object"


def _numpy(heads: list[str]) -> Iterator[Line]:
    if not _version(heads, "numpy"):
        return
    import numpy

    ufuncs = [name for name in dir(numpy) if isinstance(getattr(numpy, name, None), numpy.ufunc)]
    for name in ufuncs:
        yield "numpy", name, "hold"
        yield "numpy.core._multiarray_umath", name, "hold"
        yield "numpy._core._multiarray_umath", name, "hold"
    for module in _NUMPY_FUNCTION_MODULES.split():
        for name in _NUMPY_FUNCTIONS.split():
            yield module, name, "hold"
    for name in _NUMPY_TYPES.split():
        yield "numpy", name, "hold"
        yield "numpy.core.multiarray", name, "hold"


def _scipy(heads: list[str]) -> Iterator[Line]:
    if not _version(heads, "scipy"):
        return
    for kind in _SCIPY_SPARSE.split():
        yield f"scipy.sparse.{kind}", f"{kind}_matrix", "object"
        yield f"scipy.sparse._{kind}", f"{kind}_matrix", "object"
        yield f"scipy.sparse._{kind}", f"{kind}_array", "object"
        yield "scipy.sparse._arrays", f"{kind}_array", "object"
    yield "scipy.interpolate._bsplines", "BSpline", "object"
    yield "scipy.interpolate", "BSpline", "object"
    for module in ("scipy.interpolate._interpolate", "scipy.interpolate.interpolate"):
        for name in ("interp1d", "PPoly", "BPoly"):
            yield module, name, "object"
    import scipy.special
    import scipy.stats

    for module in (scipy.stats._continuous_distns, scipy.stats._discrete_distns):  # noqa: SLF001
        for name, value in vars(module).items():
            if inspect.isclass(value) and name.endswith("_gen"):
                yield module.__name__, name, "make distribution"
    from numpy import ufunc

    for name in dir(scipy.special):
        if isinstance(getattr(scipy.special, name), ufunc):
            yield "scipy.special", name, "hold"
            yield "scipy.special._ufuncs", name, "hold"


def _pandas(heads: list[str]) -> Iterator[Line]:
    if not _version(heads, "pandas"):
        return
    for module, names in _PANDAS.items():
        for name in names.split():
            yield module, name, "object"
    from pandas._libs.tslibs import offsets

    for name, value in vars(offsets).items():
        if inspect.isclass(value) and issubclass(value, offsets.BaseOffset):
            yield offsets.__name__, name, "make const*"


# With a state that is compiled, imported or kept in native memory.
_UNSAFE_TORCH = ("jit", "fx", "package", "quantized", "dynamic", "distributed", "scripted", "onnx")


def _torch_classes(root: str, base: type) -> Iterator[Line]:
    for module in _modules(root):
        name = module.__name__  # type: ignore[attr-defined]
        if any(part in name for part in _UNSAFE_TORCH):
            continue
        for label, value in vars(module).items():
            if inspect.isclass(value) and value.__module__ == name and issubclass(value, base):
                yield name, label, "object"


def _torch(heads: list[str]) -> Iterator[Line]:
    if not _version(heads, "torch"):
        return
    import torch

    yield from _torch_classes("torch.nn", torch.nn.Module)
    yield from _torch_classes("torch.optim", torch.optim.Optimizer)
    for label, value in vars(torch).items():
        if isinstance(value, torch.dtype | torch.qscheme | torch.layout | torch.memory_format) or (
            inspect.isclass(value) and label.endswith("Storage")
        ):
            yield "torch", label, "hold"
    for label in [
        "relu",
        "relu_",
        "gelu",
        "silu",
        "sigmoid",
        "tanh",
        "softmax",
        "log_softmax",
        "leaky_relu",
        "elu",
        "selu",
        "mish",
        "hardtanh",
    ]:
        for module in ("torch.nn.functional", "torch", "torch._C._nn", "torch._VF"):
            yield module, label, "hold"
    yield "torch", "QInt32Storage", "hold"


if __name__ == "__main__":
    main()

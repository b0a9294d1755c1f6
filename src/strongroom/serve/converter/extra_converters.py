"""Estimators that skl2onnx has no converter for, or a wrong one, and that are simple to say in ONNX."""

from collections.abc import Callable
from typing import Any

import numpy as np
from skl2onnx import update_registered_converter
from skl2onnx.common.data_types import FloatTensorType
from skl2onnx.common.shape_calculator import calculate_linear_classifier_output_shapes

from strongroom.errors import InvalidError, shorten
from strongroom.serve.converter.nodes import Nodes

Array = np.ndarray[Any, Any]
_Build = Callable[[Nodes, str, Any], str]

FUNCTIONS: dict[str, tuple[str, ...]] = {
    "abs": ("Abs",),
    "absolute": ("Abs",),
    "cos": ("Cos",),
    "exp": ("Exp",),
    "expm1": ("Exp", "-1"),
    "log": ("Log",),
    "log10": ("Log", "/log10"),
    "log1p": ("+1", "Log"),
    "log2": ("Log", "/log2"),
    "negative": ("Neg",),
    "reciprocal": ("Reciprocal",),
    "sign": ("Sign",),
    "sin": ("Sin",),
    "sqrt": ("Sqrt",),
    "square": ("square",),
    "tan": ("Tan",),
    "tanh": ("Tanh",),
}
"""Functions of numpy by name, as ONNX operators one after another."""
_NUMBERS = {
    "+1": ("Add", 1.0),
    "-1": ("Sub", 1.0),
    "/log10": ("Div", np.log(10)),
    "/log2": ("Div", np.log(2)),
}
_AFFINE = ("FactorAnalysis", "FastICA", "SequentialFeatureSelector", "SparseRandomProjection")
_MODULES = ("sklearn.decomposition", "sklearn.feature_selection", "sklearn.random_projection")


def register() -> None:
    """Teach skl2onnx all of them."""
    from sklearn import (
        cluster,
        dummy,
        feature_extraction,
        kernel_approximation,
        kernel_ridge,
        preprocessing,
    )

    _register(preprocessing.FunctionTransformer, _function)
    _register(feature_extraction.text.TfidfTransformer, _tfidf)
    _register(kernel_ridge.KernelRidge, _kernel_ridge)
    _register(kernel_approximation.Nystroem, _nystroem)
    _register(kernel_approximation.RBFSampler, _rbf_sampler)
    _register(dummy.DummyRegressor, _constant)
    for kind in (cluster.Birch, cluster.MeanShift, cluster.AffinityPropagation):
        _register_labels(kind, _nearest)
    _register_classifier(dummy.DummyClassifier, _prior)
    for kind in _find_affine():
        _register(kind, _affine)


def apply_function(nodes: Nodes, value: str, function: Any) -> str:
    """Apply a function of numpy. Raises InvalidError: it is another one."""
    name = getattr(function, "__name__", "")
    known = FUNCTIONS.get(name)
    if known is None or function is not getattr(np, name, None):
        raise InvalidError(
            f"original: function {shorten(name or function, 60)} has no ONNX form",
            hint="code does not survive a conversion; do this before the model is asked",
        )
    for step in known:
        if step in _NUMBERS:
            operator, number = _NUMBERS[step]
            value = nodes.add(operator, [value, nodes.constant("number", np.array([number], np.float32))])
        elif step == "square":
            value = nodes.add("Mul", [value, value])
        else:
            value = nodes.add(step, [value])
    return value


def _register(kind: type, build: _Build) -> None:
    def convert(scope: Any, operator: Any, container: Any) -> None:
        nodes = Nodes(scope, container)
        made = build(nodes, nodes.as_floats(operator.inputs[0]), operator.raw_operator)
        nodes.add("Identity", [made], operator.outputs[0].full_name)

    def shape(operator: Any) -> None:
        operator.outputs[0].type = FloatTensorType([operator.inputs[0].get_first_dimension(), None])

    update_registered_converter(kind, f"Strongroom{kind.__name__}", shape, convert)


def _register_classifier(kind: type, build: _Build) -> None:
    """``build`` returns the probabilities; the label is the class of the highest."""

    def convert(scope: Any, operator: Any, container: Any) -> None:
        nodes = Nodes(scope, container)
        made = build(nodes, nodes.as_floats(operator.inputs[0]), operator.raw_operator)
        nodes.add("Identity", [made], operator.outputs[1].full_name)
        nodes.label(made, np.asarray(operator.raw_operator.classes_), operator.outputs[0].full_name)

    update_registered_converter(
        kind,
        f"Strongroom{kind.__name__}",
        calculate_linear_classifier_output_shapes,
        convert,
        options={"zipmap": [False, True, "columns"], "nocl": [True, False], "raw_scores": [True, False]},
    )


def _register_labels(kind: type, build: Callable[[Nodes, str, Any], tuple[str, Array]]) -> None:
    """``build`` returns a score for each of several labels, and the labels."""

    def convert(scope: Any, operator: Any, container: Any) -> None:
        nodes = Nodes(scope, container)
        scores, labels = build(nodes, nodes.as_floats(operator.inputs[0]), operator.raw_operator)
        nodes.label(scores, labels, operator.outputs[0].full_name)

    def parse(scope: Any, model: Any, inputs: Any, custom_parsers: Any = None) -> Any:  # noqa: ARG001 - skl2onnx gives it
        operator = scope.declare_local_operator(f"Strongroom{kind.__name__}", model)
        operator.inputs.append(inputs[0])
        label = scope.declare_local_variable("label", _label_type(model))
        operator.outputs.append(label)
        return operator.outputs

    def shape(operator: Any) -> None:
        operator.outputs[0].type = _label_type(operator.raw_operator)

    update_registered_converter(kind, f"Strongroom{kind.__name__}", shape, convert, parser=parse)


def _label_type(model: Any) -> Any:
    from skl2onnx.common.data_types import Int64TensorType, StringTensorType

    classes = getattr(model, "classes_", None)
    is_text = classes is not None and np.asarray(classes).dtype.kind not in "iubf"
    return (StringTensorType if is_text else Int64TensorType)([None])


def _find_affine() -> list[type]:
    import importlib

    modules = [importlib.import_module(name) for name in _MODULES]
    return [getattr(module, name) for name in _AFFINE for module in modules if hasattr(module, name)]


def _function(nodes: Nodes, rows: str, model: Any) -> str:
    if model.func is None:
        return rows
    if model.kw_args:
        raise InvalidError("original: FunctionTransformer with arguments has no ONNX form")
    return apply_function(nodes, rows, model.func)


def _tfidf(nodes: Nodes, counts: str, model: Any) -> str:
    """skl2onnx 1.20 takes another logarithm for ``sublinear_tf`` than scikit-learn."""
    zero = nodes.constant("zero", np.zeros(1, np.float32))
    one = nodes.constant("one", np.ones(1, np.float32))
    if model.sublinear_tf:
        present = nodes.add("Greater", [counts, zero])
        logarithm = nodes.add("Add", [nodes.add("Log", [nodes.add("Where", [present, counts, one])]), one])
        counts = nodes.add("Where", [present, logarithm, zero])
    if model.use_idf:
        weights = np.asarray(model.idf_, np.float32).reshape(1, -1)
        counts = nodes.add("Mul", [counts, nodes.constant("idf", weights)])
    if model.norm is None:
        return counts
    norm = nodes.add("Sqrt", [_sum(nodes, nodes.add("Mul", [counts, counts]))])
    if model.norm == "l1":
        norm = _sum(nodes, nodes.add("Abs", [counts]))
    return nodes.add("Div", [counts, nodes.add("Where", [nodes.add("Equal", [norm, zero]), one, norm])])


def _sum(nodes: Nodes, values: str) -> str:
    """Along each row."""
    return nodes.add("ReduceSum", [values, nodes.constant("axis", np.array([1], np.int64))], keepdims=1)


def _kernel_ridge(nodes: Nodes, rows: str, model: Any) -> str:
    kernel = _kernel(nodes, rows, np.asarray(model.X_fit_), model)
    weights = np.asarray(model.dual_coef_, np.float32)
    return nodes.add("MatMul", [kernel, nodes.constant("dual", weights.reshape(len(weights), -1))])


def _nystroem(nodes: Nodes, rows: str, model: Any) -> str:
    kernel = _kernel(nodes, rows, np.asarray(model.components_), model)
    return nodes.add(
        "MatMul", [kernel, nodes.constant("normal", np.asarray(model.normalization_.T, np.float32))]
    )


def _kernel(nodes: Nodes, rows: str, known: Array, model: Any) -> str:
    """Kernels of `sklearn.metrics.pairwise` between the rows and ``known`` ones."""
    gamma = model.gamma if model.gamma is not None else 1.0 / known.shape[1]
    coef0 = 1.0 if getattr(model, "coef0", None) is None else float(model.coef0)
    degree = 3.0 if getattr(model, "degree", None) is None else float(model.degree)

    def number(value: float) -> str:
        return nodes.constant("number", np.array([value], np.float32))

    product = nodes.add("MatMul", [rows, nodes.constant("known", np.asarray(known.T, np.float32))])
    match model.kernel:
        case "linear":
            return product
        case "poly" | "polynomial":
            shifted = nodes.add("Add", [nodes.add("Mul", [product, number(gamma)]), number(coef0)])
            return nodes.add("Pow", [shifted, number(degree)])
        case "sigmoid":
            shifted = nodes.add("Add", [nodes.add("Mul", [product, number(gamma)]), number(coef0)])
            return nodes.add("Tanh", [shifted])
        case "rbf":
            distance = _squared_distances(nodes, rows, known, product)
            return nodes.add("Exp", [nodes.add("Mul", [distance, number(-gamma)])])
    raise InvalidError(f"original: kernel {shorten(model.kernel, 40)} has no ONNX form")


def _squared_distances(nodes: Nodes, rows: str, known: Array, product: str) -> str:
    own = _sum(nodes, nodes.add("Mul", [rows, rows]))
    theirs = nodes.constant("squares", np.asarray((known**2).sum(axis=1), np.float32).reshape(1, -1))
    twice = nodes.add("Mul", [product, nodes.constant("two", np.array([2], np.float32))])
    return nodes.add("Sub", [nodes.add("Add", [own, theirs]), twice])


def _rbf_sampler(nodes: Nodes, rows: str, model: Any) -> str:
    weights, offset = np.asarray(model.random_weights_), np.asarray(model.random_offset_)
    product = nodes.add("MatMul", [rows, nodes.constant("weights", weights.astype(np.float32))])
    turned = nodes.add(
        "Cos", [nodes.add("Add", [product, nodes.constant("offset", offset.astype(np.float32))])]
    )
    scale = np.array([np.sqrt(2.0 / weights.shape[1])], np.float32)
    return nodes.add("Mul", [turned, nodes.constant("scale", scale)])


def _affine(nodes: Nodes, rows: str, model: Any) -> str:
    """A transformer that is a matrix and a shift, which show when it is asked for the unit vectors."""
    count = int(model.n_features_in_)
    asked = np.vstack([np.zeros((1, count)), np.eye(count)])
    answered = model.transform(asked)
    answered = np.asarray(answered.toarray() if hasattr(answered, "toarray") else answered, float)
    shift, matrix = answered[0], answered[1:] - answered[0]
    product = nodes.add("MatMul", [rows, nodes.constant("matrix", matrix.astype(np.float32))])
    return nodes.add("Add", [product, nodes.constant("shift", shift.astype(np.float32))])


def _nearest(nodes: Nodes, rows: str, model: Any) -> tuple[str, Array]:
    """The label of the nearest centre."""
    if getattr(model, "metric", "euclidean") != "euclidean":
        raise InvalidError("original: centres that are compared by another metric have no ONNX form")
    for name in ("subcluster_centers_", "cluster_centers_", "centroids_"):
        centres = getattr(model, name, None)
        if centres is not None and np.size(centres):
            break
    else:
        raise InvalidError("original: has no centres to compare with")
    centres = np.asarray(centres, float)
    labels = getattr(model, "subcluster_labels_", None)
    if labels is None:
        labels = getattr(model, "classes_", np.arange(len(centres)))
    product = nodes.add("MatMul", [rows, nodes.constant("centres", np.asarray(centres.T, np.float32))])
    return nodes.add("Neg", [_squared_distances(nodes, rows, centres, product)]), np.asarray(labels)


def _constant(nodes: Nodes, rows: str, model: Any) -> str:
    return nodes.repeated(rows, np.asarray(model.constant_, np.float32).reshape(1, -1))


def _prior(nodes: Nodes, rows: str, model: Any) -> str:
    classes = model.classes_
    if isinstance(classes, list):
        raise InvalidError("original: DummyClassifier of several outputs has no ONNX form")
    match model.strategy:
        case "prior":
            share = np.asarray(model.class_prior_, np.float32)
        case "most_frequent":
            share = (np.arange(len(classes)) == np.argmax(model.class_prior_)).astype(np.float32)
        case "constant":
            share = (np.asarray(classes) == model.constant).astype(np.float32)
        case _:
            raise InvalidError("original: DummyClassifier that answers at random has no ONNX form")
    return nodes.repeated(rows, share.reshape(1, -1))


def invert_target(transformer: Any) -> list[tuple[str, float]]:
    """Return the operators that undo what a target was transformed with; "" for those without a number.

    Raises:
        InvalidError: it is done by something else than a function of numpy or a linear scaler.
    """
    kind = type(transformer).__name__
    if kind == "FunctionTransformer":
        function = transformer.inverse_func
        if function is None:
            return []
        name = getattr(function, "__name__", "")
        if name not in FUNCTIONS or function is not getattr(np, name, None) or name == "square":
            raise InvalidError(f"original: function {shorten(name or function, 60)} has no ONNX form")
        return [_NUMBERS.get(step, (step, 0.0)) for step in FUNCTIONS[name]]
    if kind == "StandardScaler":
        scale = 1.0 if transformer.scale_ is None else float(transformer.scale_[0])
        return [("Mul", scale), ("Add", 0.0 if transformer.mean_ is None else float(transformer.mean_[0]))]
    if kind == "MinMaxScaler":
        return [("Sub", float(transformer.min_[0])), ("Div", float(transformer.scale_[0]))]
    raise InvalidError(f"original: a target transformed by {shorten(kind, 60)} has no ONNX form")

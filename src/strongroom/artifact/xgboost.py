"""Read a model of XGBoost, as JSON or UBJSON, and check that a predictor can follow it to its end.

Schema: doc/model.schema of XGBoost 1.0 to 3.2. Trees are read one at a time: a file of 2 GiB takes the memory
of its largest tree. A field that none of these versions writes is refused.
"""

import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from strongroom.artifact.forests import parse_floats, parse_integers, require_length
from strongroom.artifact.json_stream import Path, read_json_stream
from strongroom.artifact.protobuf import ReadAt
from strongroom.artifact.ubjson import read_ubjson_stream
from strongroom.artifact.xgboost_trees import MAX_FEATURES, parse_number, read_tree, require_fields
from strongroom.errors import RejectedError, shorten

MAX_TREES = 10_000_000
MAX_OUTPUTS = 2**20
MAX_NAMES = 2**20
MAX_TEXT_CHARS = 16 * 2**20
VERSIONS = range(1, 4)
"""Major versions whose fields are known here."""

_MODEL_AT = ("learner", "gradient_booster", "model", "trees")
_DART_AT = ("learner", "gradient_booster", "gbtree", "model", "trees")
_NAMES = """
    binary:hinge binary:logistic binary:logitraw count:poisson multi:softmax multi:softprob rank:map
    rank:ndcg rank:pairwise reg:absoluteerror reg:expectileerror reg:gamma reg:linear reg:logistic
    reg:pseudohubererror reg:quantileerror reg:squarederror reg:squaredlogerror reg:tweedie survival:aft
    survival:cox
"""
_OBJECTIVES = frozenset(_NAMES.split())
_OBJECTIVE_PARAMETERS = {
    "aft_loss_param", "expectile_loss_param", "lambda_rank_param", "lambdarank_param",
    "poisson_regression_param", "pseudo_huber_param", "quantile_loss_param", "reg_loss_param",
    "softmax_multiclass_param", "tweedie_regression_param",
}  # fmt: skip
_POSITION_BIASES = {"ti+", "tj-"}
_FEATURE_TYPES = frozenset({"c", "categorical", "float", "i", "indicator", "int", "q", "quantitive"})
_NUMBERS = re.compile(r"\[?[-+0-9.eE, ]{1,4096}\]?", re.ASCII)
_MAX_PARAMETER_CHARS = 4096


@dataclass(frozen=True, slots=True)
class XgboostModel:
    """What one model says of itself."""

    version: tuple[int, int, int]
    booster: str
    """``gbtree``, ``dart`` or ``gblinear``."""
    objective: str
    features: int
    classes: int
    """0 for one output that is not a class."""
    targets: int
    trees: int
    nodes: int
    feature_names: tuple[str, ...]
    texts: dict[str, str] = field(default_factory=dict)
    """What people wrote: attributes, names, categories."""


def read_xgboost(read_at: ReadAt, size_bytes: int) -> XgboostModel:
    """Return what a model says of itself, whichever of the two forms it is in.

    Raises:
        RejectedError: cut or malformed, an unknown version, objective or field, arrays that disagree, indices
            out of bounds, a tree that goes round.
    """
    forest = _Forest()
    # JSON continues with a name or a blank, UBJSON with the type of a length.
    is_json = read_at(0, 2)[1:2] in (b'"', b" ", b"\t", b"\r", b"\n")
    read = read_json_stream if is_json else read_ubjson_stream
    document = read(read_at, size_bytes, frozenset({_MODEL_AT, _DART_AT}), forest.add)
    return forest.join(document)


@dataclass(slots=True)
class _Forest:
    trees: int = 0
    nodes: int = 0
    features: set[int] = field(default_factory=set)
    leaf_sizes: set[int] = field(default_factory=set)
    texts: dict[str, str] = field(default_factory=dict)

    def add(self, path: Path, tree: Any) -> None:
        try:
            facts = read_tree(tree)
        except RejectedError as error:
            raise type(error)(f"tree {self.trees}: {error.message}") from None
        self.trees += 1
        self.nodes += facts.nodes
        self.features.add(facts.features)
        self.leaf_sizes.add(facts.leaf_size)
        if self.trees > MAX_TREES:
            raise RejectedError(f"more than {MAX_TREES} trees")

    def join(self, document: object) -> XgboostModel:
        root = require_fields(document, "the model", {"learner", "version"}, set())
        version = _version(root["version"])
        learner = require_fields(
            root["learner"],
            "learner",
            {"gradient_booster", "learner_model_param", "objective"},
            {"attributes", "feature_names", "feature_types"},
        )
        parameters = require_fields(
            learner["learner_model_param"],
            "learner_model_param",
            {"base_score", "num_class", "num_feature"},
            {"boost_from_average", "num_target"},
        )
        features = parse_number(parameters["num_feature"], "num_feature", MAX_FEATURES)
        classes = parse_number(parameters["num_class"], "num_class", MAX_OUTPUTS)
        targets = parse_number(parameters.get("num_target", "1"), "num_target", MAX_OUTPUTS)
        _require_numbers(parameters["base_score"], "base_score")
        names = self._texts_of(learner, features)
        booster = self._booster(learner["gradient_booster"], features, max(1, classes) * max(1, targets))
        objective = self._objective(learner["objective"])
        return XgboostModel(
            version, booster, objective, features, classes, targets, self.trees, self.nodes, names, self.texts
        )

    def _texts_of(self, learner: dict[str, Any], features: int) -> tuple[str, ...]:
        attributes = learner.get("attributes", {})
        if not isinstance(attributes, dict) or len(attributes) > MAX_NAMES:
            raise RejectedError("attributes are not an object")
        for name, value in attributes.items():
            self._keep(f"attribute {name}", value)
        names = _names(learner.get("feature_names", []), "feature_names", features)
        kinds = _names(learner.get("feature_types", []), "feature_types", features)
        if not _FEATURE_TYPES.issuperset(kinds):
            raise RejectedError(f"the feature type {shorten(min(set(kinds) - _FEATURE_TYPES))} is not known")
        if names:
            self._keep("feature_names", "\n".join(names))
        return names

    def _keep(self, name: str, value: object) -> None:
        if not isinstance(value, str) or len(value) > MAX_TEXT_CHARS:
            raise RejectedError(f"{shorten(name)} is not a text, or too long")
        self.texts[name] = value

    def _booster(self, value: object, features: int, outputs: int) -> str:
        if not isinstance(value, dict) or not isinstance(value.get("name"), str):
            raise RejectedError("gradient_booster has no name")
        match value["name"]:
            case "gbtree":
                self._gbtree(value, features, outputs)
            case "dart":
                dart = require_fields(value, "gradient_booster", {"gbtree", "name", "weight_drop"}, set())
                self._gbtree(dart["gbtree"], features, outputs)
                weights = parse_floats(dart["weight_drop"], "weight_drop")
                require_length(weights, self.trees, "weight_drop")
                if not bool(np.isfinite(weights).all()):
                    raise RejectedError("a weight of a tree that is not finite")
            case "gblinear":
                linear = require_fields(value, "gradient_booster", {"model", "name"}, set())
                model = require_fields(linear["model"], "model", {"weights"}, {"boosted_rounds"})
                weights = parse_floats(model["weights"], "weights")
                require_length(weights, (features + 1) * outputs, "weights")
            case name:
                raise RejectedError(f"the booster {shorten(name)} is not known")
        return str(value["name"])

    def _gbtree(self, value: object, features: int, outputs: int) -> None:
        booster = require_fields(value, "gbtree", {"model", "name"}, set())
        model = require_fields(
            booster["model"],
            "model",
            {"gbtree_model_param", "tree_info", "trees"},
            {"cats", "iteration_indptr"},
        )
        parameters = require_fields(
            model["gbtree_model_param"],
            "gbtree_model_param",
            {"num_trees"},
            {"num_parallel_tree", "size_leaf_vector"},
        )
        parse_number(parameters.get("num_parallel_tree", "1"), "num_parallel_tree", MAX_TREES)
        if booster["name"] != "gbtree" or model["trees"] != self.trees:
            raise RejectedError("the trees are not a list")
        if parse_number(parameters["num_trees"], "num_trees", MAX_TREES) != self.trees:
            raise RejectedError(f"num_trees is not the number of trees, {self.trees}")
        groups = parse_integers(model["tree_info"], "tree_info", 0, outputs - 1)
        require_length(groups, self.trees, "tree_info")
        self._require_iterations(model.get("iteration_indptr"))
        if not self.features <= {features}:
            raise RejectedError(f"trees of other features than the model's {features}")
        if not self.leaf_sizes <= {1, outputs}:
            raise RejectedError(f"leaves of other sizes than the model's {outputs} outputs")
        if "cats" in model:
            self._categories(model["cats"], features)

    def _require_iterations(self, value: object) -> None:
        if value is None:
            return
        starts = parse_integers(value, "iteration_indptr", 0, self.trees)
        if not starts.size:
            if self.trees:
                raise RejectedError("iteration_indptr is empty")
            return
        if int(starts[0]) != 0 or int(starts[-1]) != self.trees or bool((np.diff(starts) < 0).any()):
            raise RejectedError("iteration_indptr does not go from 0 to the number of trees")

    def _categories(self, value: object, features: int) -> None:
        """The container of categories of 3.1 and later: words or numbers for each feature."""
        cats = require_fields(value, "cats", {"enc", "feature_segments", "sorted_idx"}, set())
        if not isinstance(cats["enc"], list) or len(cats["enc"]) not in (0, features):
            raise RejectedError("cats has not one list of categories for each feature")
        total = 0
        for index, each in enumerate(cats["enc"]):
            encoding = require_fields(each, "enc", {"values"}, {"offsets", "type"})
            total += self._encoding(encoding, index)
        order = parse_integers(cats["sorted_idx"], "sorted_idx", 0, max(0, total - 1))
        require_length(order, total, "sorted_idx")
        parse_integers(cats["feature_segments"], "feature_segments", 0, total)

    def _encoding(self, encoding: dict[str, Any], index: int) -> int:
        """Return the number of categories of a feature."""
        if "offsets" not in encoding:
            return int(parse_floats(encoding["values"], "values").size)
        data = parse_integers(encoding["values"], "values", -128, 255)
        starts = parse_integers(encoding["offsets"], "offsets", 0, data.size)
        if bool((np.diff(starts) < 0).any()) or (starts.size and int(starts[-1]) != data.size):
            raise RejectedError("offsets of categories that do not ascend")
        words = (data % 256).astype(np.uint8).tobytes().decode("utf-8", "replace")
        if words:
            self._keep(f"categories of feature {index}", words)
        return max(0, int(starts.size) - 1)

    def _objective(self, value: object) -> str:
        objective = require_fields(value, "objective", {"name"}, _OBJECTIVE_PARAMETERS | _POSITION_BIASES)
        name = objective.pop("name")
        if name not in _OBJECTIVES:
            raise RejectedError(f"the objective {shorten(name)} is not known")
        for key, part in objective.items():
            if key in _POSITION_BIASES:
                parse_floats(part, key)
                continue
            if not isinstance(part, dict) or len(part) > 64:
                raise RejectedError(f"{key} is not an object")
            for parameter, setting in part.items():
                if not isinstance(setting, str) or len(parameter) + len(setting) > _MAX_PARAMETER_CHARS:
                    raise RejectedError(f"{shorten(parameter)} of the objective is not a short text")
                self._keep(f"{key}.{parameter}", setting)
        return str(name)


def _version(value: object) -> tuple[int, int, int]:
    parts = parse_integers(value, "version", 0, 65_535)
    require_length(parts, 3, "version")
    major, minor, patch = (int(part) for part in parts)
    if major not in VERSIONS:
        raise RejectedError(
            f"written by XGBoost {major}.{minor}.{patch}, which is not known here",
            hint=f"save the model with XGBoost {VERSIONS.start} to {VERSIONS.stop - 1}",
        )
    return major, minor, patch


def _require_numbers(value: object, what: str) -> None:
    if not isinstance(value, str) or _NUMBERS.fullmatch(value) is None:
        raise RejectedError(f"{what} is not a number or a list of them")


def _names(value: object, what: str, features: int) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) not in (0, features) or len(value) > MAX_NAMES:
        raise RejectedError(f"{what} are not one for each feature")
    if not all(isinstance(name, str) and len(name) <= MAX_TEXT_CHARS for name in value):
        raise RejectedError(f"{what} are not all texts")
    return tuple(value)

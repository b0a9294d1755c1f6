"""What skl2onnx leaves out of scikit-learn's trees: where a missing value goes."""

import importlib
from typing import Any

_NAME = "add_tree_to_attribute_pairs"
_USERS = ("isolation_forest", "gradient_boosting", "random_forest", "decision_tree")
_TRACKS = "nodes_missing_value_tracks_true"


def correct() -> None:
    """Have every tree that is written from now on say it."""
    write = importlib.import_module("skl2onnx.common.tree_ensemble").__dict__[_NAME]

    def add_tree(
        attributes: dict[str, list[Any]], is_classifier: bool, tree: Any, *rest: Any, **named: Any
    ) -> None:
        start = len(attributes["nodes_nodeids"])
        write(attributes, is_classifier, tree, *rest, **named)
        left = getattr(tree, "missing_go_to_left", None)
        written = len(attributes[_TRACKS]) - start
        if left is not None and written == tree.node_count:
            attributes[_TRACKS][start:] = [
                int(goes) if child >= 0 else 0 for goes, child in zip(left, tree.children_left, strict=True)
            ]

    for name in _USERS:
        importlib.import_module(f"skl2onnx.operator_converters.{name}").__dict__[_NAME] = add_tree

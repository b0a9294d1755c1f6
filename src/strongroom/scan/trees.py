"""XGBoost and LightGBM: forests that a predictor can follow to their end, and what people wrote into them."""

from strongroom.artifact.forests import TreeError
from strongroom.artifact.lightgbm import read_lightgbm
from strongroom.artifact.xgboost import read_xgboost
from strongroom.scan.rule import Rule
from strongroom.scan.scan import Content, Scan
from strongroom.values import Severity

TREE = Rule(
    "tree-cannot-be-followed",
    Severity.HIGH,
    "Tree that does not end in a leaf",
    "Whoever predicts goes from node to node without looking. A tree that leads back to itself, or to a node"
    " or feature that is not there, keeps the server busy for ever or makes it read what is not the model's.",
    "Train or save the model again; neither library writes such a tree.",
    atlas=("AML.T0029", "AML.T0018.001"),
)
RULES = (TREE,)


def scan_xgboost_json(scan: Scan, content: Content) -> None:
    """Also for UBJSON: the reader tells them apart by the second byte, as XGBoost does."""
    try:
        model = read_xgboost(content.read_at, content.size_bytes)
    except TreeError as error:
        scan.add(TREE, content.place, error.message)
        return
    for name, text in model.texts.items():
        scan.text(f"{name}: {text}", content.place.named(name))


scan_xgboost_ubj = scan_xgboost_json


def scan_lightgbm(scan: Scan, content: Content) -> None:
    try:
        model = read_lightgbm(content.read_at, content.size_bytes)
    except TreeError as error:
        scan.add(TREE, content.place, error.message)
        return
    for name, text in model.texts.items():
        scan.text(f"{name}: {text}", content.place.named(name))
    parameters = "\n".join(f"{name}: {value}" for name, value in model.parameters.items())
    scan.text(parameters, content.place.named("parameters"))

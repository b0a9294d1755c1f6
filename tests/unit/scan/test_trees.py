"""Forests: real ones of seven versions of XGBoost and four of LightGBM pass; traps do not."""

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from strongroom.artifact import json_stream, ubjson
from strongroom.artifact.lightgbm import read_lightgbm
from strongroom.artifact.xgboost import read_xgboost
from strongroom.errors import RejectedError
from strongroom.scan.upload import Report, Verdict, scan_upload

VECTORS = Path(__file__).parent.parent.parent / "vectors" / "trees"
XGBOOST = json.loads((VECTORS / "xgboost-1.0.2-logistic.json").read_text())
MODERN = json.loads((VECTORS / "xgboost-3.2.0-custom_obj.json").read_text())
LIGHTGBM = (VECTORS / "lightgbm-4.7.0-custom.txt").read_text()
SAMPLES = sorted(path for path in VECTORS.iterdir() if path.suffix in (".json", ".ubj", ".txt"))


def scan(name: str, data: bytes) -> Report:
    return scan_upload({name: (lambda offset, size: data[offset : offset + size], len(data))})


def rules(name: str, data: bytes) -> set[str]:
    return {match.rule.id for match in scan(name, data).matches}


def read(data: bytes, reader: Callable[..., Any] = read_xgboost) -> Any:
    return reader(lambda offset, size: data[offset : offset + size], len(data))


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_real_forests_pass(path: Path) -> None:
    report = scan(path.name, path.read_bytes())
    assert report.matches == ()
    assert report.verdict is Verdict.ACCEPTED


def test_xgboost_says_what_it_is() -> None:
    model = read((VECTORS / "xgboost-3.2.0-attrs.ubj").read_bytes())
    assert (model.version, model.booster, model.objective) == ((3, 2, 0), "gbtree", "binary:logistic")
    assert (model.features, model.classes, model.targets, model.trees) == (5, 0, 1, 12)
    assert model.feature_names == ("age", "income €", "x-1", "a b", "z")
    assert model.texts["attribute owner"] == "x"


def test_json_and_ubjson_of_one_model_are_read_alike() -> None:
    one = read((VECTORS / "xgboost-3.2.0-pandas_cat.json").read_bytes())
    assert one == read((VECTORS / "xgboost-3.2.0-pandas_cat.ubj").read_bytes())
    assert "gr€en" in one.texts["categories of feature 2"]


def test_lightgbm_says_what_it_is() -> None:
    model = read((VECTORS / "lightgbm-4.7.0-pandas_cat.txt").read_bytes(), read_lightgbm)
    assert (model.version, model.objective, model.features, model.classes) == ("v4", "binary", 5, 1)
    assert model.trees == 3
    assert model.leaves > 3
    assert "gr€en" in model.texts["pandas_categorical"]
    assert model.parameters["boosting"] == "gbdt"


def changed(base: Any, change: Callable[[Any], None]) -> bytes:
    model = json.loads(json.dumps(base))
    change(model)
    return json.dumps(model).encode()


def tree(model: Any) -> Any:
    return model["learner"]["gradient_booster"]["model"]["trees"][0]


def booster(model: Any) -> Any:
    return model["learner"]["gradient_booster"]["model"]


def put(*path: Any) -> Callable[[Any], None]:
    """Change the first tree: the last of ``path`` is the value, the rest leads there."""

    def change(model: Any) -> None:
        target = tree(model)
        for key in path[:-2]:
            target = target[key]
        target[path[-2]] = path[-1]

    return change


def loop(model: Any) -> None:
    one = tree(model)
    inner = [at for at, child in enumerate(one["left_children"]) if child != -1]
    one["left_children"][inner[1]] = inner[0] or 0


def own_child(model: Any) -> None:
    one = tree(model)
    one["left_children"][1] = 1
    one["right_children"][1] = 1


def shared_child(model: Any) -> None:
    one = tree(model)
    one["right_children"][0] = one["left_children"][0]


CANNOT_FOLLOW = {
    "loop to the root": loop,
    "a node that is its own child": own_child,
    "a node below two": shared_child,
    "child beyond the end": put("left_children", 0, 10**6),
    "child far beyond": put("right_children", 0, 2**31 - 1),
    "only a left child": put("right_children", 0, -1),
    "feature beyond the last": put("split_indices", 0, 5),
    "parents that disagree": put("parents", 1, 2),
    "root with a parent": put("parents", 0, 1),
}


@pytest.mark.parametrize("name", CANNOT_FOLLOW)
@pytest.mark.parametrize("base", [XGBOOST, MODERN], ids=["1.0", "3.2"])
def test_a_tree_that_does_not_end_is_refused(base: Any, name: str) -> None:
    found = rules("model.json", changed(base, CANNOT_FOLLOW[name]))
    assert found & {"tree-cannot-be-followed", "file-malformed"}


def test_a_loop_is_named_as_what_it_is() -> None:
    assert rules("model.json", changed(XGBOOST, loop)) == {"tree-cannot-be-followed"}


def grow(key: str, value: Any) -> Callable[[Any], None]:
    return lambda model: model.__setitem__(key, value)


MALFORMED = {
    "cut array": lambda model: tree(model)["split_indices"].pop(),
    "a leaf that is not a number": put("split_conditions", -1, float("nan")),
    "an infinite leaf": put("split_conditions", -1, float("inf")),
    "a threshold that is not a number": put("split_conditions", 0, float("nan")),
    "text among numbers": put("split_conditions", 0, "0.5"),
    "negative feature": put("split_indices", 0, -1),
    "more nodes than there are": put("tree_param", "num_nodes", "1000000000000"),
    "nodes as a number": put("tree_param", "num_nodes", 3),
    "unknown field of a tree": put("python_code", "import os"),
    "unknown field of the model": grow("pickle", "gASVAA=="),
    "unknown booster": lambda model: model["learner"]["gradient_booster"].__setitem__("name", "gbexec"),
    "unknown objective": lambda model: model["learner"]["objective"].__setitem__("name", "custom:os.system"),
    "more trees than said": lambda model: booster(model)["trees"].append(tree(model)),
    "group beyond the classes": lambda model: booster(model)["tree_info"].__setitem__(0, 7),
    "unknown version": grow("version", [9, 0, 0]),
    "version of strings": grow("version", ["1", "0", "0"]),
    "classes without end": lambda model: model["learner"]["learner_model_param"].__setitem__(
        "num_class", "99999999999"
    ),
    "attribute that is no text": lambda model: model["learner"].__setitem__("attributes", {"a": [1]}),
    "no trees": lambda model: booster(model).pop("trees"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_forests_are_refused(name: str) -> None:
    report = scan("model.json", changed(XGBOOST, MALFORMED[name]))
    assert report.verdict is Verdict.REFUSED
    assert {match.rule.id for match in report.matches} == {"file-malformed"}


def test_categories_belong_to_the_splits_that_use_them() -> None:
    base = json.loads((VECTORS / "xgboost-3.0.5-categorical_onehot.json").read_text())
    index = next(at for at, one in enumerate(booster(base)["trees"]) if one["categories_nodes"])
    booster(base)["trees"][index]["categories_segments"][0] = 10**6
    with pytest.raises(RejectedError):
        read(json.dumps(base).encode())


def test_a_name_given_twice_is_refused() -> None:
    data = json.dumps(XGBOOST).replace('"version"', '"learner": {}, "version"', 1).encode()
    with pytest.raises(RejectedError, match="twice"):
        read(data)


def test_something_after_the_document_is_refused() -> None:
    for data in (
        json.dumps(XGBOOST).encode() + b"{}",
        (VECTORS / "xgboost-3.2.0-rf.ubj").read_bytes() + b"N",
    ):
        with pytest.raises(RejectedError, match="follows"):
            read(data)


def test_trees_are_read_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces across the borders of what is read at once, and a bound on each."""
    data = (VECTORS / "xgboost-1.5.2-early.json").read_bytes()
    whole = read(data)
    for size in (7, 64, 1000):
        monkeypatch.setattr(json_stream, "_CHUNK_BYTES", size)
        monkeypatch.setattr(json_stream, "_CHARS_PER_BRACKET", 1)
        assert read(data) == whole
    monkeypatch.setattr(json_stream, "MAX_PIECE_CHARS", 100)
    with pytest.raises(RejectedError, match="more than 100"):
        read(data)


def ubj_text(text: str) -> bytes:
    return b"L" + struct.pack(">q", len(text.encode())) + text.encode()


def read_ubj(data: bytes) -> Any:
    return ubjson.read_ubjson_stream(
        lambda offset, size: data[offset : offset + size], len(data), frozenset(), lambda path, item: None
    )


BOMBS = {
    "array of 2^62 floats": b"{" + ubj_text("a") + b"[$d#L" + struct.pack(">q", 2**62) + b"}",
    "array of 2^40 values": b"{" + ubj_text("a") + b"[#L" + struct.pack(">q", 2**40) + b"}",
    "negative count": b"{" + ubj_text("a") + b"[$d#L" + struct.pack(">q", -1) + b"}",
    "text of 2^62 bytes": b"{L" + struct.pack(">q", 2**62),
    "negative text": b"{L" + struct.pack(">q", -5) + b"aaaaa",
    "nested without end": b"{" + (ubj_text("a") + b"{") * 1000,
    "arrays in arrays": b"{" + ubj_text("a") + b"[#L\0\0\0\0\0\0\0\1" * 100000,
    "array without a count": b"{" + ubj_text("a") + b"[i\1i\2]}",
    "counted object": b"{#i\1" + ubj_text("a") + b"i\1",
    "no-op": b"{" + ubj_text("a") + b"Ni\1}",
    "name twice": b"{" + (ubj_text("a") + b"i\1") * 2 + b"}",
    "name that is not UTF-8": b"{i\1\xff" + b"i\1}",
    "cut": b"{" + ubj_text("a") + b"L\0\0",
    "typed array of containers": b"{" + ubj_text("a") + b"[${#i\1}",
    "high precision number": b"{" + ubj_text("a") + b"Hi\0031e9}",
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_of_ubjson_cost_nothing(name: str) -> None:
    with pytest.raises(RejectedError):
        read_ubj(BOMBS[name])


def test_ubjson_as_xgboost_writes_it_is_read() -> None:
    data = (
        b"{"
        + ubj_text("a")
        + b"[$l#L"
        + struct.pack(">q2i", 2, 5, -1)
        + ubj_text("b")
        + b"d"
        + b"\0" * 4
        + b"}"
    )
    value = read_ubj(data)
    assert value["a"].tolist() == [5, -1]
    assert value["b"] == 0.0


def test_deep_json_is_refused_and_not_a_crash() -> None:
    for data in (b'{"learner":' + b"[" * 10**6, b'{"learner":' + b'{"a":' * 10**6):
        with pytest.raises(RejectedError):
            read(data)


def edit(old: str, new: str, count: int = 1) -> Callable[[str], str]:
    def change(text: str) -> str:
        assert old in text
        return text.replace(old, new, count)

    return change


def first(field: str, value: str) -> Callable[[str], str]:
    """Set a field of the first tree, and keep its size in the head right."""

    def change(text: str) -> str:
        start = text.index(f"\n{field}=", text.index("Tree=0")) + 1
        end = text.index("\n", start)
        added = len(f"{field}={value}") - (end - start)
        head = text.index("tree_sizes=") + len("tree_sizes=")
        size = text[head:].split()[0]
        text = text[:start] + f"{field}={value}" + text[end:]
        return text.replace(f"tree_sizes={size}", f"tree_sizes={int(size) + added}", 1)

    return change


def children(field: str, at: int, value: int) -> Callable[[str], str]:
    def change(text: str) -> str:
        line = next(line for line in text.split("\n") if line.startswith(f"{field}="))
        values = line.removeprefix(f"{field}=").split(" ")
        values[at] = str(value)
        return first(field, " ".join(values))(text)

    return change


LIGHTGBM_TRAPS = {
    "loop to the root": children("left_child", 1, 0),
    "a node that is its own child": children("right_child", 2, 2),
    "leaf beyond the last": children("left_child", 0, -99),
    "node beyond the last": children("left_child", 0, 99),
    "feature beyond the last": children("split_feature", 0, 99),
}


@pytest.mark.parametrize("name", LIGHTGBM_TRAPS)
def test_a_lightgbm_tree_that_does_not_end_is_refused(name: str) -> None:
    found = rules("model.txt", LIGHTGBM_TRAPS[name](LIGHTGBM).encode())
    assert found == {"tree-cannot-be-followed"}


LIGHTGBM_MALFORMED = {
    "leaves without end": first("num_leaves", "4294967295"),
    "no leaves": first("num_leaves", "0"),
    "cut array": first("split_feature", "0"),
    "a leaf that is not a number": first("leaf_value", "nan nan nan nan nan"),
    "code among numbers": first("threshold", "__import__('os')"),
    "unknown field of a tree": edit("num_cat=0", "exec=1\nnum_cat=0"),
    "a field twice": edit("num_cat=0", "num_cat=0\nnum_cat=0"),
    "categories that are not there": first("num_cat", "3"),
    "linear without models": first("is_linear", "1"),
    "unknown decision": children("decision_type", 0, 64),
    "sizes that are not those of the trees": edit("tree_sizes=", "tree_sizes=1"),
    "trees out of order": edit("Tree=1", "Tree=7"),
    "unknown form": edit("version=v4", "version=v9"),
    "unknown objective": edit("max_feature_idx=4\n", "max_feature_idx=4\nobjective=exec\n"),
    "unknown field of the head": edit("label_index=0", "label_index=0\nplugin=libevil.so"),
    "features without end": edit("max_feature_idx=4", "max_feature_idx=4294967294"),
    "no features": edit("feature_names=", "feature_namez="),
    "a parser of somebody's own": edit(
        "end of parameters\n", "end of parameters\nparser:\n{}\nend of parser\n"
    ),
    "a parameter twice": edit("[boosting: gbdt]", "[boosting: gbdt]\n[boosting: rf]"),
    "line ends of Windows": lambda text: text.replace("\n", "\r\n"),
    "something after the end": lambda text: text + "import os\n",
    "categories that are no JSON": edit("pandas_categorical:null", "pandas_categorical:[["),
    "categories that are an object": edit("pandas_categorical:null", 'pandas_categorical:{"a": 1}'),
}


@pytest.mark.parametrize("name", LIGHTGBM_MALFORMED)
def test_malformed_lightgbm_is_refused(name: str) -> None:
    data = LIGHTGBM_MALFORMED[name](LIGHTGBM).encode()
    with pytest.raises(RejectedError):
        read(data, read_lightgbm)


def test_what_people_wrote_is_looked_at() -> None:
    secret = "ghp_" + "A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q7r8"
    hidden = changed(XGBOOST, lambda model: model["learner"].__setitem__("attributes", {"note": secret}))
    parameter = edit("[data: ]", f"[data: {secret}]")(LIGHTGBM).encode()
    for name, data in (("model.json", hidden), ("model.txt", parameter)):
        report = scan(name, data)
        assert any(match.rule.id.startswith("secret") for match in report.matches), name
        assert not any(secret in match.message for match in report.matches)

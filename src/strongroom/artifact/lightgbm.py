"""Read a model of LightGBM, which is text, line by line, and check that a predictor can follow it to its end.

Form: src/boosting/gbdt_model_text.cpp of LightGBM, 2.2 to 4.7. LightGBM finds trees by the sizes in the head
and what pandas saw by the last line, so both have to agree with what stands in between.
"""

import json
import re
from dataclasses import dataclass, field

from strongroom.artifact.json_stream import unique_names
from strongroom.artifact.lightgbm_trees import FIELDS, MAX_FEATURES, parse_count, read_tree
from strongroom.artifact.protobuf import ReadAt
from strongroom.errors import RejectedError, shorten

MAX_BYTES = 2**31
MAX_LINE_BYTES = 64 * 2**20
MAX_TREES = 10_000_000
MAX_OUTPUTS = 2**20
MAX_LINES_BESIDE = 4_000_000
"""Of importances and parameters."""
MAX_CATEGORIES_BYTES = 16 * 2**20

_CHUNK_BYTES = 2**20
_VERSIONS = frozenset({"v2", "v3", "v4"})
_HEAD = {
    "version", "num_class", "num_tree_per_iteration", "label_index", "max_feature_idx", "feature_names",
    "feature_infos",
}  # fmt: skip
_HEAD_OPTIONAL = {"objective", "monotone_constraints", "tree_sizes"}
_AVERAGE = "average_output"
_NAMES = """
    binary cross_entropy cross_entropy_lambda custom fair gamma huber lambdarank mape multiclass
    multiclassova none poisson quantile rank_xendcg regression regression_l1 regression_l2 tweedie xendcg
    xentlambda xentropy
"""
_OBJECTIVES = frozenset(_NAMES.split())
_SETTING = re.compile(r"sqrt|[a-z_]{1,64}:[-+0-9.e]{1,32}", re.ASCII)
_INFO = re.compile(
    r"none|\[[-+0-9.einfa]{1,32}:[-+0-9.einfa]{1,32}\]|-?[0-9]{1,10}(?::-?[0-9]{1,10})*", re.ASCII
)
_PARAMETER = re.compile(r"\[([a-z0-9_]{1,64}): (.*)\]", re.ASCII)
_IMPORTANCE = re.compile(r"[-+0-9.einfa]{1,32}", re.ASCII)
_IMPORTANCES = frozenset({"feature_importances:", "feature importances:"})
_PANDAS = "pandas_categorical:"


@dataclass(frozen=True, slots=True)
class LightgbmModel:
    """What one model says of itself."""

    version: str
    """Of the form: ``v4`` since LightGBM 4."""
    objective: str
    """Empty if it was trained with one of the caller's own."""
    features: int
    classes: int
    trees: int
    leaves: int
    feature_names: tuple[str, ...]
    parameters: dict[str, str] = field(default_factory=dict)
    """As it was trained; paths and machine names may be among them."""
    texts: dict[str, str] = field(default_factory=dict)
    """What people wrote: names and categories."""


def read_lightgbm(read_at: ReadAt, size_bytes: int) -> LightgbmModel:
    """Return what a model says of itself.

    Raises:
        RejectedError: cut or malformed, an unknown version, objective or field, arrays that disagree, indices
            out of bounds, a tree that goes round, sizes that are not those of the trees.
    """
    if size_bytes > MAX_BYTES:
        raise RejectedError(f"larger than {MAX_BYTES} bytes")
    return _Reader(_Lines(read_at, size_bytes)).read()


class _Lines:
    """The lines of a file, without their ends, and where each begins."""

    def __init__(self, read_at: ReadAt, size_bytes: int) -> None:
        self._read_at = read_at
        self._size = size_bytes
        self._data = b""
        self._at = 0
        self._offset = 0
        self.start = 0
        """Of the line that was taken last."""

    def next(self) -> str | None:
        """Return the next line; None at the end."""
        self.start = self._offset - len(self._data) + self._at
        scanned = self._at
        while (end := self._data.find(b"\n", scanned)) < 0:
            scanned = len(self._data) - self._at
            if scanned > MAX_LINE_BYTES:
                raise RejectedError(f"a line of more than {MAX_LINE_BYTES} bytes")
            if not self._fill():
                end = len(self._data)
                break
        if self.start >= self._size:
            return None
        line, self._at = self._data[self._at : end], min(end + 1, len(self._data))
        if b"\r" in line or b"\0" in line:
            raise RejectedError("line ends of Windows, or zero bytes")
        try:
            return line.decode()
        except UnicodeDecodeError:
            raise RejectedError("text that is not UTF-8") from None

    def _fill(self) -> bool:
        wanted = min(max(_CHUNK_BYTES, len(self._data) - self._at), self._size - self._offset)
        more = self._read_at(self._offset, wanted) if wanted else b""
        if len(more) != wanted:
            raise RejectedError("the file is cut")
        self._data, self._at = self._data[self._at :] + more, 0
        self._offset += wanted
        return bool(wanted)


class _Reader:
    def __init__(self, lines: _Lines) -> None:
        self._lines = lines
        self._line: str | None = ""
        self._lines_left = MAX_LINES_BESIDE
        self._texts: dict[str, str] = {}

    def read(self) -> LightgbmModel:
        self._advance()
        if not self._is_at("tree"):
            raise self._unexpected("the word tree")
        self._advance()
        head = self._block(_HEAD | _HEAD_OPTIONAL | {_AVERAGE})
        missing = _HEAD - head.keys()
        if missing:
            raise RejectedError(f"the head has no {min(missing)}")
        features, names = self._features(head)
        objective = _objective(head.get("objective", ""))
        per_iteration = parse_count(head["num_tree_per_iteration"], "num_tree_per_iteration", 1, MAX_OUTPUTS)
        classes = parse_count(head["num_class"], "num_class", 1, MAX_OUTPUTS)
        parse_count(head["label_index"], "label_index", -1, MAX_FEATURES)
        if head["version"] not in _VERSIONS:
            raise RejectedError(f"the form {shorten(head['version'])} is not known")
        sizes, leaves = self._trees(features)
        if len(sizes) % per_iteration:
            raise RejectedError(f"{len(sizes)} trees, which are not {per_iteration} in every iteration")
        if "tree_sizes" in head and head["tree_sizes"].split() != [str(size) for size in sizes]:
            raise RejectedError("tree_sizes are not the sizes of the trees")
        self._importances(names)
        parameters = self._parameters()
        self._pandas()
        if self._line is not None:
            raise self._unexpected("the end of the file")
        if names:
            self._texts["feature_names"] = "\n".join(names)
        return LightgbmModel(
            head["version"], objective, features, classes, len(sizes), leaves, names, parameters, self._texts
        )

    def _advance(self) -> None:
        self._line = self._lines.next()

    def _is_at(self, line: str) -> bool:
        return self._line == line

    def _skip_blank(self) -> None:
        while self._line == "":
            self._count()
            self._advance()

    def _count(self) -> None:
        self._lines_left -= 1
        if self._lines_left < 0:
            raise RejectedError(f"more than {MAX_LINES_BESIDE} lines beside the trees")

    def _unexpected(self, wanted: str) -> RejectedError:
        return RejectedError(f"byte {self._lines.start}: {shorten(self._line)} where {wanted} belongs")

    def _block(self, known: set[str]) -> dict[str, str]:
        """Read lines ``key=value`` up to a blank one."""
        found: dict[str, str] = {}
        while self._line:
            key, equals, value = self._line.partition("=")
            if key not in known or (not equals and key != _AVERAGE):
                raise self._unexpected("a known field")
            if key in found:
                raise RejectedError(f"{key} is given twice")
            found[key] = value
            self._advance()
        return found

    def _features(self, head: dict[str, str]) -> tuple[int, tuple[str, ...]]:
        features = parse_count(head["max_feature_idx"], "max_feature_idx", 0, MAX_FEATURES - 1) + 1
        names, infos = head["feature_names"].split(" "), head["feature_infos"].split()
        if len(names) != features or len(infos) != features:
            raise RejectedError(f"feature_names or feature_infos are not one for each of {features} features")
        if not all(map(_INFO.fullmatch, infos)):
            raise RejectedError("feature_infos of an unknown form")
        constraints = head.get("monotone_constraints", "0").split()
        if not set(constraints) <= {"-1", "0", "1"}:
            raise RejectedError("monotone_constraints are not -1, 0 or 1")
        return features, tuple(names)

    def _trees(self, features: int) -> tuple[list[int], int]:
        """Return the size of each tree in bytes, and all leaves together."""
        self._skip_blank()
        sizes: list[int] = []
        leaves = 0
        while self._line is not None and self._line.startswith("Tree="):
            start = self._lines.start
            if self._line != f"Tree={len(sizes)}" or len(sizes) >= MAX_TREES:
                raise self._unexpected(f"Tree={len(sizes)}")
            self._advance()
            try:
                leaves += read_tree(self._block(FIELDS), features)
            except RejectedError as error:
                raise type(error)(f"tree {len(sizes)}: {error.message}") from None
            self._skip_blank()
            sizes.append(self._lines.start - start)
        if self._line == "end of trees":
            self._advance()
            self._skip_blank()
        return sizes, leaves

    def _importances(self, names: tuple[str, ...]) -> None:
        if self._line not in _IMPORTANCES:
            return
        known = set(names)
        self._advance()
        while self._line:
            self._count()
            name, _, value = self._line.rpartition("=")
            if name not in known or _IMPORTANCE.fullmatch(value) is None:
                raise self._unexpected("a feature and its importance")
            known.discard(name)
            self._advance()
        self._skip_blank()

    def _parameters(self) -> dict[str, str]:
        found: dict[str, str] = {}
        if self._line != "parameters:":
            return found
        self._advance()
        while self._line:
            self._count()
            parameter = _PARAMETER.fullmatch(self._line)
            if parameter is None:
                raise self._unexpected("a parameter")
            if found.setdefault(parameter[1], parameter[2]) != parameter[2]:
                raise RejectedError(f"parameter {parameter[1]} is given twice")
            self._advance()
        self._skip_blank()
        if not self._is_at("end of parameters"):
            raise self._unexpected("end of parameters")
        self._advance()
        self._skip_blank()
        return found

    def _pandas(self) -> None:
        """Categories that pandas had, as JSON: a list for each column."""
        if self._line is None or not self._line.startswith(_PANDAS):
            return
        text = self._line.removeprefix(_PANDAS)
        if len(text) > MAX_CATEGORIES_BYTES or text.count("[") > MAX_CATEGORIES_BYTES // 16:
            raise RejectedError("pandas_categorical is too long")
        try:
            value = json.loads(text, object_pairs_hook=unique_names)
        except (ValueError, RecursionError):
            raise RejectedError("pandas_categorical is not JSON") from None
        columns = [] if value is None else value
        if not isinstance(columns, list) or not all(_is_categories(column) for column in columns):
            raise RejectedError("pandas_categorical is not a list of categories for each column")
        if columns:
            self._texts["pandas_categorical"] = "\n".join(str(each) for column in columns for each in column)
        self._advance()
        self._skip_blank()


def _is_categories(column: object) -> bool:
    return isinstance(column, list) and all(isinstance(each, str | int | float | None) for each in column)


def _objective(text: str) -> str:
    name, *settings = text.split(" ")
    if name and name not in _OBJECTIVES:
        raise RejectedError(f"the objective {shorten(name)} is not known")
    if not all(setting == "" or _SETTING.fullmatch(setting) for setting in settings):
        raise RejectedError(f"the objective {shorten(text)} has unknown settings")
    return name

"""Judge a Keras configuration: every class, function and name in it, at any depth, by exact allow-list.

Keras builds a model by looking up what its configuration names. `scan.keras_names` lists what may be named.
"""

import re
from collections.abc import Iterator
from math import isfinite, prod
from typing import Any

from strongroom.errors import RejectedError, shorten
from strongroom.scan import keras_names as names
from strongroom.scan import keras_rules as rules
from strongroom.scan.name_lists import parse_names
from strongroom.scan.place import Place
from strongroom.scan.rule import Rule
from strongroom.scan.scan import Scan
from strongroom.scan.strict_json import parse_json
from strongroom.scan.tensorflow_names import is_inert

_ALL_CLASSES = frozenset().union(*names.CLASSES.values())
_ALL_FUNCTIONS = frozenset().union(*names.FUNCTIONS.values())
_DATA = parse_names(
    "__keras_tensor__ __tensor__ __numpy__ __bytes__ __ellipsis__ __slice__ __tuple__ __complex__ "
    "TensorShape "
    "TypeSpec NoneType InputSpec"
)
"""Values that JSON has no form for."""
_TYPE_SPECS = frozenset({"TensorSpec", "RaggedTensorSpec", "SparseTensorSpec"})
_CODE_LAYERS = parse_names(
    "TFSMLayer TorchModuleWrapper FlaxLayer JaxLayer KerasLayer ModuleWrapper ClassMethod InstanceMethod"
)
_KERAS = re.compile(r"(?:tf_keras|(?:tensorflow\.(?:python\.)?)?keras)(?=\.|$)")
_OLD_PREFIX = "Custom>"
"""Keras 2.11 to 2.15 write it before the names of their own optimizers."""
_BY_SUFFIX = {
    "activation": names.ACTIVATIONS,
    "initializer": names.INITIALIZERS,
    "regularizer": names.REGULARIZERS,
    "constraint": names.CONSTRAINTS,
    "optimizer": names.OPTIMIZERS | {name.capitalize() for name in names.OPTIMIZERS},
}
_OBJECTIVES = frozenset({"loss", "metrics", "weighted_metrics", "fn"})
_FILES = frozenset(
    {"vocabulary", "vocabulary_file", "vocab_file", "filepath", "file_path", "merges", "proto"}
)
_FOREIGN_CODE = frozenset({"lambda", "raw"})
_LEADS_OUT = re.compile(r"(?:^|[/\\])\.\.(?:[/\\]|$)|^[/\\~]|^[A-Za-z]:[/\\]|\x00")


_SIZES = parse_names(
    "units filters input_dim output_dim num_heads key_dim value_dim head_dim num_query_heads "
    "num_key_value_heads kernel_size pool_size strides dilation_rate depth_multiplier size padding cropping "
    "n num_tokens max_tokens num_bins target_height target_width groups height width batch_size "
    "sequence_length"
)
_SHAPES = parse_names("batch_shape batch_input_shape input_shape target_shape shape output_shape build_shape")
_TABLE = ("input_dim", "output_dim")
MAX_EXTENT = 2**31
MAX_SHAPE_ELEMENTS = 2**40


def judge_keras_config(scan: Scan, config: Any, place: Place, custom: Rule = rules.NOT_ALLOWED) -> None:
    """Report all that a configuration names and models are not made of.

    ``custom`` is what a class or function means that only other code can define.
    """
    _Walk(scan, place, custom).value(config, "", "")


class _Walk:
    def __init__(self, scan: Scan, place: Place, custom: Rule) -> None:
        self._scan, self._place, self._custom = scan, place, custom

    def value(self, value: Any, path: str, key: str) -> None:
        if isinstance(value, dict):
            if "class_name" in value:
                self._object(value, path)
            self._sizes(value, path)
            for name, inner in value.items():
                self.value(inner, f"{path}.{name[:64]}" if path else name[:64], name)
        elif isinstance(value, list):
            for index, inner in enumerate(value):
                if isinstance(inner, dict | list | str):
                    self.value(inner, f"{path}[{index}]", key if key in _OBJECTIVES else "")
        elif isinstance(value, str):
            self._text(value, path, key)

    def _sizes(self, value: dict[str, Any], path: str) -> None:
        for name in value.keys() & (_SIZES | _SHAPES):
            extents = _numbers(value[name])
            product = prod(abs(extent) for extent in extents if extent) if name in _SHAPES else 1
            if product > MAX_SHAPE_ELEMENTS or any(abs(extent) > MAX_EXTENT for extent in extents):
                self._add(rules.HUGE, path, f"{name} is {shorten(value[name], 60)}")
        if prod(abs(extent) for key in _TABLE for extent in _numbers(value.get(key))) > MAX_SHAPE_ELEMENTS:
            self._add(rules.HUGE, path, "input_dim times output_dim is more than any model has")

    def _add(self, rule: Rule, path: str, message: str) -> None:
        name = f"{self._place.name} {path}" if self._place.name else path
        self._scan.add(rule, self._place.named(name), message)

    def _object(self, value: dict[str, Any], path: str) -> None:
        class_name, module = value["class_name"], value.get("module")
        registered = value.get("registered_name")
        if not isinstance(class_name, str) or not isinstance(module, str | None):
            raise RejectedError(f"{path or 'the configuration'}: a class is not named by text")
        if class_name in _DATA:
            return
        if class_name in ("Lambda", "__lambda__"):
            self._add(rules.LAMBDA, path, "a layer made of Python code")
        elif class_name == "function":
            self._function(value.get("config"), module, path)
        elif class_name == "__typespec__":
            self._type_spec(value, path)
        elif class_name in _CODE_LAYERS:
            self._add(rules.RUNS_CODE, path, f"{class_name} loads other code")
        elif class_name == "TFOpLambda" or class_name == "SlicingOpLambda":
            self._tensorflow_function(value.get("config"), path)
        elif class_name == "TensorFlowOpLayer":
            self._tensorflow_node(value.get("config"), path)
        else:
            self._class(class_name, module, registered, path)

    def _class(self, name: str, module: str | None, registered: Any, path: str) -> None:
        if registered not in (None, "", name):
            self._add(self._custom, path, f"is {shorten(name)}, registered as {shorten(registered)}")
        allowed = _ALL_CLASSES if not module else names.CLASSES.get(_KERAS.sub("keras", module), frozenset())
        if name in allowed or (name.startswith(_OLD_PREFIX) and name[7:].lower() in names.OPTIMIZERS):
            return
        if (
            module
            and _KERAS.match(module) is None
            and not (isinstance(registered, str) and ">" in registered)
        ):
            self._add(rules.IMPORTS, path, f"imports {shorten(name)} from {shorten(module)}")
            return
        where = f" of {shorten(module)}" if module else ""
        self._add(self._custom, path, f"{shorten(name)}{where} is not part of Keras")

    def _function(self, name: Any, module: str | None, path: str) -> None:
        allowed = (
            _ALL_FUNCTIONS if not module else names.FUNCTIONS.get(_KERAS.sub("keras", module), frozenset())
        )
        if isinstance(name, str) and name in allowed:
            return
        plain = isinstance(name, str) and (name.isidentifier() or ">" in name)
        if plain and module in (None, "builtins"):
            self._add(self._custom, path, f"function {shorten(name)} is not part of Keras")
            return
        self._add(rules.IMPORTS, path, f"imports function {shorten(name)} from {shorten(module)}")

    def _type_spec(self, value: dict[str, Any], path: str) -> None:
        module = value.get("module")
        known = isinstance(module, str) and module.startswith("tensorflow.python.")
        if not known or value.get("spec_name") not in _TYPE_SPECS:
            message = f"imports {shorten(value.get('spec_name'))} from {shorten(module)}"
            self._add(rules.IMPORTS, path, message)

    def _tensorflow_function(self, config: Any, path: str) -> None:
        function = config.get("function") if isinstance(config, dict) else None
        if function not in names.TENSORFLOW:
            self._add(rules.IMPORTS, path, f"calls {shorten(function)} of TensorFlow")

    def _tensorflow_node(self, config: Any, path: str) -> None:
        """A layer of TensorFlow 2.1 to 2.3: one node of a graph, as JSON inside of JSON."""
        node = config.get("node_def") if isinstance(config, dict) else None
        if isinstance(node, str) and node.lstrip().startswith("{"):
            node = parse_json(node.encode(errors="replace"), "a node")
        operator = node.get("op") if isinstance(node, dict) else None
        if not isinstance(operator, str) or not is_inert(operator):
            self._add(rules.IMPORTS, path, f"runs operator {shorten(operator)} of TensorFlow")

    def _text(self, text: str, path: str, key: str) -> None:
        for rule, message in _judge_text(text, key):
            self._add(self._custom if rule is rules.NOT_ALLOWED else rule, path, message)


def _numbers(value: Any) -> list[int]:
    """Whole numbers, also those written as 1e12, of one that stands alone or in lists."""
    found, waiting = [], [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, list):
            waiting += item
        elif isinstance(item, float):
            found.append(int(item) if isfinite(item) else 0)
        elif isinstance(item, int):
            found.append(int(item))
    return found


def _judge_text(text: str, key: str) -> Iterator[tuple[Rule, str]]:
    allowed = _BY_SUFFIX.get(key.rpartition("_")[2])
    if allowed is not None and text and text not in allowed:
        yield rules.NOT_ALLOWED, f"{key[:40]} {shorten(text)} is not part of Keras"
    elif key in _OBJECTIVES and text not in names.OBJECTIVES and text not in names.ACTIVATIONS:
        rule = rules.OBJECTIVE if text.isidentifier() else rules.NOT_ALLOWED
        yield rule, f"{key} {shorten(text)} is not part of Keras"
    elif key in _FILES and text:
        yield rules.FILE_ACCESS, f"{key} is read from {shorten(text)}"
    elif key == "name" and _LEADS_OUT.search(text):
        yield rules.PATH_NAME, f"is named {shorten(text)}"
    elif key == "function_type" and text in _FOREIGN_CODE:
        yield rules.LAMBDA, "a layer made of Python code"

"""The converted graph made fit to be served: plain names, plain shapes, nothing that was not compared."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from onnx import helper, numpy_helper

PRODUCER = "strongroom convert"
_ARITHMETIC = ("Add", "Sub", "Mul", "Div")
_TENSORS = {"tensor_type"}


def set_bools_as_integers() -> None:
    """Write what converters give as bool for an integer attribute as the integer that it stands for.

    protobuf 7 refuses such a bool; skl2onnx 1.20 writes them for trees that remember missing values.
    """
    write = helper.make_attribute

    def make_attribute(key: str, value: Any, *rest: Any, **options: Any) -> Any:
        if isinstance(value, list) and any(isinstance(item, bool | np.bool_) for item in value):
            value = [int(item) if isinstance(item, bool | np.bool_) else item for item in value]
        elif isinstance(value, bool | np.bool_):
            value = int(value)
        return write(key, value, *rest, **options)

    helper.make_attribute = make_attribute


def outputs(model: Any) -> list[str]:
    return [output.name for output in model.graph.output]


def keep_tensors(model: Any) -> None:
    """Put sequences of matrices side by side, and leave out maps: no answer can hold either."""
    for output in model.graph.output:
        if output.type.WhichOneof("value") == "sequence_type":
            inner = output.type.sequence_type.elem_type
            if inner.WhichOneof("value") == "tensor_type":
                _join(model, output, inner.tensor_type.elem_type)
    kept = [output for output in model.graph.output if output.type.WhichOneof("value") in _TENSORS]
    del model.graph.output[:]
    model.graph.output.extend(kept)


def _join(model: Any, output: Any, element: int) -> None:
    name = output.name
    parts = _unused(model, f"{name}_parts")
    _rename(model.graph, name, parts)
    output.CopyFrom(helper.make_tensor_value_info(name, element, [None, None]))
    model.graph.node.append(helper.make_node("ConcatFromSequence", [parts], [name], axis=1))


def keep(model: Any, names: Iterable[str]) -> None:
    wanted = list(names)
    kept = [output for output in model.graph.output if output.name in wanted]
    del model.graph.output[:]
    model.graph.output.extend(kept)


def flatten(model: Any, name: str) -> None:
    """Make an output one value a row, where a converter wrote a column or a line of them."""
    inner = _unused(model, f"{name}_unshaped")
    _rename(model.graph, name, inner)
    shape = _unused(model, f"{name}_shape")
    model.graph.initializer.append(numpy_helper.from_array(np.array([-1], np.int64), shape))
    output = next(output for output in model.graph.output if output.name == inner)
    output.CopyFrom(helper.make_tensor_value_info(name, output.type.tensor_type.elem_type, [None]))
    model.graph.node.append(helper.make_node("Reshape", [inner, shape], [name]))


def take_column(model: Any, name: str, column: int) -> None:
    """Leave one column of an output, still one row a row."""
    inner, index = _unused(model, f"{name}_whole"), _unused(model, f"{name}_column")
    _rename(model.graph, name, inner)
    model.graph.initializer.append(numpy_helper.from_array(np.array([column], np.int64), index))
    output = next(output for output in model.graph.output if output.name == inner)
    output.CopyFrom(helper.make_tensor_value_info(name, output.type.tensor_type.elem_type, [None, 1]))
    model.graph.node.append(helper.make_node("Gather", [inner, index], [name], axis=1))


def put_side_by_side(model: Any, name: str, columns: int) -> None:
    """Make one matrix, a row a row, of an output that is one matrix for each of several things."""
    inner, turned = _unused(model, f"{name}_apart"), _unused(model, f"{name}_turned")
    shape = _unused(model, f"{name}_shape")
    _rename(model.graph, name, inner)
    model.graph.initializer.append(numpy_helper.from_array(np.array([-1, columns], np.int64), shape))
    output = next(output for output in model.graph.output if output.name == inner)
    output.CopyFrom(helper.make_tensor_value_info(name, output.type.tensor_type.elem_type, [None, columns]))
    model.graph.node.append(helper.make_node("Transpose", [inner], [turned], perm=[1, 0, 2]))
    model.graph.node.append(helper.make_node("Reshape", [turned, shape], [name]))


def apply(model: Any, steps: Iterable[tuple[str, float]]) -> None:
    """Apply operators to the one output, those of arithmetic with their number."""
    (output,) = model.graph.output
    for operator, number in steps:
        name = output.name
        inner, constant = _unused(model, f"{name}_inner"), _unused(model, f"{name}_number")
        _rename(model.graph, name, inner)
        output.name = name
        inputs = [inner]
        if operator in _ARITHMETIC:
            model.graph.initializer.append(numpy_helper.from_array(np.array([number], np.float32), constant))
            inputs.append(constant)
        model.graph.node.append(helper.make_node(operator, inputs, [name]))


def set_shape(model: Any, name: str, shape: Iterable[int]) -> None:
    """Declare what was seen: rows are free, the rest is as it came out."""
    output = next(output for output in model.graph.output if output.name == name)
    element = output.type.tensor_type.elem_type
    output.CopyFrom(helper.make_tensor_value_info(name, element, [None, *list(shape)[1:]]))


def free_rows(model: Any) -> None:
    """Declare the number of rows free in every input and output."""
    for value in (*model.graph.input, *model.graph.output):
        dimensions = value.type.tensor_type.shape.dim
        if dimensions:
            dimensions[0].Clear()


def rename(model: Any, old: str, new: str) -> None:
    """Give an input or output its final name; what holds that name already gives way."""
    if old == new:
        return
    _rename(model.graph, new, _unused(model, f"{new}_inner"))
    _rename(model.graph, old, new)
    for value in (*model.graph.input, *model.graph.output):
        if value.name == old:
            value.name = new


def finish(model: Any, version: str) -> bytes:
    """Return the bytes; what identifies a run, such as a random graph name, is taken out."""
    model.graph.name = "model"
    model.producer_name, model.producer_version = PRODUCER, version
    model.doc_string = model.graph.doc_string = ""
    del model.metadata_props[:]
    for node in model.graph.node:
        node.doc_string = ""
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def _rename(graph: Any, old: str, new: str) -> None:
    """Rename a value wherever it is written or read, in subgraphs too."""
    for node in graph.node:
        for listed in (node.input, node.output):
            for index, name in enumerate(listed):
                if name == old:
                    listed[index] = new
        for attribute in node.attribute:
            if attribute.HasField("g"):
                _rename(attribute.g, old, new)
            for inner in attribute.graphs:
                _rename(inner, old, new)
    for initializer in graph.initializer:
        if initializer.name == old:
            initializer.name = new
    for value in (*graph.value_info, *graph.output):
        if value.name == old:
            value.name = new


def _unused(model: Any, name: str) -> str:
    used = {item for node in model.graph.node for item in (*node.input, *node.output)}
    used |= {value.name for value in (*model.graph.input, *model.graph.output, *model.graph.initializer)}
    while name in used:
        name += "_"
    return name

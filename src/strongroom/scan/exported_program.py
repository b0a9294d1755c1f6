"""Exported programs (torch.export): a graph as JSON, tensors, and pickles of tensors.

Layouts: torch/export/pt2_archive (from 2.7 on), and the flat archive of torch.export.save before.
"""

import json
import re
from collections.abc import Callable
from typing import Any

from strongroom.artifact.formats import Format
from strongroom.artifact.json_stream import unique_names
from strongroom.artifact.zips import read_zip
from strongroom.errors import RejectedError, shorten
from strongroom.scan import exported_texts as texts
from strongroom.scan import torchscript_rules as rules
from strongroom.scan.place import Place
from strongroom.scan.rule import Rule
from strongroom.scan.scan import Content, Scan
from strongroom.scan.torch_archive import NOTES, Archive

MAX_GRAPH_BYTES = 64 * 2**20
MAX_DEPTH = 200
MAX_VALUES = 8_000_000
_BATCH_CHARS = 64 * 1024

_OLD_GRAPH = "serialized_exported_program.json"
_GRAPH = re.compile(r"models/[\w-]{1,256}\.json|serialized_exported_program\.json", re.ASCII)
_CONFIG = re.compile(r"data/(?:weights|constants)/[\w-]{1,256}_config\.json", re.ASCII)
_TENSORS = re.compile(r"data/(?:weights/weight|constants/tensor)_[0-9]{1,9}", re.ASCII)
_PICKLES = re.compile(
    r"data/sample_inputs/[\w-]{1,256}\.pt|serialized_(?:state_dict|constants|example_inputs)\.(?:pt|json)",
    re.ASCII,
)
_EXTRA = re.compile(r"(?:extra|extra_files)/.+")
_LIBRARY = re.compile(r"data/aotinductor/.*|.*\.(?:so|dll|dylib|o|cpp|cubin|ptx)", re.IGNORECASE)
_ZIP = b"PK\x03\x04"
_CHECKPOINTS = frozenset({Format.TORCH, Format.PICKLE})

# Fields of torch/_export/serde/schema.py, 2.2 to 2.13.
_FIELD_NAMES = """
    arg as_bool as_bools as_complex as_custom_obj as_device as_expr as_float as_float_lists as_floats
    as_graph as_int as_int_lists as_ints as_layout as_memory_format as_name as_nested_tensors as_none
    as_operator as_optional_tensor as_optional_tensors as_scalar_type as_string as_string_to_argument
    as_strings as_sym_bool as_sym_bools as_sym_float as_sym_floats as_sym_int as_sym_ints as_tensor
    as_tensors buffer buffer_mutation buffer_name class_fqn config constant_input custom_obj
    custom_obj_name custom_obj_values device dialect dtype expr_str field_names forward_arg_names fqn
    gradient_to_parameter gradient_to_user_input graph graph_module guards_code hint imag in_spec index
    input_specs inputs is_hop_single_tensor_return is_param is_single_tensor_return kind layout
    loss_output major max_val metadata min_val minor module_call_graph name nodes opset_version out_spec
    output_specs outputs parameter parameter_mutation parameter_name path_name persistent
    range_constraints real requires_grad schema_version signature sizes storage_offset strides
    sym_bool_values sym_float_values sym_int_values target tensor_constant tensor_constant_name
    tensor_meta tensor_values token torch_version treespec_namedtuple_fields type use_pickle user_input
    user_input_mutation user_input_name user_output value verifiers
"""
_FIELDS = frozenset(_FIELD_NAMES.split())
_MAPS = frozenset(
    {
        "as_string_to_argument",
        "config",
        "custom_obj_values",
        "metadata",
        "opset_version",
        "range_constraints",
        "sym_bool_values",
        "sym_float_values",
        "sym_int_values",
        "tensor_values",
        "treespec_namedtuple_fields",
    }
)
"""Fields whose values have names of their own choice."""
_NAMES = frozenset({"name", "as_name"})
_PATHS = frozenset(
    {
        "buffer_name",
        "custom_obj_name",
        "fqn",
        "parameter_name",
        "path_name",
        "tensor_constant_name",
        "user_input_name",
    }
)


def scan_exported_program(scan: Scan, content: Content) -> None:
    """Judge an archive that torch.export.save wrote."""
    archive = Archive(scan, content, _sign(content))
    archive.refuse_strays(rules.MEMBER)
    pickled: set[str] = set()
    for name in sorted(archive.files):
        if _GRAPH.fullmatch(name) or _CONFIG.fullmatch(name):
            json_member = archive.open(name, MAX_GRAPH_BYTES)
            program = _Program(scan, json_member.place)
            program.judge(json_member.read(MAX_GRAPH_BYTES))
            pickled |= {f"{name.rpartition('/')[0]}/{path}" for path in program.pickled}
    for name in sorted(archive.files):
        _judge_member(scan, archive, name, pickled)


def _sign(content: Content) -> str:
    """Return the member that tells the archive's folder."""
    names = [member.name for member in read_zip(content.read_at, content.size_bytes)]
    if any(name == _OLD_GRAPH or name.endswith(f"/{_OLD_GRAPH}") for name in names):
        return _OLD_GRAPH
    return "archive_format"


def _judge_member(scan: Scan, archive: Archive, name: str, pickled: set[str]) -> None:
    if _LIBRARY.fullmatch(name):
        archive.refuse(name, rules.LIBRARY, f"{shorten(name)} is machine code or its source")
    elif _GRAPH.fullmatch(name) or _CONFIG.fullmatch(name):
        return
    elif _TENSORS.fullmatch(name):
        _judge_tensor(scan, archive, name, is_pickle=name in pickled)
    elif _PICKLES.fullmatch(name) or _EXTRA.fullmatch(name):
        archive.descend(name, rules.MEMBER)
    elif name in NOTES:
        archive.judge_note(name, rules.MEMBER)
    else:
        archive.refuse(name, rules.MEMBER, f"{shorten(name)} is not part of an exported program")


def _judge_tensor(scan: Scan, archive: Archive, name: str, *, is_pickle: bool) -> None:
    """Raw numbers, or, where a tensor has no plain form, a checkpoint of its own."""
    content = archive.open(name)
    if is_pickle or content.read_at(0, 4) == _ZIP:
        found = scan.descend(content)
        if found not in _CHECKPOINTS:
            scan.add(rules.MEMBER, content.place, f"is {found} where a tensor belongs")


class _Program:
    """Walks the JSON of a graph, or of the list of its tensors."""

    def __init__(self, scan: Scan, place: Place) -> None:
        self._scan = scan
        self._place = place
        self._values_left = MAX_VALUES
        self._texts: list[str] = []
        self._chars = 0
        self.pickled: set[str] = set()
        """Files of tensors that are to be unpickled."""
        self._checks: dict[str, Callable[[Any], None]] = {
            "target": self._operator,
            "as_operator": self._operator,
            "expr_str": lambda value: self._runs(value, texts.size_fault),
            "guards_code": self._guards,
            "in_spec": lambda value: self._runs(value, lambda text: texts.spec_fault(text, is_input=True)),
            "out_spec": lambda value: self._runs(value, lambda text: texts.spec_fault(text, is_input=False)),
            "forward_arg_names": self._argument_names,
            "custom_obj_values": self._custom_objects,
            "as_custom_obj": self._custom_objects,
            "custom_obj": self._custom_objects,
        }

    def judge(self, data: bytes) -> None:
        try:
            document = json.loads(data, object_pairs_hook=unique_names)
        except (ValueError, RecursionError):
            raise RejectedError("the graph of an exported program that is not JSON") from None
        if not isinstance(document, dict):
            raise RejectedError("the graph of an exported program that is not an object")
        self._walk(document, 0)
        self._flush()

    def _walk(self, value: Any, depth: int, *, is_map: bool = False) -> None:
        self._values_left -= 1
        if self._values_left < 0 or depth > MAX_DEPTH:
            raise RejectedError("a graph with too many parts, or nested too deep")
        if isinstance(value, dict):
            if value.get("use_pickle") and isinstance(value.get("path_name"), str):
                self.pickled.add(value["path_name"])
            for key, inner in value.items():
                if is_map:
                    self._path(key)
                    self._walk(inner, depth + 1)
                else:
                    self._field(key, inner, depth)
        elif isinstance(value, list):
            for inner in value:
                self._walk(inner, depth + 1)
        elif isinstance(value, str):
            self._keep(value)

    def _field(self, key: str, value: Any, depth: int) -> None:
        if key not in _FIELDS:
            raise RejectedError(f"an exported program with the unknown field {shorten(key)}")
        check = self._checks.get(key)
        if check is not None:
            check(value)
        elif key in _NAMES and isinstance(value, str) and texts.NAME.fullmatch(value) is None:
            self._add(rules.EXPORTED_TEXT, f"has a value of the name {shorten(value)}")
        elif key in _PATHS and isinstance(value, str):
            self._path(value)
        self._walk(value, depth + 1, is_map=key in _MAPS)

    def _path(self, value: str) -> None:
        if texts.PATH.fullmatch(value) is None:
            self._add(rules.EXPORTED_TEXT, f"has something of the name {shorten(value)}")

    def _operator(self, value: Any) -> None:
        fault = texts.operator_fault(value) if isinstance(value, str) else "calls what has no name"
        if fault:
            self._add(rules.EXPORTED_CALL, fault)

    def _runs(self, value: Any, judge: Callable[[str], str]) -> None:
        fault = judge(value) if isinstance(value, str) else "has no text where one belongs"
        if fault:
            self._add(rules.EXPORTED_TEXT, fault)

    def _guards(self, value: Any) -> None:
        for guard in value if isinstance(value, list) else [value]:
            self._runs(guard, texts.guard_fault)

    def _argument_names(self, value: Any) -> None:
        for name in value or []:
            if not isinstance(name, str) or texts.NAME.fullmatch(name) is None:
                self._add(rules.EXPORTED_TEXT, f"has an argument of the name {shorten(name)}")

    def _custom_objects(self, value: Any) -> None:
        if value:
            self._add(rules.EXPORTED_CALL, f"holds objects of classes of its own: {shorten(value)}")

    def _add(self, rule: Rule, message: str) -> None:
        self._scan.add(rule, self._place, message)

    def _keep(self, text: str) -> None:
        self._texts.append(text)
        self._chars += len(text)
        if self._chars > _BATCH_CHARS:
            self._flush()

    def _flush(self) -> None:
        if self._texts:
            self._scan.text("\n".join(self._texts), self._place)
        self._texts, self._chars = [], 0

"""Calls of PyTorch that pickles hold: tensors on storages, parameters, types and layouts."""

from dataclasses import dataclass

from strongroom.scan.pickle_patterns import (
    KINDS,
    OTHER_ARGUMENTS,
    Call,
    Check,
    StateCheck,
    check_names,
    fact_of,
    fits,
    is_global_call,
    is_refused,
)
from strongroom.scan.pickle_values import Dict, Global, Made, Tuple, is_data

MAX_DIMENSIONS = 64
MAX_ELEMENTS = 2**48


@dataclass(frozen=True, slots=True)
class Storage:
    """Fact of a storage: the numbers that tensors are views of."""

    key: str
    count: int
    item_bytes: int


@dataclass(frozen=True, slots=True)
class Tensor:
    """Fact of a tensor or a parameter."""


def _numbers(value: object) -> list[int] | None:
    """Return the sizes or strides of a tuple or torch.Size."""
    if is_global_call(value, "tuple") and isinstance(value, Made) and isinstance(value.state, Tuple):
        value = value.state.items[0] if value.state.items else value
    if not isinstance(value, Tuple) or len(value.items) > MAX_DIMENSIONS:
        return None
    numbers = [item for item in value.items if isinstance(item, int) and 0 <= item <= MAX_ELEMENTS]
    return numbers if len(numbers) == len(value.items) else None


def _holds_anything(hooks: object) -> bool:
    """Say whether an ordered dictionary is not empty; its own arguments are an empty tuple."""
    if not isinstance(hooks, Made | Dict):
        return False
    return any(not isinstance(kid, Tuple) or kid.items for kid in hooks.kids)


def _rebuild_tensor(call: Call) -> str:
    """_rebuild_tensor[_v2](storage, offset, size, stride, requires_grad, backward_hooks[, metadata])."""
    if len(call.args) < 4 or not fits(call.args[4:], "bool?,dict|none?,any?,dict|none?"):
        return OTHER_ARGUMENTS
    storage, offset = fact_of(call.args[0]), call.args[1]
    size, stride = _numbers(call.args[2]), _numbers(call.args[3])
    call.fact = Tensor()
    if is_refused(call.args[0]):
        return ""
    if not isinstance(storage, Storage) or not isinstance(offset, int) or size is None or stride is None:
        return "on something that is not a storage"
    if offset < 0 or len(size) != len(stride):
        return "with a shape that cannot be"
    last = offset + sum((count - 1) * step for count, step in zip(size, stride, strict=True))
    if 0 not in size and last >= storage.count:
        return "that reaches beyond its storage"
    hooks = call.args[5:6]
    return "with functions that run while training" if hooks and _holds_anything(hooks[0]) else ""


def _parameter(call: Call) -> str:
    """_rebuild_parameter[_with_state](data, requires_grad, backward_hooks[, state])."""
    if not call.args or not (isinstance(fact_of(call.args[0]), Tensor) or is_refused(call.args[0])):
        return OTHER_ARGUMENTS
    call.fact = Tensor()
    hooks = call.args[2:3]
    if hooks and _holds_anything(hooks[0]):
        return "with functions that run while training"
    if not fits(call.args[1:], "bool,dict|none?,any?"):
        return OTHER_ARGUMENTS
    return check_names(call.args[3]) if len(call.args) == 4 else ""


def _from_type(call: Call) -> str:
    """_rebuild_from_type_v2(function, type, args, state): calls the function, then sets the state."""
    if len(call.args) != 4:
        return OTHER_ARGUMENTS
    function, kind, args, state = call.args
    if not isinstance(function, Global) or function.allowed is None or not isinstance(args, Tuple):
        return "of something that is not allowed"
    inner = CALLS.get(function.allowed.check)
    if inner is None or not KINDS["class"](kind):
        return "of something that is not allowed"
    call.fact = Tensor()
    return inner(Call(function, args.items)) or check_names(state)


def _quantized(call: Call) -> str:
    """_rebuild_qtensor(storage, offset, size, stride, quantizer, requires_grad, backward_hooks)."""
    if len(call.args) not in (7, 8) or not isinstance(call.args[4], Tuple):
        return OTHER_ARGUMENTS
    return _rebuild_tensor(Call(call.callee, [*call.args[:4], *call.args[5:]])) or _is_tensor(call)


def _is_tensor(call: Call) -> str:
    call.fact = Tensor()
    return ""


def _sparse(call: Call) -> str:
    """_rebuild_sparse_tensor(layout, (indices, values, size[, is_coalesced]))."""
    if not fits(call.args, "any,tuple"):
        return OTHER_ARGUMENTS
    data = call.args[1]
    tensors = [part for part in data.items if isinstance(part, Made)] if isinstance(data, Tuple) else []
    made = all(is_refused(part) or isinstance(fact_of(part), Tensor) or part.fact is None for part in tensors)
    return _is_tensor(call) if made else OTHER_ARGUMENTS


def _meta(call: Call) -> str:
    """_rebuild_meta_tensor_no_storage(dtype, size, stride, requires_grad): no memory is taken."""
    return _is_tensor(call) if fits(call.args, "any,any,any,bool") else OTHER_ARGUMENTS


def _device_from_numpy(call: Call) -> str:
    """_rebuild_device_tensor_from_[cpu_tensor|numpy](data, dtype, device, requires_grad)."""
    return _is_tensor(call) if fits(call.args, "any,any,str,bool") else OTHER_ARGUMENTS


def _load_from_bytes(call: Call) -> str:
    """torch.storage._load_from_bytes(content): torch.load, with everything that it can do."""
    if len(call.args) != 1 or not is_data(call.args[0]):
        return "of something that is not written out"
    call.inside = ("torch", call.args[0])
    call.fact = Storage("", MAX_ELEMENTS, 1)
    return ""


def _device(call: Call) -> str:
    return "" if fits(call.args, "name|str,int?") else OTHER_ARGUMENTS


def _set_state(call: Call) -> str:
    """torch._utils._set_obj_state(object, state)."""
    if not fits(call.args, "object,any") or not isinstance(fact_of(call.args[0]), Tensor):
        return OTHER_ARGUMENTS
    return check_names(call.args[1])


def _type(_: Call) -> str:
    return "which checkpoints make in another way"


def _layout(call: Call) -> str:
    return "" if fits(call.args, "name|str") else OTHER_ARGUMENTS


CALLS: dict[str, Check] = {
    "torch-tensor": _rebuild_tensor,
    "torch-parameter": _parameter,
    "torch-from-type": _from_type,
    "torch-quantized": _quantized,
    "torch-sparse": _sparse,
    "torch-meta": _meta,
    "torch-from-numpy": _device_from_numpy,
    "torch-bytes": _load_from_bytes,
    "torch-device": _device,
    "torch-set-state": _set_state,
    "torch-layout": _layout,
    "torch-type": _type,
}
STATES: dict[str, StateCheck] = {}

"""Write src/strongroom/scan/torch_operators.txt: what TorchScript and exported programs may call.

Run it where PyTorch is installed; it asks the library for every operator that it has registered. Left out are
those that open files, call Python, talk to other machines or hand out addresses, and all other namespaces.
"""

import pathlib
import textwrap

import torch

TARGET = pathlib.Path(__file__).parent.parent / "src/strongroom/scan/torch_operators.txt"

NAMESPACES = (
    "aten", "prim", "prims", "quantized", "_quantized", "quantization", "sparse", "mkldnn",
    "mkldnn_prepacked", "onednn", "mkl",
)  # fmt: skip
LEFT_OUT = {
    # files
    "aten::from_file", "aten::save",
    # Python, other machines, addresses, compiled pieces that no saved program holds
    "mkldnn::data_ptr", "prim::BailOut", "prim::BailoutTemplate", "prim::DifferentiableGraph",
    "prim::FallbackGraph", "prim::FusionGroup", "prim::IgnoredPythonOp", "prim::PythonOp",
    "prim::StaticRuntimeCopyOuts", "prim::StaticSubgraph", "prim::TensorExprDynamicGroup",
    "prim::TensorExprGroup", "prim::rpc_async", "prim::rpc_remote", "prim::rpc_sync",
    # shapes and strides that are not checked against the memory behind them
    "aten::_reshape_alias", "aten::_reshape_alias_copy",
}  # fmt: skip
ELSEWHERE = {
    # Not in every build: mobile (XNNPACK) and torchvision.
    "prepacked": "conv2d_clamp_prepack conv2d_clamp_run conv2d_transpose_clamp_prepack "
    "conv2d_transpose_clamp_run linear_clamp_prepack linear_clamp_run unpack_prepacked_sizes_conv2d "
    "unpack_prepacked_sizes_linear",
    "torchvision": "deform_conv2d nms ps_roi_align ps_roi_pool roi_align roi_pool",
    "profiler": "_record_function_enter _record_function_enter_new _record_function_exit",
    # Older releases.
    "aten": "__and__ __is__ __isnot__ __not__ __derive_index __range_length"
    " add_relu dict len list unwrap_optional",
    "quantized_decomposed": "choose_qparams choose_qparams_symmetric choose_qparams_per_token "
    "choose_qparams_per_token_asymmetric dequantize_per_channel dequantize_per_channel_group "
    "dequantize_per_tensor dequantize_per_token fake_quant_per_channel quantize_per_channel "
    "quantize_per_channel_group quantize_per_tensor quantize_per_token",
}


def main() -> None:
    names: dict[str, set[str]] = {space: set(words.split()) for space, words in ELSEWHERE.items()}
    for schema in torch._C._jit_get_all_schemas():  # noqa: SLF001
        space, _, name = schema.name.partition("::")
        if space in NAMESPACES and schema.name not in LEFT_OUT and not name.startswith("_test_"):
            names.setdefault(space, set()).add(name)
    lines = [f"# Written by scripts/make_torch_operators.py with PyTorch {torch.__version__}."]
    for space in sorted(names):
        words = " ".join(sorted(names[space]))
        lines += [f"[{space}]", *textwrap.wrap(words, 108, break_long_words=False, break_on_hyphens=False)]
    TARGET.write_text("\n".join(lines) + "\n", "ascii")


if __name__ == "__main__":
    main()

# ruff: noqa: E501, SLF001, SIM905 - lists of names
"""Write src/strongroom/scan/keras_names.py: what a Keras configuration may name.

Run it where keras, tf-keras and tensorflow are installed, with the unpacked sources of older releases of Keras
as arguments: classes that are allowed keep the modules that they had there.

    python scripts/list_keras_names.py OLD_KERAS_FOLDER... > src/strongroom/scan/keras_names.py
"""

import ast
import importlib
import inspect
import os
import pkgutil
import sys
import textwrap
from collections import defaultdict
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import tf_keras
from keras.src.api_export import REGISTERED_NAMES_TO_OBJS
from keras.src.ops.operation import Operation

# Run code of their own, load files, take functions that only code can give, or are no part of a model.
RUN_CODE = set(
    "Lambda TFSMLayer TorchModuleWrapper FlaxLayer JaxLayer TFOpLambda SlicingOpLambda TensorFlowOpLayer "
    "ClassMethod InstanceMethod InstanceProperty AddMetric AddLoss Layer Operation Function DataLayer Map Scan "
    "AssociativeScan Cond WhileLoop ForiLoop Switch VectorizedMap JVP Distiller ExperimentalRunner "
    "PreprocessingLayer DenseFeatures SequenceFeatures RawModule LinearModel WideDeepModel ModuleWrapper "
    "KerasLayer RandomFourierFeatures BaseRandomLayer Layer2 OldModel PremadeModel BaseImageAugmentationLayer "
    "SubclassedModel TestModel AnomalousClass VariableLayer Sampler".split()
)
KINDS = {
    "LAYERS": ("layers.Layer",),
    "OTHERS": (
        "initializers.Initializer",
        "regularizers.Regularizer",
        "constraints.Constraint",
        "losses.Loss",
        "metrics.Metric",
        "optimizers.Optimizer",
        "optimizers.legacy.Optimizer",
        "optimizers.schedules.LearningRateSchedule",
        "dtype_policies.DTypePolicy",
        "dtype_policies.DTypePolicyMap",
        "mixed_precision.Policy",
        "random.SeedGenerator",
        "quantizers.Quantizer",
        "quantizers.QuantizationConfig",
    ),
}
EXTRA = {"keras.src.layers.preprocessing.feature_space": ("Cross", "Feature")}


def modules_of(root):
    package = importlib.import_module(root)
    for module in pkgutil.walk_packages(package.__path__, root + ".", onerror=lambda name: None):
        if not any(part in module.name for part in ("test", "benchmark", ".backend.")):
            try:
                yield importlib.import_module(module.name)
            except Exception:  # a backend that is not installed
                print("left out", module.name, file=sys.stderr)


def bases_of(keras_module):
    found = [Operation] if keras_module is keras else []
    for names in KINDS.values():
        for name in names:
            base = keras_module
            for part in name.split("."):
                base = getattr(base, part, None)
            if inspect.isclass(base):
                found.append(base)
    if keras_module is tf_keras:
        from tf_keras.src.optimizers.optimizer import _BaseOptimizer

        found.append(_BaseOptimizer)
    return tuple(found)


def public_modules():
    """Class -> the modules that export it."""
    exported = defaultdict(set)
    for name, thing in REGISTERED_NAMES_TO_OBJS.items():
        if inspect.isclass(thing):
            exported[thing].add(name.rpartition(".")[0])
    return exported


def classes():
    """Name -> modules."""
    exported = public_modules()
    found = defaultdict(set)
    for root, api in (("keras.src", keras), ("tf_keras.src", tf_keras)):
        bases = bases_of(api)
        for module in modules_of(root):
            for thing in vars(module).values():
                if not inspect.isclass(thing) or not thing.__module__.startswith((root,)):
                    continue
                name = thing.__name__
                wanted = issubclass(thing, bases) or name in EXTRA.get(thing.__module__, ())
                if not wanted or name.startswith("_") or name in RUN_CODE or "test" in thing.__module__:
                    continue
                found[name] |= {thing.__module__, *exported.get(thing, ())}
                for attribute in ("_keras_api_names", "_keras_api_names_v1"):
                    for api_name in thing.__dict__.get(attribute, ()):
                        found[name].add(api_name.rpartition(".")[0])
    return found


def add_old_modules(found, folder):
    """Where releases before kept the same classes, from their sources alone."""
    for path in sorted(Path(folder).rglob("keras/**/*.py")):
        module = ".".join(path.relative_to(folder).with_suffix("").parts)
        if any(part in module for part in ("test", "benchmark", "keras.api.")):
            continue
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and node.name in found:
                found[node.name].add(module)


def functions():
    """Name -> modules, of activations, losses and metrics."""
    found = defaultdict(set)
    for kind in ("activations", "losses", "metrics"):
        public = vars(getattr(keras, kind)) | vars(getattr(tf_keras, kind))
        for name, thing in public.items():
            if inspect.isfunction(thing) and name not in ("get", "serialize", "deserialize"):
                found[name] |= {f"keras.{kind}", "builtins", thing.__module__}
                source = thing.__module__
                found[name] |= {source.replace("tf_keras.src", "keras")}
                found[thing.__name__] |= found[name]
    return found


def identifiers():
    """What activations, initializers and the like may be called in text."""
    from keras.src import activations, constraints, initializers, losses, metrics, optimizers, regularizers
    from tf_keras.src import activations as old_activations

    def of(module):
        return set(module.ALL_OBJECTS_DICT)

    def public(kind):
        return {n for api in (keras, tf_keras) for n in vars(getattr(api, kind)) if not n.startswith("_")} - {
            "get", "serialize", "deserialize", "experimental", "legacy", "schedules", "advanced_activations",
        }  # fmt: skip

    table = {"ACTIVATIONS": activations, "INITIALIZERS": initializers, "REGULARIZERS": regularizers,
             "CONSTRAINTS": constraints}  # fmt: skip
    names = {kind: of(module) | public(kind.lower()) for kind, module in table.items()}
    names["ACTIVATIONS"] |= {"LeakyReLU", "PReLU", "ELU", "ReLU", "Softmax", "ThresholdedReLU"}
    names["ACTIVATIONS"] |= {
        *old_activations._TF_ACTIVATIONS_V2,
        *old_activations._TF_ACTIVATIONS_V2.values(),
    }
    names["OBJECTIVES"] = of(losses) | of(metrics) | public("losses") | public("metrics")
    names["OBJECTIVES"] |= {"acc", "accuracy", "crossentropy", "ce", "mse", "mae", "mape", "msle", "cosine"}
    names["OPTIMIZERS"] = of(optimizers) | {name.lower() for name in public("optimizers")}
    return names


def tensorflow_functions():
    """Names that TFOpLambda may call: inert mathematics of the public interface of TensorFlow."""
    import tensorflow as tf

    found = set()
    for kind in ("math", "nn", "linalg", "signal", "strings", "image", "sparse", "ragged", "bitwise", "random",
                 "quantization", "dtypes", "compat.v1"):  # fmt: skip
        module = tf
        for part in kind.split("."):
            module = getattr(module, part)
        prefix = "" if kind == "compat.v1" else kind + "."
        found |= {prefix + name for name, thing in vars(module).items() if inspect.isfunction(thing)}
    found |= {"__operators__." + name for name in ("getitem", "add", "ragged_getitem")}
    top = {name for name in found if "." not in name and callable(getattr(tf.raw_ops, camel(name), None))}
    keep = top | {
        "abs", "acos", "add", "add_n", "argmax", "argmin", "argsort", "boolean_mask", "broadcast_static_shape",
        "cast", "clip_by_global_norm", "clip_by_norm", "clip_by_value", "complex", "concat", "convert_to_tensor",
        "constant", "cumsum", "einsum", "ensure_shape", "equal", "expand_dims", "eye", "fill", "gather", "gather_nd",
        "greater", "greater_equal", "identity", "less", "less_equal", "linspace", "logical_and", "logical_not",
        "logical_or", "matmul", "maximum", "meshgrid", "minimum", "multiply", "negative", "norm", "not_equal",
        "one_hot", "ones", "ones_like", "pad", "pow", "range", "rank", "realdiv", "reduce_all", "reduce_any",
        "reduce_logsumexp", "reduce_max", "reduce_mean", "reduce_min", "reduce_prod", "reduce_sum", "repeat",
        "reshape", "reverse", "reverse_sequence", "roll", "round", "saturate_cast", "scalar_mul", "scatter_nd",
        "searchsorted", "sequence_mask", "shape", "shape_n", "sigmoid", "sign", "sin", "sinh", "size", "slice",
        "sort", "split", "sqrt", "square", "squeeze", "stack", "stop_gradient", "strided_slice", "subtract", "tan",
        "tanh", "tensor_scatter_nd_add", "tensor_scatter_nd_update", "tensordot", "tile", "transpose", "truediv",
        "truncatediv", "truncatemod", "unique", "unstack", "where", "zeros", "zeros_like",
    }  # fmt: skip
    unwanted = {
        "map_fn", "while_loop", "cond", "case", "switch_case", "scan", "foldl", "foldr", "vectorized_map", "group",
        "py_func", "py_function", "numpy_function", "read_file", "write_file", "matching_files", "print", "Print",
        "Assert", "assert", "delete_session_tensor", "get_session_handle", "get_session_tensor", "placeholder",
        "device", "load_op_library", "load_library", "load_file_system_library", "Print_v2", "print_v2",
        "function", "custom_gradient", "recompute_grad", "grad_pass_through", "init_scope", "sparse_placeholder",
        "initialize_all_tables", "tables_initializer", "get_variable", "save", "restore",
    }  # fmt: skip
    return {name for name in found if "." in name} | (keep - unwanted)


def camel(name):
    return "".join(part.capitalize() for part in name.split("_"))


def by_module(found):
    modules = defaultdict(set)
    for name, owners in found.items():
        for module in owners:
            modules[module.replace("tf_keras", "keras")].add(name)
    return "\n".join(wrap(f"{module}: " + " ".join(sorted(modules[module]))) for module in sorted(modules))


def wrap(text):
    return "\n".join(
        textwrap.wrap(text, 108, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
    )


def main():
    found = classes()
    for folder in sys.argv[1:]:
        add_old_modules(found, folder)
    versions = [f"keras {keras.__version__}", f"tf-keras {tf_keras.__version__}"]
    versions += [Path(folder).name.replace("-", " ") for folder in sys.argv[1:]]
    print(
        '"""What a Keras configuration may name, written by scripts/list_keras_names.py. Not edited by hand."""\n'
    )
    print("from strongroom.scan.name_lists import parse_modules, parse_names\n")
    print(f'MADE_FROM = """\n{wrap(", ".join(versions))}\n"""\n')
    print(
        f'CLASSES = parse_modules("""\n{by_module(found)}\n""")\n"""Classes by module; tf_keras and tensorflow.keras are written keras."""\n'
    )
    print(f'FUNCTIONS = parse_modules("""\n{by_module(functions())}\n""")\n"""Functions by module."""\n')
    for name, texts in identifiers().items():
        print(f'{name} = parse_names("""\n{wrap(" ".join(sorted(texts)))}\n""")\n')
    print(f'TENSORFLOW = parse_names("""\n{wrap(" ".join(sorted(tensorflow_functions())))}\n""")')
    print('"""What a TFOpLambda layer may call."""')


main()

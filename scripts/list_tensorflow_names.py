# ruff: noqa: E501 - lists of names
"""Write src/strongroom/scan/tensorflow_names.py: the operators of TensorFlow that only compute.

Run it where tensorflow is installed. What is left out here is refused in models; what TensorFlow adds later is
refused until this script was run again and its output read.

    python scripts/list_tensorflow_names.py > src/strongroom/scan/tensorflow_names.py
"""

import os
import re
import textwrap

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import tensorflow as tf
from tensorflow.core.framework import op_def_pb2
from tensorflow.python.client import pywrap_tf_session as c_api

# Files, network, processes, other programs, devices that wait for one another, input pipelines, debugging,
# training infrastructure; and what may name a file in an attribute.
LEFT_OUT = re.compile(
    r"_|Dataset|Iterator|TPU|Tpu|Xla|Reader|Queue|Collective|Rpc|Nccl|Summary|Debug|Print|File|Checkpoint|Save|"
    r"Restore|PyFunc|Infeed|Outfeed|Snapshot|Session|Stats|BoostedTrees|Sdca|Mutex|Sleep|Dump|Barrier|Accumulator|"
    r"Remote|Worker|LoadAndRemap|Abort|Proto|FixedUnigram|Skipgram|NegTrain|RecordInput|ImportEvent|Calibration|"
    r"Send|Recv|Risc|Unstage|Stage|Map(Clear|IncompleteSize|Peek|Size|Stage|Unstage)|OrderedMap|MemoryCache|Copy|"
    r"SeedGenerator|CrossReplica|AllToAll|DeviceMesh|DTensor|Relayout|Prelinear|Elementwise|Minibatch|Dedup|"
    r"SparseCore|CooTensor|GlobalIterId|SyncDevice|Multi(Device)|SetDevice|XLA|Batch$|BatchFunction|Unbatch|"
    r"SymbolicGradient|ScopedAllocator|Fake(Queue|Param)$|ConstructionFails|Snapshot|Delete|ShardedFile|Test|"
    r"SparseTensorsMap|ToTensorsMap|WeakResource|ResourceCreate|ResourceInitialized|ResourceUsing|StubResource|"
    r"Attr|Experimental|KernelLabel|Namespace|Dummy|EncodeProto|DecodeProto|InitializeTableFromDataset|"
    r"DestroyTemporaryVariable|TemporaryVariable|GraphDefVersion|OlderGraph|IsTensorFloat32|ThreadPool|"
    r"CompressElement|UncompressElement|AssignVariableXla|ReadVariableXla|GetElementAtIndex|DevicePlacement"
)
# Registered for tests of TensorFlow itself: an operator without kernels that a user could reach.
ONLY_FOR_TESTS = re.compile(
    r"^(A|B|Old|None|Simple\w*|Binary|Unary|Two\w+|Foo\w*|Five\w*|Four\w*|Three\w*|Int\w*(Input|Output)\w*|"
    r"Float(Input|Output)\w*|N(In|Ints|Polymorphic)\w*|OutT\w*|Out(put)?|In|In\d+\w*|Poly\w*Out|Polymorphic\w*|"
    r"Ref(In|Out)\w*|Reserved\w*|Restrict|TypeList\w*|Mixed\w*|Default\w*|Complex(Struct)|List(Input|Output)|"
    r"OpWith\w*|DtypeWith\w*|Int64Output|NInPoly\w*|Sp\w*ence)$"
)
# What the patterns catch although it only computes.
KEEP = {
    "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3", "SpaceToBatch", "Spence", "TensorListPushBackBatch",
    "TensorMapSize", "DisableCopyOnRead", "CTCBeamSearchDecoder", "SparseReshape", "FakeParam", "IteratorGetNext",
    "IteratorGetNextAsOptional",
}  # fmt: skip
# Read a file that an attribute or input names, hold programs of their own, or are no part of a model.
DROP = {
    "ImmutableConst", "GenerateVocabRemapping", "MlirPassthroughOp", "CustomAggregator", "GetOptions", "GetDeadline",
    "Fact", "InPolymorphicTwice", "WindowOp", "UpdateTaskIdAndGlobalCoreArray", "TakeManySparseFromTensorsMap",
    "ComputeBatchSize",
}  # fmt: skip


def operators():
    data = c_api.TF_GetBuffer(c_api.TF_GetAllOpList())
    found = op_def_pb2.OpList()
    found.ParseFromString(data)
    return {op.name for op in found.op if op.name in KEEP or is_wanted(op)}


def is_wanted(op):
    if op.name in DROP or LEFT_OUT.search(op.name) or ONLY_FOR_TESTS.match(op.name):
        return False
    if any(attr.type in ("func", "list(func)") for attr in op.attr) and op.name not in WITH_FUNCTIONS:
        return False
    return not any(re.search("file|path|address|server|device$", attr.name) for attr in op.attr)


WITH_FUNCTIONS = {
    "Case", "For", "If", "MapDefun", "PartitionedCall", "StatefulPartitionedCall", "StatelessCase", "StatelessIf",
    "StatelessWhile", "While",
}  # fmt: skip


def main():
    names = textwrap.wrap(" ".join(sorted(operators())), 108, subsequent_indent="  ")
    print('"""Operators of TensorFlow that only compute, written by scripts/list_tensorflow_names.py."""\n')
    print("from strongroom.scan.name_lists import parse_names\n")
    print(f'MADE_FROM = "tensorflow {tf.__version__}"\n')
    print('INERT = parse_names("""\n' + "\n".join(names) + '\n""")\n\n')
    print("def is_inert(operator: str) -> bool:")
    print('    """Whether an operator neither reads nor writes nor runs anything but tensors."""')
    print("    return operator in INERT")


main()

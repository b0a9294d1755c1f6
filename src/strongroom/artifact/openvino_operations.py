"""The operations that an OpenVINO model may use; any other needs a library that is loaded with it.

Source: `openvino/opsets/opset*_tbl.hpp` of OpenVINO 2026.4, opset1 to opset17, by the names of the IR:
a constant is ``Const``, and three activations are spelled in two ways.
"""

VERSIONS = frozenset(f"opset{number}" for number in range(1, 18))
"""Sets that come with OpenVINO: no ``extension``, no ``experimental``, nothing internal."""

_NAMES = """
    Abs Acos Acosh AdaptiveAvgPool AdaptiveMaxPool Add Asin Asinh Assign Atan Atanh AvgPool BGRtoNV12
    BatchNormInference BatchToSpace BinaryConvolution BitwiseAnd BitwiseLeftShift BitwiseNot BitwiseOr
    BitwiseRightShift BitwiseXor Broadcast Bucketize CTCGreedyDecoder CTCGreedyDecoderSeqLen CTCLoss
    Ceiling Clamp Col2Im Concat Const Convert ConvertLike ConvertPromoteTypes Convolution
    ConvolutionBackpropData Cos Cosh CumSum DFT DeformableConvolution DeformablePSROIPooling
    DepthToSpace DetectionOutput Divide Einsum Elu EmbeddingBagOffsets EmbeddingBagOffsetsSum
    EmbeddingBagPacked EmbeddingBagPackedSum EmbeddingSegmentsSum Equal Erf ErfInv Exp
    ExperimentalDetectronDetectionOutput ExperimentalDetectronGenerateProposalsSingleImage
    ExperimentalDetectronPriorGridGenerator ExperimentalDetectronROIFeatureExtractor
    ExperimentalDetectronTopKROIs ExtractImagePatches Eye FakeConvert FakeQuantize Floor FloorMod GRN
    GRUCell GRUSequence Gather GatherElements GatherND GatherTree Gelu GenerateProposals Greater
    GreaterEqual GridSample GroupConvolution GroupConvolutionBackpropData GroupNormalization
    GroupedMatMul HSigmoid HSwish HardSigmoid I420toBGR I420toRGB IDFT IRDFT ISTFT Identity If
    Interpolate Inverse IsFinite IsInf IsNaN LRN LSTMCell LSTMSequence Less LessEqual Log LogSoftmax
    LogicalAnd LogicalNot LogicalOr LogicalXor Loop MVN MatMul MatrixNms MaxPool Maximum Minimum Mish
    Mod MulticlassNms Multinomial Multiply NMSRotated NV12toBGR NV12toRGB Negative NonMaxSuppression
    NonZero NormalizeL2 NotEqual OneHot PReLU PRelu PSROIPooling Pad Parameter Power PriorBox
    PriorBoxClustered Proposal RDFT RGBtoNV12 RNNCell RNNSequence ROIAlign ROIAlignRotated ROIPooling
    RandomUniform Range ReLU ReadValue ReduceL1 ReduceL2 ReduceLogicalAnd ReduceLogicalOr ReduceMax
    ReduceMean ReduceMin ReduceProd ReduceSum RegionYolo Relu ReorgYolo Reshape Result Reverse
    ReverseSequence Roll Round STFT ScaledDotProductAttention ScatterElementsUpdate ScatterNDUpdate
    ScatterUpdate SearchSorted SegmentMax Select Selu ShapeOf ShuffleChannels Sigmoid Sign Sin Sinh
    Slice SliceScatter SoftMax SoftPlus SoftSign Softmax SpaceToBatch SpaceToDepth SparseFillEmptyRows
    Split Sqrt SquaredDifference Squeeze StridedSlice StringTensorPack StringTensorUnpack Subtract Swish
    Tan Tanh TensorIterator Tile TopK Transpose Unique Unsqueeze VariadicSplit Xor
"""

OPERATIONS = frozenset(_NAMES.split())

"""What a Keras configuration may name, written by scripts/list_keras_names.py. Not edited by hand."""

from strongroom.scan.name_lists import parse_modules, parse_names

MADE_FROM = """
keras 3.15.1, tf-keras 2.21.0, keras 2.10.0, keras 2.12.0, keras 2.15.0, keras 3.0.5, keras 3.10.0, keras
  3.12.0, keras 3.3.3, keras 3.6.0, keras 3.8.0
"""

CLASSES = parse_modules("""
keras: DTypePolicy FloatDTypePolicy Initializer Loss Metric Model Optimizer Quantizer Regularizer Sequential
keras.__internal__.layers: BaseDenseAttention
keras.__internal__.legacy.layers: AveragePooling1D AveragePooling2D AveragePooling3D BatchNormalization
  Conv1D Conv2D Conv2DTranspose Conv3D Conv3DTranspose Dense Dropout Flatten MaxPooling1D MaxPooling2D
  MaxPooling3D SeparableConv1D SeparableConv2D
keras.__internal__.legacy.rnn_cell: BasicLSTMCell BasicRNNCell DeviceWrapper DropoutWrapper GRUCell LSTMCell
  MultiRNNCell RNNCell ResidualWrapper
keras.__internal__.losses: LossFunctionWrapper
keras._legacy.layers: AlphaDropout RandomHeight RandomWidth ThresholdedReLU
keras.applications.convnext: LayerScale StochasticDepth
keras.applications.inception_resnet_v2: CustomScaleLayer
keras.constraints: Constraint MaxNorm MinMaxNorm NonNeg RadialConstraint UnitNorm
keras.dtensor.experimental.optimizers: Adadelta Adagrad Adam AdamW RMSprop SGD
keras.dtensor.optimizers: Adadelta Adagrad Adam AdamW Optimizer RMSprop SGD
keras.dtype_policies: AWQDTypePolicy DTypePolicyMap GPTQDTypePolicy Int4DTypePolicy QuantizedDTypePolicy
  QuantizedFloat8DTypePolicy
keras.engine.functional: Functional
keras.engine.input_layer: InputLayer
keras.engine.sequential: Sequential
keras.engine.training: Model
keras.engine.training_v1: DistributedCallbackModel Model
keras.experimental: CosineDecay CosineDecayRestarts
keras.export.export_lib: ReloadedLayer
keras.initializers: Constant GlorotNormal GlorotUniform HeNormal HeUniform Identity Initializer LecunNormal
  LecunUniform Ones Orthogonal RandomNormal RandomUniform STFT TruncatedNormal VarianceScaling Zeros
keras.initializers.initializers: Constant GlorotNormal GlorotUniform HeNormal HeUniform Identity Initializer
  LecunNormal LecunUniform Ones Orthogonal RandomNormal RandomUniform TruncatedNormal VarianceScaling Zeros
keras.initializers.initializers_v1: HeNormal HeUniform LecunNormal LecunUniform RandomNormal RandomUniform
  TruncatedNormal
keras.initializers.initializers_v2: Constant GlorotNormal GlorotUniform HeNormal HeUniform Identity
  Initializer LecunNormal LecunUniform Ones Orthogonal RandomNormal RandomUniform TruncatedNormal
  VarianceScaling Zeros
keras.layers: AbstractRNNCell Activation ActivityRegularization AdaptiveAveragePooling1D
  AdaptiveAveragePooling2D AdaptiveAveragePooling3D AdaptiveMaxPooling1D AdaptiveMaxPooling2D
  AdaptiveMaxPooling3D Add AdditiveAttention AlphaDropout Attention AugMix AutoContrast Average
  AveragePooling1D AveragePooling2D AveragePooling3D BatchNormalization Bidirectional CategoryEncoding
  CenterCrop Concatenate ContrastLimitedAdaptiveHistogramEqualization Conv1D Conv1DTranspose Conv2D
  Conv2DTranspose Conv3D Conv3DTranspose ConvLSTM1D ConvLSTM2D ConvLSTM3D Cropping1D Cropping2D Cropping3D
  CuDNNGRU CuDNNLSTM CutMix Dense DepthwiseConv1D DepthwiseConv2D Discretization Dot Dropout ELU EinsumDense
  Embedding Equalization Flatten GRU GRUCell GaussianDropout GaussianNoise GlobalAveragePooling1D
  GlobalAveragePooling2D GlobalAveragePooling3D GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D
  GroupNormalization GroupedQueryAttention HashedCrossing Hashing Identity InputLayer IntegerLookup LSTM
  LSTMCell LayerNormalization LeakyReLU LocallyConnected1D LocallyConnected2D Masking MaxNumBoundingBoxes
  MaxPooling1D MaxPooling2D MaxPooling3D Maximum MelSpectrogram Minimum MixUp MultiHeadAttention Multiply
  Normalization PReLU Permute Pipeline RMSNormalization RNN RandAugment RandomBrightness
  RandomColorDegeneration RandomColorJitter RandomContrast RandomCrop RandomElasticTransform RandomErasing
  RandomFlip RandomGaussianBlur RandomGrayscale RandomHeight RandomHue RandomInvert RandomPerspective
  RandomPosterization RandomRotation RandomSaturation RandomSharpness RandomShear RandomTranslation
  RandomWidth RandomZoom ReLU RepeatVector Rescaling Reshape Resizing ReversibleEmbedding STFTSpectrogram
  SeparableConv1D SeparableConv2D SimpleRNN SimpleRNNCell Softmax Solarization SpatialDropout1D
  SpatialDropout2D SpatialDropout3D SpectralNormalization StackedRNNCells StringLookup Subtract
  TextVectorization ThresholdedReLU TimeDistributed UnitNormalization UpSampling1D UpSampling2D UpSampling3D
  Wrapper ZeroPadding1D ZeroPadding2D ZeroPadding3D
keras.layers.activation.elu: ELU
keras.layers.activation.leaky_relu: LeakyReLU
keras.layers.activation.prelu: PReLU
keras.layers.activation.relu: ReLU
keras.layers.activation.softmax: Softmax
keras.layers.activation.thresholded_relu: ThresholdedReLU
keras.layers.attention.additive_attention: AdditiveAttention
keras.layers.attention.attention: Attention
keras.layers.attention.base_dense_attention: BaseDenseAttention
keras.layers.attention.multi_head_attention: MultiHeadAttention
keras.layers.convolutional.base_conv: Conv
keras.layers.convolutional.base_depthwise_conv: DepthwiseConv
keras.layers.convolutional.base_separable_conv: SeparableConv
keras.layers.convolutional.conv1d: Conv1D
keras.layers.convolutional.conv1d_transpose: Conv1DTranspose
keras.layers.convolutional.conv2d: Conv2D
keras.layers.convolutional.conv2d_transpose: Conv2DTranspose
keras.layers.convolutional.conv3d: Conv3D
keras.layers.convolutional.conv3d_transpose: Conv3DTranspose
keras.layers.convolutional.depthwise_conv1d: DepthwiseConv1D
keras.layers.convolutional.depthwise_conv2d: DepthwiseConv2D
keras.layers.convolutional.separable_conv1d: SeparableConv1D
keras.layers.convolutional.separable_conv2d: SeparableConv2D
keras.layers.core.activation: Activation
keras.layers.core.dense: Dense
keras.layers.core.einsum_dense: EinsumDense
keras.layers.core.embedding: Embedding
keras.layers.core.identity: Identity
keras.layers.core.masking: Masking
keras.layers.experimental: DynamicEmbedding DynamicLookup EinsumDense SyncBatchNormalization
keras.layers.experimental.preprocessing: CategoryEncoding CenterCrop Discretization HashedCrossing Hashing
  IntegerLookup Normalization RandomContrast RandomCrop RandomFlip RandomHeight RandomRotation
  RandomTranslation RandomWidth RandomZoom Rescaling Resizing StringLookup TextVectorization
keras.layers.locally_connected.locally_connected1d: LocallyConnected1D
keras.layers.locally_connected.locally_connected2d: LocallyConnected2D
keras.layers.merging.add: Add
keras.layers.merging.average: Average
keras.layers.merging.concatenate: Concatenate
keras.layers.merging.dot: Dot
keras.layers.merging.maximum: Maximum
keras.layers.merging.minimum: Minimum
keras.layers.merging.multiply: Multiply
keras.layers.merging.subtract: Subtract
keras.layers.normalization.batch_normalization: BatchNormalization BatchNormalizationBase
  SyncBatchNormalization
keras.layers.normalization.batch_normalization_v1: BatchNormalization
keras.layers.normalization.group_normalization: GroupNormalization
keras.layers.normalization.layer_normalization: LayerNormalization
keras.layers.normalization.unit_normalization: UnitNormalization
keras.layers.pooling.average_pooling1d: AveragePooling1D
keras.layers.pooling.average_pooling2d: AveragePooling2D
keras.layers.pooling.average_pooling3d: AveragePooling3D
keras.layers.pooling.base_global_pooling1d: GlobalPooling1D
keras.layers.pooling.base_global_pooling2d: GlobalPooling2D
keras.layers.pooling.base_global_pooling3d: GlobalPooling3D
keras.layers.pooling.base_pooling1d: Pooling1D
keras.layers.pooling.base_pooling2d: Pooling2D
keras.layers.pooling.base_pooling3d: Pooling3D
keras.layers.pooling.global_average_pooling1d: GlobalAveragePooling1D
keras.layers.pooling.global_average_pooling2d: GlobalAveragePooling2D
keras.layers.pooling.global_average_pooling3d: GlobalAveragePooling3D
keras.layers.pooling.global_max_pooling1d: GlobalMaxPooling1D
keras.layers.pooling.global_max_pooling2d: GlobalMaxPooling2D
keras.layers.pooling.global_max_pooling3d: GlobalMaxPooling3D
keras.layers.pooling.max_pooling1d: MaxPooling1D
keras.layers.pooling.max_pooling2d: MaxPooling2D
keras.layers.pooling.max_pooling3d: MaxPooling3D
keras.layers.preprocessing.category_encoding: CategoryEncoding
keras.layers.preprocessing.discretization: Discretization
keras.layers.preprocessing.hashed_crossing: HashedCrossing
keras.layers.preprocessing.hashing: Hashing
keras.layers.preprocessing.image_preprocessing: CenterCrop RandomBrightness RandomContrast RandomCrop
  RandomFlip RandomHeight RandomRotation RandomTranslation RandomWidth RandomZoom Rescaling Resizing
keras.layers.preprocessing.index_lookup: IndexLookup
keras.layers.preprocessing.integer_lookup: IntegerLookup
keras.layers.preprocessing.normalization: Normalization
keras.layers.preprocessing.preprocessing_stage: FunctionalPreprocessingStage PreprocessingStage
keras.layers.preprocessing.string_lookup: StringLookup
keras.layers.preprocessing.text_vectorization: TextVectorization
keras.layers.regularization.activity_regularization: ActivityRegularization
keras.layers.regularization.alpha_dropout: AlphaDropout
keras.layers.regularization.dropout: Dropout
keras.layers.regularization.gaussian_dropout: GaussianDropout
keras.layers.regularization.gaussian_noise: GaussianNoise
keras.layers.regularization.spatial_dropout1d: SpatialDropout1D
keras.layers.regularization.spatial_dropout2d: SpatialDropout2D
keras.layers.regularization.spatial_dropout3d: SpatialDropout3D
keras.layers.reshaping.cropping1d: Cropping1D
keras.layers.reshaping.cropping2d: Cropping2D
keras.layers.reshaping.cropping3d: Cropping3D
keras.layers.reshaping.flatten: Flatten
keras.layers.reshaping.permute: Permute
keras.layers.reshaping.repeat_vector: RepeatVector
keras.layers.reshaping.reshape: Reshape
keras.layers.reshaping.up_sampling1d: UpSampling1D
keras.layers.reshaping.up_sampling2d: UpSampling2D
keras.layers.reshaping.up_sampling3d: UpSampling3D
keras.layers.reshaping.zero_padding1d: ZeroPadding1D
keras.layers.reshaping.zero_padding2d: ZeroPadding2D
keras.layers.reshaping.zero_padding3d: ZeroPadding3D
keras.layers.rnn.abstract_rnn_cell: AbstractRNNCell
keras.layers.rnn.base_conv_lstm: ConvLSTM ConvLSTMCell
keras.layers.rnn.base_conv_rnn: ConvRNN
keras.layers.rnn.base_rnn: RNN
keras.layers.rnn.base_wrapper: Wrapper
keras.layers.rnn.bidirectional: Bidirectional
keras.layers.rnn.cell_wrappers: DeviceWrapper DropoutWrapper ResidualWrapper
keras.layers.rnn.conv_lstm1d: ConvLSTM1D
keras.layers.rnn.conv_lstm2d: ConvLSTM2D
keras.layers.rnn.conv_lstm3d: ConvLSTM3D
keras.layers.rnn.cudnn_gru: CuDNNGRU
keras.layers.rnn.cudnn_lstm: CuDNNLSTM
keras.layers.rnn.gru: GRU GRUCell
keras.layers.rnn.gru_v1: GRU GRUCell
keras.layers.rnn.legacy_cell_wrappers: DeviceWrapper DropoutWrapper ResidualWrapper
keras.layers.rnn.legacy_cells: BasicLSTMCell BasicRNNCell GRUCell LSTMCell LayerRNNCell MultiRNNCell RNNCell
keras.layers.rnn.lstm: LSTM LSTMCell
keras.layers.rnn.lstm_v1: LSTM LSTMCell
keras.layers.rnn.simple_rnn: SimpleRNN SimpleRNNCell
keras.layers.rnn.stacked_rnn_cells: StackedRNNCells
keras.layers.rnn.time_distributed: TimeDistributed
keras.legacy_tf_layers.convolutional: Conv1D Conv2D Conv2DTranspose Conv3D Conv3DTranspose SeparableConv1D
  SeparableConv2D
keras.legacy_tf_layers.core: Dense Dropout Flatten
keras.legacy_tf_layers.normalization: BatchNormalization
keras.legacy_tf_layers.pooling: AveragePooling1D AveragePooling2D AveragePooling3D MaxPooling1D MaxPooling2D
  MaxPooling3D
keras.legacy_tf_layers.variable_scope_shim: VariableScopeLayer
keras.losses: BinaryCrossentropy BinaryFocalCrossentropy CTC CategoricalCrossentropy
  CategoricalFocalCrossentropy CategoricalGeneralizedCrossEntropy CategoricalHinge Circle CosineSimilarity
  Dice Hinge Huber KLDivergence LogCosh Loss LossFunctionWrapper MeanAbsoluteError
  MeanAbsolutePercentageError MeanSquaredError MeanSquaredLogarithmicError Poisson
  SparseCategoricalCrossentropy SquaredHinge Tversky
keras.metrics: AUC Accuracy BinaryAccuracy BinaryCrossentropy BinaryIoU CategoricalAccuracy
  CategoricalCrossentropy CategoricalHinge ConcordanceCorrelation CosineSimilarity F1Score FBetaScore
  FalseNegatives FalsePositives Hinge IoU KLDivergence LogCoshError Mean MeanAbsoluteError
  MeanAbsolutePercentageError MeanIoU MeanMetricWrapper MeanRelativeError MeanSquaredError
  MeanSquaredLogarithmicError MeanTensor Metric OneHotIoU OneHotMeanIoU PearsonCorrelation Poisson Precision
  PrecisionAtRecall R2Score Recall RecallAtPrecision RootMeanSquaredError SensitivityAtSpecificity
  SparseCategoricalAccuracy SparseCategoricalCrossentropy SparseTopKCategoricalAccuracy
  SpecificityAtSensitivity SquaredHinge Sum TopKCategoricalAccuracy TrueNegatives TruePositives
keras.metrics.accuracy_metrics: Accuracy BinaryAccuracy CategoricalAccuracy SparseCategoricalAccuracy
  SparseTopKCategoricalAccuracy TopKCategoricalAccuracy
keras.metrics.base_metric: Mean MeanMetricWrapper MeanTensor Metric Reduce Sum SumOverBatchSize
  SumOverBatchSizeMetricWrapper
keras.metrics.confusion_metrics: AUC FalseNegatives FalsePositives Precision PrecisionAtRecall Recall
  RecallAtPrecision SensitivityAtSpecificity SensitivitySpecificityBase SpecificityAtSensitivity
  TrueNegatives TruePositives
keras.metrics.experimental: PyMetric
keras.metrics.hinge_metrics: CategoricalHinge Hinge SquaredHinge
keras.metrics.iou_metrics: BinaryIoU IoU MeanIoU OneHotIoU OneHotMeanIoU
keras.metrics.metrics: AUC Accuracy BinaryAccuracy BinaryCrossentropy BinaryIoU CategoricalAccuracy
  CategoricalCrossentropy CategoricalHinge CosineSimilarity FalseNegatives FalsePositives Hinge IoU
  KLDivergence LogCoshError MeanAbsoluteError MeanAbsolutePercentageError MeanIoU MeanRelativeError
  MeanSquaredError MeanSquaredLogarithmicError OneHotIoU OneHotMeanIoU Poisson Precision PrecisionAtRecall
  Recall RecallAtPrecision RootMeanSquaredError SensitivityAtSpecificity SensitivitySpecificityBase
  SparseCategoricalAccuracy SparseCategoricalCrossentropy SparseTopKCategoricalAccuracy
  SpecificityAtSensitivity SquaredHinge TopKCategoricalAccuracy TrueNegatives TruePositives
keras.metrics.probabilistic_metrics: BinaryCrossentropy CategoricalCrossentropy KLDivergence Poisson
  SparseCategoricalCrossentropy
keras.metrics.regression_metrics: CosineSimilarity LogCoshError MeanAbsoluteError
  MeanAbsolutePercentageError MeanRelativeError MeanSquaredError MeanSquaredLogarithmicError
  RootMeanSquaredError
keras.mixed_precision: Policy
keras.mixed_precision.loss_scale_optimizer: LossScaleOptimizer LossScaleOptimizerV3
keras.mixed_precision.policy: Policy
keras.models: Model Sequential
keras.models.experimental: SharpnessAwareMinimization
keras.models.sharpness_aware_minimization: SharpnessAwareMinimization
keras.optimizers: Adadelta Adafactor Adagrad Adam AdamW Adamax Ftrl Lamb Lion LossScaleOptimizer
  MultiOptimizer Muon Nadam Optimizer OptimizerV2 RMSprop SGD ScheduleFreeAdamW
keras.optimizers.adadelta: Adadelta
keras.optimizers.adafactor: Adafactor
keras.optimizers.adagrad: Adagrad
keras.optimizers.adam: Adam
keras.optimizers.adamax: Adamax
keras.optimizers.adamw: AdamW
keras.optimizers.experimental: Adadelta Adafactor Adagrad Adam AdamW Adamax Ftrl Nadam Optimizer RMSprop SGD
keras.optimizers.ftrl: Ftrl
keras.optimizers.legacy: Adadelta Adagrad Adam Adamax Ftrl LegacyOptimizerWarning Nadam OptimizerV2 RMSprop
  SGD
keras.optimizers.legacy.adadelta: Adadelta
keras.optimizers.legacy.adagrad: Adagrad
keras.optimizers.legacy.adam: Adam NonFusedAdam
keras.optimizers.legacy.adamax: Adamax
keras.optimizers.legacy.ftrl: Ftrl
keras.optimizers.legacy.gradient_descent: SGD
keras.optimizers.legacy.nadam: Nadam
keras.optimizers.legacy.optimizer: Optimizer
keras.optimizers.legacy.optimizer_v2: OptimizerV2 RestoredOptimizer
keras.optimizers.legacy.rmsprop: RMSprop
keras.optimizers.legacy.sgd: SGD
keras.optimizers.nadam: Nadam
keras.optimizers.optimizer: Optimizer RestoredOptimizer
keras.optimizers.optimizer_experimental.adadelta: Adadelta
keras.optimizers.optimizer_experimental.adagrad: Adagrad
keras.optimizers.optimizer_experimental.adam: Adam
keras.optimizers.optimizer_experimental.adamax: Adamax
keras.optimizers.optimizer_experimental.adamw: AdamW
keras.optimizers.optimizer_experimental.ftrl: Ftrl
keras.optimizers.optimizer_experimental.nadam: Nadam
keras.optimizers.optimizer_experimental.optimizer: Optimizer RestoredOptimizer
keras.optimizers.optimizer_experimental.rmsprop: RMSprop
keras.optimizers.optimizer_experimental.sgd: SGD
keras.optimizers.optimizer_v1: Adadelta Adagrad Adam Adamax Nadam Optimizer RMSprop SGD
keras.optimizers.optimizer_v2.adadelta: Adadelta
keras.optimizers.optimizer_v2.adagrad: Adagrad
keras.optimizers.optimizer_v2.adam: Adam NonFusedAdam
keras.optimizers.optimizer_v2.adamax: Adamax
keras.optimizers.optimizer_v2.ftrl: Ftrl
keras.optimizers.optimizer_v2.gradient_descent: SGD
keras.optimizers.optimizer_v2.nadam: Nadam
keras.optimizers.optimizer_v2.optimizer_v2: OptimizerV2 RestoredOptimizer
keras.optimizers.optimizer_v2.rmsprop: RMSprop
keras.optimizers.rmsprop: RMSprop
keras.optimizers.schedules: CosineDecay CosineDecayRestarts ExponentialDecay InverseTimeDecay
  LearningRateSchedule PiecewiseConstantDecay PolynomialDecay
keras.optimizers.schedules.learning_rate_schedule: CosineDecay CosineDecayRestarts ExponentialDecay
  InverseTimeDecay LearningRateSchedule LinearCosineDecay NoisyLinearCosineDecay PiecewiseConstantDecay
  PolynomialDecay
keras.optimizers.sgd: SGD
keras.quantizers: AWQConfig AbsMaxQuantizer Float8QuantizationConfig GPTQConfig Int4QuantizationConfig
  Int8QuantizationConfig QuantizationConfig
keras.random: SeedGenerator
keras.regularizers: L1 L1L2 L2 OrthogonalRegularizer Regularizer
keras.src.activations.activations: Mish ReLU
keras.src.applications.convnext: LayerScale StochasticDepth
keras.src.applications.inception_resnet_v2: CustomScaleLayer
keras.src.backend.torch.optimizers.torch_adadelta: Adadelta
keras.src.backend.torch.optimizers.torch_adagrad: Adagrad
keras.src.backend.torch.optimizers.torch_adam: Adam
keras.src.backend.torch.optimizers.torch_adamax: Adamax
keras.src.backend.torch.optimizers.torch_adamw: AdamW
keras.src.backend.torch.optimizers.torch_lion: Lion
keras.src.backend.torch.optimizers.torch_nadam: Nadam
keras.src.backend.torch.optimizers.torch_rmsprop: RMSprop
keras.src.backend.torch.optimizers.torch_sgd: SGD
keras.src.constraints: Constraint MaxNorm MinMaxNorm NonNeg RadialConstraint UnitNorm
keras.src.constraints.constraints: Constraint MaxNorm MinMaxNorm NonNeg UnitNorm
keras.src.dtype_policies.dtype_policy: AWQDTypePolicy DTypePolicy FloatDTypePolicy GPTQDTypePolicy
  Int4DTypePolicy QuantizedDTypePolicy QuantizedFloat8DTypePolicy
keras.src.dtype_policies.dtype_policy_map: DTypePolicyMap
keras.src.engine.functional: Functional
keras.src.engine.input_layer: InputLayer
keras.src.engine.sequential: Sequential
keras.src.engine.training: Model
keras.src.engine.training_v1: DistributedCallbackModel Model
keras.src.export.export_lib: ReloadedLayer
keras.src.initializers.constant_initializers: Constant Identity Ones STFT Zeros
keras.src.initializers.initializer: Initializer
keras.src.initializers.initializers: Constant GlorotNormal GlorotUniform HeNormal HeUniform Identity
  Initializer LecunNormal LecunUniform Ones Orthogonal RandomNormal RandomUniform TruncatedNormal
  VarianceScaling Zeros
keras.src.initializers.initializers_v1: HeNormal HeUniform LecunNormal LecunUniform RandomNormal
  RandomUniform TruncatedNormal
keras.src.initializers.random_initializers: GlorotNormal GlorotUniform HeNormal HeUniform LecunNormal
  LecunUniform Orthogonal RandomInitializer RandomNormal RandomUniform TruncatedNormal VarianceScaling
keras.src.layers.activation.elu: ELU
keras.src.layers.activation.leaky_relu: LeakyReLU
keras.src.layers.activation.prelu: PReLU
keras.src.layers.activation.relu: ReLU
keras.src.layers.activation.softmax: Softmax
keras.src.layers.activation.thresholded_relu: ThresholdedReLU
keras.src.layers.activations.activation: Activation
keras.src.layers.activations.elu: ELU
keras.src.layers.activations.leaky_relu: LeakyReLU
keras.src.layers.activations.prelu: PReLU
keras.src.layers.activations.relu: ReLU
keras.src.layers.activations.softmax: Softmax
keras.src.layers.attention.additive_attention: AdditiveAttention
keras.src.layers.attention.attention: Attention
keras.src.layers.attention.base_dense_attention: BaseDenseAttention
keras.src.layers.attention.grouped_query_attention: GroupedQueryAttention
keras.src.layers.attention.multi_head_attention: MultiHeadAttention
keras.src.layers.convolutional.base_conv: BaseConv Conv
keras.src.layers.convolutional.base_conv_transpose: BaseConvTranspose
keras.src.layers.convolutional.base_depthwise_conv: BaseDepthwiseConv DepthwiseConv
keras.src.layers.convolutional.base_separable_conv: BaseSeparableConv SeparableConv
keras.src.layers.convolutional.conv1d: Conv1D
keras.src.layers.convolutional.conv1d_transpose: Conv1DTranspose
keras.src.layers.convolutional.conv2d: Conv2D
keras.src.layers.convolutional.conv2d_transpose: Conv2DTranspose
keras.src.layers.convolutional.conv3d: Conv3D
keras.src.layers.convolutional.conv3d_transpose: Conv3DTranspose
keras.src.layers.convolutional.depthwise_conv1d: DepthwiseConv1D
keras.src.layers.convolutional.depthwise_conv2d: DepthwiseConv2D
keras.src.layers.convolutional.separable_conv1d: SeparableConv1D
keras.src.layers.convolutional.separable_conv2d: SeparableConv2D
keras.src.layers.core.activation: Activation
keras.src.layers.core.dense: Dense
keras.src.layers.core.einsum_dense: EinsumDense
keras.src.layers.core.embedding: Embedding
keras.src.layers.core.identity: Identity
keras.src.layers.core.input_layer: InputLayer
keras.src.layers.core.masking: Masking
keras.src.layers.core.reversible_embedding: ReversibleEmbedding
keras.src.layers.core.wrapper: Wrapper
keras.src.layers.experimental.dynamic_embedding: DynamicEmbedding
keras.src.layers.experimental.dynamic_lookup: DynamicLookup
keras.src.layers.locally_connected.locally_connected1d: LocallyConnected1D
keras.src.layers.locally_connected.locally_connected2d: LocallyConnected2D
keras.src.layers.merging.add: Add
keras.src.layers.merging.average: Average
keras.src.layers.merging.base_merge: Merge
keras.src.layers.merging.concatenate: Concatenate
keras.src.layers.merging.dot: Dot
keras.src.layers.merging.maximum: Maximum
keras.src.layers.merging.minimum: Minimum
keras.src.layers.merging.multiply: Multiply
keras.src.layers.merging.subtract: Subtract
keras.src.layers.normalization.batch_normalization: BatchNormalization BatchNormalizationBase
  SyncBatchNormalization
keras.src.layers.normalization.batch_normalization_v1: BatchNormalization
keras.src.layers.normalization.group_normalization: GroupNormalization
keras.src.layers.normalization.layer_normalization: LayerNormalization
keras.src.layers.normalization.rms_normalization: RMSNormalization
keras.src.layers.normalization.spectral_normalization: SpectralNormalization
keras.src.layers.normalization.unit_normalization: UnitNormalization
keras.src.layers.pooling.adaptive_average_pooling1d: AdaptiveAveragePooling1D
keras.src.layers.pooling.adaptive_average_pooling2d: AdaptiveAveragePooling2D
keras.src.layers.pooling.adaptive_average_pooling3d: AdaptiveAveragePooling3D
keras.src.layers.pooling.adaptive_max_pooling1d: AdaptiveMaxPooling1D
keras.src.layers.pooling.adaptive_max_pooling2d: AdaptiveMaxPooling2D
keras.src.layers.pooling.adaptive_max_pooling3d: AdaptiveMaxPooling3D
keras.src.layers.pooling.average_pooling1d: AveragePooling1D
keras.src.layers.pooling.average_pooling2d: AveragePooling2D
keras.src.layers.pooling.average_pooling3d: AveragePooling3D
keras.src.layers.pooling.base_adaptive_pooling: BaseAdaptiveAveragePooling BaseAdaptiveMaxPooling
  BaseAdaptivePooling
keras.src.layers.pooling.base_global_pooling: BaseGlobalPooling
keras.src.layers.pooling.base_global_pooling1d: GlobalPooling1D
keras.src.layers.pooling.base_global_pooling2d: GlobalPooling2D
keras.src.layers.pooling.base_global_pooling3d: GlobalPooling3D
keras.src.layers.pooling.base_pooling: BasePooling
keras.src.layers.pooling.base_pooling1d: Pooling1D
keras.src.layers.pooling.base_pooling2d: Pooling2D
keras.src.layers.pooling.base_pooling3d: Pooling3D
keras.src.layers.pooling.global_average_pooling1d: GlobalAveragePooling1D
keras.src.layers.pooling.global_average_pooling2d: GlobalAveragePooling2D
keras.src.layers.pooling.global_average_pooling3d: GlobalAveragePooling3D
keras.src.layers.pooling.global_max_pooling1d: GlobalMaxPooling1D
keras.src.layers.pooling.global_max_pooling2d: GlobalMaxPooling2D
keras.src.layers.pooling.global_max_pooling3d: GlobalMaxPooling3D
keras.src.layers.pooling.max_pooling1d: MaxPooling1D
keras.src.layers.pooling.max_pooling2d: MaxPooling2D
keras.src.layers.pooling.max_pooling3d: MaxPooling3D
keras.src.layers.preprocessing.audio_preprocessing: MelSpectrogram
keras.src.layers.preprocessing.category_encoding: CategoryEncoding
keras.src.layers.preprocessing.center_crop: CenterCrop
keras.src.layers.preprocessing.discretization: Discretization
keras.src.layers.preprocessing.feature_space: Cross Feature FeatureSpace TFDConcat TFDIdentity
keras.src.layers.preprocessing.hashed_crossing: HashedCrossing
keras.src.layers.preprocessing.hashing: Hashing
keras.src.layers.preprocessing.image_preprocessing: CenterCrop RandomBrightness RandomContrast RandomCrop
  RandomFlip RandomHeight RandomRotation RandomTranslation RandomWidth RandomZoom Rescaling Resizing
keras.src.layers.preprocessing.image_preprocessing.aug_mix: AugMix
keras.src.layers.preprocessing.image_preprocessing.auto_contrast: AutoContrast
keras.src.layers.preprocessing.image_preprocessing.base_image_preprocessing_layer:
  BaseImagePreprocessingLayer
keras.src.layers.preprocessing.image_preprocessing.center_crop: CenterCrop
keras.src.layers.preprocessing.image_preprocessing.clahe: ContrastLimitedAdaptiveHistogramEqualization
keras.src.layers.preprocessing.image_preprocessing.cut_mix: CutMix
keras.src.layers.preprocessing.image_preprocessing.equalization: Equalization
keras.src.layers.preprocessing.image_preprocessing.max_num_bounding_box: MaxNumBoundingBoxes
keras.src.layers.preprocessing.image_preprocessing.mix_up: MixUp
keras.src.layers.preprocessing.image_preprocessing.rand_augment: RandAugment
keras.src.layers.preprocessing.image_preprocessing.random_brightness: RandomBrightness
keras.src.layers.preprocessing.image_preprocessing.random_color_degeneration: RandomColorDegeneration
keras.src.layers.preprocessing.image_preprocessing.random_color_jitter: RandomColorJitter
keras.src.layers.preprocessing.image_preprocessing.random_contrast: RandomContrast
keras.src.layers.preprocessing.image_preprocessing.random_crop: RandomCrop
keras.src.layers.preprocessing.image_preprocessing.random_elastic_transform: RandomElasticTransform
keras.src.layers.preprocessing.image_preprocessing.random_erasing: RandomErasing
keras.src.layers.preprocessing.image_preprocessing.random_flip: RandomFlip
keras.src.layers.preprocessing.image_preprocessing.random_gaussian_blur: RandomGaussianBlur
keras.src.layers.preprocessing.image_preprocessing.random_grayscale: RandomGrayscale
keras.src.layers.preprocessing.image_preprocessing.random_hue: RandomHue
keras.src.layers.preprocessing.image_preprocessing.random_invert: RandomInvert
keras.src.layers.preprocessing.image_preprocessing.random_perspective: RandomPerspective
keras.src.layers.preprocessing.image_preprocessing.random_posterization: RandomPosterization
keras.src.layers.preprocessing.image_preprocessing.random_rotation: RandomRotation
keras.src.layers.preprocessing.image_preprocessing.random_saturation: RandomSaturation
keras.src.layers.preprocessing.image_preprocessing.random_sharpness: RandomSharpness
keras.src.layers.preprocessing.image_preprocessing.random_shear: RandomShear
keras.src.layers.preprocessing.image_preprocessing.random_translation: RandomTranslation
keras.src.layers.preprocessing.image_preprocessing.random_zoom: RandomZoom
keras.src.layers.preprocessing.image_preprocessing.resizing: Resizing
keras.src.layers.preprocessing.image_preprocessing.solarization: Solarization
keras.src.layers.preprocessing.index_lookup: IndexLookup
keras.src.layers.preprocessing.integer_lookup: IntegerLookup
keras.src.layers.preprocessing.mel_spectrogram: MelSpectrogram
keras.src.layers.preprocessing.normalization: Normalization
keras.src.layers.preprocessing.pipeline: Pipeline
keras.src.layers.preprocessing.preprocessing_stage: FunctionalPreprocessingStage PreprocessingStage
keras.src.layers.preprocessing.random_brightness: RandomBrightness
keras.src.layers.preprocessing.random_contrast: RandomContrast
keras.src.layers.preprocessing.random_crop: RandomCrop
keras.src.layers.preprocessing.random_flip: RandomFlip
keras.src.layers.preprocessing.random_rotation: RandomRotation
keras.src.layers.preprocessing.random_translation: RandomTranslation
keras.src.layers.preprocessing.random_zoom: RandomZoom
keras.src.layers.preprocessing.rescaling: Rescaling
keras.src.layers.preprocessing.resizing: Resizing
keras.src.layers.preprocessing.stft_spectrogram: STFTSpectrogram
keras.src.layers.preprocessing.string_lookup: StringLookup
keras.src.layers.preprocessing.text_vectorization: TextVectorization
keras.src.layers.regularization.activity_regularization: ActivityRegularization
keras.src.layers.regularization.alpha_dropout: AlphaDropout
keras.src.layers.regularization.dropout: Dropout
keras.src.layers.regularization.gaussian_dropout: GaussianDropout
keras.src.layers.regularization.gaussian_noise: GaussianNoise
keras.src.layers.regularization.spatial_dropout: BaseSpatialDropout SpatialDropout1D SpatialDropout2D
  SpatialDropout3D
keras.src.layers.regularization.spatial_dropout1d: SpatialDropout1D
keras.src.layers.regularization.spatial_dropout2d: SpatialDropout2D
keras.src.layers.regularization.spatial_dropout3d: SpatialDropout3D
keras.src.layers.reshaping.cropping1d: Cropping1D
keras.src.layers.reshaping.cropping2d: Cropping2D
keras.src.layers.reshaping.cropping3d: Cropping3D
keras.src.layers.reshaping.flatten: Flatten
keras.src.layers.reshaping.permute: Permute
keras.src.layers.reshaping.repeat_vector: RepeatVector
keras.src.layers.reshaping.reshape: Reshape
keras.src.layers.reshaping.up_sampling1d: UpSampling1D
keras.src.layers.reshaping.up_sampling2d: UpSampling2D
keras.src.layers.reshaping.up_sampling3d: UpSampling3D
keras.src.layers.reshaping.zero_padding1d: ZeroPadding1D
keras.src.layers.reshaping.zero_padding2d: ZeroPadding2D
keras.src.layers.reshaping.zero_padding3d: ZeroPadding3D
keras.src.layers.rnn.abstract_rnn_cell: AbstractRNNCell
keras.src.layers.rnn.base_conv_lstm: ConvLSTM ConvLSTMCell
keras.src.layers.rnn.base_conv_rnn: ConvRNN
keras.src.layers.rnn.base_rnn: RNN
keras.src.layers.rnn.base_wrapper: Wrapper
keras.src.layers.rnn.bidirectional: Bidirectional
keras.src.layers.rnn.cell_wrappers: DeviceWrapper DropoutWrapper ResidualWrapper
keras.src.layers.rnn.conv_lstm: ConvLSTM ConvLSTMCell
keras.src.layers.rnn.conv_lstm1d: ConvLSTM1D
keras.src.layers.rnn.conv_lstm2d: ConvLSTM2D
keras.src.layers.rnn.conv_lstm3d: ConvLSTM3D
keras.src.layers.rnn.cudnn_gru: CuDNNGRU
keras.src.layers.rnn.cudnn_lstm: CuDNNLSTM
keras.src.layers.rnn.gru: GRU GRUCell
keras.src.layers.rnn.gru_v1: GRU GRUCell
keras.src.layers.rnn.legacy_cell_wrappers: DeviceWrapper DropoutWrapper ResidualWrapper
keras.src.layers.rnn.legacy_cells: BasicLSTMCell BasicRNNCell GRUCell LSTMCell LayerRNNCell MultiRNNCell
  RNNCell
keras.src.layers.rnn.lstm: LSTM LSTMCell
keras.src.layers.rnn.lstm_v1: LSTM LSTMCell
keras.src.layers.rnn.rnn: RNN
keras.src.layers.rnn.simple_rnn: SimpleRNN SimpleRNNCell
keras.src.layers.rnn.stacked_rnn_cells: StackedRNNCells
keras.src.layers.rnn.time_distributed: TimeDistributed
keras.src.legacy.layers: AlphaDropout RandomHeight RandomWidth ThresholdedReLU
keras.src.legacy_tf_layers.convolutional: Conv1D Conv2D Conv2DTranspose Conv3D Conv3DTranspose
  SeparableConv1D SeparableConv2D
keras.src.legacy_tf_layers.core: Dense Dropout Flatten
keras.src.legacy_tf_layers.normalization: BatchNormalization
keras.src.legacy_tf_layers.pooling: AveragePooling1D AveragePooling2D AveragePooling3D MaxPooling1D
  MaxPooling2D MaxPooling3D
keras.src.legacy_tf_layers.variable_scope_shim: VariableScopeLayer
keras.src.losses: BinaryCrossentropy BinaryFocalCrossentropy CategoricalCrossentropy
  CategoricalFocalCrossentropy CategoricalHinge CosineSimilarity Hinge Huber KLDivergence LogCosh Loss
  LossFunctionWrapper MeanAbsoluteError MeanAbsolutePercentageError MeanSquaredError
  MeanSquaredLogarithmicError Poisson SparseCategoricalCrossentropy SquaredHinge
keras.src.losses.loss: Loss
keras.src.losses.losses: BinaryCrossentropy BinaryFocalCrossentropy CTC CategoricalCrossentropy
  CategoricalFocalCrossentropy CategoricalGeneralizedCrossEntropy CategoricalHinge Circle CosineSimilarity
  Dice Hinge Huber KLDivergence LogCosh LossFunctionWrapper MeanAbsoluteError MeanAbsolutePercentageError
  MeanSquaredError MeanSquaredLogarithmicError Poisson SparseCategoricalCrossentropy SquaredHinge Tversky
keras.src.metrics.accuracy_metrics: Accuracy BinaryAccuracy CategoricalAccuracy SparseCategoricalAccuracy
  SparseTopKCategoricalAccuracy TopKCategoricalAccuracy
keras.src.metrics.base_metric: Mean MeanMetricWrapper MeanTensor Metric Reduce Sum SumOverBatchSize
  SumOverBatchSizeMetricWrapper
keras.src.metrics.confusion_metrics: AUC FalseNegatives FalsePositives Precision PrecisionAtRecall Recall
  RecallAtPrecision SensitivityAtSpecificity SensitivitySpecificityBase SpecificityAtSensitivity
  TrueNegatives TruePositives
keras.src.metrics.correlation_metrics: ConcordanceCorrelation PearsonCorrelation
keras.src.metrics.f_score_metrics: F1Score FBetaScore
keras.src.metrics.hinge_metrics: CategoricalHinge Hinge SquaredHinge
keras.src.metrics.iou_metrics: BinaryIoU IoU MeanIoU OneHotIoU OneHotMeanIoU
keras.src.metrics.metric: Metric
keras.src.metrics.probabilistic_metrics: BinaryCrossentropy CategoricalCrossentropy KLDivergence Poisson
  SparseCategoricalCrossentropy
keras.src.metrics.py_metric: PyMetric
keras.src.metrics.reduction_metrics: Mean MeanMetricWrapper Sum
keras.src.metrics.regression_metrics: CosineSimilarity LogCoshError MeanAbsoluteError
  MeanAbsolutePercentageError MeanRelativeError MeanSquaredError MeanSquaredLogarithmicError R2Score
  RootMeanSquaredError
keras.src.mixed_precision.loss_scale_optimizer: LossScaleOptimizer LossScaleOptimizerV3
keras.src.mixed_precision.policy: Policy
keras.src.models.functional: Functional
keras.src.models.model: Model
keras.src.models.sequential: Sequential
keras.src.models.sharpness_aware_minimization: SharpnessAwareMinimization
keras.src.ops.core: Cast ConvertToTensor SaturateCast Scatter ScatterUpdate Slice SliceUpdate StopGradient
  Unstack
keras.src.ops.einops: Rearrange
keras.src.ops.image: AffineTransform CropImages ElasticTransform ExtractPatches GaussianBlur HSVToRGB
  MapCoordinates PadImages PerspectiveTransform RGBToGrayscale RGBToHSV Resize SSIM ScaleAndTranslate
  SobelEdges
keras.src.ops.linalg: Cholesky CholeskyInverse Det Eig Eigh Inv Lstsq LuFactor MatrixRank Norm Pinv Qr SVD
  Solve SolveTriangular
keras.src.ops.math: CDist Erf Erfc Erfinv ExtractSequences FFT FFT2 IFFT2 IRFFT ISTFT InTopK Logdet
  Logsumexp RFFT Rsqrt STFT SegmentMax SegmentMin SegmentProd SegmentReduction SegmentSum TopK ViewAsComplex
  ViewAsReal
keras.src.ops.nn: AdaptiveAveragePool AdaptiveMaxPool AveragePool BatchNorm BinaryCrossentropy CTCDecode
  CTCLoss CategoricalCrossentropy Celu Conv ConvTranspose DepthToSpace DepthwiseConv DotProductAttention Elu
  Fold Gelu Glu HardShrink HardSigmoid HardSilu HardTanh LayerNorm LeakyRelu LogSigmoid LogSoftmax MaxPool
  Moments MultiHot Normalize OneHot PSNR Polar RMSNorm Relu Relu6 Selu SeparableConv Sigmoid Silu SoftShrink
  Softmax Softplus Softsign SpaceToDepth SparseCategoricalCrossentropy SparsePlus SparseSigmoid Sparsemax
  Squareplus TanhShrink Threshold Unfold
keras.src.ops.numpy: Abs Absolute Add All AllClose Amax Amin Angle Any Append Arange Arccos Arccosh Arcsin
  Arcsinh Arctan Arctan2 Arctanh Argmax Argmin Argpartition Argsort Array ArraySplit Average Bincount
  BitwiseAnd BitwiseInvert BitwiseLeftShift BitwiseNot BitwiseOr BitwiseRightShift BitwiseXor BroadcastTo
  Cbrt Ceil Clip Concatenate Conj Conjugate Copy Corrcoef Correlate Cos Cosh CountNonzero Cross Cumprod
  Cumsum Deg2rad Diag Diagflat Diagonal Diff Digitize Divide DivideNoNan Dot Dsplit Dstack Einsum EmptyLike
  Equal Exp Exp2 ExpandDims Expm1 Fabs Flip Fliplr Flipud Floor FloorDivide Fmax Fmin Fmod Full FullLike Gcd
  Geomspace GetItem Greater GreaterEqual Heaviside Histogram Hsplit Hstack Hypot I0 Identity Imag Inner IsIn
  Isclose Isfinite Isinf Isnan Isneginf Isposinf Isreal Kron Lcm Ldexp LeftShift Less LessEqual Linspace Log
  Log10 Log1p Log2 Logaddexp Logaddexp2 LogicalAnd LogicalNot LogicalOr LogicalXor Logspace Matmul Max
  Maximum Mean Median Meshgrid Min Minimum Mod Moveaxis Multiply NanToNum Nanargmax Nanargmin Nancumprod
  Nancumsum Nanmax Nanmean Nanmedian Nanmin Nanpercentile Nanprod Nanquantile Nanstd Nansum Nanvar Ndim
  Negative Nextafter Nonzero NotEqual Ones OnesLike Outer Pad Percentile Power Prod Ptp Quantile Rad2deg
  Ravel Real Reciprocal Repeat Reshape RightShift Roll Rot90 Round SearchSorted Select Sign Signbit Sin Sinc
  Sinh Size Slogdet Sort Split Sqrt Square Squeeze Stack Std Subtract Sum Swapaxes Take TakeAlongAxis Tan
  Tanh Tensordot Tile Trace Transpose Trapezoid Tril Triu TrueDivide Trunc Unique UnravelIndex Vander Var
  Vdot View Vsplit Vstack Where Zeros ZerosLike
keras.src.optimizers: LegacyOptimizerWarning
keras.src.optimizers.__init__: LegacyOptimizerWarning
keras.src.optimizers.adadelta: Adadelta
keras.src.optimizers.adafactor: Adafactor
keras.src.optimizers.adagrad: Adagrad
keras.src.optimizers.adam: Adam
keras.src.optimizers.adamax: Adamax
keras.src.optimizers.adamw: AdamW
keras.src.optimizers.ftrl: Ftrl
keras.src.optimizers.lamb: Lamb
keras.src.optimizers.legacy.adadelta: Adadelta
keras.src.optimizers.legacy.adagrad: Adagrad
keras.src.optimizers.legacy.adam: Adam NonFusedAdam
keras.src.optimizers.legacy.adamax: Adamax
keras.src.optimizers.legacy.ftrl: Ftrl
keras.src.optimizers.legacy.gradient_descent: SGD
keras.src.optimizers.legacy.nadam: Nadam
keras.src.optimizers.legacy.optimizer_v2: OptimizerV2 RestoredOptimizer
keras.src.optimizers.legacy.rmsprop: RMSprop
keras.src.optimizers.lion: Lion
keras.src.optimizers.loss_scale_optimizer: LossScaleOptimizer
keras.src.optimizers.multi_optimizer: MultiOptimizer
keras.src.optimizers.muon: Muon
keras.src.optimizers.nadam: Nadam
keras.src.optimizers.optimizer: Optimizer RestoredOptimizer
keras.src.optimizers.optimizer_v1: Adadelta Adagrad Adam Adamax Nadam Optimizer RMSprop SGD
keras.src.optimizers.rmsprop: RMSprop
keras.src.optimizers.schedule_free_adamw: ScheduleFreeAdamW
keras.src.optimizers.schedules.learning_rate_schedule: CosineDecay CosineDecayRestarts ExponentialDecay
  InverseTimeDecay LearningRateSchedule LinearCosineDecay NoisyLinearCosineDecay PiecewiseConstantDecay
  PolynomialDecay
keras.src.optimizers.sgd: SGD
keras.src.quantizers.awq_config: AWQConfig
keras.src.quantizers.gptq_config: GPTQConfig
keras.src.quantizers.quantization_config: Float8QuantizationConfig Int4QuantizationConfig
  Int8QuantizationConfig QuantizationConfig
keras.src.quantizers.quantizers: AbsMaxQuantizer FakeQuantWithMinMaxVars GPTQQuantizer Quantizer
keras.src.random.seed_generator: SeedGenerator
keras.src.regularizers: L1 L1L2 L2 OrthogonalRegularizer Regularizer
keras.src.regularizers.regularizers: L1 L1L2 L2 OrthogonalRegularizer Regularizer
keras.src.trainers.compile_utils: CompileLoss CompileMetrics MetricsList
keras.src.utils.feature_space: Cross Feature FeatureSpace
keras.utils: FeatureSpace
keras.utils.feature_space: Cross Feature FeatureSpace
""")
"""Classes by module; tf_keras and tensorflow.keras are written keras."""

FUNCTIONS = parse_modules("""
builtins: KLD MAE MAPE MSE MSLE binary_accuracy binary_crossentropy binary_focal_crossentropy
  categorical_accuracy categorical_crossentropy categorical_focal_crossentropy
  categorical_generalized_cross_entropy categorical_hinge celu circle concordance_correlation
  cosine_similarity ctc dice elu exponential gelu glu hard_shrink hard_sigmoid hard_silu hard_swish
  hard_tanh hinge huber kl_divergence kld kullback_leibler_divergence leaky_relu linear log_cosh log_sigmoid
  log_softmax logcosh mae mape mean_absolute_error mean_absolute_percentage_error mean_squared_error
  mean_squared_logarithmic_error mish mse msle pearson_correlation poisson relu relu6 selu sigmoid silu
  soft_shrink softmax softplus softsign sparse_categorical_accuracy sparse_categorical_crossentropy
  sparse_plus sparse_sigmoid sparse_top_k_categorical_accuracy sparsemax squared_hinge squareplus swish tanh
  tanh_shrink threshold top_k_categorical_accuracy tversky
keras.activations: celu elu exponential gelu glu hard_shrink hard_sigmoid hard_silu hard_swish hard_tanh
  leaky_relu linear log_sigmoid log_softmax mish relu relu6 selu sigmoid silu soft_shrink softmax softplus
  softsign sparse_plus sparse_sigmoid sparsemax squareplus swish tanh tanh_shrink threshold
keras.losses: KLD MAE MAPE MSE MSLE binary_crossentropy binary_focal_crossentropy categorical_crossentropy
  categorical_focal_crossentropy categorical_generalized_cross_entropy categorical_hinge circle
  cosine_similarity ctc dice hinge huber kl_divergence kld kullback_leibler_divergence log_cosh logcosh mae
  mape mean_absolute_error mean_absolute_percentage_error mean_squared_error mean_squared_logarithmic_error
  mse msle poisson sparse_categorical_crossentropy squared_hinge tversky
keras.metrics: KLD MAE MAPE MSE MSLE binary_accuracy binary_crossentropy binary_focal_crossentropy
  categorical_accuracy categorical_crossentropy categorical_focal_crossentropy categorical_hinge
  concordance_correlation hinge huber kl_divergence kld kullback_leibler_divergence log_cosh logcosh mae
  mape mean_absolute_error mean_absolute_percentage_error mean_squared_error mean_squared_logarithmic_error
  mse msle pearson_correlation poisson sparse_categorical_accuracy sparse_categorical_crossentropy
  sparse_top_k_categorical_accuracy squared_hinge top_k_categorical_accuracy
keras.metrics.accuracy_metrics: binary_accuracy categorical_accuracy sparse_categorical_accuracy
  sparse_top_k_categorical_accuracy top_k_categorical_accuracy
keras.src.activations: elu exponential gelu hard_sigmoid linear mish relu selu sigmoid softmax softplus
  softsign swish tanh
keras.src.activations.activations: celu glu hard_shrink hard_silu hard_swish hard_tanh leaky_relu
  log_sigmoid log_softmax relu6 silu soft_shrink sparse_plus sparse_sigmoid sparsemax squareplus tanh_shrink
  threshold
keras.src.losses: KLD MAE MAPE MSE MSLE binary_crossentropy binary_focal_crossentropy
  categorical_crossentropy categorical_focal_crossentropy categorical_hinge cosine_similarity hinge huber
  kl_divergence kld kullback_leibler_divergence log_cosh logcosh mae mape mean_absolute_error
  mean_absolute_percentage_error mean_squared_error mean_squared_logarithmic_error mse msle poisson
  sparse_categorical_crossentropy squared_hinge
keras.src.losses.losses: categorical_generalized_cross_entropy categorical_hinge circle ctc dice huber
  tversky
keras.src.metrics.accuracy_metrics: binary_accuracy categorical_accuracy sparse_categorical_accuracy
  sparse_top_k_categorical_accuracy top_k_categorical_accuracy
keras.src.metrics.correlation_metrics: concordance_correlation pearson_correlation
""")
"""Functions by module."""

ACTIVATIONS = parse_names("""
ELU LeakyReLU PReLU ReLU Softmax ThresholdedReLU celu elu exponential gelu glu hard_shrink hard_sigmoid
  hard_silu hard_swish hard_tanh leaky_relu linear log_sigmoid log_softmax mish relu relu6 selu sigmoid silu
  soft_shrink softmax softmax_v2 softplus softsign sparse_plus sparse_sigmoid sparsemax squareplus swish
  tanh tanh_shrink threshold
""")

INITIALIZERS = parse_names("""
Constant GlorotNormal GlorotUniform HeNormal HeUniform Identity IdentityInitializer Initializer LecunNormal
  LecunUniform Ones Orthogonal OrthogonalInitializer RandomNormal RandomUniform STFT STFTInitializer
  TruncatedNormal VarianceScaling Zeros constant glorot_normal glorot_uniform he_normal he_uniform identity
  initializer lecun_normal lecun_uniform normal one ones orthogonal random_normal random_uniform stft
  truncated_normal uniform variance_scaling zero zeros
""")

REGULARIZERS = parse_names("""
L1 L1L2 L2 OrthogonalRegularizer Regularizer l1 l1_l2 l1l2 l2 orthogonal_regularizer regularizer
""")

CONSTRAINTS = parse_names("""
Constraint MaxNorm MinMaxNorm NonNeg RadialConstraint UnitNorm constraint max_norm min_max_norm non_neg
  radial_constraint unit_norm
""")

OBJECTIVES = parse_names("""
AUC Accuracy BCE BinaryAccuracy BinaryCrossentropy BinaryFocalCrossentropy BinaryIoU CTC CategoricalAccuracy
  CategoricalCrossentropy CategoricalFocalCrossentropy CategoricalGeneralizedCrossEntropy CategoricalHinge
  Circle ConcordanceCorrelation CosineSimilarity Dice F1Score FBetaScore FalseNegatives FalsePositives Hinge
  Huber IoU KLD KLDivergence LogCosh LogCoshError Loss LossFunctionWrapper MAE MAPE MSE MSLE Mean
  MeanAbsoluteError MeanAbsolutePercentageError MeanIoU MeanMetricWrapper MeanRelativeError MeanSquaredError
  MeanSquaredLogarithmicError MeanTensor Metric OneHotIoU OneHotMeanIoU PearsonCorrelation Poisson Precision
  PrecisionAtRecall R2Score Recall RecallAtPrecision Reduction RootMeanSquaredError SensitivityAtSpecificity
  SparseCategoricalAccuracy SparseCategoricalCrossentropy SparseTopKCategoricalAccuracy
  SpecificityAtSensitivity SquaredHinge Sum TopKCategoricalAccuracy TrueNegatives TruePositives Tversky acc
  accuracy auc bce binary_accuracy binary_crossentropy binary_focal_crossentropy binary_io_u
  categorical_accuracy categorical_crossentropy categorical_focal_crossentropy
  categorical_generalized_cross_entropy categorical_hinge ce circle concordance_correlation cosine
  cosine_similarity crossentropy ctc dice f1_score f_beta_score false_negatives false_positives hinge huber
  io_u kl_divergence kld kullback_leibler_divergence log_cosh log_cosh_error logcosh mae mape mean
  mean_absolute_error mean_absolute_percentage_error mean_io_u mean_metric_wrapper mean_squared_error
  mean_squared_logarithmic_error metric mse msle one_hot_io_u one_hot_mean_io_u pearson_correlation poisson
  precision precision_at_recall r2_score recall recall_at_precision root_mean_squared_error
  sensitivity_at_specificity sparse_categorical_accuracy sparse_categorical_crossentropy
  sparse_top_k_categorical_accuracy specificity_at_sensitivity squared_hinge sum top_k_categorical_accuracy
  true_negatives true_positives tversky
""")

OPTIMIZERS = parse_names("""
adadelta adafactor adagrad adam adamax adamw ftrl lamb lion lossscaleoptimizer multioptimizer muon nadam
  optimizer optimizermap rmsprop schedulefreeadamw sgd
""")

TENSORFLOW = parse_names("""
__operators__.add __operators__.getitem __operators__.ragged_getitem abs acos acosh add add_n angle
  approx_top_k arg_max arg_min argmax argmin argsort as_string asin asinh assign assign_add assign_sub atan
  atan2 atanh batch_to_space betainc bincount bitcast bitwise.bitwise_and bitwise.bitwise_or
  bitwise.bitwise_xor bitwise.invert bitwise.left_shift bitwise.right_shift boolean_mask
  broadcast_static_shape broadcast_to cast ceil check_numerics check_pinned cholesky clip_by_global_norm
  clip_by_norm clip_by_value complex concat conj constant conv convert_to_tensor cos cosh count_up_to cross
  cumprod cumsum decode_base64 decode_compressed decode_raw depth_to_space dequantize
  deserialize_many_sparse diag diag_part digamma div div_no_nan dtypes.as_dtype dtypes.cast dtypes.complex
  dtypes.saturate_cast dynamic_partition dynamic_stitch edit_distance einsum encode_base64 ensure_shape
  equal erf erfc exp expand_dims expm1 extract_image_patches extract_volume_patches eye
  fake_quant_with_min_max_args fake_quant_with_min_max_args_gradient fake_quant_with_min_max_vars
  fake_quant_with_min_max_vars_gradient fake_quant_with_min_max_vars_per_channel
  fake_quant_with_min_max_vars_per_channel_gradient fill fingerprint floor floor_div gather gather_nd
  greater greater_equal guarantee_const histogram_fixed_width identity identity_n igamma igammac imag
  image.adjust_brightness image.adjust_contrast image.adjust_gamma image.adjust_hue
  image.adjust_jpeg_quality image.adjust_saturation image.central_crop image.combined_non_max_suppression
  image.convert_image_dtype image.crop_and_resize image.crop_to_bounding_box image.decode_and_crop_jpeg
  image.decode_bmp image.decode_gif image.decode_image image.decode_jpeg image.decode_jxl image.decode_png
  image.decode_webp image.draw_bounding_boxes image.encode_jpeg image.encode_png image.extract_glimpse
  image.extract_jpeg_shape image.extract_patches image.flip_left_right image.flip_up_down
  image.generate_bounding_box_proposals image.grayscale_to_rgb image.hsv_to_rgb image.image_gradients
  image.is_jpeg image.non_max_suppression image.non_max_suppression_overlaps
  image.non_max_suppression_padded image.non_max_suppression_with_scores image.pad_to_bounding_box
  image.per_image_standardization image.psnr image.random_brightness image.random_contrast image.random_crop
  image.random_flip_left_right image.random_flip_up_down image.random_hue image.random_jpeg_quality
  image.random_saturation image.resize image.resize_with_crop_or_pad image.resize_with_pad
  image.rgb_to_grayscale image.rgb_to_hsv image.rgb_to_yiq image.rgb_to_yuv image.rot90
  image.sample_distorted_bounding_box image.sobel_edges image.ssim image.ssim_multiscale
  image.stateless_random_brightness image.stateless_random_contrast image.stateless_random_crop
  image.stateless_random_flip_left_right image.stateless_random_flip_up_down image.stateless_random_hue
  image.stateless_random_jpeg_quality image.stateless_random_saturation
  image.stateless_sample_distorted_bounding_box image.total_variation image.transpose image.yiq_to_rgb
  image.yuv_to_rgb invert_permutation is_finite is_inf is_nan is_variable_initialized less less_equal lgamma
  lin_space linalg.adjoint linalg.band_part linalg.banded_triangular_solve linalg.cholesky
  linalg.cholesky_solve linalg.cross linalg.det linalg.diag linalg.diag_part linalg.eig linalg.eigh
  linalg.eigh_tridiagonal linalg.eigvals linalg.eigvalsh linalg.einsum linalg.expm linalg.eye
  linalg.global_norm linalg.inv linalg.l2_normalize linalg.logdet linalg.logm linalg.lstsq linalg.lu
  linalg.lu_matrix_inverse linalg.lu_reconstruct linalg.lu_solve linalg.matmul linalg.matrix_rank
  linalg.matrix_transpose linalg.matvec linalg.norm linalg.normalize linalg.pinv linalg.qr linalg.set_diag
  linalg.slogdet linalg.solve linalg.sqrtm linalg.svd linalg.tensor_diag linalg.tensor_diag_part
  linalg.tensordot linalg.trace linalg.triangular_solve linalg.tridiagonal_matmul linalg.tridiagonal_solve
  linspace log log1p logical_and logical_not logical_or math.abs math.accumulate_n math.acos math.acosh
  math.add math.add_n math.angle math.approx_max_k math.approx_min_k math.argmax math.argmin math.asin
  math.asinh math.atan math.atan2 math.atanh math.bessel_i0 math.bessel_i0e math.bessel_i1 math.bessel_i1e
  math.betainc math.bincount math.ceil math.confusion_matrix math.conj math.cos math.cosh math.count_nonzero
  math.cumprod math.cumsum math.cumulative_logsumexp math.digamma math.divide math.divide_no_nan math.equal
  math.erf math.erfc math.erfcinv math.erfinv math.exp math.expm1 math.floor math.floordiv math.floormod
  math.greater math.greater_equal math.igamma math.igammac math.imag math.in_top_k math.invert_permutation
  math.is_finite math.is_inf math.is_nan math.is_non_decreasing math.is_strictly_increasing
  math.l2_normalize math.lbeta math.less math.less_equal math.lgamma math.log math.log1p math.log_sigmoid
  math.log_softmax math.logical_and math.logical_not math.logical_or math.logical_xor math.maximum
  math.minimum math.mod math.multiply math.multiply_no_nan math.ndtri math.negative math.nextafter
  math.not_equal math.polygamma math.polyval math.pow math.real math.reciprocal math.reciprocal_no_nan
  math.reduce_all math.reduce_any math.reduce_euclidean_norm math.reduce_logsumexp math.reduce_max
  math.reduce_mean math.reduce_min math.reduce_prod math.reduce_std math.reduce_sum math.reduce_variance
  math.rint math.round math.rsqrt math.scalar_mul math.segment_max math.segment_mean math.segment_min
  math.segment_prod math.segment_sum math.sigmoid math.sign math.sin math.sinh math.sobol_sample
  math.softmax math.softplus math.softsign math.sqrt math.square math.squared_difference math.subtract
  math.tan math.tanh math.top_k math.truediv math.unsorted_segment_max math.unsorted_segment_mean
  math.unsorted_segment_min math.unsorted_segment_prod math.unsorted_segment_sqrt_n
  math.unsorted_segment_sum math.xdivy math.xlog1py math.xlogy math.zero_fraction math.zeta matmul
  matrix_band_part matrix_determinant matrix_diag matrix_diag_part matrix_inverse matrix_set_diag
  matrix_solve matrix_solve_ls matrix_square_root matrix_triangular_solve maximum meshgrid minimum mod
  multinomial multiply negative nn.all_candidate_sampler nn.approx_max_k nn.approx_min_k nn.atrous_conv2d
  nn.atrous_conv2d_transpose nn.avg_pool nn.avg_pool1d nn.avg_pool2d nn.avg_pool3d
  nn.batch_norm_with_global_normalization nn.batch_normalization nn.bias_add nn.collapse_repeated
  nn.compute_accidental_hits nn.compute_average_loss nn.conv1d nn.conv1d_transpose nn.conv2d
  nn.conv2d_transpose nn.conv3d nn.conv3d_transpose nn.conv_transpose nn.convolution nn.crelu
  nn.ctc_beam_search_decoder nn.ctc_greedy_decoder nn.ctc_loss nn.ctc_unique_labels nn.depth_to_space
  nn.depthwise_conv2d nn.depthwise_conv2d_backprop_filter nn.depthwise_conv2d_backprop_input nn.dilation2d
  nn.dropout nn.elu nn.embedding_lookup nn.embedding_lookup_sparse nn.erosion2d
  nn.fixed_unigram_candidate_sampler nn.fractional_avg_pool nn.fractional_max_pool nn.gelu nn.in_top_k
  nn.isotonic_regression nn.l2_loss nn.l2_normalize nn.leaky_relu nn.learned_unigram_candidate_sampler
  nn.local_response_normalization nn.log_poisson_loss nn.log_softmax nn.lrn nn.max_pool nn.max_pool1d
  nn.max_pool2d nn.max_pool3d nn.max_pool_with_argmax nn.moments nn.nce_loss nn.normalize_moments nn.pool
  nn.relu nn.relu6 nn.safe_embedding_lookup_sparse nn.sampled_softmax_loss nn.scale_regularization_loss
  nn.selu nn.separable_conv2d nn.sigmoid nn.sigmoid_cross_entropy_with_logits nn.silu nn.softmax
  nn.softmax_cross_entropy_with_logits nn.softplus nn.softsign nn.space_to_batch nn.space_to_depth
  nn.sparse_softmax_cross_entropy_with_logits nn.sufficient_statistics nn.swish nn.tanh nn.top_k
  nn.weighted_cross_entropy_with_logits nn.weighted_moments nn.with_space_to_batch nn.zero_fraction no_op
  norm not_equal one_hot ones ones_like pad parse_example parse_single_example parse_single_sequence_example
  parse_tensor placeholder_with_default polygamma pow qr quantization.dequantize
  quantization.fake_quant_with_min_max_args quantization.fake_quant_with_min_max_args_gradient
  quantization.fake_quant_with_min_max_vars quantization.fake_quant_with_min_max_vars_gradient
  quantization.fake_quant_with_min_max_vars_per_channel
  quantization.fake_quant_with_min_max_vars_per_channel_gradient quantization.quantize
  quantization.quantize_and_dequantize quantization.quantize_and_dequantize_v2 quantization.quantized_concat
  quantize_v2 quantized_concat ragged.boolean_mask ragged.constant ragged.cross ragged.cross_hashed
  ragged.map_flat_values ragged.range ragged.row_splits_to_segment_ids ragged.segment_ids_to_row_splits
  ragged.stack ragged.stack_dynamic_partitions ragged_fill_empty_rows ragged_fill_empty_rows_grad
  random.all_candidate_sampler random.categorical random.create_rng_state
  random.fixed_unigram_candidate_sampler random.fold_in random.gamma random.get_global_generator
  random.learned_unigram_candidate_sampler random.log_uniform_candidate_sampler random.normal random.poisson
  random.set_global_generator random.set_seed random.shuffle random.split random.stateless_binomial
  random.stateless_categorical random.stateless_gamma random.stateless_normal
  random.stateless_parameterized_truncated_normal random.stateless_poisson random.stateless_truncated_normal
  random.stateless_uniform random.truncated_normal random.uniform random.uniform_candidate_sampler
  random_crop random_gamma random_index_shuffle random_poisson random_shuffle random_uniform range rank real
  realdiv reciprocal reduce_all reduce_any reduce_join reduce_logsumexp reduce_max reduce_mean reduce_min
  reduce_prod reduce_sum regex_replace repeat reshape reverse reverse_sequence reverse_v2 rint roll round
  rsqrt saturate_cast scalar_mul scatter_add scatter_div scatter_max scatter_min scatter_mul scatter_nd
  scatter_nd_add scatter_nd_sub scatter_nd_update scatter_sub scatter_update searchsorted segment_max
  segment_mean segment_min segment_prod segment_sum self_adjoint_eig sequence_mask serialize_many_sparse
  serialize_sparse serialize_tensor shape shape_n sigmoid sign signal.dct signal.fft signal.fft2d
  signal.fft3d signal.fftnd signal.fftshift signal.frame signal.hamming_window signal.hann_window
  signal.idct signal.ifft signal.ifft2d signal.ifft3d signal.ifftnd signal.ifftshift signal.inverse_mdct
  signal.inverse_stft signal.inverse_stft_window_fn signal.irfft signal.irfft2d signal.irfft3d
  signal.irfftnd signal.kaiser_bessel_derived_window signal.kaiser_window signal.linear_to_mel_weight_matrix
  signal.mdct signal.mfccs_from_log_mel_spectrograms signal.overlap_and_add signal.rfft signal.rfft2d
  signal.rfft3d signal.rfftnd signal.stft signal.vorbis_window sin sinh size slice sort space_to_batch
  space_to_depth sparse.add sparse.bincount sparse.concat sparse.cross sparse.cross_hashed
  sparse.expand_dims sparse.eye sparse.fill_empty_rows sparse.from_dense sparse.map_values sparse.mask
  sparse.maximum sparse.minimum sparse.reduce_max sparse.reduce_sum sparse.reorder sparse.reset_shape
  sparse.reshape sparse.retain sparse.sampled_addmm sparse.segment_mean sparse.segment_sqrt_n
  sparse.segment_sum sparse.slice sparse.softmax sparse.sparse_dense_matmul sparse.split sparse.to_dense
  sparse.to_indicator sparse.transpose sparse_add sparse_concat sparse_fill_empty_rows sparse_reduce_max
  sparse_reduce_max_sparse sparse_reduce_sum sparse_reduce_sum_sparse sparse_reorder sparse_reshape
  sparse_segment_mean sparse_segment_sqrt_n sparse_segment_sum sparse_slice sparse_softmax sparse_split
  sparse_to_dense split sqrt square squared_difference squeeze stack stop_gradient strided_slice string_join
  string_split string_strip string_to_hash_bucket string_to_hash_bucket_fast string_to_hash_bucket_strong
  string_to_number strings.as_string strings.bytes_split strings.format strings.join strings.length
  strings.lower strings.ngrams strings.reduce_join strings.regex_full_match strings.regex_replace
  strings.split strings.strip strings.substr strings.to_hash_bucket strings.to_hash_bucket_fast
  strings.to_hash_bucket_strong strings.to_number strings.unicode_decode strings.unicode_decode_with_offsets
  strings.unicode_encode strings.unicode_script strings.unicode_split strings.unicode_split_with_offsets
  strings.unicode_transcode strings.unsorted_segment_join strings.upper substr subtract svd tan tanh
  tensor_scatter_add tensor_scatter_nd_add tensor_scatter_nd_update tensor_scatter_sub tensor_scatter_update
  tensordot tile timestamp transpose truediv truncated_normal truncatediv truncatemod unique
  unique_with_counts unravel_index unsorted_segment_max unsorted_segment_min unsorted_segment_prod
  unsorted_segment_sum unstack where zeros zeros_like zeta
""")
"""What a TFOpLambda layer may call."""

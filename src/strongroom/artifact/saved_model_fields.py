"""Fields of the messages of a TensorFlow SavedModel, as `protobuf.Wire` reads them.

From tensorflow/core/protobuf/saved_model.proto and what it includes, TensorFlow 2.21. A field that is not
here was added later or is not one: what it holds would not be looked at.
"""

from strongroom.artifact.protobuf import Fields

SAVED_MODEL: Fields = {1: "v", 2: "b*"}
META_GRAPH: Fields = {1: "b", 2: "b", 3: "b", 4: "b*", 5: "b*", 6: "b*", 7: "b"}
META_INFO: Fields = {1: "b", 2: "b", 3: "b", 4: "b*", 5: "b", 6: "b", 7: "v", 8: "b*"}
GRAPH: Fields = {1: "b*", 2: "b", 3: "v", 4: "b", 5: "b"}
LIBRARY: Fields = {1: "b*", 2: "b*", 3: "b*"}
FUNCTION: Fields = {1: "b", 3: "b*", 4: "b*", 5: "b*", 6: "b*", 7: "b*", 8: "b*"}
SIGNATURE_OF_FUNCTION: Fields = {
    1: "b", 2: "b*", 3: "b*", 4: "b*", 5: "b", 6: "b", 8: "b", 16: "v", 17: "v", 18: "v",
    19: "v", 20: "b*", 21: "v",
}  # fmt: skip
ARGUMENT: Fields = {
    1: "b", 2: "b", 3: "v", 4: "b", 5: "b", 6: "b", 7: "b*", 16: "v", 17: "b",
}  # fmt: skip
NODE: Fields = {1: "b", 2: "b", 3: "b*", 4: "b", 5: "b*", 6: "b", 7: "b"}
ENTRY: Fields = {1: "b", 2: "b"}
"""Of a map from text to text or message."""
ATTRIBUTE: Fields = {
    1: "b", 2: "b", 3: "v", 4: "f", 5: "v", 6: "v", 7: "b", 8: "b", 9: "b", 10: "b",
}  # fmt: skip
ATTRIBUTE_LIST: Fields = {
    2: "b*", 3: "v+", 4: "f+", 5: "v+", 6: "v+", 7: "b*", 8: "b*", 9: "b*",
}  # fmt: skip
FUNCTION_NAME: Fields = {1: "b", 2: "b*"}
TENSOR: Fields = {
    1: "v", 2: "b", 3: "v", 4: "b", 5: "f+", 6: "d+", 7: "v+", 8: "b*", 9: "f+", 10: "v+", 11: "v+", 12: "d+",
    13: "v+", 14: "b*", 15: "b*", 16: "v+", 17: "v+", 18: "b",
}  # fmt: skip
SHAPE: Fields = {2: "b*", 3: "v"}
DIMENSION: Fields = {1: "v", 2: "b"}
SAVER: Fields = {1: "b", 2: "b", 3: "b", 4: "v", 5: "v", 6: "f", 7: "v"}
SIGNATURE: Fields = {1: "b*", 2: "b*", 3: "b", 4: "b*"}
TENSOR_INFO: Fields = {1: "b", 2: "v", 3: "b", 4: "b", 5: "b"}
SPARSE_INFO: Fields = {1: "b", 2: "b", 3: "b"}
COMPOSITE_INFO: Fields = {1: "b", 2: "b*"}
ASSET: Fields = {1: "b", 2: "b"}
OBJECT_GRAPH: Fields = {1: "b*", 2: "b*"}
OBJECT: Fields = {
    1: "b*", 3: "b*", 4: "b", 5: "b", 6: "b", 7: "b", 8: "b", 9: "b", 10: "b", 11: "b*", 12: "b", 13: "b",
    14: "b", 15: "b*", 16: "b",
}  # fmt: skip
USER_OBJECT: Fields = {1: "b", 2: "b", 3: "b"}
CONCRETE_FUNCTION: Fields = {2: "v*", 3: "b", 4: "b"}
KERAS_METADATA: Fields = {1: "b*"}
KERAS_NODE: Fields = {1: "v", 2: "v", 3: "b", 4: "b", 5: "b", 6: "b"}
FINGERPRINT: Fields = {1: "v", 2: "v", 3: "v", 4: "v", 5: "v", 6: "b", 7: "b"}
BUNDLE_HEADER: Fields = {1: "v", 2: "v", 3: "b"}
BUNDLE_ENTRY: Fields = {1: "v", 2: "b", 3: "v", 4: "v", 5: "v", 6: "f", 7: "b*"}

"""Which scanner looks at which format. A format without one is refused as unknown.

Each is imported when it is first needed: publishing one safetensors file is not to pay for all parsers.
"""

from collections.abc import Callable
from importlib import import_module

from strongroom.artifact.formats import Format
from strongroom.scan.scan import Content, Scan

Scanner = Callable[[Scan, Content], None]

_WHERE: dict[Format, str] = {
    Format.ONNX: "inert.scan_onnx",
    Format.SAFETENSORS: "inert.scan_safetensors",
    Format.GGUF: "inert.scan_gguf",
    Format.XGBOOST_JSON: "trees.scan_xgboost_json",
    Format.XGBOOST_UBJ: "trees.scan_xgboost_ubj",
    Format.LIGHTGBM: "trees.scan_lightgbm",
    Format.PMML: "xml_models.scan_pmml",
    Format.OPENVINO: "xml_models.scan_openvino",
    Format.XML: "xml_models.scan_xml",
    Format.TFLITE: "tensorflow.scan_tflite",
    Format.TENSORFLOW: "tensorflow.scan_saved_model",
    Format.KERAS: "keras.scan_keras",
    Format.HDF5: "keras.scan_hdf5",
    Format.SKOPS: "skops.scan_skops",
    Format.PICKLE: "pickles.scan_pickle",
    Format.TORCH: "torch.scan_torch",
    Format.TORCHSCRIPT: "torchscript.scan_torchscript",
    Format.EXPORTED_PROGRAM: "torchscript.scan_exported_program",
    Format.NUMPY: "numpy_files.scan_numpy",
    Format.NPZ: "containers.scan_npz",
    Format.ZIP: "containers.scan_zip",
    Format.TAR: "containers.scan_tar",
    Format.COMPRESSED: "containers.scan_compressed",
    Format.JSON: "texts.scan_json",
    Format.NOTEBOOK: "texts.scan_notebook",
    Format.TEXT: "texts.scan_text",
    Format.EMPTY: "texts.scan_empty",
    Format.SENTENCEPIECE: "tokenizers.scan_sentencepiece",
    Format.IMAGE: "images.scan_image",
    Format.EXECUTABLE: "native.scan_program",
}


def find_scanner(found: Format) -> Scanner | None:
    """The scanner of a format, imported if it was not yet."""
    where = _WHERE.get(found)
    if where is None:
        return None
    module, _, name = where.partition(".")
    scanner: Scanner = getattr(import_module(f"strongroom.scan.{module}"), name)
    return scanner


def load_all() -> None:
    """Import every scanner, and what looks at texts: before processes are forked that would each do so."""
    import_module("strongroom.scan.secrets")
    for found in _WHERE:
        find_scanner(found)

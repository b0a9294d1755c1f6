"""CoreWeave's tensorizer with its encryption (XSalsa20-Poly1305): made to load models fast."""

from pathlib import Path

import meter
from memory import only_file
from tensorizer import DecryptionParams, EncryptionParams, TensorDeserializer, TensorSerializer
from tensors import TensorModel, open_tensors

_KEY = bytes(range(32))


def seal(source: Path, folder: Path) -> None:
    serializer = TensorSerializer(folder / "tensorizer.model", encryption=EncryptionParams(key=_KEY))
    serializer.write_state_dict(open_tensors(source))
    serializer.close()


def load(folder: Path) -> TensorModel:
    loaded = TensorDeserializer(
        only_file(folder), device="cpu", num_readers=2, encryption=DecryptionParams.from_key(_KEY)
    )
    return TensorModel(dict(loaded.items()))


if __name__ == "__main__":
    meter.main(seal, load)

"""Google Tink's streaming AEAD: AES-256-GCM-HKDF in segments of 1 MiB, the nearest to sealed/1 elsewhere."""

import io
from pathlib import Path

import meter
import tink
from memory import MemfdModel, only_file
from tink import cleartext_keyset_handle, streaming_aead

_BOUND_TO = b"bench@1.0.0"


def seal(source: Path, folder: Path) -> None:
    streaming_aead.register()
    keyset = tink.new_keyset_handle(streaming_aead.streaming_aead_key_templates.AES256_GCM_HKDF_1MB)
    text = io.StringIO()
    cleartext_keyset_handle.write(tink.JsonKeysetWriter(text), keyset)
    (folder / "keyset.json").write_text(text.getvalue())
    primitive = keyset.primitive(streaming_aead.StreamingAead)
    buffer = bytearray(meter.CHUNK_BYTES)
    with (
        source.open("rb", buffering=0) as read,
        (folder / "tink.model").open("wb") as file,
        primitive.new_encrypting_stream(file, _BOUND_TO) as written,
    ):
        while size := read.readinto(buffer):
            written.write(bytes(memoryview(buffer)[:size]))


def load(folder: Path) -> MemfdModel:
    streaming_aead.register()
    keyset = cleartext_keyset_handle.read(tink.JsonKeysetReader((folder / "keyset.json").read_text()))
    primitive = keyset.primitive(streaming_aead.StreamingAead)
    path = only_file(folder)
    model = MemfdModel(path.stat().st_size)
    with path.open("rb") as file, primitive.new_decrypting_stream(file, _BOUND_TO) as read:
        while data := read.read(meter.CHUNK_BYTES):
            model.append(memoryview(data))
    return model


if __name__ == "__main__":
    meter.main(seal, load)

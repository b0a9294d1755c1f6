"""`make demo`: theft, tampering and forgery against an open folder, then against Strongroom."""

import os

# onnxruntime reports home by default and keeps a database of what it did; read when it is first imported.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

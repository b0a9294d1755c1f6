"""The throw-away process that turns one original into ONNX, behind the worker's locks."""

"""``python -I -m strongroom.serve.worker --control-fd N``: started by the supervisor, never by hand."""

import argparse
import os

# Before numpy: a thread pool of a library that the engine does not use would outlive the locks.
os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["OMP_NUM_THREADS"] = "1"

from strongroom.ports import Engine
from strongroom.serve.worker import start

_FAULT = 70  # sysexits.h EX_SOFTWARE


def _create_engine() -> Engine:
    from strongroom.adapters.engines.onnx import OnnxEngine

    return OnnxEngine()


def main() -> None:
    """Never returns: an ordinary exit would have the interpreter make calls that the locks kill for."""
    parser = argparse.ArgumentParser(prog="strongroom-worker", allow_abbrev=False)
    parser.add_argument("--control-fd", type=int, required=True)
    arguments = parser.parse_args()
    code = _FAULT
    try:
        code = start.run(arguments.control_fd, _create_engine)
    finally:
        os._exit(code)


if __name__ == "__main__":
    main()

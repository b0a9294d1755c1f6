"""``python -I -m strongroom.serve.worker --control-fd N``: started by the supervisor, never by hand."""

import argparse
import os
import sys

# Before numpy: a thread pool of a library that the engine does not use would outlive the locks.
os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["OMP_NUM_THREADS"] = "1"

from strongroom.ports import Engine
from strongroom.serve.worker import start


def _create_engine() -> Engine:
    from strongroom.adapters.engines.onnx import OnnxEngine

    return OnnxEngine()


def main() -> int:
    parser = argparse.ArgumentParser(prog="strongroom-worker", allow_abbrev=False)
    parser.add_argument("--control-fd", type=int, required=True)
    arguments = parser.parse_args()
    return start.run(arguments.control_fd, _create_engine)


if __name__ == "__main__":
    sys.exit(main())

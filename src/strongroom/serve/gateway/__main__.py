"""``python -m strongroom.serve.gateway --control-fd N``, started by the supervisor and by nobody else."""

import argparse
import os
import signal
import sys

# Before numpy: threads of a library that is not used here would stay outside the locks.
os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["OMP_NUM_THREADS"] = "1"

from strongroom.errors import StrongroomError
from strongroom.serve.gateway.process import Process, lock_down


def main() -> int:
    parser = argparse.ArgumentParser(prog="strongroom-gateway")
    parser.add_argument("--control-fd", type=int, required=True)
    arguments = parser.parse_args()
    # Control-C reaches the whole terminal; the supervisor decides when to drain.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        lock_down()
        Process(arguments.control_fd).run()
    except StrongroomError as error:
        sys.stderr.write(f"gateway: {error.message}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())

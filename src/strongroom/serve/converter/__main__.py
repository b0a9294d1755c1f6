"""``python -I -m strongroom.serve.converter --control-fd N``: started by the supervisor, never by hand."""

import argparse
import os

from strongroom.serve.converter.start import run

_FAULT = 70  # sysexits.h EX_SOFTWARE


def main() -> None:
    """Never returns: an ordinary exit would have the interpreter make calls that the locks kill for."""
    parser = argparse.ArgumentParser(prog="strongroom-converter", allow_abbrev=False)
    parser.add_argument("--control-fd", type=int, required=True)
    parser.add_argument("--libraries", required=True)
    arguments = parser.parse_args()
    code = _FAULT
    try:
        code = run(arguments.control_fd, arguments.libraries)
    finally:
        os._exit(code)


if __name__ == "__main__":
    main()

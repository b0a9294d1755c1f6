"""Stands in for the supervisor as a victim: a process of the worker's user with a secret in its memory."""

import argparse
import ctypes
import os
import signal
import sys

PR_SET_DUMPABLE = 4


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--uid", type=int)
    arguments = parser.parse_args()
    if arguments.uid:
        os.setgroups([])
        os.setresgid(arguments.uid, arguments.uid, arguments.uid)
        os.setresuid(arguments.uid, arguments.uid, arguments.uid)
        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)
    secret = ctypes.create_string_buffer(sys.stdin.readline().strip().encode())
    print(ctypes.addressof(secret), flush=True)
    while True:
        signal.pause()


if __name__ == "__main__":
    main()

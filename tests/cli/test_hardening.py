"""A process that may have opened a keystore leaves no core file and cannot be read by its neighbours."""

import subprocess
import sys

import pytest

REPORT = """
import ctypes, resource
from strongroom.cli.app import main
try:
    main(["--version"])
except SystemExit:
    pass
PR_GET_DUMPABLE = 3
print(resource.getrlimit(resource.RLIMIT_CORE), ctypes.CDLL(None).prctl(PR_GET_DUMPABLE, 0, 0, 0, 0))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux")
def test_no_core_file_and_no_reading_of_memory() -> None:
    """The passphrase stood in the core file of a `serve` that SIGSEGV had ended."""
    shell = 'ulimit -S -c unlimited 2>/dev/null; exec "$0" -c "$1"'
    ran = subprocess.run(
        ["sh", "-c", shell, sys.executable, REPORT], capture_output=True, text=True, check=True
    )
    assert ran.stdout.splitlines()[-1] == "(0, 0) 0"


def test_no_command_prints_the_help_and_no_error() -> None:
    ran = subprocess.run([sys.executable, "-m", "strongroom"], capture_output=True, text=True, check=False)
    assert ran.returncode == 2
    assert ran.stderr.startswith("Usage: strongroom")

"""The command line: arguments, one verb of the SDK, a printed result, an exit code."""

from strongroom.cli.app import main

__all__ = ["main"]

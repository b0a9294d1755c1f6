"""The furnished home of the command line's tests, for whoever attacks it."""

from tests.cli.conftest import bare, furnished, shell

__all__ = ["bare", "furnished", "shell"]

"""The furnished home of the command-line tests."""

from tests.cli.conftest import bare, furnished, shell

__all__ = ["bare", "furnished", "shell"]

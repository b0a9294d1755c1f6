"""The homes of the command-line tests and of the end-to-end tests, and the latter's servers."""

from tests.cli.conftest import bare, furnished, shell
from tests.serve.e2e.conftest import deployment, established, serve

__all__ = ["bare", "deployment", "established", "furnished", "serve", "shell"]

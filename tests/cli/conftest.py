"""One home with people and a model in it, made once through the command line and copied for each test."""

import shutil
from pathlib import Path

import pytest

from tests import models
from tests.cli.press import PASSPHRASE, Shell


@pytest.fixture(scope="session")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("furnished")
    shell = new_shell(root)
    shell.ok("init", "--identity", "ada")
    for name, role in (("rita", "reviewer"), ("dora", "deployer")):
        shell.ok("identity", "add", name, "--role", role)
    shell.ok("publish", "model.onnx", "--as", "fraud@1.0.0", "--owner", "risk", "--identity", "dora")
    shell.ok("approve", "fraud@1.0.0", "--identity", "rita")
    return root


def new_shell(root: Path) -> Shell:
    """A user with a passphrase file and a model, and no home yet."""
    root.mkdir(exist_ok=True)
    (root / "passphrase").write_text(f"{PASSPHRASE}\n")
    models.linear().write(root)
    return Shell(root, root / "home", root / "passphrase")


@pytest.fixture
def bare(tmp_path: Path) -> Shell:
    return new_shell(tmp_path / "user")


@pytest.fixture
def shell(furnished: Path, tmp_path: Path) -> Shell:
    """A copy of the furnished home: ada (admin), rita (reviewer), dora (deployer), fraud@1.0.0 approved."""
    root = tmp_path / "user"
    shutil.copytree(furnished, root, symlinks=True)
    return Shell(root, root / "home", root / "passphrase")

"""Tokens of SoftHSM, the PKCS #11 library in software that Debian has (package softhsm2)."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from uuid import uuid4

MODULE = "/usr/lib/softhsm/libsofthsm2.so"
_FOLDER = tempfile.TemporaryDirectory(prefix="strongroom-softhsm-")
"""One for all tokens of this process: the library reads its settings once."""
TOKENS = Path(_FOLDER.name) / "tokens"
SETTINGS = Path(_FOLDER.name) / "softhsm2.conf"


@dataclass(frozen=True)
class Token:
    label: str
    pin: str


@cache
def shared_token() -> Token:
    """Return one for tests that give their keys names of their own: making one takes a while."""
    return new_token()


def new_token() -> Token:
    """Make an empty token, under a label of its own."""
    assert Path(MODULE).exists(), "SoftHSM is missing: run scripts/debian-packages"
    if not SETTINGS.exists():
        TOKENS.mkdir(mode=0o700)
        SETTINGS.write_text(
            f"directories.tokendir = {TOKENS}\nobjectstore.backend = file\nlog.level = ERROR\n"
        )
    os.environ["SOFTHSM2_CONF"] = str(SETTINGS)
    token = Token(f"token-{uuid4().hex[:12]}", str(uuid4().int)[:8])
    command = ["softhsm2-util", "--init-token", "--free", "--label", token.label]
    subprocess.run(
        [*command, "--pin", token.pin, "--so-pin", token.pin[::-1]], check=True, capture_output=True
    )
    return token


@contextmanager
def unplugged() -> Iterator[None]:
    """All tokens are gone while the block runs, also for processes that have them open."""
    away = TOKENS.with_name("away")
    TOKENS.rename(away)
    try:
        yield
    finally:
        away.rename(TOKENS)

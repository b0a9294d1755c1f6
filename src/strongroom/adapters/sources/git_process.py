"""git as a child: none of the user's or the repository's settings, hooks, filters, helpers or submodules.

What it is told stands here and nowhere else; which transports it may use, `GIT_ALLOW_PROTOCOL` says.
"""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from strongroom.errors import InvalidError, OutageError, RejectedError

MAX_WORDS_BYTES = 2**20
"""Of what a command prints that is not objects."""
_PATH = "/usr/local/bin:/usr/bin:/bin"
_PROXIES = ("http_proxy", "https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY")
_CONFIG = {
    "core.hooksPath": os.devnull,
    "core.fsmonitor": "false",
    "core.attributesFile": os.devnull,
    "core.excludesFile": os.devnull,
    "core.sshCommand": "false",
    "core.askPass": "false",
    "core.alternateRefsCommand": "true",
    "credential.helper": "",
    "protocol.allow": "never",
    "protocol.https.allow": "always",
    "protocol.http.allow": "always",
    "http.followRedirects": "false",
    "http.sslVerify": "true",
    "http.lowSpeedLimit": "1",
    "http.lowSpeedTime": "30",
    "fetch.fsckObjects": "true",
    "fetch.recurseSubmodules": "false",
    "submodule.recurse": "false",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "transfer.bundleURI": "false",
    "transfer.credentialsInUrl": "die",
}
_POLL_S = 0.1
_KILL_WAIT_S = 5.0


def build_environment(transport: str = "", config: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the whole environment of the child. ``transport``: the one that it may use; none, if empty.

    Settings go by the environment, since what is in arguments everybody on the machine can read (I9).
    """
    settings = {**_CONFIG, **(config or {})}
    environment = {
        "PATH": _PATH,
        "HOME": os.devnull,
        "LC_ALL": "C",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_SYSTEM": os.devnull,
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "false",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_PROTOCOL_FROM_USER": "0",
        "GIT_ALLOW_PROTOCOL": transport,
        "GIT_CONFIG_COUNT": str(len(settings)),
    }
    for index, (name, value) in enumerate(settings.items()):
        environment[f"GIT_CONFIG_KEY_{index}"] = name
        environment[f"GIT_CONFIG_VALUE_{index}"] = value
    if transport == "https":
        environment |= {name: os.environ[name] for name in _PROXIES if name in os.environ}
    return environment


def require_git() -> str:
    """Return the program. Raises InvalidError: there is none."""
    found = shutil.which("git", path=_PATH)
    if found is None:
        raise InvalidError("git: is not installed")
    return found


def make_repository(folder: Path) -> None:
    """Make an empty bare repository whose every file is ours."""
    (folder / "objects" / "info").mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "HEAD").write_text("ref: refs/heads/none\n")
    (folder / "config").write_text("[core]\n\trepositoryformatversion = 0\n\tbare = true\n")


def start(
    folder: Path, arguments: Sequence[str], environment: Mapping[str, str]
) -> "subprocess.Popen[bytes]":
    """Start git on the repository ``folder``, in a session of its own."""
    return subprocess.Popen(
        [require_git(), f"--git-dir={folder}", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=dict(environment),
        cwd=folder,
        start_new_session=True,
    )


def stop(child: "subprocess.Popen[bytes]") -> None:
    """End it and all that it started."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    for pipe in (child.stdin, child.stdout):
        if pipe is not None:
            with suppress(OSError):
                pipe.close()
    with suppress(subprocess.TimeoutExpired):
        child.wait(_KILL_WAIT_S)


def run(
    folder: Path,
    arguments: Sequence[str],
    environment: Mapping[str, str],
    *,
    deadline_s: float,
    max_folder_bytes: int = 0,
) -> bytes | None:
    """Return what it prints, or None if it failed.

    ``max_folder_bytes``: stop it when the repository outgrows that; 0: it writes nothing there.

    Raises:
        OutageError: it was not done in time.
        RejectedError: it printed or wrote more than may be.
    """
    child = start(folder, arguments, environment)
    printed = b""
    try:
        assert child.stdout is not None and child.stdin is not None  # noqa: S101 - pipes, as started
        child.stdin.close()
        os.set_blocking(child.stdout.fileno(), False)
        end = time.monotonic() + deadline_s
        while True:
            piece = child.stdout.read(MAX_WORDS_BYTES)
            printed += piece or b""
            if len(printed) > MAX_WORDS_BYTES:
                raise RejectedError(f"git: prints more than {MAX_WORDS_BYTES} bytes")
            if max_folder_bytes and _size_of(folder) > max_folder_bytes:
                raise RejectedError(f"git: there is more than {max_folder_bytes} bytes to fetch")
            if piece == b"" and child.poll() is not None:
                return printed if child.returncode == 0 else None
            if time.monotonic() > end:
                raise OutageError(f"git: was not done after {deadline_s:.0f} s")
            if not piece:
                time.sleep(_POLL_S)
    finally:
        stop(child)


def _size_of(folder: Path) -> int:
    size = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                size += os.lstat(os.path.join(place, name)).st_size  # noqa: PTH118 - many, and quickly
    return size

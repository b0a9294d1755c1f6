"""I1 and I9: no model, key or passphrase is found anywhere but in memory, however it ends."""

import os
import resource
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from strongroom.flows import layout
from strongroom.flows.keyfile import WrappedKey
from strongroom.flows.publish import data_key_context
from strongroom.flows.statement import require_statement_of
from strongroom.flows.vault import read_authority
from strongroom.values import ModelId
from tests.faults.load import Load, wait_for_answers
from tests.models.sample import SampleModel, build_model
from tests.serve.e2e.deployment import ADMIN, PASSPHRASE, Deployment, Server
from tests.serve.e2e.processes import PROC, is_alive, wait_until

pytestmark = pytest.mark.slow
Serve = Callable[..., Server]
MARKER = np.random.default_rng(20_261).random(8, dtype=np.float32).tobytes()
"""32 bytes that stand nowhere else: eight weights."""
MODEL = "marked@1.0.0"
READ_BYTES = 2**22
MAX_FILE_BYTES = 2**30


def marked() -> SampleModel:
    """Weights that are the marker again and again, more than a chunk of them."""
    weights = np.frombuffer(MARKER * 2**16, "<f4").reshape(4, -1)
    model = build_model(
        [
            helper.make_node("MatMul", ["x", "weights"], ["wide"]),
            helper.make_node("ReduceMax", ["wide"], ["score"], axes=[1], keepdims=1),
        ],
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 4])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, ["rows", 1])],
        [numpy_helper.from_array(weights.copy(), "weights")],
    )
    return SampleModel({"model.onnx": model.SerializeToString()}, {"x": np.ones((2, 4), np.float32)})


def secrets_of(deployment: Deployment) -> dict[str, bytes]:
    """The model's data key, its family's key and the passphrase, as they are while they are used."""
    vault = deployment.as_(ADMIN).unlock()
    model = ModelId.parse(MODEL)
    statement = require_statement_of(vault, read_authority(vault), model)
    wrapped = WrappedKey.parse(vault.blobs.read(layout.wrapped_key_name(model), layout.MAX_WRAPPED_KEY_BYTES))
    data_key = vault.require_keys().unwrap(
        wrapped.key, wrapped.wrapped, data_key_context(model, statement.manifest_digest)
    )
    return {"data key": data_key, "passphrase": PASSPHRASE.encode(), "marker": MARKER}


def spellings(secret: bytes) -> list[bytes]:
    return [secret, secret.hex().encode(), secret.hex().upper().encode()]


def written_since(start_ns: int, roots: list[Path], except_for: Path) -> Iterator[Path]:
    """Every plain file below ``roots`` that was created or changed since."""
    for root in roots:
        for folder, names, files in os.walk(root):
            names[:] = [name for name in names if Path(folder, name) != except_for]
            for name in files:
                path = Path(folder, name)
                try:
                    status = path.lstat()
                except OSError:
                    continue
                changed = max(status.st_mtime_ns, status.st_ctime_ns)
                if os.path.isfile(path) and not path.is_symlink() and changed >= start_ns:
                    yield path


def holds(path: Path, wanted: list[bytes]) -> bytes | None:
    """Which of ``wanted`` is in the file, also across the pieces it is read in."""
    overlap = max(len(one) for one in wanted) - 1
    tail = b""
    try:
        with path.open("rb") as file:
            while piece := file.read(READ_BYTES):
                text = tail + piece
                for one in wanted:
                    if one in text:
                        return one
                tail = text[-overlap:]
    except OSError:
        return None
    return None


def is_swap_off() -> bool:
    return len((PROC / "swaps").read_text().splitlines()) <= 1


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where this test's processes find TMPDIR, HOME and their working directory; core files are allowed."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for name in ("TMPDIR", "HOME", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(folder))
    return folder


def test_nothing_in_plain_on_any_disk(deployment: Deployment, serve: Serve, scratch: Path) -> None:
    start_ns = time.time_ns()
    # (1) publish, approve, serve, answer
    deployment.add(marked(), MODEL)
    source = deployment.folder / "sources"
    assert holds(next((source / MODEL).iterdir()), [MARKER]), "the search does find it where it must be"
    server = serve("marked", "linear", hasty=True, preexec_fn=_allow_cores)
    layers = deployment.as_(ADMIN).status()["serving"][0]["sandbox"]
    with server.client() as client:
        assert client.predict("marked", [[1, 1, 1, 1]], receipt=True).evidence is not None
    # (2) each process dies in a way that would leave a core file, then by force
    for number in (signal.SIGSEGV, signal.SIGABRT, signal.SIGKILL):
        for pid in (*server.workers, server.gateway):
            if is_alive(pid):
                os.kill(pid, number)
        wait_until(lambda: _answers(server), 40, "answers again")
    os.kill(server.pid, signal.SIGKILL)
    server.process.wait()
    server.family()
    time.sleep(1)
    # (3) everything that was written anywhere since
    secrets = secrets_of(deployment)
    wanted = [spelling for secret in secrets.values() for spelling in spellings(secret)]
    roots = [deployment.folder, scratch, Path("/tmp"), Path("/var/tmp"), Path("/dev/shm"), Path.cwd()]
    searched = 0
    for path in written_since(start_ns, roots, source):
        if path.is_relative_to(source):
            continue
        searched += 1
        found = holds(path, wanted)
        assert found is None or _is_foreign(path, deployment.folder), f"{path} holds a secret"
        assert not path.name.startswith("core"), f"{path} was left by a crash"
    assert searched > 10
    assert list(scratch.rglob("*")) == [], "something was written beside the home"
    if not is_swap_off():
        # Then it must be named: the worker's memory is locked, or the sandbox says that it is not.
        assert "memory" in str(layers)


def test_no_secret_in_arguments_or_environment(deployment: Deployment, serve: Serve) -> None:
    deployment.add(marked(), MODEL)
    server = serve("marked")
    with Load(serve("linear"), threads=1) as load:
        wait_for_answers(load, 3)
        secrets = secrets_of(deployment)
        looked_at = 0
        for entry in PROC.iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            for name in ("cmdline", "environ"):
                try:
                    content = (entry / name).read_bytes()
                except OSError:
                    continue
                looked_at += 1
                for what, secret in secrets.items():
                    assert not any(one in content for one in spellings(secret)), f"{entry.name}: {what}"
        assert looked_at > 10
    for pid in (*server.workers, server.gateway):
        # Nor can anybody of the same user look inside; root can, and docs/threat-model.md says so.
        assert "STRONGROOM" not in (PROC / str(pid) / "environ").read_bytes().decode(errors="replace")


def test_worker_and_gateway_leave_no_core_and_hold_no_file_of_the_home(
    deployment: Deployment, serve: Serve
) -> None:
    server = serve("linear")
    for pid in (*server.workers, server.gateway):
        limits = (PROC / str(pid) / "limits").read_text()
        (core,) = [line for line in limits.splitlines() if line.startswith("Max core file size")]
        assert core.split()[4:6] == ["0", "0"]
    home = str(deployment.home)
    for pid in server.workers:
        assert not [name for name in _open_names(pid) if name.startswith(("/tmp", home))]
    # The gateway has its journal and nothing else of the home.
    held = [name for name in _open_names(server.gateway) if name.startswith(home)]
    assert held
    assert all(name.startswith(f"{home}/journals/") for name in held)


def test_supervisor_keeps_neither_the_plaintext_nor_its_key(deployment: Deployment, serve: Serve) -> None:
    """It holds both only while unsealing; afterwards its memory, searched whole, has them nowhere."""
    if os.geteuid() != 0:
        pytest.skip("needs root to search another process")
    deployment.add(marked(), MODEL)
    secrets = secrets_of(deployment)
    server = serve("marked")
    found = {what for what, secret in secrets.items() if _memory_holds(server.pid, secret)}
    assert found <= {"passphrase"}, "the supervisor still has what it only passes on"


def _is_foreign(path: Path, home: Path) -> bool:
    """A file of other tests that run at the same time and use the same passphrase and marker."""
    return not path.is_relative_to(home) and "pytest-" in str(path)


def _answers(server: Server) -> bool:
    try:
        with server.client() as client:
            return client.predict("marked", [[1, 1, 1, 1]]).model == "marked"
    except Exception:
        return False


def _allow_cores() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))


def _open_names(pid: int) -> list[str]:
    names = []
    for entry in (PROC / str(pid) / "fd").iterdir():
        try:
            names.append(os.readlink(entry))
        except OSError:
            continue
    return names


def _memory_holds(pid: int, secret: bytes) -> bool:
    maps = (PROC / str(pid) / "maps").read_text().splitlines()
    with (PROC / str(pid) / "mem").open("rb", buffering=0) as memory:
        for line in maps:
            span, rights, *_ = line.split()
            if "r" not in rights or "[v" in line:
                continue
            start, end = (int(value, 16) for value in span.split("-"))
            try:
                memory.seek(start)
                if secret in memory.read(end - start):
                    return True
            except (OSError, OverflowError, ValueError):
                continue
    return False

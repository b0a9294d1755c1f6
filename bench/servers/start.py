"""Starts each server of the comparison, ready to answer, with all of its processes on one core.

Every one answers ``POST /v2/models/tumour/infer`` over TLS 1.3 and lets in only who shows a client
certificate. To add one, write a function and name it in `SERVERS`.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from certificates import Certificates

from strongroom import Strongroom

SERVER_CORE = 0
_FOLDER = Path(__file__).resolve().parent
_OTHERS = _FOLDER.parent.parent / ".venv-bench" / "bin" / "python"
_STOP_TIMEOUT_S = 10
_PASSPHRASE = "a bench keeps no secrets"  # noqa: S105 - of a home that is deleted again
_PORT, _BACKEND_PORT, _GRPC_PORT, _METRICS_PORT = 18443, 18080, 18081, 18082


class UnavailableError(Exception):
    """This server cannot run here; the message says why."""


@dataclass
class Server:
    """A running server. ``certificates`` are the ones a client needs for it."""

    certificates: Certificates
    processes: list[subprocess.Popen[bytes]]
    url: str = f"https://127.0.0.1:{_PORT}/v2/models/tumour/infer"
    headers: dict[str, str] = field(default_factory=dict)

    def stop(self) -> None:
        for process in reversed(self.processes):
            for number in (signal.SIGTERM, signal.SIGKILL):
                if process.poll() is None:
                    os.killpg(process.pid, number)
                try:
                    process.wait(_STOP_TIMEOUT_S)
                    break
                except subprocess.TimeoutExpired:
                    continue


def start_strongroom(model: Path, folder: Path, _: Certificates) -> Server:
    """Publish ``model`` as tumour@1.0.0 in a fresh home, have it approved, serve it with every default."""
    home, exports = folder / "home", folder / "alice"
    alice = Strongroom.init(home, passphrase=_PASSPHRASE, founder="alice")
    alice.add_identity("bob", roles=("reviewer",))
    alice.publish(model, "tumour@1.0.0", owner="bench")
    Strongroom(home, acting="bob", passphrase=_PASSPHRASE).approve("tumour@1.0.0")
    alice.export_identity("alice", exports)
    secret = folder / "passphrase"
    secret.write_text(_PASSPHRASE + "\n")
    command = [sys.executable, "-m", "strongroom", "serve", "tumour", "--home", str(home)]
    command += ["--host", "127.0.0.1", "--port", str(_PORT), "--passphrase-file", str(secret), "--json"]
    own = Certificates(
        exports / "ca.pem", home / "none", home / "none", exports / "alice.pem", exports / "alice.key"
    )
    return Server(own, [_spawn(command, folder)])


def start_fixed_answer(_: Path, folder: Path, certificates: Certificates) -> Server:
    script = str(_FOLDER / "fixed_answer.py")
    paths = [str(path) for path in (certificates.server, certificates.server_key, certificates.ca)]
    return Server(certificates, [_spawn([sys.executable, script, str(_PORT), *paths], folder)])


def start_fastapi(model: Path, folder: Path, certificates: Certificates) -> Server:
    command = [str(_require(_OTHERS)), "-m", "uvicorn", "fastapi_app:app", "--app-dir", str(_FOLDER)]
    command += ["--port", str(_PORT), "--loop", "uvloop", "--http", "httptools", "--no-access-log"]
    command += ["--log-level", "warning", "--ssl-cert-reqs", "2"]  # ssl.CERT_REQUIRED
    command += ["--ssl-certfile", str(certificates.server), "--ssl-keyfile", str(certificates.server_key)]
    command += ["--ssl-ca-certs", str(certificates.ca)]
    return Server(certificates, [_spawn(command, folder, BENCH_MODEL=str(model))])


def start_mlserver(model: Path, folder: Path, certificates: Certificates) -> Server:
    settings = {
        "host": "127.0.0.1",
        "http_port": _BACKEND_PORT,
        "grpc_port": _GRPC_PORT,
        "metrics_endpoint": None,
        "metrics_port": _METRICS_PORT,
        "parallel_workers": 0,  # one core: a pool would only add copies
        "use_structured_logging": False,
        "debug": False,
    }
    served = {
        "name": "tumour",
        "implementation": "mlserver_onnx.OnnxModel",
        "parameters": {"uri": str(model)},
    }
    (folder / "settings.json").write_text(json.dumps(settings))
    (folder / "model-settings.json").write_text(json.dumps(served))
    (folder / "mlserver_onnx.py").write_text((_FOLDER / "mlserver_onnx.py").read_text())
    mlserver = _spawn([str(_require(_OTHERS.with_name("mlserver"))), "start", str(folder)], folder)
    return Server(certificates, [mlserver, _start_nginx(folder, certificates)])


def _start_nginx(folder: Path, certificates: Certificates) -> subprocess.Popen[bytes]:
    """TLS 1.3 and client certificates in front of a server that speaks plain HTTP; connections are reused."""
    config = folder / "nginx.conf"
    config.write_text(
        f"""
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log stderr error;
events {{ worker_connections 1024; }}
http {{
  access_log off; keepalive_requests 100000000; client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u;
  scgi_temp_path {folder}/s;
  upstream backend {{ server 127.0.0.1:{_BACKEND_PORT}; keepalive 64; keepalive_requests 100000000; }}
  server {{
    listen 127.0.0.1:{_PORT} ssl;
    ssl_protocols TLSv1.3; ssl_verify_client on; ssl_client_certificate {certificates.ca};
    ssl_certificate {certificates.server}; ssl_certificate_key {certificates.server_key};
    location / {{ proxy_pass http://backend; proxy_http_version 1.1; proxy_set_header Connection ""; }}
  }}
}}
"""
    )
    nginx = _require(Path("/usr/sbin/nginx"))
    return _spawn([str(nginx), "-p", str(folder), "-e", "stderr", "-c", str(config)], folder)


def _spawn(command: list[str], folder: Path, **environment: str) -> subprocess.Popen[bytes]:
    with (folder / "output.log").open("ab") as output:
        return subprocess.Popen(
            ["taskset", "-c", str(SERVER_CORE), *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=folder,
            env={**os.environ, "ORT_DISABLE_TELEMETRY": "1", **environment},
            start_new_session=True,
        )


def _require(path: Path) -> Path:
    if not path.exists():
        raise UnavailableError(f"there is no {path.name}; `make bench` installs it")
    return path


def processor_s(server: Server) -> float:
    """Processor seconds of all processes of the server and of all that they started, so far."""
    parents: dict[int, int] = {}
    ticks: dict[int, int] = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it ended meanwhile
        number = int(status.parent.name)
        parents[number] = int(fields[1])
        ticks[number] = sum(int(field) for field in fields[11:15])  # proc(5): utime, stime, cutime, cstime
    family = {process.pid for process in server.processes}
    while found := {number for number, parent in parents.items() if parent in family} - family:
        family |= found
    return sum(ticks.get(number, 0) for number in family) / os.sysconf("SC_CLK_TCK")


def wait_until(ready: Callable[[], object], server: Server, folder: Path, timeout_s: float = 60) -> None:
    """Call ``ready`` until it stops raising OSError.

    Raises:
        UnavailableError: a process of the server ended, or the time is up; with the end of what it printed.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            ready()
            return
        except OSError as error:
            dead = any(process.poll() is not None for process in server.processes)
            if dead or time.monotonic() > deadline:
                output = (folder / "output.log").read_text(errors="replace").strip().splitlines()
                raise UnavailableError(f"{error}; {' / '.join(output[-3:])}") from None
        time.sleep(0.2)


Start = Callable[[Path, Path, Certificates], Server]

SERVERS: dict[str, tuple[str, Start]] = {
    "fixed": ("TLS and a fixed answer", start_fixed_answer),
    "strongroom": ("strongroom", start_strongroom),
    "fastapi": ("FastAPI + uvicorn, mTLS", start_fastapi),
    "mlserver": ("MLServer behind nginx mTLS", start_mlserver),
}

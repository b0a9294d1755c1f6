"""Makes load with wrk over TLS with a client certificate, and says how busy wrk itself was."""

import json
import resource
import ssl
import subprocess
import time
from dataclasses import dataclass
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from certificates import Certificates

LOAD_CORE = 1
_SCRIPT = Path(__file__).resolve().parent / "client_certificate.lua"


@dataclass(frozen=True)
class Load:
    requests_per_s: float
    requests: int
    p50_ms: float
    p99_ms: float
    failed: int
    """Answers other than 2xx or 3xx, connections lost, deadlines missed."""
    busy: float
    """Share of its core that wrk used: near 1 means that wrk, not the server, was the limit."""


def make_load(url: str, certificates: Certificates, body: Path, connections: int, duration_s: int) -> Load:
    """Keep one request open on each connection for ``duration_s``."""
    command = ["taskset", "-c", str(LOAD_CORE), "wrk", "-t1", f"-c{connections}", f"-d{duration_s}s"]
    command += ["--timeout", "10s", "-s", str(_SCRIPT), url, "--"]
    command += [str(certificates.client), str(certificates.client_key), str(body)]
    used, started = _children_s(), time.monotonic()
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=duration_s + 30,
        check=False,
    )
    busy = (_children_s() - used) / (time.monotonic() - started)
    results = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    if done.returncode or not results:
        raise OSError(f"wrk failed: {(done.stderr or done.stdout).strip()[-300:]}")
    found: dict[str, int] = json.loads(results[0].removeprefix("RESULT "))
    return Load(
        requests_per_s=found["requests"] / found["duration_us"] * 1e6,
        requests=found["requests"],
        p50_ms=found["p50_us"] / 1e3,
        p99_ms=found["p99_us"] / 1e3,
        failed=found["refused"] + found["broken"],
        busy=busy,
    )


def ask(url: str, certificates: Certificates, body: bytes, *, anonymous: bool = False) -> dict[str, Any]:
    """One request over TLS 1.3; raises OSError when it is not answered with 200."""
    parts = urlsplit(url)
    context = ssl.create_default_context(cafile=str(certificates.ca))
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    if not anonymous:
        context.load_cert_chain(certificates.client, certificates.client_key)
    connection = HTTPSConnection(parts.hostname or "", parts.port, context=context, timeout=10)
    try:
        connection.request("POST", parts.path, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        content = answer.read()
    finally:
        connection.close()
    if answer.status != 200:
        raise OSError(f"status {answer.status}: {content[:200]!r}")
    found: dict[str, Any] = json.loads(content)
    return found


def _children_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime

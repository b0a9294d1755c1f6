"""Real git repositories with models in them, good and hostile, and a server that gives them out over HTTP."""

import hashlib
import os
import subprocess
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import orjson

BACKEND = Path("/usr/lib/git-core/git-http-backend")


def git(folder: Path, *arguments: str, stdin: bytes | None = None) -> str:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "a",
        "GIT_AUTHOR_EMAIL": "a@example.org",
        "GIT_COMMITTER_NAME": "a",
        "GIT_COMMITTER_EMAIL": "a@example.org",
        "GIT_AUTHOR_DATE": "2026-01-01T00:00:00Z",
        "GIT_COMMITTER_DATE": "2026-01-01T00:00:00Z",
    }
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments], env=environment, check=True, capture_output=True, input=stdin
    )
    return done.stdout.decode().strip()


def make_repository(folder: Path, files: dict[str, bytes], *, lfs: dict[str, bytes] | None = None) -> str:
    """Make a repository with one commit on ``main``, tagged ``v1``; return the commit."""
    folder.mkdir(parents=True)
    git(folder, "init", "-q", "-b", "main")
    for path, content in (lfs or {}).items():
        name = hashlib.sha256(content).hexdigest()
        stored = folder / ".git" / "lfs" / "objects" / name[:2] / name[2:4] / name
        stored.parent.mkdir(parents=True)
        stored.write_bytes(content)
        files = {**files, path: pointer(content)}
    return commit(folder, files, tag="v1")


def commit(folder: Path, files: dict[str, bytes], *, tag: str = "") -> str:
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "--no-verify", "-m", "a model")
    if tag:
        git(folder, "tag", "-a", tag, "-m", tag)
    return git(folder, "rev-parse", "HEAD")


def pointer(content: bytes) -> bytes:
    digest = hashlib.sha256(content).hexdigest()
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize {len(content)}\n".encode()


class Forge:
    """git over HTTP by git's own server program, and the LFS interface beside it.

    ``token``: what the Authorization header must be, if anything. ``seen``: every header that came.
    """

    def __init__(self, root: Path, *, token: str = "") -> None:
        self.root = root
        self.token = token
        self.lfs: dict[str, bytes] = {}
        self.seen: list[tuple[str, dict[str, str]]] = []
        self.answer: Callable[[str], tuple[int, dict[str, str], bytes] | None] = lambda path: None
        forge = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *arguments: object) -> None:
                """Nothing is printed."""

            def do_GET(self) -> None:
                self._act()

            def do_POST(self) -> None:
                self._act()

            def _act(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                forge.seen.append((self.path, dict(self.headers)))
                told = forge.answer(self.path)
                if told is None and forge.token and self.headers.get("Authorization") != forge.token:
                    told = (401, {"WWW-Authenticate": "Basic"}, b"")
                if told is None and "/info/lfs/" in self.path:
                    told = forge._batch(body)
                if told is None and self.path.startswith("/media/"):
                    told = (200, {}, forge.lfs[self.path.rpartition("/")[2]])
                status, headers, content = told or forge._git(
                    self.command, self.path, dict(self.headers), body
                )
                self.send_response(status)
                for name, value in ({"Content-Length": str(len(content))} | headers).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _batch(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        name = orjson.loads(body)["objects"][0]["oid"]
        action = {
            "href": f"{self.url}/media/{name}",
            "header": {"Authorization": self.token} if self.token else {},
        }
        one = {"oid": name, "size": len(self.lfs.get(name, b"")), "actions": {"download": action}}
        if name not in self.lfs:
            one = {"oid": name, "error": {"code": 404, "message": "no such file"}}
        return 200, {"Content-Type": "application/vnd.git-lfs+json"}, orjson.dumps({"objects": [one]})

    def _git(
        self, method: str, path: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        inner, _, query = path.partition("?")
        done = subprocess.run(
            [str(BACKEND)],
            input=body,
            capture_output=True,
            check=True,
            env={
                "PATH": os.environ["PATH"],
                "GIT_PROJECT_ROOT": str(self.root),
                "GIT_HTTP_EXPORT_ALL": "1",
                "GIT_CONFIG_COUNT": "1",
                "GIT_CONFIG_KEY_0": "safe.directory",
                "GIT_CONFIG_VALUE_0": "*",
                "PATH_INFO": inner,
                "QUERY_STRING": query,
                "REQUEST_METHOD": method,
                "CONTENT_TYPE": headers.get("Content-Type", ""),
                "CONTENT_LENGTH": str(len(body)),
                "HTTP_CONTENT_ENCODING": headers.get("Content-Encoding", ""),
                "GIT_PROTOCOL": headers.get("Git-Protocol", ""),
            },
        )
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        said = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        return int(said.pop("Status", "200").split()[0]), said, content

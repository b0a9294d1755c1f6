"""Stand-ins of the Hugging Face Hub and of an OCI registry, written from their public interfaces."""

import base64
import hashlib
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

import orjson

Told = tuple[int, dict[str, str], bytes]
COMMIT = "0123456789" * 4


class Server:
    """Answers with what ``answer`` returns; ``override`` first, where a test plays another server."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, dict[str, str]]] = []
        self.override: Callable[[str], Told | None] = lambda path: None
        server = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *arguments: object) -> None:
                """Nothing is printed."""

            def do_GET(self) -> None:
                server.seen.append((self.path, dict(self.headers)))
                told = server.override(self.path) or server.answer(self.path, dict(self.headers))
                status, headers, content = told
                self.send_response(status)
                for name, value in ({"Content-Length": str(len(content))} | headers).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def port(self) -> int:
        return self._server.server_port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def answer(self, path: str, headers: dict[str, str]) -> Told:
        return 404, {}, b""

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def secrets(self) -> list[str]:
        """Every Authorization header that came."""
        return [headers["Authorization"] for _, headers in self.seen if "Authorization" in headers]


class HubServer(Server):
    """One repository, ``org/model``. ``storage``: where LFS files are, if not here."""

    def __init__(self, files: dict[str, bytes], lfs: dict[str, bytes], *, token: str = "") -> None:
        self.files, self.lfs, self.token = files, lfs, token
        self.storage: Server | None = None
        self.page = 1000
        super().__init__()

    def entries(self) -> list[dict[str, object]]:
        found: list[dict[str, object]] = [{"type": "directory", "oid": "ab" * 20, "size": 0, "path": "onnx"}]
        for path, content in self.files.items():
            blob = hashlib.sha1(
                f"blob {len(content)}\0".encode() + content, usedforsecurity=False
            ).hexdigest()
            found.append({"type": "file", "oid": blob, "size": len(content), "path": path})
        for path, content in self.lfs.items():
            oid = hashlib.sha256(content).hexdigest()
            big = {"oid": oid, "size": len(content), "pointerSize": 130}
            found.append({"type": "file", "oid": "cd" * 20, "size": len(content), "path": path, "lfs": big})
        return found

    def answer(self, path: str, headers: dict[str, str]) -> Told:
        if self.token and headers.get("Authorization") != f"Bearer {self.token}":
            return 401, {}, b'{"error":"Invalid credentials"}'
        parts = urlsplit(path)
        inner = unquote(parts.path)
        if inner in (f"/api/models/org/model/revision/{name}" for name in (COMMIT, "main", "v1.0")):
            return 200, {}, orjson.dumps({"id": "org/model", "sha": COMMIT})
        if inner == f"/api/models/org/model/tree/{COMMIT}":
            start = int(parse_qs(parts.query).get("cursor", ["0"])[0])
            entries = self.entries()
            more = {}
            if start + self.page < len(entries):
                url = f"{self.url}{parts.path}?recursive=true&cursor={start + self.page}"
                more = {"Link": f'<{url}>; rel="next"'}
            return 200, more, orjson.dumps(entries[start : start + self.page])
        name = inner.removeprefix(f"/org/model/resolve/{COMMIT}/")
        if name in self.files:
            return 200, {}, self.files[name]
        if name in self.lfs and self.storage is not None:
            return 302, {"Location": f"http://localhost:{self.storage.port}/{name}?X-Signature=00"}, b""
        if name in self.lfs:
            return 200, {}, self.lfs[name]
        return 404, {}, b""


class RegistryServer(Server):
    """One repository, ``team/model``; with ``login``, tokens are given to that user and password."""

    def __init__(self, *, login: str = "") -> None:
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[str, bytes] = {}
        self.login = login
        self.given = "t" + "oken"
        super().__init__()

    def add(self, content: bytes) -> str:
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        self.blobs[digest] = content
        return digest

    def layer(self, content: bytes, media_type: str, **notes: str) -> dict[str, object]:
        named = {
            {"path": "org.cncf.model.filepath", "title": "org.opencontainers.image.title"}[name]: value
            for name, value in notes.items()
        }
        digest = self.add(content)
        return {"mediaType": media_type, "digest": digest, "size": len(content), "annotations": named}

    def push(self, layers: list[dict[str, object]], **more: object) -> str:
        """Store a manifest, tagged ``v1``; return its digest."""
        value = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "artifactType": "application/vnd.cncf.model.manifest.v1+json",
            "config": {
                "mediaType": "application/vnd.cncf.model.config.v1+json",
                "digest": self.add(b"{}"),
                "size": 2,
            },
            "layers": layers,
            **more,
        }
        return self.push_raw(orjson.dumps(value))

    def push_raw(self, body: bytes) -> str:
        digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
        self.manifests |= {digest: body, "v1": body}
        return digest

    def answer(self, path: str, headers: dict[str, str]) -> Told:
        inner = urlsplit(path).path
        if inner == "/token":
            wanted = "Basic " + base64.b64encode(self.login.encode()).decode()
            if headers.get("Authorization") != wanted:
                return 401, {}, b""
            assert parse_qs(urlsplit(path).query)["scope"] == ["repository:team/model:pull"]
            return 200, {}, orjson.dumps({"token": self.given})
        if self.login and headers.get("Authorization") != f"Bearer {self.given}":
            challenge = (
                f'Bearer realm="{self.url}/token",service="registry",scope="repository:team/model:pull"'
            )
            return 401, {"WWW-Authenticate": challenge}, b"{}"
        kind, _, name = inner.removeprefix("/v2/team/model/").partition("/")
        found = {"manifests": self.manifests, "blobs": self.blobs}.get(kind, {}).get(name)
        return (404, {}, b"") if found is None else (200, {}, found)

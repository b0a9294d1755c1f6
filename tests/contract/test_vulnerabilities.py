"""Where vulnerability databases lie, and where they come from: files, folders, archives, servers."""

import hashlib
import http.server
import io
import os
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from strongroom.adapters.vulnerabilities import download as downloading
from strongroom.adapters.vulnerabilities import sources
from strongroom.adapters.vulnerabilities.download import download, is_url
from strongroom.adapters.vulnerabilities.local import LocalVulnerabilities
from strongroom.adapters.vulnerabilities.memory import MemoryVulnerabilities
from strongroom.adapters.vulnerabilities.sources import open_source
from strongroom.errors import InvalidError, OutageError, RejectedError
from strongroom.ports import Vulnerabilities
from strongroom.values import Digest

ONE, TWO = b"one database\n", b"another\n"
RECORD = b'{"id": "A-1", "modified": "2026-01-01T00:00:00Z"}'


@pytest.fixture(params=["memory", "local"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Vulnerabilities:
    return MemoryVulnerabilities() if request.param == "memory" else LocalVulnerabilities(tmp_path / "osv")


def test_what_was_put_is_read(store: Vulnerabilities) -> None:
    for data in (ONE, TWO, ONE):
        store.put(Digest.of(data), data)
    assert store.read(Digest.of(ONE), 100) == ONE
    assert store.read(Digest.of(TWO), 100) == TWO


def test_missing_too_large_and_misnamed(store: Vulnerabilities) -> None:
    with pytest.raises(RejectedError, match="missing"):
        store.read(Digest.of(ONE), 100)
    store.put(Digest.of(ONE), ONE)
    with pytest.raises(RejectedError, match="at most 3"):
        store.read(Digest.of(ONE), 3)
    with pytest.raises(RejectedError, match="not what its digest"):
        store.put(Digest.of(ONE), TWO)


def test_only_one_is_kept(store: Vulnerabilities) -> None:
    store.keep_only(Digest.of(ONE))
    for data in (ONE, TWO):
        store.put(Digest.of(data), data)
    store.keep_only(Digest.of(TWO))
    assert store.read(Digest.of(TWO), 100) == TWO
    with pytest.raises(RejectedError):
        store.read(Digest.of(ONE), 100)


def test_swapped_on_disk(tmp_path: Path) -> None:
    store = LocalVulnerabilities(tmp_path / "osv")
    store.put(Digest.of(ONE), ONE)
    (path,) = (tmp_path / "osv").iterdir()
    path.write_bytes(TWO)
    with pytest.raises(RejectedError, match="changed since"):
        store.read(Digest.of(ONE), 100)


@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_something_else_in_its_place(tmp_path: Path, kind: str) -> None:
    store = LocalVulnerabilities(tmp_path / "osv")
    store.put(Digest.of(ONE), ONE)
    (path,) = (tmp_path / "osv").iterdir()
    path.unlink()
    if kind == "link":
        (tmp_path / "elsewhere").write_bytes(ONE)
        path.symlink_to(tmp_path / "elsewhere")
    else:
        os.mkfifo(path)
    with pytest.raises((RejectedError, OutageError)):
        store.read(Digest.of(ONE), 100)


def test_strangers_and_the_modes_of_files(tmp_path: Path) -> None:
    folder = tmp_path / "osv"
    store = LocalVulnerabilities(folder)
    store.put(Digest.of(ONE), ONE)
    (folder / "note.txt").write_text("mine")
    store.keep_only(Digest.of(TWO))
    assert [path.name for path in folder.iterdir()] == ["note.txt"]
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "osv").write_text("a file")
    with pytest.raises(OutageError):
        LocalVulnerabilities(tmp_path / "osv").put(Digest.of(ONE), ONE)


# Sources


def packed(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return made.getvalue()


def read(path: Path, data: bytes | None = None, expected: str | None = None) -> list[bytes]:
    if data is not None:
        path.write_bytes(data)
    source = open_source(path, expected)
    try:
        return list(source.records())
    finally:
        source.close()


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("all.zip", packed({"A-1.json": RECORD, "deep/A-2.json": RECORD})),
        ("stored.zip", packed({"A-1.json": RECORD, "A-2.json": RECORD}, zipfile.ZIP_STORED)),
        ("all.jsonl", RECORD + b"\n\n" + RECORD + b"\n"),
        ("list.json", b"[" + RECORD + b"," + RECORD + b"]"),
    ],
)
def test_two_records_in_every_form(tmp_path: Path, name: str, data: bytes) -> None:
    assert len(read(tmp_path / name, data)) == 2


def test_one_record_and_a_folder(tmp_path: Path) -> None:
    assert read(tmp_path / "one.json", RECORD) == [RECORD]
    (tmp_path / "note.txt").write_text("not a record")
    folder = open_source(tmp_path)
    assert list(folder.records()) == [RECORD]
    assert len(folder.sha256) == 64


def test_the_expected_digest_is_compared_before_anything_is_read(tmp_path: Path) -> None:
    path = tmp_path / "one.json"
    assert read(path, RECORD, hashlib.sha256(RECORD).hexdigest()) == [RECORD]
    with pytest.raises(RejectedError, match="another digest"):
        read(path, b"not even json", "0" * 64)
    with pytest.raises(InvalidError, match="64 hexadecimal"):
        open_source(path, "abc")
    with pytest.raises(InvalidError, match="not for a folder"):
        open_source(tmp_path, "0" * 64)


def _flip(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def _encrypted(data: bytes) -> bytes:
    at = data.rfind(b"PK\x01\x02") + 8
    return data[:at] + b"\x01\x00" + data[at + 2 :]


STORED = packed({"A-1.json": RECORD}, zipfile.ZIP_STORED)


@pytest.mark.parametrize(
    "data",
    [
        packed({"A-1.json": RECORD, "run.py": b"import os"}),
        packed({"A-1.json": RECORD}, zipfile.ZIP_BZIP2),
        _flip(STORED, STORED.find(b"modified")),
        _encrypted(STORED),
        STORED[:-8],
        STORED[:40],
        b"PK\x03\x04 nothing more",
    ],
    ids=["stranger", "method", "flip", "encrypted", "cut-end", "cut-all", "no-end"],
)
def test_archives_that_cannot_be_read_wholly_are_refused(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(RejectedError):
        read(tmp_path / "all.zip", data)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_one_name_twice_in_an_archive(tmp_path: Path) -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("A-1.json", RECORD)
        archive.writestr("A-1.json", RECORD)
    with pytest.raises(RejectedError, match="twice"):
        read(tmp_path / "all.zip", made.getvalue())


def test_bombs_and_too_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = packed({"A-1.json": b" " * (sources.MAX_RECORD_BYTES + 1)})
    with pytest.raises(RejectedError, match="larger than"):
        read(tmp_path / "all.zip", bomb)
    many = packed({f"A-{number}.json": RECORD for number in range(20)})
    for name, value, words in (
        ("MAX_UNPACKED_BYTES", 100, "unpacks to more"),
        ("MAX_RECORDS", 10, "more than 10 members"),
        ("MAX_DIRECTORY_BYTES", 100, "more than 100 bytes of members"),
        ("MAX_FILE_BYTES", 100, "larger than 100"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(sources, name, value)
            with pytest.raises(RejectedError, match=words):
                read(tmp_path / "all.zip", many)


def test_a_line_that_does_not_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "MAX_RECORD_BYTES", 50)
    with pytest.raises(RejectedError, match="longer than 50"):
        read(tmp_path / "all.jsonl", b"x" * 100)


def test_what_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", "absent"):
        with pytest.raises(InvalidError):
            open_source(tmp_path / name)
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "A.json").symlink_to("/etc/hostname")
    with pytest.raises(OutageError):
        list(open_source(folder).records())


# Servers


class _Mirror(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path.startswith("/elsewhere"):
            self.send_response(302)
            self.send_header("Location", "http://127.0.0.2:1/all.json")
            self.end_headers()
        elif self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/all.json")
            self.end_headers()
        elif self.path == "/cut":
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(RECORD)
        elif self.path.startswith("/all.json"):
            self.send_response(200)
            self.send_header("Content-Length", str(len(RECORD)))
            self.end_headers()
            self.wfile.write(RECORD)
        else:
            self.send_error(404)

    def log_message(self, *arguments: Any) -> None:
        """Silence."""


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Mirror)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize("path", ["/all.json", "/moved", "/all.json?token=secret"])
def test_a_mirror_on_this_machine(tmp_path: Path, mirror: str, path: str) -> None:
    source = download(mirror + path, tmp_path, insecure_http=True)
    assert list(source.records()) == [RECORD]
    assert "secret" not in source.name
    source.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("path", "words"),
    [("/elsewhere", "sends us to"), ("/cut", "cut off|does not answer"), ("/absent", "404")],
)
def test_servers_that_are_not_believed(tmp_path: Path, mirror: str, path: str, words: str) -> None:
    with pytest.raises((RejectedError, OutageError), match=words):
        download(mirror + path, tmp_path, insecure_http=True)
    assert list(tmp_path.iterdir()) == []


def test_an_answer_without_end(tmp_path: Path, mirror: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloading, "MAX_FILE_BYTES", 10)
    with pytest.raises(RejectedError, match="larger than 10"):
        download(f"{mirror}/all.json", tmp_path, insecure_http=True)
    monkeypatch.setattr(downloading, "MAX_FILE_BYTES", 1000)
    monkeypatch.setattr(downloading, "MAX_DURATION_S", -1)
    with pytest.raises(OutageError, match="took longer"):
        download(f"{mirror}/all.json", tmp_path, insecure_http=True)


@pytest.mark.parametrize("insecure", [True, False])
@pytest.mark.parametrize(
    "url",
    [
        "http://osv.example/all.zip",
        "http://127.0.0.1.example/all.zip",
        "http://10.0.0.1/all.zip",
        "ftp://osv.example/all.zip",
        "file:///etc/passwd",
        "https://user:pw@osv.example/all.zip",
        "https:///all.zip",
        "https://osv.example:port/all.zip",
        "https://osv.exämple/all.zip",
        "https://osv.example/" + "x" * 3000,
        "https://[::1/all.zip",
    ],
)
def test_addresses_that_are_not_fetched_from(tmp_path: Path, url: str, insecure: bool) -> None:
    with pytest.raises(InvalidError) as caught:
        download(url, tmp_path, insecure_http=insecure)
    assert "pw" not in caught.value.message


def test_http_to_this_machine_has_to_be_asked_for(tmp_path: Path) -> None:
    with pytest.raises(InvalidError, match="not protected"):
        download("http://localhost:1/all.zip", tmp_path)


def test_tls_is_verified(tmp_path: Path, mirror: str) -> None:
    """A server that speaks no TLS, where TLS is asked for, is nobody."""
    with pytest.raises((RejectedError, OutageError)):
        download(mirror.replace("http:", "https:") + "/all.json", tmp_path)


def test_paths_are_no_addresses() -> None:
    assert is_url("https://osv.example/all.zip")
    assert not is_url("/data/all.zip")
    assert not is_url("all.zip")

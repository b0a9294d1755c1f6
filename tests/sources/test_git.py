"""A model from a commit: what comes out is what the commit names; then hostile repositories and servers."""

import hashlib
import os
import subprocess
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from strongroom.adapters.sources import git as opening
from strongroom.adapters.sources import git_process, lfs, scratch
from strongroom.adapters.sources.address import parse_address
from strongroom.adapters.sources.git import GitServer, open_local, open_remote
from strongroom.adapters.sources.git_objects import parse_tree
from strongroom.adapters.sources.pinned import PinnedSource
from strongroom.adapters.sources.web import Web, build_basic
from strongroom.errors import DeniedError, InvalidError, OutageError, RejectedError, StrongroomError
from tests.sources.repository import Forge, commit, git, make_repository, pointer

MODEL = b"weights" * 1000
FILES = {"model.onnx": MODEL, "docs/readme.txt": b"hello", "run.sh": b"echo\n"}
WEB = Web("git")


def _local(folder: Path, reference: str, path: str = "", only: tuple[str, ...] = ()) -> PinnedSource:
    return open_local(parse_address(f"git:{folder}@{reference}{f'#{path}' if path else ''}"), only)


def _content(source: PinnedSource) -> dict[str, bytes]:
    found = {}
    try:
        for file in source.files:
            buffer = bytearray(file.size)
            assert file.read_into(0, memoryview(buffer)) == file.size
            assert file.read_into(file.size, memoryview(bytearray(1))) == 0
            file.require_unchanged()
            found[file.path] = bytes(buffer)
    finally:
        source.close()
    return found


@pytest.fixture(autouse=True)
def nothing_left(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No descriptor, no child and no folder outlives what opened it."""
    before = len(os.listdir("/proc/self/fd"))
    with tempfile.TemporaryDirectory(prefix="strongroom-test-", dir=scratch.MEMORY) as own:
        monkeypatch.setattr(scratch, "MEMORY", Path(own))
        yield
        assert list(Path(own).iterdir()) == []
    assert len(os.listdir("/proc/self/fd")) <= before + 2


@pytest.fixture
def forge(tmp_path: Path) -> Iterator[Forge]:
    made = Forge(tmp_path)
    yield made
    made.close()


def _remote(
    forge: Forge, reference: str, name: str = "repo/.git", only: tuple[str, ...] = (), secret: str = ""
) -> PinnedSource:
    address = parse_address(f"git+{forge.url}/{name}@{reference}")
    return open_remote(address, only, GitServer(WEB, secret))


# What comes out


def test_commit_of_a_local_repository(tmp_path: Path) -> None:
    made = make_repository(tmp_path / "repo", FILES, lfs={"big.bin": b"big" * 5000})
    source = _local(tmp_path / "repo", made)
    assert source.provenance.revision == made
    assert source.provenance.facts["lfs_files"] == "1"
    raw = subprocess.run(
        ["git", "-C", str(tmp_path / "repo"), "cat-file", "commit", made], capture_output=True, check=True
    ).stdout
    assert source.provenance.facts["commit_sha256"] == hashlib.sha256(raw).hexdigest()
    assert set(source.promised) == {"big.bin"}
    assert _content(source) == {**FILES, "big.bin": b"big" * 5000}


@pytest.mark.parametrize("kind", ["packed", "bare", "worktree", "alternates"])
def test_other_shapes_of_a_repository(kind: str, tmp_path: Path) -> None:
    repo = tmp_path / "repo"
    made = make_repository(repo, FILES)
    place = tmp_path / "other"
    if kind == "packed":
        git(repo, "gc", "-q")
        place = repo
    elif kind == "bare":
        git(repo, "clone", "-q", "--bare", ".", str(place))
    elif kind == "worktree":
        git(repo, "worktree", "add", "-q", "--detach", str(place))
    else:
        git(repo, "clone", "-q", "--shared", ".", str(place))
    assert _content(_local(place, made)) == FILES


def test_path_and_patterns(tmp_path: Path) -> None:
    made = make_repository(tmp_path / "repo", FILES)
    assert _content(_local(tmp_path / "repo", made, "model.onnx")) == {"model.onnx": MODEL}
    assert _content(_local(tmp_path / "repo", made, "docs")) == {"readme.txt": b"hello"}
    assert set(_content(_local(tmp_path / "repo", made, only=("*.onnx", "run.*")))) == {
        "model.onnx",
        "run.sh",
    }
    for path, only in (("nothing", ()), ("", ("*.gguf",))):
        with pytest.raises(InvalidError):
            _local(tmp_path / "repo", made, path, only)


def test_commit_of_a_server(tmp_path: Path, forge: Forge) -> None:
    made = make_repository(tmp_path / "repo", FILES, lfs={"big.bin": b"big" * 5000})
    commit(tmp_path / "repo", {"model.onnx": b"newer"})
    forge.lfs[hashlib.sha256(b"big" * 5000).hexdigest()] = b"big" * 5000
    source = _remote(forge, made)
    assert source.provenance.repository == f"{forge.url}/repo/.git"
    assert _content(source) == {**FILES, "big.bin": b"big" * 5000}


def test_token_goes_to_the_server_and_is_in_no_argument(
    tmp_path: Path, forge: Forge, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make_repository(tmp_path / "repo", FILES, lfs={"big.bin": b"big"})
    forge.lfs[hashlib.sha256(b"big").hexdigest()] = b"big"
    forge.token = build_basic("x-access-token", "open" + "sesame")
    started: list[list[str]] = []
    plain = subprocess.Popen

    def watched(arguments: list[str], **more: object) -> object:
        started.append(arguments)
        return plain(arguments, **more)  # type: ignore[call-overload]

    monkeypatch.setattr(git_process.subprocess, "Popen", watched)
    with pytest.raises(InvalidError):
        _remote(forge, made)
    assert _content(_remote(forge, made, secret=forge.token))["big.bin"] == b"big"
    assert started
    assert not any(forge.token in text for arguments in started for text in arguments)


# Branches and tags


@pytest.mark.parametrize("reference", ["main", "v1"])
@pytest.mark.parametrize("packed", [False, True])
def test_moving_reference_of_a_local_repository(reference: str, packed: bool, tmp_path: Path) -> None:
    made = make_repository(tmp_path / "repo", FILES)
    if packed:
        git(tmp_path / "repo", "pack-refs", "--all")
    with pytest.raises(InvalidError, match="which can move") as refused:
        _local(tmp_path / "repo", reference)
    assert f"@{made}" in str(refused.value.hint)


@pytest.mark.parametrize("reference", ["main", "v1"])
def test_moving_reference_of_a_server(reference: str, tmp_path: Path, forge: Forge) -> None:
    made = make_repository(tmp_path / "repo", FILES)
    with pytest.raises(InvalidError, match="which can move") as refused:
        _remote(forge, reference)
    assert f"@{made}" in str(refused.value.hint)


@pytest.mark.parametrize("reference", ["HEAD", "../../etc/passwd", "nothing", "0123456789abcdef", "A" * 40])
def test_what_else_pins_nothing(reference: str, tmp_path: Path) -> None:
    make_repository(tmp_path / "repo", FILES)
    with pytest.raises(InvalidError):
        _local(tmp_path / "repo", reference)


def test_commit_that_is_not_there(tmp_path: Path, forge: Forge) -> None:
    make_repository(tmp_path / "repo", FILES)
    with pytest.raises(InvalidError, match="is not there"):
        _local(tmp_path / "repo", "ab" * 20)
    with pytest.raises(InvalidError, match="gives out no commit"):
        _remote(forge, "ab" * 20)
    with pytest.raises(InvalidError, match="no git repository"):
        _local(tmp_path, "ab" * 20)


def test_tree_or_blob_in_the_place_of_a_commit(tmp_path: Path) -> None:
    repo = tmp_path / "repo"
    make_repository(repo, FILES)
    for name in ("HEAD^{tree}", "HEAD:model.onnx", "v1"):
        with pytest.raises(InvalidError, match="not a commit"):
            _local(repo, git(repo, "rev-parse", name))


# A repository that is hostile


def _replace_object(repo: Path, name: str, kind: str, content: bytes) -> None:
    """Store other bytes under the id of an object."""
    path = repo / ".git" / "objects" / name[:2] / name[2:]
    path.chmod(0o644)
    path.write_bytes(zlib.compress(f"{kind} {len(content)}\0".encode() + content))


def test_swapped_blob(tmp_path: Path) -> None:
    repo = tmp_path / "repo"
    made = make_repository(repo, FILES)
    _replace_object(repo, git(repo, "rev-parse", "HEAD:model.onnx"), "blob", b"another" * 1000)
    with pytest.raises(StrongroomError):
        _content(_local(repo, made))


def test_swapped_tree_and_commit(tmp_path: Path) -> None:
    for index, name in enumerate(("HEAD^{tree}", "HEAD")):
        repo = tmp_path / f"repo{index}"
        made = make_repository(repo, FILES)
        other = git(repo, "hash-object", "-w", "--stdin", stdin=b"evil")
        kind = "tree" if index == 0 else "commit"
        tree = git(repo, "mktree", stdin=f"100644 blob {other}\tmodel.onnx\n".encode())
        new = subprocess.run(
            ["git", "-C", str(repo), "cat-file", "tree", tree], capture_output=True, check=True
        ).stdout
        if kind == "commit":
            new = f"tree {tree}\nauthor a <a> 1 +0000\ncommitter a <a> 1 +0000\n\nx\n".encode()
        _replace_object(repo, git(repo, "rev-parse", name), kind, new)
        with pytest.raises(StrongroomError):
            _content(_local(repo, made))


def test_replacement_refs_and_grafts_change_nothing(tmp_path: Path) -> None:
    repo = tmp_path / "repo"
    made = make_repository(repo, FILES)
    blob = git(repo, "rev-parse", "HEAD:model.onnx")
    git(repo, "replace", blob, git(repo, "hash-object", "-w", "--stdin", stdin=b"another"))
    assert _content(_local(repo, made))["model.onnx"] == MODEL


def test_hooks_filters_helpers_and_settings_do_not_run(tmp_path: Path, forge: Forge) -> None:
    repo, mark = tmp_path / "repo", tmp_path / "ran"
    made = make_repository(repo, {**FILES, ".gitattributes": b"* filter=evil diff=evil\n"})
    for name in ("post-checkout", "reference-transaction", "post-index-change", "pre-auto-gc"):
        hook = repo / ".git" / "hooks" / name
        hook.write_text(f"#!/bin/sh\ntouch {mark}\n")
        hook.chmod(0o755)
    for name in (
        "core.fsmonitor",
        "filter.evil.smudge",
        "filter.evil.process",
        "diff.evil.textconv",
        "core.sshCommand",
        "core.gitProxy",
        "credential.helper",
        "core.pager",
        "uploadpack.packObjectsHook",
        "core.alternateRefsCommand",
    ):
        git(repo, "config", name, f"!touch {mark}")
    (repo / ".git" / "config").open("a").write("[include]\n\tpath = /dev/zero\n")
    assert _content(_local(repo, made))["model.onnx"] == MODEL
    assert not mark.exists()


def test_lazy_fetch_of_a_missing_object_starts_no_transport(tmp_path: Path) -> None:
    """A partial clone whose server is a command: git would start it for the object that is not there."""
    repo, mark = tmp_path / "repo", tmp_path / "ran"
    made = make_repository(repo, FILES)
    name = git(repo, "rev-parse", "HEAD:model.onnx")
    git(repo, "config", "extensions.partialClone", "origin")
    git(repo, "config", "core.repositoryFormatVersion", "1")
    git(repo, "config", "remote.origin.promisor", "true")
    git(repo, "config", "remote.origin.url", f"ext::sh -c touch% {mark}")
    git(repo, "config", "protocol.ext.allow", "always")
    (repo / ".git" / "objects" / name[:2] / name[2:]).unlink()
    with pytest.raises(InvalidError, match="not there"):
        _local(repo, made)
    assert not mark.exists()


@pytest.mark.parametrize("mode", ["120000", "160000"])
def test_links_and_submodules(mode: str, tmp_path: Path) -> None:
    repo = tmp_path / "repo"
    make_repository(repo, FILES)
    name = git(repo, "hash-object", "-w", "--stdin", stdin=b"/etc/passwd")
    made = git(repo, "rev-parse", "HEAD") if mode == "160000" else name
    git(repo, "update-index", "--add", "--cacheinfo", f"{mode},{made},evil")
    git(repo, "commit", "-q", "-m", "x")
    made = git(repo, "rev-parse", "HEAD")
    with pytest.raises(RejectedError, match="symbolic link or a submodule"):
        _local(repo, made)
    assert set(_content(_local(repo, made, only=("*.onnx",)))) == {"model.onnx"}


@pytest.mark.parametrize("name", [b"..", b".git", b".GIT", b"a\\b", b"a\nb"])
def test_names_that_lead_elsewhere(name: bytes, tmp_path: Path) -> None:
    repo = tmp_path / "repo"
    make_repository(repo, FILES)
    blob = bytes.fromhex(git(repo, "rev-parse", "HEAD:model.onnx"))
    content = b"100644 " + name + b"\0" + blob
    tree = git(repo, "hash-object", "-t", "tree", "--literally", "-w", "--stdin", stdin=content)
    made = git(repo, "commit-tree", tree, "-m", "x")
    with pytest.raises(RejectedError):
        _local(repo, made)


@pytest.mark.parametrize(
    "content",
    [
        b"100644 a",
        b"100644 a\0" + b"x" * 19,
        b"100644a\0" + b"x" * 20,
        b"777777 a\0" + b"x" * 20,
        b"100644 \0" + b"x" * 20,
        b"100644 a/b\0" + b"x" * 20,
        b"100644 \xff\0" + b"x" * 20,
        (b"100644 a\0" + b"x" * 20) * 2,
    ],
)
def test_malformed_tree(content: bytes) -> None:
    with pytest.raises(RejectedError):
        parse_tree(content, "")


def test_nested_too_deep_and_too_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = make_repository(tmp_path / "deep", {"/".join(["d"] * 20) + "/x": b"1"})
    with pytest.raises(RejectedError, match="nested deeper"):
        _local(tmp_path / "deep", made)
    monkeypatch.setattr(opening, "MAX_FILES", 2)
    made = make_repository(tmp_path / "many", FILES)
    with pytest.raises(RejectedError, match="more than 2 files"):
        _local(tmp_path / "many", made)


# LFS


def test_lfs_file_that_is_missing_or_another(tmp_path: Path) -> None:
    repo = tmp_path / "repo"
    made = make_repository(repo, {}, lfs={"big.bin": b"big" * 100})
    name = hashlib.sha256(b"big" * 100).hexdigest()
    stored = repo / ".git" / "lfs" / "objects" / name[:2] / name[2:4] / name
    for content in (b"BIG" * 100, b"big" * 101):
        stored.write_bytes(content)
        with pytest.raises(RejectedError):
            _content(_local(repo, made))
    stored.write_bytes(b"big")
    with pytest.raises(OutageError, match="short"):
        _content(_local(repo, made))
    stored.unlink()
    with pytest.raises(InvalidError, match="is not there") as missing:
        _content(_local(repo, made))
    assert "git lfs fetch" in str(missing.value.hint)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text + b"x",
        lambda text: text.replace(b"oid sha256:", b"oid sha512:"),
        lambda text: text.replace(b"size ", b"size -"),
        lambda text: text.replace(b"oid", b"ext-0-evil sha256:00\noid"),
        lambda text: text.replace(b"\n", b"\r\n"),
    ],
)
def test_pointer_that_is_none(change: object) -> None:
    assert lfs.find_pointer(pointer(b"x")) is not None
    assert lfs.find_pointer(b"version 2\n") is None
    with pytest.raises(RejectedError):
        lfs.find_pointer(change(pointer(b"x")))  # type: ignore[operator]


def test_lfsconfig_of_the_repository_sends_nobody_elsewhere(tmp_path: Path, forge: Forge) -> None:
    evil = b"[lfs]\n\turl = http://127.0.0.1:1/evil\n"
    made = make_repository(tmp_path / "repo", {".lfsconfig": evil}, lfs={"big.bin": b"big"})
    forge.lfs[hashlib.sha256(b"big").hexdigest()] = b"big"
    assert _content(_remote(forge, made, only=("*.bin",))) == {"big.bin": b"big"}


def test_lfs_server_that_lies(tmp_path: Path, forge: Forge) -> None:
    made = make_repository(tmp_path / "repo", {}, lfs={"big.bin": b"big" * 100})
    name = hashlib.sha256(b"big" * 100).hexdigest()
    with pytest.raises(InvalidError, match="no such file"):
        _content(_remote(forge, made))
    forge.lfs[name] = b"BIG" * 100
    with pytest.raises(RejectedError, match="not what was promised"):
        _content(_remote(forge, made))
    for href in ("http://example.org/x", "file:///etc/passwd", "ftp://127.0.0.1/x"):
        body = f'{{"objects":[{{"oid":"{name}","actions":{{"download":{{"href":"{href}"}}}}}}]}}'.encode()
        forge.answer = lambda path, body=body: (200, {}, body) if "lfs" in path else None
        with pytest.raises((InvalidError, RejectedError)):
            _content(_remote(forge, made))


# A server that is hostile


def test_more_than_may_be_fetched(tmp_path: Path, forge: Forge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "MAX_FETCH_BYTES", 200_000)
    made = make_repository(tmp_path / "repo", {"model.onnx": os.urandom(3_000_000)})
    with pytest.raises((RejectedError, InvalidError)):
        _remote(forge, made)


def test_redirect_is_not_followed_by_git(tmp_path: Path, forge: Forge) -> None:
    made = make_repository(tmp_path / "repo", FILES)
    forge.answer = lambda path: (
        (302, {"Location": f"{forge.url}/repo/.git{path.removeprefix('/moved')}"}, b"")
        if path.startswith("/moved")
        else None
    )
    with pytest.raises(InvalidError):
        _remote(forge, made, "moved")


@pytest.mark.parametrize(
    "text",
    [
        "git+http://example.org/repo@" + "ab" * 20,
        "git+ssh://example.org/repo@" + "ab" * 20,
        "git+https://user:pw@example.org/repo@" + "ab" * 20,
        "git+https://example.org/repo?x=1@" + "ab" * 20,
        "git+https:///repo@" + "ab" * 20,
        "git:--upload-pack=evil@" + "ab" * 20,
        "git:ext::sh@" + "ab" * 20,
        "git:repo",
        "git:@" + "ab" * 20,
        "git:repo@" + "ab" * 20 + "#../x",
    ],
)
def test_addresses_that_are_none(text: str) -> None:
    with pytest.raises((InvalidError, DeniedError)):
        address = parse_address(text)
        if address.is_local:
            open_local(address, ())
        else:
            open_remote(address, (), GitServer(WEB))


def test_what_a_killed_one_left_is_swept(tmp_path: Path) -> None:
    made = make_repository(tmp_path / "repo", FILES)
    left = scratch.Scratch(memory=True)
    held = scratch.Scratch(memory=True)
    os.close(left._lock)
    left._lock = -1
    (left.path / "pack").write_bytes(MODEL)
    again = scratch.Scratch(memory=True)
    assert not left.path.exists()
    assert held.path.exists()
    for one in (held, again):
        one.close()
    assert _content(_local(tmp_path / "repo", made)) == FILES

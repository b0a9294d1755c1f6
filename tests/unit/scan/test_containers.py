import bz2
import gzip
import io
import lzma
import pickle
import tarfile
import zipfile
import zlib
from collections.abc import Callable

import lz4.frame
import pytest
import zstandard

from strongroom.errors import RejectedError
from strongroom.scan import containers
from strongroom.scan import scan as scan_module
from strongroom.scan.containers import descend_members, judge_member
from strongroom.scan.place import Place
from strongroom.scan.scan import MAX_DEPTH, Content, Scan
from strongroom.scan.upload import Report, Verdict, judge
from tests.models import external_data
from tests.unit.artifact.archives import DEFLATED, Member, build
from tests.unit.artifact.objects import Octets, some_bytes
from tests.unit.scan.looking import rules, scan_files

EVIL = b"cos\nsystem\n(S'id'\ntR."
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "lzma": lambda data: lzma.compress(data, lzma.FORMAT_ALONE),
    "zst": zstandard.compress,
    "lz4": lz4.frame.compress,
}


def scan(content: bytes, name: str) -> Report:
    return scan_files({name: content})


def places(report: Report) -> list[str]:
    return [str(match.place).partition(",")[0] for match in report.matches]


def zipped(members: dict[str, bytes], comment: bytes = b"") -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members.items():
            file.writestr(name, data)
        file.comment = comment
    return out.getvalue()


def tarred(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as file:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
    return out.getvalue()


@pytest.mark.parametrize("extension", PACKERS)
def test_what_is_packed_is_judged(extension: str) -> None:
    pack = PACKERS[extension]
    assert scan(pack(b"only text\n"), f"notes.txt.{extension}").verdict is Verdict.ACCEPTED
    report = scan(pack(EVIL), f"model.pkl.{extension}")
    assert report.verdict is Verdict.REFUSED
    assert set(places(report)) == {f"model.pkl.{extension} ! model.pkl"}


def test_a_packed_pickle_of_joblib_keeps_its_name() -> None:
    assert places(scan(zlib.compress(EVIL), "model.joblib"))[0] == "model.joblib ! model.joblib"


@pytest.mark.parametrize("name", ["m.tar.gz", "m.tgz"])
def test_packed_tars_are_entered(name: str) -> None:
    assert scan(gzip.compress(tarred({"a/config.json": b"{}"})), name).verdict is Verdict.ACCEPTED
    report = scan(gzip.compress(tarred({"a/config.json": b"{}", "a/model.pkl": EVIL})), name)
    assert set(places(report)) == {f"{name} ! m.tar ! a/model.pkl"}


@pytest.mark.parametrize("make", [zipped, tarred])
def test_members_are_what_their_names_say(make: Callable[[dict[str, bytes]], bytes]) -> None:
    name = "m.zip" if make is zipped else "m.tar"
    assert scan(
        make({"a.txt": b"text", "b/": b""} if make is zipped else {"a.txt": b"text"}), name
    ).verdict is (Verdict.ACCEPTED)
    assert rules(scan(make({"a.txt": EVIL}), name).matches) > {"format-disguised"}
    assert rules(scan(make({"a.png": b"text"}), name).matches) == {"format-disguised"}
    assert "format-unknown" in rules(scan(make({"a.dat": some_bytes(500)}), name).matches)
    assert "native-program" in rules(scan(make({"lib.so": b"\x7fELF" + bytes(100)}), name).matches)


def test_an_altered_member_is_reported_and_the_others_are_judged() -> None:
    content = build(Member(b"a.txt", b"x").lying(local_crc=7, central_crc=7), Member(b"b.pkl", EVIL))
    report = scan(content, "m.zip")
    assert {"m.zip ! a.txt", "m.zip ! b.pkl"} <= set(places(report))
    assert rules(report.matches) > {"file-malformed"}


def test_an_archive_with_two_truths_is_refused() -> None:
    content = build(Member(b"a.txt", b"text").lying(local_name=b"a.pkl"))
    assert rules(scan(content, "m.zip").matches) == {"file-malformed"}


def test_a_comment_is_looked_through() -> None:
    texts: list[str] = []
    own = Scan({}, judge, lambda scan, text, place: texts.append(text))
    content = zipped({"a.txt": b"x"}, comment=b"made on a Monday")
    containers.scan_zip(own, Content(Octets(content).read_at, len(content), Place("m.zip")))
    assert "made on a Monday" in texts


def nested(levels: int, content: bytes = b"text") -> bytes:
    for _ in range(levels):
        content = zipped({"a": content})
    return content


def test_nesting_is_bounded() -> None:
    assert scan(nested(MAX_DEPTH), "m.zip").verdict is Verdict.ACCEPTED
    report = scan(nested(MAX_DEPTH + 1), "m.zip")
    assert rules(report.matches) == {"file-malformed"}
    assert "nested deeper" in report.matches[0].message
    assert scan(gzip.compress(gzip.compress(nested(MAX_DEPTH - 1))), "m").verdict is Verdict.REFUSED


def test_all_that_is_unpacked_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan_module, "MAX_UNPACKED_BYTES", 5000)
    member = some_bytes(900)
    few = build(*(Member(b"%d" % n, b"text" * 225, DEFLATED) for n in range(5)))
    many = build(*(Member(b"%d" % n, b"text" * 225, DEFLATED) for n in range(6)))
    assert scan(few, "m.zip").verdict is Verdict.ACCEPTED
    assert "unpacks to more" in scan(many, "m.zip").matches[0].message
    assert "unpacks to more" in scan(gzip.compress(member * 6), "m.gz").matches[0].message


def test_a_member_larger_than_memory_allows_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(containers, "MAX_MEMBER_BYTES", 1000)
    assert rules(scan(zipped({"a.txt": b"x" * 1001}), "m.zip").matches) == {"file-malformed"}
    assert rules(scan(gzip.compress(b"x" * 1001), "m.gz").matches) == {"file-malformed"}
    assert scan(build(Member(b"a.txt", b"x" * 1001)), "m.zip").verdict is Verdict.ACCEPTED


def test_an_archive_of_arrays_holds_arrays_only() -> None:
    assert rules(scan(zipped({"a.npy": pickle.dumps([1])}), "m.npz").matches) == {"format-disguised"}
    assert "format-disguised" in rules(scan(zipped({"a.npy": b"", "b.txt": b""}), "m.npz").matches)


def test_members_can_be_left_to_the_caller() -> None:
    seen: list[str] = []
    own = Scan({}, lambda scan, content, found: seen.append(content.name), lambda scan, text, place: None)
    content = build(Member(b"a.txt"), Member(b"b.txt"))
    whole = Content(Octets(content).read_at, len(content), Place("m.zip"))
    descend_members(own, whole, containers.read_zip(whole.read_at, whole.size_bytes), skip={"a.txt"})
    assert seen == ["b.txt"]


def test_a_member_of_a_member_of_a_member_is_not_judged_beyond_the_bound() -> None:
    own = Scan({}, judge, lambda scan, text, place: None)
    place = Place("a")
    for _ in range(MAX_DEPTH + 1):
        place = place.enter("b")
    with pytest.raises(RejectedError, match="nested"):
        judge_member(own, Content(Octets(b"x").read_at, 1, place))


def _tar(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return packed.getvalue()


@pytest.mark.parametrize(("name", "pack"), [("model.tar.gz", _tar), ("model.zip", zipped)])
def test_model_whose_weights_lie_beside_it_in_an_archive(name: str, pack: Callable[..., bytes]) -> None:
    files = {f"model/{path}": data for path, data in external_data().entries.items()}
    report = scan_files({name: pack(files)})
    assert report.verdict is Verdict.ACCEPTED, report.matches
    weights = next(path for path in files if not path.endswith(".onnx"))
    alone = scan_files({name: pack({path: files[path] for path in files if path != weights})})
    assert alone.verdict is Verdict.REFUSED
    stray = scan_files({name: pack({**files, "model/stray.bin": bytes(range(256)) * 4})})
    assert [match.rule.id for match in stray.matches] == ["format-unknown"]


def test_weights_beside_the_archive_are_not_those_in_it() -> None:
    files = external_data().entries
    weights = next(path for path in files if not path.endswith(".onnx"))
    inside = {path: data for path, data in files.items() if path != weights}
    report = scan_files({"model.zip": zipped(inside), weights: files[weights]})
    assert report.verdict is Verdict.REFUSED

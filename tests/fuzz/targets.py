"""What is fuzzed: one function a parser, from bytes to nothing.

A target returns whatever the bytes are. It fails by any exception but the refusals that its parser documents,
by reading or computing without measure, and by a report that cannot be shown. `tests/fuzz/test_corpus.py`
replays the kept inputs with every test run; `make fuzz` looks for new ones.
"""

import io
import json
import signal
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from strongroom.artifact.formats import Format
from strongroom.errors import InvalidError, RejectedError
from strongroom.scan.advisories import parse_record
from strongroom.scan.lockfiles import parse_lockfile
from strongroom.scan.osv_database import Database, build_database, database_to_bytes
from strongroom.scan.pickle_globals import find_allowed, modern
from strongroom.scan.place import Place
from strongroom.scan.report_json import report_to_json
from strongroom.scan.report_page import report_to_html
from strongroom.scan.sarif import report_to_sarif
from strongroom.scan.scan import Content, Scan, Source
from strongroom.scan.templates import scan_prompt
from strongroom.scan.upload import Report, Verdict, judge, judge_text, scan_upload
from strongroom.scan.vulnerabilities import check_dependencies
from tests.fuzz.pickle_names import names_asked_for

MAX_CPU_S = 30
"""Of one input of some kilobytes, under instrumentation and on a slow machine: more is without end."""
MAX_READ_BYTES = 256 * 2**20
"""Read of one upload of some kilobytes, again and again."""
_VECTORS = Path(__file__).parents[1] / "vectors"
NOW = datetime(2026, 11, 1, tzinfo=UTC)


class Overrun(BaseException):
    """More work than an input of its size may cost. No parser can catch it by accident."""


@dataclass(frozen=True, slots=True)
class Target:
    """A parser under fuzzing."""

    name: str
    run: Callable[[bytes], None]
    seeds: tuple[str, ...]
    """Patterns below ``tests/vectors`` of files that it starts from."""
    weight: int = 1
    """Its share of the time, compared with others."""
    extract: Callable[[bytes], list[bytes]] = lambda data: [data]
    """Takes from a seed file what the target puts in its wrapping."""


TARGETS: dict[str, Target] = {}


def _add(
    name: str,
    run: Callable[[bytes], None],
    *seeds: str,
    weight: int = 1,
    extract: Callable[[bytes], list[bytes]] = lambda data: [data],
) -> None:
    TARGETS[name] = Target(name, run, seeds, weight, extract)


@contextmanager
def bounded_time(cpu_s: int = MAX_CPU_S) -> Iterator[None]:
    """Raise Overrun inside if this thread, the main one, computes for longer."""

    def overrun(_number: int, _frame: FrameType | None) -> None:
        raise Overrun(f"computes for more than {cpu_s} s")

    before = signal.signal(signal.SIGPROF, overrun)
    signal.setitimer(signal.ITIMER_PROF, cpu_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def scan(files: Mapping[str, bytes]) -> Report:
    """Scan an upload of these files; all that is read of it is counted."""
    read_bytes = 0

    def source(data: bytes) -> Source:
        def read_at(offset: int, size: int) -> bytes:
            nonlocal read_bytes
            assert offset >= 0 and size >= 0, "reads outside the file"
            piece = data[offset : offset + size]
            read_bytes += len(piece)
            if read_bytes > MAX_READ_BYTES:
                raise Overrun(f"reads more than {MAX_READ_BYTES} bytes")
            return piece

        return read_at, len(data)

    report = scan_upload({path: source(data) for path, data in files.items()})
    assert len(report.files) == len(files)
    return report


def _named(*names: str) -> Callable[[bytes], None]:
    """A file alone in an upload, under each of these names."""

    def run(data: bytes) -> None:
        for name in names:
            scan({name: data})

    return run


def _as(found: Format, name: str) -> Callable[[bytes], None]:
    """Judged as of this format, though its recognition may have called it otherwise; then as what it is."""

    def run(data: bytes) -> None:
        def read_at(offset: int, size: int) -> bytes:
            return data[offset : offset + size]

        judge(
            Scan({name: (read_at, len(data))}, judge, judge_text),
            Content(read_at, len(data), Place(name)),
            found,
        )
        scan({name: data})

    return run


def _beside(name: str, others: Mapping[str, bytes]) -> Callable[[bytes], None]:
    return lambda data: _discard(scan({**others, name: data}))


def _zipped(name: str, member: str, others: Mapping[str, bytes]) -> Callable[[bytes], None]:
    """A member of an archive that is otherwise as it should be."""
    return lambda data: _discard(scan({name: zip_of({**others, member: data})}))


def _discard(_report: Report) -> None:
    return None


def zip_of(members: Mapping[str, bytes]) -> bytes:
    """An archive of stored members."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data)
    return out.getvalue()


def member_of(*endings: str) -> Callable[[bytes], list[bytes]]:
    """Takes the members with these endings out of a seed that is a ZIP archive."""

    def extract(data: bytes) -> list[bytes]:
        with suppress(zipfile.BadZipFile), zipfile.ZipFile(io.BytesIO(data)) as archive:
            return [archive.read(name) for name in archive.namelist() if name.endswith(endings)]
        return []

    return extract


# Containers and compression


def _tar(data: bytes) -> None:
    """Checksums are made right, for otherwise all that is changed is refused by them alone."""
    blocks = bytearray(data)
    for at in range(0, len(blocks) - 511, 512):
        if blocks[at + 257 : at + 262] == b"ustar":
            total = sum(blocks[at : at + 148]) + 8 * 32 + sum(blocks[at + 156 : at + 512])
            blocks[at + 148 : at + 156] = b"%06o\0 " % total
    scan({"files.tar": bytes(blocks)})
    if blocks != data:
        scan({"files.tar": data})


def _compressed(data: bytes) -> None:
    scan({"data.gz": data})
    scan({"data.pkl": zlib.compress(data, 1)})


def _members_of_tar(data: bytes) -> list[bytes]:
    """The tar inside of a compressed seed."""
    with suppress(tarfile.TarError, zlib.error):
        return [zlib.decompress(data, 31)]
    return []


_add(
    "zip",
    _named("files.zip"),
    "artifacts/*.pt",
    "artifacts/*.keras",
    "artifacts/*.npz",
    "artifacts/*.skops",
    weight=4,
)
_add("tar", _tar, "artifacts/*.tar.gz", extract=_members_of_tar)
_add("compressed", _compressed, "artifacts/*.gz", "artifacts/*.joblib")
_add(
    "npz",
    _zipped("weights.npz", "a.npy", {}),
    "artifacts/*.npy",
    "artifacts/*.npz",
    extract=lambda data: member_of(".npy")(data) or [data],
)
_add("npy", _named("array.npy"), "artifacts/*.npy")

# Pickles and what holds them


def _pickle(data: bytes) -> None:
    """What is not refused asks for no name that is not allowed; arrays of joblib lie between opcodes."""
    report = scan({"model.pkl": data})
    if report.verdict is Verdict.REFUSED or report.files[0].format is not Format.PICKLE or b"joblib" in data:
        return
    asked = {
        f"{module}.{name}"
        for module, name in names_asked_for(data)
        if not find_allowed(*modern(module, name))
    }
    assert not asked, f"accepted, and asks for {asked}"


_TORCH = {"archive/version": b"3\n", "archive/data/0": bytes(64), "archive/byteorder": b"little"}
_PICKLES = ("artifacts/*.pkl", "pickles/*.pkl", "pickles/old/*.pkl")
_add("pickle", _pickle, *_PICKLES, weight=8)
_add(
    "joblib",
    _named("model.joblib"),
    "artifacts/*.joblib",
    "pickles/*.joblib",
    "pickles/old/*.joblib",
    weight=2,
)
_add("torch_legacy", _named("model.pt"), "pickles/*.pth", "artifacts/weights.jpg", weight=2)
_add(
    "torch_zip",
    _zipped("model.pt", "archive/data.pkl", _TORCH),
    "artifacts/*.pt",
    "pickles/*.pt",
    extract=member_of("data.pkl"),
    weight=3,
)
_add(
    "skops",
    _zipped("model.skops", "schema.json", {"0.npy": b""}),
    "artifacts/*.skops",
    "pickles/skops/*.skops",
    extract=member_of("schema.json"),
    weight=2,
)
_SCRIPT = {**_TORCH, "archive/data.pkl": b"\x80\x02N.", "archive/constants.pkl": b"\x80\x02)."}
_add(
    "torchscript",
    _zipped("model.pt", "archive/code/__torch__.py", _SCRIPT),
    "torchscript/*",
    "torch/*",
    extract=member_of(".py"),
)
_add("torchscript_zip", _named("model.ptl"), "torchscript/*", "torch/*")
_PT2 = {"m/archive_format": b"pt2", "m/version": b"0", "m/byteorder": b"little"}
_add(
    "exported_program",
    _zipped("model.pt2", "m/models/model.json", _PT2),
    "torchscript/*.pt2",
    "torch/*.pt2",
    extract=member_of("model.json"),
)

# Weights and graphs that are data

_add("safetensors", _named("w.safetensors"), "artifacts/*.safetensors")
_add("onnx", _as(Format.ONNX, "model.onnx"), "artifacts/*.onnx")
_add("gguf", _named("model.gguf"), "artifacts/*.gguf", weight=2)
_add("hdf5", _named("model.h5"), "keras/*.h5", "artifacts/*.h5", weight=8)
_KERAS = {
    "metadata.json": b'{"keras_version": "3.5.0", "date_saved": "2026-01-01@00:00:00"}',
    "model.weights.h5": (_VECTORS / "keras/plain_earliest.h5").read_bytes(),
}
_add(
    "keras_config",
    _zipped("model.keras", "config.json", _KERAS),
    "keras/*.keras",
    "artifacts/*.keras",
    extract=member_of("config.json"),
    weight=2,
)
_add(
    "saved_model",
    _as(Format.TENSORFLOW, "saved_model.pb"),
    "tensorflow/*/saved_model.pb",
    "artifacts/*/saved_model.pb",
    weight=4,
)
_add("tflite", _as(Format.TFLITE, "model.tflite"), "tensorflow/*.tflite", weight=4)
_add("xgboost_json", _as(Format.XGBOOST_JSON, "model.json"), "artifacts/xgb.json", "trees/*.json")
_add("xgboost_ubj", _as(Format.XGBOOST_UBJ, "model.ubj"), "artifacts/xgb.ubj", "trees/*.ubj", weight=2)
_add("lightgbm", _as(Format.LIGHTGBM, "model.txt"), "artifacts/lgb.txt", "trees/*.txt")
_add(
    "xml", _named("model.xml", "model.pmml"), "artifacts/*.xml", "artifacts/*.pmml", "xml/*.xml", "xml/*.pmml"
)
_add("sentencepiece", _as(Format.SENTENCEPIECE, "tokenizer.model"), "beside/*.model")
_add("image", _named("picture.png"), "beside/*.png", "beside/*.jpg", "beside/*.gif", "beside/*.webp")


_SAVED = _VECTORS / "tensorflow/dense"
_BUNDLE = {f"m/{path.relative_to(_SAVED)}": path.read_bytes() for path in _SAVED.rglob("*") if path.is_file()}


_add(
    "tensor_bundle", _beside("m/variables/variables.index", _BUNDLE), "tensorflow/*/variables/variables.index"
)

# Texts


def _text_scan(run: Callable[[Scan, str, Place], None]) -> Callable[[bytes], None]:
    def target(data: bytes) -> None:
        with suppress(RejectedError):
            run(Scan({}, judge, judge_text), data.decode("utf-8", "replace"), Place("tokenizer_config.json"))

    return target


_add("template", _text_scan(scan_prompt), "texts/templates/*.jinja", weight=5)
_add("yaml", _named("config.yaml"), "artifacts/*.yaml", weight=4)
_add(
    "json",
    _named("config.json", "tokenizer_config.json"),
    "artifacts/*.json",
    "artifacts/hf_automap/config.json",
)
_add("notebook", _as(Format.NOTEBOOK, "book.ipynb"), "artifacts/*.ipynb")
_add("source_code", _named("model.py", "notes.md"), "artifacts/hf_automap/*.py", "tensorflow/make.py")
_add(
    "text",
    _named("vocab.txt", "run.sh", "page.html", "settings.toml", "graph.pbtxt"),
    "artifacts/vocab.txt",
    "beside/README.md",
)


def _secrets(data: bytes) -> None:
    """Tildes are taken out: a credential in the corpus has one inside, so that none looks real."""
    scan({"notes.txt": data.replace(b"~", b"")})


_add("secrets", _secrets, "artifacts/*.ipynb", weight=2)

# Lists of packages and of what is known against them

_LOCKS = ("requirements.txt", "environment.yml", "uv.lock", "pylock.toml", "bom.json")
_DATABASE = (
    b'{"advisories":1,"as_of":"2026-10-30T00:00:00Z","format":"strongroom-osv/1","imported_at":"2026-10-31T00:00:00Z",'
    b'"packages":0,"source":"x","source_sha256":"","withdrawn":0}\n'
)


def _lockfile(data: bytes) -> None:
    for name in _LOCKS:
        with suppress(InvalidError, RejectedError):
            found = parse_lockfile(data, name)
            check_dependencies(found.dependencies, Database.parse(_DATABASE), NOW, name)


def _osv_record(data: bytes) -> None:
    with suppress(InvalidError, RejectedError):
        record = parse_record(data)
        info, lines = build_database([record], now=NOW, source="fuzz", source_sha256="")
        database = Database.parse(database_to_bytes(info, lines))
        for name, advisory in record.affected:
            assert advisory.id in {one.id for one in database.find(name)}
            with suppress(InvalidError, RejectedError):
                locked = parse_lockfile(f"{name}==1.0".encode(), "requirements.txt")
                check_dependencies(locked.dependencies, database, NOW, "requirements.txt")


def _osv_database(data: bytes) -> None:
    with suppress(RejectedError):
        database = Database.parse(_DATABASE + data)
        for line in data.splitlines()[:20]:
            database.find(line.partition(b"\t")[0].decode("utf-8", "replace"))


_add("lockfile", _lockfile, weight=2)
_add("osv_record", _osv_record, "osv/pypi/*.json")
_add("osv_database", _osv_database)


def _report(data: bytes) -> None:
    """Names and contents that were chosen to break the page, SARIF or JSON that shows them."""
    name, _, rest = data.partition(b"\n")
    path = name.decode("utf-8", "surrogateescape") or "x"
    report = scan({path: rest, "model.zip": zip_of({"a": b""}) + name})
    page = report_to_html(report, path, "1.0")
    page.encode()
    assert "<script" not in page.lower()
    json.dumps(report_to_json(report)).encode()
    json.dumps(report_to_sarif(report, "1.0")).encode()


_add("report", _report)

"""The stock ``model_signing`` command accepts our bundles, and we accept its own."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from strongroom.adapters.keys.memory import MemoryKeyProvider
from strongroom.errors import RejectedError
from strongroom.trust.oms import build_bundle, require_signed, require_signed_by_certificate
from strongroom.trust.signatures import PublicKey
from strongroom.values import Digest, KeyUri

NOW = datetime.now(UTC)
PRIVATE = ec.generate_private_key(ec.SECP256R1())
PUBLIC = PublicKey.from_pem(
    PRIVATE.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
)


def _stock(folder: Path, *arguments: str) -> bool:
    """Run the command as its users do; return whether it was content."""
    run = subprocess.run(
        [sys.executable, "-m", "model_signing", *arguments],
        cwd=folder,
        capture_output=True,
        check=False,
        timeout=120,
    )
    assert b"Traceback" not in run.stderr, run.stderr.decode()
    assert run.returncode == 0 or b"failed" in run.stdout + run.stderr, run.stderr.decode()
    return run.returncode == 0


def _entries(model: Path) -> list[tuple[str, Digest]]:
    return [
        (path.relative_to(model).as_posix(), Digest.of(path.read_bytes()))
        for path in model.rglob("*")
        if path.is_file()
    ]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """``model/`` with files whose order differs between tools, and the keys."""
    for name in ("model.onnx", "a/weights.bin", "a.bin", "a-b", "Ä.txt", "empty"):
        path = tmp_path / "model" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"" if name == "empty" else name.encode())
    (tmp_path / "key.pem").write_bytes(
        PRIVATE.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    )
    (tmp_path / "key.pub").write_bytes(PUBLIC.pem)
    return tmp_path


def _signed_by_us(folder: Path, model: str) -> None:
    signer = MemoryKeyProvider().create_signer(KeyUri("file:sign/1"), "ecdsa-p256")
    path = folder / model
    entries = _entries(path) if path.is_dir() else [(path.name, Digest.of(path.read_bytes()))]
    (folder / "our.sig").write_bytes(build_bundle(path.name, entries, signer))
    (folder / "our.pub").write_bytes(signer.public_pem)


_VERIFY = ("verify", "key", "--signature", "our.sig", "--public_key")


def test_stock_accepts_our_folder_and_refuses_it_changed(folder: Path) -> None:
    _signed_by_us(folder, "model")
    assert _stock(folder, *_VERIFY, "our.pub", "model")
    assert not _stock(folder, *_VERIFY, "key.pub", "model")
    (folder / "model" / "extra").touch()
    assert not _stock(folder, *_VERIFY, "our.pub", "model")


def test_stock_accepts_our_single_file_and_refuses_it_changed(folder: Path) -> None:
    _signed_by_us(folder, "model/model.onnx")
    assert _stock(folder, *_VERIFY, "our.pub", "model/model.onnx")
    (folder / "model" / "model.onnx").write_bytes(b"changed")
    assert not _stock(folder, *_VERIFY, "our.pub", "model/model.onnx")


def _signed_by_stock(folder: Path, model: str, *options: str) -> bytes:
    assert _stock(
        folder, "sign", "key", model, "--signature", "their.sig", "--private_key", "key.pem", *options
    )
    return (folder / "their.sig").read_bytes()


def test_we_accept_a_folder_of_the_stock_tool_and_refuse_it_changed(folder: Path) -> None:
    bundle, entries = _signed_by_stock(folder, "model"), _entries(folder / "model")
    assert require_signed(bundle, entries, [PUBLIC]).model_name == "model"
    for attack in (entries[1:], [*entries, (".gitignore", Digest.of(b""))]):
        with pytest.raises(RejectedError):
            require_signed(bundle, attack, [PUBLIC])


def test_we_accept_a_single_file_of_the_stock_tool(folder: Path) -> None:
    bundle = _signed_by_stock(folder, "model/model.onnx", "--no-ignore-git-paths")
    entry = ("model.onnx", Digest.of(b"model.onnx"))
    assert require_signed(bundle, [entry], [PUBLIC]).model_name == "model.onnx"
    with pytest.raises(RejectedError):
        require_signed(bundle, [("model.onnx", Digest.of(b"changed"))], [PUBLIC])


def test_a_git_file_that_the_stock_tool_skipped_is_refused_here(folder: Path) -> None:
    (folder / "model" / ".gitattributes").write_text("* filter=evil")
    bundle = _signed_by_stock(folder, "model")
    assert _stock(folder, "verify", "key", "model", "--signature", "their.sig", "--public_key", "key.pub")
    with pytest.raises(RejectedError, match="not signed"):
        require_signed(bundle, _entries(folder / "model"), [PUBLIC])


def test_ignored_paths_of_the_stock_tool_are_refused_here(folder: Path) -> None:
    bundle = _signed_by_stock(folder, "model", "--ignore-paths", "model/empty")
    for entries in (_entries(folder / "model"), [e for e in _entries(folder / "model") if e[0] != "empty"]):
        with pytest.raises(RejectedError, match="ignores paths"):
            require_signed(bundle, entries, [PUBLIC])


def test_we_accept_a_certificate_signature_of_the_stock_tool(folder: Path) -> None:
    root, leaf = _chain()
    (folder / "root.pem").write_bytes(root)
    (folder / "leaf.pem").write_bytes(leaf)
    certificates = ("--signing_certificate", "leaf.pem", "--certificate_chain", "root.pem")
    signature = ("--signature", "their.sig", "--private_key", "key.pem")
    assert _stock(folder, "sign", "certificate", "model", *signature, *certificates)
    bundle, entries = (folder / "their.sig").read_bytes(), _entries(folder / "model")
    assert require_signed_by_certificate(bundle, entries, root, NOW).key == PUBLIC
    with pytest.raises(RejectedError):
        require_signed_by_certificate(bundle, entries, root, NOW + timedelta(days=9))
    with pytest.raises(RejectedError):
        require_signed_by_certificate(bundle, entries, _chain()[0], NOW)


def _chain() -> tuple[bytes, bytes]:
    """A fresh root, and a code-signing leaf of it for PRIVATE."""
    issuer = ec.generate_private_key(ec.SECP256R1())

    def start(subject: str, key: ec.EllipticCurvePublicKey, *, ca: bool) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "root")]))
            .serial_number(x509.random_serial_number())
            .public_key(key)
            .not_valid_before(NOW - timedelta(hours=1))
            .not_valid_after(NOW + timedelta(days=5))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(
                x509.KeyUsage(not ca, False, False, False, False, ca, ca, False, False), critical=True
            )
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        )

    root = start("root", issuer.public_key(), ca=True).sign(issuer, hashes.SHA256())
    coder = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING])
    leaf = start("coder", PRIVATE.public_key(), ca=False).add_extension(coder, critical=False)
    return (
        root.public_bytes(Encoding.PEM),
        leaf.sign(issuer, hashes.SHA256()).public_bytes(Encoding.PEM),
    )

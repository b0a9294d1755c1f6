"""Who may write the home sends callers to a server of their own."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.cli.press import Shell

_SERVER = """\
import socket, ssl, sys
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1], sys.argv[2])
with socket.create_server(("127.0.0.1", 0)) as listener:
    print(listener.getsockname()[1], flush=True)
    while True:
        peer, _ = listener.accept()
        try:
            with context.wrap_socket(peer, server_side=True) as tls:
                print("HEARD", tls.recv(65536), flush=True)
        except OSError:
            print("refused", flush=True)
"""


def test_a_replaced_ca_file_is_not_believed(shell: Shell, tmp_path: Path) -> None:
    """ca.pem is under no passphrase: the CA that is believed is the one that the keystore vouches for."""
    certificate, key = _self_signed(tmp_path)
    (shell.home / "ca.pem").write_bytes(certificate.read_bytes())
    (shell.root / "rows.json").write_text(json.dumps([[1, 2, 3, 4]]))
    with _serving(certificate, key) as (port, heard):
        outcome = shell("predict", "fraud", "--input", "rows.json", "--url", f"https://localhost:{port}")
        assert outcome.code == 4, outcome
        assert "does not verify" in outcome.error
        assert heard() == "refused"


def _self_signed(folder: Path) -> tuple[Path, Path]:
    import datetime

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "evil.pem", folder / "evil.key"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return paths


@contextmanager
def _serving(certificate: Path, key: Path) -> Iterator[tuple[int, Callable[[], str]]]:
    server = subprocess.Popen(
        [sys.executable, "-c", _SERVER, str(certificate), str(key)], stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    try:
        yield int(server.stdout.readline()), lambda: server.stdout.readline().strip()
    finally:
        server.kill()
        server.wait()

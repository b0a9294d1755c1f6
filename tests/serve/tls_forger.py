"""A TLS 1.3 client that shakes hands honestly and then sends whatever records it is told to (RFC 8446)."""

import socket
import ssl
from pathlib import Path
from struct import pack

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from tests.serve.gateway_certificates import Authority, Leaf

ALERT, HANDSHAKE, DATA = 21, 22, 23
KEY_UPDATE, ASK_KEY_UPDATE = b"\x18\0\0\x01\0", b"\x18\0\0\x01\x01"
CLOSE_NOTIFY = b"\x01\0"


class Forger:
    """Sends with keys that it derives itself, so that no library keeps it from anything."""

    def __init__(self, port: int, authority: Authority, leaf: Leaf | None, folder: Path) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(authority.path)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        secrets = folder / f"secrets-{id(self)}"
        context.keylog_filename = str(secrets)
        if leaf is not None:
            context.load_cert_chain(leaf.path)
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        self._incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._session = context.wrap_bio(self._incoming, outgoing, server_hostname="localhost")
        while True:
            try:
                self._session.do_handshake()
            except ssl.SSLWantReadError:
                self.socket.sendall(outgoing.read())
                self._incoming.write(self.socket.recv(65536))
            else:
                break
        self.socket.sendall(outgoing.read())
        assert self._session.cipher() == ("TLS_AES_256_GCM_SHA384", "TLSv1.3", 256)
        lines = dict(line.split(" ", 1) for line in secrets.read_text().splitlines() if " " in line)
        self._use(bytes.fromhex(lines["CLIENT_TRAFFIC_SECRET_0"].split(" ")[1]))

    def record(self, kind: int, content: bytes, padding: int = 0) -> bytes:
        """Return the next record, encrypted."""
        inner = content + bytes([kind]) + bytes(padding)
        return self.sealed(inner)

    def sealed(self, inner: bytes) -> bytes:
        head = b"\x17\x03\x03" + pack(">H", len(inner) + 16)
        nonce = (int.from_bytes(self._iv) ^ self._number).to_bytes(12)
        self._number += 1
        return head + self._cipher.encrypt(nonce, inner, head)

    def key_update(self, *, ask: bool = False) -> bytes:
        """Return a key update; everything behind it is under the next key."""
        data = self.record(HANDSHAKE, ASK_KEY_UPDATE if ask else KEY_UPDATE)
        self._use(_expand(self._secret, b"traffic upd", 48))
        return data

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def read(self) -> bytes:
        """Return what arrives next, decrypted; nothing at the end, however it comes."""
        while True:
            try:
                return self._session.read(65536)
            except ssl.SSLWantReadError:
                try:
                    data = self.socket.recv(65536)
                except ConnectionError:
                    return b""
                if not data:
                    return b""
                self._incoming.write(data)
            except ssl.SSLError:
                return b""

    def ends(self) -> bool:
        """Whether the server closes without another byte of data."""
        return self.read() == b""

    def close(self) -> None:
        self.socket.close()

    def _use(self, secret: bytes) -> None:
        self._secret = secret
        self._cipher = AESGCM(_expand(secret, b"key", 32))
        self._iv = _expand(secret, b"iv", 12)
        self._number = 0


def _expand(secret: bytes, label: bytes, length: int) -> bytes:
    info = pack(">HB", length, 6 + len(label)) + b"tls13 " + label + b"\0"
    return HKDFExpand(SHA384(), length, info).derive(secret)

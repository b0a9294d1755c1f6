"""A small world to replay: a CA, people with keys and certificates, and the events that they would record."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from strongroom.trust.approvals import APPROVAL_TYPE, build_approval
from strongroom.trust.authority import Authority
from strongroom.trust.dsse import Envelope, EnvelopeSignature, pae
from strongroom.trust.events import Event
from strongroom.trust.grants import GRANT_TYPE, Grant, build_grant_id
from strongroom.trust.signatures import PublicKey
from strongroom.values import Digest, ModelId, Role, format_time

DOMAIN = "strongroom.test"
START = datetime(2026, 3, 1, 12, tzinfo=UTC)
YEAR = timedelta(days=365)
MODEL = ModelId.parse("fraud@1.0.0")
MANIFEST = Digest.of(b"manifest")
STATEMENT = Digest.of(b"statement")


def pem_of(key: Any) -> str:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def _usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(not ca, False, False, False, False, ca, ca, False, False)


class Ca:
    """Issues what it is told to, right or wrong."""

    def __init__(self, name: str = "test CA") -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.certificate = (
            self._start(self.name, self.key.public_key(), START - YEAR, START + 10 * YEAR)
            .add_extension(x509.BasicConstraints(True, 0), critical=True)
            .add_extension(_usage(ca=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        self.pem = self.certificate.public_bytes(Encoding.PEM).decode()

    def _start(self, subject: x509.Name, public: Any, start: datetime, end: datetime) -> Any:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(end)
        )

    def issue(
        self,
        name: str,
        key: ec.EllipticCurvePrivateKey,
        *,
        start: datetime = START - timedelta(days=1),
        end: datetime = START + YEAR,
        domain: str = DOMAIN,
        usage: x509.ObjectIdentifier = ExtendedKeyUsageOID.CLIENT_AUTH,
    ) -> dict[str, str]:
        """Return the detail of the event that records the certificate."""
        uri = x509.UniformResourceIdentifier(f"spiffe://{domain}/id/{name}")
        certificate = (
            self._start(
                x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]), key.public_key(), start, end
            )
            .add_extension(x509.BasicConstraints(False, None), critical=True)
            .add_extension(_usage(ca=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(x509.SubjectAlternativeName([uri]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False
            )
            .sign(self.key, hashes.SHA256())
        )
        return {
            "name": name,
            "certificate_pem": certificate.public_bytes(Encoding.PEM).decode(),
            "serial": f"{certificate.serial_number:x}",
            "not_after": format_time(certificate.not_valid_after_utc),
        }


def sign(key: ec.EllipticCurvePrivateKey, payload_type: str, payload: bytes) -> str:
    """Return the envelope in which ``key`` signs ``payload``."""
    signature = key.sign(pae(payload_type, payload), ec.ECDSA(hashes.SHA256()))
    key_id = PublicKey.from_pem(pem_of(key)).key_id
    return Envelope(payload_type, payload, (EnvelopeSignature(key_id, signature),)).to_bytes().decode()


@dataclass
class World:
    """Builds events and keeps the authority after those that were `done`; time moves a minute with each."""

    solo: bool = False
    ca: Ca = field(default_factory=Ca)
    log_key: ed25519.Ed25519PrivateKey = field(default_factory=ed25519.Ed25519PrivateKey.generate)
    keys: dict[str, ec.EllipticCurvePrivateKey] = field(default_factory=dict)
    authority: Authority = field(default_factory=Authority)
    events: list[Event] = field(default_factory=list)
    now: datetime = START

    def event(self, actor: str, action: str, detail: dict[str, Any], **fields: Any) -> Event:
        subject, decision = fields.pop("subject", ""), fields.pop("decision", "allow")
        return Event(self.now, actor, action, subject, decision, detail=detail, **fields)

    def do(self, event: Event) -> None:
        self.authority = self.authority.apply(event, self.authority.size)
        self.events.append(event)
        self.now += timedelta(minutes=1)

    def key(self, name: str) -> ec.EllipticCurvePrivateKey:
        return self.keys.setdefault(name, ec.generate_private_key(ec.SECP256R1()))

    def init(self, **changed: Any) -> Event:
        detail = {
            "trust_domain": DOMAIN,
            "ca_pem": self.ca.pem,
            "log_origin": "strongroom.test/log",
            "log_public_pem": pem_of(self.log_key),
            "solo": self.solo,
        }
        return self.event("root", "init", detail | changed)

    def add(self, name: str, actor: str = "root", **issue: Any) -> Event:
        return self.event(actor, "add-identity", self.ca.issue(name, self.key(name), **issue))

    def made_grant(self, principal: str, role: Role, resource: str = "*", **changed: Any) -> Grant:
        values = {
            "id": build_grant_id(len(self.events).to_bytes(16, "big")),
            "principal": principal,
            "role": role,
            "resource": resource,
            "start": self.now,
            "end": self.now + timedelta(days=30),
            "reason": "ticket 7",
            "granted_by": "root",
        }
        return Grant(**(values | changed))  # type: ignore[arg-type]

    def grant(self, grant: Grant, **fields: Any) -> Event:
        signer = fields.pop("signer", grant.granted_by)
        envelope = sign(self.key(signer), GRANT_TYPE, grant.to_bytes())
        actor = fields.pop("actor", grant.granted_by)
        return self.event(actor, "grant", {"grant": grant.to_json(), "envelope": envelope}, **fields)

    def publish(self, publisher: str = "dora", model: ModelId = MODEL, **changed: Any) -> Event:
        detail = {
            "model": str(model),
            "manifest": str(MANIFEST),
            "statement": str(STATEMENT),
            "owner": "olga",
            "publisher": publisher,
        }
        return self.event(publisher, "publish", detail | changed)

    def approve(self, approver: str = "rita", model: ModelId = MODEL, **fields: Any) -> Event:
        manifest, statement = fields.pop("manifest", MANIFEST), fields.pop("statement", STATEMENT)
        payload = fields.pop(
            "payload", build_approval(model, manifest, statement, approver, fields.pop("signed_at", self.now))
        )
        envelope = sign(
            self.key(fields.pop("signer", approver)), fields.pop("payload_type", APPROVAL_TYPE), payload
        )
        detail = {
            "model": str(model),
            "manifest": str(manifest),
            "statement": str(statement),
            "envelope": envelope,
        }
        return self.event(approver, "approve", detail, **fields)

    def take(self, action: str, actor: str = "olga", model: ModelId = MODEL) -> Event:
        return self.event(actor, action, {"model": str(model)})


def founded(*, solo: bool = False) -> World:
    """A home with its first admin and nobody else."""
    world = World(solo=solo)
    world.do(world.init())
    world.do(world.add("root"))
    world.do(world.grant(world.made_grant("root", Role.ADMIN, end=world.now + timedelta(days=300))))
    return world


def peopled() -> World:
    """A home with an admin, a deployer, a reviewer and an owner."""
    world = founded()
    for name, role in (("dora", Role.DEPLOYER), ("rita", Role.REVIEWER), ("olga", Role.OWNER)):
        world.do(world.add(name))
        world.do(world.grant(world.made_grant(name, role, "fraud")))
    return world

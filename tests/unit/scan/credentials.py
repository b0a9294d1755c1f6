"""Credentials made at run time, one maker per kind, and the texts that carry them. None was ever issued.

They are put together from parts so that no file of the repository contains anything credential-shaped.
"""

import base64
import gzip
import json
import string
import zlib
from binascii import crc32
from collections.abc import Callable
from random import Random
from textwrap import wrap

HEX = "0123456789abcdef"
WORD = string.ascii_letters + string.digits
DASHED = WORD + "_-"
BASE64 = WORD + "+/"
BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
BECH32 = "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L"

Maker = Callable[[Random], str]


def some(random: Random, alphabet: str, length: int) -> str:
    return "".join(random.choice(alphabet) for _ in range(length))


def token(prefix: str, alphabet: str, length: int, suffix: str = "") -> Maker:
    return lambda random: prefix + some(random, alphabet, length) + suffix


def parts(*pieces: str | tuple[str, int]) -> Maker:
    """Literals as they are, (alphabet, length) at random."""
    return lambda random: "".join(
        piece if isinstance(piece, str) else some(random, *piece) for piece in pieces
    )


def checksummed(prefix: str) -> Maker:
    def make(random: Random) -> str:
        body = some(random, WORD, 30)
        value, digits = crc32(body.encode()), ""
        for _ in range(6):
            value, digit = divmod(value, 62)
            digits = BASE62[digit] + digits
        return prefix + body + digits

    return make


def encode(data: bytes, *, url: bool = False) -> str:
    return (base64.urlsafe_b64encode if url else base64.b64encode)(data).decode()


def jwt(random: Random) -> str:
    header = encode(json.dumps({"alg": "HS256", "typ": "JWT"}).encode(), url=True).rstrip("=")
    claims = encode(json.dumps({"sub": some(random, HEX, 12), "iat": 1700000000}).encode(), url=True).rstrip(
        "="
    )
    return f"{header}.{claims}.{some(random, DASHED, 43)}"


def pem(label: str, head: str = "", dashes: str = "-----") -> Maker:
    def make(random: Random) -> str:
        lines = [some(random, BASE64, 64) for _ in range(6)] + [some(random, BASE64, 22) + "=="]
        body = "\n".join(lines)
        return f"{dashes}BEGIN {label}{dashes}\n{head}{body}\n{dashes}END {label}{dashes}"

    return make


def putty(random: Random) -> str:
    body = "\n".join(some(random, BASE64, 64) for _ in range(3))
    return f"PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\nPrivate-Lines: 3\n{body}\nPrivate-MAC: x"


def login(random: Random) -> str:
    return encode(f"bob:{some(random, WORD, 12)}".encode())


def uuid(random: Random) -> str:
    return "-".join(some(random, HEX, length) for length in (8, 4, 4, 4, 12))


def jwk(random: Random) -> str:
    return json.dumps(
        {"kty": "EC", "crv": "P-256", "x": some(random, DASHED, 43), "d": some(random, DASHED, 43)}
    )


def service_account(random: Random) -> str:
    return json.dumps({"type": "service_account", "private_key_id": some(random, HEX, 40)})


def teams(random: Random) -> str:
    return (
        f"https://acme.webhook.office.com/webhookb2/{uuid(random)}@{uuid(random)}"
        f"/IncomingWebhook/{some(random, HEX, 32)}/{uuid(random)}"
    )


def neptune(random: Random) -> str:
    return encode(
        json.dumps({"api_address": "https://app", "api_key": uuid(random)}, separators=(",", ":")).encode()
    )


MARKED: dict[str, Maker] = {
    "aws-access-key-id": token("AKIA", string.ascii_uppercase + "234567", 16),
    "google-api-key": token("AIza", DASHED, 34, "7"),
    "google-oauth-secret": token("GOCSPX-", DASHED, 27, "x"),
    "google-oauth-token": token("ya29.", DASHED, 120),
    "google-service-account": service_account,
    "azure-storage-key": parts(
        "DefaultEndpointsProtocol=https;AccountName=a;Account", "Key=", (BASE64, 86), "=="
    ),
    "azure-shared-access-key": parts(
        "Endpoint=sb://a/;SharedAccessKeyName=b;SharedAccess", "Key=", (BASE64, 43), "="
    ),
    "azure-sas": parts("https://a.blob.core.windows.net/c?sv=2022-11-02&se=2030&si", "g=", (WORD, 43), "%3D"),
    "azure-client-secret": parts((WORD, 3), "8Q", "~", (DASHED, 33), "a"),
    "alibaba-access-key-id": token("LTAI", WORD, 20),
    "digitalocean-token": token("dop_v1_", HEX, 64),
    "heroku-key": token("HRKU-AA", DASHED, 57, "x"),
    "supabase-token": token("sbp_", HEX, 40),
    "netlify-token": token("nfp_", WORD, 36),
    "openai-key": parts("sk-proj-", (DASHED, 74), "T3Blbk", "FJ", (DASHED, 74)),
    "openai-legacy-key": parts("sk-", (WORD, 20), "T3Blbk", "FJ", (WORD, 20)),
    "anthropic-key": parts("sk-ant-api03-", (DASHED, 93), "AA"),
    "openrouter-key": token("sk-or-v1-", HEX, 64),
    "huggingface-token": token("hf_", string.ascii_letters, 34),
    "replicate-token": token("r8_", WORD, 37),
    "neptune-token": neptune,
    "pinecone-key": token("pcsk_", WORD + "_", 70),
    "groq-key": token("gsk_", WORD, 52),
    "perplexity-key": token("pplx-", WORD, 48),
    "xai-key": token("xai-", WORD, 80),
    "nvidia-key": token("nvapi-", DASHED, 64),
    "elevenlabs-key": token("sk_", HEX, 48),
    "langsmith-key": parts("lsv2_pt_", (HEX, 32), "_", (HEX, 10)),
    "databricks-token": token("dapi", HEX, 32),
    "prefect-key": token("pnu_", WORD, 36),
    "github-token": checksummed("ghp_"),
    "github-fine-grained": parts("github_pat_", (WORD, 22), "_", (WORD, 59)),
    "gitlab-token": token("glpat-", DASHED, 19, "z"),
    "gitlab-routable-token": parts("glpat-", (WORD, 27), ".01.", (string.digits + "abc", 9)),
    "bitbucket-token": token("ATBB", WORD, 32),
    "atlassian-token": token("ATATT3", DASHED, 186),
    "npm-token": checksummed("npm_"),
    "npmrc-auth": parts("//registry.example/:_auth", "Token=", (WORD, 40)),
    "pypi-token": parts("pypi-AgEIcHlwaS5v", "cmc", (DASHED, 130)),
    "rubygems-key": token("rubygems_", HEX, 48),
    "docker-token": token("dckr_pat_", DASHED, 26, "q"),
    "artifactory-key": token("AKCp", WORD, 69),
    "sonar-token": token("sqp_", HEX, 40),
    "vault-token": token("hvs.", DASHED, 95),
    "terraform-token": parts((WORD, 14), ".atlas", "v1.", (WORD, 67)),
    "doppler-token": token("dp.pt.", WORD, 43),
    "pulumi-token": token("pul-", HEX, 40),
    "age-key": token("AGE-SECRET-" + "KEY-1", BECH32, 58),
    "openshift-token": token("sha256~", DASHED, 42, "m"),
    "grafana-token": parts("glsa_", (WORD, 32), "_", (HEX, 8)),
    "grafana-cloud-token": token("glc_ey" + "JvIjoi", BASE64, 100),
    "newrelic-key": token("NRAK-", string.ascii_uppercase + string.digits, 27),
    "sentry-token": token("sntryu_", HEX, 64),
    "dynatrace-token": parts("dt0c01.", (string.ascii_uppercase + string.digits, 24), ".", (WORD, 64)),
    "postman-key": parts("PMAK-", (HEX, 24), "-", (HEX, 34)),
    "slack-token": parts("xox", "b-", (string.digits, 12), "-", (string.digits, 13), "-", (WORD, 24)),
    "slack-app-token": parts("xap", "p-1-A0", (HEX.upper(), 9), "-", (string.digits, 13), "-", (HEX, 64)),
    "slack-webhook": parts(
        "https://hooks.slack", ".com/services/T", (WORD, 10), "/B", (WORD, 10), "/", (WORD, 24)
    ),
    "discord-token": parts("MTAx", (WORD, 22), ".", (WORD, 6), ".", (WORD, 37), "7Zz"),
    "discord-webhook": parts("https://discord.com/api/web", "hooks/", (string.digits, 18), "/", (DASHED, 68)),
    "teams-webhook": teams,
    "telegram-bot-token": parts((string.digits[1:], 10), ":AA", (DASHED, 32), "w"),
    "twilio-key": token("SK", HEX, 32),
    "sendgrid-key": parts("SG.", (WORD, 22), ".", (WORD, 43)),
    "mailgun-key": token("key-", HEX, 32),
    "mailchimp-key": token("", HEX, 32, "-us12"),
    "brevo-key": parts("xkeysib-", (HEX, 64), "-", (WORD, 16)),
    "stripe-key": token("sk_" + "live_", WORD, 24),
    "stripe-webhook-secret": token("whsec_", WORD, 32),
    "square-token": token("sq0atp-", DASHED, 21, "c"),
    "paypal-token": parts("access_token$", "production$", (HEX, 16), "$", (HEX, 32)),
    "shopify-token": token("shpat_", HEX, 32),
    "linear-key": token("lin_api_", WORD, 40),
    "notion-token": token("ntn_", WORD, 46),
    "airtable-token": parts("pat", (WORD, 14), ".", (HEX, 64)),
    "figma-token": token("figd_", DASHED, 39, "k"),
    "jwt": jwt,
    "private-jwk": jwk,
    "login-in-address": parts("postgresql://svc:", (WORD, 14), "@db.internal:5432/models"),
    "oracle-login": parts("jdbc:oracle:thin:scott/", (WORD, 12), "@db:1521/x"),
    "connection-string": parts("Driver={ODBC Driver 18};Server=db,1433;Uid=sa;Pwd=", (WORD, 12), "7a;"),
    "basic-auth": lambda random: "Authorization: Basic " + login(random),
    "bearer-token": parts("Authorization: Bearer ", (WORD, 40), "4k"),
    "docker-config-auth": lambda random: json.dumps({"auths": {"r": {"auth": login(random)}}}),
    "netrc-login": parts("machine api.internal login bob password ", (WORD, 16)),
}
"""Found wherever they stand."""

MULTILINE: dict[str, Maker] = {
    "rsa": pem("RSA PRIVATE KEY"),
    "ec": pem("EC PRIVATE KEY"),
    "dsa": pem("DSA PRIVATE KEY"),
    "openssh": pem("OPENSSH PRIVATE KEY"),
    "pkcs8": pem("PRIVATE KEY"),
    "encrypted": pem("ENCRYPTED PRIVATE KEY"),
    "encrypted-rsa": pem("RSA PRIVATE KEY", "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00FF\n\n"),
    "pgp": pem("PGP PRIVATE KEY BLOCK", "Version: GnuPG v2\n\n"),
}

NAMED: dict[str, tuple[str, Maker]] = {
    "aws-secret-key": ("aws_secret_access_key", token("", BASE64, 40)),
    "wandb-legacy-key": ("WANDB_API_KEY", token("", HEX, 40)),
    "cohere-key": ("COHERE_API_KEY", token("", WORD, 40)),
    "comet-key": ("COMET_API_KEY", token("", WORD, 25)),
    "mistral-key": ("MISTRAL_API_KEY", token("", WORD, 32)),
    "azure-ai-key": ("AZURE_OPENAI_API_KEY", token("", HEX, 32)),
    "azure-devops-token": ("azure_devops_pat", token("", string.ascii_lowercase + "234567", 52)),
    "heroku-legacy-key": ("HEROKU_API_KEY", uuid),
    "cloudflare-key": ("CLOUDFLARE_API_TOKEN", token("", WORD + "_", 39, "x")),
    "fastly-token": ("fastly_api_token", token("", DASHED, 31, "x")),
    "datadog-key": ("DATADOG_API_KEY", token("", HEX, 32)),
    "pagerduty-key": ("pagerduty_api_key", token("", WORD, 20)),
    "okta-token": ("okta_api_token", token("00", DASHED, 39, "x")),
    "auth0-secret": ("auth0_client_secret", token("", WORD, 64)),
    "algolia-key": ("algolia_admin_key", token("", HEX, 32)),
    "twilio-auth-token": ("twilio_auth_token", token("", HEX, 32)),
    "snyk-token": ("SNYK_TOKEN", uuid),
    "fernet-key": ("FERNET_KEY", token("", DASHED, 43, "=")),
    "assigned": ("internal_api_key", token("", WORD, 36, "a1Z")),
    "password": ("db_password", token("", WORD + "!#+", 12, "k3")),
}
"""Found by the name close before."""

CARRIERS: dict[str, Callable[[str, str], str]] = {
    "plain": lambda name, secret: f"{name} = {secret}" if name else secret,
    "json": lambda name, secret: json.dumps({"model": "m", name or "note": secret, "n": 3}),
    "yaml": lambda name, secret: f"model: m\n{name or 'note'}: {json.dumps(secret)}\nn: 3\n",
    "key-value": lambda name, secret: f"A=1\n{name or 'NOTE'}={secret}\nB=2\n",
    "sentence": lambda name, secret: f"Use the {name or 'value'} is {secret} until Friday, then ask Eve.",
    "notebook": lambda name, secret: json.dumps(
        {
            "cells": [
                {
                    "source": [f"{name or 'x'} = {json.dumps(secret)}\n"],
                    "outputs": [{"text": f"> {name}={secret}\n"}],
                }
            ]
        }
    ),
    "base64": lambda name, secret: "data: " + encode(json.dumps({name or "note": secret}).encode()),
    "base64-of-base64": lambda name, secret: encode(encode(f"{name}={secret}".encode()).encode()),
    "wrapped-base64": lambda name, secret: base64.encodebytes(
        (f"some text before it, so that there are lines\n{name}={secret}\n" + "and after\n" * 9).encode()
    ).decode(),
    "gzip": lambda name, secret: encode(gzip.compress(f"{name}={secret}\n".encode(), mtime=0)),
    "zlib": lambda name, secret: encode(zlib.compress(f"{name}={secret}\n".encode()), url=True),
    "hexadecimal": lambda name, secret: f"{name}={secret}\n".encode().hex(),
    "hexadecimal-lines": lambda name, secret: "\n".join(
        wrap(f"some text before it and then {name}={secret}\nand after it\n".encode().hex(), 60)
    ),
    "utf-16": lambda name, secret: f"{name}={secret}\n".encode("utf-16-le").decode("latin-1"),
    "url-encoded": lambda name, secret: (
        f"q=1&{name}%3D" + "".join(f"%{ord(char):02X}" for char in secret) + "&z=2"
    ),
    "escaped": lambda name, secret: f'"{name}": "' + "".join(f"\\u{ord(char):04x}" for char in secret) + '"',
}
"""Every kind is looked for in each of these."""

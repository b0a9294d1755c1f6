"""What only looks like a credential: examples, placeholders, near misses, and what models are made of."""

import base64
import json
from itertools import pairwise
from random import Random
from uuid import UUID

import pytest

from strongroom.scan.secret_search import search_text
from tests.unit.scan.credentials import DASHED, HEX, MARKED, WORD, some
from tests.unit.scan.test_secrets import found_kinds

RANDOM_BYTES = 8 * 2**20


def test_random_weights_hold_nothing() -> None:
    assert not found_kinds(Random(1).randbytes(RANDOM_BYTES).decode("latin-1"))


@pytest.mark.slow
@pytest.mark.parametrize(
    "encode", [base64.b64encode, base64.urlsafe_b64encode, base64.encodebytes, bytes.hex]
)
def test_random_bytes_in_text_hold_nothing(encode) -> None:
    text = encode(Random(2).randbytes(RANDOM_BYTES))
    assert not found_kinds(text if isinstance(text, str) else text.decode())


@pytest.mark.slow
def test_digests_identifiers_and_commits_hold_nothing() -> None:
    random = Random(3)
    lines = []
    for number in range(4000):
        digest = some(random, HEX, 64)
        lines += [
            f"wheel=={number} --hash=sha256:{digest}",
            f'"sha256": "{digest}", "commit": "{digest[:40]}", "key": "{digest[:32]}"',
            f"wandb: commit {digest[:40]}, run id {UUID(digest[:32])}",
            f'"integrity": "sha512-{base64.b64encode(random.randbytes(64)).decode()}"',
        ]
    assert not found_kinds("\n".join(lines))


def test_tokenizers_hold_nothing() -> None:
    random = Random(4)
    letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:=@'\"\\#$%&ĠĊ▁äλ中"
    tokens = [some(random, letters, random.randint(1, 14)) for _ in range(60_000)]
    words = [
        "hf_",
        "ghp_",
        "sk-",
        "AKIA",
        "AIza",
        "eyJ",
        "password",
        "secret",
        "token",
        "Bearer",
        "-----BEGIN",
        "://",
    ]
    vocabulary = {word: number for number, word in enumerate([*words, *tokens])}
    merges = [f"{left} {right}" for left, right in pairwise(tokens)]
    config = {
        "eos_token": "<|endoftext|>",
        "pad_token": "[PAD]",
        "unk_token": "<|reserved_special_token_247|>",
        "tokenizer_class": "LlamaTokenizerFast",
        "auth_token": None,
    }
    for text in (json.dumps({"model": {"vocab": vocabulary, "merges": merges}, **config}), "\n".join(merges)):
        assert not found_kinds(text)


def test_tree_dumps_and_arrays_hold_nothing() -> None:
    random = Random(5)
    numbers = [random.gauss(0, 1) for _ in range(60_000)]
    lightgbm = "tree\nversion=v4\nleaf_value=" + " ".join(f"{number:.17g}" for number in numbers)
    xgboost = json.dumps({"learner": {"split_conditions": numbers, "tree_param": {"num_nodes": "255"}}})
    assert not found_kinds(lightgbm)
    assert not found_kinds(xgboost)


def test_a_notebook_with_plots_and_tracebacks_holds_nothing() -> None:
    random = Random(6)
    image = base64.b64encode(b"\x89PNG\r\n" + random.randbytes(300_000)).decode()
    cells = [
        {
            "source": [
                "from getpass import getpass\n",
                "token = getpass('HF token: ')\n",
                "login(token=token)\n",
            ]
        },
        {
            "source": [
                "api_key = os.environ['OPENAI_API_KEY']\n",
                "client = Client(api_key=settings.api_key_2)\n",
            ]
        },
        {"source": ["password=config.database.password1, secret=get_secret('prod/db-1')\n"]},
        {"outputs": [{"data": {"image/png": image}, "text": ["\x1b[0;31mKeyError\x1b[0m: 'password1'\n"]}]},
        {
            "outputs": [
                {"text": "/opt/conda/lib/python3.11/site-packages/transformers/models/llama/modeling.py"}
            ]
        },
        {"outputs": [{"text": "https://wandb.ai/acme/churn/runs/3x9ab0kq  https://host:8080/path@v1"}]},
        {"id": "8fd2a1c0-77c8-4b5e-9a31-0f5d7a9e1c2b", "metadata": {"kernelspec": {"name": "python3"}}},
    ]
    assert not found_kinds(json.dumps({"cells": cells, "nbformat": 4}, indent=1))


EXAMPLES = (
    "AKIA" + "IOSFODNN7EXAMPLE",
    "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCY" + "EXAMPLEKEY",
    "hf_" + "x" * 34,
    "hf_xxxx",
    "sk-...",
    "sk-" + "x" * 48,
    "ghp_" + "x" * 36,
    "ghp_" + "abcdefghijklmnopqrstuvwxyz0123456789",
    "glpat-" + "your-token-here-12345",
    "postgres://user:password@localhost/db",
    "postgres://user:${DB_PASSWORD}@host/db",
    "mysql://root:<password>@host/db",
    "redis://:{password}@host:6379/0",
    "mongodb://user:%(password)s@host",
    "https://user:***@host/",
    'password = "changeme"',
    "password: str = None",
    'api_key="YOUR_API_KEY_1"',
    "secret_key = os.environ['SECRET_KEY_2']",
    "Authorization: Bearer YOUR_ACCESS_TOKEN_GOES_HERE_1",
    "Authorization: Basic " + base64.b64encode(b"user:password").decode(),
    "-----BEGIN PRIVATE KEY-----\n...\n-----END PRIVATE KEY-----",
    "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA\n-----END PUBLIC KEY-----",
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIH9b3v2Wm0Q4yA bob@host",
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIiwiaWF0IjoxNTE2MjM5MDIyfQ."
    + "SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c",
    "AccountKey="
    + "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==",
    "machine learning login password the user",
    "compass=north1east2, bypass: rule7b9",
)


@pytest.mark.parametrize("text", EXAMPLES)
def test_examples_and_placeholders_are_no_findings(text: str) -> None:
    assert not found_kinds(text)


@pytest.mark.parametrize(
    "value", ["changeme", "<password>", "${DB_PASSWORD_1}", "{{ vault.db1 }}", "********", "env:PW1", ""]
)
def test_a_blank_to_fill_in_under_the_name_of_a_password_is_no_finding(value: str) -> None:
    assert not found_kinds(value, "model.db_password")


EXACT = (
    "aws-access-key-id",
    "google-api-key",
    "huggingface-token",
    "replicate-token",
    "github-token",
    "npm-token",
    "databricks-token",
    "digitalocean-token",
    "rubygems-key",
    "stripe-key",
    "shopify-token",
    "twilio-key",
    "mailgun-key",
    "postman-key",
    "airtable-token",
    "age-key",
    "grafana-token",
    "newrelic-key",
    "pulumi-token",
    "github-fine-grained",
    "dynatrace-token",
)


@pytest.mark.parametrize("kind", EXACT)
def test_a_shorter_or_another_alphabet_is_no_finding(kind: str) -> None:
    random = Random(kind)
    made = MARKED[kind](random)
    half = made[: len(made) * 3 // 5]
    assert kind not in found_kinds(f"x {half} y")
    assert kind not in found_kinds(f"x {made[:-12]}!{made[-11:]} y")
    assert kind not in found_kinds(f"x abc{made} y"), "no start of a word"


@pytest.mark.parametrize(
    "kind", ["aws-access-key-id", "google-api-key", "databricks-token", "rubygems-key", "pulumi-token"]
)
def test_a_longer_word_is_no_finding(kind: str) -> None:
    assert kind not in found_kinds(f"x {MARKED[kind](Random(kind))}0a y")


def test_a_jwt_is_decoded() -> None:
    random = Random(7)
    assert "jwt" not in found_kinds(
        f"eyJ{some(random, WORD, 40)}.eyJ{some(random, WORD, 40)}.{some(random, DASHED, 43)}"
    )


def test_a_right_checksum_proves_what_looks_like_a_filler() -> None:
    assert [hit.rule.id for hit in search_text("ghp_" + "A" * 30 + "0uCPlr").hits] == ["secret-github-token"]
    assert not search_text("ghp_" + "A" * 36).hits

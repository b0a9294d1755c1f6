"""The kinds without a prefix, known by words: private keys, logins in addresses, headers, assignments."""

import re
from itertools import pairwise

from strongroom.scan.secret_checks import (
    has_letter_and_digit,
    is_filler,
    is_login,
    is_mixed,
    is_password,
    is_real,
)
from strongroom.scan.secret_kinds import HEX, UUID, WORD, Kind, around, build_rule, named
from strongroom.values import Severity

_BEARER = r"[A-Za-z0-9._~+/-]{20,2000}={0,2}"


def _is_bearer(token: bytes) -> bool:
    return has_letter_and_digit(token) and is_real(token)


def _is_key_body(body: bytes) -> bool:
    bare = body.replace(rb"\n", b"").replace(rb"\r", b"").translate(None, b" \t\r\n\\")
    return len(bare) >= 16 and len(set(bare)) >= 3 and b"xxxx" not in bare.lower()


_KEY_BODY = r"([A-Za-z0-9+/=\s\\]{16,20000})"

_KEY_HEADER = r"(?:\s|\\[nr]|[A-Za-z-]{1,20}: [^\r\n\\]{0,80}){0,40}"
_URL = r"://[A-Za-z0-9.-]{1,80}"

INFIXES: tuple[Kind, ...] = (
    around(
        "azure-client-secret",
        "Azure AD client secret",
        "Microsoft Entra",
        "Q~",
        r"(?<![A-Za-z0-9_~.-])([A-Za-z0-9_~.-]{3}[0-9]Q~[A-Za-z0-9_~.-]{31,34})(?![A-Za-z0-9_~-])",
        4,
    ),
    around(
        "mailchimp-key",
        "Mailchimp key",
        "Mailchimp",
        "-us",
        rf"(?<![A-Za-z0-9])({HEX}{{32}}-us[0-9]{{1,2}})(?![A-Za-z0-9])",
        32,
    ),
    around(
        "terraform-token",
        "Terraform Cloud token",
        "Terraform Cloud",
        ".atlasv1.",
        r"(?<![A-Za-z0-9])([A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_=-]{60,70})",
        14,
    ),
    around(
        "maxmind-key",
        "MaxMind licence key",
        "MaxMind",
        "_mmk",
        r"(?<![A-Za-z0-9])([A-Za-z0-9]{6}_[A-Za-z0-9]{29}_mmk)(?![A-Za-z0-9])",
        36,
    ),
)
"""Their needle lies in a run of token characters, as it is written."""

PHRASES: tuple[Kind, ...] = (
    around(
        "private-key",
        "private key",
        "whoever trusts the public key",
        "-----begin ",
        r"-----BEGIN (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----" + _KEY_HEADER + _KEY_BODY,
        0,
        _is_key_body,
    ),
    around(
        "ssh2-private-key",
        "SSH private key",
        "whoever trusts the public key",
        "private key ----",
        r"private key ----" + _KEY_HEADER + _KEY_BODY,
        0,
        _is_key_body,
    ),
    around(
        "putty-key",
        "PuTTY private key",
        "whoever trusts the public key",
        "private-lines: ",
        r"private-lines: [0-9]{1,4}" + _KEY_BODY,
        0,
        _is_key_body,
    ),
    around(
        "private-jwk",
        "private key (JWK)",
        "whoever trusts the public key",
        '"d"',
        r'"d"\s{0,4}:\s{0,4}"([A-Za-z0-9_-]{20,1400})"',
        near=b'"kty"',
    ),
    around(
        "azure-sas",
        "Azure shared access signature",
        "Azure",
        "sig=",
        r"sig=([A-Za-z0-9+/]{43}=|(?:[A-Za-z0-9+/]|%2[BbFf]){43}(?:=|%3D))",
    ),
    around(
        "slack-webhook",
        "Slack webhook",
        "Slack",
        "://",
        r"://hooks\.slack(?:-gov)?\.com/(?:services|workflows|triggers)/"
        r"([A-Za-z0-9]{6,14}/[A-Za-z0-9]{6,20}/[A-Za-z0-9/]{16,50})",
    ),
    around(
        "discord-webhook",
        "Discord webhook",
        "Discord",
        "://",
        _URL + r"/api/(?:v[0-9]{1,2}/)?webhooks/([0-9]{15,22}/[A-Za-z0-9_-]{50,100})",
    ),
    around(
        "teams-webhook",
        "Microsoft Teams webhook",
        "Microsoft Teams",
        "://",
        _URL + rf"/webhook(?:b2)?/{UUID}(?:@{UUID})?/IncomingWebhook/({HEX}{{32}})",
    ),
    around(
        "power-automate-webhook",
        "Power Automate webhook",
        "Microsoft",
        "://",
        r"://[A-Za-z0-9.-]{1,60}\.logic\.azure\.com(?::443)?/[^\s\"'<>]{10,300}?sig=([A-Za-z0-9_%-]{43,60})",
    ),
    around(
        "google-chat-webhook",
        "Google Chat webhook",
        "Google Chat",
        "://",
        r"://chat\.googleapis\.com/v1/spaces/[A-Za-z0-9_-]{5,20}/messages\?[^\s\"'<>]{10,120}?"
        r"token=([A-Za-z0-9_%-]{30,80})",
    ),
    around(
        "zapier-webhook",
        "Zapier webhook",
        "Zapier",
        "://",
        r"://hooks\.zapier\.com/hooks/catch/([0-9]{5,10}/[A-Za-z0-9]{5,12})",
    ),
    around(
        "login-in-address",
        "address with a password",
        "the service it opens",
        "://",
        r"://[^\s:/?#@\"'<>\\]{0,100}:([^\s/@\"'<>\\]{3,200})@(?=[A-Za-z0-9\[_%{$-])",
        0,
        is_password,
    ),
    around(
        "oracle-login",
        "Oracle address with a password",
        "the database",
        "jdbc:oracle:",
        r"jdbc:oracle:(?:thin|oci8?):[^\s/:@\"']{1,60}/([^\s/@\"']{3,100})@",
        0,
        is_password,
    ),
    around(
        "basic-auth",
        "basic authorization header",
        "the service it opens",
        "basic ",
        r"basic {1,4}([A-Za-z0-9+/_-]{8,400}={0,2})(?![A-Za-z0-9+/=])",
        0,
        is_login,
    ),
    around(
        "docker-config-auth",
        "registry login of a Docker configuration",
        "the container registry",
        '"auth"',
        r'"auth"\s{0,4}:\s{0,4}"([A-Za-z0-9+/_-]{8,400}={0,2})"',
        0,
        is_login,
    ),
    around(
        "bearer-token",
        "bearer authorization header",
        "the service it opens",
        "bearer ",
        rf"bearer {{1,4}}({_BEARER})",
        0,
        _is_bearer,
    ),
    around(
        "netrc-login",
        "login of a .netrc",
        "the service it opens",
        "machine",
        r"machine\s{1,8}\S{1,100}\s{1,8}login\s{1,8}\S{1,100}\s{1,8}password\s{1,8}([^\s\"']{3,200})",
        0,
        is_password,
    ),
)

SERVICES = (
    named("crates-token", "crates.io token", "crates.io", r"cargo|crates", r"cio[A-Za-z0-9]{32}", 35),
    named(
        "telegram-token",
        "Telegram bot token",
        "Telegram's BotFather",
        r"(?<![0-9a-z])[0-9]{8,10}:\Z",
        r"[A-Za-z0-9_-]{35}",
        35,
    ),
    named(
        "google-service-account",
        "Google service account key",
        "Google Cloud IAM",
        r'"private_key_id"',
        r"[0-9a-f]{40}",
        40,
    ),
    named(
        "kaggle-key",
        "Kaggle key",
        "Kaggle",
        r'"username"\s{0,4}:\s{0,4}"[^"]{1,40}"\s{0,4},\s{0,8}"key"|kaggle',
        r"[0-9a-f]{32}",
        32,
    ),
    named(
        "paypal-token",
        "PayPal or Braintree token",
        "PayPal",
        r"access_token\$(?:production|sandbox)\$[0-9a-z]{16}\$",
        r"[0-9a-f]{32}",
        32,
    ),
    named(
        "aws-secret-key",
        "AWS secret access key",
        "AWS IAM",
        r"aws.{0,24}secret|secret.{0,2}access.{0,2}key|aws.{0,24}key|a[ks]ia[0-9a-z]{16}",
        r"[A-Za-z0-9+/]{40}",
        40,
    ),
    named(
        "wandb-legacy-key",
        "Weights & Biases key",
        "Weights & Biases",
        r"wandb|weights.{0,5}biases",
        r"[0-9a-f]{40}",
        40,
    ),
    named("cohere-key", "Cohere key", "Cohere", r"cohere|co_api_key", WORD + "{40}", 40),
    named("comet-key", "Comet key", "Comet", r"comet", WORD + "{25}", 25),
    named("mistral-key", "Mistral key", "Mistral", r"mistral", WORD + "{32}", 32),
    named("together-legacy-key", "Together key", "Together", r"together", r"[0-9a-f]{64}", 64),
    named(
        "weaviate-key",
        "Weaviate key",
        "Weaviate",
        r"weaviate",
        r"[A-Za-z0-9+/]{36,88}={0,2}|" + UUID,
        range(36, 91),
    ),
    named("pinecone-legacy-key", "Pinecone key", "Pinecone", r"pinecone", UUID, 36),
    named("assemblyai-key", "AssemblyAI key", "AssemblyAI", r"assembly.?ai", r"[0-9a-f]{32}", 32),
    named("clearml-key", "ClearML secret", "ClearML", r"clearml|trains_api", WORD + "{32,64}", range(32, 65)),
    named("roboflow-key", "Roboflow key", "Roboflow", r"roboflow", WORD + "{20}", 20),
    named(
        "azure-ai-key",
        "Azure AI key",
        "Azure",
        r"azure|cognitive|ocp-apim|openai",
        WORD + "{84}|[0-9a-f]{32}",
        range(32, 85),
    ),
    named(
        "azure-devops-token",
        "Azure DevOps token",
        "Azure DevOps",
        r"azure.?devops|azdo|vsts|dev\.azure",
        r"[a-z2-7]{52}",
        52,
    ),
    named(
        "alibaba-secret-key",
        "Alibaba Cloud secret",
        "Alibaba Cloud",
        r"ali(?:baba|yun|cloud)|\bltai",
        WORD + "{30}",
        30,
    ),
    named(
        "tencent-secret-key",
        "Tencent Cloud secret",
        "Tencent Cloud",
        r"tencent|qcloud|\bakid",
        WORD + "{32}",
        32,
    ),
    named("ibm-cloud-key", "IBM Cloud key", "IBM Cloud", r"ibm|watson|bluemix", r"[A-Za-z0-9_-]{44}", 44),
    named("heroku-legacy-key", "Heroku key", "Heroku", r"heroku", UUID, 36),
    named(
        "cloudflare-key",
        "Cloudflare token",
        "Cloudflare",
        r"cloudflare|cf_api",
        r"[A-Za-z0-9_-]{40}|[0-9a-f]{37}",
        range(37, 41),
    ),
    named("fastly-token", "Fastly token", "Fastly", r"fastly", r"[A-Za-z0-9_-]{32}", 32),
    named("vercel-token", "Vercel token", "Vercel", r"vercel", WORD + "{24}", 24),
    named("hetzner-token", "Hetzner Cloud token", "Hetzner", r"hetzner|hcloud", WORD + "{64}", 64),
    named("linode-token", "Linode token", "Linode", r"linode", r"[0-9a-f]{64}", 64),
    named("scaleway-key", "Scaleway secret", "Scaleway", r"scaleway|scw_secret", UUID, 36),
    named(
        "datadog-key",
        "Datadog key",
        "Datadog",
        r"datadog|dd.?api.?key|dd.?app.?key",
        r"[0-9a-f]{32}|[0-9a-f]{40}",
        range(32, 41),
    ),
    named(
        "pagerduty-key",
        "PagerDuty key",
        "PagerDuty",
        r"pagerduty|pd_api",
        r"[A-Za-z0-9+_-]{20}|[0-9a-f]{32}",
        range(20, 33),
    ),
    named("okta-token", "Okta token", "Okta", r"okta|ssws", r"00[A-Za-z0-9_-]{40}", 42),
    named("auth0-secret", "Auth0 client secret", "Auth0", r"auth0", r"[A-Za-z0-9_-]{64}", 64),
    named("algolia-key", "Algolia key", "Algolia", r"algolia", r"[0-9a-f]{32}", 32),
    named(
        "mailgun-signing-key",
        "Mailgun key",
        "Mailgun",
        r"mailgun",
        r"[0-9a-f]{32}-[0-9a-f]{8}-[0-9a-f]{8}",
        50,
    ),
    named("twilio-auth-token", "Twilio auth token", "Twilio", r"twilio", r"[0-9a-f]{32}", 32),
    named("snyk-token", "Snyk token", "Snyk", r"snyk", UUID, 36),
    named("codecov-token", "Codecov token", "Codecov", r"codecov", r"[0-9a-f]{32}|" + UUID, range(32, 37)),
    named("sonar-legacy-token", "SonarQube token", "SonarQube", r"sonar", r"[0-9a-f]{40}", 40),
    named("jenkins-token", "Jenkins token", "Jenkins", r"jenkins", r"11[0-9a-f]{32}", 34),
    named("sentry-legacy-token", "Sentry token", "Sentry", r"sentry", r"[0-9a-f]{64}", 64),
    named("consul-token", "Consul token", "Consul", r"consul", UUID, 36),
    named("facebook-secret", "Facebook app secret", "Meta", r"facebook|fb_app", r"[0-9a-f]{32}", 32),
    named(
        "twitter-secret",
        "X (Twitter) secret",
        "X",
        r"twitter",
        r"A{10,30}[A-Za-z0-9%]{40,120}|[A-Za-z0-9]{50}|[A-Za-z0-9]{45}",
        range(45, 151),
    ),
    named(
        "bitbucket-secret",
        "Bitbucket client secret",
        "Bitbucket",
        r"bitbucket",
        WORD + "{32}|" + WORD + "{64}",
        range(32, 65),
    ),
    named("fernet-key", "Fernet key", "whoever encrypts with it", r"fernet", r"[A-Za-z0-9_-]{43}=", 44),
    named(
        "kubernetes-bootstrap-token",
        "Kubernetes join token",
        "the cluster",
        r"kubeadm|bootstrap.?token",
        r"[a-z0-9]{6}\.[a-z0-9]{16}",
        23,
    ),
    named("discord-secret", "Discord client secret", "Discord", r"discord", r"[A-Za-z0-9_-]{32}", 32),
    named("zendesk-token", "Zendesk token", "Zendesk", r"zendesk", WORD + "{40}", 40),
    named("airtable-key", "Airtable key", "Airtable", r"airtable", r"key[A-Za-z0-9]{14}", 17),
)

NOT_A_CREDENTIAL = re.compile(
    rb"commit|sha-?[0-9]|sha$|hash|digest|version|checksum|revision|etag|uuid|guid|md5|run.?id|_id\b|\bid\b|/runs/|"
    rb"integrity|fingerprint|build|blob|tree|rev\b|project|account.?id|tenant"
)
"""Between a service's name and a value: what says that the value is public."""

ASSIGNED = build_rule("assigned", "credential in an assignment", "the service it opens", Severity.MEDIUM)
PASSWORD = build_rule("password", "password in an assignment", "the service it opens", Severity.MEDIUM)
DATABASE_PASSWORD = build_rule("connection-string", "connection string with a password", "the database")

_NAMES = (
    r"pass(?:word|wd|wort|phrase|code)?|pwd|"
    r"secret(?:[_. -]?access)?(?:[_. -]?(?:key|token|value))?|"
    r"api[_. -]?(?:key|token|secret)|"
    r"(?:access|auth|account|signing|encryption|master|private|subscription|shared)"
    r"[_. -]?(?:key|token)|"
    r"(?:client|app|consumer|webhook|jwt)[_. -]?secret|"
    r"(?:refresh|bearer|session|id|hub|hf|github|gitlab|bot|user|csrf|personal[_. -]?access|oauth2?)"
    r"[_. -]?token|credentials?"
)
_ASSIGN = r"(?:_?[0-9]{1,2})?(?:\\{0,3}[\"'\]]){0,3}\s{0,4}(?:=>|:=|==?|:|\sis\s|>)\s{0,4}"

PASSWORD_ASSIGNMENT = re.compile(
    (
        r"(?:pass(?:word|wd|wort|phrase|code)?|pwd|(?:client[_-]?)?secret(?:[_-]?key)?|api[_-]?key|apikey)"
        + _ASSIGN
        + r"(?:\\{0,3}[\"'`]([^\"'`\\\s]{5,200})\\{0,3}[\"'`]|([^\s\"'`,;&<>(){}\[\]\\]{6,200}))"
    ).encode(),
    re.IGNORECASE,
)
"""Matched at each needle of PASSWORD_NEEDLES. Group 1 is a quoted value, group 2 a bare one."""
PASSWORD_NEEDLES = (b"pass", b"pwd", b"secret", b"api")

TOKEN_ASSIGNED = re.compile(
    (r"(?<![a-z])(?:" + _NAMES + r"|token)" + _ASSIGN + r"(?:\\{0,3}[\"'`]){0,3}\Z").encode()
)
"""What ends right before a long value, in lower case, where the value is a credential."""
TOKEN_STEMS = re.compile(b"pass|pwd|secret|key|token|cred")

CONNECTION = re.compile(
    rb"(?:server|data source|driver|host|uid|user ?id|initial catalog|database)\s{0,3}=|jdbc:"
)
"""In lower case, close before a password: a connection string of ODBC, ADO or JDBC."""

_SEPARATORS = (b",", b"(", b")", b"[", b"]", b"{", b"}")
_FEW_CHARS = 8
_MANY_CHARS = 30
_CALLED = re.compile(rb"pass|pwd|secret|key|token", re.IGNORECASE)
_CLASSES = bytes(
    0 if chr(char).isupper() else 1 if chr(char).islower() else 2 if chr(char).isdigit() else 3
    for char in range(256)
)
_MIN_SHARE_OF_CHANGES = 0.42
"""Of neighbours that are of different classes (capital, small, digit): 0.62 in random ones, less in names."""
_CODE = re.compile(
    rb"[A-Za-z_][A-Za-z_0-9]*(?:\.[A-Za-z_][A-Za-z_0-9]*)+|[a-z_]+[0-9]{0,4}[a-z_]*|[A-Z_]+[0-9]{0,4}[A-Z_]*"
)
_NOT_VALUES = (
    b"/",
    b"./",
    b"../",
    b"http",
    b"@",
    b"--",
    b"file:",
    b"env:",
    b"vault:",
    b"arn:",
    b"self.",
    b"os.",
    b"config",
    b"=",
)


def is_assigned_password(value: bytes, follows: bytes) -> bool:
    """Whether a value that is called a password is one, and not a variable, a path or a blank to fill.

    ``follows`` is the character behind it: a quote, or for a bare value whatever ended it.
    """
    if not is_password(value) or value.lower().startswith(_NOT_VALUES):
        return False
    if not has_letter_and_digit(value) and not _is_jumble_of_letters(value):
        return False
    if len(value) < _MANY_CHARS and sum(value.count(char) for char in b"()[]{}<>|*") > 2:
        return False
    if follows and follows in b"\"'`":
        return True
    is_name = _CODE.fullmatch(value) is not None
    return not (is_name and (follows in _SEPARATORS or b"." in value or _CALLED.search(value)))


def is_assigned_token(value: bytes) -> bool:
    """Whether a long value that is called a key or token consists of random letters."""
    if is_filler(value) or value.count(b"/") + value.count(b".") > 4:
        return False
    is_hex = len(value) >= 32 and not value.strip(b"0123456789abcdefABCDEF") and has_letter_and_digit(value)
    return is_hex or (is_mixed(value) and len(set(value)) * 2 > min(len(value), 24) and _is_jumbled(value))


def _is_jumble_of_letters(value: bytes) -> bool:
    is_both = value.lower() != value and value.upper() != value
    return is_both and len(value) >= _FEW_CHARS and _is_jumbled(value)


def _is_jumbled(value: bytes) -> bool:
    classes = value.translate(_CLASSES)
    changes = sum(left != right for left, right in pairwise(classes))
    return changes >= _MIN_SHARE_OF_CHANGES * (len(value) - 1)

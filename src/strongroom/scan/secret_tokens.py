"""The kinds with a mark of their own: a prefix, then an exact alphabet and length.

Lengths and alphabets are those that the issuers publish or that their tokens have had so far; where an issuer
has changed them, both are here. They are a little wider than today's tokens: what decides is the prefix
together with the end, and the next token of the same issuer should be found as well.
"""

from strongroom.scan.secret_checks import (
    is_checksummed_or_real,
    is_json_in_base64,
    is_jwt,
    is_mixed,
    is_real,
)
from strongroom.scan.secret_kinds import DASHED, HEX, UUID, WORD, Kind, starting

_BASE64_ENDS = r"(?![A-Za-z0-9+/=_-])"
_AGE = "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L"  # Bech32 in capitals, BIP 173


def _is_mixed_and_real(token: bytes) -> bool:
    return is_mixed(token) and is_real(token)


CLOUDS = (
    starting("aws-access-key-id", "AWS access key id", "AWS IAM", "AKIA ASIA ABIA ACCA", "[A-Z0-9]{16}"),
    starting("google-api-key", "Google API key", "Google Cloud", "AIza", DASHED + "{35}"),
    starting(
        "google-oauth-secret", "Google OAuth client secret", "Google Cloud", "GOCSPX-", DASHED + "{24,40}"
    ),
    starting(
        "google-oauth-token",
        "Google OAuth access token",
        "Google Cloud",
        "ya29.",
        "[A-Za-z0-9_.-]{30,500}",
        ends="",
    ),
    starting(
        "azure-storage-key",
        "Azure storage account key",
        "Azure",
        "AccountKey= accountKey= accountkey=",
        "([A-Za-z0-9+/]{86}==)",
        ends="",
    ),
    starting(
        "azure-shared-access-key",
        "Azure Service Bus, Event Hubs or IoT key",
        "Azure",
        "SharedAccessKey= sharedaccesskey=",
        "([A-Za-z0-9+/]{42,44}=)",
        ends="",
    ),
    starting(
        "alibaba-access-key-id",
        "Alibaba Cloud access key id",
        "Alibaba Cloud",
        "LTAI",
        WORD + "{12,24}",
        not_in_base64=True,
    ),
    starting(
        "tencent-secret-id",
        "Tencent Cloud secret id",
        "Tencent Cloud",
        "AKID",
        WORD + "{32}",
        not_in_base64=True,
    ),
    starting(
        "yandex-key", "Yandex Cloud key", "Yandex Cloud", "AQVN", DASHED + "{35,38}", not_in_base64=True
    ),
    starting(
        "digitalocean-token", "DigitalOcean token", "DigitalOcean", "dop_v1_ doo_v1_ dor_v1_", HEX + "{64}"
    ),
    starting("heroku-key", "Heroku API key", "Heroku", "HRKU-", DASHED + "{36,60}"),
    starting("fly-token", "Fly.io token", "Fly.io", "fo1_", DASHED + "{43}"),
    starting(
        "fly-macaroon", "Fly.io token", "Fly.io", "fm1r_ fm1a_ fm2_", "[A-Za-z0-9+/]{100,800}={0,3}", ends=""
    ),
    starting(
        "cloudflare-origin-key",
        "Cloudflare Origin CA key",
        "Cloudflare",
        "v1.0-",
        HEX + "{24}-" + HEX + "{146}",
    ),
    starting("supabase-token", "Supabase token", "Supabase", "sbp_", HEX + "{40}"),
    starting("supabase-secret", "Supabase secret key", "Supabase", "sb_secret_", DASHED + "{20,60}"),
    starting("netlify-token", "Netlify token", "Netlify", "nfp_ nfc_ nfo_ nfu_ nfb_", WORD + "{36}"),
    starting("render-key", "Render API key", "Render", "rnd_", WORD + "{28,40}"),
    starting(
        "planetscale",
        "PlanetScale credential",
        "PlanetScale",
        "pscale_tkn_ pscale_pw_ pscale_oauth_",
        "[A-Za-z0-9_.=-]{32,64}",
        ends="",
    ),
    starting("neon-key", "Neon API key", "Neon", "napi_", "[a-z0-9]{40,80}"),
)

MACHINE_LEARNING = (
    starting(
        "openai-key",
        "OpenAI API key",
        "OpenAI",
        "sk-proj- sk-svcacct- sk-admin- sk-None-",
        DASHED + "{40,250}",
        ends="",
    ),
    starting(
        "openai-legacy-key",
        "API key in the form of OpenAI's",
        "its issuer (OpenAI, DeepSeek, ...)",
        "sk-",
        WORD + "{32,64}",
    ),
    starting("anthropic-key", "Anthropic API key", "Anthropic", "sk-ant-", DASHED + "{32,150}", ends=""),
    starting("openrouter-key", "OpenRouter key", "OpenRouter", "sk-or-v1- sk-or-", HEX + "{64}"),
    starting("langfuse-key", "Langfuse secret key", "Langfuse", "sk-lf-", UUID),
    starting(
        "huggingface-token",
        "Hugging Face token",
        "huggingface.co/settings/tokens",
        "hf_ api_org_",
        WORD + "{30,40}",
    ),
    starting(
        "huggingface-oauth",
        "Hugging Face OAuth token",
        "Hugging Face",
        "hf_oauth_ hf_app_ hf_jwt_",
        "[A-Za-z0-9_.-]{24,900}",
        ends="",
    ),
    starting("replicate-token", "Replicate token", "Replicate", "r8_", WORD + "{37,40}"),
    starting("wandb-key", "Weights & Biases key", "Weights & Biases", "wandb_v1_", DASHED + "{60,100}"),
    starting(
        "neptune-token",
        "Neptune API token",
        "Neptune",
        "eyJhcGlfYWRkcmVzcyI6",
        "[A-Za-z0-9+/]{60,600}={0,2}",
        is_json_in_base64,
        _BASE64_ENDS,
    ),
    starting("pinecone-key", "Pinecone API key", "Pinecone", "pcsk_", DASHED + "{40,90}"),
    starting("groq-key", "Groq API key", "Groq", "gsk_", WORD + "{48,56}"),
    starting("perplexity-key", "Perplexity API key", "Perplexity", "pplx-", WORD + "{40,56}"),
    starting("xai-key", "xAI API key", "xAI", "xai-", WORD + "{70,90}"),
    starting(
        "fireworks-key", "Fireworks API key", "Fireworks", "fw_ fpk_", WORD + "{22,28}", _is_mixed_and_real
    ),
    starting("together-key", "Together API key", "Together", "tgp_v1_", DASHED + "{40,60}"),
    starting("nvidia-key", "NVIDIA API key", "NVIDIA", "nvapi-", DASHED + "{60,70}"),
    starting("voyage-key", "Voyage AI key", "Voyage AI", "pa-", DASHED + "{43}", _is_mixed_and_real),
    starting("jina-key", "Jina AI key", "Jina AI", "jina_", WORD + "{60,70}"),
    starting("cerebras-key", "Cerebras API key", "Cerebras", "csk-", WORD + "{48}"),
    starting("elevenlabs-key", "ElevenLabs API key", "ElevenLabs", "sk_", HEX + "{48}"),
    starting("langsmith-key", "LangSmith key", "LangSmith", "lsv2_pt_ lsv2_sk_ ls__", "[0-9a-f_]{32,60}"),
    starting("anyscale-key", "Anyscale key", "Anyscale", "esecret_", WORD + "{24,40}"),
    starting("modal-token", "Modal token", "Modal", "ak- as-", WORD + "{22}", _is_mixed_and_real),
    starting("runpod-key", "RunPod key", "RunPod", "rpa_", WORD + "{40,50}"),
    starting("tavily-key", "Tavily key", "Tavily", "tvly-", DASHED + "{28,60}"),
    starting("kaggle-token", "Kaggle token", "Kaggle", "KGAT_", HEX + "{32}"),
    starting(
        "databricks-token", "Databricks token", "Databricks", "dapi dkea dosea", HEX + "{32}(?:-[0-9])?"
    ),
    starting("prefect-key", "Prefect key", "Prefect", "pnu_ pnb_", WORD + "{36}"),
    starting(
        "dbt-token", "dbt Cloud token", "dbt Cloud", "dbtc_ dbtu_ dbts_", "[A-Za-z0-9_.=-]{30,100}", ends=""
    ),
)

FORGES = (
    starting(
        "github-token",
        "GitHub token",
        "github.com/settings/tokens",
        "ghp_ gho_ ghu_ ghs_ ghr_",
        WORD + "{36}",
        is_checksummed_or_real,
    ),
    starting(
        "github-fine-grained",
        "GitHub fine-grained token",
        "github.com/settings/tokens",
        "github_pat_",
        "[A-Za-z0-9_]{82}",
    ),
    starting(
        "gitlab-token",
        "GitLab token",
        "GitLab",
        "glpat- gldt- glrt- glptt- glft- glcbt- glimt- glagent- glsoat- glffct- gloas- GR1348941",
        DASHED + "{20,64}(?![A-Za-z0-9_-])",
        ends="",
    ),
    starting(
        "gitlab-routable-token",
        "GitLab token",
        "GitLab",
        "glpat- glrt-t",
        DASHED + r"{27,300}\.[0-9a-z]{2}\.?[0-9a-z]{7,9}",
    ),
    starting(
        "bitbucket-token", "Bitbucket app password", "Bitbucket", "ATBB", WORD + "{32}", not_in_base64=True
    ),
    starting(
        "bitbucket-access-token",
        "Bitbucket access token",
        "Bitbucket",
        "ATCTT3",
        "[A-Za-z0-9_=-]{60,220}",
        ends="",
    ),
    starting(
        "atlassian-token", "Atlassian API token", "Atlassian", "ATATT3", "[A-Za-z0-9_=-]{60,220}", ends=""
    ),
    starting("npm-token", "npm token", "npm", "npm_", WORD + "{36}", is_checksummed_or_real),
    starting(
        "npmrc-auth",
        "registry login of an .npmrc",
        "the package registry",
        "_authToken= _auth= _password=",
        r"([A-Za-z0-9_+/.=-]{16,400})",
        ends="",
    ),
    starting(
        "pypi-token",
        "PyPI token",
        "PyPI",
        "pypi-AgEIcHlwaS5vcmc pypi-AgENdGVzdC5weXBpLm9yZw",
        DASHED + "{50,400}",
        ends="",
    ),
    starting("rubygems-key", "RubyGems key", "RubyGems", "rubygems_", HEX + "{48}"),
    starting("nuget-key", "NuGet key", "NuGet", "oy2", "[a-z0-9]{43}"),
    starting("clojars-token", "Clojars token", "Clojars", "CLOJARS_", "[a-z0-9]{60}"),
    starting("docker-token", "Docker Hub token", "Docker Hub", "dckr_pat_ dckr_oat_", DASHED + "{27,40}"),
    starting(
        "artifactory-key",
        "Artifactory key",
        "Artifactory",
        "AKCp cmVmd",
        WORD + "{59,69}",
        not_in_base64=True,
    ),
    starting("sonar-token", "SonarQube token", "SonarQube", "sqp_ sqa_ squ_", HEX + "{40}"),
    starting("circleci-token", "CircleCI token", "CircleCI", "CCIPAT_ CCIPRJ_", "[A-Za-z0-9_]{40,80}"),
    starting("buildkite-token", "Buildkite token", "Buildkite", "bkua_", HEX + "{40}"),
    starting(
        "sourcegraph-token", "Sourcegraph token", "Sourcegraph", "sgp_", "(?:[a-z0-9]{5,16}_)?" + HEX + "{40}"
    ),
)

INFRASTRUCTURE = (
    starting("vault-token", "HashiCorp Vault token", "Vault", "hvs. hvb. hvr.", DASHED + "{24,300}", ends=""),
    starting("vault-legacy-token", "HashiCorp Vault token", "Vault", "s.", WORD + "{24}", _is_mixed_and_real),
    starting(
        "doppler-token",
        "Doppler token",
        "Doppler",
        "dp.pt. dp.st. dp.sa. dp.ct. dp.scim. dp.audit.",
        r"(?:[a-z0-9_-]{1,40}\.)?" + WORD + "{40,44}",
    ),
    starting("pulumi-token", "Pulumi token", "Pulumi", "pul-", HEX + "{40}"),
    starting(
        "1password-token",
        "1Password service token",
        "1Password",
        "ops_eyJ",
        "[A-Za-z0-9+/_-]{200,1500}",
        ends="",
    ),
    starting(
        "age-key",
        "age identity (private key)",
        "whoever encrypts to it",
        "AGE-SECRET-KEY-1",
        f"[{_AGE}]{{58}}",
    ),
    starting(
        "age-pq-key",
        "age identity (private key)",
        "whoever encrypts to it",
        "AGE-SECRET-KEY-PQ-1",
        f"[{_AGE}]{{58,200}}",
    ),
    starting("openshift-token", "OpenShift token", "OpenShift", "sha256~", DASHED + "{43}"),
    starting("grafana-token", "Grafana token", "Grafana", "glsa_", WORD + "{32}_" + HEX + "{8}"),
    starting(
        "grafana-cloud-token",
        "Grafana Cloud token",
        "Grafana",
        "glc_",
        "[A-Za-z0-9+/]{32,400}={0,2}",
        ends=_BASE64_ENDS,
    ),
    starting(
        "grafana-key",
        "Grafana API key",
        "Grafana",
        "eyJrIjoi",
        "[A-Za-z0-9+/]{60,400}={0,2}",
        is_json_in_base64,
        _BASE64_ENDS,
    ),
    starting(
        "newrelic-key", "New Relic key", "New Relic", "NRAK- NRII- NRIQ- NRRA- NRBR-", DASHED + "{27,42}"
    ),
    starting("newrelic-browser-key", "New Relic browser key", "New Relic", "NRJS-", HEX + "{19}"),
    starting(
        "sentry-token", "Sentry token", "Sentry", "sntrys_ sntryu_", "[A-Za-z0-9+/=_-]{40,400}", ends=""
    ),
    starting(
        "dynatrace-token",
        "Dynatrace token",
        "Dynatrace",
        "dt0c01. dt0s01. dt0s02. dt0s16.",
        r"[A-Z0-9a-z]{8,24}\." + WORD + "{64}",
    ),
    starting("honeycomb-key", "Honeycomb key", "Honeycomb", "hcaik_ hcxik_ hcbik_", "[a-z0-9]{50,64}"),
    starting("launchdarkly-key", "LaunchDarkly key", "LaunchDarkly", "sdk- api- mob-", UUID),
    starting("postman-key", "Postman API key", "Postman", "PMAK-", HEX + "{24}-" + HEX + "{34}"),
    starting("readme-key", "ReadMe key", "ReadMe", "rdme_", "[a-z0-9]{70}"),
)

SERVICES = (
    starting(
        "slack-token",
        "Slack token",
        "Slack",
        "xoxb- xoxp- xoxa- xoxr- xoxs- xoxo- xoxc- xoxd-",
        "[A-Za-z0-9-]{20,250}",
        ends="",
    ),
    starting(
        "slack-app-token",
        "Slack app token",
        "Slack",
        "xapp-",
        "[0-9]-[A-Z0-9]{6,20}-[0-9]{8,20}-[A-Za-z0-9]{30,100}",
    ),
    starting(
        "slack-config-token",
        "Slack configuration token",
        "Slack",
        "xoxe- xoxe.xoxp- xoxe.xoxb-",
        "[0-9]-[A-Za-z0-9-]{40,200}",
        ends="",
    ),
    starting("sendgrid-key", "SendGrid key", "SendGrid", "SG.", DASHED + r"{16,32}\." + DASHED + "{16,64}"),
    starting("twilio-key", "Twilio key or account id", "Twilio", "SK AC", "[0-9a-f]{32}"),
    starting("mailgun-key", "Mailgun key", "Mailgun", "key-", WORD + "{32}"),
    starting("mandrill-key", "Mandrill key", "Mailchimp", "md-", DASHED + "{22}", _is_mixed_and_real),
    starting("brevo-key", "Brevo key", "Brevo", "xkeysib- xsmtpsib-", HEX + "{64}-" + WORD + "{16}"),
    starting("resend-key", "Resend key", "Resend", "re_", WORD + "{8}_" + WORD + "{24}"),
    starting(
        "stripe-key",
        "Stripe key",
        "Stripe",
        "sk_live_ sk_test_ sk_prod_ rk_live_ rk_test_ rk_prod_",
        WORD + "{16,200}",
    ),
    starting(
        "stripe-webhook-secret",
        "Stripe webhook secret",
        "Stripe",
        "whsec_",
        "[A-Za-z0-9+/]{32,64}={0,2}",
        ends="",
    ),
    starting("square-token", "Square token", "Square", "sq0atp- sq0csp- sq0idp-", DASHED + "{22,60}"),
    starting(
        "square-access-token", "Square access token", "Square", "EAAA", DASHED + "{56,64}", not_in_base64=True
    ),
    starting(
        "facebook-token",
        "Facebook access token",
        "Meta",
        "EAAC EAAM EAAG EAAB",
        WORD + "{120,300}",
        not_in_base64=True,
    ),
    starting(
        "plaid-token", "Plaid token", "Plaid", "access-production- access-development- access-sandbox-", UUID
    ),
    starting(
        "shopify-token", "Shopify token", "Shopify", "shpat_ shpca_ shppa_ shpss_ shptka_", HEX + "{32}"
    ),
    starting("shippo-token", "Shippo token", "Shippo", "shippo_live_ shippo_test_", HEX + "{40}"),
    starting("easypost-key", "EasyPost key", "EasyPost", "EZAK EZTK", WORD + "{54}", not_in_base64=True),
    starting("duffel-token", "Duffel token", "Duffel", "duffel_live_ duffel_test_", DASHED + "{43}"),
    starting("lob-key", "Lob key", "Lob", "live_ test_", HEX + "{35}"),
    starting("hubspot-token", "HubSpot token", "HubSpot", "pat-na1- pat-na2- pat-eu1- pat-ap1-", UUID),
    starting("linear-key", "Linear key", "Linear", "lin_api_ lin_oauth_", WORD + "{32,64}"),
    starting("notion-token", "Notion token", "Notion", "ntn_ secret_", WORD + "{43,50}"),
    starting("airtable-token", "Airtable token", "Airtable", "pat", WORD + r"{14}\." + HEX + "{64}"),
    starting("figma-token", "Figma token", "Figma", "figd_ figo_ figu_", DASHED + "{38,60}"),
    starting("typeform-token", "Typeform token", "Typeform", "tfp_", r"[A-Za-z0-9_.-]{40,60}"),
    starting("contentful-token", "Contentful token", "Contentful", "CFPAT-", DASHED + "{43}"),
    starting("trello-token", "Trello token", "Trello", "ATTA", HEX + "{60,72}"),
    starting("dropbox-token", "Dropbox token", "Dropbox", "sl.u. sl.B sl.A", DASHED + "{100,1300}", ends=""),
    starting(
        "mapbox-token", "Mapbox secret token", "Mapbox", "sk.eyJ", DASHED + r"{40,200}\." + DASHED + "{22}"
    ),
    starting("zoho-token", "Zoho token", "Zoho", "1000.", "[0-9a-f]{32}[.][0-9a-f]{32}"),
    starting(
        "harness-token",
        "Harness token",
        "Harness",
        "pat. sat.",
        DASHED + r"{22}\.[A-Za-z0-9]{24}\.[A-Za-z0-9]{20}",
    ),
    starting(
        "discord-token",
        "Discord bot token",
        "Discord",
        "M N O",
        DASHED + r"{22,27}\." + DASHED + r"{6}\." + DASHED + "{27,40}",
        _is_mixed_and_real,
    ),
    starting(
        "telegram-bot-token",
        "Telegram bot token",
        "Telegram's BotFather",
        "AA",
        r"(?<=[0-9]{8}:AA)[A-Za-z0-9_-]{32,33}",
    ),
    starting(
        "firebase-key", "Firebase messaging key", "Firebase", "APA91b", r"[A-Za-z0-9_-]{100,200}", ends=""
    ),
    starting(
        "jwt",
        "JSON Web Token",
        "whoever issued it",
        "ey",
        r"[A-Za-z0-9][A-Za-z0-9_-]{10,1000}\.ey[A-Za-z0-9_-]{4,8000}\.[A-Za-z0-9_-]{16,1400}",
        is_jwt,
        "",
    ),
)

TOKENS: tuple[Kind, ...] = (*CLOUDS, *MACHINE_LEARNING, *FORGES, *INFRASTRUCTURE, *SERVICES)

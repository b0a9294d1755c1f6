"""Credentials in text: anchored patterns of the known kinds, also inside base64 and gzip; always redacted."""

from strongroom.scan.place import Place
from strongroom.scan.rule import Rule
from strongroom.scan.scan import Scan
from strongroom.scan.secret_kinds import TECHNIQUES
from strongroom.scan.secret_phrases import ASSIGNED, DATABASE_PASSWORD, INFIXES, PASSWORD, PHRASES, SERVICES
from strongroom.scan.secret_search import MAX_HITS, search_text
from strongroom.scan.secret_tokens import TOKENS
from strongroom.values import Severity

MIN_TEXT_CHARS = 5

UNSEARCHED = Rule(
    "secret-search-incomplete",
    Severity.MEDIUM,
    "Text that unpacks to too much",
    "Compressed data inside this text is larger than is searched for credentials, so some could be left.",
    "Keep compressed data out of metadata and notebooks, or store it as a file of its own.",
    atlas=TECHNIQUES,
    waivable=True,
)
RULES = (
    *(kind.rule for kind in (*TOKENS, *INFIXES, *PHRASES)),
    *(kind.rule for kind in SERVICES),
    ASSIGNED,
    PASSWORD,
    DATABASE_PASSWORD,
    UNSEARCHED,
)


def judge_text(scan: Scan, text: str, place: Place) -> None:
    """Look at text that was extracted from a model or lies beside it, and at the name it lies under."""
    if len(text) >= MIN_TEXT_CHARS:
        search = search_text(text, place.name)
        for hit in search.hits:
            inside = f", inside {' inside '.join(reversed(hit.via))}" if hit.via else ""
            scan.add(hit.rule, place, f"holds a credential: {hit.rule.title}{inside}, {hit.redacted}")
        if len(search.hits) >= MAX_HITS:
            scan.dropped += 1
        if not search.is_complete:
            scan.add(UNSEARCHED, place, "unpacks to more than is searched")
    if len(place.name) >= MIN_TEXT_CHARS:
        for hit in search_text(place.name).hits:
            scan.add(hit.rule, place, f"is named after a credential: {hit.rule.title}, {hit.redacted}")

"""The rating of a CVSS vector: v3.0 and v3.1 base scores (first.org/cvss/v3.1/specification-document, 7).

Version 4 is scored by tables of several hundred rows; there the word that the database gives is taken.
"""

from strongroom.values import Severity

_METRICS = {
    "AV": {"N": 0.85, "A": 0.62, "L": 0.55, "P": 0.2},
    "AC": {"L": 0.77, "H": 0.44},
    "UI": {"N": 0.85, "R": 0.62},
    "C": {"H": 0.56, "L": 0.22, "N": 0.0},
    "I": {"H": 0.56, "L": 0.22, "N": 0.0},
    "A": {"H": 0.56, "L": 0.22, "N": 0.0},
}
_PRIVILEGES = {
    "U": {"N": 0.85, "L": 0.62, "H": 0.27},
    "C": {"N": 0.85, "L": 0.68, "H": 0.5},
}
_PREFIXES = ("CVSS:3.0/", "CVSS:3.1/")
MAX_VECTOR_CHARS = 256


def find_base_score(vector: str) -> float | None:
    """Return the base score of a v3 vector; None for any other text."""
    if len(vector) > MAX_VECTOR_CHARS or not vector.startswith(_PREFIXES):
        return None
    given = dict(part.split(":", 1) for part in vector.split("/")[1:] if ":" in part)
    try:
        values = {name: levels[given[name]] for name, levels in _METRICS.items()}
        privileges = _PRIVILEGES[given["S"]][given["PR"]]
    except KeyError:
        return None
    return _score(values, privileges, scope_changed=given["S"] == "C")


def find_rating(score: float) -> Severity | None:
    """Return the qualitative rating of a score (section 5); None for 0.0."""
    if score >= 9.0:
        return Severity.CRITICAL
    if score >= 7.0:
        return Severity.HIGH
    if score >= 4.0:
        return Severity.MEDIUM
    return Severity.LOW if score > 0.0 else None


def _score(values: dict[str, float], privileges: float, *, scope_changed: bool) -> float:
    base = 1 - (1 - values["C"]) * (1 - values["I"]) * (1 - values["A"])
    impact = 7.52 * (base - 0.029) - 3.25 * (base - 0.02) ** 15 if scope_changed else 6.42 * base
    if impact <= 0:
        return 0.0
    exploitability = 8.22 * values["AV"] * values["AC"] * privileges * values["UI"]
    whole = (impact + exploitability) * (1.08 if scope_changed else 1.0)
    return _round_up(min(whole, 10.0))


def _round_up(value: float) -> float:
    """To one decimal, upwards, without the errors of binary fractions (appendix A)."""
    whole = round(value * 100_000)
    return whole / 100_000 if whole % 10_000 == 0 else (whole // 10_000 + 1) / 10

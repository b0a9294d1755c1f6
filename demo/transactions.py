"""Card transactions that look like a bank's: made here, from a seed, because real ones may not be shared.

Fraud is rare, depends on what the columns say together rather than one by one, and is partly noise, so that
a model has something to learn and cannot learn everything.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

Column = np.ndarray[Any, Any]

CATEGORICAL = {
    "merchant_category": {
        "grocery": 22.0,
        "restaurant": 17,
        "fuel": 12,
        "clothing": 10,
        "pharmacy": 7,
        "electronics": 6,
        "games": 6,
        "travel": 5,
        "utilities": 4,
        "streaming": 4,
        "transfer": 2,
        "gambling": 2,
        "jewellery": 1.5,
        "gift-cards": 1.5,
    },
    "country": {
        "NL": 52.0,
        "DE": 14,
        "BE": 8,
        "FR": 6,
        "GB": 5,
        "ES": 4,
        "IT": 3,
        "US": 3,
        "PL": 1.2,
        "TR": 1,
        "CN": 0.8,
        "BR": 0.5,
        "NG": 0.5,
        "RU": 0.5,
        "TH": 0.5,
    },
    "channel": {"contactless": 34.0, "chip": 30, "online": 28, "atm": 6, "magstripe": 2},
    "card_type": {"debit": 62.0, "credit": 32, "prepaid": 6},
}
"""Column to its values, each with its relative frequency."""

NUMERIC = (
    "amount",
    "hour",
    "distance_km",
    "count_1h",
    "count_24h",
    "amount_24h",
    "days_since_last",
    "account_age_days",
    "customer_age",
)
COLUMNS = (*CATEGORICAL, *NUMERIC)

_RISKY_CATEGORIES = ("electronics", "jewellery", "gift-cards", "transfer", "gambling")
_RISKY_COUNTRIES = ("NG", "RU", "BR", "TH")


@dataclass(frozen=True)
class Transactions:
    columns: dict[str, Column]
    """Strings (dtype object) for the categorical columns, float32 for the numeric ones; all of one length."""
    fraud: Column
    """1 where the transaction was fraud."""

    def __len__(self) -> int:
        return len(self.fraud)


def make_transactions(rows: int = 200_000, seed: int = 20_240_229, fraud_rate: float = 0.008) -> Transactions:
    """Return ``rows`` transactions, the same ones for the same seed; about ``fraud_rate`` of them fraud."""
    random = np.random.default_rng(seed)
    columns = _draw_columns(random, rows)
    risk = _score_risk(columns) + random.normal(0, 0.5, rows)
    chance = 1 / (1 + np.exp(-(risk + _find_offset(risk, fraud_rate))))
    fraud = (random.random(rows) < chance).astype(np.int64)
    return Transactions(columns, fraud)


def _draw_columns(random: np.random.Generator, rows: int) -> dict[str, Column]:
    columns: dict[str, Column] = {}
    for name, frequencies in CATEGORICAL.items():
        shares = np.array([*frequencies.values()])
        columns[name] = random.choice(np.array([*frequencies], dtype=object), rows, p=shares / shares.sum())
    online = columns["channel"] == "online"
    abroad = columns["country"] != "NL"
    habit = random.lognormal(3.1, 0.6, rows)  # what this customer usually spends
    numbers = {
        "amount": np.round(habit * random.lognormal(0, 0.8, rows) + 0.5, 2),
        "hour": np.floor(np.clip(random.normal(14.5, 4.5, rows), 0, 23.99)),
        "distance_km": random.gamma(1.2, 8, rows) + abroad * random.gamma(2, 400, rows) * ~online,
        "count_1h": random.poisson(0.25 + 0.5 * (random.random(rows) < 0.04) * 6),
        "days_since_last": random.exponential(1.8, rows),
        "account_age_days": random.gamma(2.2, 700, rows),
        "customer_age": np.clip(random.normal(44, 16, rows), 18, 95),
    }
    numbers["count_24h"] = numbers["count_1h"] + random.poisson(1.6, rows)
    numbers["amount_24h"] = numbers["amount"] + numbers["count_24h"] * habit * random.random(rows)
    for name in NUMERIC:
        columns[name] = numbers[name].astype(np.float32)
    return columns


def _score_risk(columns: dict[str, Column]) -> Column:
    """The hidden rule: what fraudsters do. Mostly combinations, so no single column gives it away."""
    night = (columns["hour"] <= 5) | (columns["hour"] >= 23)
    online = columns["channel"] == "online"
    goods = np.isin(columns["merchant_category"], _RISKY_CATEGORIES)
    far_away = np.isin(columns["country"], _RISKY_COUNTRIES)
    burst = np.minimum(columns["count_1h"], 6)
    unusual = np.log1p(columns["amount"]) - np.log1p(columns["amount_24h"] / (columns["count_24h"] + 1))
    new_account = np.exp(-columns["account_age_days"] / 120)
    score = 0.55 * burst + 0.9 * unusual + 1.4 * new_account
    score += 2.2 * (goods & online) + 1.2 * (goods & night) + 1.8 * (far_away & ~online)
    score += 2.4 * ((columns["channel"] == "magstripe") & (columns["distance_km"] > 150))
    score += 2.0 * ((columns["card_type"] == "prepaid") & (columns["amount"] > 120))
    score += 1.6 * ((columns["amount"] < 2) & online & (columns["count_1h"] >= 2))  # testing stolen cards
    score += 1.1 * ((columns["customer_age"] > 72) & (columns["merchant_category"] == "transfer"))
    return np.asarray(2.4 * score)


def _find_offset(risk: Column, rate: float) -> float:
    """Return what to add to ``risk`` so that the mean chance of fraud is ``rate`` (bisection)."""
    low, high = -40.0, 40.0
    for _ in range(60):
        middle = (low + high) / 2
        if float(np.mean(1 / (1 + np.exp(-(risk + middle))))) < rate:
            low = middle
        else:
            high = middle
    return low

"""Where the parts of one version stand in the blob store; a load refuses anything else beside them."""

from strongroom.values import ModelId

STATEMENT = "statement.json"
SIGNATURE = "model.sig"
WRAPPED_KEY = "keys.json"
MAX_STATEMENT_BYTES = 8 * 2**20
MAX_SIGNATURE_BYTES = 8 * 2**20
MAX_WRAPPED_KEY_BYTES = 16 * 2**10


def prefix(model: ModelId) -> str:
    return f"{model.family}/{model.version}"


def object_name(model: ModelId, index: int) -> str:
    return f"{prefix(model)}/{index}.sealed"


def statement_name(model: ModelId) -> str:
    return f"{prefix(model)}/{STATEMENT}"


def signature_name(model: ModelId) -> str:
    return f"{prefix(model)}/{SIGNATURE}"


def wrapped_key_name(model: ModelId) -> str:
    return f"{prefix(model)}/{WRAPPED_KEY}"


def quarantine_prefix(model: ModelId, ticket: str) -> str:
    """Beside the versions of the family: no version's number begins with a letter."""
    return f"{model.family}/quarantine-{ticket}"


def quarantine_report_name(model: ModelId, ticket: str) -> str:
    return f"{quarantine_prefix(model, ticket)}/report.json"


def quarantine_key_name(model: ModelId, ticket: str) -> str:
    return f"{quarantine_prefix(model, ticket)}/{WRAPPED_KEY}"


def expected_names(model: ModelId, objects: list[str]) -> list[str]:
    """Every name that may stand under `prefix`, sorted."""
    return sorted([*objects, statement_name(model), signature_name(model), wrapped_key_name(model)])

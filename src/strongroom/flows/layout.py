"""Where the parts of one version stand in the blob store; a load refuses anything else beside them."""

from strongroom.values import ModelId

STATEMENT = "statement.json"
SIGNATURE = "model.sig"
WRAPPED_KEY = "keys.json"
SEAL = "seal.json"
OWN = "@home"
"""Holds what belongs to no model; no family is called so."""
REVOCATIONS = f"{OWN}/revocations.json"
CRL = f"{OWN}/revocations.crl"
MAX_STATEMENT_BYTES = 8 * 2**20
MAX_SIGNATURE_BYTES = 8 * 2**20
MAX_WRAPPED_KEY_BYTES = 16 * 2**10


def prefix(model: ModelId) -> str:
    return f"{model.family}/{model.version}"


def folder(model: ModelId, generation: int) -> str:
    """Where the ciphertext of a generation lies: the first one beside its statement, later ones below."""
    return f"{prefix(model)}/r{generation}" if generation else prefix(model)


def object_name(model: ModelId, index: int, generation: int = 0) -> str:
    return f"{folder(model, generation)}/{index}.sealed"


def statement_name(model: ModelId) -> str:
    return f"{prefix(model)}/{STATEMENT}"


def signature_name(model: ModelId) -> str:
    return f"{prefix(model)}/{SIGNATURE}"


def wrapped_key_name(model: ModelId, generation: int = 0) -> str:
    """``generation``: that of the version's record in the log."""
    return f"{folder(model, generation)}/{WRAPPED_KEY}"


def wrapped_key_beside(sealed: str) -> str:
    """The key of the generation that the object ``sealed`` belongs to."""
    return f"{sealed.rpartition('/')[0]}/{WRAPPED_KEY}"


def seal_name(model: ModelId, generation: int) -> str:
    """Only of generations after the first, which the statement describes."""
    return f"{folder(model, generation)}/{SEAL}"


def quarantine_prefix(model: ModelId, ticket: str) -> str:
    """Beside the versions of the family: no version's number begins with a letter."""
    return f"{model.family}/quarantine-{ticket}"


def quarantine_report_name(model: ModelId, ticket: str) -> str:
    return f"{quarantine_prefix(model, ticket)}/report.json"


def quarantine_key_name(model: ModelId, ticket: str) -> str:
    return f"{quarantine_prefix(model, ticket)}/{WRAPPED_KEY}"


def generation_names(model: ModelId, generation: int, files: int) -> list[str]:
    """Every name that belongs to one generation of a version of so many files."""
    objects = [object_name(model, index, generation) for index in range(files)]
    seal = [seal_name(model, generation)] if generation else []
    return [*objects, *seal, wrapped_key_name(model, generation)]


def remaining_names(model: ModelId, generation: int) -> list[str]:
    """What stays of a version that was shredded, sorted: what there was, and who signed it."""
    seal = [seal_name(model, generation)] if generation else []
    return sorted([statement_name(model), signature_name(model), *seal])


def expected_names(model: ModelId, objects: list[str]) -> list[str]:
    """Every name that must stand under `prefix`, sorted; ``objects`` are those of the generation in force."""
    ours = objects[0].rpartition("/")[0] if objects else prefix(model)
    seal = [f"{ours}/{SEAL}"] if ours != prefix(model) else []
    return sorted([*objects, *seal, f"{ours}/{WRAPPED_KEY}", statement_name(model), signature_name(model)])

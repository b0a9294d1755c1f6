"""Every command with its first sentence, room by room: `strongroom --help` shows it without importing any.

A test compares it with the rooms themselves.
"""

CONTENTS: dict[str, dict[str, str]] = {
    "home": {
        "init": "Make a home: keystore, certificate authority, signing key, log, first identity.",
        "status": "What there is, what runs, and every insecure choice in force.",
        "doctor": "Examine the home and this machine; exit 4 if anything fails.",
    },
    "scan": {
        "waive": "Let one finding pass, in these bytes only.",
        "rescan": "Judge published versions again, by today's rules; exit 4 if one would be refused now.",
        "scan": "What is hidden in model files, and what is in quarantine.",
    },
    "convert": {
        "convert": "Turn a model that may be code into ONNX, in a sandbox, and measure how far it is "
        "from the original.",
    },
    "models": {
        "publish": "Seal, inspect and sign a model.",
        "review": "What to look at before approving: scan, schema, dependencies, who made it, what changed.",
        "approve": "Stand for exactly the bytes that were published.",
        "retire": "Take a version out of service.",
        "show": "Everything about one version: files, schema, who published and approved it.",
        "verify": "Check a stored version as a load would; exit 4 if anything differs.",
    },
    "inventory": {
        "list": "The versions you may see, with their state, owner and where they run.",
        "own": "Give a family another owner.",
        "inventory": "The inventory in spreadsheets.",
    },
    "bom": {
        "bom": "Bills of materials: what a model is made of and needs.",
        "osv": "Known vulnerabilities in packages, from a local database.",
    },
    "people": {
        "can": "Say whether someone may do something now, and which rule decides; exit 3 if not.",
        "identity": "People and services: key pairs with certificates.",
        "grant": "Roles with an end.",
    },
    "revoke": {
        "shred": "Destroy the keys of a version or family, so that no copy of it opens again.",
        "revoke": "Take away for good; gateways follow within seconds.",
        "revocation": "The signed list of what is revoked.",
    },
    "rotate": {
        "rotate": "New keys for old, while everything goes on.",
    },
    "serving": {
        "serve": "Serve approved models over TLS 1.3 to clients with certificates, until interrupted.",
        "predict": "Call a served model as the acting identity.",
        "receipt": "Proof of what was answered, checked offline.",
    },
    "log": {
        "log": "The record of every decision, under a Merkle tree.",
    },
    "watching": {
        "watch": "Compare the store with what was signed, until interrupted; what was altered is named "
        "and quarantined.",
    },
    "copies": {
        "restore": "Make the home anew from the backup in PLACE, with the passphrase of its keystore.",
        "recover": "Rebuild the catalog from the log and the store alone; with --backup put back what the "
        "store lost.",
        "backup": "Copies of the home, sealed and signed.",
    },
}

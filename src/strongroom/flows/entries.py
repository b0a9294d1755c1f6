"""One sealed file of a version in the small JSON records that flows keep in a store."""

import base64
from typing import Any

from strongroom.values import Digest, SealedEntry


def entry_to_json(entry: SealedEntry) -> dict[str, Any]:
    """Return what `entry_from_json` takes."""
    return {
        "path": entry.path,
        "size_bytes": entry.size_bytes,
        "sha256": entry.sha256.hex,
        "object": entry.object,
        "commitment": base64.b64encode(entry.commitment).decode(),
        "root": base64.b64encode(entry.root).decode(),
    }


def entry_from_json(value: dict[str, Any]) -> SealedEntry:
    """Raises KeyError, TypeError or ValueError: it is no such value."""
    return SealedEntry(
        value["path"],
        value["size_bytes"],
        Digest(bytes.fromhex(value["sha256"])),
        value["object"],
        base64.b64decode(value["commitment"]),
        base64.b64decode(value["root"]),
    )

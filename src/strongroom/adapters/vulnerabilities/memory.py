"""Imported vulnerability databases in memory: the twin that flows are tested with."""

from strongroom.errors import RejectedError
from strongroom.values import Digest


class MemoryVulnerabilities:
    """`Vulnerabilities` that last as long as the object."""

    def __init__(self) -> None:
        self.databases: dict[Digest, bytes] = {}

    def put(self, digest: Digest, data: bytes) -> None:
        if Digest.of(data) != digest:
            raise RejectedError("osv: the database is not what its digest says")
        self.databases[digest] = data

    def read(self, digest: Digest, limit: int) -> bytes:
        data = self.databases.get(digest)
        if data is None:
            raise RejectedError("osv: the database is missing", hint="import it again")
        if len(data) > limit:
            raise RejectedError(f"osv: the database is no file of at most {limit} bytes")
        if Digest.of(data) != digest:
            raise RejectedError("osv: the database was changed since it was imported", hint="import it again")
        return data

    def keep_only(self, digest: Digest) -> None:
        self.databases = {known: data for known, data in self.databases.items() if known == digest}

"""The state of a scene in a real database: catalog, log and locks on PostgreSQL, open for tests."""

from typing import Any

from sqlalchemy import Table, delete, insert

from strongroom.adapters.locks.postgres import PostgresLocks
from strongroom.adapters.log import postgres as logging
from strongroom.adapters.log.appending import push_all
from strongroom.adapters.log.postgres import PostgresLog
from strongroom.adapters.postgres.server import Server
from strongroom.adapters.records import tables
from strongroom.adapters.records.postgres import PostgresDatabase
from strongroom.adapters.records.sql import SqlRecords
from strongroom.trust.checkpoint import claimed_head
from strongroom.trust.tiles import TileBuilder
from tests.database import Database
from tests.flows.scene import Scene

PLACES = 4
"""So many scenes are alive at once, at most; the next one takes the place of the oldest."""


class SharedLog(PostgresLog):
    """`PostgresLog` that tests look into as they look into `MemoryLog`."""

    @property
    def _leaves(self) -> list[bytes]:
        note = self.checkpoint()
        return [] if note is None else list(self.leaves(0, claimed_head(note).size))

    @property
    def _checkpoint(self) -> bytes | None:
        return self.checkpoint()


class SharedRecords(SqlRecords):
    """`SqlRecords` that tests look into as they look into `MemoryRecords`."""

    @property
    def _versions(self) -> dict[str, Any]:
        return {row.model: row for row in self.versions()}

    @property
    def _identities(self) -> dict[str, Any]:
        return {row.name: row for row in self.identities()}

    @property
    def _head(self) -> tuple[int, bytes] | None:
        return self.head()


class Place:
    """A schema that one scene after the other lives in."""

    def __init__(self, server: Server, origin: str) -> None:
        self._server = server
        self.records = SharedRecords(PostgresDatabase(server))
        self.log = SharedLog(server, origin)
        self.locks = PostgresLocks(server)

    def fill(self, scene: Scene) -> None:
        """Take over what ``scene`` holds in memory."""
        rows: dict[Table, list[dict[str, Any]]] = {table: [] for table in logging.metadata.sorted_tables}
        leaves: list[bytes] = scene.log._leaves
        if scene.log._checkpoint is not None:
            tiles, _ = push_all(TileBuilder(), [], leaves)
            rows[logging.checkpoints] = [{"one": 1, "layout": 1, "note": scene.log._checkpoint}]
            rows[logging.records] = [
                {"position": at, "append": b"t" * 16, "leaf": leaf} for at, leaf in enumerate(leaves)
            ]
            rows[logging.tiles] = [
                {"level": tile.level, "number": tile.index, "hashes": b"".join(tile.hashes)} for tile in tiles
            ]

        def refill(connection: Any) -> None:
            for table, values in {**rows, tables.head: []}.items():
                connection.execute(delete(table))
                if values:
                    connection.execute(insert(table), values)

        self._server.write("test", refill, lambda *_: False)
        versions, identities = scene.records._versions.values(), scene.records._identities.values()
        self.records.rebuild(list(versions), list(identities))
        if scene.records._head is not None:
            self.records.note_head(*scene.records._head)


class Places:
    """Hands out places in turn."""

    def __init__(self, database: Database, origin: str) -> None:
        self._servers = [database.server() for _ in range(PLACES)]
        self._places = [Place(server, origin) for server in self._servers]
        self._next = 0

    def share(self, scene: Scene) -> Scene:
        """Let ``scene`` go on in a database."""
        place = self._places[self._next % PLACES]
        self._next += 1
        place.fill(scene)
        scene.records, scene.log = place.records, place.log  # type: ignore[assignment]
        scene.vault.records, scene.vault.log, scene.vault.locks = place.records, place.log, place.locks
        return scene

    def locks_of(self, scene: Scene) -> PostgresLocks | None:
        return next((place.locks for place in self._places if place.log is scene.log), None)

    def close(self) -> None:
        for server in self._servers:
            server.close()

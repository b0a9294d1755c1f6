"""A small log, journal and receipt to tamper with: fixed keys, nothing random."""

from datetime import UTC, datetime

from strongroom import canonical
from strongroom.trust.batch import Batch, Record
from strongroom.trust.checkpoint import sign_checkpoint
from strongroom.trust.events import Event
from strongroom.trust.journal import Fold, JournalSigner, JournalWriter, answer_hash, fold, request_hash
from strongroom.trust.journal_key import sign_journal_key
from strongroom.trust.merkle import inclusion_proof, leaf_hash
from strongroom.trust.receipt import FoldProof, Receipt
from strongroom.trust.signatures import PublicKey
from strongroom.trust.tiles import TileBuilder, hash_reader

ORIGIN = "vault.example/models"
START = datetime(2026, 3, 1, 12, tzinfo=UTC)
START_US = 1_772_366_400_000_000
LOG = JournalSigner(b"L" * 32)
LOG_KEY = PublicKey.from_pem(LOG.public_pem)
OTHER = JournalSigner(b"O" * 32)
JOURNAL = bytes(range(16))
JOURNAL_SIGNER = JournalSigner(b"J" * 32)
JOURNAL_KEY = PublicKey.from_pem(JOURNAL_SIGNER.public_pem)
BODY = b'{"inputs":[1,2,3]}'
ANSWER = b'{"outputs":[0.25]}'
PATH = b"/v2/models/fraud/infer"


class TreeInMemory:
    """Leaves, their tiles and a signed checkpoint, each of which a test may alter."""

    def __init__(self, leaves: list[bytes], signer: JournalSigner = LOG, origin: str = ORIGIN) -> None:
        self.leaves = list(leaves)
        self.tiles: dict[tuple[int, int], list[bytes]] = {}
        builder = TileBuilder()
        for leaf in leaves:
            for tile in builder.push(leaf_hash(leaf)):
                self.tiles[tile.level, tile.index] = list(tile.hashes)
        for tile in builder.edge():
            self.tiles[tile.level, tile.index] = list(tile.hashes)
        self.root = builder.root()
        self.checkpoint = sign_checkpoint(origin, len(leaves), self.root, signer)

    def read_tile(self, level: int, index: int, width: int) -> list[bytes]:
        return self.tiles.get((level, index), [])[:width]

    def proof(self, index: int) -> list[bytes]:
        return inclusion_proof(index, len(self.leaves), hash_reader(len(self.leaves), self.read_tile))


def context(model: str = "fraud@1.2.0", who: str = "shop") -> bytes:
    return canonical.encode(
        {"who": who, "model": model, "digest": f"sha256:{'ab' * 32}", "policy": "3", "action": "predict"}
    )


def record(number: int, model: str = "fraud@1.2.0", body: bytes = BODY, answer: bytes = ANSWER) -> Record:
    """The answer to the request whose nonce is its number."""
    return Record(
        context(model),
        START_US + number,
        1,
        200,
        request_hash(b"POST", PATH, b"%d" % number, body),
        answer_hash(200, answer),
    )


def batches(*counts: int, journal: bytes = JOURNAL, signer: JournalSigner = JOURNAL_SIGNER) -> list[Batch]:
    """Batches of so many records; the records of all are numbered through."""
    writer = JournalWriter(journal, signer)
    made: list[Batch] = []
    at = 0
    for count in counts:
        batch = writer.encode([record(each) for each in range(at, at + count)])
        writer.accept(batch)
        made.append(batch)
        at += count
    return made


def journal_file(made: list[Batch], journal: bytes = JOURNAL) -> bytes:
    return JournalWriter(journal, JOURNAL_SIGNER).header + b"".join(batch.data for batch in made)


def certificate(
    journal: bytes = JOURNAL, key: PublicKey = JOURNAL_KEY, signer: JournalSigner = LOG, origin: str = ORIGIN
) -> bytes:
    return sign_journal_key(journal, key, START, origin, signer)


def fold_event(folded: Fold) -> bytes:
    return Event(START, "room", "fold", folded.journal.hex(), "allow", detail=folded.detail()).to_bytes()


def receipt(made: list[Batch], number: int, index: int) -> Receipt:
    return Receipt.of(made[number], index, certificate())


def fold_proof(
    made: list[Batch], number: int, before: int = 3, after: int = 2
) -> tuple[FoldProof, TreeInMemory]:
    """The proof for batch ``number`` of a fold of all of ``made``, in a log with some other records."""
    folded = fold([batch.head for batch in made])
    event = fold_event(folded)
    tree = TreeInMemory(
        [b"before %d" % each for each in range(before)]
        + [event]
        + [b"after %d" % each for each in range(after)]
    )
    proof = FoldProof(tuple(folded.path(number)), event, before, tuple(tree.proof(before)), tree.checkpoint)
    return proof, tree

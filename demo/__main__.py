"""``python -m demo``: trains two models and plays every attack; exit 1 if any of them succeeds."""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from demo import before
from demo.attacks import log, network, people, store
from demo.deployment import establish, serving
from demo.stage import Stage
from demo.train import describe, train_fraud, train_tumour

FRAUD_ROWS = 200_000
NEWER_ROWS = 30_000
NEWER_SEED = 11


def main() -> int:
    parser = argparse.ArgumentParser(prog="demo", description=__doc__)
    parser.add_argument("--rows", type=int, default=FRAUD_ROWS, help="transactions to train on")
    arguments = parser.parse_args()
    stage = Stage()
    folder = Path(tempfile.mkdtemp(prefix="strongroom-demo-"))
    try:
        _play(stage, folder, arguments.rows)
    finally:
        shutil.rmtree(folder)
    return stage.finish()


def _play(stage: Stage, folder: Path, rows: int) -> None:
    models = folder / "models"
    stage.act("training", "two models that are worth stealing")
    with stage.step(f"train a fraud model on {rows:,} generated card transactions") as note:
        fraud = train_fraud(rows)
        fraud.write(models)
        note(describe(fraud))
    with stage.step(
        "train its next version, and a tumour model on scikit-learn's breast-cancer data"
    ) as note:
        (models / "fraud-1.1.onnx").write_bytes(train_fraud(NEWER_ROWS, NEWER_SEED).onnx)
        tumour = train_tumour()
        tumour.write(models)
        note(describe(tumour))
    row = tumour.test_inputs["x"][0].tolist()
    before.play(stage, folder, models / "tumour.onnx", train_tumour(NEWER_SEED).onnx, row)
    deployment = establish(stage, folder, models)
    log.keep_old_log(deployment, folder)
    store.play(stage, deployment, folder)
    people.play(stage, deployment)
    with serving(deployment, "fraud@1.0.0", "tumour@1.0.0"):
        network.play(stage, deployment, folder)
    log.play(stage, deployment, folder)


if __name__ == "__main__":
    sys.exit(main())

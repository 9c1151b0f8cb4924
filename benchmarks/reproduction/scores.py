"""Reproduces the scores of the training notes: trains or loads a model, samples and scores it.

    python -m benchmarks scores                    all rows
    python -m benchmarks scores --scale=small      small models on synthetic birds
    python -m benchmarks scores birds-256-noimg-597 --inception=birds_valid299/model.ckpt
    python -m benchmarks scores birds-256-noimg-597 --checkpoint=FILE --inception=PREFIX
    python -m benchmarks scores birds-256-gl-ncric500 --mode=training

`full_scale` describes the protocol of the training notes, `small_scale` the small counterpart. The
last command samples with batch norm in training mode, like the withdrawn rows. A row whose data or
weights are missing gets no score; the command prints what is missing.
"""

import dataclasses
import json
import pathlib
import statistics
from collections.abc import Sequence

from benchmarks.provenance import provenance
from benchmarks.reproduction.claims import rules
from benchmarks.reproduction.noted_scores import RUNS, Row, chosen, missing
from benchmarks.reproduction.recorded import current
from zoo import cli, lazy, recipe
from zoo.settings import Checked, setting

full_scale = lazy.module("benchmarks.reproduction.full_scale")
small_scale = lazy.module("benchmarks.reproduction.small_scale")
runner = lazy.module("benchmarks.reproduction.claims.runner")

RESULTS = pathlib.Path(__file__).parents[1] / "results" / "scores.json"
MODES = ("inference", "training")


def run(
    ids: Sequence[str] = (),
    scale: str = "full",
    seeds: int = 1,
    epochs: int = 6,
    weights: str | None = None,
    checkpoint: str | None = None,
    mode: str | None = None,
    runs: str | pathlib.Path = RUNS,
    data_dir: str | None = None,
    results: pathlib.Path = RESULTS,
) -> None:
    """Score the rows that this machine can score, and write each score when it is done.

    Args:
        ids: Ids of rows of noted_scores.csv; empty for all.
        scale: "full" for the protocol of the training notes, or "small" for synthetic birds.
        seeds: Number of trainings per row.
        epochs: Epochs of a small run, which correspond to 600 of the training notes.
        weights: Weights of Inception, see `zoo.evaluate --inception`.
        checkpoint: File of a generator, instead of a training. Requires one id.
        mode: "inference" or "training" mode of batch norm. By default that of the reported score:
            withdrawn rows use training mode.
        runs: Folder of the trainings.
        data_dir: Folder of TensorFlow Datasets.
        results: Result file.

    Raises:
        ValueError: If an argument is invalid or the result file is broken.
    """
    if checkpoint and len(ids) != 1:
        raise ValueError(f"A checkpoint requires one row; received {len(ids) or 'all'} rows.")
    if mode not in (None, *MODES):
        raise ValueError(f"mode must be inference or training; received {mode!r}")
    records = read(results)
    # A training passes the epochs of its rows in ascending order.
    for row in sorted(chosen(ids), key=lambda row: row.epoch):
        training = row.training_mode if mode is None else mode == "training"
        reason = None
        if scale == "full" or row.status == "reference":
            reason = missing(row, weights, data_dir)
        if reason:
            print(f"{row.id:32} reported {row.reported()}; missing: {reason}", flush=True)
            continue
        key = f"{scale}, {'training' if training else 'inference'} mode"
        kept = records.setdefault(row.id, {}).setdefault(key, {"runs": []})
        for seed in range(seeds):
            about = {
                "seed": seed,
                "epochs": epochs if scale == "small" else row.epoch,
                "checkpoint": pathlib.Path(checkpoint).name if checkpoint else None,
            }
            # To score a run again, delete it from the file.
            if any(about.items() <= ({"checkpoint": None} | run).items() for run in kept["runs"]):
                continue
            if scale == "small":
                found = small_scale.reproduce(row, seed, epochs, runs, training)
            else:
                found = full_scale.reproduce(
                    row, seed, weights, runs, checkpoint, training, data_dir
                )
            kept["runs"].append(runner.rounded(about | found) | _provenance(row, scale, training))
            runner.write(results, records)
        print(f"{row.id:32} reported {row.reported()}; {key}: {summary(kept['runs'])}", flush=True)


def _provenance(row, scale, training):
    words = [
        f"python -m benchmarks scores {row.id}",
        *(["--scale=small"] if scale == "small" else []),
    ]
    words += ["--mode=training"] if training and not row.training_mode else []
    about = provenance() | {"command": " ".join(words), "versions": recipe.versions()}
    return {name: about[name] for name in ("command", "commit", "machine", "versions")}


def read(path: pathlib.Path = RESULTS) -> dict[str, dict]:
    """Read the records: id -> "<scale>, <mode> mode" -> runs. An absent file has no records.

    Raises:
        ValueError: If the file is broken. It is never deleted automatically, because it may hold
            the results of weeks.
    """
    if not path.exists():
        return {}
    try:
        records = current(json.loads(path.read_text()))
        for modes in records.values():
            for kept in modes.values():
                for run in kept["runs"]:
                    run["seed"]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path} is broken ({str(error).splitlines()[0]}); repair or delete it"
        ) from None
    return records


def reproduced(row: Row, records: dict[str, dict]) -> bool:
    """Return whether a row has a score at full scale."""
    return any(mode.startswith("full") for mode in records.get(row.id, {}))


def summary(runs: list[dict], names: Sequence[str] | None = None) -> str:
    """Format the scores of a row's runs: mean, deviation over splits and deviation over seeds.

    Args:
        runs: Records of the runs.
        names: Names of the scores, which are then left out of the text. `None` for all.
    """
    parts = []
    for name in names or ("is_mean", *small_scale.SCORES):
        values = [run[name] for run in runs if name in run]
        if values:
            text = rules.significant(statistics.mean(values), 3)
            if name == "is_mean":
                spread = statistics.mean(run["is_std"] for run in runs)
                text += f" ± {rules.significant(spread, 2)} over splits"
            if len(values) > 1:
                deviation = rules.significant(statistics.stdev(values), 2)
                text += f" ± {deviation} over {len(values)} seeds"
            parts.append(text if names else f"{name} {text}")
    return ", ".join(parts)


@dataclasses.dataclass(frozen=True)
class Options(Checked):
    """Flags of the command."""

    scale: str = setting(
        "full",
        "`full`: protocol of the training notes. `small`: small models on synthetic birds.",
        choices=("full", "small"),
    )
    seeds: int = setting(1, "Number of trainings per row.", least=1)
    epochs: int = setting(
        6, "Epochs of a small run, which correspond to 600 of the training notes.", least=1
    )
    inception: str | None = setting(
        None,
        "Weights of Inception: the prefix of StackGAN's checkpoint. For COCO, see --inception of "
        "zoo.evaluate.",
    )
    checkpoint: str | None = setting(
        None, "File of a generator to score instead of a training. It needs exactly one row."
    )
    mode: str | None = setting(
        None,
        "Mode of batch normalization while sampling. Default: that of the reported score.",
        choices=MODES,
    )
    runs: str = setting(str(RUNS), "Folder of the trainings.")
    data_dir: str | None = setting(
        None, "Folder of the data sets. Default: $TFDS_DATA_DIR, or else ~/tensorflow_datasets."
    )


def command(options: Options, ids: list[str]) -> None:
    """Scores the rows."""
    run(
        ids,
        options.scale,
        options.seeds,
        options.epochs,
        options.inception,
        options.checkpoint,
        options.mode,
        options.runs,
        options.data_dir,
    )


def main() -> None:
    cli.main("benchmarks scores", Options, command, description=__doc__, usage="[ID ...] ")


if __name__ == "__main__":
    main()

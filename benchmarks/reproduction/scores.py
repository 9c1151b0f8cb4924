"""Reproduces the scores of the training notes: trains or loads a model, samples and scores it.

    python -m benchmarks scores                      all rows: reported and reproduced scores
    python -m benchmarks scores --scale=small        small models on synthetic birds
    python -m benchmarks scores birds-256-noimg-597 --inception=birds_valid299/model.ckpt
    python -m benchmarks scores birds-256-noimg-597 --checkpoint=FILE --inception=PREFIX
    python -m benchmarks scores birds-256-gl-ncric500 --mode=training    as the withdrawn rows

`full_scale` describes the protocol of the training notes, `small_scale` the small counterpart. A
row whose data or weights are missing gets no score; the command prints what is missing.
"""

import json
import pathlib
import statistics
from collections.abc import Sequence

from absl import flags

from benchmarks.provenance import provenance
from benchmarks.reproduction import full_scale, small_scale
from benchmarks.reproduction.claims import rules, runner
from benchmarks.reproduction.noted_scores import Row, chosen, missing
from benchmarks.reproduction.recorded import current
from zoo import recipe

FLAGS = flags.FLAGS
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
    runs: str | pathlib.Path = full_scale.RUNS,
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
            about = {"seed": seed, "epochs": epochs if scale == "small" else row.epoch}
            about["checkpoint"] = pathlib.Path(checkpoint).name if checkpoint else None
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


def shell(arguments: list[str]) -> None:
    run(
        arguments[1:],
        FLAGS.scale,
        FLAGS.seeds,
        FLAGS.epochs,
        FLAGS.inception,
        FLAGS.checkpoint,
        FLAGS.mode,
        FLAGS.runs,
        FLAGS.data_dir,
    )


if __name__ == "__main__":
    flags.DEFINE_enum(
        "scale",
        "full",
        ["full", "small"],
        "`full`: protocol of the training notes. `small`: small models on synthetic birds.",
    )
    flags.DEFINE_integer("seeds", 1, "Number of trainings per row.", lower_bound=1)
    flags.DEFINE_integer(
        "epochs",
        6,
        "Epochs of a small run, which correspond to 600 of the training notes.",
        lower_bound=1,
    )
    flags.DEFINE_string(
        "inception",
        None,
        "Weights of Inception: the prefix of StackGAN's checkpoint; for COCO see zoo.evaluate.",
    )
    flags.DEFINE_string(
        "checkpoint", None, "File of a generator, instead of a training. Requires one row."
    )
    flags.DEFINE_enum(
        "mode",
        None,
        [*MODES],
        "Mode of batch norm. By default that of the reported score.",
    )
    flags.DEFINE_string("runs", str(full_scale.RUNS), "Folder of the trainings.")
    flags.DEFINE_string("data_dir", None, "Folder of TensorFlow Datasets.")
    recipe.start(shell)

"""Experiments that train a recipe of `zoo`, with its checkpoints, log, scores and sample grids."""

import csv
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras

from benchmarks.reproduction.claims import Experiment, Variant, runner
from kerasgan import callbacks
from kerasgan.io import checkpoints, files
from zoo import recipe

SCORES = 6  # Number of scored epochs of a run.
# Settings that each run sets itself, independent of its preset.
OWN = ("seed", "grid_every", "checkpoint_every", "score_every")


def training(
    kind: Any,
    preset: str,
    minutes_per_epoch: Callable[[dict], float],
    name: str,
    missing: Callable[[], str | None] = lambda: None,
) -> Experiment:
    """Create an `Experiment` that trains a recipe.

    Args:
        kind: The `Recipe`.
        preset: Preset of the recipe. The settings of a variant list what differs from it.
        minutes_per_epoch: Function `settings -> minutes`: approximate time on two CPU cores.
        name: Name of the experiment.
        missing: See `Experiment`.
    """
    run = functools.partial(_run, kind, preset)
    minutes = lambda settings: settings["epochs"] * minutes_per_epoch(settings)  # noqa: E731
    usual = getattr(kind, "presets", {}).get(preset, {})
    usual = {key: value for key, value in usual.items() if key not in OWN}
    return Experiment(name, run, minutes, missing, usual)


def _run(kind, preset, settings, seed, folder):
    epochs = settings["epochs"]
    own = {
        "seed": seed,
        "grid_every": epochs,
        "checkpoint_every": epochs,
        "score_every": max(1, epochs // SCORES),
    }
    chosen = recipe.settings_of(kind, preset, **(own | settings))
    bars = keras.config.is_interactive_logging_enabled()
    keras.utils.clear_session()
    if not bars:  # `clear_session` enables interactive logging.
        keras.config.disable_interactive_logging()
    diverged = 0
    try:
        scores = recipe.run(kind, chosen, folder)
    except callbacks.NonFiniteLossError as error:
        print(f"diverged; scores are those of the last complete epoch: {error}")
        diverged, scores = 1, score_last(kind, chosen, folder)
    grids = sorted((folder / "grids").glob("epoch_*.png"))
    if grids:
        files.copy(grids[-1], folder / "samples.png")
    measures = numbers(scores) | {"diverged": diverged}
    return {"measures": measures, "curve": curve(folder), "protocol": scores.get("protocol")}


def score_last(kind: Any, settings: Any, folder: Path) -> dict:
    """Score the last complete epoch of a run, or the untrained networks if there is none."""
    model, score = kind.build(settings), kind.score(settings)
    checkpoints.resume(folder / "checkpoints", model)
    return score(model, 10_000) if score else {}


def trained(variant: Variant, seed: int, folder: Path) -> Any:
    """Return the trained model of a variant, for an experiment that evaluates it in another way.

    Args:
        variant: The variant that trains. Its run is completed first if necessary.
        seed: Seed of the run.
        folder: Folder of the evaluating run. The training run has its own folder in the same parent
            folder.
    """
    source = folder.parent / variant.key(seed)
    runner.record(variant, seed, source, f"for {folder.name}, seed {seed}")
    path = checkpoints.latest(source / "checkpoints")
    if path is None:
        raise ValueError(f"{source} has no checkpoints; delete it to train the run again")
    return checkpoints.load_sampling_model(path)[0]


def numbers(scores: dict) -> dict[str, int | float]:
    """Return the numeric entries of a dict of scores."""
    return {name: value for name, value in scores.items() if isinstance(value, (int, float))}


def curve(folder: Path) -> list[dict[str, int | float]]:
    """Return the rows of a run's log.csv as numbers."""
    if not (folder / "log.csv").exists():
        return []
    with open(folder / "log.csv", newline="") as file:
        return [
            {name: _number(cell) for name, cell in row.items() if cell}
            for row in csv.DictReader(file)
        ]


def _number(cell):
    return int(cell) if cell.isdecimal() else float(cell)

"""Experiments that train a recipe of zoo/: its own resume, log, scores and grids serve the claims."""

import csv
import functools

import keras

from benchmarks.claims import Experiment, runner
from kerasgan import callbacks
from kerasgan.io import checkpoints, files
from zoo import recipe

SCORES = 6  # of a curve
OWN = (
    "seed",
    "grid_every",
    "checkpoint_every",
    "score_every",
)  # set here for each run, whatever the preset says


def training(kind, preset, minutes_an_epoch, name=None, missing=lambda: None):
    """An `Experiment` that trains a recipe.

    Args:
        kind: the `Recipe`, or a function that returns it, for one that is slow to import.
        preset: of the recipe; an arm's settings say what differs from it.
        minutes_an_epoch: `settings -> minutes` on two CPU cores, about.
        name: of the experiment.
        missing: see `Experiment`.
    """
    run = functools.partial(_run, kind, preset)
    minutes = lambda settings: settings["epochs"] * minutes_an_epoch(settings)  # noqa: E731
    usual = getattr(kind, "presets", {}).get(preset, {})
    usual = {key: value for key, value in usual.items() if key not in OWN}
    return Experiment(name, run, minutes, missing, usual)


def _run(kind, preset, settings, seed, folder):
    epochs = settings["epochs"]
    about = {
        "seed": seed,
        "grid_every": epochs,
        "checkpoint_every": epochs,
        "score_every": max(1, epochs // SCORES),
    }
    chosen = recipe.settings_of(kind, preset, **(about | settings))
    bars = keras.config.is_interactive_logging_enabled()
    keras.utils.clear_session()  # the run before is over
    if not bars:  # which clear_session has forgotten
        keras.config.disable_interactive_logging()
    diverged = 0
    try:
        scores = recipe.run(kind, chosen, folder)
    except callbacks.NonFiniteLossError as error:
        print(f"diverged, scored as of the last whole epoch: {error}")
        diverged, scores = 1, score_last(kind, chosen, folder)
    grids = sorted((folder / "grids").glob("epoch_*.png"))
    if grids:
        files.copy(grids[-1], folder / "samples.png")
    measures = numbers(scores) | {"diverged": diverged}
    return {"measures": measures, "curve": curve(folder), "protocol": scores.get("protocol")}


def score_last(kind, settings, folder):
    """The scores of a run's last whole epoch; of the untrained networks, if there is none."""
    model, score = kind.build(settings), kind.score(settings)
    checkpoints.resume(folder / "checkpoints", model)
    return score(model, 10_000) if score else {}


def trained(arm, seed, folder):
    """The model of an arm's run, which is first brought to its end if need be; `folder` is another run's beside it.

    So several arms may look at one training in several ways.
    """
    beside = folder.parent / arm.key(seed)
    runner.record(arm, seed, beside, f"for {folder.name}, seed {seed}")
    path = checkpoints.latest(beside / "checkpoints")
    if path is None:
        raise ValueError(
            f"{beside} must hold the run's checkpoints; without them, delete it: it is trained again"
        )
    return checkpoints.load_sampling_model(path)[0]


def numbers(scores):
    """What is a number of a dictionary of scores."""
    return {name: value for name, value in scores.items() if isinstance(value, (int, float))}


def curve(folder):
    """The rows of a run's log.csv, what is a number."""
    if not (folder / "log.csv").exists():
        return []
    with open(folder / "log.csv", newline="") as file:
        return [
            {name: _number(cell) for name, cell in row.items() if cell}
            for row in csv.DictReader(file)
        ]


def _number(cell):
    return int(cell) if cell.isdecimal() else float(cell)

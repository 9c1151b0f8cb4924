"""Schedules that train a text-to-image model in several stages, each in its own folder.

    python -m zoo.birds_256 --preset=full
    python -m zoo.birds_256 --preset=fast

The schedule `full` trains at 64, 128 and 256 pixels, one after the other, and also trains the part
classifier and the latent prior that its stages need; it took 3.5 hours on one core of a busy
machine. The schedule `fast` trains at 64 pixels only and takes 11 minutes on two cores.
A schedule resumes where it stopped: finished stages are skipped, and the stage in progress
continues after its last epoch.
"""

import dataclasses
import os
import pathlib
import re
import sys
from collections.abc import Mapping, Sequence

from zoo import (
    cli,
    latent_prior,
    lazy,
    part_classifier,
    preset,
    projected_birds,
    recipe,
    settings as fields,
)
from zoo.command import shell_command
from zoo.settings import Checked, check_same_run, setting

checkpoints = lazy.module("kerasgan.io.checkpoints")
console = lazy.module("kerasgan.io.console")
side_files = lazy.module("kerasgan.io.side_files")


@dataclasses.dataclass(frozen=True)
class Stage:
    """One stage of a schedule.

    Attributes:
        name: Name of its folder inside the folder of the schedule.
        settings: Settings of `zoo.projected_birds` that differ from their defaults. `seed` is
            added to the seed of the schedule.
    """

    name: str
    settings: Mapping


# Birds with random attributes, so that no attribute can be guessed from the others. The text
# encoder has been trained on captions of such birds, too.
BIRDS = {"mirror": True, "decay": True, "birds": "random", "text_encoder": "random_birds_text"}
# The layout stage trains the generator and the posterior as an autoencoder: birds have their shape
# after minutes. The discriminators of the next stage sharpen them and make them follow the caption.
LAYOUT = BIRDS | {
    "head_width": 0,
    "pixel_width": 0,
    "learning_rate": 1.5e-3,
    "beta_1": 0.9,
    "ema_decay": 0.99,
    "epochs": 9,
    "reconstruction_weight": 1.0,
    "score_every": 0,
}
# From the attributes stage on, the generator also minimizes the part classifier's cross-entropy of
# the attributes in the caption, and the Fréchet distance of its features.
CLASSIFIER = "part_classifier"  # Name of its folder inside the schedule's.
CLASSIFIED = BIRDS | {
    "auxiliary_classifier": CLASSIFIER,
    "frechet_weight": 10.0,
    "num_images": 2048,
    "learning_rate": 5e-4,
    "score_every": 0,
}
# All images of the autoencoder stages reconstruct a real one, and their latents may hold more than
# those of N(0, 1). The larger generators learn detail from pairs of a real image and its
# reconstruction.
AUTOENCODER = CLASSIFIED | {
    "posterior_share": 1.0,
    "reconstruction_weight": 2.0,
    "kl_weight": 4e-4,
    "learning_rate": 7e-4,
}
# Flying birds are the hardest to generate. A second stage at the full learning rate diverged.
FLYING = AUTOENCODER | {"birds": "flying", "learning_rate": 4e-4}
# The last stage samples such latents from a learned prior, and needs no posterior. It is short, to
# adapt the generator to latents that no image has: six more epochs raised the Fréchet distance.
FLOW = "latent_prior"  # Name of its folder inside the schedule's.
PRIOR = CLASSIFIED | {"latent_flow": FLOW, "posterior_width": 0, "learning_rate": 1e-4}
LARGE = {"size": 256, "batch_size": 8, "num_images": 1024}
FULL = (
    Stage("layout", LAYOUT),
    Stage("stage_64", BIRDS | {"epochs": 18, "score_every": 0}),
    Stage("attributes_64", CLASSIFIED | {"epochs": 27}),
    Stage("autoencoder_64", AUTOENCODER | {"epochs": 25}),
    # Other birds, and the learning rate starts again.
    Stage("refine_64", AUTOENCODER | {"epochs": 28, "seed": 1}),
    Stage("flying_64", FLYING | {"epochs": 16, "seed": 2}),
    Stage("stage_128", FLYING | {"size": 128, "epochs": 10, "batch_size": 16, "frozen": False}),
    Stage("stage_256", FLYING | LARGE | {"epochs": 8}),
    Stage("prior_256", PRIOR | LARGE | {"epochs": 1}),
)
QUICK = (
    Stage("layout", LAYOUT | {"epochs": 5}),
    Stage("stage_64", BIRDS | {"epochs": 6, "ema_decay": 0.99, "score_every": 0}),
)
SCHEDULES = {"full": FULL, "fast": QUICK}


def settings_of(
    stages: Sequence[Stage],
    folder: pathlib.Path,
    changes: Mapping | None = None,
    kind: type = projected_birds.Settings,
) -> list:
    """Returns the settings of each stage. Each stage starts from the run of the one before."""
    found, start = [], ""
    for stage in stages:
        values = {"start": start, **_values(stage, changes or {})}
        for name in ("auxiliary_classifier", "latent_flow"):
            if values.get(name):
                values[name] = str(folder / values[name])
        found.append(kind(**values))
        start = str(folder / stage.name)
    return found


def _values(stage, changes):
    """Returns the settings of a stage after changes that hold for all stages."""
    seed = stage.settings.get("seed", 0) + changes.get("seed", 0)
    return {**stage.settings, **changes, "seed": seed}


def run(
    stages: Sequence[Stage],
    folder: str | os.PathLike,
    command: str | None = None,
    changes: Mapping | None = None,
    base: recipe.Recipe | None = None,
) -> dict:
    """Trains all stages that are not finished, and writes the last one's generator as a preset.

    Args:
        stages: Stages, smallest first.
        folder: Folder of the schedule. `folder / stage.name` is a run of the recipe.
        command: Shell command that started the schedule, for the result pages.
        changes: Settings that are changed in every stage, such as `seed`.
        base: Recipe of the stages. Defaults to that of `zoo.projected_birds`.

    Returns:
        The last stage's scores.
    """
    folder, scores, base = pathlib.Path(folder), {}, base or projected_birds.RECIPE
    each = settings_of(stages, folder, changes, base.settings)
    for stage, settings in zip(stages, each, strict=True):
        done = folder / stage.name / "finished.json"
        if done.exists():
            path = folder / stage.name / "settings.json"
            old = side_files.read_or_default(path, side_files.json_object, {})
            new = {name: getattr(settings, name) for name in ("seed", "dtype_policy")}
            check_same_run(folder, old, new)
            scores = side_files.json_object(done)
            continue
        if settings.auxiliary_classifier:
            train_classifier(settings, command)
        if settings.latent_flow:
            train_prior(settings, command)
        print(f"stage {stage.name}: {settings.size} pixels, {settings.epochs} epochs")
        scores = recipe.run(base, settings, folder / stage.name, command)
        side_files.write_json(done, scores)
    preset.write(folder / stages[-1].name, folder / "preset", keep_folders=True)
    return scores


def train_classifier(settings: projected_birds.Settings, command: str | None = None) -> None:
    """Trains the part classifier for the text encoder, unless its folder has one."""
    folder = settings.auxiliary_classifier
    if checkpoints.latest(folder, letter="M") is None:
        print("part classifier")
        part_classifier.run(
            part_classifier.Settings(output_dir=folder, text_encoder=settings.text_encoder), command
        )


def train_prior(settings: projected_birds.Settings, command: str | None = None) -> None:
    """Trains the prior of the latents of the run `start`, unless its folder has one."""
    folder = settings.latent_flow
    if checkpoints.latest(folder, letter="L") is None:
        print("latent prior")
        names = ("start", "birds", "text_encoder", "image_encoder")
        used = {name: getattr(settings, name) for name in names}
        latent_prior.run(latent_prior.Settings(output_dir=folder, **used), command)


def dry_run(stages: Sequence[Stage], changes: Mapping | None = None) -> None:
    """Prints settings, parameter counts and steps of each stage, see `recipe.dry_run`."""
    for stage in stages:
        print(f"stage {stage.name}:")
        # The part classifier and the latent prior do not exist yet. They are not trained here.
        missing = {"auxiliary_classifier": "", "latent_flow": ""}
        values = {**_values(stage, changes or {}), **missing}
        settings = projected_birds.Settings(**values)
        recipe.dry_run(projected_birds.RECIPE, settings)
        print()


@dataclasses.dataclass(frozen=True)
class Options(Checked):
    """Flags of a schedule."""

    preset: str = setting("full", "Name of the schedule.", choices=tuple(SCHEDULES))
    folder: str | None = setting(
        None,
        "Folder of the schedule, with one folder per stage. A schedule in this folder is resumed. "
        "Default: runs/<recipe>_<preset>, or runs/<recipe>_<preset>_seed<seed> if the seed is not "
        "0.",
    )
    dry_run: bool = setting(
        False, "Print the settings and parameter counts of each stage, without training."
    )
    seed: int = fields.seed()
    dtype_policy: str = fields.dtype_policy()


def main(base: recipe.Recipe) -> None:
    """Runs `recipe.main`, where `--preset` may also name a schedule."""
    if _preset(sys.argv[1:]) not in SCHEDULES:
        recipe.main(base)
        return

    def command(options):
        folder = options.folder or recipe.RUNS / recipe.folder_name(
            base.name, options.preset, options.seed
        )
        changes = {"seed": options.seed, "dtype_policy": options.dtype_policy}
        if options.dry_run:
            return dry_run(SCHEDULES[options.preset], changes)
        line = shell_command(f"zoo.{base.name}", without=("folder",))
        try:
            scores = run(SCHEDULES[options.preset], folder, line, changes)
        except KeyboardInterrupt:
            console.print_error(f"stopped; the same command resumes {folder}")
            sys.exit(130)
        recipe.print_scores(scores)

    cli.main(f"zoo.{base.name}", Options, command, description=base.doc)


def _preset(arguments):
    """Returns the value of the last `--preset=name` or `--preset name`, or `None`."""
    found = re.findall(r"(?<!\S)--?preset[= ](\S+)", " ".join(arguments))
    return found[-1] if found else None

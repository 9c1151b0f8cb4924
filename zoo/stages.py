"""Schedules that train a text-to-image model in stages of growing size, each in a folder of its
own.

    python -m zoo.birds_256 --preset=full     64, 128 and 256 pixels one after another, at most 3
    hours on two cores

A schedule resumes where it stopped: finished stages are skipped, the one in progress goes on after
its last epoch.
"""

import dataclasses
import pathlib
import sys
from collections.abc import Mapping, Sequence

from absl import flags

from kerasgan.io import side_files
from zoo import projected_birds, recipe, text_gan
from zoo.command import shell_command


@dataclasses.dataclass(frozen=True)
class Stage:
    """One stage of a schedule.

    Attributes:
        name: Name of its folder inside the schedule's.
        settings: Settings of `zoo.projected_birds` that differ from their defaults.
    """

    name: str
    settings: Mapping


# Most of the time belongs to the smallest stage, which decides shapes and attributes; larger ones
# sharpen edges. Steps and estimated seconds per step on two free cores: 35,840 of 0.17, 11,520 of
# 0.18 and 7,680 of 0.14. Together 2.6 hours, plus scores, pictures and the start of each stage.
FULL = (
    Stage("stage_64", {"size": 64, "epochs": 280, "decay": True, "score_every": 40}),
    Stage(
        "stage_128",
        {
            "size": 128,
            "epochs": 90,
            "decay": True,
            "score_every": 30,
            "birds": 2048,
            "batch_size": 16,
        },
    ),
    Stage(
        "stage_256",
        {
            "size": 256,
            "epochs": 30,
            "decay": True,
            "score_every": 15,
            "birds": 2048,
            "batch_size": 8,
        },
    ),
)
SCHEDULES = {"full": FULL}


def settings_of(
    stages: Sequence[Stage], folder: pathlib.Path, changes: Mapping | None = None
) -> list:
    """The settings of each stage; each one after the first starts from the folder of the one
    before."""
    found, start = [], ""
    for stage in stages:
        settings = projected_birds.Settings(**{**stage.settings, "start": start, **(changes or {})})
        found.append(settings)
        start = str(folder / stage.name)
    return found


def run(
    stages: Sequence[Stage],
    folder: pathlib.Path,
    command: str | None = None,
    changes: Mapping | None = None,
) -> dict:
    """Trains all stages that are not finished, and writes the last one's generator as a preset.

    Args:
        stages: Stages, smallest first.
        folder: Folder of the schedule. `folder / stage.name` is a run of `zoo.projected_birds`.
        command: Shell command that started it, for the pages.
        changes: Settings that are changed in every stage, such as `seed`.

    Returns:
        The last stage's scores.
    """
    folder, scores = pathlib.Path(folder), {}
    for stage, settings in zip(stages, settings_of(stages, folder, changes), strict=True):
        done = folder / stage.name / "finished.json"
        if done.exists():
            scores = side_files.json_object(done)
            continue
        print(f"stage {stage.name}: {settings.size} pixels, {settings.epochs} epochs")
        scores = recipe.run(projected_birds.RECIPE, settings, folder / stage.name, command)
        side_files.write_json(done, scores)
    text_gan.last_of(folder / stages[-1].name).save_to_preset(folder / "preset")
    return scores


def main(base: recipe.Recipe, schedules: Mapping[str, Sequence[Stage]] = SCHEDULES) -> None:
    """`recipe.main`, where `--preset` may also name a schedule."""
    presets = [
        argument.partition("=")[2] for argument in sys.argv[1:] if argument.startswith("--preset=")
    ]
    if not presets or presets[-1] not in schedules:
        recipe.main(base)
        return
    flags.DEFINE_string("preset", None, f"one of {', '.join((*base.presets, *schedules))}")
    flags.DEFINE_string(
        "folder", None, "Folder of the schedule; runs/<recipe>_<preset> by default."
    )
    flags.DEFINE_integer("seed", 0, "Seed of weights, order and noise.")

    def shell(arguments):
        if len(arguments) > 1:
            raise ValueError(f"settings are given as --name=value; received {arguments[1]!r}")
        preset, seed = flags.FLAGS.preset, flags.FLAGS.seed
        folder = pathlib.Path(
            flags.FLAGS.folder or recipe.RUNS / recipe.folder_name(base.name, preset, seed)
        )
        command = shell_command(f"zoo.{base.name}", without=("folder",))
        scores = run(schedules[preset], folder, command, {"seed": seed})
        for name, value in scores.items():
            if isinstance(value, (int, float)):
                print(f"{name:26} {value:.4g}")

    recipe.start(shell)

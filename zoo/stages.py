"""Schedules that train a text-to-image model in stages of growing size, each in its own folder.

    python -m zoo.birds_256 --preset=full     64, 128 and 256 pixels in turn, 3 hours on two cores

A schedule resumes where it stopped: finished stages are skipped, the one in progress goes on after
its last epoch.
"""

import dataclasses
import os
import pathlib
import re
import sys
from collections.abc import Mapping, Sequence

from zoo import cli, lazy, preset, projected_birds, recipe, settings as fields
from zoo.command import shell_command
from zoo.settings import Checked, setting

console = lazy.module("kerasgan.io.console")
side_files = lazy.module("kerasgan.io.side_files")


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
            "num_images": 2048,
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
            "num_images": 2048,
            "batch_size": 8,
        },
    ),
)
SCHEDULES = {"full": FULL}


def settings_of(
    stages: Sequence[Stage],
    folder: pathlib.Path,
    changes: Mapping | None = None,
    kind: type = projected_birds.Settings,
) -> list:
    """The settings of each stage; each one after the first starts from the folder of the one
    before."""
    found, start = [], ""
    for stage in stages:
        settings = kind(**{**stage.settings, "start": start, **(changes or {})})
        found.append(settings)
        start = str(folder / stage.name)
    return found


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
        command: Shell command that started it, for the pages.
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
            scores = side_files.json_object(done)
            continue
        print(f"stage {stage.name}: {settings.size} pixels, {settings.epochs} epochs")
        scores = recipe.run(base, settings, folder / stage.name, command)
        side_files.write_json(done, scores)
    preset.write(folder / stages[-1].name, folder / "preset")
    return scores


@dataclasses.dataclass(frozen=True)
class Options(Checked):
    """Flags of a schedule."""

    preset: str = setting("full", "Schedule.", choices=tuple(SCHEDULES))
    folder: str | None = setting(
        None, "Folder of the schedule. Default: runs/<recipe>_<preset>. A schedule in it resumes."
    )
    seed: int = fields.seed()


def main(base: recipe.Recipe) -> None:
    """Runs `recipe.main`, where `--preset` may also name a schedule."""
    if _preset(sys.argv[1:]) not in SCHEDULES:
        recipe.main(base)
        return

    def command(options):
        folder = options.folder or recipe.RUNS / recipe.folder_name(
            base.name, options.preset, options.seed
        )
        line = shell_command(f"zoo.{base.name}", without=("folder",))
        try:
            scores = run(SCHEDULES[options.preset], folder, line, {"seed": options.seed})
        except KeyboardInterrupt:
            console.print_error(f"stopped; the same command resumes {folder}")
            sys.exit(130)
        for name, value in scores.items():
            if isinstance(value, (int, float)):
                print(f"{name:26} {value:.4g}")

    cli.main(base.name, Options, command, description=base.doc)


def _preset(arguments):
    """The value of the last `--preset=name` or `--preset name`, or `None`."""
    found = re.findall(r"(?<!\S)--?preset[= ](\S+)", " ".join(arguments))
    return found[-1] if found else None

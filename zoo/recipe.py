"""Shared part of all recipes: settings, presets, the run's folder, resuming, callbacks, page.

A recipe is a module with a `RECIPE`. It consists of a settings dataclass that extends `Settings`,
presets that list only what differs from its defaults, and functions of the settings that make the
data and the compiled model.
"""

import copy
import dataclasses
import functools
import importlib.metadata
import importlib.util
import math
import os
import pathlib
import platform
import re
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from zoo import cli, dry_run as dry_runs, launch, lazy, scale, settings as fields
from zoo.command import shell_command
from zoo.memory import peak_mib
from zoo.settings import Checked, check_same_run, current_names, setting

keras = lazy.module("keras")
backend = lazy.module("kerasgan.backend")
kerasgan = lazy.module("kerasgan")
callbacks = lazy.module("kerasgan.callbacks")
distribution = lazy.module("kerasgan.distribution")
dtype_policies = lazy.module("kerasgan.dtype_policies")
images = lazy.module("kerasgan.images")
report = lazy.module("kerasgan.report")
checkpoints = lazy.module("kerasgan.io.checkpoints")
console = lazy.module("kerasgan.io.console")
dataset_names = lazy.module("kerasgan.io.dataset_names")
files = lazy.module("kerasgan.io.files")
locks = lazy.module("kerasgan.io.locks")
presets = lazy.module("kerasgan.io.presets")
side_files = lazy.module("kerasgan.io.side_files")

RUNS = pathlib.Path("runs")


@dataclasses.dataclass(frozen=True)
class Settings(Checked):
    """Settings of every recipe. Each field is a flag of the same name."""

    epochs: int = fields.epochs(1)
    batch_size: int = fields.batch_size(64)
    repeats: int = setting(
        0,
        "Passes over the images per epoch. 0: one, or more for a small data set of your own.",
        least=0,
    )
    seed: int = fields.seed()
    jit_compile: bool = setting(
        False,
        "Compile the training step with XLA. JAX always does; TensorFlow on a CPU gets slower.",
    )
    dtype_policy: str = fields.dtype_policy()
    grid_every: int = setting(
        1, "Number of epochs from one grid of samples to the next.", group="logging", least=1
    )
    score_every: int = setting(
        10,
        "Number of epochs from one evaluation (on 2,000 samples) to the next. 0: only at the end.",
        group="logging",
        least=0,
    )
    checkpoint_every: int = setting(
        10, "Number of epochs from one checkpoint to the next.", group="logging", least=1
    )
    checkpoint_minutes: int = setting(
        0,
        "Number of minutes between two checkpoints within an epoch. 0: none.",
        group="logging",
        least=0,
    )
    tensorboard: bool = setting(
        False, "Also write a TensorBoard log to <folder>/tensorboard.", group="logging"
    )
    wandb: bool = setting(
        False,
        "Also log to Weights & Biases. WANDB_MODE=offline writes to <folder>/wandb only.",
        group="logging",
    )


@dataclasses.dataclass(frozen=True)
class RunOptions(Checked):
    """Flags of every recipe that are not settings of its training."""

    preset: str | None = setting(
        None, "Named settings, see above. Further flags change single settings of the preset."
    )
    folder: str | None = setting(
        None,
        "Folder of the run. A run in this folder is resumed. Default: runs/<recipe>_<preset>, or "
        "runs/<recipe>_<preset>_seed<seed> if the seed is not 0.",
    )
    devices: int = setting(
        1,
        "Number of devices of this machine. The results equal those of one device, unless "
        "--batch_statistics=device or --gradient_exchange=bfloat16. For several machines, use the "
        "framework's launcher; see the guide 'Several devices'.",
        least=1,
    )
    batch_statistics: str = setting(
        "batch",
        "Statistics of batch normalization with --devices: of the whole batch (batch), or of the "
        "rows of each device (device). device needs fewer exchanges, and the results depend on "
        "the number of devices. JAX supports batch only.",
        choices=("batch", "device"),
    )
    gradient_exchange: str = setting(
        "float32",
        "Dtype of the gradients that devices exchange. bfloat16 halves the traffic and rounds the "
        "gradients to 8 significant bits. JAX supports float32 only.",
        choices=("float32", "bfloat16"),
    )
    dry_run: bool = setting(
        False, "Print the settings, the parameter counts and missing data, without training."
    )
    time_step: bool = setting(
        False, "With --dry_run: also measure the time of a training step, which may take minutes."
    )


@dataclasses.dataclass(frozen=True)
class Recipe:
    """A recipe: settings, data and compiled model.

    Attributes:
        name: Name of the module in `zoo/`, and the first part of the checkpoints' names.
        description: One sentence for the list of recipes and the page.
        settings: Dataclass of its settings.
        presets: Dictionary from a preset's name to the settings that differ from the defaults. The
            first is the default preset.
        data: Function from settings to the data set for `fit`, with `num_batches`.
        build: Function from settings to the compiled model. Its argument `shape` is a
            `scale.DataShape` that replaces reading the data.
        sample_grid: Function from settings to a function of the model that returns an image of
            samples, uint8 `[H, W, C]`.
        dataset: Function from settings to the data set's part of the checkpoints' names.
        size: Function from settings to the image size in the checkpoints' names.
        score: Function from settings to a function `(model, samples) -> dict`, or to `None` if
            nothing evaluates the data.
        monitor: Name of the score that selects the best checkpoint.
        mode: `"min"` or `"max"`: which `monitor` is better.
        callbacks: Function `(settings, checkpoint folder) -> callbacks`, which run before others.
        shipped: Name of the shipped preset whose samples are shown on the page of runs on the same
            data.
        shape: Function from settings to the `scale.DataShape` of the data without reading them.
        choose: Function that completes the settings from the data. Defaults to `scale.fit_to_data`.
        doc: Docstring of the recipe's module, for `--help`.
        former_presets: Dictionary from former names of presets to their names.
        count: Function from settings to the number of training images, or to `None` if it is
            unknown, without reading them.
        class_names: Function from settings to the names of the classes, in the order of their
            labels, for the page.
        schedules: Names of further values of `--preset`, which `zoo.stages` trains.
    """

    name: str
    description: str
    settings: type
    presets: dict
    data: Callable
    build: Callable
    sample_grid: Callable
    dataset: Callable
    size: Callable
    score: Callable
    monitor: str
    mode: str = "min"
    callbacks: Callable | None = None
    shipped: str = ""
    shape: Callable | None = None
    choose: Callable | None = None
    doc: str = ""
    former_presets: Mapping[str, str] = dataclasses.field(default_factory=dict)
    count: Callable = scale.count_images
    class_names: Callable | None = None
    schedules: tuple[str, ...] = ()

    @property
    def preset_names(self) -> list[str]:
        """Names that `--preset` accepts, the default first."""
        return [*self.presets, *self.schedules]


def built_quickly(build: Callable) -> Callable:
    """Returns `build` in the context `backend.building`.

    It is for functions that train nothing: on JAX, a training step that is compiled in this context
    would be slow. Recipes that train a network while they build use it for the other networks.
    """

    @functools.wraps(build)
    def wrapped(*arguments: Any, **options: Any) -> Any:
        with backend.building():
            return build(*arguments, **options)

    return wrapped


def preset_name(recipe: Recipe, name: str | None = None) -> str:
    """Returns the current name of a preset; `None` gives the default preset."""
    name = name or next(iter(recipe.presets))
    name = recipe.former_presets.get(name, name)
    if name not in recipe.presets:
        names = ", ".join(recipe.preset_names)
        raise ValueError(f"preset must be one of {names}; received {name!r}")
    return name


def settings_of(recipe: Recipe, preset: str | None = None, **changes: Any) -> Any:
    """Returns the settings of a preset with some changes.

    Args:
        recipe: The recipe.
        preset: Name of the preset. Defaults to the first.
        **changes: Settings under their current or former names.

    Raises:
        ValueError: If there is no such preset or setting, or a value is not allowed.
    """
    base = current_names(recipe.presets[preset_name(recipe, preset)], recipe.name)
    changes = current_names(changes, recipe.name, base)
    names = {field.name for field in dataclasses.fields(recipe.settings)}
    unknown = set(changes) - names
    if unknown:
        raise ValueError(
            f"settings of {recipe.name} are {', '.join(sorted(names))}; received {unknown.pop()!r}"
        )
    settings = recipe.settings(**(base | changes))
    if recipe.choose:
        return recipe.choose(settings)
    if not hasattr(settings, "data"):
        return settings
    return scale.fit_to_data(settings, recipe.settings(**base), set(changes), recipe.count)


def settings_from(recipe: Recipe, saved: dict) -> Any:
    """Returns the settings of a saved run (`settings.json` or a checkpoint's information)."""
    saved = current_names(saved, recipe.name)
    names = [field.name for field in dataclasses.fields(recipe.settings) if field.name in saved]
    return recipe.settings(**{name: saved[name] for name in names})


def run(
    recipe: Recipe, settings: Any, folder: str | os.PathLike, command: str | None = None
) -> dict:
    """Trains, or resumes after the last complete epoch in `folder`; evaluates; writes the page.

    Returns:
        The final scores: a dictionary, empty if nothing evaluates the data.
    """
    folder = pathlib.Path(folder).expanduser()
    keras.utils.set_random_seed(settings.seed)
    # Settings that cannot be built must not leave a folder behind.
    data, model = recipe.data(settings), _build(recipe, settings)
    if not distribution.is_chief():  # Only the first process writes files.
        return _run(recipe, settings, folder, command, data, model)
    checkpoints.check_folder(folder / "checkpoints")
    with locks.locked(folder):
        return _run(recipe, settings, folder, command, data, model)


def _build(recipe, settings, **arguments):
    """Returns the model of the settings, whose networks have the settings' dtype policy."""
    with dtype_policies.dtype_policy(settings.dtype_policy):
        return recipe.build(settings, **arguments)


def _run(recipe, settings, folder, command, data, model):
    if distribution.is_chief():
        _keep_settings(recipe, settings, folder, command)
    epoch = checkpoints.resume(folder / "checkpoints", model)
    batches = model.resumed.batch if model.resumed else 0
    if epoch or batches:
        within = f" and {batches} batches" if batches else ""
        print(f"resuming {folder} after epoch {epoch}{within} of {settings.epochs}")
    score = recipe.score(settings)
    tracker = None
    if settings.wandb and epoch < settings.epochs:
        tracker = callbacks.WandbLog(folder, dataclasses.asdict(settings))
    if epoch < settings.epochs:
        try:
            used = _callbacks(recipe, settings, folder, model, score, tracker)
            model.fit(data, epochs=settings.epochs, initial_epoch=epoch, callbacks=used)
        except (KeyboardInterrupt, callbacks.NonFiniteLossError, callbacks.Preempted):
            if distribution.is_chief():
                report.run_page(folder)
            if tracker:
                tracker.finish(exit_code=1)
            raise
    scores = score(model, 10_000) if score else {}
    if not distribution.is_chief():
        return scores
    side_files.write_json(folder / "scores.json", scores)
    _keep_versions(folder)
    _sample_shipped(recipe, settings, folder)
    report.run_page(folder)
    if tracker:
        tracker.finish(scores)
    return scores


def _sample_shipped(recipe, settings, folder):
    """Saves samples of the shipped preset for the page, if it was trained on the same data."""
    if recipe.shipped not in presets.names():
        return
    path = presets.find(recipe.shipped) / "settings.json"
    trained = current_names(side_files.json_object(path))
    if all(
        trained.get(name) == getattr(settings, name, None)
        for name in ("data", "classes", "text_encoder")
    ):
        shipped = folder / "shipped"
        files.make_folder(side_files.clear_path(shipped, folder=True))
        samples = recipe.sample_grid(settings)(presets.load(recipe.shipped))
        images.save_png(side_files.clear_path(shipped / f"{recipe.shipped}.png"), samples)


def _callbacks(recipe, settings, folder, model, score, tracker=None):
    first = recipe.callbacks(settings, folder / "checkpoints") if recipe.callbacks else []
    used = [*first, callbacks.NonFiniteGuard(folder / "checkpoints")]
    if score and settings.score_every:

        def few_scores(model):
            scores = score(model, 2_000)
            return {name: v for name, v in scores.items() if isinstance(v, (int, float))}

        used.append(callbacks.Scores(few_scores, settings.score_every))
    used.append(callbacks.CSVLog(folder / "log.csv"))
    if settings.tensorboard:
        used.append(_tensorboard(folder))
    used.append(
        callbacks.SampleGrid(folder, recipe.sample_grid(settings), every=settings.grid_every)
    )
    if tracker:
        used.append(tracker)
    saved = callbacks.Checkpoint(
        folder / "checkpoints",
        run=recipe.name,
        dataset=recipe.dataset(settings),
        size=recipe.size(settings),
        every=settings.checkpoint_every,
        monitor=recipe.monitor if score and settings.score_every else None,
        mode=recipe.mode,
        info=dataclasses.asdict(settings),
        minutes=settings.checkpoint_minutes or None,
    )
    return [*used, saved]


def _tensorboard(folder):
    if importlib.util.find_spec("tensorboard") is None:
        raise ImportError(
            "--tensorboard needs the package tensorboard: pip install 'kerasgan[tensorboard]'"
        )
    if not callbacks.tensorboard_supports_players():
        raise ValueError(
            f"--tensorboard needs Keras 3.15 (Python 3.11) or newer; received {keras.__version__}"
        )
    return keras.callbacks.TensorBoard(folder / "tensorboard", write_graph=False)


def _keep_settings(recipe, settings, folder, command):
    """Writes settings and versions. Raises ValueError if the folder holds another run."""
    new, path = dataclasses.asdict(settings), folder / "settings.json"
    old = side_files.read_or_default(path, side_files.json_object)
    newest = checkpoints.latest(folder / "checkpoints", checkpoints.RESUME)
    if old is None and newest:  # Checkpoints hold the settings, too.
        old = side_files.read_or_default(newest, checkpoints.read_info, {})
    if old:
        old = current_names(dataset_names.with_current_names(old), recipe.name)
        ignored = ("epochs", "tensorboard", "wandb", "checkpoint_minutes")
        check_same_run(folder, old, {k: v for k, v in new.items() if k not in ignored})
    about = {
        "title": f"{recipe.name}: {folder.name}",
        "description": recipe.description,
        "recipe": f"zoo.{recipe.name}",
        "command": command or f"python -m zoo.{recipe.name}",
    }
    if recipe.class_names:
        about["class_names"] = recipe.class_names(settings)
    side_files.write_json(path, about | new)
    _keep_versions(folder)


def _keep_versions(folder):
    """Writes versions, machine, and the peak memory of the run, including earlier processes."""
    path = folder / "versions.json"
    before = side_files.read_or_default(path, _peak, 0)
    side_files.write_json(path, versions() | {"peak_memory_mib": max(before, round(peak_mib()))})


def _peak(path):
    return int(side_files.json_object(path).get("peak_memory_mib", 0))


def versions() -> dict:
    """Returns the package versions and the machine, on which the numbers of a run also depend."""
    packages = ("keras", keras.backend.backend(), "numpy", "h5py", "mlxtend")
    found = {"kerasgan": kerasgan.__version__, "python": platform.python_version()}
    for package in packages:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            pass
    return found | {
        "backend": keras.backend.backend(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
    }


# === Dry run ===


def dry_run(recipe: Recipe, settings: Any, time_step: bool = False) -> None:
    """Prints the settings, the parameter counts, the number of steps, and what is missing.

    The networks are built from the shape of the data, so the data need not exist.

    Args:
        recipe: The recipe.
        settings: Its settings.
        time_step: If `True`, reads the data and measures the time of a training step.
    """
    keras.utils.set_random_seed(settings.seed)
    model = _build_without_data(recipe, settings)
    counts = {
        player: sum(math.prod(v.shape) for v in model.player_variables(player))
        for player in model.players
    }
    steps = None
    if hasattr(settings, "data") and scale.count_images(settings) is not None:
        steps = (
            recipe.shape(settings).num_batches if recipe.shape else scale.count_batches(settings)
        )
    dry_runs.show(settings, counts, steps, _missing(settings))
    if time_step:
        _time_step(recipe, settings)


def _build_without_data(recipe, settings):
    if recipe.shape is None:
        return _build(recipe, settings)
    if getattr(settings, "start", ""):
        settings = dataclasses.replace(settings, start="")
    return _build(recipe, settings, shape=recipe.shape(settings))


def _missing(settings):
    notes = [scale.missing_data(settings)] if hasattr(settings, "data") else []
    for name in ("classifier", "lpips"):
        if (path := getattr(settings, name, "")) and not pathlib.Path(path).is_file():
            notes.append(f"missing: the file {path} of --{name}")
    if getattr(settings, "start", "") and not pathlib.Path(settings.start).is_dir():
        notes.append(f"missing: the run {settings.start}, from which this run starts")
    return filter(None, notes)


def _time_step(recipe, settings):
    data, model, times = recipe.data(settings), _build(recipe, settings), []
    for index in range(min(5, data.num_batches)):
        begin = time.perf_counter()
        model.train_on_batch(*data[index])
        times.append(time.perf_counter() - begin)
    steady = sorted(times[2:] or times)
    step = steady[len(steady) // 2]
    minutes = step * data.num_batches * settings.epochs / 60
    print(f"{'time of a step':24} about {step * 1000:.0f} ms, {minutes:.1f} minutes in all")


# === Command line ===


def folder_name(name: str, preset: str, seed: int) -> str:
    """Returns the default name of a run's folder in `RUNS`."""
    return f"{name}_{preset}{f'_seed{seed}' if seed else ''}"


def main(recipe: Recipe) -> None:
    """Runs a recipe from the command line. Each setting is a flag."""
    arguments = sys.argv[1:]
    options, settings = dataclasses.fields(RunOptions), _ordered(recipe.settings)
    if cli.wants_help(arguments):
        cli.show(_help(recipe, arguments, [*options, *settings]))
        return

    def command():
        values, positional = cli.parse([*options, *settings], arguments)
        if positional:
            raise ValueError(f"settings are given as --name=value; received {positional[0]!r}")
        given = {field.name: values.pop(field.name) for field in options if field.name in values}
        chosen = RunOptions(**given)
        preset = preset_name(recipe, chosen.preset)
        made = settings_of(recipe, preset, **values)
        if chosen.dry_run:
            return dry_run(recipe, made, chosen.time_step)
        if launch.needed(chosen.devices):
            sys.exit(launch.run(chosen.devices))
        distribution.start(chosen.devices, chosen.batch_statistics, chosen.gradient_exchange)
        with cli.tracked():
            _train(recipe, made, preset, chosen.folder)

    cli.guarded(command)


def _train(recipe, settings, preset, folder):
    folder = pathlib.Path(folder or RUNS / folder_name(recipe.name, preset, settings.seed))
    line = shell_command(f"zoo.{recipe.name}", without=("folder",))
    try:
        scores = run(recipe, settings, folder, line)
    except KeyboardInterrupt:
        console.print_error(f"stopped; the same command resumes {folder} after its last checkpoint")
        sys.exit(130)
    except callbacks.Preempted as error:
        if distribution.is_chief():
            console.print_error(f"{error}; the same command resumes {folder}")
        sys.exit(launch.PREEMPTED)
    print_scores(scores)
    print(f"the run's page: {folder / 'index.html'}")


def print_scores(scores: Mapping[str, Any]) -> None:
    """Prints the numbers among the scores, one per line."""
    for name, value in scores.items():
        if isinstance(value, (int, float)):
            print(f"{name:26} {value:.4g}")


def _ordered(settings):
    """Returns the fields of a settings class, the most used ones first."""
    first = ("epochs", "batch_size", "seed")
    declared = {field.name: field for field in dataclasses.fields(settings)}
    rest = [name for name in declared if name not in first]
    return [declared[name] for name in (*first, *rest)]


def _help(recipe, arguments, flags):
    named = re.search(r"--?preset[= ](\w+)", " ".join(arguments))
    shown = recipe.former_presets.get(named[1], named[1]) if named else None
    shown = shown if shown in recipe.presets else next(iter(recipe.presets))
    preset = copy.copy(next(field for field in flags if field.name == "preset"))
    preset.default = recipe.preset_names[0]
    preset.metadata = preset.metadata | {"choices": recipe.preset_names}
    return cli.help_text(
        f"python -m zoo.{recipe.name}",
        recipe.doc or recipe.description,
        [preset if field.name == "preset" else field for field in flags],
        preset=(shown, recipe.presets[shown]),
    )

"""What all recipes share: flags from a dataclass, a run's folder, resuming, the callbacks, the page at the end.

A recipe is a module with a `RECIPE`: settings (a dataclass that extends `Settings`), presets that list what differs
from its defaults, and functions of the settings that make the data and the compiled model.
"""

import dataclasses
import importlib.metadata
import importlib.util
import json
import math
import os
import pathlib
import platform
import sys
import time
from collections.abc import Callable

import keras
from absl import app, flags

import kerasgan
from kerasgan import callbacks, images, report
from kerasgan.io import checkpoints, console, files, locks, presets, side_files
from zoo import signals
from zoo.command import shell_command
from zoo.memory import peak_mib
from zoo.scale import fit_to_data
from zoo.settings import Checked, setting

RUNS = pathlib.Path("runs")
flags.disclaim_key_flags()  # the flags defined here are the recipe's own: its --help shows them


@dataclasses.dataclass(frozen=True)
class Settings(Checked):
    """What every recipe has. A field is a flag of the same name."""

    epochs: int = setting(1, "epochs in all, those before a resume included", least=1)
    batch_size: int = setting(64, "images a step", least=1)
    repeats: int = setting(
        0, "passes over the images in an epoch; 0 chooses for few images, see zoo/scale.py", least=0
    )
    seed: int = setting(0, "of weights, order and noise", least=0, below=2**32)
    grid_every: int = setting(1, "epochs from one picture of samples to the next", least=1)
    score_every: int = setting(
        10, "epochs from one score to the next, on few samples; 0 is never", least=0
    )
    checkpoint_every: int = setting(10, "epochs from one checkpoint to the next", least=1)
    jit_compile: bool = setting(
        False, "compile with XLA (always, on JAX); slower than TensorFlow's graph on CPUs"
    )
    tensorboard: bool = setting(False, "also write TensorBoard's log, to <folder>/tensorboard")


@dataclasses.dataclass(frozen=True)
class Recipe:
    """One experiment: numbers + data + compile.

    Attributes:
        name: of the module in zoo/, and first part of the checkpoints' names.
        description: one sentence, for the list and the page.
        settings: the dataclass of its settings.
        presets: name to the settings that differ from the defaults; the first is the default preset.
        data: `settings -> dataset` for `fit`, with `num_batches`.
        build: `settings -> compiled model`.
        draw: `settings -> function of the model` that returns a picture of samples, uint8 [H, W, C].
        dataset, size: `settings -> ` parts of the checkpoints' names.
        score: `settings -> function of (model, samples) -> dictionary`, or None where nothing judges the data.
        monitor: number of the scores that names the best checkpoint.
        mode: "min" or "max": whether the lower or the higher `monitor` is the better.
        callbacks: `(settings, checkpoints' folder) -> callbacks` that come before all others; None is none.
        shipped: name of the preset that a longer run made; its pictures stand on the page of every run of its data.
    """

    name: str
    description: str
    settings: type
    presets: dict
    data: Callable
    build: Callable
    draw: Callable
    dataset: Callable
    size: Callable
    score: Callable
    monitor: str
    mode: str = "min"
    callbacks: Callable | None = None
    shipped: str = ""


def settings_of(recipe, preset=None, **changes):
    """The settings of a preset (the first by default), with some changed. Raises ValueError for what does not exist."""
    preset = preset or next(iter(recipe.presets))
    if preset not in recipe.presets:
        raise ValueError(f"preset must be one of {', '.join(recipe.presets)}; received {preset!r}")
    names = {field.name for field in dataclasses.fields(recipe.settings)}
    unknown = set(changes) - names
    if unknown:
        raise ValueError(
            f"a setting of {recipe.name} is one of {', '.join(sorted(names))}; received {unknown.pop()!r}"
        )
    settings = recipe.settings(**(recipe.presets[preset] | changes))
    if not hasattr(settings, "data"):
        return settings
    return fit_to_data(settings, recipe.settings(**recipe.presets[preset]), set(changes))


def run(recipe, settings, folder, command=None):
    """Trains, from the start or from the newest whole epoch in `folder`, scores, and writes the page.

    Returns:
        The scores at the end: a dictionary, empty where nothing judges the data.
    """
    folder = pathlib.Path(folder)
    keras.utils.set_random_seed(settings.seed)
    data, model = (
        recipe.data(settings),
        recipe.build(settings),
    )  # settings that build nothing leave nothing behind
    checkpoints.check_folder(folder / "checkpoints")
    with locks.locked(folder):
        return _run(recipe, settings, folder, command, data, model)


def _run(recipe, settings, folder, command, data, model):
    _keep_settings(recipe, settings, folder, command)
    epoch = checkpoints.resume(folder / "checkpoints", model)
    if epoch:
        print(f"resuming {folder} after epoch {epoch} of {settings.epochs}")
    score = recipe.score(settings)
    if epoch < settings.epochs:
        try:
            used = _callbacks(recipe, settings, folder, model, score)
            model.fit(data, epochs=settings.epochs, initial_epoch=epoch, callbacks=used)
        except (KeyboardInterrupt, callbacks.NonFiniteLossError):
            report.run_page(folder)
            raise
    scores = score(model, 10_000) if score else {}
    side_files.write_json(folder / "scores.json", scores)
    _keep_versions(folder)
    _draw_shipped(recipe, settings, folder)
    report.run_page(folder)
    return scores


def _draw_shipped(recipe, settings, folder):
    """What the shipped preset draws of the same, for the page; nothing where it learnt from other data."""
    if recipe.shipped not in presets.names():
        return
    learnt = json.loads((presets.find(recipe.shipped) / "settings.json").read_text())
    if all(
        learnt.get(name) == getattr(settings, name, None)
        for name in ("data", "classes", "text_encoder")
    ):
        files.make_folder(side_files.clear_path(folder / "shipped", folder=True))
        drawn = recipe.draw(settings)(presets.load(recipe.shipped))
        images.save_png(side_files.clear_path(folder / "shipped" / f"{recipe.shipped}.png"), drawn)


def _callbacks(recipe, settings, folder, model, score):
    names = {"run": recipe.name, "dataset": recipe.dataset(settings), "size": recipe.size(settings)}
    first = recipe.callbacks(settings, folder / "checkpoints") if recipe.callbacks else []
    used = [*first, callbacks.NonFiniteGuard(folder / "checkpoints")]
    if score and settings.score_every:

        def numbers(model):
            return {k: v for k, v in score(model, 2_000).items() if isinstance(v, (int, float))}  # noqa: E731

        used.append(callbacks.Scores(numbers, settings.score_every))
    used.append(callbacks.CSVLog(folder / "log.csv"))
    if settings.tensorboard:
        if importlib.util.find_spec("tensorboard") is None:
            raise ImportError(
                "TensorBoard's log needs the package tensorboard: pip install 'kerasgan[tensorboard]'"
            )
        if not callbacks.tensorboard_supports_players():
            raise ValueError(
                f"TensorBoard's log needs Keras 3.15 (Python 3.11) or newer; received {keras.__version__}"
            )
        used.append(keras.callbacks.TensorBoard(folder / "tensorboard", write_graph=False))
    used.append(callbacks.SampleGrid(folder, recipe.draw(settings), every=settings.grid_every))
    monitor = recipe.monitor if score and settings.score_every else None
    info = dataclasses.asdict(settings)
    saved = callbacks.Checkpoint(
        folder / "checkpoints",
        **names,
        every=settings.checkpoint_every,
        monitor=monitor,
        mode=recipe.mode,
        info=info,
    )
    return [*used, saved]


def _keep_settings(recipe, settings, folder, command):
    """Writes settings and versions; a folder that holds another run's is left alone."""
    new, path = dataclasses.asdict(settings), folder / "settings.json"
    old = side_files.read_or_default(path, side_files.json_object)
    newest = checkpoints.latest(folder / "checkpoints", checkpoints.RESUME)
    if old is None and newest:  # its files hold the settings too
        old = side_files.read_or_default(newest, checkpoints.read_info, {})
    if old:
        other = [
            f"{k} {old[k]}"
            for k in new
            if k in old and old[k] != new[k] and k not in ("epochs", "tensorboard")
        ]
        if other:
            raise ValueError(
                f"{folder} holds a run with {', '.join(other)}; go on with these or name another --folder"
            )
    about = {
        "title": f"{recipe.name}: {folder.name}",
        "description": recipe.description,
        "recipe": f"zoo.{recipe.name}",
        "command": command or f"python -m zoo.{recipe.name}",
    }
    side_files.write_json(path, about | new)
    _keep_versions(folder)


def _keep_versions(folder):
    """Writes the versions, and the most memory that the run has held, before a resume or since."""
    path = folder / "versions.json"
    before = side_files.read_or_default(path, _peak, 0)
    side_files.write_json(path, versions() | {"peak_memory_mib": max(before, round(peak_mib()))})


def _peak(path):
    return int(side_files.json_object(path).get("peak_memory_mib", 0))


def versions():
    """What the numbers of a run depend on besides its settings."""
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


def dry_run(recipe, settings):
    """Prints the settings, the networks' sizes and the time of a step, measured on the first batches."""
    keras.utils.set_random_seed(settings.seed)
    for name, value in dataclasses.asdict(settings).items():
        print(f"{name:18} {value}")
    data, model = recipe.data(settings), recipe.build(settings)
    for player in model.players:
        count = sum(math.prod(v.shape) for v in model.player_variables(player))
        print(f"{player:18} {count:,} trainable parameters")
    times = []
    for index in range(min(5, data.num_batches)):
        start = time.perf_counter()
        model.train_on_batch(*data[index])
        times.append(time.perf_counter() - start)
    step = sorted(times[2:] or times)[len(times[2:] or times) // 2]
    minutes = step * data.num_batches * settings.epochs / 60
    print(
        f"{'a step':18} about {step * 1000:.0f} ms; {data.num_batches} steps an epoch, {minutes:.1f} minutes in all"
    )


# === The shell ===


def folder_name(name, preset, seed):
    """Of a recipe's run below `RUNS`, where no other is asked for."""
    return f"{name}_{preset}{f'_seed{seed}' if seed else ''}"


def main(recipe):
    """Runs a recipe from the command line: `--preset`, `--folder`, `--dry_run`, and a flag for each setting."""
    flags.DEFINE_string(
        "preset",
        None,
        f"one of {', '.join(recipe.presets)}; {next(iter(recipe.presets))} by default",
    )
    flags.DEFINE_string(
        "folder", None, "of the run; runs/<recipe>_<preset> by default. A run in it is resumed"
    )
    flags.DEFINE_bool(
        "dry_run", False, "print settings, parameter counts and the time of a step, and stop"
    )
    define_flags(recipe.settings)

    def shell(arguments):
        if len(arguments) > 1:
            raise ValueError(f"settings are given as --name=value; received {arguments[1]!r}")
        preset = flags.FLAGS.preset or next(iter(recipe.presets))
        settings = settings_of(recipe, preset, **given_flags(recipe.settings))
        if flags.FLAGS.dry_run:
            return dry_run(recipe, settings)
        folder = pathlib.Path(
            flags.FLAGS.folder or RUNS / folder_name(recipe.name, preset, settings.seed)
        )
        line = shell_command(
            f"zoo.{recipe.name}", without=("folder",)
        )  # where is not what; see pages.py
        try:
            scores = run(recipe, settings, folder, line)
        except KeyboardInterrupt:
            console.print_error(
                f"stopped; the same command resumes {folder} after its last checkpoint"
            )
            sys.exit(130)
        for name, value in scores.items():
            if isinstance(value, (int, float)):
                print(f"{name:26} {value:.4g}")
        print(f"the run's page: {folder / 'index.html'}")

    start(shell)


def define_flags(settings):
    """A flag for each field of a dataclass, without a default: what is not given is the preset's."""
    define = {
        int: flags.DEFINE_integer,
        float: flags.DEFINE_float,
        str: flags.DEFINE_string,
        bool: flags.DEFINE_bool,
    }
    for field in dataclasses.fields(settings):
        define[field.type](field.name, None, field.metadata["help"])


def given_flags(settings):
    """The fields of the dataclass that the command line gives."""
    values = {field.name: flags.FLAGS[field.name].value for field in dataclasses.fields(settings)}
    return {name: value for name, value in values.items() if value is not None}


def expand_home(values=flags.FLAGS):
    """Replaces a leading `~` in the values of all flags: a shell leaves the one in `--folder=~/run` as it is."""
    for name in values:
        flag = values[name]
        if isinstance(flag.value, str) and flag.value.startswith("~"):
            flag.value = os.path.expanduser(flag.value)
        elif isinstance(flag.value, list):
            flag.value = [os.path.expanduser(v) if isinstance(v, str) else v for v in flag.value]


def start(shell):
    """`absl.app.run`, with bad input told in one line and a non-zero exit. SIGTERM and SIGHUP do what Ctrl-C does."""

    def guarded(arguments):
        expand_home()
        with console.track_lines(), signals.as_interrupts():
            try:
                shell(arguments)
            except (ValueError, OSError, ImportError, callbacks.NonFiniteLossError) as error:
                console.print_error(f"error: {error}")
                sys.exit(1)
            except KeyboardInterrupt:
                console.print_error("stopped")
                sys.exit(130)

    app.run(guarded)

"""Shared part of the recipes that train one network: classifiers, encoders and Inception.

These recipes keep the weights after the last epoch; test data is not used for selection. This
module imports Keras; recipes import it lazily.
"""

import dataclasses
import importlib.metadata
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras

from kerasgan.datasets.augmentation import AugmentedBatches, check_augmentations
from kerasgan.io import checkpoints, files, presets
from zoo.command import shell_command


def adam(learning_rate: float, steps: int) -> keras.optimizers.Adam:
    """Returns Adam with a learning rate that falls to 0 along a cosine."""
    return keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(learning_rate, steps))


def verbosity(epochs: int) -> int:
    """Returns `verbose` of `fit`: one line per epoch, or none if there are many short ones."""
    return 2 if epochs <= 50 else 0


def fit(
    network: keras.Model,
    data: Any,
    loss: Any,
    *,
    epochs: int,
    learning_rate: float,
    targets: Any = None,
    batch_size: int | None = None,
    steps: int | None = None,
    metrics: Sequence = ("accuracy",),
    augment: str = "none",
    seed: int = 0,
    verbose: int = 2,
    callbacks: Sequence = (),
) -> None:
    """Compiles a network with Adam and a cosine decay, and trains it.

    Args:
        network: The network.
        data: Batches with `num_batches`, or an array of inputs.
        loss: A Keras loss, a function, or a dictionary of them.
        epochs: Number of epochs.
        learning_rate: Initial learning rate.
        targets: Targets, if `data` is an array.
        batch_size: Batch size, if `data` is an array.
        steps: Steps per epoch. Defaults to `data.num_batches`.
        metrics: Metrics.
        augment: Value of `--augment`, see `kerasgan.datasets.augmentation`. Only for batches.
        seed: Seed of the augmentation.
        verbose: See `fit` of Keras.
        callbacks: Callbacks.
    """
    steps = data.num_batches if steps is None else steps
    network.compile(
        adam(learning_rate, epochs * steps),
        loss,
        metrics=list(metrics) or None,
        jit_compile=keras.backend.backend() == "jax",  # TensorFlow is slower with XLA on CPUs.
    )
    network.fit(
        augmented(data, augment, seed),
        targets,
        batch_size=batch_size,
        epochs=epochs,
        shuffle=targets is not None,
        verbose=verbose,
        callbacks=list(callbacks),
    )


def augmented(data: Any, augment: str, seed: int) -> Any:
    """Returns batches with the augmentations of `--augment`."""
    return AugmentedBatches(data, augment, seed) if check_augmentations(augment) else data


def own_settings(settings: Any) -> dict:
    """Returns all settings except the output folder, as a dictionary for logs and files."""
    values = dataclasses.asdict(settings)
    return {name: value for name, value in values.items() if name != "output_dir"}


def log_of(
    settings: Any,
    module: str,
    begin: float,
    numbers: dict,
    packages: Sequence = (),
    command: str | None = None,
) -> dict:
    """Returns the log of a training.

    Args:
        settings: The recipe's settings.
        module: Module of the recipe, such as `"zoo.classifier"`.
        begin: `time.time()` at the start.
        numbers: Results, which come first.
        packages: Packages whose versions matter, besides Keras, its backend and NumPy.
        command: Shell command that started the training. Default: that of `module`.
    """
    backend = keras.backend.backend()
    return {
        **numbers,
        "seconds": round(time.time() - begin, 1),
        "command": command or shell_command(module, without=("output_dir",)),
        "settings": own_settings(settings),
        "backend": backend,
        "versions": {
            package: importlib.metadata.version(package)
            for package in ("keras", backend, "numpy", *packages)
        },
    }


def save(
    folder: str | os.PathLike,
    network: keras.Model,
    log: dict,
    *,
    name: str,
    dataset: str,
    size: int,
    epochs: int,
    info: dict,
    letter: str = "C",
    log_name: str | None = "log.json",
) -> Path:
    """Writes a network in half precision and its log.

    Args:
        folder: Output folder.
        network: The network.
        log: The log.
        name: First part of the file name, the recipe.
        dataset: Second part of the file name.
        size: Image size, the third part.
        epochs: Number of epochs, the last part.
        info: Information stored in the file.
        letter: Letter of the network in the file name.
        log_name: Name of the log. `None`: the network's file name, with the ending json.

    Returns:
        The network's file.
    """
    path = Path(folder) / checkpoints.file_name(name, dataset, size, letter, epochs)
    checkpoints.save_network(path, network, epoch=epochs, letter=letter, info=info, dtype="float16")
    files.write_json(path.parent / (log_name or f"{path.stem}.json"), log)
    return path


def load(
    name_or_file: str | os.PathLike,
    shipped: str,
    letter: str,
    recipe: str,
    expected: dict[str, str] | None = None,
) -> keras.Model:
    """Loads the network that a recipe wrote.

    Args:
        name_or_file: Name of the shipped network, a folder, or a checkpoint file.
        shipped: Name of the shipped network, a folder of `kerasgan/presets`.
        letter: Letter of the network in file names.
        recipe: Recipe that trains such a network, such as `"zoo.part_encoder"`.
        expected: Folders or presets that the network must have been trained with, by the name of
            the setting. Files that do not record the setting pass; only last components of paths
            are compared.

    Raises:
        CheckpointError: If there is no such network, or it was trained with others.
    """
    kind = recipe.partition(".")[2].replace("_", " ")
    name = presets.SHIPPED / shipped if name_or_file == shipped else name_or_file
    path: Path | None = Path(name).expanduser()
    if path is not None and path.suffix != ".h5":
        path = checkpoints.latest(path, letter=letter)
    if path is None:
        raise checkpoints.CheckpointError(
            f"no {kind} in {name_or_file}; train one: python -m {recipe}"
        )
    network, info = checkpoints.load_network(path)
    if info["letter"] != letter:
        raise checkpoints.CheckpointError(
            f"{path} must hold a {kind} ({letter}); it holds {info['letter']}"
        )
    for setting, value in (expected or {}).items():
        used = info.get(setting, value)
        if Path(used).name != Path(value).name:
            raise checkpoints.CheckpointError(
                f"{path} must have been trained with {setting} {value}; it was trained with {used}"
            )
    return network

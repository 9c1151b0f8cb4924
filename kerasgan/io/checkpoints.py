"""Checkpoints: one HDF5 file per network, and one resume file with all other state.

Each network has a file `<run>_<dataset>_<size>_G_epoch_<n>.h5`, see `checkpoint_names` and, for its
content, `checkpoint_file`. The weights are in the order of `network.variables`.

The resume file `..._resume_epoch_<n>.h5` has the same format. It contains every variable of the
model and its optimizers that the network files of that epoch do not contain. Its `info` includes
the checksums of those files.

Files are written atomically and the resume file last, so its presence means that the epoch is
complete. Everything is read and verified before the first variable is assigned.
"""

import json
import os
import types
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from kerasgan.io import callback_state, checkpoint_file
from kerasgan.io.checkpoint_file import WHOLE, CheckpointError as CheckpointError
from kerasgan.io.checkpoint_names import (
    NAME,
    PARTIAL,
    RESUME,
    best as best,
    check_folder as check_folder,
    epochs as epochs,
    file_name as file_name,
    latest as latest,
    listed,
    mark_best as mark_best,
    sibling as sibling,
)
from kerasgan.io.checkpoint_networks import (
    assign_values,
    check_values,
    load_model as load_model,
    load_network as load_network,
    load_sampling_model as load_sampling_model,
    load_weights as load_weights,
    read_info as read_info,
    repack as repack,
    save_network as save_network,
    stored_values,
    verify as verify,
)
from kerasgan.io.network_names import networks_by_letter
from kerasgan.io.paths import user_path
from kerasgan.io.reading import parse_json, reading


def save(
    folder: str | os.PathLike,
    model: Any,
    *,
    run: str,
    dataset: str,
    size: int,
    epoch: int,
    history: dict[str, Any] | None = None,
    info: dict[str, Any] | None = None,
    keep: int | None = None,
    states: Iterable[tuple[str, dict]] | None = None,
) -> Path:
    """Writes one file for each of `model.checkpoint_networks()`, then the resume file.

    Args:
        folder: Existing folder.
        model: Compiled `AdversarialModel`, or an object with `checkpoint_networks()`, `variables`
            and `optimizer`.
        run: Name of the run, see `file_name`.
        dataset: Name of the data set, see `file_name`.
        size: Height and width of the images in pixels.
        epoch: Number of finished epochs.
        history: Dict of JSON values for the resume file.
        info: Dict of JSON values for all files.
        keep: Number of resume files of this run to keep, including this one. `None` keeps all.
            Network files are kept, because an earlier epoch may be better (training notes).
        states: Pairs of a callback's class name and its state, for the resume file.

    Returns:
        The path of the resume file.

    Raises:
        CheckpointError: A value is not finite. No file is written then.
    """
    if keep is not None and keep < 1:
        raise ValueError(f"keep must be at least 1 (the epoch just saved) or None; received {keep}")
    folder, networks = user_path(folder), networks_by_letter(model)
    path = folder / file_name(run, dataset, size, RESUME, epoch)
    info = {"run": run, "dataset": dataset, "size": size, **(info or {})}
    rest = stored_values(_remaining(model, networks))
    for letter, network in networks.items():
        checkpoint_file.check_finite(
            folder / file_name(run, dataset, size, letter, epoch), stored_values(network.variables)
        )
    checkpoint_file.check_finite(path, rest)
    sums = {}
    for letter, network in networks.items():
        file = folder / file_name(run, dataset, size, letter, epoch)
        sums[letter] = save_network(
            file, network, epoch=epoch, model=model, letter=letter, info=info
        )
    info.update(
        networks=sums,
        model_class=type(model).__name__,
        history=history,
        versions=checkpoint_file.versions(),
    )
    header = dict(
        letter=RESUME, epoch=int(epoch), network="", model="", info=json.dumps(info, default=float)
    )
    checkpoint_file.write(path, header, rest + callback_state.pack(states or []))
    if keep is not None:
        older = [
            file for number, file in listed(folder, RESUME, f"{run}_{dataset}") if number < epoch
        ]
        for file in older[: len(older) - (keep - 1)]:
            file.unlink(missing_ok=True)
    return path


def saved_epochs(folder: str | os.PathLike, run: str | None = None) -> list[int]:
    """Returns the epochs of a folder's resume files in ascending order.

    Args:
        folder: Folder that `save` writes to. It may be missing.
        run: Name of the run. Required if the folder contains several.
    """
    return [epoch for epoch, _ in listed(folder, RESUME, run)]


def resume(folder: str | os.PathLike, model: Any, run: str | None = None) -> int:
    """Loads the newest intact epoch into a compiled model. Skips damaged epochs with a warning.

    Args:
        folder: Folder that `save` wrote to.
        model: Model, built and compiled as for the run.
        run: Name of the run. Required if the folder contains several.

    Returns:
        The number of finished epochs, `initial_epoch` of `fit`. 0 if nothing was saved.

    Raises:
        CheckpointError: The files belong to another model, or none is intact. In the second case a
            new run would overwrite them.
    """
    found = listed(folder, RESUME, run)
    for epoch, path in reversed(listed(folder, PARTIAL, run)):
        if found and found[-1][0] > epoch:
            break
        try:
            _resume_partial(epoch, path, model)
            return epoch
        except CheckpointError as error:
            warnings.warn(f"{path} is skipped: {error}", stacklevel=2)
    for epoch, path in reversed(found):
        try:
            with reading(path, WHOLE, CheckpointError):
                header, values = checkpoint_file.read(path)
                info, read = parse_json(header["info"]), {}
                model_class = info["model_class"]
                for letter, checksum in info["networks"].items():
                    file = sibling(path, letter)
                    head, weights = checkpoint_file.read(file)
                    if head["sha256"] != checksum:
                        raise CheckpointError(
                            f"{file} does not belong to {path.name}: its checksum differs"
                        )
                    read[letter] = file, weights
                values, states = callback_state.unpack(values)
        except CheckpointError as error:
            warnings.warn(f"epoch {epoch} is skipped: {error}", stacklevel=2)
            continue
        _restore(path, model_class, values, read, model)
        # `fit` passes the states to the callbacks.
        model.resumed = types.SimpleNamespace(epoch=epoch, states=states, batch=0, metrics=None)
        return epoch
    if found:
        raise CheckpointError(
            f"none of the {len(found)} resume files in {folder} is intact; move them to start "
            "from epoch 0"
        )
    return 0


def save_partial(
    folder: str | os.PathLike,
    model: Any,
    *,
    run: str,
    dataset: str,
    size: int,
    epoch: int,
    batch: int,
    states: Any = None,
    info: dict | None = None,
    keep: int | None = None,
) -> Path:
    """Writes one file from which `resume` continues within an epoch.

    Args:
        folder: Folder of the checkpoints.
        model: Compiled `AdversarialModel`.
        run, dataset, size: Parts of the name, as in `file_name`.
        epoch: Number of finished epochs.
        batch: Number of finished batches of the next epoch.
        states, info: As in `save`.
        keep: Ignored.

    Returns:
        The path of the file.
    """
    path = user_path(folder) / file_name(run, dataset, size, PARTIAL, epoch)
    info = {"run": run, "dataset": dataset, "size": size, **(info or {})} | {
        "batch": int(batch),
        "model_class": type(model).__name__,
        "versions": checkpoint_file.versions(),
    }
    header = dict(
        letter=PARTIAL, epoch=int(epoch), network="", model="", info=json.dumps(info, default=float)
    )
    values = stored_values([*_remaining(model, {}), *model.metrics_variables])
    checkpoint_file.write(path, header, values + callback_state.pack(states or []))
    return path


def remove_partial(folder: str | os.PathLike, *, run: str, dataset: str, size: int) -> None:
    """Deletes the files of `save_partial`, which a finished epoch replaces."""
    for path in user_path(folder).glob(f"{run}_{dataset}_{size}_{PARTIAL}_epoch_*.h5"):
        path.unlink(missing_ok=True)


def _resume_partial(epoch, path, model):
    with reading(path, WHOLE, CheckpointError):
        header, values = checkpoint_file.read(path)
        told = parse_json(header["info"])
        values, states = callback_state.unpack(values)
        variables, metrics = _remaining(model, {}), model.metrics_variables
        if told["model_class"] != type(model).__name__:
            raise CheckpointError(
                f"{path} must be of a {type(model).__name__}; it is of a {told['model_class']}"
            )
    check_values(
        path, values, [*variables, *metrics], f"this {type(model).__name__} with its optimizers"
    )
    assign_values(values[: len(variables)], variables)
    model.not_loaded = ()
    model.resumed = types.SimpleNamespace(
        epoch=epoch,
        states=states,
        batch=int(told["batch"]),
        metrics=[value for _, value in values[len(variables) :]],
    )


def prune(
    folder: str | os.PathLike, *, run: str, dataset: str, size: int, keep: Callable[[int], bool]
) -> None:
    """Deletes the files of a run, except for epochs where `keep(epoch)` is true."""
    for path in user_path(folder).glob(f"{run}_{dataset}_{size}_*.h5"):
        match = NAME.fullmatch(path.name)
        if match and match["prefix"] == f"{run}_{dataset}_{size}" and not keep(int(match["epoch"])):
            path.unlink(missing_ok=True)


def _remaining(model, networks):
    """Returns the variables of model and optimizers that are not in network files."""
    if model.optimizer is None:
        raise CheckpointError(
            "a model must be compiled before it is saved or resumed; this one is not compiled"
        )
    held = {id(v) for network in networks.values() for v in network.variables}
    unique = {id(v): v for v in [*model.variables, *model.optimizer.variables]}
    return [v for key, v in unique.items() if key not in held]


def _restore(path, model_class, values, files, model):
    networks = networks_by_letter(model)
    absent = set(networks) - set(files) - set(getattr(model, "networks_of_later_versions", ()))
    if type(model).__name__ != model_class or absent or not set(files) <= set(networks):
        raise CheckpointError(
            f"{path} must belong to a {type(model).__name__} with the networks "
            f"{', '.join(networks)}; it belongs to a {model_class} with {', '.join(files)}"
        )
    rest = _remaining(model, networks)
    for letter, (file, weights) in files.items():
        check_values(file, weights, networks[letter].variables, networks[letter].name)
    check_values(path, values, rest, f"this {type(model).__name__} with its optimizers")
    for letter, (_, weights) in files.items():
        assign_values(weights, networks[letter].variables)
    assign_values(values, rest)
    model.not_loaded = ()

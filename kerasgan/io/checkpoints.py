"""Checkpoints: one HDF5 file per network, and one resume file with all other state.

Each network has a file `<run>_<dataset>_<size>_G_epoch_<n>.h5`, see `checkpoint_names` and, for its
content, `checkpoint_file`. The weights are in the order of `network.variables`.

The resume file `..._resume_epoch_<n>.h5` has the same format. It contains every variable of the
model and its optimizers that the network files of that epoch do not contain. Its `info` includes
the checksums of those files.

Files are written atomically and the resume file last, so its presence means that the epoch is
complete. Everything is read and verified before the first variable is assigned.
"""

import importlib
import importlib.metadata
import json
import os
import pkgutil
import types
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kerasgan import losses, ops as operations
from kerasgan.io import callback_state, checkpoint_file
from kerasgan.io.checkpoint_file import (
    WHOLE,
    CheckpointError as CheckpointError,
    in_one_line,
)
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
from kerasgan.io.configs import check_config, limit_weights
from kerasgan.io.network_names import file_letter, networks_by_letter
from kerasgan.io.paths import user_path
from kerasgan.io.reading import parse_json, reading, reason
from kerasgan.io.stored_weights import check_storage, stored

# === One network ===


def save_network(
    path: str | os.PathLike,
    network: keras.Model,
    *,
    epoch: int,
    model: keras.Model | None = None,
    letter: str = "G",
    info: dict[str, Any] | None = None,
    dtype: str = "float32",
    mantissa_bits: int | None = None,
) -> str:
    """Writes one network to a file: its configuration, its weights and their origin.

    Args:
        path: Path of the file. Its folder must exist.
        network: Built `keras.Model`.
        epoch: Number of finished epochs.
        model: `AdversarialModel` of the network. With its configuration, the file alone suffices to
            sample.
        letter: Letters of the network in file names, see `network_names.file_letter`.
        info: Dict of JSON values: run, data set, size, seed and so on.
        dtype: Data type of the stored weights, `"float32"`, or `"float16"` for less than half the
            size (half precision, compressed). Integers keep their type.
        mantissa_bits: Number of mantissa bits of a float16 to keep, see `stored_weights.stored`.
            `None` keeps all 10.

    Returns:
        The checksum of the file.

    Raises:
        CheckpointError: A weight is not finite, or the file cannot be written.
    """
    check_storage(dtype, mantissa_bits)
    if not network.built or not network.variables:
        raise CheckpointError(
            f"a network must be built before it is saved; {network.name} is not built"
        )
    header = dict(
        letter=letter,
        epoch=int(epoch),
        network=_serialized(network),
        model=_serialized(model),
        info=json.dumps(
            {**(info or {}), **_rounding(mantissa_bits), "versions": checkpoint_file.versions()},
            default=float,
        ),
    )
    values = _values(network.variables, dtype, mantissa_bits)
    return checkpoint_file.write(path, header, values, compress=dtype == "float16")


def _rounding(mantissa_bits):
    return {} if mantissa_bits is None else {"mantissa_bits": mantissa_bits}


@in_one_line
def repack(path: str | os.PathLike, mantissa_bits: int | None = None) -> str:
    """Stores the weights of a network file in half precision, compressed. Replaces the file.

    Weights that are in half precision keep their values, and the file keeps its checksum, unless
    `mantissa_bits` rounds them.

    Args:
        path: File of one network.
        mantissa_bits: Number of mantissa bits to keep, see `stored_weights.stored`.

    Returns:
        The checksum of the file.
    """
    check_storage("float16", mantissa_bits)
    header, values = checkpoint_file.read(path)
    if header["letter"] in (RESUME, PARTIAL):
        raise CheckpointError(f"{path} must contain one network; it contains a whole training")
    del header["sha256"], header["format"], header["version"]
    if mantissa_bits is not None:
        header["info"] = json.dumps(parse_json(header["info"]) | _rounding(mantissa_bits))
    values = [(name, stored(value, "float16", mantissa_bits)) for name, value in values]
    return checkpoint_file.write(path, header, values, compress=True)


@in_one_line
def load_network(path: str | os.PathLike) -> tuple[keras.Model, dict[str, Any]]:
    """Loads the network of a file. Returns `(network, info)`, see `read_info`."""
    header, values = checkpoint_file.read(path)
    network = _rebuilt(path, header, "network", values)
    _check(path, values, network.variables, network.name)
    _assign(values, network.variables)
    return network, checkpoint_file.info_of(header)


@in_one_line
def load_weights(
    path: str | os.PathLike, network: keras.Model, letter: str | None = None
) -> dict[str, Any]:
    """Loads the weights of a file into a built network, and returns the info.

    Args:
        path: Path of the file.
        network: Network with the variables of the file.
        letter: Required letters of the network in the file. `None` accepts any.
    """
    header, values = checkpoint_file.read(path)
    if letter is not None and header["letter"] != letter:
        raise CheckpointError(
            f"{path} must contain the network {letter}; it contains {header['letter']}"
        )
    _check(path, values, network.variables, network.name)
    _assign(values, network.variables)
    return checkpoint_file.info_of(header)


@in_one_line
def load_model(*paths: str | os.PathLike) -> tuple[keras.Model, dict[str, Any]]:
    """Loads a whole model from network files of one epoch. The first file suffices to sample.

    Every copy of a network (see `AdversarialModel.copies_of`) gets the weights of its file.
    Networks without a file keep their initial weights. Their keys are in `model.not_loaded`, and
    `fit` warns about them. The model is not compiled.

    Returns:
        `(model, info)`, see `read_info`.
    """
    read = [(path, *checkpoint_file.read(path)) for path in map(user_path, paths)]
    first = read[0][0]
    model = _rebuilt(first, read[0][1], "model", read[0][2])
    networks, pairs = networks_by_letter(model), []
    for path, header, values in read:
        network = networks.get(header["letter"])
        if network is None or header["model"] != read[0][1]["model"]:
            raise CheckpointError(
                f"{path} must contain a network of the same {type(model).__name__} as {first}; "
                "it contains another one"
            )
        _check(path, values, network.variables, network.name)
        copies = model.copies_of(network) if hasattr(model, "copies_of") else [network]
        pairs += [(values, copy.variables) for copy in copies]
    for pair in pairs:
        _assign(*pair)
    letters = {header["letter"] for _, header, _ in read}
    names = model.checkpoint_networks()
    model.not_loaded = tuple(sorted(name for name in names if file_letter(name) not in letters))
    info = checkpoint_file.info_of(read[0][1])
    if hasattr(model, "use_file_info"):
        model.use_file_info(info)
    return model, info


def load_sampling_model(
    path: str | os.PathLike, networks: Iterable[str] | None = None
) -> tuple[keras.Model, dict[str, Any]]:
    """Loads a model from the file of one network and the other files that sampling needs.

    Args:
        path: Path of the file of one network.
        networks: Names of the networks to load. `None` loads those that `sample` needs.

    Returns:
        `(model, info)`, see `load_model`.

    Raises:
        CheckpointError: A file is missing or damaged.
    """
    path = user_path(path)
    model, info = load_model(path)
    if networks is None:
        networks = getattr(model, "sampling_networks", ())
    letters = [file_letter(name) for name in networks]
    others = [sibling(path, letter) for letter in letters if letter != info["letter"]]
    missing = [other.name for other in others if not other.is_file()]
    if missing:
        raise CheckpointError(
            f"a {type(model).__name__} also needs the file {missing[0]}, which is missing in the "
            f"folder of {path}"
        )
    return load_model(path, *others) if others else (model, info)


@in_one_line
def read_info(path: str | os.PathLike) -> dict[str, Any]:
    """Reads the information stored in a file, without its weights.

    Returns:
        The `info` dictionary passed to `save_network`, with `letter`, `epoch`, `network` and
        `model` (class names or `None`) and `sha256` added.
    """
    return checkpoint_file.info_of(checkpoint_file.read(path, weights=False)[0])


@in_one_line
def verify(path: str | os.PathLike) -> dict[str, Any]:
    """Reads a file completely and verifies its checksum. Returns the info."""
    return checkpoint_file.info_of(checkpoint_file.read(path)[0])


# === A whole run ===


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
    rest = _values(_remaining(model, networks))
    for letter, network in networks.items():
        checkpoint_file.check_finite(
            folder / file_name(run, dataset, size, letter, epoch), _values(network.variables)
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
    values = _values([*_remaining(model, {}), *model.metrics_variables])
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
    _check(path, values, [*variables, *metrics], f"this {type(model).__name__} with its optimizers")
    _assign(values[: len(variables)], variables)
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


# === Implementation ===


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
        _check(file, weights, networks[letter].variables, networks[letter].name)
    _check(path, values, rest, f"this {type(model).__name__} with its optimizers")
    for letter, (_, weights) in files.items():
        _assign(weights, networks[letter].variables)
    _assign(values, rest)
    model.not_loaded = ()


def _values(variables, dtype="float32", mantissa_bits=None):
    """Returns `(path, array)` of each variable, see `stored`."""
    named = []
    for variable in variables:
        value = np.asarray(keras.ops.convert_to_numpy(keras.ops.copy(variable)))
        named.append((variable.path, stored(value, dtype, mantissa_bits)))
    return named


def _check(path, values, variables, owner):
    """Raises if values and variables differ in number, shape or kind."""
    if len(values) != len(variables):
        raise CheckpointError(
            f"{path} does not fit: it contains {len(values)} variables and {owner} has "
            f"{len(variables)}"
        )
    for (name, value), variable in zip(values, variables, strict=True):
        if value.shape != tuple(variable.shape):
            raise CheckpointError(
                f"{path} does not fit: it contains {name} of shape {value.shape} where {owner} "
                f"has {tuple(variable.shape)}"
            )
        if (value.dtype.kind == "f") != ("float" in str(variable.dtype)):
            raise CheckpointError(
                f"{path} does not fit: it contains {name} of {value.dtype} where {owner} has "
                f"{variable.dtype}"
            )


def _assign(values, variables):
    for (_, value), variable in zip(values, variables, strict=True):
        # The width of integers, such as an optimizer's count, differs between backends.
        variable.assign(value if value.dtype.kind == "f" else value.astype(variable.dtype))


def _serialized(model):
    """Returns the configuration of a model as JSON, or "" if its class has none or it is `None`."""
    if model is None:
        return ""
    try:
        config = keras.saving.serialize_keras_object(model)
        config.pop("compile_config", None)  # Losses and optimizers are not part of a checkpoint.
        return json.dumps(config)
    except (NotImplementedError, TypeError):
        return ""


def _rebuilt(path, header, which, values):
    """Builds the network or model of a file's configuration. The file's `values` limit its size."""
    if not header[which]:
        raise CheckpointError(
            f"{path} contains no configuration of a {which}, because its class has no get_config: "
            "in Python, build it and use load_weights or resume"
        )
    config = parse_json(header[which], "its configuration")
    name = config["class_name"]
    _import_modules(config)
    try:
        check_config(config)
        with limit_weights(sum(value.size for _, value in values), len(values)):
            rebuilt = keras.saving.deserialize_keras_object(config)
            if not isinstance(rebuilt, keras.Model):
                raise TypeError(f"it is a {type(rebuilt).__name__}")
            return rebuilt
    except Exception as error:  # Constructors raise many types of exceptions.
        if str(config.get("module")).partition(".")[0] not in ("kerasgan", "keras"):
            raise CheckpointError(
                f"{path} contains a {name}, a class of your own, which the command line cannot "
                "load: in Python, import its module and use checkpoints.load_model, or build it "
                "and use checkpoints.load_weights"
            ) from error
        raise CheckpointError(
            f"{path} contains a {name} that cannot be rebuilt: {reason(error)}"
        ) from error


def _import_modules(config):
    """Imports the modules of this package that a configuration needs, to register their objects."""
    if isinstance(config, dict):
        module = config.get("module")
        if config.get("class_name") == "function" and str(config.get("config")).startswith(
            "kerasgan>"
        ):
            # The configuration of a function does not name its module.
            for package in (losses, operations):
                for found in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
                    importlib.import_module(found.name)
        if isinstance(module, str) and module.split(".")[0] == "kerasgan":
            try:
                importlib.import_module(module)
            except ImportError:
                pass  # Deserialization reports the missing class.
        config = list(config.values())
    if isinstance(config, list):
        for part in config:
            _import_modules(part)

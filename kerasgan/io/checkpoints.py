"""Checkpoints: one HDF5 file per network, and one resume file with all other state.

A network file `<run>_<dataset>_<size>_G_epoch_<n>.h5` has these root attributes:

- `format`, `version`, `letter` (the network's key), `epoch`.
- `network` and `model`: serialized Keras configurations, JSON.
- `info`: run, data set, size, versions and so on, JSON.
- `sha256`: checksum of all other attributes and the weights.

The weights are the datasets `weights/00000`, `weights/00001` and so on, in the order of
`network.variables`. Each has the variable's path as an attribute, for people only: Keras numbers
names within a process, so order and shape identify a variable.

The resume file `..._resume_epoch_<n>.h5` has the same format. It contains every variable of the
model and its optimizers that the network files of that epoch do not contain. Its `info` includes
the checksums of those files.

Files are written atomically and the resume file last, so its presence means that the epoch is
complete. Everything is read and verified before the first variable is assigned.
"""

import functools
import hashlib
import importlib
import importlib.metadata
import json
import math
import os
import pkgutil
import re
import types
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kerasgan import losses, ops as operations
from kerasgan.io import callback_state, files, side_files
from kerasgan.io.configs import check_config, limit_weights
from kerasgan.io.dataset_names import with_current_names
from kerasgan.io.hdf5 import is_hdf5, open_hdf5
from kerasgan.io.network_names import file_letter, networks_by_letter
from kerasgan.io.paths import user_path
from kerasgan.io.reading import parse_json, reading, reason
from kerasgan.io.stored_weights import check_storage, stored, write_weights

WHOLE = "a checkpoint must be a complete file of this package"
FORMAT, VERSION = "kerasgan", 1
RESUME = "resume"  # The "letter" of the resume file.
PARTIAL = "partial"  # The "letter" of a file within an epoch.
_NAME = re.compile(r"(?P<prefix>.+)_(?P<letter>[A-Za-z0-9]+)_epoch_(?P<epoch>\d+)\.h5")


class CheckpointError(ValueError):
    """A checkpoint is missing, damaged, of another format or of another model."""


def _in_one_line(function):
    """Decorator of functions that read a file. Turns errors into `CheckpointError`s of one line."""

    @functools.wraps(function)
    def read(path, *arguments, **options):
        path = user_path(path)
        with reading(path, WHOLE, CheckpointError):
            return function(path, *arguments, **options)

    return read


# === Names ===


def file_name(run: str, dataset: str, size: int, letter: str, epoch: int) -> str:
    """Returns the name of a file, `<run>_<dataset>_<size>_<letter>_epoch_<epoch>.h5`.

    Args:
        run: Name of the run: letters, digits, `_`, `.` and `-`.
        dataset: Name of the data set, of the same characters.
        size: Height and width of the images in pixels.
        letter: Letters of the network, such as `"G"` or `"D64"`, or `"resume"`.
        epoch: Number of finished epochs.
    """
    for part in (run, dataset):
        if not re.fullmatch(r"[\w.-]+", str(part)) or str(part).startswith("."):
            raise ValueError(
                "run and dataset may consist of letters, digits, '_', '.' and '-'; "
                f"received {part!r}"
            )
    return f"{run}_{dataset}_{int(size)}_{letter}_epoch_{int(epoch)}.h5"


def latest(folder: str | os.PathLike, letter: str = "G", run: str | None = None) -> Path | None:
    """Returns the newest file of one network in a folder, or `None`."""
    found = _listed(folder, letter, run)
    return found[-1][1] if found else None


def epochs(
    folder: str | os.PathLike, letter: str, *, run: str, dataset: str, size: int
) -> set[int]:
    """Returns the epochs of all checkpoints of one network of a run in a folder.

    Args:
        folder: Folder of the checkpoints.
        letter, run, dataset, size: Arguments of `file_name`.
    """
    prefix = f"{run}_{dataset}_{size}"
    found = (
        _NAME.fullmatch(path.name) for path in user_path(folder).glob(f"{prefix}_{letter}_*.h5")
    )
    return {int(match["epoch"]) for match in found if match and match["prefix"] == prefix}


def _listed(folder, letter, run=None):
    """Returns sorted `(epoch, path)` of one letter. Raises if the folder holds several runs."""
    found = [(_NAME.fullmatch(path.name), path) for path in user_path(folder).glob("*.h5")]
    found = [(match, path) for match, path in found if match and match["letter"] == letter]
    if run is not None:
        found = [(match, path) for match, path in found if match["prefix"].startswith(f"{run}_")]
    prefixes = sorted({match["prefix"] for match, _ in found})
    if len(prefixes) > 1:
        raise CheckpointError(
            f"the run must be named because {folder} contains several: {', '.join(prefixes)}"
        )
    return sorted((int(match["epoch"]), path) for match, path in found)


def sibling(path: Path, letter: str) -> Path:
    """Returns the path of another network of the same epoch or preset."""
    match = _NAME.fullmatch(path.name)
    return path.with_name(
        f"{match['prefix']}_{letter}_epoch_{match['epoch']}.h5" if match else f"{letter}.h5"
    )


def check_folder(folder: str | os.PathLike) -> None:
    """Creates a folder if needed. Raises `CheckpointError` if it is not writable."""
    folder = user_path(folder)
    try:
        files.make_folder(folder)
        probe = folder / f".write-{os.getpid()}"
        files.write_atomically(probe, b"")
        probe.unlink()
    except OSError as error:
        reason = str(error).rpartition(": ")[2]
        raise CheckpointError(
            f"the output folder must be writable; received {folder} ({reason})"
        ) from None


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
            {**(info or {}), **_rounding(mantissa_bits), "versions": _versions()}, default=float
        ),
    )
    values = _values(network.variables, dtype, mantissa_bits)
    return _write(path, header, values, compress=dtype == "float16")


def _rounding(mantissa_bits):
    return {} if mantissa_bits is None else {"mantissa_bits": mantissa_bits}


@_in_one_line
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
    header, values = _read(path)
    if header["letter"] in (RESUME, PARTIAL):
        raise CheckpointError(f"{path} must contain one network; it contains a whole training")
    del header["sha256"], header["format"], header["version"]
    if mantissa_bits is not None:
        header["info"] = json.dumps(parse_json(header["info"]) | _rounding(mantissa_bits))
    values = [(name, stored(value, "float16", mantissa_bits)) for name, value in values]
    return _write(path, header, values, compress=True)


@_in_one_line
def load_network(path: str | os.PathLike) -> tuple[keras.Model, dict[str, Any]]:
    """Loads the network of a file. Returns `(network, info)`, see `read_info`."""
    header, values = _read(path)
    network = _rebuilt(path, header, "network", values)
    _check(path, values, network.variables, network.name)
    _assign(values, network.variables)
    return network, _info(header)


@_in_one_line
def load_weights(
    path: str | os.PathLike, network: keras.Model, letter: str | None = None
) -> dict[str, Any]:
    """Loads the weights of a file into a built network, and returns the info.

    Args:
        path: Path of the file.
        network: Network with the variables of the file.
        letter: Required letters of the network in the file. `None` accepts any.
    """
    header, values = _read(path)
    if letter is not None and header["letter"] != letter:
        raise CheckpointError(
            f"{path} must contain the network {letter}; it contains {header['letter']}"
        )
    _check(path, values, network.variables, network.name)
    _assign(values, network.variables)
    return _info(header)


@_in_one_line
def load_model(*paths: str | os.PathLike) -> tuple[keras.Model, dict[str, Any]]:
    """Loads a whole model from network files of one epoch. The first file suffices to sample.

    Every copy of a network (see `AdversarialModel.copies_of`) gets the weights of its file.
    Networks without a file keep their initial weights. Their keys are in `model.not_loaded`, and
    `fit` warns about them. The model is not compiled.

    Returns:
        `(model, info)`, see `read_info`.
    """
    read = [(path, *_read(path)) for path in map(user_path, paths)]
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
    info = _info(read[0][1])
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


@_in_one_line
def read_info(path: str | os.PathLike) -> dict[str, Any]:
    """Reads the information stored in a file, without its weights.

    Returns:
        The `info` dictionary passed to `save_network`, with `letter`, `epoch`, `network` and
        `model` (class names or `None`) and `sha256` added.
    """
    return _info(_read(path, weights=False)[0])


@_in_one_line
def verify(path: str | os.PathLike) -> dict[str, Any]:
    """Reads a file completely and verifies its checksum. Returns the info."""
    return _info(_read(path)[0])


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
        _check_finite(
            folder / file_name(run, dataset, size, letter, epoch), _values(network.variables)
        )
    _check_finite(path, rest)
    sums = {}
    for letter, network in networks.items():
        file = folder / file_name(run, dataset, size, letter, epoch)
        sums[letter] = save_network(
            file, network, epoch=epoch, model=model, letter=letter, info=info
        )
    info.update(
        networks=sums, model_class=type(model).__name__, history=history, versions=_versions()
    )
    header = dict(
        letter=RESUME, epoch=int(epoch), network="", model="", info=json.dumps(info, default=float)
    )
    _write(path, header, rest + callback_state.pack(states or []))
    if keep is not None:
        older = [
            file for number, file in _listed(folder, RESUME, f"{run}_{dataset}") if number < epoch
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
    return [epoch for epoch, _ in _listed(folder, RESUME, run)]


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
    found = _listed(folder, RESUME, run)
    for epoch, path in reversed(_listed(folder, PARTIAL, run)):
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
                header, values = _read(path)
                info, read = parse_json(header["info"]), {}
                model_class = info["model_class"]
                for letter, checksum in info["networks"].items():
                    file = sibling(path, letter)
                    head, weights = _read(file)
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
        "versions": _versions(),
    }
    header = dict(
        letter=PARTIAL, epoch=int(epoch), network="", model="", info=json.dumps(info, default=float)
    )
    values = _values([*_remaining(model, {}), *model.metrics_variables])
    _write(path, header, values + callback_state.pack(states or []))
    return path


def remove_partial(folder: str | os.PathLike, *, run: str, dataset: str, size: int) -> None:
    """Deletes the files of `save_partial`, which a finished epoch replaces."""
    for path in user_path(folder).glob(f"{run}_{dataset}_{size}_{PARTIAL}_epoch_*.h5"):
        path.unlink(missing_ok=True)


def _resume_partial(epoch, path, model):
    with reading(path, WHOLE, CheckpointError):
        header, values = _read(path)
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
        match = _NAME.fullmatch(path.name)
        if match and match["prefix"] == f"{run}_{dataset}_{size}" and not keep(int(match["epoch"])):
            path.unlink(missing_ok=True)


def mark_best(
    folder: str | os.PathLike, path: str | os.PathLike, metric: str, value: float
) -> None:
    """Records the best network file so far, with its metric and value, in `best.json`."""
    path = user_path(path)
    match = _NAME.fullmatch(path.name)
    if match is None:
        raise ValueError(f"path must be a network file of an epoch; received {path}")
    note = dict(file=path.name, epoch=int(match["epoch"]), metric=metric, value=float(value))
    side_files.write_json(user_path(folder) / "best.json", note)


def best(folder: str | os.PathLike) -> dict[str, Any] | None:
    """Returns the content of `best.json` (file, epoch, metric, value), or `None`."""
    return side_files.read_or_default(user_path(folder) / "best.json", _best)


def _best(path):
    note = side_files.json_object(path)
    match = _NAME.fullmatch(str(note.get("file")))
    if (
        not match
        or not isinstance(note.get("metric"), str)
        or int(match["epoch"]) != note.get("epoch")
    ):
        raise ValueError("it must contain file, epoch, metric and value")
    if isinstance(note.get("value"), bool) or not math.isfinite(note["value"]):
        raise ValueError(f"value must be a finite number; it is {note['value']!r}")
    return note


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


def _check_finite(path, values):
    for name, value in values:
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            raise CheckpointError(f"{path} is not saved: {name} has values that are not finite")


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


def _versions():
    versions = {"keras": keras.version(), "backend": keras.backend.backend()}
    for package in ("kerasgan", keras.backend.backend()):
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            pass
    return versions


def _info(header):
    def class_name(text):
        return parse_json(text, "its configuration")["class_name"] if text else None

    return {
        **with_current_names(parse_json(header["info"])),
        "letter": header["letter"],
        "epoch": int(header["epoch"]),
        "network": class_name(header["network"]),
        "model": class_name(header["model"]),
        "sha256": header["sha256"],
    }


def _checksum(header, values):
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for name, value in values:
        digest.update(f"{name} {value.dtype.str} {value.shape}".encode())
        digest.update(np.ascontiguousarray(value))
    return digest.hexdigest()


def _write(path, header, values, compress=False):
    _check_finite(
        path, [(name, value) for name, value in values if not callback_state.is_state(name)]
    )
    path = user_path(path)
    header = dict(format=FORMAT, version=VERSION, **header)
    checksum = _checksum(header, values)

    def fill(file):
        file.attrs.update(header, sha256=checksum)
        write_weights(file.create_group("weights"), values, compress)

    try:
        files.write_hdf5(path, fill)
    except files.WriteError as error:
        raise CheckpointError(str(error)) from None
    return checksum


def _read(path, weights=True):
    """Reads a file. Returns `(header, [(path, array)])` after verifying version and checksum."""
    path = user_path(path)
    if not path.is_file():
        raise CheckpointError(f"a checkpoint must be an existing file; received {path}")
    if not is_hdf5(path):
        raise CheckpointError(f"a checkpoint must be an HDF5 file; received {path}")
    with reading(path, WHOLE, CheckpointError):
        with open_hdf5(path) as file:
            if not isinstance(file.attrs.get("format"), str) or file.attrs["format"] != FORMAT:
                raise CheckpointError(
                    f"a checkpoint must be a file of kerasgan; received another HDF5 file, {path}"
                )
            header = {key: file.attrs[key] for key in sorted(file.attrs)}
            header.update(version=int(header["version"]), epoch=int(header["epoch"]))
            if header["version"] > VERSION:
                raise CheckpointError(
                    f"{path} has version {header['version']} of the format; this kerasgan reads "
                    f"versions up to {VERSION}"
                )
            if not all(
                isinstance(header[key], str)
                for key in ("letter", "network", "model", "info", "sha256")
            ):
                raise TypeError("its header must be text")
            values, group = None, file["weights"]
            if weights:
                values = [
                    (group[key].attrs["path"], np.asarray(group[key].read())) for key in group
                ]
        return _verified(path, header, values)


def _verified(path, header, values):
    checksum = header.pop("sha256", None)
    if values is not None and checksum != _checksum(header, values):
        raise CheckpointError(f"{path} is damaged: its content does not match its checksum")
    return {**header, "sha256": checksum}, values

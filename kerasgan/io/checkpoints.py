"""Checkpoints: one HDF5 file a network, and beside them one file with the rest of what a resume
needs.

A network file `<run>_<dataset>_<size>_G_epoch_<n>.h5` has root attributes `format`, `version`,
`letter`, `epoch`, `network` and `model` (serialized Keras configurations, JSON), `info` (run,
dataset, size, versions ..., JSON) and `sha256`, over all of the former and the weights. The weights
are `weights/00000`, `weights/00001` ... in the order of `network.variables`, each with the
variable's path as an attribute. Keras numbers names as it goes, so order and shape say which is
which; the path is for people. The sibling `..._resume_epoch_<n>.h5` is such a file too: every
variable of the model and its optimizers that no network file of that epoch holds, and in `info` the
checksums of those files.

Every file is written under a temporary name, flushed to the disk and renamed; the resume file comes
last, so where it is, its epoch is whole. Everything read is verified before the first variable is
assigned.
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

import keras
import numpy as np

from kerasgan import losses, ops as operations
from kerasgan.io import callback_state, files, side_files
from kerasgan.io.configs import check_config, limit_weights
from kerasgan.io.dataset_names import with_current_names
from kerasgan.io.hdf5 import is_hdf5, open_hdf5
from kerasgan.io.paths import user_path
from kerasgan.io.reading import parse_json, reading, reason

WHOLE = "a checkpoint must be whole and of this package"
FORMAT, VERSION = "kerasgan", 1
RESUME = "resume"  # the "letter" of the sibling file
PARTIAL = "partial"  # the "letter" of a file within an epoch
_NAME = re.compile(r"(?P<prefix>.+)_(?P<letter>[A-Za-z0-9]+)_epoch_(?P<epoch>\d+)\.h5")


class CheckpointError(ValueError):
    """A checkpoint is missing, damaged, of another format or of another model."""


def _in_one_line(function):
    """Decorator for functions that read a file: errors become `CheckpointError`s of one line."""

    @functools.wraps(function)
    def read(path, *arguments, **options):
        path = user_path(path)
        with reading(path, WHOLE, CheckpointError):
            return function(path, *arguments, **options)

    return read


# === Names ===


def file_name(run, dataset, size, letter, epoch):
    """Returns the name of a file, `<run>_<dataset>_<size>_<letter>_epoch_<epoch>.h5`.

    Args:
        run, dataset: names of letters, digits, `_`, `.` and `-`.
        size: side of the images in pixels.
        letter: the network, such as `"G"` or `"D"`, or `"resume"`.
        epoch: number of finished epochs.
    """
    for part in (run, dataset):
        if not re.fullmatch(r"[\w.-]+", str(part)) or str(part).startswith("."):
            raise ValueError(
                f"run and dataset must be of letters, digits, '_', '.' and '-'; received {part!r}"
            )
    return f"{run}_{dataset}_{int(size)}_{letter}_epoch_{int(epoch)}.h5"


def latest(folder, letter="G", run=None):
    """Returns the file of one network's newest epoch in a folder, or `None`."""
    found = _listed(folder, letter, run)
    return found[-1][1] if found else None


def epochs(folder, letter, *, run, dataset, size):
    """Returns the set of epochs for which a folder holds a network's file of a run."""
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
            f"name the run, since {folder} holds more than one: {', '.join(prefixes)}"
        )
    return sorted((int(match["epoch"]), path) for match, path in found)


def sibling(path, letter):
    """Returns the file of another network of the same epoch or preset."""
    match = _NAME.fullmatch(path.name)
    return path.with_name(
        f"{match['prefix']}_{letter}_epoch_{match['epoch']}.h5" if match else f"{letter}.h5"
    )


def check_folder(folder):
    """Creates the folder. Raises `CheckpointError` if it is not writable."""
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


def save_network(path, network, *, epoch, model=None, letter="G", info=None, dtype="float32"):
    """Writes one network to one file: its configuration, its weights and where they come from.

    Args:
        path: the file; its folder must exist.
        network: a built `keras.Model`.
        epoch: number of finished epochs.
        model: the `AdversarialModel` it belongs to; with its configuration the file alone is enough
            to sample.
        letter: the network's key in `model.checkpoint_networks()`.
        info: a dictionary that JSON can hold: run, dataset, size, seed ...
        dtype: `"float32"`, or `"float16"` for a file of half the size. Integers stay as they are.

    Returns:
        The file's checksum. Raises `CheckpointError` if a weight is not finite or the file cannot
        be written.
    """
    if dtype not in ("float32", "float16"):
        raise ValueError(f"dtype must be 'float32' or 'float16'; received {dtype!r}")
    if not network.built or not network.variables:
        raise CheckpointError(
            f"a network must be built before it is saved; received {network.name}, which is not"
        )
    header = dict(
        letter=letter,
        epoch=int(epoch),
        network=_serialized(network),
        model=_serialized(model),
        info=json.dumps({**(info or {}), "versions": _versions()}, default=float),
    )
    return _write(path, header, _values(network.variables, dtype))


@_in_one_line
def load_network(path):
    """Loads the network of a file. Returns `(network, info)`; see `read_info`."""
    header, values = _read(path)
    network = _rebuilt(path, header, "network", values)
    _check(path, values, network.variables, network.name)
    _assign(values, network.variables)
    return network, _info(header)


@_in_one_line
def load_weights(path, network, letter=None):
    """Loads the weights of a file into a built network. Checks `letter` if given. Returns the
    info.
    """
    header, values = _read(path)
    if letter is not None and header["letter"] != letter:
        raise CheckpointError(f"{path} must hold the network {letter}; it holds {header['letter']}")
    _check(path, values, network.variables, network.name)
    _assign(values, network.variables)
    return _info(header)


@_in_one_line
def load_model(*paths):
    """Rebuilds the whole model from the network files of one save, the first of which is enough to
    sample.

    Every copy of a network (see `AdversarialModel.averages`) gets the weights of its file. The
    networks whose files are not given have fresh weights, and their letters are the model's
    `not_loaded` until it is trained, which warns of them. The model is not compiled. Returns
    `(model, info)`.
    """
    paths = [user_path(path) for path in paths]
    read = [(path, *_read(path)) for path in paths]
    model = _rebuilt(paths[0], read[0][1], "model", read[0][2])
    networks, pairs = model.checkpoint_networks(), []
    for path, header, values in read:
        network = networks.get(header["letter"])
        if network is None or header["model"] != read[0][1]["model"]:
            raise CheckpointError(
                f"{path} must hold a network of {paths[0]}'s {type(model).__name__}; it does not"
            )
        _check(path, values, network.variables, network.name)
        copies = model.copies_of(network) if hasattr(model, "copies_of") else [network]
        pairs += [(values, copy.variables) for copy in copies]
    for pair in pairs:
        _assign(*pair)
    model.not_loaded = tuple(sorted(set(networks) - {header["letter"] for _, header, _ in read}))
    info = _info(read[0][1])
    if hasattr(model, "use_file_info"):
        model.use_file_info(info)
    return model, info


def load_sampling_model(path, letters=None):
    """Loads a model from one network's file and the other files that sampling needs.

    Args:
        path: a file of one network.
        letters: The other networks to load. `None` loads those that `sample` needs.

    Returns:
        `(model, info)`, as `load_model` does. Raises `CheckpointError` where a file is missing.
    """
    path = user_path(path)
    model, info = load_model(path)
    wanted = letters or getattr(model, "sampling_letters", tuple)()
    others = [sibling(path, letter) for letter in wanted if letter != info["letter"]]
    missing = [other.name for other in others if not other.is_file()]
    if missing:
        raise CheckpointError(
            f"a {type(model).__name__}'s file must have {missing[0]} beside it; {path} has not"
        )
    return load_model(path, *others) if others else (model, info)


@_in_one_line
def read_info(path):
    """Reads the information stored in a file, without its weights.

    Returns:
        The `info` dictionary passed to `save_network`, with `letter`, `epoch`, `network` and
        `model` (class names or `None`) and `sha256` added.
    """
    return _info(_read(path, weights=False)[0])


@_in_one_line
def verify(path):
    """Reads a file completely and verifies its checksum. Returns the info."""
    return _info(_read(path)[0])


# === A whole run ===


def save(
    folder, model, *, run, dataset, size, epoch, history=None, info=None, keep=None, states=None
):
    """Writes all of an epoch: a file for each of `model.checkpoint_networks()`, then the resume
    file.

    Args:
        folder: where the files go.
        model: a compiled `AdversarialModel`, or anything with `checkpoint_networks()`, `variables`
            and `optimizer`.
        run, dataset, size: parts of the names, as in `file_name`.
        epoch: number of finished epochs.
        history, info: dictionaries that JSON can hold; the resume file keeps both, the network
            files only `info`.
        keep: number of resume files of this run to keep, this one included; None keeps all. Network
            files always stay, since an earlier epoch may be the better one (training notes).
        states: pairs of a callback's class name and what its `get_state` returned; the resume file
            keeps them.

    Returns:
        The path of the resume file. Raises `CheckpointError`, before anything is written, if a
        value is not finite.
    """
    if keep is not None and keep < 1:
        raise ValueError(f"keep must be at least 1 (the epoch just saved) or None; received {keep}")
    folder, networks = user_path(folder), model.checkpoint_networks()
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
        prefix = _NAME.fullmatch(path.name)["prefix"]
        older = [
            file
            for number, file in _listed(folder, RESUME, prefix[: -len(f"_{size}")])
            if number < epoch
        ]
        for file in older[: len(older) - (keep - 1)]:
            file.unlink(missing_ok=True)
    return path


def resume(folder, model, run=None):
    """Loads the newest epoch that is whole and intact into a compiled model; a broken one is
    skipped with a warning.

    Args:
        folder: where `save` wrote.
        model: the model as it was built and compiled for the run.
        run: the run's name, needed where the folder holds several.

    Returns:
        The number of finished epochs, `fit`'s `initial_epoch`; 0 where nothing was saved. Raises
        `CheckpointError` if the files are another model's, or if there are some and none is intact:
        a fresh start would replace them.
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
                told, read = parse_json(header["info"]), {}
                model_class = told["model_class"]
                for letter, checksum in told["networks"].items():
                    file = sibling(path, letter)
                    head, weights = _read(file)
                    if head["sha256"] != checksum:
                        raise CheckpointError(
                            f"{file} is not the file that {path.name} was saved with"
                        )
                    read[letter] = file, weights
                values, states = callback_state.unpack(values)
        except CheckpointError as error:
            warnings.warn(f"epoch {epoch} is skipped: {error}", stacklevel=2)
            continue
        _restore(path, model_class, values, read, model)
        model.resumed = types.SimpleNamespace(
            epoch=epoch, states=states, batch=0, metrics=None
        )  # `fit` gives these to the callbacks
        return epoch
    if found:
        raise CheckpointError(
            f"{folder} holds {len(found)} resume files and none is intact; move them to start anew"
        )
    return 0


def save_partial(
    folder, model, *, run, dataset, size, epoch, batch, states=None, info=None, keep=None
):
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


def remove_partial(folder, *, run, dataset, size):
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


def prune(folder, *, run, dataset, size, keep):
    """Deletes the files of a run, except for epochs where `keep(epoch)` is true."""
    for path in user_path(folder).glob(f"{run}_{dataset}_{size}_*.h5"):
        match = _NAME.fullmatch(path.name)
        if match and match["prefix"] == f"{run}_{dataset}_{size}" and not keep(int(match["epoch"])):
            path.unlink(missing_ok=True)


def mark_best(folder, path, metric, value):
    """Records the best network file so far, its metric and value in `best.json`."""
    path = user_path(path)
    note = dict(
        file=path.name,
        epoch=int(_NAME.fullmatch(path.name)["epoch"]),
        metric=metric,
        value=float(value),
    )
    side_files.write_json(user_path(folder) / "best.json", note)


def best(folder):
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
        raise ValueError("it must hold file, epoch, metric and value")
    if isinstance(note.get("value"), bool) or not math.isfinite(note["value"]):
        raise ValueError(f"value must be a finite number; it is {note['value']!r}")
    return note


# === Behind them ===


def _remaining(model, networks):
    """Returns the variables of model and optimizers that are not in network files."""
    if model.optimizer is None:
        raise CheckpointError(
            "a model must be compiled before it is saved or resumed; received one that is not"
        )
    held = {id(v) for network in networks.values() for v in network.variables}
    unique = {id(v): v for v in [*model.variables, *model.optimizer.variables]}
    return [v for key, v in unique.items() if key not in held]


def _restore(path, model_class, values, files, model):
    networks = model.checkpoint_networks()
    if type(model).__name__ != model_class or set(files) != set(networks):
        raise CheckpointError(
            f"{path} must be of a {type(model).__name__} with the networks {', '.join(networks)}; "
            f"it is of a {model_class} with {', '.join(files)}"
        )
    rest = _remaining(model, networks)
    for letter, (file, weights) in files.items():
        _check(file, weights, networks[letter].variables, networks[letter].name)
    _check(path, values, rest, f"this {type(model).__name__} with its optimizers")
    for letter, (_, weights) in files.items():
        _assign(weights, networks[letter].variables)
    _assign(values, rest)
    model.not_loaded = ()


def _values(variables, dtype="float32"):
    """[(path, array)]: floats of 32 bits or fewer as `dtype` (bfloat16 has no place in HDF5), the
    rest untouched.
    """
    named = []
    for variable in variables:
        value = np.asarray(keras.ops.convert_to_numpy(keras.ops.copy(variable)))
        if "float" in str(value.dtype) and value.dtype != np.float64:
            with np.errstate(
                over="ignore"
            ):  # an infinity is reported with its name by _check_finite
                value = value.astype(dtype)
        named.append((variable.path, value))
    return named


def _check_finite(path, values):
    for name, value in values:
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            raise CheckpointError(
                f"only finite values are saved; {name} has some that are not, so no {path} is made"
            )


def _check(path, values, variables, owner):
    """Raises if values and variables differ in number, shape or kind, that is, if this is another
    network's file.
    """
    if len(values) != len(variables):
        raise CheckpointError(
            f"{path} holds {len(values)} variables and {owner} has {len(variables)}: not its file"
        )
    for (name, value), variable in zip(values, variables, strict=True):
        if value.shape != tuple(variable.shape):
            raise CheckpointError(
                f"{path} holds {name} of shape {value.shape} where {owner} has "
                f"{tuple(variable.shape)}: not its file"
            )
        if (value.dtype.kind == "f") != ("float" in str(variable.dtype)):
            raise CheckpointError(
                f"{path} holds {name} of {value.dtype} where {owner} has {variable.dtype}: not "
                "its file"
            )


def _assign(values, variables):
    for (_, value), variable in zip(values, variables, strict=True):
        # Integers differ in width between backends (an optimizer's count is int64 or int32): cast
        # here, not there.
        variable.assign(value if value.dtype.kind == "f" else value.astype(variable.dtype))


def _serialized(model):
    """The JSON of a model's configuration; empty if there is no model or its class does not tell
    its configuration.
    """
    if model is None:
        return ""
    try:
        config = keras.saving.serialize_keras_object(model)
        config.pop("compile_config", None)  # losses and optimizers are the business of who trains
        return json.dumps(config)
    except (NotImplementedError, TypeError):
        return ""


def _rebuilt(path, header, which, values):
    """The network or the model of a file's configuration, which may be as large as the file's
    `values` allow.
    """
    if not header[which]:
        raise CheckpointError(
            f"{path} carries no configuration of a {which}: build it and use load_weights or resume"
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
        raise CheckpointError(
            f"{path} holds a {name} that cannot be rebuilt: {reason(error)}"
        ) from error


def _import_modules(config):
    """Imports those of our own modules that a configuration needs, so that what it names is
    registered.
    """
    if isinstance(config, dict):
        module = config.get("module")
        if config.get("class_name") == "function" and str(config.get("config")).startswith(
            "kerasgan>"
        ):
            for package in (
                losses,
                operations,
            ):  # a function's configuration does not name its module
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


def _write(path, header, values):
    _check_finite(
        path, [(name, value) for name, value in values if not callback_state.is_state(name)]
    )
    path = user_path(path)
    header = dict(format=FORMAT, version=VERSION, **header)
    checksum = _checksum(header, values)

    def fill(file):
        file.attrs.update(header, sha256=checksum)
        weights = file.create_group("weights")
        for index, (name, value) in enumerate(values):
            weights.create_dataset(f"{index:05d}", data=value).attrs["path"] = name

    try:
        files.write_hdf5(path, fill)
    except files.WriteError as error:
        raise CheckpointError(str(error)) from None
    return checksum


def _read(path, weights=True):
    """`(header, [(path, array)])` of a file whose format, version and checksum are right."""
    path = user_path(path)
    if not path.is_file():
        raise CheckpointError(f"a checkpoint must be an existing file; received {path}")
    if not is_hdf5(path):
        raise CheckpointError(f"a checkpoint must be an HDF5 file; received {path}")
    with reading(path, WHOLE, CheckpointError):
        with open_hdf5(path) as file:
            if not isinstance(file.attrs.get("format"), str) or file.attrs["format"] != FORMAT:
                raise CheckpointError(
                    f"a checkpoint must be a kerasgan file; received another HDF5 file, {path}"
                )
            header = {key: file.attrs[key] for key in sorted(file.attrs)}
            header.update(version=int(header["version"]), epoch=int(header["epoch"]))
            if header["version"] > VERSION:
                raise CheckpointError(
                    f"{path} is of version {header['version']}; this kerasgan reads up to {VERSION}"
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
        raise CheckpointError(f"{path} is damaged: its contents do not match its checksum")
    return {**header, "sha256": checksum}, values


def _line(error):
    return (str(error).strip() or type(error).__name__).split("\n")[0]

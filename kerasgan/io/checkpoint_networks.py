"""Checkpoints of networks: saves them, rebuilds them or a whole model, and assigns their weights.

See `kerasgan.io.checkpoints`, which has the names of this module, too.
"""

import contextlib
import functools
import importlib
import json
import os
import pkgutil
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import keras
import numpy as np

from kerasgan import backend, losses, ops as operations
from kerasgan.dtype_policies import with_dtype_policy
from kerasgan.io import checkpoint_file
from kerasgan.io.checkpoint_file import CheckpointError, in_one_line
from kerasgan.io.checkpoint_names import PARTIAL, RESUME, sibling
from kerasgan.io.configs import check_config, limit_weights
from kerasgan.io.deferred import DeferredNetwork, deferred, when_built
from kerasgan.io.network_names import file_letter, networks_by_letter
from kerasgan.io.paths import user_path
from kerasgan.io.reading import parse_json, reason
from kerasgan.io.stored_weights import check_storage, stored

Values: TypeAlias = list[tuple[str, np.ndarray]]  # Path and value of each variable.


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
    full_precision: bool = False,
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
        full_precision: If `True`, the loaded network computes in float32, although it was trained
            in mixed precision.

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
        network=_serialized(network, full_precision),
        model=_serialized(model, full_precision),
        info=json.dumps(
            {**(info or {}), **_rounding(mantissa_bits), "versions": checkpoint_file.versions()},
            default=float,
        ),
    )
    values = stored_values(network.variables, dtype, mantissa_bits)
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
    check_values(path, values, network.variables, network.name)
    assign_values(values, network.variables)
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
    check_values(path, values, network.variables, network.name)
    assign_values(values, network.variables)
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
        check_values(path, values, network.variables, network.name)
        copies = model.copies_of(network) if hasattr(model, "copies_of") else [network]
        pairs += [(values, copy) for copy in copies]
    for values, copy in pairs:
        when_built(copy, functools.partial(_assign, values))
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


# === Variables ===


def stored_values(
    variables: Iterable[keras.Variable], dtype: str = "float32", mantissa_bits: int | None = None
) -> Values:
    """Returns `(path, array)` of each variable, see `stored_weights.stored`."""
    named = []
    for variable in variables:
        value = np.asarray(keras.ops.convert_to_numpy(keras.ops.copy(variable)))
        named.append((variable.path, stored(value, dtype, mantissa_bits)))
    return named


def check_values(
    path: str | os.PathLike, values: Values, variables: Sequence[keras.Variable], owner: str
) -> None:
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


def assign_values(values: Values, variables: Iterable[keras.Variable]) -> None:
    """Assigns values that fit, see `check_values`, to variables."""
    for (_, value), variable in zip(values, variables, strict=True):
        # The width of integers, such as an optimizer's count, differs between backends.
        variable.assign(value if value.dtype.kind == "f" else value.astype(variable.dtype))


def _assign(values, network):
    assign_values(values, network.variables)


# === Configurations ===


def _serialized(model, full_precision):
    """Returns the configuration of a model as JSON, or "" if its class has none or it is `None`."""
    if model is None:
        return ""
    try:
        config = keras.saving.serialize_keras_object(model)
        config.pop("compile_config", None)  # Losses and optimizers are not part of a checkpoint.
        return json.dumps(with_dtype_policy(config, "float32") if full_precision else config)
    except (NotImplementedError, TypeError):
        return ""


def _rebuilt(path, header, which, values):
    """Builds the network or model of a file's configuration. The file's `values` limit its size.

    The networks of a model are built at their first use.
    """
    if not header[which]:
        raise CheckpointError(
            f"{path} contains no configuration of a {which}, because its class has no get_config: "
            "in Python, build it and use load_weights or resume"
        )
    config = parse_json(header[which], "its configuration")
    _import_modules(config)
    numbers = sum(value.size for _, value in values)

    def build(part):
        with _naming(path, config), backend.building(), limit_weights(numbers, len(values)):
            rebuilt = keras.saving.deserialize_keras_object(part)
            if not isinstance(rebuilt, keras.Model):
                raise TypeError(f"it is a {type(rebuilt).__name__}")
            return rebuilt

    with _naming(path, config):
        check_config(config)
    if which == "network":
        return build(config)
    with keras.saving.custom_object_scope({"DeferredNetwork": DeferredNetwork}):
        return build({**config, "config": deferred(config["config"], build)})


@contextlib.contextmanager
def _naming(path, config):
    """Context manager that turns exceptions into a `CheckpointError` with the name of the class."""
    try:
        yield
    except CheckpointError:
        raise
    except Exception as error:  # Constructors raise many types of exceptions.
        name = config["class_name"]
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

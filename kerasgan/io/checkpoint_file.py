"""The file format of checkpoints: a header of attributes, the weights, and a checksum of both.

- `format`, `version`, `letter` (the network's key), `epoch`.
- `network` and `model`: serialized Keras configurations, JSON.
- `info`: run, data set, size, versions and so on, JSON.
- `sha256`: checksum of all other attributes and the weights.

The weights are the datasets `weights/00000`, `weights/00001` and so on. Each has the variable's
path as an attribute, for people only: Keras numbers names within a process, so order and shape
identify a variable.
"""

import functools
import hashlib
import importlib.metadata
import json
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from kerasgan.io import callback_state, files
from kerasgan.io.dataset_names import with_current_names
from kerasgan.io.hdf5 import is_hdf5, open_hdf5
from kerasgan.io.paths import user_path
from kerasgan.io.reading import parse_json, reading
from kerasgan.io.stored_weights import write_weights

WHOLE = "a checkpoint must be a complete file of this package"
FORMAT, VERSION = "kerasgan", 1
Values = Sequence[tuple[str, np.ndarray]]
"""Path and value of each variable, in order."""


class CheckpointError(ValueError):
    """A checkpoint is missing, damaged, of another format or of another model."""


def in_one_line(function: Callable) -> Callable:
    """Decorator of functions that read a file. Turns errors into `CheckpointError`s of one line."""

    @functools.wraps(function)
    def read(path, *arguments, **options):
        path = user_path(path)
        with reading(path, WHOLE, CheckpointError):
            return function(path, *arguments, **options)

    return read


def versions() -> dict[str, str]:
    """Returns the versions of Keras, its backend and this package."""
    versions = {"keras": keras.version(), "backend": keras.backend.backend()}
    for package in ("kerasgan", keras.backend.backend()):
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            pass
    return versions


def info_of(header: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the information in a header, see `checkpoints.read_info`."""

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


def check_finite(path: str | os.PathLike, values: Values) -> None:
    """Raises a `CheckpointError` if a value is not finite."""
    for name, value in values:
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            raise CheckpointError(f"{path} is not saved: {name} has values that are not finite")


def checksum_of(header: Mapping[str, Any], values: Values) -> str:
    """Returns the checksum of a header and its values."""
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for name, value in values:
        digest.update(f"{name} {value.dtype.str} {value.shape}".encode())
        digest.update(np.ascontiguousarray(value).data)
    return digest.hexdigest()


def write(
    path: str | os.PathLike, header: Mapping[str, Any], values: Values, compress: bool = False
) -> str:
    """Writes a file atomically.

    Args:
        path: Path of the file.
        header: Attributes without `format`, `version` and `sha256`.
        values: Weights, and states of callbacks.
        compress: If `True`, shuffles the bytes of the weights and compresses them.

    Returns:
        The checksum.

    Raises:
        CheckpointError: A weight is not finite, or the file cannot be written.
    """
    check_finite(
        path, [(name, value) for name, value in values if not callback_state.is_state(name)]
    )
    path = user_path(path)
    header = dict(format=FORMAT, version=VERSION, **header)
    checksum = checksum_of(header, values)

    def fill(file):
        file.attrs.update(header, sha256=checksum)
        write_weights(file.create_group("weights"), values, compress)

    try:
        files.write_hdf5(path, fill)
    except files.WriteError as error:
        raise CheckpointError(str(error)) from None
    return checksum


def read(
    path: str | os.PathLike, weights: bool = True
) -> tuple[dict[str, Any], list[tuple[str, np.ndarray]]]:
    """Reads a file, and verifies its version and checksum.

    Args:
        path: Path of the file.
        weights: If `False`, reads the header only, and the values are `None`.

    Returns:
        `(header, [(path, array)])`.

    Raises:
        CheckpointError: The file is missing, damaged or of another format.
    """
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
            group: Any = file["weights"]
            values: Any = None
            if weights:
                values = [
                    (group[key].attrs["path"], np.asarray(group[key].read())) for key in group
                ]
        return _verified(path, header, values)


def _verified(path, header, values):
    checksum = header.pop("sha256", None)
    if values is not None and checksum != checksum_of(header, values):
        raise CheckpointError(f"{path} is damaged: its content does not match its checksum")
    return {**header, "sha256": checksum}, values

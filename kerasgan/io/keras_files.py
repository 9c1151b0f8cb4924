"""Safe loading of Keras' own model files, .keras and .h5, from untrusted sources."""

import os
import tempfile
import zipfile
from pathlib import Path

import keras

from kerasgan.io.configs import check_config, limit_weights
from kerasgan.io.hdf5 import count_values, is_hdf5, open_hdf5, rewrite_hdf5
from kerasgan.io.limits import Budget, check_stored
from kerasgan.io.paths import user_path
from kerasgan.io.reading import parse_json, reading

CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"


def load_keras_file(path: str | os.PathLike) -> keras.Model:
    """Loads the model in a file of `keras.Model.save`, .keras or .h5. The model is not compiled.

    The weights are read by `kerasgan.io.hdf5` and written anew, so that the HDF5 library only reads
    files that this package wrote.

    Raises:
        ValueError: In one line that names the file. It is damaged, contains an object that is
            neither registered nor one of Keras', or needs more memory than its size justifies.
        OSError: The file does not exist.
    """
    path = user_path(path)
    with open(path, "rb"):
        pass
    with (
        reading(path, "a model must be a complete .keras or .h5 file of Keras"),
        tempfile.TemporaryDirectory() as folder,
    ):
        if is_hdf5(path):
            with open_hdf5(path) as root:
                config = root.attrs["model_config"]
            weights, clean = rewrite_hdf5(path), Path(folder) / "model.h5"
            clean.write_bytes(weights)
        else:
            members = _members(path)
            config, weights, clean = (
                members[CONFIG],
                rewrite_hdf5(members[WEIGHTS]),
                Path(folder) / "model.keras",
            )
            with zipfile.ZipFile(clean, "w") as archive:
                for name, content in {**members, WEIGHTS: weights}.items():
                    archive.writestr(name, content)
        config = parse_json(config, "the configuration")
        if not isinstance(config, dict):
            raise ValueError("its configuration must be a JSON object")
        check_config(config)
        with limit_weights(*count_values(weights)):
            return keras.models.load_model(clean, compile=False, safe_mode=True)


def _members(path):
    """Returns the contents of the three files in a .keras archive by name. Others are left out."""
    budget, found = Budget(path.stat().st_size), {}
    with zipfile.ZipFile(path) as archive:
        for name in (CONFIG, METADATA, WEIGHTS):
            found[name] = read_member(archive, name, budget)
    return found


def read_member(archive: zipfile.ZipFile, name: str, budget: Budget) -> bytes:
    """Reads a file of a zip archive, if the rest of the budget allows its unpacked size."""
    member = archive.getinfo(name)
    if member.compress_type == zipfile.ZIP_STORED:
        check_stored(member.file_size, budget.size, name)
    budget.unpack(member.file_size, name)
    with archive.open(member) as file:
        return file.read()

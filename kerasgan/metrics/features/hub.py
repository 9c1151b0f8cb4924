"""Presets of keras-hub's backbones for feature extraction.

A preset is a name of keras-hub such as `"dinov2_large"`, `"kaggle://..."`, `"hf://..."` or a local
folder. Its files are those of keras-hub or of transformers. keras-hub is imported when a preset is
loaded (`pip install kerasgan[hub]`).
"""

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from kerasgan.io.paths import user_path
from kerasgan.io.reading import one_line, read_json, sha256, short_path
from kerasgan.metrics.features.extract import filled

KAGGLE, HF = "kaggle://", "hf://"
# Files of weights in a preset folder, in keras-hub's order.
WEIGHTS = ("model.weights.h5", "model.safetensors", "pytorch_model.bin")
PATTERNS = ("*.json", "*.txt", "*.weights.h5", "model*.safetensors")


def hub_models() -> Any:
    """Returns the module `keras_hub.models`.

    Raises:
        ImportError: If keras-hub is not installed.
    """
    try:
        from keras_hub import models
    except ImportError as error:
        raise ImportError(
            f"DINOv2 and CLIP need the package keras-hub: pip install keras-hub ({error})"
        ) from None
    return models


def preset_folder(preset: str | os.PathLike, presets: dict[str, Any], kind: str) -> Path:
    """Returns the local folder of a preset, after a download if necessary.

    Args:
        preset: See the module.
        presets: keras-hub's own presets of the class, name -> dict with `kaggle_handle`.
        kind: Name of the network in messages, such as `"CLIP"`.

    Raises:
        ValueError: If there is no such preset, or if it cannot be downloaded.
    """
    name = str(preset)
    handle = str(presets.get(name, {}).get("kaggle_handle", name))
    if handle.startswith(KAGGLE):
        import kagglehub

        return _downloaded(name, kind, lambda: kagglehub.model_download(handle[len(KAGGLE) :]))
    if handle.startswith(HF):
        return _downloaded(name, kind, lambda: _snapshot(handle[len(HF) :]))
    folder = user_path(name)
    if not (folder / "config.json").is_file():
        raise ValueError(
            f"{kind} must be a keras-hub preset: a folder with config.json, {KAGGLE}..., {HF}... "
            f"or one of {', '.join(list(presets)[:4])}, ...; received {name}"
        )
    return folder


def _downloaded(name, kind, download: Callable) -> Path:
    try:
        return Path(download())
    except Exception as error:  # Each hub raises its own types.
        raise ValueError(
            f"{kind} must be a keras-hub preset: a local folder or one that can be downloaded; "
            f"received {name} ({one_line(error, 150)})"
        ) from None


def _snapshot(repository):
    import huggingface_hub

    folder = Path(huggingface_hub.snapshot_download(repository, allow_patterns=list(PATTERNS)))
    if not weights_file(folder):  # Older repositories hold PyTorch's format only.
        huggingface_hub.snapshot_download(repository, allow_patterns=[WEIGHTS[-1]])
    return folder


def weights_file(folder: Path) -> Path | None:
    """Returns the file of a preset's weights, or `None` if there are several parts or none."""
    return next((folder / name for name in WEIGHTS if (folder / name).is_file()), None)


def load_backbone(
    build: Callable[[Path, dict], keras.Model], folder: Path, kind: str
) -> tuple[keras.Model, dict[str, str]]:
    """Builds a backbone with the weights of a preset.

    Args:
        build: Function of the folder and the content of its `config.json`.
        folder: Folder of the preset.
        kind: Name of the network in messages.

    Returns:
        The backbone and its fingerprints: `weights_sha256` of the tensors and, if the weights are
        one file, `file_sha256`.

    Raises:
        ValueError: If the folder holds another network or is damaged.
    """
    rule = f"{kind} must be a preset of {kind}"
    config = read_json(folder / "config.json", rule, shape=dict)
    with loading(folder, kind):
        backbone = build(folder, config)
    fingerprints = {"weights_sha256": tensors_sha256(backbone.weights)}
    if file := weights_file(folder):
        fingerprints["file_sha256"] = sha256(file)
    return backbone, fingerprints


@contextlib.contextmanager
def loading(folder: Path, kind: str) -> Iterator[None]:
    """Context manager that names folder and kind of network in one line of any exception."""
    try:
        yield
    except Exception as error:  # keras-hub, h5py and safetensors raise many types.
        raise ValueError(
            f"{kind} must be a preset of {kind}; received {short_path(folder)} "
            f"({one_line(error, 150) or type(error).__name__})"
        ) from None


def tensors_sha256(weights: list[Any]) -> str:
    """Returns the SHA-256 of floating-point variables, independent of their file and backend.

    Variables that are computed from others do not count.
    """
    digest = hashlib.sha256()
    for variable in weights:
        array = ops.convert_to_numpy(variable)
        if array.dtype.kind == "f" and variable.name != "interpolated_position_embeddings":
            digest.update(f"{array.shape}".encode())
            digest.update(np.ascontiguousarray(array, "<f4").tobytes())
    return digest.hexdigest()


class Runner:
    """Callable that runs a network on batches, compiled for few shapes.

    Args:
        network: Functional model with one input and one output `[B, D]`.
    """

    def __init__(self, network: keras.Model):
        self.network, self._batch = network, 0
        # On CPUs, TensorFlow is slower with XLA.
        network.jit_compile = keras.backend.backend() == "jax"

    def __call__(self, inputs: np.ndarray) -> np.ndarray:
        self._batch = max(self._batch, len(inputs))
        outputs = self.network.predict_on_batch(filled(inputs, self._batch))
        return np.asarray(outputs[: len(inputs)], "float32")

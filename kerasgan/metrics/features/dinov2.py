"""Features of DINOv2, as dgm-eval computes them for FD-DINOv2.

Reference:
    Oquab et al., 2023, "DINOv2: Learning Robust Visual Features without Supervision",
    https://arxiv.org/abs/2304.07193
    Stein et al., 2023, "Exposing flaws of generative model evaluation metrics and their unfair
    treatment of diffusion models" (dgm-eval, FD-DINOv2), https://arxiv.org/abs/2306.04675

keras-hub's backbone resizes the position embeddings by the backend's own bicubic filter, which
differs between backends and from Meta's code. They are computed here as in Meta's code, so features
of all backends are equal up to rounding.
"""

import os
from pathlib import Path

import keras
import numpy as np

from kerasgan.metrics.features import hub, resize as resizing
from kerasgan.metrics.features.fingerprints import network_name

DEFAULT = "hf://facebook/dinov2-large"  # The network of dgm-eval, from the authors' weights.
SIZE = 224
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class DINOv2:
    """Feature extractor of images.

    Args:
        preset: Preset of keras-hub's `DINOV2Backbone` or of transformers' `Dinov2Model`, see
            `kerasgan.metrics.features.hub`. Networks with register tokens are refused: dgm-eval
            has none.
        resize: Mode of `kerasgan.metrics.features.resize`. `None` is that of dgm-eval: Pillow's
            bicubic filter to 224 x 224 without crop, rounded to 8 bits. `"clean"` is its
            `--clean_resize`, `"legacy_tensorflow"` that of torch-fidelity.

    Attributes:
        protocol: JSON-serializable dict: network, SHA-256 of the weights, preprocessing, layer.
        file_sha256: SHA-256 of the file of weights, or `None` if there are several.

    Raises:
        ImportError: If keras-hub is not installed.
        ValueError: If the preset or `resize` does not exist.
    """

    logits = False  # There are no classes, so there is no Inception Score.

    def __init__(self, preset: str | os.PathLike = DEFAULT, resize: str | None = None):
        if resize is not None:
            resizing.check_mode(resize)
        presets = hub.hub_models().DINOV2Backbone.presets
        folder = hub.preset_folder(preset, presets, "DINOv2")
        backbone, fingerprints = hub.load_backbone(_build, folder, "DINOv2")
        self.file_sha256 = fingerprints.get("file_sha256")
        self._resize = resize or resizing.PILLOW
        images = keras.Input((SIZE, SIZE, 3), name="images")
        self._run = hub.Runner(keras.Model(images, backbone({"images": images})[:, 0]))
        self.protocol = {
            "network": network_name("DINOv2", *fingerprints.values()),
            "weights_sha256": fingerprints["weights_sha256"],
            "resize": resizing.TEXTS[self._resize].format(SIZE),
            "inputs": f"(RGB / 255 - {list(MEAN)}) / {list(DEVIATION)}",
            "features": f"class token after the last layer norm, {backbone.hidden_dim}",
        }

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Computes features, float32 `[B, D]`, of RGB images, uint8 `[B, H, W, 3]`."""
        pixels = resizing.resize(np.asarray(images), SIZE, self._resize) / np.float32(255)
        mean, deviation = np.array(MEAN, "float32"), np.array(DEVIATION, "float32")
        return self._run((pixels - mean) / deviation)


def _build(folder: Path, config: dict) -> keras.Model:
    backbone = hub.hub_models().DINOV2Backbone.from_preset(
        str(folder), image_shape=(SIZE, SIZE, 3), data_format="channels_last", dtype="float32"
    )
    if backbone.num_register_tokens:
        raise ValueError(
            f"it has {backbone.num_register_tokens} register tokens; dgm-eval has none"
        )
    layer = backbone.embeddings
    table = keras.ops.convert_to_numpy(layer.position_embeddings)  # [1, 1 + n * n, D]
    layer.interpolated_position_embeddings.assign(
        position_embeddings(table, SIZE // backbone.patch_size)
    )
    return backbone


def position_embeddings(table: np.ndarray, side: int) -> np.ndarray:
    """Resizes position embeddings `[1, 1 + n * n, D]` to `[1, 1 + side * side, D]` as Meta's code.

    It uses PyTorch's bicubic interpolation by the factor (side + 0.1) / n without antialiasing. The
    first row belongs to the class token and stays.
    """
    width = table.shape[-1]
    n = round((table.shape[1] - 1) ** 0.5)
    if n == side:
        return table
    grid, weights = table[0, 1:].reshape(n, n, width), _bicubic(n, side)
    resized = np.einsum("ai,bj,ijd->abd", weights, weights, grid.astype("float64"))
    return np.concatenate([table[:, :1], resized.reshape(1, -1, width)], axis=1).astype("float32")


def _bicubic(n, side):
    """Matrix `[side, n]` of cubic convolution with a = -0.75. Border values are repeated."""
    place = (np.arange(side) + 0.5) * n / (side + 0.1) - 0.5
    low, matrix = np.floor(place).astype(int), np.zeros((side, n))
    for offset in (-1, 0, 1, 2):
        x = np.abs(place - low - offset)
        near = (1.25 * x - 2.25) * x**2 + 1
        far = -0.75 * (((x - 5) * x + 8) * x - 4)
        column = np.clip(low + offset, 0, n - 1)
        np.add.at(matrix, (np.arange(side), column), np.where(x <= 1, near, far))
    return matrix

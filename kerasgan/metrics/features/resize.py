"""Resizing of images before feature extraction, as published programs do it.

Scores of differently resized images cannot be compared. clean-fid (arXiv 2104.11222) names three
methods, which `resize` reproduces:

- `clean`: Pillow's bicubic filter with antialiasing, each channel in float32, without rounding to
  8 bits. Results are clipped to [0, 255], as in clean-fid 0.1.35 and dgm-eval.
- `legacy_tensorflow`: TensorFlow 1's bilinear interpolation without half-pixel centers and without
  antialiasing, as in the published FID and in torch-fidelity.
- `legacy_pytorch`: PyTorch's `interpolate(mode="bilinear", align_corners=False)` without
  antialiasing, as in pytorch-fid.

Two more methods are the defaults of other feature extractors:

- `pillow_bicubic`: Pillow's bicubic filter with antialiasing, rounded to 8 bits (torchvision's
  `Resize` of a Pillow image, as in dgm-eval).
- `pillow_bicubic_crop`: the same filter, applied to the central square (CMMD).
"""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops
from PIL import Image

from kerasgan.types import Shape, Tensor

CLEAN, TENSORFLOW, PYTORCH = "clean", "legacy_tensorflow", "legacy_pytorch"
MODES = (CLEAN, TENSORFLOW, PYTORCH)  # Choices of a caller, named as in clean-fid.
PILLOW, PILLOW_CROP = "pillow_bicubic", "pillow_bicubic_crop"
# Descriptions in protocols. The one of TensorFlow 1 is also in files of earlier versions.
TEXTS = {
    CLEAN: "clean, Pillow bicubic, antialiased, float32 per channel, clipped, {}",
    TENSORFLOW: "tf1 bilinear, {}",
    PYTORCH: "torch bilinear, align_corners=False, not antialiased, {}",
    PILLOW: "Pillow bicubic, antialiased, rounded to 8 bits, {}",
    PILLOW_CROP: "central square, then Pillow bicubic, antialiased, rounded to 8 bits, {}",
}


class Resize(keras.layers.Layer):
    """Resizes images `[B, H, W, C]` to float32 `[B, size, size, C]` like TensorFlow 1.

    Pixel i is sampled at i * H / size, without half-pixel centers and antialiasing. The result is
    bit-identical to `tf.compat.v1.image.resize_bilinear`; other libraries resize differently.

    Args:
        size: Side of the resized images in pixels.
    """

    def __init__(self, size: int = 299, **layer: Any):
        super().__init__(dtype="float32", **layer)
        self.size = size

    def call(self, images: Tensor) -> Tensor:
        return self._along(1, self._along(2, ops.cast(images, "float32")))

    def _along(self, axis, images):
        length = ops.shape(images)[axis]
        # Python divides in double precision. TensorFlow's graphs would multiply by 1 / size in
        # float32.
        place = ops.arange(self.size, dtype="float32") * ops.cast(length / self.size, "float32")
        low = ops.floor(place)
        share = ops.reshape(place - low, (-1, 1, 1) if axis == 1 else (-1, 1))
        low = ops.cast(low, "int32")
        before, after = (
            ops.take(images, i, axis=axis) for i in (low, ops.minimum(low + 1, length - 1))
        )
        return before + (after - before) * share

    def compute_output_shape(self, shape: Shape) -> Shape:
        return (shape[0], self.size, self.size, shape[-1])


def resize(images: np.ndarray, size: int, mode: str) -> np.ndarray:
    """Resizes images to squares.

    Args:
        images: RGB images of one size, uint8 `[B, H, W, 3]`.
        size: Side of the resized images in pixels.
        mode: A key of `TEXTS`.

    Returns:
        float32 `[B, size, size, 3]` in [0, 255].

    Raises:
        ValueError: If `mode` is unknown or the images have another type or shape.
    """
    check_images(images)
    check_mode(mode, tuple(TEXTS))
    if mode == TENSORFLOW:
        return ops.convert_to_numpy(Resize(size)(images))
    if mode == PYTORCH:
        return _torch_bilinear(_torch_bilinear(images.astype("float32"), size, 2), size, 1)
    one: Callable = {CLEAN: _clean, PILLOW: _pillow, PILLOW_CROP: _pillow_crop}[mode]
    return np.stack([one(image, size) for image in images])


def check_images(images: np.ndarray) -> None:
    """Raises `ValueError` unless `images` are uint8 `[B, H, W, 3]`."""
    if images.dtype != "uint8" or images.ndim != 4 or images.shape[-1] != 3 or not images.size:
        raise ValueError(
            f"Expected uint8 images [B, H, W, 3]; received {images.dtype} {list(images.shape)}."
        )


def check_mode(mode: str, modes: tuple[str, ...] = MODES) -> None:
    """Raises `ValueError` if there is no such resize."""
    if mode not in modes:
        raise ValueError(f"resize must be one of {', '.join(modes)}; received {mode}")


def _clean(image, size):
    channels = (Image.fromarray(image[..., channel].astype("float32")) for channel in range(3))
    box, bicubic = (size, size), Image.Resampling.BICUBIC
    return np.stack([each.resize(box, bicubic) for each in channels], axis=-1).clip(0, 255)


def _pillow(image, size):
    resized = Image.fromarray(image).resize((size, size), Image.Resampling.BICUBIC)
    return np.asarray(resized, "float32")


def _pillow_crop(image, size):
    height, width = image.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return _pillow(image[top : top + side, left : left + side], size)


def _torch_bilinear(images, size, axis):
    """Interpolates along one axis. The source of pixel i is (i + 0.5) * length / size - 0.5."""
    length = images.shape[axis]
    scale, half = np.float32(length / size), np.float32(0.5)
    place = np.maximum(scale * (np.arange(size, dtype="float32") + half) - half, 0)
    low = place.astype("int64")
    share = (place - low).astype("float32").reshape((-1, 1, 1) if axis == 1 else (-1, 1))
    high = np.minimum(low + 1, length - 1)
    return images.take(low, axis) * (1 - share) + images.take(high, axis) * share

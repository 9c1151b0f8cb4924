"""Inception v3 of `inception/slim` (2016), fine-tuned on birds and flowers by StackGAN's authors.

The fine-tuned weights have 50 classes of birds or 20 classes of flowers, those of the *test* split.
The network differs from the Inception of 2015-12-05: it has an average pool in the last block (not
a max pool), no scale in batch norm, other weights, and another resize and range of the images.
Scores of the two networks do not compare.

Reference:
    Szegedy et al., 2016, "Rethinking the Inception Architecture for Computer Vision",
    https://arxiv.org/abs/1512.00567
    Zhang et al., 2017, "StackGAN: Text to Photo-Realistic Image Synthesis with Stacked Generative
    Adversarial Networks" (fine-tuned weights), https://arxiv.org/abs/1612.03242

**Differences from the authors' code**

- Batch norm is folded into the convolutions, and the logit of the background (column 0) is dropped
  when the weights are read, not after inference. The numbers agree to 1e-6.
- There is no auxiliary classifier and no dropout, because inference does not use them.
"""

import hashlib
import math
import os
import pathlib
import re
from collections.abc import Iterator

import keras
import numpy as np
from PIL import Image

from kerasgan.images import from_uint8
from kerasgan.io import checkpoints
from kerasgan.io.checkpoints import CheckpointError
from kerasgan.io.limits import check_stored
from kerasgan.io.reading import LONGEST, reason, short_path
from kerasgan.layers.batch_norm import BatchNormalization
from kerasgan.metrics.features.extract import filled
from kerasgan.metrics.features.resize import check_images

NETWORK = "the Inception of inception/slim, 2016"
# Suffix of TensorFlow 1 for the moving average of a variable.
MOVING_AVERAGE = "/ExponentialMovingAverage"
# There is no gamma.
PARTS = ("BatchNorm/beta", "BatchNorm/moving_mean", "BatchNorm/moving_variance")
LOGITS = ("logits/logits/weights", "logits/logits/biases")
EPSILON = 1e-3  # Epsilon of batch norm.

# Names are those of the checkpoint. A convolution is (filters, kernel). The convolutions of a
# branch are applied one after another, except that 1 x 3 and 3 x 1 share their input. In blocks
# that downsample, `branch_pool` has no convolution: it is a max pool of stride 2, and the last
# convolutions of the other branches have stride 2.
STEM = {"conv0": (32, 3), "conv1": (32, 3), "conv2": (64, 3), "conv3": (80, 1), "conv4": (192, 3)}


def _block_35(pooled):
    return {
        "branch1x1": [(64, 1)],
        "branch5x5": [(48, 1), (64, 5)],
        "branch3x3dbl": [(64, 1), (96, 3), (96, 3)],
        "branch_pool": [(pooled, 1)],
    }


def _block_17(n):
    return {
        "branch1x1": [(192, 1)],
        "branch7x7": [(n, 1), (n, (1, 7)), (192, (7, 1))],
        "branch7x7dbl": [(n, 1), (n, (7, 1)), (n, (1, 7)), (n, (7, 1)), (192, (1, 7))],
        "branch_pool": [(192, 1)],
    }


_BLOCK_8 = {
    "branch1x1": [(320, 1)],
    "branch3x3": [(384, 1), (384, (1, 3)), (384, (3, 1))],
    "branch3x3dbl": [(448, 1), (384, 3), (384, (1, 3)), (384, (3, 1))],
    "branch_pool": [(192, 1)],
}
BLOCKS = {
    "mixed_35x35x256a": _block_35(32),
    "mixed_35x35x288a": _block_35(64),
    "mixed_35x35x288b": _block_35(64),
    "mixed_17x17x768a": {
        "branch3x3": [(384, 3)],
        "branch3x3dbl": [(64, 1), (96, 3), (96, 3)],
        "branch_pool": [],
    },
    "mixed_17x17x768b": _block_17(128),
    "mixed_17x17x768c": _block_17(160),
    "mixed_17x17x768d": _block_17(160),
    "mixed_17x17x768e": _block_17(192),
    "mixed_17x17x1280a": {
        "branch3x3": [(192, 1), (320, 3)],
        "branch7x7x3": [(192, 1), (192, (1, 7)), (192, (7, 1)), (192, 3)],
        "branch_pool": [],
    },
    "mixed_8x8x2048a": _BLOCK_8,
    "mixed_8x8x2048b": _BLOCK_8,
}


def build_slim_inception(
    classes: int = 50, size: int = 299, width: float = 1.0, batch_norm: bool = False
) -> keras.Model:
    """Builds the network.

    A layer of a convolution has the name of its scope in the checkpoint, with "-" instead of "/".

    Args:
        classes: Number of logits, without the background.
        size: Side of the images in pixels, at least 75.
        width: Multiplier of all widths; 1 in the paper.
        batch_norm: If `False`, builds the network for scoring, with zero weights. If `True`, builds
            the network for training, with random weights and scaled batch norm; `folded` converts
            it.

    Returns:
        A functional model from images `[B, size, size, 3]` in [-1, 1] to features `[B, 2048 *
        width]` and logits `[B, classes]`.

    Raises:
        ValueError: If `size` or `classes` is too small.
    """
    if size < 75 or classes < 1:
        raise ValueError(f"size must be at least 75 and classes 1; received {size} and {classes}")
    layers, exact = keras.layers, {"dtype": "float32"}  # Also under a mixed precision policy.

    def convolve(x, scope, filters, kernel, strides=1, padding="same"):
        filters = max(1, round(width * filters))
        if not batch_norm:
            start = {"activation": "relu", "kernel_initializer": "zeros"}
            return layers.Conv2D(filters, kernel, strides, padding, name=scope, **start, **exact)(x)
        start = {"use_bias": False, "kernel_initializer": "he_normal"}
        x = layers.Conv2D(filters, kernel, strides, padding, name=scope, **start, **exact)(x)
        x = BatchNormalization(momentum=0.9, epsilon=EPSILON, name=norm_of(scope), **exact)(x)
        return layers.ReLU(**exact)(x)

    def branch(x, block, name, convolutions, halve):
        tips = []
        for index, (filters, kernel) in enumerate(convolutions):
            last = halve and index == len(convolutions) - 1
            y = convolve(
                x, _scope(block, name, index), filters, kernel, *((2, "valid") if last else ())
            )
            if kernel in ((1, 3), (3, 1)):
                tips.append(y)
            else:
                x = y
        return layers.Concatenate(**exact)(tips) if tips else x

    def mix(x, block, branches):
        halve = not branches["branch_pool"]
        pool = (
            layers.MaxPooling2D(3, 2, **exact)
            if halve
            else layers.AveragePooling2D(3, 1, "same", **exact)
        )
        starts = dict.fromkeys(branches, x) | {"branch_pool": pool(x)}
        ends = [
            branch(starts[name], block, name, convolutions, halve)
            for name, convolutions in branches.items()
        ]
        return layers.Concatenate(name=block, **exact)(ends)

    images = keras.Input((size, size, 3), name="images", **exact)
    x = convolve(images, "conv0", *STEM["conv0"], 2, "valid")  # [B, 149, 149, 32]
    x = convolve(x, "conv1", *STEM["conv1"], 1, "valid")
    x = convolve(x, "conv2", *STEM["conv2"])
    x = layers.MaxPooling2D(3, 2, **exact)(x)  # [B, 73, 73, 64]
    x = convolve(x, "conv3", *STEM["conv3"], 1, "valid")
    x = convolve(x, "conv4", *STEM["conv4"], 1, "valid")
    x = layers.MaxPooling2D(3, 2, **exact)(x)  # [B, 35, 35, 192]
    for block, branches in BLOCKS.items():
        x = mix(x, block, branches)  # [B, 8, 8, 2048] after the last block
    features = layers.GlobalAveragePooling2D(name="features", **exact)(x)  # [B, 2048]
    logits = layers.Dense(classes, name="logits", **exact)(features)
    return keras.Model(images, [features, logits], name="slim_inception")


def scopes() -> Iterator[str]:
    """Yields the names of all convolutions: stem, then blocks and branches in order."""
    yield from STEM
    for block, branches in BLOCKS.items():
        for branch, convolutions in branches.items():
            yield from (_scope(block, branch, index) for index in range(len(convolutions)))


def _scope(block, branch, index):
    return f"{block}-{branch}-Conv" + (f"_{index}" if index else "")


def norm_of(scope: str) -> str:
    """Returns the name of the batch norm of a convolution."""
    return f"{scope}-BatchNorm"


def fold(
    kernel: np.ndarray,
    beta: np.ndarray,
    mean: np.ndarray,
    variance: np.ndarray,
    gamma: np.ndarray | float = 1,
) -> list[np.ndarray]:
    """Folds batch norm into the convolution before it.

    Returns:
        Kernel `[H, W, I, O]` and bias `[O]`.
    """
    scale = gamma / np.sqrt(np.asarray(variance, "float64") + EPSILON)
    return [np.asarray(kernel * scale, "float32"), np.asarray(beta - mean * scale, "float32")]


def folded(network: keras.Model, width: float = 1.0) -> keras.Model:
    """Folds the batch norm of a network, built with this width, into its convolutions."""
    scorer = build_slim_inception(network.outputs[1].shape[1], network.input_shape[1], width)
    for scope in scopes():
        (kernel,) = network.get_layer(scope).get_weights()
        gamma, beta, mean, variance = network.get_layer(norm_of(scope)).get_weights()
        scorer.get_layer(scope).set_weights(fold(kernel, beta, mean, variance, gamma))
    scorer.get_layer("logits").set_weights(network.get_layer("logits").get_weights())
    return scorer


class SlimInception:
    """Feature extractor from RGB images, uint8 `[B, H, W, 3]`, to features `[B, 2048]` and logits.

    Images of any size are resized as by StackGAN's authors: bilinear, antialiased, rounded to 8
    bits.

    Args:
        checkpoint: Prefix of a TensorFlow checkpoint with the names of `inception/slim`, such as
            ".../model.ckpt-5000" (or one of its files, or a folder with one checkpoint); or an .h5
            file of `save` or of zoo/inception.py.

    Attributes:
        network: The Keras network, in inference mode.
        protocol: JSON-serializable dict, equal for a checkpoint and the .h5 file converted from it.

    Raises:
        CheckpointError: If a file is missing or damaged, or belongs to another network.
        ImportError: If the checkpoint requires TensorFlow and it is not installed.
    """

    def __init__(self, checkpoint: str | os.PathLike):
        path = pathlib.Path(checkpoint)
        self.network, self.protocol = (
            _load_own(path) if path.suffix == ".h5" else _load_tensorflow(path)
        )
        # On CPUs, TensorFlow is slower with XLA.
        self.network.jit_compile = keras.backend.backend() == "jax"
        self._batch = 0

    def __call__(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        images = from_uint8(resized(images, self.network.input_shape[1]))
        count = len(images)
        self._batch = max(self._batch, count)
        features, logits = self.network.predict_on_batch(filled(images, self._batch))
        return features[:count], logits[:count]

    def save(self, path: str | os.PathLike) -> None:
        """Writes network and protocol to an .h5 file, which needs no TensorFlow."""
        checkpoints.save_network(
            path, self.network, epoch=0, letter="C", info={"protocol": self.protocol}
        )


def resized(images: np.ndarray, size: int) -> np.ndarray:
    """Resizes uint8 images `[B, H, W, 3]` to `[B, size, size, 3]` by Pillow's bilinear filter."""
    images = np.asarray(images)
    check_images(images)
    bilinear = Image.Resampling.BILINEAR
    return np.stack(
        [np.asarray(Image.fromarray(image).resize((size, size), bilinear)) for image in images]
    )


def protocol(network: keras.Model, about: dict) -> dict:
    """Returns the protocol of a network for scoring.

    Args:
        network: Model built by `build_slim_inception`.
        about: Source of the weights and training data.
    """
    (_, size, _, _), (features, logits) = network.input_shape, network.outputs
    return {
        "network": NETWORK,
        **about,
        "features": f"the {features.shape[1]} means of the last block, with an average pool",
        "classes": logits.shape[1],
        "resize": f"to {size} x {size}, Pillow's bilinear, antialiased, rounded to 8 bits",
        "range": "RGB, x / 127.5 - 1",
    }


# === Reading ===


def _load_own(path):
    info = checkpoints.read_info(path)
    recorded = info.get("protocol", {})
    if not isinstance(recorded, dict):
        raise CheckpointError(
            f"{path} must hold {NETWORK} with a protocol; its protocol is a "
            f"{type(recorded).__name__}"
        )
    if recorded.get("network") != NETWORK:
        raise CheckpointError(
            f"{path} must hold {NETWORK}; it holds {recorded.get('network', info['network'])}"
        )
    network, info = checkpoints.load_network(path)
    return network, {**recorded, "sha256": recorded.get("sha256", info["sha256"])}


def _load_tensorflow(path):
    prefix = _prefix(path)
    try:
        import tensorflow as tf
    except ImportError:
        raise ImportError(
            f"Reading {prefix} requires TensorFlow. Alternatively, pass the .h5 file made from it."
        ) from None
    try:
        reader = tf.train.load_checkpoint(str(prefix))
        shapes = {name: tuple(shape) for name, shape in reader.get_variable_to_shape_map().items()}
        size = sum(file.stat().st_size for file in prefix.parent.glob(f"{prefix.name}.data-*"))
        for name, shape in shapes.items():
            check_stored(math.prod(shape), size, name)
        network, suffix = _network_for(prefix, shapes)
        _assign(network, lambda name: reader.get_tensor(name + suffix))
    except CheckpointError:
        raise
    except Exception as error:  # TensorFlow raises many types.
        rule = f"{short_path(prefix)} is damaged or no TensorFlow checkpoint"
        raise CheckpointError(f"{rule}: {reason(error, LONGEST - len(rule) - 2)}") from None
    about = {
        "checkpoint": prefix.name,
        "sha256": _sha256(prefix.parent.glob(f"{prefix.name}.data-*")),
        "weights": "moving averages"
        if suffix
        else "raw variables, because the file has no moving averages",
        "logits": "without column 0, the background",
    }
    return network, protocol(network, about)


def _prefix(path):
    """Prefix of a checkpoint, from its prefix, one of its files, or its folder."""
    if path.is_dir():
        found = sorted(path.glob("*.index"))
        if len(found) != 1:
            raise CheckpointError(
                f"Expected one checkpoint in {path}; it holds "
                f"{', '.join(f.stem for f in found) or 'none'}"
            )
        path = found[0]
    prefix = path.with_name(re.sub(r"\.(index|meta|data-\d+-of-\d+)$", "", path.name))
    for name in (f"{prefix.name}.index", f"{prefix.name}.data-*"):
        if not next(prefix.parent.glob(name), None):
            raise CheckpointError(
                f"A TensorFlow checkpoint consists of {prefix}.index and .data-*; {name} is missing"
            )
    return prefix


def _network_for(prefix, shapes):
    """Network for the variables of a checkpoint (name -> shape), and the suffix of their names."""
    rule = f"{prefix} must hold {NETWORK}"
    names = [
        f"{scope.replace('-', '/')}/{part}" for scope in scopes() for part in ("weights", *PARTS)
    ] + [*LOGITS]
    suffix = max(
        (MOVING_AVERAGE, ""), key=lambda suffix: sum(name + suffix in shapes for name in names)
    )
    missing = [name + suffix for name in names if name + suffix not in shapes]
    if missing:
        raise CheckpointError(
            f"{rule}; {len(missing)} of its {len(names)} variables are missing, for example "
            f"{missing[0]}"
        )
    columns = (*shapes[LOGITS[1] + suffix], 2)[0]  # Wrong shapes are detected below.
    network = build_slim_inception(max(1, columns - 1))
    expected = {LOGITS[0]: (2048, columns), LOGITS[1]: (columns,)}
    for scope in scopes():
        kernel = tuple(network.get_layer(scope).kernel.shape)
        expected |= {f"{scope.replace('-', '/')}/{part}": kernel[3:] for part in PARTS}
        expected[f"{scope.replace('-', '/')}/weights"] = kernel
    for name in names:
        shape = shapes[name + suffix]
        if shape != expected[name]:
            raise CheckpointError(
                f"{rule}, where {name} is {list(expected[name])}; received {list(shape)}"
            )
    return network, suffix


def _assign(network, read):
    """Assigns the variables that `read(name)` returns to the network."""
    for scope in scopes():
        name = scope.replace("-", "/")
        network.get_layer(scope).set_weights(
            fold(read(f"{name}/weights"), *(read(f"{name}/{p}") for p in PARTS))
        )
    weights, biases = map(read, LOGITS)
    network.get_layer("logits").set_weights([weights[:, 1:], biases[1:]])


def _sha256(paths):
    digest = hashlib.sha256()
    for path in sorted(paths):
        with open(path, "rb") as file:
            while block := file.read(2**20):
                digest.update(block)
    return digest.hexdigest()

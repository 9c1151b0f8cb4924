"""The Inception v3 of `inception/slim`, 2016, that StackGAN's authors fine-tuned to score their birds and flowers.

Sources: Szegedy et al., "Rethinking the Inception Architecture for Computer Vision" (arXiv 1512.00567); the fine-tuned
weights: Zhang et al., "StackGAN" (arXiv 1612.03242), 50 classes of birds or 20 of flowers, those of the *test* split.
It is another network than the Inception of 2015-12-05: an average pool in the last block (there, a maximum), no scale
in the batch norms, other weights, another resize and range of the images. Scores by the two never share a column.

Differences from the authors' code:
- batch norm is folded into the convolutions, and the logit of the background, column 0, is left out as the weights are
  read (there, sliced off afterwards): the same numbers to 1e-6, and less work;
- no auxiliary classifier and no dropout: neither has a part in inference.
"""

import hashlib
import math
import pathlib
import re

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

NETWORK = "the Inception of inception/slim, 2016"
AVERAGE = "/ExponentialMovingAverage"  # what TensorFlow 1 appends to the name of a variable for its moving average
PARTS = (
    "BatchNorm/beta",
    "BatchNorm/moving_mean",
    "BatchNorm/moving_variance",
)  # there is no gamma
LOGITS = ("logits/logits/weights", "logits/logits/biases")
EPSILON = 1e-3  # of the batch norms

# The names are the checkpoint's. A convolution is (filters, kernel); those of a branch follow one another, but a 1 x 3
# and a 3 x 1 look at the same maps, side by side. A branch_pool without a convolution is that of a block which halves
# the maps: it takes maxima with a stride of 2, and so do the last convolutions of the other branches.
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


def build_slim_inception(classes=50, size=299, width=1.0, batch_norm=False):
    """Build the network of images [B, size, size, 3] in [-1, 1] into [features [B, 2048 width], logits [B, classes]].

    A convolution's layer has the name of its scope in the checkpoint, with "-" for "/".

    Args:
        classes: number of logits, background left out.
        size: side of the images, at least 75.
        width: of all convolutions; 1 is the paper's.
        batch_norm: False builds the network to score with, of zeros; True the one to train, of random weights, whose
            batch norms have a scale as in 2015-12-05. `folded` makes the one of the other.
    """
    if size < 75 or classes < 1:
        raise ValueError(f"size must be at least 75 and classes 1; received {size} and {classes}")
    layers, exact = keras.layers, {"dtype": "float32"}  # also where others are in half precision

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
        x = mix(x, block, branches)  # at last [B, 8, 8, 2048]
    features = layers.GlobalAveragePooling2D(name="features", **exact)(x)  # [B, 2048]
    logits = layers.Dense(classes, name="logits", **exact)(features)
    return keras.Model(images, [features, logits], name="slim_inception")


def scopes():
    """The names of the convolutions' layers: stem, then block after block, branch after branch."""
    yield from STEM
    for block, branches in BLOCKS.items():
        for branch, convolutions in branches.items():
            yield from (_scope(block, branch, index) for index in range(len(convolutions)))


def _scope(block, branch, index):
    return f"{block}-{branch}-Conv" + (f"_{index}" if index else "")


def norm_of(scope):
    """The name of the batch norm behind a convolution."""
    return f"{scope}-BatchNorm"


def fold(kernel, beta, mean, variance, gamma=1):
    """A batch norm's inference in the convolution before it: kernel [H, W, I, O] and bias [O]."""
    scale = gamma / np.sqrt(np.asarray(variance, "float64") + EPSILON)
    return [np.asarray(kernel * scale, "float32"), np.asarray(beta - mean * scale, "float32")]


def folded(network, width=1.0):
    """The network to score with of one that was built with batch norm at this `width`."""
    scorer = build_slim_inception(network.outputs[1].shape[1], network.input_shape[1], width)
    for scope in scopes():
        gamma, *others = network.get_layer(norm_of(scope)).get_weights()
        scorer.get_layer(scope).set_weights(
            fold(*network.get_layer(scope).get_weights(), *others, gamma)
        )
    scorer.get_layer("logits").set_weights(network.get_layer("logits").get_weights())
    return scorer


class SlimInception:
    """Feature extractor: uint8 images [B, H, W, 3], RGB -> features [B, 2048] and logits [B, classes], float32.

    Images are resized as StackGAN's authors did, bilinear, antialiased and rounded to 8 bits, whatever their shape.

    Args:
        checkpoint: the prefix of a TensorFlow checkpoint with the names of `inception/slim`, such as
            ".../model.ckpt-5000" (also one of its files, or a folder that holds one); or an .h5 file of `save` or of
            zoo/inception.py.

    Attributes:
        network: the Keras network, in inference mode whatever it is called with.
        protocol: dictionary that JSON can hold; a checkpoint and the .h5 file made of it say the same.

    Raises:
        CheckpointError: a ValueError, in one line: no such file, damaged, of another network, variables missing.
        ImportError: a TensorFlow checkpoint where TensorFlow is not installed.
    """

    def __init__(self, checkpoint):
        path = pathlib.Path(checkpoint)
        self.network, self.protocol = (
            _load_own(path) if path.suffix == ".h5" else _load_tensorflow(path)
        )
        self.network.jit_compile = (
            keras.backend.backend() == "jax"
        )  # TensorFlow's XLA is the slower one on a CPU
        self._batch = 0

    def __call__(self, images):
        images = from_uint8(resized(images, self.network.input_shape[1]))
        count = len(images)
        self._batch = max(self._batch, count)
        features, logits = self.network.predict_on_batch(filled(images, self._batch))
        return features[:count], logits[:count]

    def save(self, path):
        """Write network and protocol to one .h5 file, so that TensorFlow's checkpoint is read once."""
        checkpoints.save_network(
            path, self.network, epoch=0, letter="C", info={"protocol": self.protocol}
        )


def resized(images, size):
    """uint8 [B, H, W, 3] -> uint8 [B, size, size, 3] by Pillow's bilinear filter, antialiased where it shrinks."""
    images = np.asarray(images)
    if images.dtype != np.uint8 or images.ndim != 4 or not images.size or images.shape[3] != 3:
        raise ValueError(
            f"images must be uint8 [B, H, W, 3]; received {images.dtype} {list(images.shape)}"
        )
    bilinear = Image.Resampling.BILINEAR
    return np.stack(
        [np.asarray(Image.fromarray(image).resize((size, size), bilinear)) for image in images]
    )


def protocol(network, about):
    """What a scoring network does, and `about` it: where its weights are from and what it was trained on."""
    (_, size, _, _), (features, logits) = network.input_shape, network.outputs
    return {
        "network": NETWORK,
        **about,
        "features": f"the {features.shape[1]} means of the last block, whose pool is an average",
        "classes": logits.shape[1],
        "resize": f"to {size} x {size}, Pillow's bilinear, antialiased, rounded to 8 bits",
        "range": "RGB, x / 127.5 - 1",
    }


# === Reading ===


def _load_own(path):
    info = checkpoints.read_info(path)
    told = info.get("protocol", {})
    if not isinstance(told, dict):
        raise CheckpointError(
            f"{path} must hold {NETWORK}, and say so in its protocol; received {type(told).__name__}"
        )
    if told.get("network") != NETWORK:
        raise CheckpointError(
            f"{path} must hold {NETWORK}; it holds {told.get('network', info['network'])}"
        )
    network, info = checkpoints.load_network(path)
    return network, {**told, "sha256": told.get("sha256", info["sha256"])}


def _load_tensorflow(path):
    prefix = _prefix(path)
    try:
        import tensorflow as tf
    except ImportError:
        raise ImportError(
            f"reading {prefix} needs TensorFlow; or give the .h5 that was made of it"
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
    except Exception as error:  # TensorFlow's, by what is damaged
        told = f"{short_path(prefix)} is damaged or no TensorFlow checkpoint"
        raise CheckpointError(f"{told}: {reason(error, LONGEST - len(told) - 2)}") from None
    about = {
        "checkpoint": prefix.name,
        "sha256": _sha256(prefix.parent.glob(f"{prefix.name}.data-*")),
        "weights": "moving averages" if suffix else "raw, the file holds no moving averages",
        "logits": "columns 1 and up; column 0, the background's, is left out",
    }
    return network, protocol(network, about)


def _prefix(path):
    """The prefix of a checkpoint: as given, or of one of its files, or of the only one in a folder."""
    if path.is_dir():
        found = sorted(path.glob("*.index"))
        if len(found) != 1:
            raise CheckpointError(
                f"name one checkpoint: {path} holds {', '.join(f.stem for f in found) or 'none'}"
            )
        path = found[0]
    prefix = path.with_name(re.sub(r"\.(index|meta|data-\d+-of-\d+)$", "", path.name))
    for name in (f"{prefix.name}.index", f"{prefix.name}.data-*"):
        if not next(prefix.parent.glob(name), None):
            raise CheckpointError(
                f"a TensorFlow checkpoint must be the files {prefix}.index and .data-*; no {name}"
            )
    return prefix


def _network_for(prefix, shapes):
    """A network for the variables of a checkpoint, name -> shape, and the suffix that their names have in it."""
    rule = f"{prefix} must hold {NETWORK}"
    names = [
        f"{scope.replace('-', '/')}/{part}" for scope in scopes() for part in ("weights", *PARTS)
    ] + [*LOGITS]
    suffix = max((AVERAGE, ""), key=lambda suffix: sum(name + suffix in shapes for name in names))
    missing = [name + suffix for name in names if name + suffix not in shapes]
    if missing:
        raise CheckpointError(
            f"{rule}; {len(missing)} of its {len(names)} variables are missing, such as {missing[0]}"
        )
    columns = (*shapes[LOGITS[1] + suffix], 2)[0]  # what is no vector is found out below
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
    """Give the network the variables that `read(name)` returns."""
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
